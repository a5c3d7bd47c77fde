# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     default_lexer: ipython3
#     formats: ipynb,md:myst,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Scenes from eight views
#
# ```{paper-card}
# ```
#
# ## The idea
#
# ## The method in code

# %%
import json
import math
import tempfile
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, minimum_filter, uniform_filter
from scipy.spatial.transform import Rotation, Slerp

from gaussbook import autodiff as ad
from gaussbook import nn, splatting
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.data import photograph, stereo_motorcycle
from gaussbook.metrics import psnr, ssim
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import PALETTE, animation, figure
from gaussbook.scale import scale
from gaussbook.splatting import Camera, RenderOptions, Scene, Solid, Texture, look_at, render
from gaussbook.tables import table

claims = Claims("sparse_view_priors")
xp = backend()
WIDTH, N = scale(default=36, paper=300), scale(default=1500, paper=100_000)
STEPS, LATER = scale(default=120, paper=6000), scale(default=120, paper=4000)
SEED, MIDDLE = 0, np.array([0.0, 0.0, -0.2])


# %% [markdown]
# The scene.

# %%
def mirrored(name):
    """A photograph and its mirror image: a picture that closes around the room."""
    picture = photograph(name)
    h, w = (n // 8 * 8 for n in picture.shape[:2])
    picture = splatting.downscale(picture[:h, :w], 8)
    return Texture(np.concatenate([picture, picture[:, ::-1]], axis=1))


def room(objects):
    """Objects on a wide floor, within a round wall."""
    floor = Solid("rectangle", (0, 0, -0.502), (2.6, 2.6, 1), mirrored("coffee"))
    wall = Solid("cylinder", (0, 0, 0.75), (2.6, 2.6, 1.26), mirrored("rocket"))
    return Scene([*objects.solids, floor, wall])


def ring(azimuth, elevation=24.0):
    """A camera that looks at the middle from a distance of 1.7; angles in degrees."""
    a, e = np.radians([azimuth, elevation])
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    position = MIDDLE + 1.7 * towards
    return look_at(position, MIDDLE, field_of_view=58.0, width=WIDTH, near=0.5)


def stations(n):
    """n cameras on a ring to train with, and 12 between them, off the ring, to test with."""
    gap, shares = 360 / n, (0.25, 0.55, 0.85)
    train = [ring(gap * i) for i in range(n)]
    places = [(gap * (i * n // 12 + shares[i % 3]), 24.0 + 5.0 * (-1) ** i) for i in range(12)]
    return train, [ring(*place) for place in places]


# %% [markdown]
# Simulated priors.

# %%
def lift(depth, camera):
    """The world points (H, W, 3) that a depth map shows."""
    v, u = np.indices(depth.shape) + 0.5
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    return (np.stack([x, y, np.ones_like(x)], axis=-1) * depth[..., None] - camera.t) @ camera.R


def simulated_stereo(depth, camera, rng):
    """SIMULATED: depth with errors, which are large far from the centre, and a confidence."""
    slow = gaussian_filter(rng.normal(size=depth.shape), depth.shape[0] / 6)
    error = 1 + 0.03 * slow / slow.std() + 0.01 * rng.normal(size=depth.shape)
    far = np.linalg.norm(lift(depth, camera) - [0, 0, -0.5], axis=-1) > 1
    error = np.where(far, error * rng.uniform(0.7, 1.4), error)
    confidence = np.where(far, 2.0, 10.0) * rng.uniform(0.8, 1.2, size=depth.shape)
    return depth * error, confidence


def simulated_mono(depth, normals, rng):
    """SIMULATED: depth of unknown scale, shift and power, blurred; normals with errors of 5°."""
    a, b, g = rng.uniform(0.5, 2), rng.uniform(0, 1), rng.uniform(0.9, 1.1)
    blurred = uniform_filter(a * depth**g + b, 3, mode="nearest")
    tilted = normals + np.tan(np.radians(5)) / np.sqrt(2) * rng.normal(size=normals.shape)
    return blurred, tilted / np.linalg.norm(tilted, axis=-1, keepdims=True)


# %%
def repair_far(D, confidence, D_mono):
    """Fit a D* + b to the reliable depths, and put it in place of the others."""
    reliable = confidence >= 5
    inner = minimum_filter(reliable, 3)  # D* is blurred across edges
    root = np.sqrt(confidence[inner])
    A = np.stack([D_mono[inner], np.ones_like(root)], axis=1)
    (a, b), *_ = np.linalg.lstsq(A * root[:, None], D[inner] * root, rcond=None)
    return np.where(reliable, D, a * D_mono + b), np.where(reliable, confidence, 5.0)


def clean(depths, confidences, cameras):
    """Confidence 0 for points in front of what another, more confident view sees."""
    kept = [c.copy() for c in confidences]
    for i, j in permutations(range(len(cameras)), 2):
        camera, D_j, c_j = cameras[j], depths[j], confidences[j]
        t = lift(depths[i], cameras[i]) @ camera.R.T + camera.t
        z = np.maximum(t[..., 2], camera.near)
        u = np.floor(camera.fx * t[..., 0] / z + camera.cx).astype(int)
        v = np.floor(camera.fy * t[..., 1] / z + camera.cy).astype(int)
        inside = (z > camera.near) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < WIDTH)
        u, v = np.where(inside, u, 0), np.where(inside, v, 0)
        in_front = (z < (1 - 1e-3) * D_j[v, u]) & (confidences[i] < c_j[v, u])
        kept[i][inside & in_front] = 0
    return kept


def fuse(depths, confidences, photos, cameras):
    """All points of confidence 5 or more: places, colours, and the size of a pixel there."""
    points, colors, sizes = [], [], []
    for D, confidence, photo, camera in zip(depths, confidences, photos, cameras, strict=True):
        keep = confidence >= 5
        points.append(lift(D, camera)[keep])
        colors.append(to_host(photo)[keep])
        sizes.append(D[keep] / camera.fx)
    return tuple(np.concatenate(a).astype(np.float32) for a in (points, colors, sizes))


# %% [markdown]
# Depth losses.

# %%
def pearson_loss(D, D_prior):
    """1 - correlation along the last axis, averaged over the others."""
    x, y = (a - ad.mean(a, axis=-1, keepdims=True) for a in (D, D_prior))
    s_x, s_y = (ad.sqrt(ad.mean(a * a, axis=-1) + 1e-12) for a in (x, y))
    return ad.mean(1 - ad.mean(x * y, axis=-1) / (s_x * s_y))


BOX = WIDTH // 3


def random_boxes(rng):
    """Indices of the pixels of a few square boxes at random places: (boxes, pixels)."""
    n = (WIDTH // BOX) ** 2 // 2
    row, column = rng.integers(0, WIDTH - BOX + 1, size=(2, n, 1, 1))
    side = xp.arange(BOX)
    pixels = (row + side[:, None]) * WIDTH + column + side
    return xp.reshape(pixels, (n, BOX * BOX))


def depth_loss(seen, D_prior, boxes):
    """The global Pearson loss and the one within boxes."""
    D = ad.reshape(seen.depth / (seen.alpha + 1e-6), (-1,))
    in_boxes = ad.reshape(ad.take(D, xp.reshape(boxes, (-1,)), axis=0), boxes.shape)
    return pearson_loss(D, D_prior) + pearson_loss(in_boxes, D_prior[boxes])


def normal_loss(seen, prior):
    """Mean |N - N*| and mean 1 - N . N*."""
    n = seen.image[:, :, 3:]
    n = n / ad.sqrt(ad.sum(n * n, axis=-1, keepdims=True) + 1e-6)
    return ad.mean(ad.abs(n - prior)) + 1 - ad.mean(ad.sum(n * prior, axis=-1))


# %% [markdown]
# Virtual views.

# %%
def between(a, b, t):
    """The camera at share t of the way from a to b."""
    R = Slerp([0, 1], Rotation.from_matrix(np.stack([a.R, b.R])))(t).as_matrix()
    return replace(a, R=R, t=(1 - t) * a.t + t * b.t)


def cloud_of(points, colors, sizes):
    """Points as small round splats, half as wide as a pixel of their own photograph."""
    n = points.shape[0]
    widths = np.repeat(np.log(0.5 * sizes)[:, None], 3, axis=1)
    turns, opacity = np.tile(np.float32([1, 0, 0, 0]), (n, 1)), np.zeros(n, np.float32)
    names = ("means", "log_scales", "quaternions", "opacity_logits", "colors")
    parts = (points, widths, turns, opacity, colors)
    return {name: to_device(a) for name, a in zip(names, parts, strict=True)}


def point_image(cloud, camera):
    """What a camera sees of the points, and where there are any."""
    seen = render(cloud, camera, RenderOptions(alpha_model=splatting.Point(0.1)))
    some = xp.astype(seen.alpha > 0.5, seen.alpha.dtype)[:, :, None]
    return seen.image / xp.clip(seen.alpha, 0.01, None)[:, :, None], some


def weights_of(virtual, cameras):
    """w = min(1, 16 d / d_max), by the distance d to the nearest training camera."""
    c = np.stack([camera.position for camera in cameras])
    apart = np.sort(np.linalg.norm(c[:, None] - c, axis=-1), axis=1)
    d_max = 1.2 * apart[:, -2].max()
    d = np.asarray([np.linalg.norm(camera.position - c, axis=1).min() for camera in virtual])
    return np.minimum(1, 16 * d / d_max), d, d_max


# %% [markdown]
# World.

# %%
class World(NamedTuple):
    """The photographs, what is held back for the test, and the priors."""

    cameras: list
    photos: list
    test_cameras: list = ()
    truths: list = ()
    seen: list = ()
    depths: list = ()
    normals: list = ()
    fused: Any = None
    raw: Any = None
    virtual: list = ()
    errors: Any = None


def single(a):
    """An array of the simulated priors, ready for the renderer."""
    return to_device(np.asarray(a, dtype=np.float32))


def make_world(objects, n, seed):
    """Photographs of a room by n cameras, and simulated priors for them."""
    scene, (cameras, test_cameras) = room(objects), stations(n)
    seen, rng = splatting.views(scene, cameras, 3), generator(seed).host
    photos = [xp.astype(v.image, xp.float32) for v in seen]
    depths = [to_host(v.depth) for v in seen]
    stereo = [simulated_stereo(D, c, rng) for D, c in zip(depths, cameras, strict=True)]
    mono = [simulated_mono(to_host(v.depth), to_host(v.normals), rng) for v in seen]
    repaired = [repair_far(*s, m[0]) for s, m in zip(stereo, mono, strict=True)]
    clouds = []
    for pairs in (stereo, repaired):
        D, confidence = zip(*pairs, strict=True)
        clouds.append(fuse(D, clean(D, confidence, cameras), photos, cameras))
    steps = [(i, j / 10) for i in range(n) for j in range(10)]
    virtual = [between(cameras[i], cameras[(i + 1) % n], t) for i, t in steps]
    priors = [single(m[0].reshape(-1)) for m in mono], [single(m[1]) for m in mono]
    truths = splatting.views(scene, test_cameras, 3)
    shown = (depths, [s[0] for s in stereo], [r[0] for r in repaired])
    return World(cameras, photos, test_cameras, truths, seen, *priors, clouds[1], clouds[0], virtual, shown)


# %% [markdown]
# Objective.

# %%
RATES = {"means": 0.02, "log_scales": 0.06, "quaternions": 0.03, "colors": 0.03}
RATES |= {"opacity_logits": 0.3}
RATES = {name: scale(default=1, paper=0.1) * rate for name, rate in RATES.items()}
OPTIONS = RenderOptions(background=(1.0, 1.0, 1.0))
WITH_NORMALS = replace(OPTIONS, normals=True)
FULL = ("depth", "normal")


def objective(world, terms, targets):
    """The loss of Gaussians p on one training view k and one virtual view v."""

    def loss(p, k, v, boxes):
        seen = render(p, world.cameras[k], WITH_NORMALS if "normal" in terms else OPTIONS)
        L = splatting.photometric(seen.image[:, :, :3], world.photos[k])
        if "depth" in terms:
            L = L + 0.1 * depth_loss(seen, world.depths[k], boxes)
        if "normal" in terms:
            L = L + 0.01 * normal_loss(seen, world.normals[k])
        if targets is not None:
            target, weight = targets[v]
            C_v = render(p, world.virtual[v], OPTIONS).image
            L = L + ad.mean(weight * ad.abs(C_v - target))
        return L

    return loss


def train(p, world, steps, seed, terms=(), targets=None, views=None):
    """Adam on the objective: every training view in turn, virtual views at random."""
    views = list(range(len(world.cameras))) if views is None else views
    order = []

    def draw(rng):
        order.extend([] if order else [views[i] for i in rng.host.permutation(len(views))])
        v = int(rng.host.integers(max(1, len(world.virtual))))
        return order.pop(), v, random_boxes(rng)

    adam = Adam(cosine_decay(1.0, steps, 0.3), multipliers=RATES, epsilon=1e-15)
    loss = objective(world, terms, targets)
    return nn.fit(loss, p, draw, adam, steps=steps, rng=generator(seed)).params


# %%
def start(points, colors, seed, n=N):
    """Gaussians at n of the points, a little smaller than usual."""
    chosen = generator(seed).host.permutation(points.shape[0])[:n]
    p = splatting.initialise(to_device(points[chosen]), to_device(colors[chosen]), opacity=0.3)
    p["log_scales"] = p["log_scales"] - math.log(1.5)
    return p


def plain_splatting(world, steps, seed):
    """A: few points with errors, as from COLMAP, and density control."""
    rng = generator(seed)
    few = splatting.surface_points(world.seen, world.cameras, 150, rng, jitter=0.05)
    p = splatting.initialise(*(xp.astype(a, xp.float32) for a in few), opacity=0.3)
    extent = splatting.scene_extent(world.cameras)
    density = splatting.DensityControl(steps, extent, rng, capacity=N)
    options = {"loss": splatting.photometric_loss, "options": OPTIONS, "extent": 1.0}
    options |= {"rates": {name: rate / 2 for name, rate in RATES.items()}, "density": density}
    fitted = splatting.fit(
        p, world.cameras, world.photos, iterations=steps, rng=rng, **options
    )
    return fitted.parameters


def score(p, cameras, views):
    """PSNR, correlation of the depth, and angle of the normals in degrees, of each view."""
    rows = []
    for camera, truth in zip(cameras, views, strict=True):
        seen = render(p, camera, WITH_NORMALS)
        picture, n = xp.clip(seen.image[:, :, :3], 0.0, 1.0), seen.image[:, :, 3:]
        D = to_host(seen.depth / (seen.alpha + 1e-6)).ravel()
        r = np.corrcoef(D, to_host(truth.depth).ravel())[0, 1]
        cosine = xp.sum(n * truth.normals, axis=-1) / (xp.sqrt(xp.sum(n * n, axis=-1)) + 1e-6)
        angle = np.degrees(np.arccos(np.clip(to_host(cosine), -1, 1))).mean()
        rows.append((psnr(picture, truth.image), r, angle, ssim(picture, truth.image, channel_axis=2)))
    return dict(zip(("psnr", "r", "angle", "ssim"), np.asarray(rows).T, strict=True))


# %%
world = make_world(splatting.blocks(), 8, SEED)
cloud = cloud_of(*world.fused)
FROM_POINTS = [(P, 0.6 * some) for P, some in (point_image(cloud, c) for c in world.virtual)]
arms = {"A": plain_splatting(world, STEPS, SEED + 1000)}
p, again = start(*world.fused[:2], SEED + 2000), SEED + 3000
arms["B₀"] = train(start(*world.raw[:2], SEED + 2000), world, STEPS, again)
arms["B"] = train(p, world, STEPS, again)
arms["C"] = train(p, world, STEPS, again, FULL, FROM_POINTS)


# %%
def judge(name):
    """Scores of an arm on the test views and on the training views."""
    tests[name] = score(arms[name], world.test_cameras, world.truths)
    trains[name] = score(arms[name], world.cameras, world.seen)


tests, trains = {}, {}
for name in arms:
    judge(name)

# %% [markdown]
# E2

# %%
arms["+ depth"] = train(p, world, STEPS, again, ("depth",))
arms["+ normal"] = train(p, world, STEPS, again, FULL)
for name in ("+ depth", "+ normal"):
    judge(name)

# %% [markdown]
# Repair


# %%
def patches(picture, r):
    """The colours of the (2r + 1)² pixels around each pixel, and a one: a row for each pixel."""
    H, W, _ = picture.shape
    rows = [picture[xp.clip(xp.arange(H) + i, 0, H - 1), :, :] for i in range(-r, r + 1)]
    columns = [xp.clip(xp.arange(W) + j, 0, W - 1) for j in range(-r, r + 1)]
    shifted = [xp.take(row, column, axis=1) for row in rows for column in columns]
    return xp.reshape(xp.concat([*shifted, xp.ones((H, W, 1))], axis=2), (H * W, -1))


def learn_repair(renders, photos, r=3, ridge=1e-3):
    """Ridge regression of photograph - render on the colours around each pixel."""
    X = xp.concat([patches(picture, r) for picture in renders], axis=0)
    Y = xp.concat([xp.reshape(b - a, (-1, 3)) for a, b in zip(renders, photos, strict=True)], axis=0)
    penalty = np.full(X.shape[1], ridge * X.shape[0])
    penalty[-1] = 0
    theta = xp.linalg.solve(X.T @ X + xp.asarray(np.diag(penalty)), X.T @ xp.astype(Y, X.dtype))
    return theta, r


def repair(picture, model):
    """The picture with what the model predicts to be missing."""
    theta, r = model
    missing = xp.reshape(patches(picture, r) @ theta, picture.shape)
    return xp.astype(xp.clip(picture + missing, 0.0, 1.0), picture.dtype)


def show(p, camera):
    """The picture of a scene, between 0 and 1."""
    return xp.clip(render(p, camera, OPTIONS).image, 0.0, 1.0)


# %%
def left_out_gains(renders, photos, r):
    """Gain of PSNR on each render, by a model that was trained on the other views' renders."""
    gains, n = [], len(renders)
    for k in range(4):
        rest, out = ([i for i in range(n) if (i % 4 == k) == is_out] for is_out in (False, True))
        model = learn_repair([renders[i] for i in rest], [photos[i] for i in rest], r)
        better = [psnr(repair(renders[i], model), photos[i]) for i in out]
        gains += [b - psnr(renders[i], photos[i]) for b, i in zip(better, out, strict=True)]
    return float(np.mean(gains))


snapshots = [show(arms["C"], camera) for camera in world.cameras]
model = learn_repair(snapshots, world.photos)
gains = {r: left_out_gains(snapshots, world.photos, r) for r in (0, 1, 3)}

# %%
w, d, d_max = weights_of(world.virtual, world.cameras)


def continued(p, world, model=None):
    """Two more halves of training: as in stage 1, or towards repaired virtual views."""
    targets, first = FROM_POINTS, None
    for half in range(2):
        if model is not None:
            pictures = [repair(show(p, camera), model) for camera in world.virtual]
            targets = list(zip(pictures, w.tolist(), strict=True))
            first = pictures if first is None else first
        terms = FULL if model is None else ()
        p = train(p, world, LATER // 2, SEED + 4000 + half, terms, targets)
    return p, first


arms["D"], pseudo = continued(arms["C"], world, model)
arms["C2"], _ = continued(arms["C"], world)
judge("D")
judge("C2")


# %%
def off_target(p):
    """Mean |C_v - R(C_v)| over the virtual views, against the first pseudo-targets."""
    errors = [xp.mean(xp.abs(show(p, c) - T)) for c, T in zip(world.virtual, pseudo, strict=True)]
    return float(np.mean([float(e) for e in errors]))


inner = [i for i in range(len(world.virtual)) if i % 10 in (2, 5, 8)]
true_virtual = splatting.views(room(splatting.blocks()), [world.virtual[i] for i in inner], 3)
at_virtual = [(show(arms["C"], world.virtual[i]), v.image) for i, v in zip(inner, true_virtual, strict=True)]
helped = [psnr(repair(a, model), b) - psnr(a, b) for a, b in at_virtual]

# %%
if True:
    print("gains", gains, "helped", np.mean(helped), "pull", off_target(arms["D"]) / off_target(arms["C2"]))
    for name in arms:
        print(name, {k: round(float(v.mean()), 4) for k, v in tests[name].items()}, trains[name]["psnr"].mean())
    for a, b in (("B", "A"), ("C", "B"), ("D", "C2"), ("C2", "C"), ("B", "B₀"), ("+ depth", "B"), ("+ normal", "+ depth"), ("C", "+ normal")):
        dd = tests[a]["psnr"] - tests[b]["psnr"]
        print(a, b, dd.mean(), (dd > 0).sum())

# %% [markdown]
# E4

# %%
SHRINK = scale(default=10, paper=2)
left, right, disparity = stereo_motorcycle()
h, w_ = (n // SHRINK * SHRINK for n in disparity.shape)
left, right = (splatting.downscale(a[:h, :w_], SHRINK) for a in (left, right))
disparity = disparity[SHRINK // 2 : h : SHRINK, SHRINK // 2 : w_ : SHRINK]
focal, baseline, offset = 994.978, 0.193001, 31.086


def stereo_camera(side, sign=1):
    """The left camera (side 0) or the right one (1)."""
    cx, t = 311.193 + 31.086 * side, (-sign * baseline * side, 0, 0)
    numbers = [a / SHRINK for a in (focal, focal, cx, 254.877)]
    return Camera(np.eye(3), t, *numbers, left.shape[1], left.shape[0])


def from_disparity(disparity):
    """Points and colours of the left photograph, where the disparity is known."""
    depth = focal * baseline / (disparity + offset)
    known = np.isfinite(depth)
    points = lift(np.where(known, depth, 1.0), stereo_camera(0))[known]
    return np.float32(points), np.float32(left[known]), np.float32(depth[known] * SHRINK / focal)


# %%
rng = generator(SEED + 6000)
noisy = disparity + rng.host.normal(size=disparity.shape)
plane = np.where(np.isfinite(disparity), np.nanmedian(disparity), np.nan)
_, co_visible = point_image(cloud_of(*from_disparity(disparity)), stereo_camera(1))
co_visible = to_host(co_visible)[:, :, 0] > 0
pair = World([stereo_camera(0)], [single(left)])
motorcycle = {}
for name, d_ in (("disparity", noisy), ("plane", plane)):
    points, colors, _ = from_disparity(d_)
    q = start(points, colors, SEED + 6001, points.shape[0])
    motorcycle[name] = train(q, pair, scale(default=40, paper=400), SEED + 6002)


def right_psnr(p, sign=1):
    """PSNR of the right photograph where both cameras see the same."""
    picture = to_host(show(p, stereo_camera(1, sign)))
    return psnr(picture[co_visible], right[co_visible])


seen_right = {name: right_psnr(q) for name, q in motorcycle.items()}
seen_right["sign flipped"] = right_psnr(motorcycle["disparity"], -1)
print(seen_right, co_visible.mean())
