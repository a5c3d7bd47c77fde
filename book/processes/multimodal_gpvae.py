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
# # Multi-modal Gaussian process variational autoencoders
#
# ```{paper-card}
# ```
#
# A fly walks while a microscope watches its brain. Some of what the neurons do shows in the legs,
# some does not, and the legs do things that no recorded neuron knows about. Two recordings of the
# same minutes, spikes and pictures, thus share *some* of their causes, and one would like to see
# the shared ones and the private ones apart, as smooth curves over time. {cite:t}`multimodal_gpvae`
# learn them together: a network reads the pictures, another one the spike counts, and both write
# what they see into a handful of slowly varying *latents*, of which each recording then has to be
# rebuilt. A latent that serves both is shared, one that serves a single recording is private.
#
# The trick that makes it work is a choice of words. A smooth curve over sixty time steps is not
# written as sixty numbers but as twelve Fourier coefficients. What is not smooth then cannot be
# said at all. Below is the toy world of the paper: a digit turns and swells, and neurons fire. One
# hidden curve drives both the turning and the spikes, one drives spikes only, one the size only. On
# this world the claim held: the three curves are found, each by the latent that should carry it.
# The same networks without the Fourier coefficients find even a single angle only in part, if at
# all. That two recordings do better than either alone held by half: spikes help to find the angle
# in pictures, while pictures add nothing to what so many neurons tell already.

# %% tags=["hide-input"]
import math

import numpy as np
from scipy import ndimage
from sklearn.decomposition import PCA

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.gp.sampling import circulant_embedding
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay, warm_up
from gaussbook.plotting import PALETTE, figure
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("multimodal_gpvae")
xp = backend()

# %% tags=["hide-input"]
SIDE = scale(default=16, paper=36)  # pixels of a picture's side
PIXELS = SIDE**2


def threes():
    """Handwritten digits 3, from 0 to 1: scikit-learn's, enlarged; at paper scale MNIST's."""
    if scale(default=True, paper=False):
        digits = data.table("digits")
        small = digits.data[digits.target == 3].reshape(-1, 8, 8) / 16
        return [np.pad(ndimage.zoom(digit, 1.5, order=1), 2) for digit in small]
    mnist = data.images("mnist")
    return [np.pad(digit / 255, 4) for digit in mnist.images[mnist.labels == 3]]


THREES = np.stack(threes())


# %% tags=["hide-input"]
def gp_paths(variance, n, T, rng, ell=10.0):
    """n paths (n, T) of a Gaussian process with the kernel variance exp(-lag^2 / 2 ell^2)."""
    return circulant_embedding(
        lambda lag: variance * xp.exp(-(lag**2) / (2 * ell**2)), T, 1.0, n, rng
    )


def pictures(angle, zoom, rng):
    """At every step another digit 3, turned by an angle (degrees) and magnified, (n, T, pixels)."""
    a, f = np.deg2rad(angle)[..., None, None], zoom[..., None, None]
    which = rng.host.integers(0, len(THREES), angle.shape)
    centre = (SIDE - 1) / 2
    r, c = np.meshgrid(*2 * [np.arange(SIDE) - centre], indexing="ij")
    rows = (np.cos(a) * r - np.sin(a) * c) / f + centre
    columns = (np.sin(a) * r + np.cos(a) * c) / f + centre
    where = [np.broadcast_to(which[..., None, None], rows.shape), rows, columns]
    return ndimage.map_coordinates(THREES, where, order=1).reshape(*angle.shape, PIXELS)


# %% tags=["hide-input"]
def simulate(seed, T=60, N=50, n=200):
    """Curves g (spikes only, shared, pictures only), rates, counts y and pictures x."""
    rng = generator(seed)
    g = [to_host(gp_paths(variance, n, T, rng)) for variance in (0.5, 0.3, 0.8)]
    g[2] = g[2] + 1
    W, b = 1.5 * rng.host.uniform(-1, 1, (2, N)), 0.5 * rng.host.uniform(-1, 1, N)
    rates = np.exp(np.stack(g[:2], axis=-1) @ W + b)
    zoom = np.maximum(np.abs(g[2]), 0.05)
    y = rng.host.poisson(rates)
    return {"g": g, "rates": rates, "y": y, "x": pictures(120 * g[1], zoom, rng)}


NEURONS, TRIALS, TEST = scale(default=(50, 200, 20), paper=(100, 300, 60))
world = simulate(0, N=NEURONS, n=TRIALS)

# %% tags=["hide-input"]
alt = """Above, ten pictures of a handwritten three, one in six time steps: it turns and changes its
size. Below on the left three smooth random curves over time; on the right a raster of the counts of
fifty neurons, whose bright bands follow two of the curves."""
caption = """One trial of the toy world. Top: the pictures, one in six; every step shows another
person's 3. Bottom: the three hidden curves, and the spike counts, bright for many."""
with figure(2, 1, alt=alt, caption=caption, height=4.2, height_ratios=(1, 2)) as axes:
    trial = int(np.argmin(np.mean(np.abs(np.abs(world["g"][2]) - 1), axis=1)))  # of middle sizes
    strip = world["x"][trial, ::6].reshape(-1, SIDE, SIDE)
    axes[0].imshow(np.concatenate(strip, axis=1), cmap="gray")
    axes[0].axis("off")
    axes[1].axis("off")
    left, right = (axes[1].inset_axes([start, 0.0, 0.44, 1.0]) for start in (0.0, 0.56))
    names = ("spikes only", "shared: angle", "pictures only: size")
    for curve, name in zip(world["g"], names, strict=True):
        left.plot(curve[trial], label=name)
    left.set(xlabel="time step", ylabel="value")
    left.legend(fontsize=6.5, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), columnspacing=1)
    right.grid(False)
    right.imshow(world["y"][trial].T, aspect="auto", cmap="gray", interpolation="none")
    right.set(xlabel="time step", ylabel="neuron")

# %% [markdown]
# ## What the paper claims
#
# 1. A smooth Gaussian process is written by a few low Fourier coefficients, and the training
#    objective then has closed forms. (Ours: these are checked, and two slips of the published code
#    shown.) {claims}`C1.a1, C1.a2, C1.a3, C1.a4, C1.a5, C1.b1, C1.b2`
# 2. Spike counts alone give the latents that drive them (figure).
#    {claims}`C2.a1, C2.a2, C2.a3, C2.a4, C2.a5, C2.b`
# 3. Latents of few Fourier coefficients identify the true latent much better than others: the angle
#    of a turning digit has, after linear alignment, a mean squared error (MSE) of 195.8 degrees²,
#    against 3806.6 for a Gaussian process over time, 3811.6 for a plain autoencoder and 2891.3
#    without pruning (this last one is reported only). {claims}`C3.a1, C3.a2, C3.a3, C3.a4, C3.b`
# 4. Of simulated spikes and pictures the shared and both private latents are found, each in its
#    place (figure). {claims}`C4.a1, C4.a2, C4.a3, C4.a4, C4.a5, C4.a6, C4.b`
# 5. Two recordings together do better than either alone (figure). Not reproduced against spikes.
#    {claims}`C5.a1, C5.a2, C5.a3, C5.b1, C5.b2`
# 6. (Ours.) What is shared carries over: spikes alone tell how the picture turns.
#    {claims}`C6.a, C6.b`
#
# Not tested here: that a fly's calcium signals and limbs, and a hawkmoth's muscle spikes and what
# it sees, show interpretable shared latents; these recordings are not bundled.
#
# **What our numbers rest on.** We read the abstract, five public conference reviews, and the
# complete official code with its executed notebooks
# ([RabiaGondur/MM-GPVAE](https://github.com/RabiaGondur/MM-GPVAE)); not the paper's text. The four
# numbers above are stored outputs of a notebook. For claims 2, 4 and 5 we know of figures only, so
# that their thresholds are ours.
#
# ## The idea
#
# **The model.** A trial has $T$ time steps. At step $t$ we see counts $y_t\in\mathbb N^N$ of $N$
# neurons and a picture $x_t$ of $D$ pixels. Behind them are independent latents: $z^Y$ (spikes
# only), $z^S$ (shared) and $z^X$ (pictures only), each a Gaussian process with the kernel
# $e^{-\Delta^2/2\ell^2}$ and a length $\ell$ that is learned. The decoders are
#
# $$
# y_t\sim\mathrm{Poisson}\bigl(\exp(W^\top[z^Y_t,z^S_t]+d)\bigr),\qquad x_t\sim N\bigl(f(z^S_t,z^X_t),\,v I\bigr)
# $$ (eq-mmgp-model)
#
# with a matrix $W$, offsets $d$, a network $f$ and a variance $v$, all learned.
#
# **Fourier coefficients.** Bend time to a circle of $n_c=1.2\,T$ steps. On it the kernel is
# diagonal in sines and cosines. With the rows of $B$
#
# $$
# B_{kt}=\sqrt{2/n_c}\,\cos(2\pi kt/n_c)\ (k\ge0),\quad \sqrt{2/n_c}\,\sin(2\pi kt/n_c)\ (k<0),
# $$ (eq-mmgp-basis)
#
# the row $k=0$ divided by another $\sqrt2$, a latent is $z=B^\top\tilde z$ with independent
# coefficients $\tilde z_k\sim N(0,\lambda_k)$,
#
# $$
# \lambda_k=\sqrt{2\pi}\,\ell\,e^{-\frac12(2\pi k/n_c)^2\ell^2}+\varepsilon .
# $$ (eq-mmgp-spectrum)
#
# High frequencies have no variance to speak of. *Pruning* leaves out all whose share has fallen
# below $1/c$ of the largest for the shortest length $\ell_{\min}$ that one expects:
# $|k|\le k_{\max}=\lfloor\frac{n_c}{\pi\ell_{\min}}\sqrt{\frac12\log c}\rfloor$, with
# $\ell_{\min}=10$ and $c=10^8$.
#
# **Learning.** Two *encoders* look at each step by itself, and a linear map from the $T$ steps to
# the $F$ coefficients turns what they found into a mean $m_k$ and a deviation $s_k$ for each
# coefficient: the belief $q(\tilde z)=\prod_kN(m_k,s_k^2)$. For the shared latent both encoders
# have a say, and their $m$ and $\log s$ are averaged. A *variational autoencoder* (VAE) maximises a
# lower bound of the log-likelihood (ELBO): how well the data are rebuilt from draws of $q$, minus
# the divergence
#
# $$
# \mathrm{KL}\bigl(q\,\Vert\,p\bigr)=\sum_k\tfrac12\Bigl(\frac{m_k^2+s_k^2}{\lambda_k}+\log\lambda_k-\log s_k^2-1\Bigr).
# $$ (eq-mmgp-kl)
#
# For the spikes no draws are needed. With $\eta=W^\top z+d\sim N(h,v_\eta)$, where
# $v_\eta=(W\circ W)^\top\operatorname{diag}(B^\top\operatorname{diag}(s^2)B)$,
#
# $$
# E\log p(y\mid\eta)=y\,h-e^{h+v_\eta/2}-\log y! .
# $$ (eq-mmgp-poisson)
#
# ## The method in code
#
# Equations {eq}`eq-mmgp-basis` and {eq}`eq-mmgp-spectrum`. As in the published code cosines run
# from 0 to $k_{\max}-1$ and sines from 1 to $k_{\max}$.

# %%
EPSILON, ELL_MIN, CUT = 1e-2, 10.0, 1e8


def frequencies(T, k_max=None):
    """n_c and k = -k_max ... k_max - 1, from the pruning rule if k_max is not given."""
    n_c = round(1.2 * T)
    if k_max is None:
        k_max = math.floor(n_c / (math.pi * ELL_MIN) * math.sqrt(math.log(CUT) / 2))
    return n_c, xp.arange(-k_max, k_max, dtype=xp.float64)


def fourier_basis(T, n_c, k):
    """B (F, T): cosines for k >= 0, sines for k < 0."""
    phase = 2 * math.pi / n_c * k[:, None] * xp.arange(T, dtype=xp.float64)
    rows = xp.where(k[:, None] >= 0, xp.cos(phase), xp.sin(phase))
    return rows / xp.sqrt(xp.where(k == 0, n_c, n_c / 2))[:, None]


def spectrum(k, n_c, ell, epsilon=EPSILON):
    """lambda_k of unit variance; ell may hold one length for each process, on axes in front."""
    decay = ad.exp(-0.5 * (2 * math.pi / n_c * k * ell) ** 2)
    return math.sqrt(2 * math.pi) * ell * decay + epsilon


# %% [markdown]
# The divergence {eq}`eq-mmgp-kl` and the expected log-likelihood {eq}`eq-mmgp-poisson` (without
# $\log y!$, which nothing learns from).

# %%
def kl(m, log_s, lam):
    """KL(N(m, s^2) || N(0, lambda)), summed over the last axis."""
    terms = (m * m + ad.exp(2 * log_s)) / lam + ad.log(lam) - 2 * log_s - 1
    return 0.5 * ad.sum(terms, axis=-1)


def poisson(y, h, v):
    """E log p(y | eta) + log y! for eta ~ N(h, v)."""
    return y * h - ad.exp(h + v / 2)


# %% [markdown]
# ## Experiments
#
# ### Is it the kernel that was meant?
#
# It should be the squared exponential made periodic, $\sum_je^{-(\Delta+jn_c)^2/2\ell^2}$.

# %%
def kernel(lag):
    """The squared exponential of length 10."""
    return xp.exp(-(lag**2) / 200)


def covariance(T):
    """B' Lambda B without epsilon, and the periodic and the plain kernel at the same lags."""
    n_c, k = frequencies(T)
    B, lag = fourier_basis(T, n_c, k), xp.arange(T, dtype=xp.float64)
    lag = lag[:, None] - lag
    turns = [kernel(lag + j * n_c) for j in (-2, -1, 0, 1, 2)]
    return (B.T * spectrum(k, n_c, 10.0, 0)) @ B, sum(turns), kernel(lag)


kernels = {T: covariance(T) for T in (40, 60)}
kernel_error = max(float(xp.max(xp.abs(mine - turned))) for mine, turned, _ in kernels.values())
wrap = {T: float(xp.max(xp.abs(mine - plain))) for T, (mine, _, plain) in kernels.items()}
count = {T: int(frequencies(T)[1].shape[0]) for T in (40, 60)}

# %% [markdown]
# The closed forms against other routes: the divergence between the two Gaussian distributions of
# the *curve* as dense matrices, in an orthonormal basis of the space that $B$ spans, and the
# Poisson term by Gauss–Hermite quadrature. Beside them stand two expressions of the published code,
# which has $(m+s)^2$ in the place of $m^2+s^2$, and $s$ where the variance $s^2$ belongs.

# %%
rng = generator(3)
n_c, k = frequencies(60)
B, lam = fourier_basis(60, n_c, k), spectrum(k, n_c, 10.0)
m, log_s = xp.sqrt(lam) * rng.standard_normal((100, k.shape[0])), -0.5 * xp.log(1 / lam + 10)
mine, slip = kl(m, log_s, lam), xp.sum(m * xp.exp(log_s) / lam, axis=1)

_, R = xp.linalg.qr(B.T)
P, S = (R * lam) @ R.T, (R * xp.exp(2 * log_s)) @ R.T
dense = xp.linalg.trace(xp.linalg.solve(P, S)) - k.shape[0]
dense += xp.linalg.slogdet(P)[1] - xp.linalg.slogdet(S)[1]
dense = 0.5 * (dense + xp.sum((m @ R.T) * xp.linalg.solve(P, R @ m.T).T, axis=1))

w = rng.uniform(-1.5, 1.5, 12)  # loadings of twelve neurons
nodes, weights = np.polynomial.hermite_e.hermegauss(60)
h, v = xp.linspace(-1.0, 1.0, 12), w**2 * (xp.exp(2 * log_s) @ B**2)[30]
eta = h[:, None] + xp.sqrt(v)[:, None] * to_device(nodes)
by_nodes = (2 * eta - xp.exp(eta)) @ to_device(weights / weights.sum())
wrong_v = w**2 * (xp.exp(log_s) @ B**2)[30]

# %%
claims.check(
    "C1.a1", "largest distance of B'ΛB from the periodic kernel, T = 40 and 60",
    measured=kernel_error, at_most=1e-4, own=True,
)
for id, steps, kept in (("C1.a2", 40, 8), ("C1.a3", 60, 12)):
    claims.check(
        id, f"coefficients kept of T = {steps}",
        measured=count[steps], equals=kept, paper=f"{kept} (code)",
    )
claims.check(
    "C1.a4", "KL in coefficients against dense matrices, largest difference of 100",
    measured=xp.max(xp.abs(mine - dense)), at_most=1e-8, unit="nats", own=True,
)

# %%
exact, certain = poisson(2.0, h, v), poisson(2.0, h, 0.0)
claims.check(
    "C1.a5", "Poisson term against quadrature, largest difference of 12",
    measured=xp.max(xp.abs(exact - by_nodes)), at_most=1e-8, unit="nats", own=True,
)
claims.check(
    "C1.b1", "the code's (m + s)²: mean change of the KL over its mean",
    measured=xp.mean(xp.abs(slip)) / xp.mean(mine), at_least=0.05, own=True,
)
change = xp.abs(poisson(2.0, h, wrong_v) - exact)
claims.check(
    "C1.b2", "the code's s for s²: change of the Poisson term over what uncertainty takes off",
    measured=xp.mean(change) / xp.mean(certain - exact), at_least=0.05, own=True,
)

# %% tags=["hide-input"]
alt = """Left: three curves of covariance against the lag. The pruned Fourier layer lies on the
periodic kernel everywhere; the plain kernel agrees with them up to about half a trial and stays at
zero, where the others rise again. Right: the variances of the coefficients fall steeply with the
frequency; the shorter the length the later. A grey band marks the frequencies that are kept."""
caption = r"""Left: the covariance of a trial of 60 steps at two times, by their lag. Right: the
variance $\lambda_k$ of a coefficient for three lengths $\ell$; grey: what is kept."""
with figure(1, 2, alt=alt, caption=caption, height=2.8) as (left, right):
    names = ("Fourier", "periodic", "plain")
    for values, style, name in zip(kernels[60], ("-", "k:", "--"), names, strict=True):
        left.plot(to_host(values[0]), style, label=name)
    left.set(xlabel="lag (steps)", ylabel="covariance")
    left.legend()
    shown = xp.arange(15, dtype=xp.float64)
    for ell in (10, 15, 30):
        lam = to_host(spectrum(shown, n_c, ell))
        right.semilogy(lam, "o-", ms=3, label=f"ℓ = {ell}")
    right.axvspan(-0.5, 6.5, color="0.5", alpha=0.2, lw=0)
    right.set_xticks(range(0, 15, 2))
    right.set(xlabel="frequency k", ylabel="variance")
    right.legend()

# %%
say(f"""The layer is the kernel on a circle, and a circle of 1.2 trials is short: the two ends of
a trial are coupled. There the covariance is wrong by up to {wrap[60]:.2f} for 60 steps and
{wrap[40]:.2f} for 40. This is a property of the method; it does little harm below, since the
data say more about the ends than the prior does.""")

# %% [markdown]
# ### A turning digit
#
# One latent, pictures only: the angle is 120° times a Gaussian process of length 10, and at every
# step another person's 3 is turned by it. In the paper's code these are MNIST's digits; here they
# are scikit-learn's, which have 8 × 8 pixels. The networks have half the code's layers, and read a
# picture as its leading principal components. Their first and last layers are linear maps, so that
# an orthonormal basis in front changes nothing but the cost; what lies outside of it is left out of
# the ELBO and counted in all errors of pictures.

# %%
COMPONENTS, WIDTH = scale(default=(32, 64), paper=(256, 256))


def compress(x, n_train):
    """Principal components of pictures (n, T, pixels), and of each the squares left out."""
    pca = PCA(COMPONENTS, svd_solver="covariance_eigh")
    pca.fit(x[:n_train].reshape(-1, PIXELS)[::4])
    scores = pca.transform(x.reshape(-1, PIXELS)).reshape(*x.shape[:2], -1)
    left_out = np.sum((x - pca.mean_) ** 2, axis=2) - np.sum(scores**2, axis=2)
    return to_device(scores.astype(np.float32)), left_out, pca


T, BATCH = 40, 5
n, n_train = 400, 304
rng = generator(0)
angle = 120 * to_host(gp_paths(0.3, n, T, rng))
turning, _, _ = compress(pictures(angle, np.ones_like(angle), rng), n_train)

# %% [markdown]
# Four models share the networks, the trials and the number of steps. They differ in the words for
# the latent: pruned Fourier coefficients; all Fourier coefficients up to $k=20$, as many as time
# steps; one value for each time step with the same Gaussian process as the prior (time domain, its
# divergence needs the dense covariance); and one value for each time step with independent normal
# priors, a plain VAE. A fifth is a control: the pruned model on trials whose time steps have been
# shuffled, pictures and angles alike. Training can get stuck with an angle folded in half, so that
# each of the four starts three times; the best training ELBO decides, which sees no angle. All are
# trained side by side, stacked on a first axis.

# %%
STARTS = 3
GROUPS = {"pruned": (0, 4), "unpruned": (4, 7), "time domain": (7, 10), "VAE": (10, 13)}
MODELS, SHUFFLED = 13, STARTS  # the last of the pruned models gets the shuffled trials
f32 = xp.float32
grids = {"pruned": frequencies(T), "unpruned": frequencies(T, T // 2)}
bases = {name: xp.astype(fourier_basis(T, *grid), f32) for name, grid in grids.items()}
grids32 = {name: (xp.astype(k, f32), n_c) for name, (n_c, k) in grids.items()}


def stack(trees):
    """One tree of networks side by side."""
    return nn.tree_map(lambda *leaves: xp.stack(leaves), *trees)


def head_init(rng, models, latents, B):
    """The linear map from steps to coefficients; for the mean it starts as the projection on B."""
    shape = (models, latents, B.shape[1], B.shape[0])
    return {
        "mean": xp.asarray(xp.broadcast_to(B.T, shape), copy=True),
        "bias": xp.zeros((models, latents, 1, B.shape[0]), dtype=f32),
        "log_s": nn.normal(rng, shape, scale=0.3 / math.sqrt(B.shape[1])),
    }


# %% [markdown]
# An encoder makes two *features* of each step and latent, one for the mean and one for $\log s$;
# the head maps their course over a trial to coefficients. In the two models without a Fourier layer
# the features are mean and $\log s$ themselves.

# %%
def features(encoder, x):
    """(models, 2 x latents, trials, T) features of the steps x (models, trials, T, inputs)."""
    return ad.permute_dims(nn.mlp(encoder, x), (0, 3, 1, 2))


def coefficients(head, f):
    """m and log s (models, latents, trials, F)."""
    latents = f.shape[1] // 2
    return f[:, :latents] @ head["mean"] + head["bias"], f[:, latents:] @ head["log_s"]


# %%
def dense_kl(m, log_s, ell):
    """KL(N(m, s^2) || N(0, K)) over time, K the squared exponential plus epsilon."""
    lag = xp.arange(T, dtype=f32)[:, None] - xp.arange(T, dtype=f32)
    K = ad.exp(-0.5 * (lag / ell) ** 2) + EPSILON * xp.eye(T, dtype=f32)
    P, log_roots = ad.inv(K), ad.log(ad.diagonal(ad.cholesky(K)))[:, :, None]
    terms = (m @ P) * m + ad.exp(2 * log_s) * ad.diagonal(P)[:, :, None] - 2 * log_s - 1
    return 0.5 * ad.sum(terms + 2 * log_roots, axis=-1)


# %%
def beliefs(p, x):
    """Mean and deviation (models, 1, trials, F), basis and divergence, group by group."""
    f, found = features(p["encoder"], x), []
    for name, (start, stop) in GROUPS.items():
        own, ell = f[start:stop], ad.exp(p["log_ell"][start:stop])[:, None, None, None]
        m, log_s = own[:, :1], own[:, 1:]
        if name in bases:
            m, log_s = coefficients(p[name], own)
        if name == "time domain":
            divergence = dense_kl(m, log_s, ell)
        else:
            lam = spectrum(*grids32[name], ell) if name in bases else xp.ones(T, dtype=f32)
            divergence = kl(m, log_s, lam)
        found.append((m, ad.exp(log_s), bases.get(name, xp.eye(T, dtype=f32)), divergence[:, 0]))
    return found


# %%
def turning_elbo(p, x, *noise):
    """ELBO of each model, per trial."""
    found = beliefs(p, x)
    z = ad.concat([(m + s * e) @ B for (m, s, B, _), e in zip(found, noise, strict=True)])
    misfit = ad.sum((x - nn.mlp(p["decoder"], z[:, 0, :, :, None])) ** 2, axis=(2, 3))
    divergence = ad.concat([each[3] for each in found])
    log_v = p["log_v"][:, None]
    fit = misfit * ad.exp(-log_v) + T * COMPONENTS * log_v
    return -ad.mean(0.5 * fit + divergence, axis=1)


# %% [markdown]
# Lengths start at 15 (the truth is 10, the code starts at 30), the variance $v$ at that of the
# data. The learning rate of the optimiser Adam falls along half a cosine.

# %%
STEPS = scale(default=600, paper=8000)
widths = [COMPONENTS, WIDTH, WIDTH, 2], [1, WIDTH, WIDTH, COMPONENTS]
shuffle = rng.permuted(np.broadcast_to(np.arange(T), (n, T)), axis=1)
shuffled = xp.take_along_axis(turning, shuffle[:, :, None], axis=1)


def rows_of(rows):
    """The trials `rows` for all models (models, trials, T, components)."""
    return xp.stack([(shuffled if i == SHUFFLED else turning)[rows] for i in range(MODELS)])


def noise(rng, trials, shapes):
    """Standard normal draws in single precision, one array for each shape."""
    return [xp.astype(rng.standard_normal((*a, trials, F)), f32) for a, F in shapes]


# %%
SHAPES = [((b - a, 1), bases[g].shape[0] if g in bases else T) for g, (a, b) in GROUPS.items()]


def draw(rng):
    """A minibatch and noise."""
    return rows_of(rng.permutation(n_train)[:BATCH]), *noise(rng, BATCH, SHAPES)


# %%
def start(rng):
    """All models before training."""
    fourier = {g: head_init(rng, b - a, 1, bases[g]) for g, (a, b) in GROUPS.items() if g in bases}
    return fourier | {
        "encoder": stack([nn.mlp_init(rng, widths[0]) for _ in range(MODELS)]),
        "decoder": stack([nn.mlp_init(rng, widths[1]) for _ in range(MODELS)]),
        "log_ell": xp.full(MODELS, math.log(15), dtype=f32),
        "log_v": xp.full(MODELS, math.log(float(xp.mean(turning**2))), dtype=f32),
    }


# %%
def train(elbo, params, draw, rng, steps, description):
    """Maximise the sum of the models' ELBOs."""
    rate = warm_up(cosine_decay(scale(default=1e-2, paper=1e-3), steps), 50)

    def loss(p, *batch):
        return -ad.sum(elbo(p, *batch))

    fitted = nn.fit(loss, params, draw, Adam(rate), steps=steps, rng=rng, description=description)
    return fitted.params


rng = generator(4)
p = train(turning_elbo, start(rng), draw, rng, STEPS, "turning digit")


# %% [markdown]
# **Alignment.** A latent is found up to its sign, scale and offset. One straight line from latent
# to angle is therefore fitted on the *training* trials and judged on all others; the notebook fits
# and judges on the same trials. A constant guess has $R^2=0$.

# %%
def aligned(z, g, n_train):
    """The curves g (n, T) by one regression on z (n, T, latents), fitted on training trials."""
    Z = np.concatenate([z, np.ones_like(z[..., :1])], axis=-1)
    flat = Z[:n_train].reshape(-1, Z.shape[-1])
    return Z @ np.linalg.lstsq(flat, g[:n_train].ravel(), rcond=None)[0]


def r_squared(guess, truth):
    """1 - mean square error over variance."""
    return float(1 - np.mean((guess - truth) ** 2) / np.var(truth))


# %%
everything = xp.arange(n)
means = [m @ B for m, _, B, _ in beliefs(p, rows_of(everything))]
z = to_host(xp.astype(ad.concat(means), xp.float64))[:, 0, :, :, None]
truth = [angle] * MODELS
truth[SHUFFLED] = np.take_along_axis(angle, to_host(shuffle), axis=1)
guesses = [aligned(z[i], truth[i], n_train) for i in range(MODELS)]
mse = [float(np.mean((guesses[i] - truth[i])[n_train:] ** 2)) for i in range(MODELS)]
R2 = [r_squared(guesses[i][n_train:], truth[i][n_train:]) for i in range(MODELS)]
train_rows = everything[:n_train]
elbos = to_host(turning_elbo(p, rows_of(train_rows), *noise(generator(5), n_train, SHAPES)))
best = {name: a + int(np.argmax(elbos[a : a + STARTS])) for name, (a, _) in GROUPS.items()}

# %%
chosen = best | {"pruned, time shuffled": SHUFFLED}
notebook = ("195.8", "2891.3", "3806.6", "3811.6", "–")
table(
    [
        [name, mse[i], R2[i], float(elbos[i]), paper]
        for (name, i), paper in zip(chosen.items(), notebook, strict=True)
    ],
    ["model", "MSE (degrees²)", "R²", "training ELBO (nats)", "MSE, paper's notebook"],
    "The angle of test trials from one latent. The constant guess has R² = 0.",
)

# %%
pruned = best["pruned"]
for id, rival, most, ratio in (
    ("C3.a1", "VAE", 0.6, "0.05 (195.8 / 3811.6)"),
    ("C3.a2", "time domain", 0.7, "0.05 (195.8 / 3806.6)"),
):
    claims.check(
        id, f"angle MSE, pruned over {rival}",
        measured=mse[pruned] / mse[best[rival]], at_most=most, paper=ratio,
    )
claims.check("C3.a3", "R² of the pruned model", measured=R2[pruned], at_least=0.45, paper="0.95")
claims.report_value(
    "C3.a4", "angle MSE, pruned over unpruned",
    measured=mse[pruned] / mse[best["unpruned"]], paper="0.07 (195.8 / 2891.3)",
)
claims.check(
    "C3.b", "R² of the pruned model where the time steps of every trial are shuffled",
    measured=R2[SHUFFLED], at_most=0.3, own=True,
)

# %% tags=["hide-input"]
by_trial = np.mean((guesses[pruned] - angle)[n_train:] ** 2, axis=1)
worst = n_train + int(np.argmax(by_trial))
alt = """Four test trials. In each the true angle is a smooth curve over time. The pruned Fourier
model's curve stays close to it in the first three; in the last, its worst trial, it leaves it. The
VAE's curve misses most of the angle."""
caption = """The angle in trials that were not trained on: true, and read off the latent of two
models. Right: the test trial in which the pruned model errs most."""
with figure(1, 4, alt=alt, caption=caption, width=9.6, height=2.8, sharey=True) as axes:
    for trial, ax in zip((n_train, n_train + 1, n_train + 2, worst), axes, strict=True):
        ax.plot(angle[trial], "k", lw=2.5, alpha=0.4, label="true")
        for name, color in (("VAE", "orange"), ("pruned", "blue")):
            ax.plot(guesses[best[name]][trial], color=PALETTE[color], lw=1.2, label=name)
        ax.set(xlabel="time step")
    axes[0].set_ylabel("angle (degrees)")
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)

# %%
starts = {
    name: ", ".join(f"{value:.2f}" for value in R2[a : a + STARTS])
    for name, (a, _) in GROUPS.items()
}
say(f"""The starts of the pruned model give the angle with R² = {starts["pruned"]}, those without
pruning with {starts["unpruned"]}. Half of the test trials of the chosen pruned model have an MSE
below {np.median(by_trial):.0f} degrees². The worst one, in which the angle reaches
{np.abs(angle[worst]).max():.0f}°, makes {100 * by_trial.max() / by_trial.sum():.0f} % of the sum:
a picture turned by 190° looks like one turned by −170°, and a straight line cannot mend a whole
turn.""")

# %% [markdown]
# Why do the others miss the angle? A likely reason: they have one number a step, and may spend it
# on anything, be it smooth or not: half of the angle, or the hand that wrote the digit. In eight
# coefficients only something smooth can be written, and the angle is all there is. The control
# agrees: of shuffled trials, in which nothing but the mean is smooth, the same model learns no
# angle.
#
# Without pruning a start may find anything between nothing and the whole angle, and on some seeds
# the best of three does nearly as well as the pruned model, most starts of which succeed. So
# pruning makes training easier here, but that it is *needed* is not shown: its ratio C3.a4 stands
# without a threshold.
#
# ### Spikes alone
#
# Now the toy world of the first figure, first without pictures: two latents, an encoder of
# $\log(1+y)$, and the closed form {eq}`eq-mmgp-poisson`. This is a relative of Gaussian process
# factor analysis (GPFA). Two worlds are trained side by side, with two seeds. Which of the two
# latents is which cannot be told from spikes alone, since any rotation of the two explains them as
# well; each true curve is therefore regressed on both.

# %%
T = 60
n_train = TRIALS - TEST
test = slice(n_train, TRIALS)
worlds = [world, simulate(1, N=NEURONS, n=TRIALS)]
n_c, k = frequencies(T)
B, k = xp.astype(fourier_basis(T, n_c, k), f32), xp.astype(k, f32)
F = B.shape[0]
counts = xp.stack([to_device(each["y"].astype(np.float32)) for each in worlds])


# %%
def spike_init(rng):
    """Encoder and decoder of spikes with two latents, for one model."""
    net = nn.mlp_init(rng, [NEURONS, 40, 4])
    return {"net": net, "W": nn.normal(rng, (2, NEURONS), scale=0.3)}


def rebuild_spikes(W, d, m, s):
    """h and v_eta (models, trials, T, N) from coefficients (models, 2, trials, F)."""
    z = ad.permute_dims(m @ B, (0, 2, 3, 1))
    v = ad.permute_dims(s**2 @ B**2, (0, 2, 3, 1))
    return z @ W[:, None] + d[:, None, None], v @ W[:, None] ** 2


def ell_kl(m, log_s, log_ell):
    """The divergence of each latent (models, latents, trials)."""
    return kl(m, log_s, spectrum(k, n_c, ad.exp(log_ell)[:, :, None, None]))


# %%
def spikes_elbo(p, y):
    """ELBO of each model, per trial."""
    m, log_s = coefficients(p["head"], features(p["spikes"]["net"], xp.log1p(y)))
    h, v = rebuild_spikes(p["spikes"]["W"], p["d"], m, ad.exp(log_s))
    fit = ad.sum(poisson(y, h, v), axis=(2, 3))
    return ad.mean(fit - ad.sum(ell_kl(m, log_s, p["log_ell"]), axis=1), axis=1)


def spikes_draw(rng):
    """The counts of a minibatch."""
    return (xp.take(counts, rng.permutation(n_train)[:BATCH], axis=1),)


# %%
rng = generator(6)
gpfa = {
    "spikes": stack([spike_init(rng) for _ in worlds]),
    "head": head_init(rng, 2, 2, B),
    "d": xp.log(xp.mean(counts[:, :n_train], axis=(1, 2))),
    "log_ell": xp.full((2, 2), math.log(15), dtype=f32),
}
gpfa = train(spikes_elbo, gpfa, spikes_draw, rng, scale(default=500, paper=4000), "spikes")


# %% [markdown]
# The baseline smooths the counts $y$ over time with a Gaussian and takes two principal components;
# the width that serves it best on the training trials is used. It is run a second time on
# $\log(1+y)$, which our encoder reads too.

# %%
def curves(m):
    """The latents z (models, trials, T, latents) of coefficients, as float64 on the host."""
    return to_host(xp.astype(ad.permute_dims(m @ B, (0, 2, 3, 1)), xp.float64))


def read_spikes(y):
    """Latents and rates (models, trials, T, .) from counts."""
    m, log_s = coefficients(gpfa["head"], features(gpfa["spikes"]["net"], xp.log1p(y)))
    h, v = rebuild_spikes(gpfa["spikes"]["W"], gpfa["d"], m, ad.exp(log_s))
    return curves(m), to_host(xp.exp(h + v / 2))


# %%
def smoothed_pca(y, width):
    """Two principal components (n, T, 2) of smoothed counts, or of a function of them."""
    smooth = ndimage.gaussian_filter1d(y, width, axis=1, output=np.float64)
    pca = PCA(2).fit(smooth[:n_train].reshape(-1, NEURONS))
    return pca.transform(smooth.reshape(-1, NEURONS)).reshape(TRIALS, T, 2)


def within(curves):
    """Curves (n, T) around the mean of each trial."""
    return curves - curves.mean(axis=1, keepdims=True)


def fit_quality(z, g, part=test, view=np.asarray):
    """R² of the curves that drive spikes, by one regression on all latents."""
    guesses = [aligned(z, curve, n_train) for curve in g[:2]]
    return [r_squared(view(a[part]), view(b[part])) for a, b in zip(guesses, g, strict=False)]


def rate_quality(rates, truth):
    """R² of the rates of test trials against each neuron's mean rate."""
    error = np.sum((rates - truth)[test] ** 2)
    return 1 - error / np.sum((truth[test] - truth[:n_train].mean(axis=(0, 1))) ** 2)


# %%
z_gpfa, rates_gpfa = read_spikes(counts)
order = generator(7).host.permuted(np.broadcast_to(np.arange(T), (TEST, T)), axis=1)
mixed = xp.take_along_axis(counts[:, n_train:], to_device(order)[None, :, :, None], axis=2)
z_mixed, _ = read_spikes(xp.concat([counts[:, :n_train], mixed], axis=1))
SEEN = {"smoothed PCA of y": np.asarray, "smoothed PCA of log(1 + y)": np.log1p}
quality = {name: [] for name in ("Fourier", *SEEN, "Fourier, time shuffled")}
for i, each in enumerate(worlds):
    quality["Fourier"].append(fit_quality(z_gpfa[i], each["g"]))
    quality["Fourier, time shuffled"].append(fit_quality(z_mixed[i], each["g"], view=within))
    for name, view in SEEN.items():
        tries = [smoothed_pca(view(each["y"]), width) for width in (2, 3, 4, 6)]
        trained = [sum(fit_quality(z, each["g"], slice(0, n_train))) for z in tries]
        quality[name].append(fit_quality(tries[int(np.argmax(trained))], each["g"]))
quality = {name: np.asarray(values) for name, values in quality.items()}
gain = {name: (quality["Fourier"] - quality[name]).mean(axis=0) for name in SEEN}  # per curve
rate_R2 = [float(rate_quality(rates_gpfa[i], each["rates"])) for i, each in enumerate(worlds)]
table(
    [[name, *values.ravel()] for name, values in quality.items()],
    ["latents", *(f"{g}, world {i}" for i in (0, 1) for g in ("spikes only", "shared"))],
    "Test R² of the two curves that drive the spikes, from spikes alone",
)

# %%
claims.check(
    "C2.a1", "test R² of the true curves from spikes, smallest of four",
    measured=quality["Fourier"].min(), at_least=0.9, paper="recovered (figure)", seeds=2,
)
claims.check(
    "C2.a2", "gain over smoothed PCA of y in R², mean of two worlds, smaller of two curves",
    measured=gain["smoothed PCA of y"].min(), at_least=0.03, own=True, seeds=2,
)
claims.check(
    "C2.a3", "R² of the rates, smaller of two worlds",
    measured=min(rate_R2), at_least=0.85, own=True, seeds=2,
)
claims.check(
    "C2.a4", "gain over smoothed PCA of log(1 + y), likewise",
    measured=gain["smoothed PCA of log(1 + y)"].min(), at_least=0.03, own=True, seeds=2,
    not_reproduced="this baseline leaves less than that to gain (C2.a5)",
)
claims.check(
    "C2.a5", "test R² of the true curves from smoothed PCA of log(1 + y), smallest of four",
    measured=quality["smoothed PCA of log(1 + y)"].min(), at_least=0.93, own=True, seeds=2,
)
claims.check(
    "C2.b", "counts of test trials shuffled: R² around the trials' means, largest of four",
    measured=quality["Fourier, time shuffled"].max(), at_most=0.2, own=True, seeds=2,
)

# %% [markdown]
# Smoothing and a matrix factorisation of the raw counts see the curves less clearly, but of
# $\log(1+y)$ they see them as well as the model does: so many neurons make the task easy. Where the
# counts of a trial are put in random order nothing is left but its mean. No honest evaluation can
# find more, so that C2.b guards ours: were the straight lines fitted trial by trial, it would fail.
#
# ### Spikes and pictures
#
# The full model has three latents. Its ELBO is the sum of both fits minus three divergences; the
# pictures' fit takes one draw of $q$, as before. Five models stand side by side on the same trials:
# the full one twice, two starts of one that sees pictures only, and one of *strangers*, whose
# pictures belong to another trial's spikes. A model that lacks a recording gets weight 0 for its
# fit and for its say.
#
# Why is the full model there twice? For the spikes the two latents are alike, and whichever picks up the shared curve first
# keeps it. If it is the one that the pictures cannot see, training ends with the roles exchanged,
# in a poor local maximum. We therefore train *twins*: the same random start, with the roles
# exchanged in the second, and keep the one with the larger ELBO on the training trials.

# %%
KINDS = ("both", "both, exchanged", "pictures only", "pictures only, again", "strangers")
sees_y = xp.asarray([1.0, 1.0, 0.0, 0.0, 1.0], dtype=f32)
say_x = (1 / (1 + sees_y))[:, None, None]  # 1/2, or 1 where there are no spikes
x, left_out, pca = compress(world["x"], n_train)
y = counts[0]
strangers = xp.concat([generator(8).permutation(n_train), xp.arange(n_train, TRIALS)])


def agree(p, x, y):
    """m and log s (models, 3, trials, F) of the latents Y, S, X: S is the average of both says."""
    of_x = coefficients(p["head_x"], features(p["encoder"], x))  # S, X
    of_y = coefficients(p["head_y"], features(p["spikes"]["net"], xp.log1p(y)))  # Y, S
    return [
        ad.stack([b[:, 0], say_x * a[:, 0] + (1 - say_x) * b[:, 1], a[:, 1]], axis=1)
        for a, b in zip(of_x, of_y, strict=True)
    ]


def decode(p, z):
    """Components of pictures (models, trials, T, .) from z^S and z^X (models, 2, trials, T)."""
    return nn.mlp(p["decoder"], ad.permute_dims(z, (0, 2, 3, 1)))


# %%
def joint_elbo(p, x, y, e):
    """ELBO of each model, per trial."""
    m, log_s = agree(p, x, y)
    s = ad.exp(log_s)
    h, v = rebuild_spikes(p["spikes"]["W"], p["d"], m[:, :2], s[:, :2])
    fit_y = sees_y * ad.mean(ad.sum(poisson(y, h, v), axis=(2, 3)), axis=1)
    misfit = ad.sum((x - decode(p, (m[:, 1:] + s[:, 1:] * e) @ B)) ** 2, axis=(2, 3))
    fit_x = -0.5 * (ad.mean(misfit, axis=1) * ad.exp(-p["log_v"]) + T * COMPONENTS * p["log_v"])
    divergence = ad.mean(ell_kl(m, log_s, p["log_ell"]), axis=2)
    used = xp.stack([sees_y, xp.ones_like(sees_y), xp.ones_like(sees_y)], axis=1)
    return fit_y + fit_x - ad.sum(used * divergence, axis=1)


# %%
def joint_rows(rows, own=False):
    """Pictures and counts of trials for all models; strangers see another trial's pictures."""
    other = rows if own else strangers[rows]
    pictures = xp.stack([x[other if kind == "strangers" else rows] for kind in KINDS])
    return pictures, xp.broadcast_to(y[rows], (len(KINDS), *y[rows].shape))


def joint_draw(rng):
    """A minibatch and noise."""
    rows = rng.permutation(n_train)[:BATCH]
    return *joint_rows(rows), *noise(rng, BATCH, [((len(KINDS), 2), F)])


# %%
def exchanged(spikes):
    """The same encoder and decoder of spikes with the latents Y and S exchanged."""
    *first, last = spikes["net"]
    columns = xp.asarray([1, 0, 3, 2])
    last = {"weight": last["weight"][:, columns], "bias": last["bias"][columns]}
    return {"net": [*first, last], "W": spikes["W"][::-1]}


# %%
def joint_start(rng):
    """All models before training, from the same random weights but for the second start."""
    models, spikes = len(KINDS), spike_init(rng)
    widths = [COMPONENTS, WIDTH, WIDTH, 4], [2, WIDTH, WIDTH, COMPONENTS]
    starts = [[nn.mlp_init(rng, each) for each in widths] for _ in range(2)]
    encoders, decoders = zip(*[starts["again" in kind] for kind in KINDS], strict=True)
    return {
        "spikes": stack([exchanged(spikes) if "exchanged" in kind else spikes for kind in KINDS]),
        "encoder": stack(encoders), "decoder": stack(decoders),
        "head_x": head_init(rng, models, 2, B), "head_y": head_init(rng, models, 2, B),
        "d": xp.stack([xp.log(xp.mean(y[:n_train], axis=(0, 1)))] * models),
        "log_ell": xp.full((models, 3), math.log(15), dtype=f32),
        "log_v": xp.full(models, math.log(float(xp.mean(x**2))), dtype=f32),
    }


# %%
rng = generator(9)
steps = scale(default=900, paper=8000)
p = train(joint_elbo, joint_start(rng), joint_draw, rng, steps, "spikes and pictures")

# %%
rows = xp.arange(TRIALS)
shown = joint_rows(rows, own=True)
m, log_s = agree(p, *shown)
z = curves(m)  # (models, trials, T, 3): Y, S, X
z_x = curves(coefficients(p["head_x"], features(p["encoder"], shown[0]))[0])[..., 0]
z_y = curves(coefficients(p["head_y"], features(p["spikes"]["net"], xp.log1p(shown[1])))[0])[..., 1]
h, v = rebuild_spikes(p["spikes"]["W"], p["d"], m[:, :2], xp.exp(log_s[:, :2]))
rates = to_host(xp.exp(h + v / 2))
rebuilt = decode(p, (m @ B)[:, 1:])

# %%
seen = joint_rows(xp.arange(n_train))
joint_elbos = to_host(joint_elbo(p, *seen, *noise(generator(5), n_train, [((len(KINDS), 2), F)])))
full, blind = int(np.argmax(joint_elbos[:2])), 2 + int(np.argmax(joint_elbos[2:4]))


def picture_error(guess):
    """Mean square error per pixel of the test trials' pictures (n, T, components)."""
    error = xp.sum((x[n_train:] - guess) ** 2, axis=2)
    return (float(xp.mean(error)) + float(left_out[n_train:].mean())) / PIXELS


mean_picture = picture_error(xp.mean(x[:n_train], axis=(0, 1)))
errors = [picture_error(guess[n_train:]) / mean_picture for guess in rebuilt]

# %% [markdown]
# Each true curve is now regressed on *one* latent at a time: the one that should carry it, and the
# two others. The rates are compared by their logarithms, since a few very high ones would otherwise
# decide.

# %%
NAMES = ("spikes only", "shared", "pictures only")


def single(z, g):
    """Test R² of a curve by one regression on one latent."""
    return r_squared(aligned(z[..., None], g, n_train)[test], g[test])


carried = np.asarray([[single(z[full][..., j], g) for j in range(3)] for g in world["g"]])
gaps = [carried[i, i] - np.delete(carried[i], i).max() for i in range(3)]
from_pictures = {kind: single(z_x[i], world["g"][1]) for i, kind in enumerate(KINDS)}
alone = max(single(z[blind][..., j], world["g"][1]) for j in (1, 2))
true = np.log(world["rates"])
log_rates = [float(rate_quality(np.log(each), true)) for each in (rates[full], rates_gpfa[0])]
table(
    [[name, *row] for name, row in zip(NAMES, carried, strict=True)],
    ["true curve", "by zʸ", "by zˢ", "by zˣ"],
    "Test R² of each true curve by each latent of the full model",
)

# %%
for id, i, least in (("C4.a1", 1, 0.85), ("C4.a2", 0, 0.8), ("C4.a3", 2, 0.4)):
    claims.check(
        id, f"R² of the curve of '{NAMES[i]}' by its own latent",
        measured=carried[i, i], at_least=least, paper="recovered (figure)",
    )
for id, i in (("C4.a4", 1), ("C4.a5", 0), ("C4.a6", 2)):
    claims.check(
        id, f"curve of '{NAMES[i]}': R² by its own latent minus the best other",
        measured=gaps[i], at_least=0.3, own=True,
    )
claims.check(
    "C4.b", "R² of the shared curve from pictures alone: true pairs minus strangers",
    measured=from_pictures[KINDS[full]] - from_pictures["strangers"], at_least=0.3, own=True,
)

# %%
claims.check(
    "C5.a1", "R² of the logarithms of the rates minus that of spikes alone",
    measured=log_rates[0] - log_rates[1], between=(-0.03, 0.03), own=True,
)
claims.check(
    "C5.a2", "picture error over that of pictures only",
    measured=errors[full] / errors[blind], between=(0.7, 1.1), own=True,
)
claims.check(
    "C5.a3", "picture error over that of the mean picture",
    measured=errors[full], at_most=0.85, own=True,
)
claims.check(
    "C5.b1", "R² of the shared curve: both recordings minus pictures only (better latent)",
    measured=carried[1, 1] - alone, at_least=0.1, paper="better (figure)",
)
claims.check(
    "C5.b2", "R² of the shared curve: both recordings minus spikes only (both latents)",
    measured=carried[1, 1] - quality["Fourier"][0, 1], at_least=0.02, paper="better (figure)",
    not_reproduced="spikes alone leave hardly anything to gain (C2.a1)",
)

# %% tags=["hide-input"]
alt = """Three panels, one for each hidden curve of a test trial. The full model's latent lies on
the true curve for the spikes-only and the shared one and follows the size closely. The latent of
the model that sees pictures only misses much of the shared curve."""
caption = """The three hidden curves of a test trial and the latents that should carry them, each
aligned by one straight line (pictures only: by both of its latents, its best case)."""
with figure(1, 3, alt=alt, caption=caption, width=9.6, height=2.8, sharey=True) as axes:
    for i, (ax, name) in enumerate(zip(axes, NAMES, strict=True)):
        g = world["g"][i]
        ax.plot(g[n_train], "k", lw=3, alpha=0.35, label="true")
        guess = aligned(z[full][..., [i]], g, n_train)[n_train]
        ax.plot(guess, color=PALETTE["blue"], label="both recordings")
        if i:
            guess = aligned(z[blind][..., 1:], g, n_train)[n_train]
            ax.plot(guess, "--", color=PALETTE["vermilion"], label="pictures only")
        ax.set(xlabel="time step", title=name)
    axes[0].set_ylabel("value")
    axes[1].legend(fontsize=7)

# %%
say(f"""The full model leaves {errors[full]:.2f} of the mean picture's error, the one without
spikes {errors[blind]:.2f}. The full model's encoder of pictures, asked alone, gives the shared
curve with R² = {from_pictures[KINDS[full]]:.2f}, that of the model with strangers with
{from_pictures["strangers"]:.2f}: it is the pairing that makes a latent shared, and the spikes
that teach the pictures' encoder what to look for. Better together? Of the shared curve pictures
alone give R² = {alone:.2f}, spikes alone {quality["Fourier"][0, 1]:.2f}, both
{carried[1, 1]:.2f}. The twins ended {abs(joint_elbos[0] - joint_elbos[1]):.0f} nats a trial
apart.""")


# %% [markdown]
# ### One recording missing
#
# If a latent is shared, spikes alone should tell how the picture turns. The method has no rule for
# a missing recording; ours is as follows. The spikes' say replaces the average, put on the
# average's scale by a straight line fitted on the training trials. About the size nothing is known,
# so that the decoded picture is averaged over 64 values of $z^X$ drawn from the training trials.
# Beside it: the same with the spikes of another test trial.

# %%
def from_spikes(z_S, sizes=64):
    """Expected components (trials, T, components) given the shared latent (trials, T) only."""
    model = {"decoder": nn.tree_map(lambda leaf: leaf[full : full + 1], p["decoder"])}
    total = 0.0
    for size in generator(10).host.choice(z[full][:n_train, :, 2].ravel(), sizes):
        pair = np.stack([z_S, np.full_like(z_S, size)])[None]
        total = total + decode(model, to_device(pair.astype(np.float32)))[0]
    return total / sizes


expected = from_spikes(aligned(z_y[full][..., None], z[full][..., 1], n_train)[test])
others = xp.roll(expected, 1, axis=0)

# %%
claims.check(
    "C6.a", "picture error from spikes alone over that of the mean picture",
    measured=picture_error(expected) / mean_picture, at_most=0.95, own=True,
)
claims.check(
    "C6.b", "picture error from its own spikes over that from another trial's",
    measured=picture_error(expected) / picture_error(others), at_most=0.95, own=True,
)

# %% tags=["hide-input"]
alt = """Three rows of ten pictures of a test trial. Top: the true threes, turning and changing
their size. Middle: rebuilt from both recordings, blurred, with the same turns and sizes. Bottom:
from spikes alone, more blurred and all of one size, with the same turns."""
caption = """A test trial, one picture in six. Top: true. Middle: rebuilt from both recordings.
Bottom: expected from spikes alone."""
with figure(3, 1, alt=alt, caption=caption, height=2.9) as axes:
    decoded = [pca.inverse_transform(to_host(c)) for c in (rebuilt[full][n_train], expected[0])]
    for ax, sequence in zip(axes, (world["x"][n_train], *decoded), strict=True):
        strip = np.concatenate(sequence[::6].reshape(-1, SIDE, SIDE), axis=1)
        ax.imshow(strip, cmap="gray", vmin=0, vmax=1)
        ax.axis("off")

# %% [markdown]
# A spike train is thus enough to say how the picture stands, though not how large it is.
#
# ## Verdict
#
# The central claim holds with a margin: eight Fourier coefficients find an angle that the same
# networks see in part at best where each time step has its own value. With spikes and pictures
# together each of the three hidden curves ends in the latent that should carry it, and it is the
# true pairing of the trials that makes the shared one shared. The closed forms are right; two lines
# of the published code are not.
#
# Spikes alone give their two curves too, but so do smoothed principal components of $\log(1+y)$
# (C2.a4). "Better than either alone" holds by half. The shared curve is found far better than from
# pictures alone. It is not found better than from spikes alone, since fifty neurons leave hardly
# anything to gain, and the pictures are rebuilt about as well without spikes (C5.a2). Who wants to
# use this should know two things. Training needs several starts: an angle folded in half, and two
# latents with their roles exchanged, are traps. And the circle of 1.2 trials ties the ends of a
# trial together.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# MNIST is not bundled, so at this scale absolute errors differ from the paper's as the pictures
# do. What the notebook calls "no pruning" changes only $\varepsilon$ in its stored version; ours has as many
# frequencies as time steps. GPFA in its Fourier form is our model of spikes alone; the time-domain
# model of claim 3 has a belief with independent time steps. How the shared latent fares with few
# neurons, where pictures might help the spikes, is not run; a reviewer asked for it.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes MNIST's digits (which it downloads) in pictures of 36 × 36 pixels,
# 100 neurons, 300 trials of the toy world, wide networks and 8000 steps, from the same cells.
# Nothing here has been run on a GPU yet.
