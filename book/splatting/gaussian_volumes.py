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
# # Volumes of Gaussians
#
# ```{paper-card}
# ```
#
# A fixed grid of Gaussians learns an object from photographs, and a small diffusion model draws new
# objects that nobody has photographed: these two things you take away from this chapter.
#
# A cloud of Gaussians, as splatting makes it, is awkward to generate: a list without an order, whose
# length changes while it is fitted. {cite:t}`gaussian_volumes` give the cloud the shape of a picture,
# only in three dimensions: a cube of $N\times N\times N$ nodes, one Gaussian at each, which may lean
# out of its place a little. During the fit, nodes that nobody needs wait in a pool until a crowded
# place asks for them. Generation goes in two steps: diffusion draws a coarse field that says how far
# the nearest Gaussian is; then a network, which looks at its own pictures while it learns, makes
# everything else from the field.
#
# In the paper the leaning is worth nearly three decibels, the pool half of one. On our grid of $8^3$
# nodes both pay as well, and the objects that our model draws are those that were asked for, and no
# copies. One number did not come out: here a network that learns from pictures alone is behind one
# that also learns from volumes, in the paper it is a little ahead. And one trap is worth knowing: a
# mean field with white noise on it looks diverse and new to most measures (row C4.g tells).
#
# ## What the paper claims
#
# 1. A volume has exactly $N^3$ Gaussians, one at each node, whatever happens in the fit, and the
#    *Candidate Pool Strategy* (CPS) moves nodes to where they are needed. {claims}`C1, C1.b, C1.d`
# 2. Such a volume shows an object well: 30.122 dB of PSNR (*peak signal-to-noise ratio*, the higher
#    the better; SSIM .963, see below), against 29.677 (.958) without the pool and 27.140 (.936)
#    without the offsets. {claims}`C2, C2.d, C2.b, C2.c, C2.e, C2.f`
# 3. The offsets can be kept small, by a penalty. {claims}`C3, C3.b, C3.c`
# 4. Diffusion draws the coarse field, and its samples for one text are diverse.
#    {claims}`C4, C4.d, C4.e, C4.f, C4.g, C4.b, C4.c`
# 5. (Ours.) The noise is what the equations say. {claims}`C5, C5.b, C5.c`
# 6. The network that predicts the attributes needs a loss on the picture: 35.03 dB with losses on
#    the volume and on the picture, 29.55 dB without the second, 35.21 dB without the first, but
#    then with the worse SSIM (.9846 against .9872). {claims}`C6, C6.b, C6.c, C6.d, C6.e`
#
# Not tested here: that text-to-3D reaches a CLIP score of 28.53 (Shap-E 28.48, VolumeDiffusion
# 25.09, DreamGaussian 23.60) in about seven seconds, and that diffusion of all 14 channels at once
# is worse.
#
# **What our numbers rest on.** We read the abstract, the authors' code, and a detailed reading note
# with the three tables of results; of the paper's text only excerpts.
#
# ## The idea
#
# **A volume.** The nodes $p$ fill the cube $[-\frac12,\frac12]^3$, at a spacing of $h=1/(N-1)$. Each
# holds a Gaussian with 14 numbers, the *channels*: an offset $\Delta\mu$, so that the Gaussian's
# centre is
#
# $$
# \mu=p+\Delta\mu,
# $$ (eq-gvo-centre)
#
# a colour, three log-scales, a rotation (a quaternion) and an opacity (a logit). An offset may be
# of any size, but beyond $\epsilon=1.5\,h$ in any coordinate it is fined. With $C$ the picture that
# is rendered and $C^*$ the photograph,
#
# $$
# L_{\mathrm{fit}}=0.8\,\lVert C-C^*\rVert_1+0.2\,(1-\mathrm{SSIM})+20\,\operatorname{mean}\operatorname{ReLU}(|\Delta\mu|-\epsilon).
# $$ (eq-gvo-fit)
#
# SSIM is the *structural similarity* of two pictures, at most 1.
#
# **The candidate pool.** Ordinary splatting drops invisible Gaussians, and doubles those at which the
# picture's gradient pulls. Here the number of nodes is fixed; every so many iterations
#
# 1. Gaussians with opacity $o<0.005$ leave, and their nodes enter the pool $P$;
# 2. a small Gaussian under strong pull proposes a second one, a *clone*, with its own centre $m$;
# 3. a large one proposes two *halves* with centres $m\sim\mathcal N(\mu,\Sigma)$ and scales divided
#    by 1.6, and leaves, so that its own node enters $P$ too;
# 4. each proposal asks for the free node nearest to it, {eq}`eq-gvo-match`, and is turned down if
#    that is more than $1.5\,h$ away in any coordinate, or if another proposal is nearer to it;
# 5. the others move in, with $\Delta\mu=m-p^*$.
#
# $$
# p^*(m)=\arg\min_{p\in P}\lVert m-p\rVert_2,\qquad \lVert m-p^*\rVert_\infty\le1.5\,h .
# $$ (eq-gvo-match)
#
# After three quarters of the fit, all that is left in the pool returns as dark, invisible Gaussians
# ($o=10^{-4}$). The result has one Gaussian at each node, always.
#
# **The distance field.** The *Gaussian distance field* of a volume says how far each node is from
# the nearest visible Gaussian,
#
# $$
# F(p)=\min_i\lVert p-\mu_i\rVert,
# $$ (eq-gvo-gdf)
#
# cut off at a few spacings and mapped to $[-1,1]$. It is one channel in place of 14; no slope is over 1.
#
# **Diffusion.** Let $x_0=F$. Noise is mixed in by degrees, $t=1,\dots,T$ with $T=1000$,
#
# $$
# x_t=\sqrt{\bar\alpha_t}\,x_0+\sqrt{1-\bar\alpha_t}\,e,\qquad \bar\alpha_t=\prod_{s\le t}(1-\beta_s),\qquad e\sim\mathcal N(0,1),
# $$ (eq-gvo-noise)
#
# with $\beta_t$ rising linearly from $10^{-4}$ to $0.02$. A network $D(x_t,t,y)$ learns to guess
# $x_0$ from $x_t$ and the description $y$, by least squares. To draw, one starts from pure noise and
# walks back, in a few large steps $t\to t'$ (the sampler *DDIM*): the guess $\hat x_0=D(x_t,t,y)$
# says which noise there must have been, and both are mixed again with less noise,
#
# $$
# \hat e=\frac{x_t-\sqrt{\bar\alpha_t}\,\hat x_0}{\sqrt{1-\bar\alpha_t}},\qquad x_{t'}=\sqrt{\bar\alpha_{t'}}\,\hat x_0+\sqrt{1-\bar\alpha_{t'}}\,\hat e .
# $$ (eq-gvo-ddim)
#
# **The attributes.** A second network turns $(F,y)$ into all channels $\hat V$ at once. It is trained
# to match known volumes $V$, and to make the right picture from one random direction,
#
# $$
# L=\underbrace{\lVert V-\hat V\rVert^2}_{L_{3D}}+\underbrace{0.2\,\lVert C-C^*\rVert_1+0.8\,(1-\mathrm{SSIM})}_{L_{2D}} .
# $$ (eq-gvo-attributes)
#
# ## The method in code

# %%
import colorsys
import math

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import logit

from gaussbook import autodiff as ad
from gaussbook import data, nn, splatting
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.metrics import hf_psnr, psnr, ssim
from gaussbook.notebook import offer, say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import PALETTE, animation, figure
from gaussbook.scale import scale
from gaussbook.splatting import RenderOptions, Scene, Solid, Texture, render
from gaussbook.splatting.projection import rotation_matrices
from gaussbook.splatting.spherical_harmonics import SH_C0
from gaussbook.tables import table

claims = Claims("gaussian_volumes")
xp = backend()


# %% [markdown]
# The nodes, and step 4, {eq}`eq-gvo-match`. "Nearest" is meant in the usual distance, the test is
# on the largest coordinate.

# %%
def grid(N):
    """The nodes (N^3, 3) of a cube of side 1."""
    axis = np.linspace(-0.5, 0.5, N)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


N = scale(default=8, paper=32)
NODES, h = grid(N), 1 / (N - 1)


def match(m, free):
    """The proposals that are accepted, and the free nodes that they get."""
    P = np.flatnonzero(free)
    if not len(P) or not len(m):
        return np.zeros(0, int), np.zeros(0, int)
    distance, nearest = cKDTree(NODES[P]).query(m)
    inside = np.max(np.abs(m - NODES[P[nearest]]), axis=1) <= 1.5 * h
    order = np.argsort(distance)
    order = order[inside[order]]
    _, first = np.unique(nearest[order], return_index=True)  # of several the nearest
    accepted = order[first]
    return accepted, P[nearest[accepted]]


# %% [markdown]
# Steps 2 and 3. The published border between small and large is 0.01 of the scene's extent, at a
# spacing of 1/31. We keep it at the same number of spacings: with our cameras two thirds of one.

# %%
FLOAT = xp.float32


def centres(p, node):
    """The centres of the Gaussians, node + offset."""
    return to_device(NODES[node], FLOAT) + p["means"]


def propose(p, node, pulled, border, rng):
    """The proposed Gaussians, with their centres as means; and which Gaussians split."""
    split = pulled & (xp.max(p["log_scales"], axis=1) > math.log(border))
    (clones,), (halves,) = xp.nonzero(pulled & ~split), xp.nonzero(split)
    parents, n = xp.concat([clones, halves, halves]), clones.shape[0]
    q = {name: a[parents] for name, a in p.items()}
    q["means"] = centres(p, node)[parents]
    noise = xp.astype(rng.standard_normal(q["means"].shape), FLOAT) * xp.exp(q["log_scales"])
    moved = xp.matmul(rotation_matrices(q["quaternions"]), noise[:, :, None])[:, :, 0]
    q["means"][n:] += moved[n:]
    q["log_scales"][n:] -= math.log(1.6)
    return q, split


# %% [markdown]
# The whole event. `node[i]` is the node of Gaussian $i$, `free` says which nodes are in the pool, and
# `means` holds offsets during the fit. Adam's running means are zero for new Gaussians.

# %%
def join(p, stay, q, node, pool, adam):
    """The Gaussians that stay, and new ones at these nodes."""
    pool.node = np.concatenate([pool.node, node])
    adam.reindex(xp.concat([stay, xp.full(len(node), -1, dtype=stay.dtype)]))
    return {name: xp.concat([p[name][stay], q[name]]) for name in p}


# %%
def densify(p, pool, pulled, adam):
    """Steps 1 to 5 of the candidate pool."""
    dead = p["opacity_logits"] < logit(0.005)
    q, split = propose(p, pool.node, pulled & ~dead, pool.border, pool.rng)
    gone = to_host(dead | split)
    pool.free[pool.node[gone]] = True
    pool.left |= pool.free
    m = to_host(q["means"]).astype(np.float64)
    accepted, node = match(m, pool.free)
    pool.free[node] = False
    offset = m[accepted] - NODES[node]
    pool.back[node] |= pool.left[node]
    farthest = np.max(np.abs(offset), initial=0) / h
    pool.history.append((np.sum(to_host(dead)), np.sum(pool.free), farthest))
    q = {name: a[to_device(accepted)] for name, a in q.items()}
    q["means"] = to_device(offset * pool.offsets, FLOAT)
    pool.node = pool.node[~gone]
    return join(p, to_device(np.flatnonzero(~gone)), q, node, pool, adam)


# %% [markdown]
# At the end of the schedule the pool returns its nodes. The bounds of `clip` are the published
# ones; for the colours they are meant for the coefficients of constant spherical harmonics.

# %%
def gaussians(n, s, o, grey):
    """n equal round Gaussians without offset."""
    one = {"means": [0, 0, 0], "log_scales": [math.log(s)] * 3, "quaternions": [1, 0, 0, 0]}
    one |= {"opacity_logits": logit(o), "colors": [grey] * 3}
    rows = {name: np.repeat(np.array([v], float), n, axis=0) for name, v in one.items()}
    return {name: to_device(a, FLOAT) for name, a in rows.items()}


def release(p, pool, adam):
    """All nodes of the pool come back, dark and nearly invisible."""
    node, stay = np.flatnonzero(pool.free), xp.arange(len(pool.node))
    pool.free[node] = False
    q = gaussians(len(node), math.sqrt(0.0032), 1e-4, 0.1)
    return join(p, stay, q, node, pool, adam)


def clip(p):
    """Keep colours, scales and quaternions within the published bounds."""
    low, high = 0.5 - 3 * SH_C0, 0.5 + 5 * SH_C0
    bounds = {"colors": (low, high), "log_scales": (-10, -2), "quaternions": (-2, 2)}
    return p | {name: xp.clip(p[name], *ends) for name, ends in bounds.items()}


# %% [markdown]
# The library's `fit` calls `observe` after each rendering and `step` after each of Adam's steps. A
# Gaussian is *pulled* if the mean gradient by its place on the screen reaches $2\cdot10^{-4}$, with
# half the picture's width as the unit of length.

# %%
class Pool:
    """Which node each Gaussian sits at, which are free, and what has happened."""

    def __init__(self, schedule, border, rng, active=True, offsets=True):
        self.schedule, self.border, self.rng = schedule, border, rng
        self.active, self.offsets = active, offsets
        self.node, self.free = np.arange(N**3), np.zeros(N**3, bool)
        self.left, self.back = self.free.copy(), self.free.copy()
        self.history, self.wrong = [], 0
        self.pull = self.seen = 0.0

    def observe(self, screen, state):
        self.pull = self.pull + WIDTH / 2 * xp.sqrt(xp.sum(screen**2, axis=1))
        self.seen = self.seen + xp.astype(state.visible, FLOAT)

    def step(self, i, p, adam):
        if self.active and i + 1 in self.schedule:
            p = densify(p, self, self.pull / xp.maximum(self.seen, 1.0) >= 2e-4, adam)
            p = release(p, self, adam) if i + 1 == self.schedule[-1] else p
            users = np.bincount(self.node, minlength=N**3) + self.free
            self.wrong += int(np.sum(users != 1))  # in the pool and in use, used twice, or lost
            self.pull = self.seen = 0.0
        if i + 1 > self.schedule[-1] and (i + 1) % self.schedule.step == 0:
            p = clip(p)
        return p


# %% [markdown]
# ## Experiments
#
# ### A snowman in a grid
#
# A snowman with ears wears a photograph of a cup of coffee. A ray caster makes the pictures, from all
# around: 24 to learn from, 8 to test with.

# %%
def in_cube(scene, side=0.9):
    """A scene scaled and moved into the cube."""
    low = np.min([s.centre - s.half for s in scene.solids], axis=0)
    high = np.max([s.centre + s.half for s in scene.solids], axis=0)
    f, middle = side / np.max(high - low), (low + high) / 2
    moved = [(s.shape, f * (s.centre - middle), f * s.half, s.texture) for s in scene.solids]
    return Scene([Solid(*parts) for parts in moved])


# %%
WIDTH, STEPS = scale(default=48, paper=200), scale(default=320, paper=20_000)
SCHEDULE = scale(default=range(48, 241, 24), paper=range(500, 15_001, 100))
WHITE = RenderOptions(background=(1.0, 1.0, 1.0))
VIEW = {"radius": 2.0, "field_of_view": 34}
coffee = splatting.downscale(data.photograph("coffee")[:400, 100:500], 4)
snowman = in_cube(splatting.family("snowman", 0, picture=coffee))
VIEWS = scale(default=32, paper=128)
cameras = splatting.fibonacci_hemisphere(VIEWS, elevation=(-70, 70), width=WIDTH, **VIEW)
tests, cameras = cameras[3::4], [c for i, c in enumerate(cameras) if i % 4 != 3]
shots = splatting.views(snowman, cameras, 3)
images = [xp.astype(v.image, FLOAT) for v in shots]
truths = [to_host(v.image) for v in splatting.views(snowman, tests, 3)]

# %% [markdown]
# Three arms have the same seeds and rates: the full method; without CPS, on the full grid with neither
# dropping nor doubling; and with all offsets held at zero. A fourth has no fine on large offsets, and
# a fifth takes the published border literally: Gaussians split sooner. Rates are larger than
# published, as the fit is sixty times shorter, and opacities learn fastest: otherwise Gaussians in
# empty space turn white instead of vanishing. We tried ten other settings on trial seeds: none made
# the arm without CPS better by more than the spread of seeds, and in fits of two and four times the
# length the full method kept its lead.

# %%
RATES = {"means": 5e-3, "log_scales": 0.02, "quaternions": 0.01}
RATES |= {"colors": 0.01, "opacity_logits": 0.2}
FASTER, BORDER = scale(default=1.0, paper=0.1), 0.31 * h * splatting.scene_extent(cameras)


def fit_volume(seed, active=True, offsets=True, fine=20.0, border=BORDER):
    """Fit a volume; return its Gaussians (means are centres), its offsets, and the pool."""
    pool = Pool(SCHEDULE, border, generator(seed), active, offsets)

    def place(p):
        delta = p["means"]
        over = xp.astype(xp.abs(delta) > 1.5 * h, FLOAT) * xp.sign(delta)
        slope = fine * over / math.prod(delta.shape)
        q = p | {"means": centres(p, pool.node)}
        return q, lambda g: g | {"means": g["means"] + slope}

    rates = {k: FASTER * v for k, v in RATES.items()} | ({} if offsets else {"means": 0.0})
    options = {"loss": splatting.photometric_loss, "options": WHITE, "rates": rates}
    options |= {"iterations": STEPS, "rng": generator(seed + 1), "density": pool}
    p = gaussians(N**3, 0.3 * h, 0.1, 0.5)
    p = splatting.fit(p, cameras, images, reparametrise=place, **options).parameters
    return p | {"means": centres(p, pool.node)}, p["means"], pool


# %%
ARMS = {
    "full": {},
    "without CPS": {"active": False},
    "without offsets": {"offsets": False},
    "without fine": {"fine": 0.0},
    "more halves": {"border": BORDER / (31 * h)},
}
fitted = {name: fit_volume(0, **options) for name, options in ARMS.items()}


# %% [markdown]
# A Gaussian is *visible* if its opacity exceeds 0.05, and *at the surface* if its centre is within
# one spacing of the part of the true surface that the cameras see.

# %%
def picture(p, camera, options=WHITE):
    """The rendered picture on the host, between 0 and 1."""
    return np.clip(to_host(render(p, camera, options).image), 0, 1).astype(np.float64)


surface = cKDTree(to_host(splatting.surface_points(shots, cameras, 9000, generator(1))[0]))
seen = {name: [picture(p, c) for c in tests] for name, (p, _, _) in fitted.items()}
visible = {k: to_host(p["opacity_logits"]) > logit(0.05) for k, (p, _, _) in fitted.items()}
score, by_view, near, rows = {}, {}, {}, []
for name, (p, _, _) in fitted.items():
    pairs = list(zip(seen[name], truths, strict=True))
    each = [(psnr(*ab), ssim(*ab, channel_axis=2), hf_psnr(*ab)) for ab in pairs]
    near[name] = surface.query(to_host(p["means"])[visible[name]])[0] < h
    score[name], *others = np.mean(each, axis=0)
    by_view[name] = np.array(each)[:, 0]
    share = f"{np.mean(near[name]):.1%}"
    rows.append([name, score[name], *others, len(near[name]), share])
columns = ["arm", "PSNR (dB)", "SSIM", "HF-PSNR (dB)", "visible", "of them at the surface"]
caption = f"Fits of {N**3} Gaussians, mean of {len(tests)} test views (HF: fine detail only)"
table(rows, columns, caption)

# %% tags=["hide-input"]
alt = """A snowman with a photograph on its body, in four columns: the truth, the full method, a little
soft; without the pool, with no eye and a washed-out photograph; and without offsets, a blur.
The error maps get brighter from left to right."""
caption = """A test view (top), the head enlarged (middle), and the absolute error against the
truth, black 0 to bright 0.4 (bottom)."""
shot = 2
panels = {"truth": truths[shot]} | {name: seen[name][shot] for name in list(ARMS)[:3]}
crop = (slice(WIDTH // 10, WIDTH // 2), slice(3 * WIDTH // 10, 7 * WIDTH // 10))
with figure(3, 4, alt=alt, caption=caption, width=7.6, height=5.9) as axes:
    for column, (name, shown) in zip(axes.T, panels.items(), strict=True):
        error = np.abs(shown - panels["truth"]).mean(axis=2)
        column[0].imshow(shown)
        column[0].set_title(name, fontsize="small")
        column[1].imshow(shown[crop])
        if name != "truth":
            column[2].imshow(error, cmap="magma", vmin=0, vmax=0.4)
    for ax in axes.flat:
        ax.axis("off")

# %% [markdown]
# Without offsets the Gaussians stay on the grid, eight to a side, and the ears fall between the
# nodes. Without CPS they lean towards the surface, but only those that were near it to begin with.
# The pool sends the others after them. Among the visible alone the share at the surface is much the
# same, since what stays far from it turns invisible. The last line is a warning: a large Gaussian
# leaves before its halves look for nodes, and with more splits the pool does harm (row C2.f).

# %%
pool = fitted["full"][2]
dead, waiting, farthest = np.array(pool.history).reshape(-1, 3).T
least = np.min(waiting[np.cumsum(dead) > 0], initial=N**3)  # from the first drop on
bad = pool.wrong + fitted["more halves"][2].wrong + int(np.sum(farthest > 1.5))
full, without, fixed, _, halves = score.values()
moved = (np.sum(near["full"]) - np.sum(near["without CPS"])) / N**3
among = np.mean(near["full"]) - np.mean(near["without CPS"])
leaning = {name: np.abs(to_host(offset)) / h for name, (_, offset, _) in fitted.items()}
tail, fined = (np.mean(leaning[name] > 1.5) for name in ("without fine", "full"))

# %%
own, dB = {"own": True}, {"unit": "dB"}
HARM = scale(default={"at_most": -1}, paper={"at_least": 0.1})  # there it is the full method
back, ahead = np.mean(pool.back), "visible and at the surface, full minus without CPS"
CHECKS = {
    "C1": ("violations of the book-keeping", bad, {"equals": 0, "paper": "none"}),
    "C1.b": ("share of nodes that came back through the pool", back, {"at_least": 0.05} | own),
    "C1.d": ("fewest nodes in the pool after the first drop", least, {"at_least": 1} | own),
    "C2": ("PSNR, full above without offsets", full - fixed, {"at_least": 1, "paper": "+2.98"} | dB),
    "C2.b": ("PSNR, full above without CPS", full - without, {"at_least": 0.1, "paper": "+0.45"} | dB),
    "C2.c": (f"share of all Gaussians that are {ahead}", moved, {"at_least": 0.03} | own),
    "C2.d": ("PSNR, without CPS above without offsets", without - fixed, {"at_least": 0, "paper": "+2.54"} | dB),
    "C2.f": ("PSNR, more halves above without CPS", halves - without, HARM | own | dB),
    "C3": ("coordinates of offsets up to 1.75 spacings", np.mean(leaning["full"] <= 1.75), {"at_least": 0.99} | own),
    "C3.b": ("without fine: coordinates beyond 1.5 spacings", tail, {"at_least": 0.01} | own),
    "C3.c": ("the same with the fine, over that without", fined / max(tail, 1e-9), {"at_most": 1 / 3} | own),
}  # fmt: skip
for id, (statement, measured, bound) in CHECKS.items():
    claims.check(id, f"E1: {statement}", measured=measured, **bound)
statement = "E1: share of the visible that are at the surface, full minus without CPS"
claims.report_value("C2.e", statement, measured=among, own=True)

# %% tags=["hide-input"]
alt = """Left: the number of nodes in the pool climbs within a few events, stays level, and falls to
zero when all return. Right: histograms of offsets: both fall; with the fine none is over one and a
half, without it a tail goes on."""
caption = """Left: the pool of the full method during the fit. Right: the offsets $|\\Delta\\mu|/h$ of
visible Gaussians, each coordinate counted; the dotted line is $\\epsilon$."""
with figure(1, 2, alt=alt, caption=caption, width=7.4, height=2.8) as (left, right):
    left.step([0, *SCHEDULE, STEPS], [0, *waiting[:-1], 0, 0], where="post", color=PALETTE["blue"])
    left.set(xlabel="iteration", ylabel="nodes in the pool")
    for name, colour in (("full", "blue"), ("without fine", "orange")):
        delta = leaning[name][visible[name]].ravel()
        right.hist(delta, np.linspace(0, 2.5, 26), histtype="step", color=PALETTE[colour], label=name)
    right.axvline(1.5, color="0.5", ls=":")
    right.set(xlabel="offset (spacings)", ylabel="coordinates", ylim=(0, None))
    right.legend(fontsize="small")

# %%
leads = by_view["full"] - by_view["without CPS"]
error = np.std(leads, ddof=1) / math.sqrt(len(leads))
say(f"""View by view, the full method is ahead of the one without CPS in {np.sum(leads > 0)} of
{len(leads)} test views, by {np.mean(leads):.2f} ± {error:.2f} dB (standard error).
Of {N**3} nodes, {np.sum(pool.left)} left the model during the fit and {np.sum(pool.back)} of them
came back through the pool. Before the release {waiting[-1]:.0f} still waited in it. They end as
invisible Gaussians: a volume has to store them all the same.""")
offer(
    "snowman.ply",
    lambda path: splatting.write_ply(path, fitted["full"][0]),
    "The fitted snowman as a standard file of Gaussians, for any viewer of splats.",
)

# %% [markdown]
# ### Drawing distance fields
#
# A diffusion model needs many objects. Ours are ellipsoids, boxes, cylinders and cones in three
# sizes and two proportions, which makes 24 labels in place of texts. Sizes, proportions and place
# vary within a label. Centres are random points of the surface, a stand-in for fitted volumes, and
# the field {eq}`eq-gvo-gdf` on $8^3$ nodes is cut off at 2.5 spacings.

# %%
SHAPES, SIZES, ASPECTS = ("ellipsoid", "box", "cylinder", "cone"), (0.18, 0.25, 0.34), (0.75, 1.25)
LABELS = [(s, r, aspect) for s in SHAPES for r in SIZES for aspect in ASPECTS]
COLOURS = np.array([colorsys.hsv_to_rgb(i / 24, 0.75, 0.9) for i in range(24)])
M, PER = scale(default=8, paper=16), scale(default=40, paper=200)
CELLS, step = grid(M), 1 / (M - 1)
FAR = 2.5 * step


# %%
def draw_object(y, rng):
    """A solid of label y."""
    shape, r, aspect = LABELS[y]
    half = r * np.array([1, 1, aspect]) * rng.host.uniform(0.88, 1.12, 3)
    place = rng.host.uniform(-0.03, 0.03, 3)
    return Solid(shape, place, half, Texture(COLOURS[y].reshape(1, 1, 3)))


def hits(solid, n, rng):
    """Points (n, 3) of a solid's surface, in random directions from its middle."""
    d, o = rng.standard_normal((n, 3)), to_device(solid.centre)
    return to_host(o + solid.distances(o, d)[:, None] * d)


def gdf(mu):
    """F at all nodes, from -1 to 1, and the centre that is nearest to each."""
    distance, nearest = cKDTree(mu).query(CELLS)
    return 2 * np.minimum(distance, FAR) / FAR - 1, mu[nearest]


# %%
def data_set(per, rng):
    """Labels, solids, fields (n, M^3) and nearest centres (n, M^3, 3)."""
    y = np.repeat(np.arange(24), per)
    solids = [draw_object(label, rng) for label in y]
    F, near = zip(*[gdf(hits(s, 300, rng)) for s in solids], strict=True)
    return y, solids, np.stack(F), np.stack(near)


y, solids, F, near = data_set(PER, generator(10))
y_new, solids_new, F_new, near_new = data_set(8, generator(11))

# %% [markdown]
# The noise, {eq}`eq-gvo-noise`, can also be made by $t$ small steps
# $x_s=\sqrt{1-\beta_s}\,x_{s-1}+\sqrt{\beta_s}\,e_s$. The mean's factor and the variance, followed
# through them, say what `noised` must give: over all nodes of 2000 draws, in standard errors, $z$.

# %%
T = 1000
beta = np.linspace(1e-4, 0.02, T)
alpha_bar = np.cumprod(1 - beta)


def noised(x0, t, e):
    """x_t for t = 1 ... T."""
    a = alpha_bar[t - 1].reshape(-1, 1)
    return np.sqrt(a) * x0 + np.sqrt(1 - a) * e


# %%
factor, variance = [1.0], [0.0]
for s in range(T):
    b = 1e-4 + (0.02 - 1e-4) * s / (T - 1)
    factor.append(factor[-1] * math.sqrt(1 - b))
    variance.append(variance[-1] * (1 - b) + b)
z = []
for t in (1, 500, 1000):
    x0 = F[generator(20).host.integers(len(F), size=2000)]
    e = generator(21 + t).host.standard_normal(x0.shape)
    rest = (noised(x0, np.full(2000, t), e) - factor[t] * x0) / math.sqrt(variance[t])
    z += [rest.mean() * math.sqrt(rest.size), (rest.var() - 1) * math.sqrt(rest.size / 2)]
statement = "E2: mean and variance of the noise, largest |z| of six"
claims.check("C5", statement, measured=np.max(np.abs(z)), at_most=4.5, own=True)
for id, t, value, within in (("C5.b", 500, 0.078587, 5e-7), ("C5.c", 1000, 4.0358e-5, 5e-10)):
    bound = {"equals": value, "within": within, "own": True}
    claims.check(id, f"E2: ᾱ at t = {t}", measured=alpha_bar[t - 1], **bound)

# %% [markdown]
# The network sees what varies within a label by its principal components: with the eigenvectors $U$
# and eigenvalues $\lambda_i$ of the covariance about the labels' means, it works on
# $x_0=U^\top F$, where white noise stays white. Each of its layers is told sines and cosines
# of $t$ and the label; what it gives is a correction of a linear guess of $x_0$,
#
# $$
# \hat x_{0,i}=\frac{\sqrt{\bar\alpha_t}\,\lambda_i}{v_i}\,x_{t,i}+\sqrt{\frac{1-\bar\alpha_t}{v_i}}\,
# \mathrm{net}_i(x_t,t,y),\qquad v_i=\bar\alpha_t\lambda_i+1-\bar\alpha_t .
# $$ (eq-gvo-skip)
#
# This is ours. With one number in place of all $\lambda_i$, a network as small as this one draws the
# label's mean with white noise on it, as one of this chapter's breaks shows. In one of ten cases the
# label is hidden from it, as in the paper.

# %%
MEANS = np.stack([F[y == k].mean(axis=0) for k in range(24)])
about = F - MEANS[y]
LAMBDA, U = np.linalg.eigh(about.T @ about / len(F))
LAMBDA, HIDDEN = np.maximum(LAMBDA, 1e-9), scale(default=256, paper=1024)
ONE_HOT = np.concatenate([np.eye(24), np.zeros((1, 24))])  # 24: hidden
FREQUENCIES = np.exp(-np.linspace(0, math.log(T), 16))


def context(t, y):
    """What the network is told (waves of t and the label), and the factors of x_t and of net."""
    angle, a = np.asarray(t)[:, None] * FREQUENCIES, alpha_bar[t - 1][:, None]
    v = a * LAMBDA + 1 - a
    c = np.concatenate([np.sin(angle), np.cos(angle), ONE_HOT[y]], axis=1)
    return (to_device(part, FLOAT) for part in (c, np.sqrt(a) * LAMBDA / v, np.sqrt((1 - a) / v)))


def D(net, x, c, skip, gain):
    """The guess of x_0."""
    first = nn.dense(net["first"], ad.concat([x, c], axis=1), "silu")
    second = first + nn.dense(net["second"], ad.concat([first, c], axis=1), "silu")
    return skip * x + gain * nn.dense(net["last"], ad.concat([second, c], axis=1))


# %%
def train_denoiser(F, y, steps, seed):
    """Fit D to fields and labels."""
    rng, components = generator(seed), F @ U
    sizes = {"first": (M**3, HIDDEN), "second": (HIDDEN, HIDDEN), "last": (HIDDEN, M**3)}
    net = {name: nn.dense_init(rng, n + 56, m) for name, (n, m) in sizes.items()}

    def batch(rng):
        i, t = rng.host.integers(len(F), size=64), rng.host.integers(1, T + 1, size=64)
        label = np.where(rng.host.uniform(size=64) < 0.1, 24, y[i])
        x = noised(components[i], t, rng.host.standard_normal((64, M**3)))
        return to_device(x, FLOAT), *context(t, label), to_device(components[i], FLOAT)

    def loss(net, x, c, skip, gain, x0):
        return ad.mean((D(net, x, c, skip, gain) - x0) ** 2)

    adam = Adam(cosine_decay(3e-3, steps, 1e-4))
    return nn.fit(loss, net, batch, adam, steps=steps, rng=rng, description="Denoiser").params


# %% [markdown]
# The sampler, {eq}`eq-gvo-ddim`, takes 25 steps (the authors 100).

# %%
def ddim(net, y, rng, steps=25):
    """Draw a field for each label; with it all x_t and guesses on the way, as fields."""
    x, path = rng.host.standard_normal((len(y), M**3)), []
    times = np.linspace(T, 0, steps + 1).round().astype(int)
    levels = np.append(1.0, alpha_bar)[times]
    for t, a, a_next in zip(times, levels, levels[1:], strict=False):
        x0 = D(net, to_device(x, FLOAT), *context(np.full(len(y), t), y))
        x0 = to_host(x0).astype(np.float64)
        path.append((t, x @ U.T, x0 @ U.T))
        e = (x - np.sqrt(a) * x0) / np.sqrt(1 - a)
        x = np.sqrt(a_next) * x0 + np.sqrt(1 - a_next) * e
    return x @ U.T, [*path, (0, x @ U.T, x @ U.T)]


# %%
denoiser = train_denoiser(F, y, scale(default=800, paper=20_000), 30)
asked = np.repeat(np.arange(24), 8)
draws = [ddim(denoiser, asked, generator(seed)) for seed in range(3)]
drawn, y_drawn = np.concatenate([x for x, _ in draws]), np.tile(asked, 3)


# %% tags=["hide-input"]
def piece(field):
    """The slice of a field through the middle of the cube, z upwards."""
    return field.reshape(M, M, M)[:, M // 2].T


alt = """Two rows of seven squares, slices through the cube. Above, noise in which an outline appears
only in the last squares: a dark frame, the section of a cylinder. Below, the network's guesses: a
frame from the first square on, which shifts a little and becomes more definite."""
caption = """One field on its way from noise ($t=1000$) to a large, tall cylinder ($t=0$), a vertical
slice: $x_t$ (top) and the guess $\\hat x_0$ (bottom). Dark: near the surface; bright: far away."""
stages, one = (0, 12, 18, 21, 23, 24, 25), 8 * LABELS.index(("cylinder", 0.34, 1.25))
gap = np.full((1, M), np.nan)
with figure(1, len(stages), alt=alt, caption=caption, width=7.4, height=2.5) as axes:
    for ax, k in zip(axes, stages, strict=True):
        t, x, x0 = draws[0][1][k]
        slices = np.concatenate([piece(x0[one]), gap, piece(x[one])])
        ax.imshow(slices, origin="lower", cmap="viridis", vmin=-1, vmax=1)
        ax.set_title(f"t = {t}", fontsize="small")
        ax.axis("off")


# %% [markdown]
# How good are they? A field *agrees* with its label if the training field nearest to it has the
# right shape and size (one of twelve; new real objects give the ceiling). *Diversity* is the mean
# distance of two drawn fields of one label, over that of two real ones. *Novelty* is the median
# distance to the nearest training field of the label, over that of new real objects; a copy has 0.
# *Valid* is the share of neighbouring nodes, neither cut off, between which the slope is at most
# 1.1. *Contrast* is the standard deviation of a field over that of real ones. *Coherence* is the
# correlation of neighbouring nodes in what differs from the label's mean, over that of real fields;
# white noise has none.

# %%
def neighbours(A):
    """Values at all pairs of neighbouring nodes, along each axis."""
    A = A.reshape(-1, M, M, M)
    return [(A.take(range(M - 1), axis), A.take(range(1, M), axis)) for axis in (1, 2, 3)]


def valid(A):
    """Share of valid slopes."""
    pairs = neighbours(FAR * (A + 1) / 2)
    slopes = [np.abs(a - b)[np.maximum(a, b) < 0.98 * FAR] / step for a, b in pairs]
    return np.mean(np.concatenate(slopes) <= 1.1)


def coherence(groups):
    """Correlation of neighbours in the deviations from the mean of each group."""
    d = np.concatenate([G - G.mean(axis=0) for G in groups])
    return np.mean([np.mean(a * b) for a, b in neighbours(d)]) / max(np.mean(d**2), 1e-9)


# %%
def judge(A, label):
    """Agreement, diversity, median distance to the training fields, validity, contrast, coherence."""
    nearest = cdist(A, F)
    agree = np.mean(y[np.argmin(nearest, axis=1)] // 2 == label // 2)
    to_own = np.where(label[:, None] == y, nearest, np.inf).min(axis=1)
    groups = [A[label == k] for k in range(24)]
    pairs = [np.sum(cdist(G, G)) / (len(G) * (len(G) - 1)) for G in groups]
    rest = [np.median(to_own), valid(A), np.mean(A.std(axis=1)), coherence(groups)]
    return np.array([agree, np.mean(pairs), *rest])


# %% [markdown]
# Each of these numbers alone is easy to have. So we also judge the mean field of each label, the mean
# with white noise, training fields handed back, and a plain rival: the mean with normal deviations
# of covariance $U\operatorname{diag}(\lambda)U^\top$.

# %%
noise = generator(41).host.standard_normal((len(y_drawn), M**3))
noisy, normal = MEANS[y_drawn] + 0.09 * noise, MEANS[y_drawn] + noise * np.sqrt(LAMBDA) @ U.T
copies = F[generator(40).host.integers(PER, size=len(y_drawn)) + PER * y_drawn]
SETS = {
    "drawn": (drawn, y_drawn),
    "new real objects": (F_new, y_new),
    "mean of the label": (MEANS[y_drawn], y_drawn),
    "mean, white noise": (noisy, y_drawn),
    "mean, normal deviations": (normal, y_drawn),
    "training fields": (copies, y_drawn),
}
judged = {name: judge(*fields) for name, fields in SETS.items()}
real, new = judge(F, y), judged["new real objects"]
unit = np.array([1, real[1], new[2], 1, real[4], real[5]])
rows = [[name, *(f"{v:.2f}" for v in j / unit)] for name, j in judged.items()]
columns = ["fields", "agreement", "diversity", "novelty", "valid", "contrast", "coherence"]
table(rows, columns, "Fields drawn by diffusion, real ones, and other ways to make some")

# %%
agree, diverse, novel, share, contrast, coherent = judged["drawn"] / unit
CHECKS = {
    "C4": ("drawn fields that agree with their label", agree, {"at_least": 0.8, "paper": "works"}),
    "C4.b": ("novelty", novel, {"at_least": 0.5} | own),
    "C4.c": ("contrast", contrast, {"between": (0.8, 1.2)} | own),
    "C4.d": ("agreement over that of new real objects", agree / new[0], {"at_least": 0.85} | own),
    "C4.e": ("diversity within a label", diverse, {"between": (0.75, 1.3), "paper": "diverse"}),
    "C4.f": ("share of valid slopes", share, {"at_least": 0.95} | own),
    "C4.g": ("coherence of what varies within a label", coherent, {"at_least": 0.8} | own),
}
for id, (statement, measured, bound) in CHECKS.items():
    claims.check(id, f"E2: {statement}", measured=measured, seeds=3, **bound)

# %% [markdown]
# The mean field is always the same, the training field is a copy, and the mean with white noise is
# caught by its coherence alone. The drawn fields fail nowhere, but neither does the plain rival: these
# numbers cannot tell a diffusion model of such simple objects from a normal law about each mean.
#
# ### From the field to the picture
#
# The second network sees, for each node, $F$ at this node and its 26 neighbours, and the label. It
# gives eight channels: offset, colour, one log-scale and opacity (our Gaussians are round). The
# volumes $V$ are again a stand-in: centres a little behind the nearest point of the surface, with its
# shaded colour; nodes more than 0.7 spacings away fade out.

# %%
SIZE, INSET = 0.2 * step, 0.4 * step


def stand_in(solids, near, F):
    """The channels (n, M^3, 8) of volumes made from surfaces."""
    light, distance, parts = Scene(solids[:1]).light, 2.5 * (F + 1) / 2, []
    for s, x, d in zip(solids, near, distance, strict=True):
        albedo, normal = (to_host(a) for a in s.shade(to_device(x)))
        colour = albedo * (0.35 + 0.65 * np.maximum(normal @ light, 0))[:, None]
        offset = np.clip((x - INSET * normal - CELLS) / step, -1.5, 1.5)
        opacity = 3 - 8 * np.maximum(d - 0.7, 0)
        parts.append(np.column_stack([offset, colour - 0.5, np.zeros(len(d)), opacity / 4]))
    return to_device(np.stack(parts), FLOAT)


def as_gaussians(v):
    """Eight channels (M^3, 8) as parameters of Gaussians."""
    return {
        "means": to_device(CELLS, FLOAT) + step * v[:, :3],
        "colors": v[:, 3:6] + 0.5,
        "log_scales": v[:, 6:7] * xp.ones((1, 3), dtype=FLOAT) + math.log(SIZE),
        "opacity_logits": 4 * v[:, 7],
        "quaternions": to_device(np.tile([1.0, 0, 0, 0], (M**3, 1)), FLOAT),
    }


# %%
def inputs(F, y):
    """What the network sees of each node: (n, M^3, 27 + 24)."""
    padded = np.pad(F.reshape(-1, M, M, M), [(0, 0)] + [(1, 1)] * 3, constant_values=1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))
    label = np.repeat(ONE_HOT[y][:, None], M**3, axis=1)
    return to_device(np.concatenate([windows.reshape(*F.shape, 27), label], axis=2), FLOAT)


def predict(net, F, y):
    """Volumes from fields and labels."""
    return nn.mlp(net, inputs(F, y), "silu")


# %% [markdown]
# The photographs are the ray caster's: two views each of 72 training objects, and of 24 new ones to
# test with.

# %%
PIXELS, LEARN = scale(default=24, paper=64), scale(default=160, paper=5000)
around = splatting.fibonacci_hemisphere(8, elevation=(-50, 60), width=PIXELS, **VIEW)
few, ring = np.flatnonzero(np.arange(len(y)) % PER < 3), generator(50).host
known = [solids[i] for i in few]
poses = [(i, int(k)) for i in range(len(few)) for k in ring.permutation(8)[:2]]
photos = [xp.astype(splatting.view(Scene([known[i]]), around[k], 2).image, FLOAT) for i, k in poses]
held = np.arange(24) * 8
tried = [(i, k) for i in held for k in (1, 4)]
wanted = [splatting.view(Scene([solids_new[i]]), around[k], 3).image for i, k in tried]
wanted = [to_host(image) for image in wanted]
X, V = inputs(F[few], y[few]), stand_in(known, near[few], F[few])


# %% [markdown]
# A step takes eight volumes for $L_{3D}$ and one picture of the first of them for $L_{2D}$,
# {eq}`eq-gvo-attributes`. All three arms start from the same weights.

# %%
def train_predictor(w3, w2):
    """Fit the network with weights of the two losses."""
    rng = generator(51)
    net = nn.mlp_init(rng, [27 + 24, 64, 64, 8])

    def batch(rng):
        j = int(rng.host.integers(len(poses)))
        i = to_device(np.append(poses[j][0], rng.host.integers(len(few), size=7)))
        return X[i], V[i], photos[j], poses[j][1]

    def loss(net, x, v, photo, k):
        guess, L = nn.mlp(net, x, "silu"), 0.0
        if w3:
            L = L + w3 * ad.mean((guess - v) ** 2)
        if w2:
            C = render(as_gaussians(guess[0]), around[k], WHITE).image
            similar = splatting.structural_similarity(C, photo)
            L = L + w2 * (0.2 * ad.mean(ad.abs(C - photo)) + 0.8 * (1 - similar))
        return L

    adam = Adam(cosine_decay(1e-2, LEARN, 1e-4))
    return nn.fit(loss, net, batch, adam, steps=LEARN, rng=rng, description="Predictor").params


# %%
def score_volumes(volumes):
    """Mean PSNR and SSIM of the new objects' pictures, and the pictures."""
    shown = [picture(as_gaussians(volumes[n // 2]), around[k]) for n, (_, k) in enumerate(tried)]
    pairs = zip(shown, wanted, strict=True)
    each = [(psnr(*ab), ssim(*ab, channel_axis=2)) for ab in pairs]
    return (*np.mean(each, axis=0), shown)


WEIGHTS = {"3D": (1, 0), "3D + 2D": (1, 1), "2D": (0, 1)}
nets = {name: train_predictor(*w) for name, w in WEIGHTS.items()}
both, another = nets["3D + 2D"], "3D + 2D, another's field"
scores = {k: score_volumes(predict(net, F_new[held], y_new[held])) for k, net in nets.items()}
scores[another] = score_volumes(predict(both, F_new[held + 1], y_new[held]))
rows = [[name, *numbers] for name, (*numbers, _) in scores.items()]
table(rows, ["trained with", "PSNR (dB)", "SSIM"], "Pictures of 24 new objects, two views each")

# %%
P, S = ({name: numbers[i] for name, numbers in scores.items()} for i in (0, 1))
lead, LEAD = P["3D + 2D"] - P["2D"], scale(default={"between": (0.3, 3)}, paper={"at_most": 0.5})
EARLY = scale(default="a lead early in training: in longer trials it shrinks", paper=None)
CHECKS = {
    "C6": ("PSNR, 3D + 2D above 3D", P["3D + 2D"] - P["3D"], {"at_least": 0.3, "paper": "+5.48"} | dB),
    "C6.b": ("PSNR lost with another's field", P["3D + 2D"] - P[another], {"at_least": 1} | dB | own),
    "C6.c": ("SSIM, 3D + 2D above 2D", S["3D + 2D"] - S["2D"], {"at_least": 0.005, "paper": "+0.0026"}),
    "C6.d": ("PSNR, 3D + 2D above 2D", lead, {"at_most": 0, "paper": "−0.18", "not_reproduced": EARLY} | dB),
    "C6.e": ("the same, bounded on both sides", lead, LEAD | own | dB),
}  # fmt: skip
for id, (statement, measured, bound) in CHECKS.items():
    claims.check(id, f"E3: {statement}", measured=measured, **bound)

# %% tags=["hide-input"]
alt = """Three new objects in five columns: the truth; trained on volumes only, too large and smeared;
trained on both, close to the truth; trained on pictures only, darker; with another's field, misshapen."""
caption = """Three new objects: the truth, the three losses, and the network of the second one when it
is given the field of another object with the same label."""
names = ["3D", "3D + 2D", "2D", another]
columns = {"truth": wanted} | {name: scores[name][2] for name in names}
with figure(1, 5, alt=alt, caption=caption, width=7.6, height=4.9) as axes:
    for ax, (name, shown) in zip(axes, columns.items(), strict=True):
        ax.imshow(np.concatenate([shown[n] for n in (4, 20, 40)]))
        ax.set_title(name.replace(", ", ",\n"), fontsize="small")
        ax.axis("off")


# %% [markdown]
# A loss on the volume counts each channel of each node alike, although most nodes are empty. In the
# paper the picture's loss alone gives the higher PSNR and the lower SSIM. Here it is behind in both,
# but this is a matter of time: in a trial six times as long its PSNR had nearly caught up, and its
# SSIM was ahead.
#
# ### Drawing objects
#
# Now both steps together. A label goes in, diffusion draws a field, the second network makes a
# volume of it, and the renderer shows it.

# %%
def soft(width):
    """Options to show at this width what was trained at another: the same blur in the world."""
    model = splatting.Point(0.3 * (width / PIXELS) ** 2)
    return RenderOptions(background=(1.0, 1.0, 1.0), alpha_model=model)


LARGE = splatting.look_at((1.55, 0.9, 0.9), (0, 0, 0), width=72, field_of_view=38)


def volume_of(n):
    """The Gaussians that the predictor makes of drawn field n."""
    return as_gaussians(predict(both, drawn[n : n + 1], y_drawn[n : n + 1])[0])


# %% tags=["hide-input"]
alt = """An ellipsoid, a box, a cylinder and a cone, large and tall, side by side: three rows of drawn
ones, soft at the edges, a little different in shape; in the last row real ones, sharp."""
caption = """Objects drawn for four descriptions (three rows), and a real one for each (last row)."""
CHOSEN = [8 * LABELS.index((shape, 0.34, 1.25)) for shape in SHAPES]
lines = [[picture(volume_of(n + j), LARGE, soft(72)) for n in CHOSEN] for j in range(3)]
lines += [[to_host(splatting.view(Scene([solids_new[n]]), LARGE, 2).image) for n in CHOSEN]]
with figure(4, 1, alt=alt, caption=caption, width=5.6, height=6.2) as axes:
    for ax, line, title in zip(axes, lines, ("drawn", "", "", "real"), strict=True):
        ax.imshow(np.concatenate(line, axis=1))
        ax.set_title(title, fontsize="small", loc="left")
        ax.axis("off")

# %% tags=["hide-input"]
frames, turning = [], [volume_of(n) for n in CHOSEN[1:]]
for angle in np.radians(np.arange(0, 360, 20)):
    place = (1.9 * np.cos(angle), 1.9 * np.sin(angle), 0.7)
    camera = splatting.look_at(place, (0, 0, 0), width=64, field_of_view=34)
    row = [to_host(splatting.view(snowman, camera, 2).image), picture(fitted["full"][0], camera)]
    row += [picture(p, camera, soft(64)) for p in turning]
    frames.append(np.concatenate(row, axis=1))
animation(
    np.stack(frames),
    alt="""Five objects turning: the true snowman; its volume, which looks like it, a little softer;
    and a box, a cylinder and a cone that the model drew, with soft edges and shaded sides.""",
    caption="""One turn. From left to right: the true snowman, its fitted volume, and a box, a cylinder
    and a cone that were drawn.""",
    seconds=4,
    magnify=2,
)

# %% [markdown]
# ## Verdict
#
# A cube of Gaussians with offsets learns an object, and the pool makes the most of its nodes; both
# orders of the paper's table hold. Diffusion draws the field that it is asked for, and does not copy.
# The network that fills in the rest needs to look at its pictures; what the loss on the volume adds
# to that, our short training cannot settle. Nor do we show text: our descriptions are 24 labels.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# CLIP scores, LPIPS and seconds need trained networks and a data set that no library of this book
# bundles; diffusion of all 14 channels would take as long as the chapter. Our two networks learn from
# volumes made from surfaces, not fitted, so the rotations and three scales of each Gaussian do not
# occur. The version that starts from a picture was left out.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the snowman is fitted on $32^3$ nodes to pictures of 200 pixels in
# 20 000 steps, as in the paper, and the fields have $16^3$ nodes. Whether the gaps then come down to
# those of the paper is for that run to show; it has not been made yet.
