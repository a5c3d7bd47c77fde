"""Scenes: closed forms of what a camera sees, the two resolutions, and the scenes of the book."""

import math

import numpy as np
import pytest

from gaussbook.arrays import generator, to_host
from gaussbook.metrics import psnr
from gaussbook.splatting import (
    DensityControl,
    RenderOptions,
    fit,
    initialise,
    look_at,
    photometric_loss,
    render,
    scene_extent,
)
from gaussbook.splatting.scenes import (
    FAMILY,
    Scene,
    blocks,
    downscale,
    family,
    orbit,
    surface_points,
    view,
    views,
)
from gaussbook.splatting.solids import Solid, Texture

WHITE = Texture(np.ones((1, 1, 3)))
BALL = Scene([Solid("ellipsoid", (0, 0, 0), (0.5,) * 3, WHITE)], background=(0, 0, 0))


def ball_camera(width=64):
    return look_at((3, 0, 0), (0, 0, 0), field_of_view=40, width=width)


def test_silhouette_of_a_sphere():
    """A ball of radius r at distance d is a disk of radius f r / sqrt(d^2 - r^2)."""
    camera = ball_camera()
    radius = camera.fx * 0.5 / math.sqrt(9 - 0.25)
    seen = view(BALL, camera, 16)
    assert float(seen.alpha.sum()) == pytest.approx(math.pi * radius**2, rel=1e-3)
    assert float(seen.mask.sum()) == pytest.approx(math.pi * radius**2, rel=0.02)


def test_depth_and_normals_of_a_sphere():
    camera = ball_camera(65)
    seen = view(BALL, camera, 1)
    assert seen.depth[32, 32] == pytest.approx(2.5)
    np.testing.assert_allclose(seen.normals[32, 32], [1, 0, 0], atol=1e-12)
    points, colors = surface_points([seen], [camera], 200, generator(0))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.5, atol=1e-12)
    lamp = np.array([0.4, 0.3, 0.85]) / np.linalg.norm([0.4, 0.3, 0.85])
    shade = 0.35 + 0.65 * np.maximum(0, 2 * points @ lamp)  # Lambert's law on the white ball
    np.testing.assert_allclose(colors, np.repeat(shade[:, None], 3, axis=1), atol=1e-12)


def test_depth_of_a_plane():
    """1 / depth is linear over the image of a plane."""
    floor = Scene([Solid("rectangle", (0, 0, -0.5), (50, 50, 1))])
    camera = look_at((3, 1, 2), (0, 0, -0.5), width=32)
    seen = view(floor, camera, 2)
    assert bool(np.all(seen.mask))
    i, j = np.indices((32, 32)) + 0.5
    x, y = (j - camera.cx) / camera.fx, (i - camera.cy) / camera.fy
    down = camera.R @ np.array([0, 0, -1.0])
    expected = (x * down[0] + y * down[1] + down[2]) / 2.5
    np.testing.assert_allclose(1 / seen.depth, expected, rtol=1e-12)
    np.testing.assert_allclose(seen.normals, np.broadcast_to([0.0, 0, 1], (32, 32, 3)), atol=1e-12)
    below = view(floor, look_at((3, 1, -4), (0, 0, -0.5), width=8), 1)
    np.testing.assert_allclose(below.normals[4, 4], [0, 0, -1], atol=1e-12)


def test_resolutions_are_box_means():
    camera = orbit(32)[0][5]
    fine = view(blocks(), camera, 4).image
    for factor in (2, 4):
        coarse = view(blocks(), camera.scaled(32 // factor), 4 * factor).image
        np.testing.assert_allclose(downscale(fine, factor), coarse, atol=1e-12)


def test_blocks_have_to_be_seen_finely():
    """One ray a pixel differs from many: rods and photographs are finer than the pixels."""
    camera = orbit(48)[0][2]
    coarse, fine, finest = (view(blocks(), camera, s).image for s in (1, 4, 16))
    assert np.mean((coarse - finest) ** 2) > 4 * np.mean((fine - finest) ** 2)
    assert 0 <= finest.min() and finest.max() <= 1
    assert finest.std() > 0.1


def test_orbit():
    train, test = orbit(16)
    assert (len(train), len(test)) == (24, 8)
    assert len({tuple(camera.position) for camera in train + test}) == 32
    seen = views(blocks(), test, 1)
    assert all(0.2 < float(v.mask.mean()) < 0.9 for v in seen)


@pytest.mark.parametrize("label", FAMILY)
def test_family(label):
    camera = look_at((3, 0, 0.5), (0, 0, 0), width=32)
    images = [view(family(label, seed), camera, 2) for seed in range(12)]
    for seen in images:
        assert 0.05 < float(seen.alpha.mean()) < 0.6
        edge = np.concatenate([seen.alpha[0], seen.alpha[-1], seen.alpha[:, 0], seen.alpha[:, -1]])
        assert not np.any(edge)  # the whole object is in the image
    again = view(family(label, 3), camera, 2)
    np.testing.assert_array_equal(again.image, images[3].image)
    assert np.abs(images[0].image - images[1].image).mean() > 0.01
    pictured = family(label, 3, picture=np.random.default_rng(0).random((9, 9, 3)))
    assert np.abs(view(pictured, camera, 2).image - again.image).mean() > 0.005


def test_same_in_every_namespace(xp):
    directions = np.random.default_rng(0).normal(size=(300, 3)) * 0.3 - (3, 0, 1)
    expected = blocks().trace(np.array([3.0, 0, 1]), directions)
    arrays = [xp.asarray(a) for a in (np.array([3.0, 0, 1]), directions)]
    for a, b in zip(blocks().trace(*arrays), expected, strict=True):
        np.testing.assert_allclose(to_host(a), b, atol=1e-12)
    image = np.random.default_rng(0).random((6, 4, 3))
    smaller = to_host(downscale(xp.asarray(image), 2))
    np.testing.assert_allclose(smaller, downscale(image, 2), atol=1e-15)


def test_jitter():
    cameras, _ = orbit(16)
    seen = views(blocks(), cameras[:2], 1)
    clean, colors = surface_points(seen, cameras[:2], 50, generator(1))
    noisy, same = surface_points(seen, cameras[:2], 50, generator(1), jitter=0.05)
    np.testing.assert_array_equal(colors, same)
    assert 0.03 < float(np.std(noisy - clean)) < 0.07


def test_gaussians_learn_the_blocks():
    """From 300 points to 600 Gaussians in 400 steps: views that were not trained with."""
    (train, test), scene, options = orbit(64), blocks(), RenderOptions(background=(1, 1, 1))
    seen, unseen = views(scene, train), views(scene, test)
    density = DensityControl(400, scene_extent(train), generator(1), capacity=600)
    fitted = fit(
        *(initialise(*surface_points(seen, train, 300, generator(0))), train),
        *([v.image for v in seen],),
        **{"iterations": 400, "rng": generator(2), "loss": photometric_loss},
        **{"options": options, "density": density},
    )
    assert fitted.counts[-1] > 450
    mean = np.mean([v.image for v in seen], axis=(0, 1, 2))
    reached, plain = [], []
    for v, camera in zip(unseen, test, strict=True):
        image = np.clip(render(fitted.parameters, camera, options).image, 0, 1)
        reached.append(psnr(image, v.image))
        plain.append(psnr(np.broadcast_to(mean, v.image.shape), v.image))
    assert np.mean(reached) >= 20
    assert np.mean(reached) >= np.mean(plain) + 4


NONSENSE = (None, "abc", float("nan"), -3.0, [], [[1.0], [1.0, 2.0]], np.ones((2, 2)), {"a": 1})
SEEN = [view(BALL, ball_camera(8), 1)]
CALLS = {
    "scene": (Scene, {"solids": BALL.solids, "light": (1, 1, 1), "ambient": 0.3}),
    "colour": (Scene, {"solids": BALL.solids, "background": (1, 1, 1)}),
    "trace": (BALL.trace, {"origins": np.ones(3), "directions": np.ones((4, 3))}),
    "view": (view, {"scene": BALL, "camera": ball_camera(8), "samples": 1}),
    "views": (views, {"cameras": [ball_camera(8)], "scene": BALL, "samples": 1}),
    "downscale": (downscale, {"image": np.ones((4, 4, 3)), "factor": 2}),
    "orbit": (orbit, {"width": 8}),
    "family": (family, {"label": "box", "seed": 1}),
    "points": (
        lambda **a: surface_points(cameras=[ball_camera(8)], rng=generator(0), **a),
        {"n": 2, "jitter": 0.0},
    ),
}
ALLOWED = {("views", "cameras", 4)}  # no camera, no view


@pytest.mark.parametrize("kind", range(len(NONSENSE)))
@pytest.mark.parametrize(
    ("call", "argument"), [(c, a) for c, (_, arguments) in CALLS.items() for a in arguments]
)
def test_nonsense(call, argument, kind):
    function, good = CALLS[call]
    if call == "points":
        good = good | {"seen": SEEN}
    if (call, argument, kind) in ALLOWED:
        assert function(**good | {argument: NONSENSE[kind]}) == []
        return
    with pytest.raises(ValueError, match=f"^{argument} "):
        function(**good | {argument: NONSENSE[kind]})


def test_what_does_not_fit():
    camera = ball_camera(8)
    with pytest.raises(ValueError, match="^directions holds a zero"):
        BALL.trace(np.ones(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="^factor 3 does not divide"):
        downscale(np.ones((4, 4, 3)), 3)
    with pytest.raises(ValueError, match="^n must be at most"):
        surface_points(SEEN, [camera], 65, generator(0))
    for cameras in ([], [camera, camera], [ball_camera(9)]):
        with pytest.raises(ValueError, match="^seen "):
            surface_points(SEEN, cameras, 3, generator(0))
