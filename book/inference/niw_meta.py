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
# # Few-shot learning that knows what it does not know
#
# ```{paper-card}
# ```
#
# Five points of an unknown curve, and the rest is to be guessed. That works only with experience: who has seen thousands of such curves knows which guesses are
# plausible. *Few-shot learning* gathers that experience from many small tasks, *episodes*. Most methods keep one good starting point from which a few gradient
# steps lead to the new task. They return one curve and no doubt. {cite:t}`niw_meta` keep a *distribution* of networks: each episode has its own weights, all
# weights come from one Gaussian, and the Gaussian is learned. Five points then leave a posterior, narrow where there are data and wide where there are none.
#
# A miniature shows it. Let all curves of a family be $a+bx+c\sin x$ with a known Gaussian of the three weights, and let three points of a new one be known. On the left is the experience, on the right what
# it makes of the three points: one curve through them, and a band that says where not to trust it.

# %% tags=["hide-input"]
import math
import tracemalloc
from itertools import pairwise
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import polygamma

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.autodiff.tracing import record
from gaussbook.claims import Claims
from gaussbook.metrics import expected_calibration_error
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import figure, slider
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("niw_meta")
xp, T = backend(), ad.matrix_transpose

# %% tags=["hide-input"]
x, known = np.linspace(-5, 5, 201), np.asarray([-3.4, -2.5, -1.2])
def basis(x):
    return np.stack([np.ones_like(x), x, np.sin(x)], axis=-1)

weights_of = to_host(generator(8).standard_normal((12, 3))) * (1, 0.7, 2)
J, truth_of = basis(known) / 0.3, np.asarray([0.5, 0.6, -2.0])
A = J.T @ J + np.diag([1, 1 / 0.7**2, 1 / 4])
m = np.linalg.solve(A, J.T @ J @ truth_of)
half = 1.645 * np.sqrt(np.sum(basis(x) * np.linalg.solve(A, basis(x).T).T, axis=-1))
alt = """Left: twelve rising and falling waves. Right: a wave through three known points on the left half. The band around it is
thin at the points and many times wider at the right end, where there are none."""
caption = "Left: twelve curves of the family. Right: truth, three known points, posterior mean and 90 % band."
with figure(1, 2, alt=alt, caption=caption, width=8.4, height=3.0, sharey=True) as axes:
    axes[0].plot(x, basis(x) @ weights_of.T, color="C0", alpha=0.5, lw=1)
    axes[1].fill_between(x, basis(x) @ m - half, basis(x) @ m + half, alpha=0.25, label="90 % band")
    axes[1].plot(x, basis(x) @ m, label="mean")
    axes[1].plot(x, basis(x) @ truth_of, "--", color="gray", label="truth")
    axes[1].plot(known, basis(known) @ truth_of, "ko", ms=4)
    axes[1].legend(ncols=3, fontsize=7, loc="upper center")
    for ax in axes:
        ax.set(xlabel="x", ylim=(-7, 8))
    axes[0].set_ylabel("y")


# %% [markdown]
# It holds for networks too. On sines and lines with five known points the predictions beat those of the point methods (row C4.b), and the band widens beyond the
# known points (C4.c), though it is somewhat narrow (C4.h). On images of digits the order of methods is not reproduced. One choice is ours: the paper makes each
# episode's posterior diagonal, we keep its covariance, which costs a matrix of the size of the episode.
#
# ## What the paper claims
#
# 1. Few-shot learning is a model with two levels, and the weights of an episode have an approximate posterior in closed form. It is used once and never stored.
#    {claims}`C1.a, C1.b, C1.c`
# 2. Both levels are needed: a toy experiment gets worse if either is dropped. {claims}`C2.a, C2.b, C2.c, C2.d, C2.e, C2.f, C2.g, C2.h`
# 3. (Ours, on what the objective does.) With infinitely many episodes the learned Gaussian is a point estimate, and the degrees of freedom only grow.
#    {claims}`C3.a, C3.b`
# 4. Better accuracy and calibration than existing methods on sines and lines. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f, C4.g, C4.h`
# 5. No gradient goes through the inner optimisation, so the cost of a step does not grow with a stored graph, unlike MAML's. {claims}`C5.a, C5.b, C5.c, C5.d, C5.e`
# 6. The same for classification of images; here, of digits. {claims}`C6.a, C6.b, C6.c, C6.d, C6.e, C6.f, C6.g, C6.h, C6.i`
#
# Not tested: that MAML, prototypical networks and Reptile are special cases, and the generalisation bounds.
#
# **What our numbers rest on.** The paper's text was not available to us. We read the abstract, the authors' notes on their code, which is announced but not
# published, and six public reviews. The equations below are derived from the stated model and agree with what the reviews quote. The paper's numbers were not
# found: what is tested is exact theory, and the order of methods.
#
# ## The idea
#
# **Two levels.** Episode $i$ has data $D_i$ and weights $\theta_i\in\mathbb R^d$ of its own, with the loss $\ell_i(\theta)=-\log p(D_i\mid\theta)$, summed over its
# points. All weights come from $N(\mu,\Sigma)$. The posterior of $\mu$ and $\Sigma$ is sought among the *normal-inverse-Wishart* laws, $\mu\mid\Sigma\sim
# N(m_0,\Sigma/l_0)$ and $\Sigma\sim\mathrm{IW}(V_0,n_0)$: the law by which [discovering categories](../mixtures/category_discovery.md) compares clusters. There
# it describes points in a cluster, here networks in a family. With many weights $V_0=\mathrm{diag}(v_0)$, so that $E[\Sigma^{-1}]=\mathrm{diag}(n_0/v_0)=:S^{-1}$.
#
# **The objective.** Let $q_i=N(m_i,V_i)$ be the posterior of $\theta_i$. With infinitely many episodes $l_0\to\infty$, and the negative evidence bound of an episode is
#
# $$
# E_{q_i}\ell_i(\theta)+\tfrac12\bigl(\log|V_0|-\log|V_i|+\operatorname{tr}S^{-1}[V_i+(m_i-m_0)(m_i-m_0)^\top]-d\,\psi(\tfrac{n_0}2)-d\log2-d\bigr),
# $$ (eq-niw-objective)
#
# with the digamma function $\psi$. It is to be minimised in $q_i$ for each episode, and on average in $m_0$, $v_0$, $n_0$.
#
# **Closed form.** Let $\ell_i(\theta)\approx\frac12\|z-J\theta\|^2$ plus a constant: after a few steps that lead to some $\bar m$, the network is
# replaced by its tangent there. For noise of standard deviation $\sigma$, $J$ holds the derivatives of the outputs over $\sigma$, and $z=r+J\bar m$ with the residuals
# $r$ over $\sigma$. Then the best $q_i$ is
#
# $$
# V_i=(J^\top J+S^{-1})^{-1},\qquad m_i=V_i(J^\top z+S^{-1}m_0).
# $$ (eq-niw-posterior)
#
# An episode has few points, so the $n\times n$ matrix $C=I+JSJ^\top=LL^\top$ is small. With $F=L^{-1}$ and $R=SJ^\top F^\top$,
#
# $$
# V_i=S-RR^\top,\quad m_i=m_0+RF(z-Jm_0),\quad \log|V_i|=\log|S|+2\log|F|,\quad \operatorname{tr}S^{-1}V_i=d-n+\|F\|^2.
# $$ (eq-niw-woodbury)
#
# The paper, with large networks, replaces $J^\top J$ by a diagonal, estimated from noisy gradient steps (SGLD). In our trial runs the variance of five such steps said
# little about the curvature, and a diagonal $V_i$ left the band as wide at a known point as elsewhere; {eq}`eq-niw-woodbury` keeps all of $J^\top J$.
#
# **One gradient step** on $m_0,\log v_0,\log n_0$ follows, with $J$, $r$ and $\bar m$ as constants. What led to $\bar m$ is not differentiated.
#
# ## The method in code
#
# Arrays carry leading axes, (repetition, episode), which all run at once. First {eq}`eq-niw-woodbury`.

# %%
def times(A, v):
    """Products of matrices with vectors."""
    return (A @ v[..., None])[..., 0]


def local_posterior(m0, s, J, z):
    """m_i and F of each episode; s is the diagonal of S."""
    JS, one = J * s[..., None, :], xp.eye(J.shape[-2], dtype=J.dtype)
    F = ad.solve_triangular(ad.cholesky(JS @ T(J) + one), one)
    return m0 + s * times(T(J), times(T(F), times(F, z - times(J, m0)))), F


# %% [markdown]
# Then {eq}`eq-niw-objective`. The expected loss depends on the kind of data and is handed over.

# %%
def _polygamma(k, x):
    return to_device(polygamma(k, to_host(x)), dtype=x.dtype)


@ad.primitive
def psi(x):
    """The digamma function."""
    return _polygamma(0, x)


ad.defvjp(psi, lambda ans, x: lambda g: g * _polygamma(1, x))


# %%
def unpacked(params):
    """m_0, v_0, n_0 and s = v_0 / n_0."""
    v0, n0 = ad.exp(params["log_v0"]), ad.exp(params["log_n0"])
    return params["m0"], v0, n0, v0 / n0


def objective(params, J, z, expected_loss):
    """The bound of each episode."""
    m0, v0, n0, s = unpacked(params)
    m, F = local_posterior(m0, s, J, z)
    n, d = J.shape[-2:]
    log_V = ad.sum(ad.log(s), axis=-1) + 2 * ad.sum(ad.log(ad.diagonal(F)), axis=-1)
    trace = d - n + ad.sum(F * F, axis=(-2, -1))
    apart = trace + ad.sum((m - m0) ** 2 / s, axis=-1)
    constant = d * (psi(n0 / 2)[..., 0] + math.log(2) + 1)
    divergence = (ad.sum(ad.log(v0), axis=-1) - log_V + apart - constant) / 2
    return expected_loss(m, F, s) + divergence


# %% [markdown]
# ## Experiments
#
# ### A family of linear models
#
# Where $y=x^\top\theta$ plus noise, the tangent is the model itself, everything above is exact and the best possible answer is known. Five weights with $\mu=(1,-1,0.5,0,0)$ and $\Sigma=
# \mathrm{diag}(1,0.5,0.25,0.05,0.01)$; noise $\sigma=0.5$; four points per episode. We stream 2000 episodes once, in batches of 20, and start
# from $m_0=0$ with variances that are off by factors between 3.5 and 350. Eight repetitions.

# %%
MU = to_device(np.asarray([1.0, -1, 0.5, 0, 0]))
SIGMA = to_device(np.asarray([1.0, 0.5, 0.25, 0.05, 0.01]))
NOISE, REPETITIONS, EPISODES = 0.5, 8, scale(default=2000, paper=20_000)


def family(rng, episodes, n):
    """Points x and values y of linear episodes."""
    shape = (REPETITIONS, episodes)
    theta = MU + xp.sqrt(SIGMA) * rng.standard_normal((*shape, 5))
    X = rng.standard_normal((*shape, n, 5))
    return X, times(X, theta) + NOISE * rng.standard_normal((*shape, n))


def exact_loss(J, z):
    """E |z - J theta|^2 / 2 under q_i."""

    def expected(m, F, s):
        trace = J.shape[-2] - ad.sum(F * F, axis=(-2, -1))  # of J V_i J'
        return (ad.sum((z - times(J, m)) ** 2, axis=-1) + trace) / 2

    return expected


# %%
def bound(params, X, y, fixed=None):
    """Mean objective of a batch, summed over repetitions; `fixed` parameters are not learned."""
    J, z = X / NOISE, y / NOISE
    values = objective({**params, **(fixed or {})}, J, z, exact_loss(J, z))
    return ad.sum(ad.mean(values, axis=1))


def learn_family(rng, fixed=None, size=5):
    """Learned parameters and the mean objective of each step."""
    n0 = xp.ones((REPETITIONS, 1, 1))
    start = {"m0": xp.zeros((REPETITIONS, 1, 5)), "log_v0": math.log(3.5) + xp.zeros((REPETITIONS, 1, size)),
             "log_n0": xp.log(n0)}  # fmt: skip
    start = {name: value for name, value in start.items() if name not in (fixed or {})}
    steps = EPISODES // 20
    def loss(params, X, y):
        return bound(params, X, y, fixed)

    fit = nn.fit(loss, start, lambda rng: family(rng, 20, 4), Adam(cosine_decay(0.2, steps), beta2=0.99),
                 steps=steps, rng=rng)  # fmt: skip
    return {**fit.params, **(fixed or {})}, fit.losses / REPETITIONS


# %%
zero = {"m0": xp.zeros((REPETITIONS, 1, 5))}
learned, curve = learn_family(generator(0))
frozen_mean, _ = learn_family(generator(0), zero)
one_scale, _ = learn_family(generator(0), size=1)


# %% [markdown]
# At test time the paper takes the mode of the learned law, $m_0$ and $v_0/(n_0+3)$. Three checks come first: {eq}`eq-niw-woodbury` against
# {eq}`eq-niw-posterior`; the objective, which here must be the exact $-\log p(D_i)$ plus what $n_0$ adds; and its gradient against central differences.

# %%
def mode(params):
    """m_0 and the mode of Sigma."""
    m0, v0, n0, _ = unpacked(params)
    return m0, v0 / (n0 + 3)


X, y = family(generator(1), 10, 4)
m0, s = MU + 0 * X[..., 0, :], SIGMA + 0 * X[..., 0, :]
m, F = local_posterior(m0, s, X / NOISE, y / NOISE)
R = T(F @ (X / NOISE * s[..., None, :]))
V = s[..., None] * xp.eye(5) - R @ T(R)
A = T(X) @ X / NOISE**2
V_direct = xp.linalg.inv(A + xp.eye(5) / s[..., None])
m_direct = times(V_direct, times(T(X), y) / NOISE**2 + m0 / s)
off = max(float(xp.max(xp.abs(V - V_direct))), float(xp.max(xp.abs(m - m_direct))))
claims.check("C1.a", "linear episodes: largest distance of mean and covariance from the exact posterior",
             measured=off, at_most=1e-8, paper="closed form")  # fmt: skip

# %%
m0, _, n0, s = unpacked(learned)
covariance = (X * s[..., None, :]) @ T(X) + NOISE**2 * xp.eye(4)
e, (_, log_det) = y - times(X, m0), xp.linalg.slogdet(2 * math.pi * covariance)
minus_log_p = (xp.sum(e * times(xp.linalg.inv(covariance), e), axis=-1) + log_det) / 2
of_n0 = 5 / 2 * (xp.log(n0 / 2) - psi(n0 / 2))[..., 0]
J, z = X / NOISE, y / NOISE
bounds = objective(learned, J, z, exact_loss(J, z)) + 4 * math.log(NOISE * math.sqrt(2 * math.pi))
claims.check("C1.c", "linear episodes: largest distance of the objective from −log p(D) and the part of n₀", own=True,
             measured=float(xp.max(xp.abs(bounds - of_n0 - minus_log_p))), at_most=1e-8, unit="nats")  # fmt: skip

# %%
flat, restore = ad.ravel_tree(learned)
slope = ad.grad(lambda p: bound(restore(p), X, y))(flat)
worst = 0.0
for direction in generator(2).standard_normal((5, flat.shape[0])):
    ends = [float(bound(restore(flat + h * direction), X, y)) for h in (1e-5, -1e-5)]
    exact = float(xp.sum(slope * direction))
    worst = max(worst, abs((ends[0] - ends[1]) / 2e-5 - exact) / float(xp.linalg.vector_norm(slope)))
claims.check("C1.b", "gradient of the objective by m₀, log v₀, log n₀: largest distance from central differences, relative",
             measured=worst, at_most=1e-5, own=True)  # fmt: skip


# %% [markdown]
# The competitors: the *oracle* knows $\mu$ and $\Sigma$; *pooled* drops the episodes' own weights and fits one $\theta$ to all points, with its own noise; *no global* drops what is shared and takes $N(0,I)$ as the prior of each
# episode. We score queries by their mean negative log-likelihood, NLL; for Gaussians it has a closed form.

# %%
def gaussian_nll(error, variance):
    """Mean negative log-likelihood of each repetition, in nats."""
    values = (xp.log(2 * math.pi * variance) + error**2 / variance) / 2
    return to_host(xp.mean(values, axis=tuple(range(1, values.ndim))))


def query_nll(m0, s, X, y, n):
    """NLL of the points after the first n, given these."""
    J, Q = X[..., :n, :] / NOISE, X[..., n:, :]
    m, F = local_posterior(m0, s, J, y[..., :n] / NOISE)
    R = T(F @ (J * s[..., None, :]))
    variance = NOISE**2 + xp.sum(Q * Q * s[..., None, :], axis=-1) - xp.sum((Q @ R) ** 2, axis=-1)
    return gaussian_nll(y[..., n:] - times(Q, m), variance)


def pooled_nll(X, y, n):
    """The same of one theta for all episodes."""
    A, b = (xp.reshape(v, (REPETITIONS, -1, v.shape[-1])) for v in (X_pool, y_pool[..., None]))
    theta = xp.linalg.solve(T(A) @ A, T(A) @ b)
    noise = xp.mean((b - A @ theta) ** 2, axis=(1, 2))[:, None, None]
    return gaussian_nll(y[..., n:] - (X[..., n:, :] @ theta[:, None])[..., 0], noise + 0 * y[..., n:])


# %%
SHOTS = (1, 2, 4, 8, 16)
X_pool, y_pool = family(generator(3), EPISODES, 4)
laws = {"oracle": (MU + 0 * zero["m0"], SIGMA + 0 * zero["m0"]), "NIW-Meta": mode(learned),
        "no global": (zero["m0"], 1 + zero["m0"]), "m₀ = 0": mode(frozen_mean), "one scale": mode(one_scale)}  # fmt: skip
nll = {name: [] for name in (*laws, "pooled")}
for n in SHOTS:
    X, y = family(generator(4), 1000, n + 10)
    for name, law in laws.items():
        nll[name].append(query_nll(*law, X, y, n))
    nll["pooled"].append(pooled_nll(X, y, n))
nll = {name: np.asarray(values) for name, values in nll.items()}  # (n, repetition)

# %% tags=["hide-input"]
alt = """Left: the objective falls over a hundred steps and levels off. Right: NLL against the number of known points. Oracle and
NIW-Meta lie on one falling curve; pooled is flat and far above; no global starts far above and comes down to them at sixteen points."""
caption = "The family of linear models. Left: the objective while 2000 episodes pass by, mean of eight repetitions. Right: NLL of new points of new episodes."
with figure(1, 2, alt=alt, caption=caption, width=8.4, height=3.3) as axes:
    axes[0].plot(curve)
    axes[0].set(xlabel="step (20 episodes each)", ylabel="objective (nats per episode)")
    for (name, marker) in (("pooled", "^-"), ("no global", "s-"), ("oracle", "o-"), ("NIW-Meta", "x--")):
        axes[1].plot(SHOTS, nll[name].mean(axis=1), marker, label=name)
    axes[1].set(xlabel="known points n", ylabel="NLL (nats per query)", xscale="log")
    axes[1].set_xticks(SHOTS, labels=SHOTS)
    axes[1].minorticks_off()
    axes[1].legend()

# %%
m0, v0, n0, s = unpacked(learned)
by_weight = to_host(xp.mean(xp.abs(s / SIGMA - 1), axis=(0, 1)))
gap = {name: (nll[name] - nll["NIW-Meta"]).mean(axis=1) for name in nll}
four, eight = SHOTS.index(4), {"seeds": REPETITIONS}
claims.check("C2.a", "v₀/n₀ of the first three weights: largest relative error, mean of repetitions", measured=by_weight[:3].max(),
             at_most=0.25, own=True, **eight)  # fmt: skip
claims.check("C2.e", "m₀: largest error of a weight, mean of repetitions", own=True,
             measured=float(xp.max(xp.mean(xp.abs(m0 - MU), axis=(0, 1)))), at_most=0.1, **eight)  # fmt: skip
claims.check("C2.f", "n = 4: NLL of NIW-Meta less the oracle's", measured=-gap["oracle"][four], at_most=0.03, unit="nats", own=True, **eight)  # fmt: skip
claims.check("C2.g", "n = 4: NLL of pooled less NIW-Meta's", measured=gap["pooled"][four], at_least=0.4, unit="nats",
             paper="both levels are needed", **eight)  # fmt: skip
claims.check("C2.h", "n = 4: NLL of no global less NIW-Meta's", measured=gap["no global"][four], at_least=0.2, unit="nats",
             paper="both levels are needed", **eight)  # fmt: skip

# %%
claims.check("C2.b", "n = 4: NLL with m₀ kept at 0, retrained, less NIW-Meta's", measured=gap["m₀ = 0"][four], at_least=0.04,
             unit="nats", own=True, **eight)  # fmt: skip
claims.check("C2.c", "n = 4: NLL with one scale for all weights, retrained, less NIW-Meta's", measured=gap["one scale"][four],
             at_least=0.08, unit="nats", own=True, **eight)  # fmt: skip
claims.check("C2.d", "n = 16: NLL of no global less NIW-Meta's: the prior has lost its weight", measured=gap["no global"][-1],
             between=(0, 0.1), unit="nats", own=True, **eight)  # fmt: skip
say(f"""The objective starts at {curve[0]:.1f} nats and ends near {curve[-10:].mean():.1f}. With one known point no global loses
{gap["no global"][0]:.2f} nats per query to NIW-Meta, with sixteen {gap["no global"][-1]:.2f}. The last two variances, which are small against the noise, are off by
{100 * by_weight[3]:.0f} and {100 * by_weight[4]:.0f} per cent, and hardly matter.""")

# %% [markdown]
# **What $n_0$ does.** In {eq}`eq-niw-objective` $v_0$ and $n_0$ enter through $s=v_0/n_0$, and $n_0$ once more alone, by $\frac12(\log\frac{n_0}2-\psi(\frac{n_0}2))$ per weight. That falls to zero as $n_0\to\infty$. Nothing holds
# $n_0$ back: with infinitely many episodes the posterior of $\Sigma$ shrinks to a point, and learning is type-II maximum likelihood.

# %%
GRID = np.asarray([1.0, 3, 10, 30, 100])
X, y = family(generator(5), 20, 4)
at = []
for value in GRID:
    log_n0 = math.log(value) + 0 * learned["log_n0"]
    at.append(float(bound({**learned, "log_v0": xp.log(s) + log_n0, "log_n0": log_n0}, X, y)) / REPETITIONS)
alone = 5 / 2 * (np.log(GRID / 2) - polygamma(0, GRID / 2))
claims.check("C3.a", "objective at n₀ = 1, 3, 10, 30, 100 with v₀/n₀ kept: largest distance of its steps from the formula",
             measured=np.abs(np.diff(at) - np.diff(alone)).max(), at_most=1e-8, unit="nats", own=True)  # fmt: skip
claims.check("C3.b", "learned n₀, started at 1: smallest of the repetitions", measured=float(xp.min(n0)), at_least=2, own=True, **eight)  # fmt: skip


# %% [markdown]
# ### Sines and lines
#
# Now networks. An episode is, with equal chance, a sine $A\sin(x+p)$ with $A\in(0.1,5)$ and $p\in(0,\pi)$, or a line with slope and intercept in $(-3,3)$; $x\in(-5,5)$, noise $\sigma=0.3$. The
# network has two hidden layers of forty units. An episode's weights are one vector $\theta$; $J$ comes out of one backward pass that keeps the points apart. `Model` says how an error enters: for noise $\sigma$, derivatives and
# residuals are divided by $\sigma$.

# %%
class Model(NamedTuple):
    """Widths; (u, r): derivatives of whitened residuals by outputs, and these; loss; point methods' rate."""

    widths: list
    residuals: object
    loss: object
    rate: float


def layers(theta, widths):
    """Weights and biases of each layer out of vectors theta."""
    start, lead = 0, theta.shape[:-1]
    for n, m in pairwise(widths):
        end = start + n * m
        W, b = theta[..., start:end], theta[..., end : end + m]
        yield ad.reshape(W, (*lead, n, m)), ad.reshape(b, (*lead, 1, m))
        start = end + m


def network(theta, x, widths):
    """Outputs (..., point, output); each theta has points of its own."""
    *hidden, (W, b) = layers(theta, widths)
    for U, c in hidden:
        x = ad.tanh(x @ U + c)
    return x @ W + b


# %%
def tangent(model, theta, x, y):
    """J and z = r + J theta of each episode."""
    *hidden, (W, b) = layers(theta, model.widths)
    h = [x]
    for U, c in hidden:
        h.append(ad.tanh(h[-1] @ U + c))
    u, r = model.residuals(h[-1] @ W + b, y)  # (..., point, row, output), (..., point, row)
    J, lead = [], (*u.shape[:-3], u.shape[-3] * u.shape[-2])
    for U, below in zip([W, *(U for U, _ in hidden[::-1])], h[::-1], strict=True):
        below = below[..., :, None, :]  # the same for all rows of a point
        by_weight = below[..., None] * u[..., None, :]
        J = [ad.reshape(by_weight, (*lead, -1)), ad.reshape(u, (*lead, -1)), *J]
        u = (u @ T(U)[..., None, :, :]) * (1 - below**2)
    J = ad.concat(J, axis=-1)
    return J, ad.reshape(r, lead) + times(J, theta)


# %% [markdown]
# **Inner steps.** From $m_0$, each step takes the tangent and moves to its posterior mean (a Gauss–Newton step). These are plain arrays, so nothing is recorded. **A draw** of $q_i$: with $\varepsilon$
# and $\varepsilon'$ standard normal and $\delta=\sqrt s\,\varepsilon$, a draw of the prior, $\theta=m_i+\delta-RF(J\delta+\varepsilon')$ has covariance $V_i$.

# %%
def inner(model, m0, s, x, y, steps):
    """J and z of the tangent at m-bar."""
    theta = m0 + xp.zeros((*x.shape[:-2], 1), dtype=x.dtype)
    for _ in range(steps):
        theta = local_posterior(m0, s, *tangent(model, theta, x, y))[0]
    return tangent(model, theta, x, y)


def draw(m, F, s, J, noise):
    """Weights from q_i."""
    delta = ad.sqrt(s) * noise[0]
    return m + delta - s * times(T(J), times(T(F), times(F, times(J, delta) + noise[1])))


def bound_of_networks(params, x, y, noise, model, steps):
    """Mean objective of a batch, summed over repetitions."""
    m0, _, _, s = unpacked(ad.stop_gradient(params))
    J, z = inner(model, m0, s, x, y, steps)

    def expected(m, F, s):
        return model.loss(network(draw(m, F, s, J, noise), x, model.widths), y)

    return ad.sum(ad.mean(objective(params, J, z, expected), axis=1))


# %% [markdown]
# Training takes 15 points of each of four episodes a step. $s$ starts at $0.01$ for the hidden layers and $0.1$ for the last one, $n_0$ at 100.

# %%
def single(*arrays):
    """Arrays in single precision."""
    return tuple(xp.astype(a, xp.float32) for a in arrays)


def weights(rng, widths, repetitions):
    """Random weights as vectors (repetition, 1, d)."""
    nets = [nn.mlp_init(rng, widths) for _ in range(repetitions)]
    parts = [[xp.reshape(layer[k], (-1,)) for layer in net for k in ("weight", "bias")] for net in nets]
    return xp.stack([xp.concat(p) for p in parts])[:, None, :]


def normals(rng, lead, J_shape):
    """Noise for `draw`."""
    return tuple(rng.standard_normal((*lead, k), dtype=np.float32) for k in (J_shape[-1], J_shape[-2]))


# %%
def meta_train(model, episodes, rows, rng, steps, repetitions, inner_steps=2, rate=0.02, s=(0.01, 0.1)):
    """Learn m_0, v_0 and n_0."""
    m0 = weights(rng, model.widths, repetitions)
    last = (model.widths[-2] + 1) * model.widths[-1]
    v = xp.where(xp.arange(m0.shape[-1]) < m0.shape[-1] - last, *s)
    log_n0 = xp.full((repetitions, 1, 1), math.log(100), dtype=xp.float32)
    start = {"m0": m0, "log_v0": single(xp.log(v) + log_n0 + 0 * m0)[0], "log_n0": log_n0}

    def batch(rng):
        x, y = episodes(rng)
        return x, y, normals(rng, x.shape[:2], (rows, m0.shape[-1]))

    def loss(p, x, y, noise):
        return bound_of_networks(p, x, y, noise, model, inner_steps)

    adam = Adam(cosine_decay(rate, steps), beta2=0.99)
    return nn.fit(loss, start, batch, adam, steps=steps, rng=rng, description="NIW-Meta").params


# %%
SIGMA_Y, RUNS, TASKS = 0.3, scale(default=4, paper=5), 100
WIDTHS = scale(default=[1, 40, 40, 1], paper=[1, 40, 40, 40, 1])
STEPS, PER_STEP = scale(default=(540, 4), paper=(60_000, 25))


def curves(rng, episodes, n, runs=RUNS):
    """Points of sines and lines, (run, episode, point, 1)."""
    x = rng.uniform(-5, 5, (runs, episodes, n, 1))
    A, p, a, b, coin = rng.uniform(0, 1, (5, runs, episodes, 1, 1))
    sine = (0.1 + 4.9 * A) * xp.sin(x + math.pi * p)
    f = xp.where(coin < 0.5, sine, (6 * a - 3) * x + 6 * b - 3)
    return single(x, f + SIGMA_Y * rng.standard_normal(x.shape))


def squares(f, y):
    """Sum of squares over 2 sigma^2, for each episode."""
    return ad.sum((y - f) ** 2, axis=(-2, -1)) / (2 * SIGMA_Y**2)


def scaled(f, y):
    """1 / sigma, and the residuals over sigma."""
    return xp.ones_like(y)[..., None] / SIGMA_Y, (y - f) / SIGMA_Y


# %%
REGRESSION = Model(WIDTHS, scaled, squares, 0.03 * SIGMA_Y**2)
niw = meta_train(REGRESSION, lambda rng: curves(rng, PER_STEP, 15), 15, generator(10), STEPS, RUNS)


# %% [markdown]
# **Point methods** have the same network and as many gradients: a step of NIW-Meta costs four passes per episode (three tangents and a gradient), one of theirs six, so they take two thirds of the steps. *Pooled* trains one network on everything and fine-tunes it. *Reptile* moves $m_0$ towards the weights after five gradient steps. *FOMAML* (first-order MAML) adapts
# on five of the points and takes the gradient on the other ten there. Rates were chosen on other seeds.

# %%
def descend(model, m0, x, y, steps):
    """Gradient steps on the loss from m0; a step moves no weight by more than 0.3."""
    theta = m0 + xp.zeros((*x.shape[:-2], 1), dtype=x.dtype)
    slope = ad.grad(lambda t: ad.sum(model.loss(network(t, x, model.widths), y)))
    for _ in range(steps):
        theta = theta - xp.clip(model.rate / x.shape[-2] * slope(theta), -0.3, 0.3)
    return theta


def pooled(m0, x, y, model):
    """All points with one network."""
    return model.loss(network(m0 + xp.zeros((*x.shape[:-2], 1), dtype=x.dtype), x, model.widths), y)


def reptile(m0, x, y, model):
    """Half the squared distance from where five steps lead."""
    return ad.sum((m0 - descend(model, ad.plain(m0), x, y, 5)) ** 2, axis=-1) / 2


def fomaml(m0, x, y, model, known=5):
    """Loss on other points after five steps, which count as a constant shift."""
    m, rest = ad.plain(m0), (slice(None), slice(None), slice(known, None))
    shift = descend(model, m, x[:, :, :known], y[:, :, :known], 5) - m
    return model.loss(network(m0 + shift, x[rest], model.widths), y[rest])


# %%
def point_train(method, model, episodes, rng, steps, repetitions, rate=0.01):
    """Learn the starting point of a point method."""
    def loss(p, x, y):
        return ad.sum(ad.mean(method(p["m0"], x, y, model), axis=1))

    start = {"m0": weights(rng, model.widths, repetitions)}
    return nn.fit(loss, start, episodes, Adam(cosine_decay(rate, steps)), steps=steps, rng=rng,
                  description=method.__name__).params["m0"]  # fmt: skip


starts = {
    method.__name__: point_train(method, REGRESSION, lambda rng, k=k: curves(rng, k * PER_STEP, 15),
                                 generator(11), 2 * STEPS // 3, RUNS)
    for method, k in ((pooled, 6), (reptile, 1), (fomaml, 1))
}  # fmt: skip


# %%
def predictions(params, x, y, queries, rng, steps=2, draws=10):
    """Mean and variance of the outputs at queries over draws from the posterior."""
    m0, s = mode(params)
    J, z = inner(REGRESSION, m0, s, x, y, steps)
    noise = normals(rng, (draws, *x.shape[:2]), J.shape)
    theta = draw(*local_posterior(m0, s, J, z), s, J, noise)
    f = xp.astype(network(theta, queries, WIDTHS), xp.float64)
    return xp.mean(f, axis=0), xp.var(f, axis=0, correction=1)


def point_predictions(m0, x, y, queries, rng):
    """Outputs after ten steps; variance zero."""
    f = network(descend(REGRESSION, m0, x, y, 10), queries, WIDTHS)
    return xp.astype(f, xp.float64), xp.zeros(f.shape)


# %%
def scored(predict, start, n, seed=20, runs=RUNS):
    """Squared errors, predictive variances and whether a query lies beyond the known points."""
    rng = generator(seed)
    x, y = curves(rng, TASKS, n + 20, runs)
    mean, variance = predict(start, x[:, :, :n], y[:, :, :n], x[:, :, n:], rng)
    low, high = (f(x[:, :, :n], axis=2, keepdims=True) for f in (xp.min, xp.max))
    beyond = (x[:, :, n:] < low) | (x[:, :, n:] > high)
    return (to_host(v) for v in ((mean - y[:, :, n:]) ** 2, variance, beyond))


def nll_of(squared, variance):
    """Mean NLL of normal predictions."""
    return float(np.mean(np.log(2 * np.pi * variance) + squared / variance) / 2)


def fitted_noise(predict, start, n):
    """Noise variance, beside that of the prediction, with the best NLL on training tasks."""
    squared, variance, _ = scored(predict, start, n, seed=21)
    def score(log_v):
        return nll_of(squared, variance + math.exp(log_v))

    return math.exp(minimize_scalar(score, bounds=(-4, 6), method="bounded").x)


# %%
arms = {"pooled": (point_predictions, starts["pooled"]), "Reptile": (point_predictions, starts["reptile"]),
        "FOMAML": (point_predictions, starts["fomaml"]), "NIW-Meta": (predictions, niw)}  # fmt: skip
results = {}
for name, (predict, start) in arms.items():
    for n in (5, 10):
        squared, variance, beyond = scored(predict, start, n)
        total, alone = variance + fitted_noise(predict, start, n), variance + SIGMA_Y**2
        inside, narrow = ((squared <= 1.645**2 * v).mean() for v in (total, alone))
        widths = [math.sqrt(alone[side].mean()) for side in (beyond, ~beyond)]
        errors = [math.sqrt(squared[side].mean()) for side in (beyond, ~beyond)]
        results[name, n] = {"MSE": squared.mean(), "NLL (nats)": nll_of(squared, total), "covered": inside, "alone": narrow,
                            "band": widths[0] / widths[1], "error": errors[0] / errors[1]}  # fmt: skip
columns = ["method, known points", "MSE", "NLL (nats)", "in 90 % interval", "the same with σ", "band beyond / within", "error beyond / within"]
table([[f"{name}, {n}", *r.values()] for (name, n), r in results.items()], columns,
      "Sines and lines: new points of new episodes. Beyond and within: the range of the known points; the band is the spread with σ alone, the error a root mean square")  # fmt: skip

# %%
five, ten = ({name: r for (name, n), r in results.items() if n == k} for k in (5, 10))
ours, many = five["NIW-Meta"], {"seeds": RUNS}
better = "better accuracy"
claims.check("C4.a", "5 points: MSE over that of pooled and fine-tuned", measured=ours["MSE"] / five["pooled"]["MSE"], at_most=0.7, paper=better, **many)  # fmt: skip
claims.check("C4.d", "5 points: MSE over FOMAML's", measured=ours["MSE"] / five["FOMAML"]["MSE"], at_most=1.15, paper=better, **many)  # fmt: skip
claims.check("C4.b", "5 points: NLL of FOMAML less NIW-Meta's", measured=five["FOMAML"]["NLL (nats)"] - ours["NLL (nats)"],
             at_least=0.2, unit="nats", paper="better calibration", **many)  # fmt: skip
claims.check("C4.g", "10 points: NLL of the best point method less NIW-Meta's", own=True,
             measured=min(r["NLL (nats)"] for name, r in ten.items() if name != "NIW-Meta") - ten["NIW-Meta"]["NLL (nats)"], at_least=0.5, unit="nats", **many)  # fmt: skip
claims.check("C4.c", "5 points: band beyond the known points over that within", measured=ours["band"], at_least=1.1, own=True, **many)  # fmt: skip
claims.check("C4.e", "MSE with 10 points over that with 5", measured=ten["NIW-Meta"]["MSE"] / ours["MSE"], at_most=0.5, own=True, **many)  # fmt: skip
claims.check("C4.h", "5 points: share within the 90 % interval with σ in place of the fitted noise", measured=ours["alone"], between=(0.65, 0.82), own=True, **many)  # fmt: skip
claims.check("C4.f", "5 points: share within the 90 % interval", measured=ours["covered"], between=(0.75, 0.98), own=True, **many)  # fmt: skip

# %% [markdown]
# Of every method the noise around its curves is fitted on training tasks, after adaptation with the same number of points. The band, here and in the picture, has the true $\sigma$ instead: a point method's is then the same everywhere.

# %% tags=["hide-input"]
GRID_X = xp.linspace(-7, 7, 141, dtype=xp.float32)
at = to_device(np.asarray([1.2, -3.1, 2.4, -1.0, 0.3, 3.6, -4.2, -2.2, 4.6, -0.4]))
truths = (lambda x: 3 * xp.sin(x + 1), lambda x: 0.8 * x - 1)
rng = generator(30)
first = {name: value[:1] for name, value in niw.items()}
seen_x = xp.broadcast_to(at[:, None], (1, 2, 10, 1))
seen_y = xp.stack([f(at) for f in truths])[..., None] + SIGMA_Y * rng.standard_normal((1, 2, 10, 1))
seen_x, seen_y = single(seen_x, seen_y)
grid = xp.broadcast_to(GRID_X[:, None], (1, 2, 141, 1))


# %% tags=["hide-input"]
def draw_fits(axes, n):
    x, y = seen_x[:, :, :n], seen_y[:, :, :n]
    mean, variance = predictions(first, x, y, grid, generator(31), draws=100)
    point = point_predictions(starts["fomaml"][:1], x, y, grid, None)[0]
    half, g = 1.645 * xp.sqrt(variance + SIGMA_Y**2), to_host(GRID_X)
    for k, ax in enumerate(axes):
        m, h, p = (to_host(v[0, k, :, 0]) for v in (mean, half, point))
        ax.fill_between(g, m - h, m + h, alpha=0.25, label="NIW-Meta, 90 %")
        ax.plot(g, m, label="NIW-Meta, mean")
        ax.plot(g, p, ":", color="C1", label="FOMAML")
        ax.plot(g, to_host(truths[k](GRID_X)), "--", color="gray", lw=1, label="truth")
        ax.plot(to_host(x[0, k, :, 0]), to_host(y[0, k, :, 0]), "ko", ms=4)
        ax.set(xlabel="x", ylim=(-8, 11), title=("a sine", "a line")[k])
    axes[0].set_ylabel("y")
    axes[0].legend(fontsize=7, ncols=2, loc="upper center")


# %% tags=["hide-input"]
caption = """Two new episodes: posterior mean and 90 % band of NIW-Meta, the one curve of FOMAML, and the truth. Training saw x
between −5 and 5. The control changes how many points are known."""
slider((1, 2, 3, 5, 10), draw_fits, label="known points", start=3, columns=2, height=3.4, sharey=True, caption=caption,
       alt=lambda n: f"A sine and a line with {n} known points. NIW-Meta's mean passes near the points; its "
       "band is narrow there and wide away from them. FOMAML draws one curve.")  # fmt: skip

# %%
say(f"""With five known points the root mean square error beyond them is {ours["error"]:.2f} times that within, and the band is
{ours["band"]:.2f} times as wide. The posterior alone is too narrow: with σ the 90 % interval holds {100 * ours["alone"]:.0f} per cent with five points and
{100 * ten["NIW-Meta"]["alone"]:.0f} with ten; with fitted noise it holds {100 * ours["covered"]:.0f} and {100 * ten["NIW-Meta"]["covered"]:.0f}. We did not find out why.""")


# %% [markdown]
# ### What a step costs
#
# MAML proper differentiates through its inner steps: the *tape*, the record from which gradients are computed, holds them all. We count the tape's nodes and the peak memory of one outer step on four episodes.

# %%
def nodes(loss, params):
    """Number of recorded operations."""
    _, end, _ = record(loss, params)
    found, left = set(), [end]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += node.parents
    return len(found)


def cost(loss, params):
    """Nodes, peak memory (MB) and time (ms) of a gradient."""
    step = ad.value_and_grad(loss)
    step(params)
    tracemalloc.start()
    step(params)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    begin = perf_counter()
    step(params)
    return nodes(loss, params), peak, 1000 * (perf_counter() - begin)


# %%
def maml(m0, x, y, steps, model=REGRESSION):
    """Loss on the other points after steps that are differentiated."""
    theta = m0 + xp.zeros((*x.shape[:-2], 1), dtype=x.dtype)
    def inner_loss(t):
        return ad.sum(model.loss(network(t, x[:, :, :5], model.widths), y[:, :, :5]))

    for _ in range(steps):
        theta = theta - model.rate / 5 * ad.grad(inner_loss)(theta)
    return ad.sum(model.loss(network(theta, x[:, :, 5:], model.widths), y[:, :, 5:]))


x, y = curves(generator(40), 4, 15)
noise, INNER = normals(generator(41), x.shape[:2], (15, niw["m0"].shape[-1])), scale(default=(1, 2, 4, 8, 16), paper=(1, 2, 4, 8, 16, 32, 64))
costs = {
    name: np.asarray([cost(lambda p, k=k, loss=loss: loss(p, k), start) for k in INNER])
    for name, loss, start in (
        ("NIW-Meta", lambda p, k: bound_of_networks(p, x, y, noise, REGRESSION, k), niw),
        ("MAML", lambda p, k: maml(p, x, y, k), starts["fomaml"]),
    )
}
rows = [[f"{name}, {k}", int(c[0]), c[1], c[2]] for name, v in costs.items() for k, c in zip(INNER, v, strict=True)]
table(rows, ["method, inner steps", "tape nodes", "peak memory (MB)", "time (ms)"], "One outer step on sines and lines")

# %%
ratio = {name: v[-1] / v[0] for name, v in costs.items()}
said = {"paper": "flat, where MAML grows"}
claims.check("C5.a", "NIW-Meta: tape nodes with 16 inner steps over those with 1", measured=ratio["NIW-Meta"][0], equals=1.0, **said)  # fmt: skip
claims.check("C5.c", "NIW-Meta: peak memory with 16 inner steps over that with 1", measured=ratio["NIW-Meta"][1], at_most=1.2, **said)  # fmt: skip
claims.check("C5.d", "MAML: tape nodes with 16 inner steps over those with 1", measured=ratio["MAML"][0], at_least=6, **said)  # fmt: skip
claims.check("C5.e", "MAML: peak memory with 16 inner steps over that with 1", measured=ratio["MAML"][1], at_least=3, **said)  # fmt: skip

say(f"""NIW-Meta's cost is flat, but not low: with J kept, a step takes {costs["NIW-Meta"][0][1]:.0f} MB, MAML's {costs["MAML"][0][1]:.1f} with one inner
step and {costs["MAML"][-1][1]:.0f} with {INNER[-1]}.""")

# %% [markdown]
# The time of both grows. Do the inner steps matter at all? A flat cost would be cheap if nothing were done. We train once more with the tangent taken at $m_0$.

# %%
HALF = (RUNS + 1) // 2
lazy = meta_train(REGRESSION, lambda rng: curves(rng, PER_STEP, 15, HALF), 15, generator(10), STEPS, HALF, inner_steps=0)  # fmt: skip
some = {name: value[:HALF] for name, value in niw.items()}
def without(*arguments):
    return predictions(*arguments, steps=0)

lost = {}
for n in (5, 10):
    before, after = (next(scored(predict, start, n, runs=HALF)).mean(axis=(2, 3)) for predict, start in ((without, lazy), (predictions, some)))
    lost[n] = np.exp(np.log(before / after).mean())  # episodes are paired
claims.check("C5.b", "10 points: MSE of an episode without inner steps, retrained, over that with two, geometric mean", measured=lost[10],
             at_least=1.05, own=True, seeds=HALF)  # fmt: skip
say(f"""Without inner steps the MSE of an episode is {lost[5]:.2f} times as large with five points and {lost[10]:.2f} times with ten, in the geometric mean: the
closed form is itself a large step, and the tangent at m₀ is already useful.""")

# %% [markdown]
# ### Digits never seen
#
# Real images: scikit-learn's digits. An episode has three classes in random order, five known images of each and five to name. Classes 0 to 5 are for training, 6 to 9 for the test. The network is 64–40–3 with a softmax. With probabilities $p$ the tangent's
# error is weighted by $\mathrm{diag}(p)-pp^\top=\sum_kp_k(e_k-p)(e_k-p)^\top$, so that an image gives three rows, $\sqrt{p_k}(e_k-p)$ with the residuals $(y_k-p_k)/\sqrt{p_k}$.
# One inner step is taken; at test time a second changed no answer on other seeds.

# %%
digits = data.table("digits")
pixels = to_device(digits.data / 16, dtype=xp.float32)
FEWEST = int(np.bincount(digits.target).min())
OF_CLASS = to_device(np.stack([np.flatnonzero(digits.target == k)[:FEWEST] for k in range(10)]))
WAYS, SHOT = 3, 5


def images(rng, episodes, classes):
    """Images (1, episode, 30, 64), the known ones first, and their classes, one-hot."""
    chosen = xp.argsort(rng.uniform(0, 1, (episodes, len(classes))), axis=1)[:, :WAYS]
    chosen = to_device(np.asarray(classes))[chosen]
    which = xp.argsort(rng.uniform(0, 1, (episodes, WAYS, FEWEST)), axis=2)[:, :, : 2 * SHOT]
    index = OF_CLASS[chosen[:, :, None], which]  # (episode, class, image)
    index = xp.reshape(xp.permute_dims(index, (0, 2, 1)), (episodes, -1))
    y = xp.broadcast_to(xp.eye(WAYS, dtype=xp.float32)[xp.arange(index.shape[1]) % WAYS], (*index.shape, WAYS))
    return pixels[index][None], y[None]


# %%
def softmax_rows(f, y):
    """The rows u and residuals r of each image."""
    p = ad.softmax(f)
    root = xp.sqrt(xp.clip(p, 1e-3, 1.0))
    return root[..., None] * (xp.eye(WAYS, dtype=f.dtype) - p[..., None, :]), (y - p) / root


def cross_entropy(f, y):
    """Sum over the images of each episode."""
    return -ad.sum(y * ad.log_softmax(f), axis=(-2, -1))


DIGITS = Model([64, 40, WAYS], softmax_rows, cross_entropy, 0.5)
KNOWN = WAYS * SHOT


# %%
def known_images(rng):
    x, y = images(rng, 4, range(6))
    return x[:, :, :KNOWN], y[:, :, :KNOWN]


D_STEPS = scale(default=120, paper=5000)
niw_digits = meta_train(DIGITS, known_images, WAYS * KNOWN, generator(50), D_STEPS, 1, inner_steps=1, rate=0.005, s=(0.003, 0.3))
fomaml_digits = point_train(
    lambda m0, x, y, model: fomaml(m0, x, y, model, KNOWN), DIGITS,
    lambda rng: images(rng, 4, range(6)), generator(51), 2 * D_STEPS, 1,
)  # fmt: skip


# %%
def name_digits(m0, s, x, y, queries, rng, steps=1, draws=10):
    """Class probabilities, mean over draws or at the posterior mean (draws=0); 10 episodes at once."""
    parts = []
    for k in range(0, x.shape[1], 10):
        some = slice(k, k + 10)
        J, z = inner(DIGITS, m0, s, x[:, some], y[:, some], steps)
        m, F = local_posterior(m0, s, J, z)
        thetas = [draw(m, F, s, J, normals(rng, J.shape[:2], J.shape)) for _ in range(draws)] or [m]
        parts.append(sum(ad.softmax(network(t, queries[:, some], DIGITS.widths)) for t in thetas) / len(thetas))
    return xp.concat(parts, axis=1)


def accuracy_and_ece(p, y):
    """Share of right answers, and the calibration error over all queries."""
    p, y = (xp.reshape(v, (-1, WAYS)) for v in (xp.astype(p, xp.float64), y))
    p = p / xp.sum(p, axis=1, keepdims=True)
    truth = xp.argmax(y, axis=1)
    return float(xp.mean(xp.astype(xp.argmax(p, axis=1) == truth, xp.float64))), expected_calibration_error(p, truth)


# %%
rng = generator(52)
x, y = images(rng, 300, range(6, 10))
x, y, queries, truth = x[:, :, :KNOWN], y[:, :, :KNOWN], x[:, :, KNOWN:], y[:, :, KNOWN:]
m0, s = mode(niw_digits)
shuffled = xp.take_along_axis(y, xp.argsort(rng.uniform(0, 1, y.shape[:3]), axis=2)[..., None], axis=2)
means = T(y) @ x / SHOT
distance = xp.sum((queries[..., None, :] - means[..., None, :, :]) ** 2, axis=-1)
fomaml_p = ad.softmax(network(descend(DIGITS, fomaml_digits, x, y, 10), queries, DIGITS.widths))
found = {
    "NIW-Meta": accuracy_and_ece(name_digits(m0, s, x, y, queries, rng), truth),
    "FOMAML": accuracy_and_ece(fomaml_p, truth),
    "nearest class mean": accuracy_and_ece(ad.softmax(-distance), truth),
    "NIW-Meta, known labels shuffled": accuracy_and_ece(name_digits(m0, s, x, shuffled, queries, rng), truth),
    "NIW-Meta, adaptation off": accuracy_and_ece(name_digits(m0, 1e-9 * s, x, y, queries, rng, steps=0), truth),
    "posterior mean": accuracy_and_ece(name_digits(m0, s, x, y, queries, rng, draws=0), truth),
    "posterior mean, 100 s": accuracy_and_ece(name_digits(m0, 100 * s, x, y, queries, rng, draws=0), truth),
}
table([[name, *v] for name, v in found.items()], ["method", "accuracy", "calibration error"], "Three of the digits 6 to 9, five known images each; 300 episodes")  # fmt: skip

# %%
ours, three = found["NIW-Meta"], found["NIW-Meta, known labels shuffled"]
claims.check("C6.a", "accuracy less that of the nearest class mean", measured=ours[0] - found["nearest class mean"][0], at_least=-0.03, paper="better accuracy",
             not_reproduced="in part, s keeps the weights too near m₀ (C6.g); what remains at 100 s we cannot explain")  # fmt: skip
claims.check("C6.i", "the same difference, bounded below", measured=ours[0] - found["nearest class mean"][0], at_least=-0.22, own=True)  # fmt: skip
claims.check("C6.c", "accuracy (chance: 1/3)", measured=ours[0], between=(0.6, 0.88), own=True)  # fmt: skip
claims.check("C6.d", "calibration error less FOMAML's", measured=ours[1] - found["FOMAML"][1], at_most=0.02, paper="better calibration",
             not_reproduced="s keeps the weights too near m₀: at 100 s nearly all of the error is gone (C6.h)")  # fmt: skip
claims.check("C6.e", "the same difference, bounded above", measured=ours[1] - found["FOMAML"][1], at_most=0.35, own=True)  # fmt: skip
claims.check("C6.b", "accuracy with the known labels shuffled", measured=three[0], between=(0.23, 0.43), own=True)  # fmt: skip
claims.check("C6.f", "accuracy lost with adaptation off", measured=ours[0] - found["NIW-Meta, adaptation off"][0], at_least=0.15, own=True)  # fmt: skip

mean, wide = found["posterior mean"], found["posterior mean, 100 s"]
claims.check("C6.g", "posterior mean: accuracy gained by 100 s in place of s", measured=wide[0] - mean[0], at_least=0.015, own=True)
claims.check("C6.h", "posterior mean: calibration error with 100 s over that with s", measured=wide[1] / mean[1], at_most=0.3, own=True)

# %% [markdown]
# Here the method works, and is no match for one without learning. Its mistake is the opposite of the point methods': right answers get too little probability. It is not the draws that blur: the posterior mean alone is no
# better calibrated. It is the learned $s$, which keeps the weights near $m_0$. With a hundred times as much the mean names more digits, and says how surely (rows C6.g and C6.h). Why learning makes $s$ so small we did not find out.
#
# ## Verdict
#
# The closed forms, the two levels and the flat cost hold. On sines and lines the posterior is what the paper promises: better predictions than three point methods, and a band that widens where nothing is known. The posterior alone is
# too narrow there. On digits the order of methods is not reproduced: the learned Gaussian is too tight for new classes.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# Image benchmarks with convolutional networks and vision transformers, and pose estimation: neither data nor pretrained weights are bundled. The paper's numbers, which we have not seen. Its diagonal posterior estimated by SGLD: we keep
# the covariance. Its variational gradient steps at test time: we use the closed form, from the same tangent. MAML as a competitor in accuracy, for its cost. Special cases and generalisation bounds. For clusters in place of tasks, see [discovering
# categories](../mixtures/category_discovery.md).
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes a third hidden layer, 60 000 steps of 25 episodes, five repetitions, and up to 64 inner steps; the digits keep their network. Random numbers are drawn on the host. Nothing here has been run on a GPU.
