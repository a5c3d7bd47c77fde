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
# # A tutorial on Bayesian optimization
#
# ```{paper-card}
# ```
#
# Some functions are so dear that one can afford only a few dozen evaluations of them: a night of training, a
# wind-tunnel run, a month of a trial. *Bayesian optimization* spends them with care. It keeps a Gaussian process as its
# belief about the function $f$, and it asks of every candidate point, before paying for it: how much better off would
# I be with that answer? The point with the largest expected gain is evaluated, the belief is updated, and the question is
# asked again.
#
# What "better off" means is the whole subject. {cite:t}`bayesian_optimization` derives the usual answers (expected improvement, knowledge
# gradient, entropy search) from one decision-theoretic argument and carries them over to noise,
# parallel evaluations, constraints, cheap approximations and derivatives. This chapter puts all of these acquisition functions side by side on one small
# problem where each can be computed exactly, repairs a misprint in the tutorial's formula of expected improvement, and then lets
# them play against each other on the same functions with the same noise.
#
# ## What the paper claims
#
# The tutorial has no benchmark tables: its claims are formulas, and statements about when which of them pays.
#
# 1. The posterior of a Gaussian process has mean and variance in closed form, and zero variance at data without noise.
#    Expected improvement (EI) has a closed form, vanishes at evaluated points, and grows with both the posterior mean
#    and the posterior deviation. The printed formula contains an error, which we show.
#    {claims}`C1.a, C1.b, C1.c, C1.d, C1.e`
# 2. The knowledge gradient (KG) values the change of the largest posterior mean; its gradient can be estimated without
#    bias through the envelope theorem (algorithms 2 to 4; suggested sizes $R = 10$, $T = 100$, $a = 4$, $J = 1000$).
#    {claims}`C2.a, C2.b, C2.c, C2.d`
# 3. Under noise the natural extension of EI is one-step optimality among the *evaluated* points, rather than an ad hoc
#    substitute; it becomes EI as the noise vanishes. {claims}`C3.a, C3.b, C3.c`
# 4. Entropy search (ES) and predictive entropy search (PES) are the same quantity. {claims}`C4.a, C4.b, C4.c`
# 5. KG has a small advantage over EI without noise and a substantial one with noise.
#    {claims}`C5.a, C5.b, C5.c, C5.d, C5.e, C5.f`
# 6. Bayesian optimization needs few evaluations of a dear function of few variables. {claims}`C6.a, C6.b, C6.c`
# 7. EI of a batch of points can be optimised, and the constant liar approximates it greedily; with constraints only
#    feasible improvement counts. EI is blind to cheap approximations of $f$ and to derivatives, KG and ES are not.
#    {claims}`C7.a, C7.b, C7.c, C7.d, C7.e, C7.f, C7.g, C7.h`
#
# Not tested here: that one-step policies come within 98 % of the multi-step optimum in a solvable problem (cited from
# earlier work), and ES for cheap approximations and derivatives.
#
# Our numbers rest on the full text of sections 2 to 7. Since the tutorial prints no measured numbers, the reference values below are
# those of our own specification, computed independently of this chapter and cross-checked there by simulation.
#
# ## The idea
#
# **The belief.** We maximise $f$ over a set $A$. The prior is a Gaussian process with mean $\mu_0$ and covariance $k$; an evaluation returns
# $y = f(x) + \varepsilon$ with $\varepsilon \sim \mathcal N(0, \lambda)$. After $n$ of them, with $K$ the covariance matrix of the
# evaluated points and $k_x$ the vector of their covariances with $f(x)$,
#
# ```{math}
# :label: bo-posterior
# \mu_n(x) = \mu_0 + k_x^\top (K + \lambda I)^{-1}(y - \mu_0), \qquad
# C_n(x, x') = k(x, x') - k_x^\top (K + \lambda I)^{-1} k_{x'},
# ```
#
# and $\sigma_n^2(x) = C_n(x, x)$. The next observation moves the mean by a random amount of known law:
# $\mu_{n+1}(x') = \mu_n(x') + \tilde\sigma_n(x', x)\,Z$ with $Z \sim \mathcal N(0, 1)$ and
#
# ```{math}
# :label: bo-sigma-tilde
# \tilde\sigma_n(x', x) = C_n(x', x) \big/ \sqrt{C_n(x, x) + \lambda}.
# ```
#
# **One argument, three answers.** Suppose a single evaluation is left. If we must then return a point that was evaluated, and there is
# no noise, the gain is $[f(x) - f_n^*]^+$ with $f_n^*$ the best value so far: its expectation is EI. If we may
# return *any* point and are judged by its expected value, the gain is the rise of the largest posterior mean: KG. If what we want is to *know* the
# maximiser $x^*$, the gain is the mutual information between $y$ and $x^*$: ES and PES.
#
# **Expected improvement, and the misprint.** Let $\Delta = \mu_n(x) - f_n^*$, $\sigma = \sigma_n(x)$ and
# $h(z) = \varphi(z) + z\,\Phi(z)$ with the normal density $\varphi$ and distribution function $\Phi$. Integration gives
#
# ```{math}
# :label: bo-ei
# \mathrm{EI} = \mathbb E[\Delta + \sigma Z]^+ = \Delta\,\Phi(\Delta/\sigma) + \sigma\,\varphi(\Delta/\sigma) = \sigma\,h(\Delta/\sigma).
# ```
#
# From $\Phi(z) = 1 - \Phi(-z)$ follows $h(z) = z + h(-z)$, so that for either sign $h(z) = [z]^+ + h(-|z|)$ and
#
# ```{math}
# :label: bo-ei-split
# \mathrm{EI} = [\Delta]^+ + \sigma\,\varphi(\Delta/\sigma) - |\Delta|\,\Phi(-|\Delta|/\sigma).
# ```
#
# The tutorial prints the last factor as $\Phi(\Delta/\sigma)$. For $\Delta \le 0$ that is the same number. For $\Delta > 0$
# it is too large, by $\Phi(\Delta/\sigma) - \Phi(-\Delta/\sigma)$, and the formula falls where it should rise. A positive $\Delta$ cannot occur
# at an evaluated point, but it does occur between them.
#
# **The knowledge gradient** is the expected maximum of straight lines in $Z$,
#
# ```{math}
# :label: bo-kg
# \mathrm{KG}_n(x) = \mathbb E\max_{x'}\bigl[\mu_n(x') + \tilde\sigma_n(x', x)\,Z\bigr] - \max_{x'}\mu_n(x').
# ```
#
# On a finite set, sort the lines $a_i + b_i z$ by slope and keep those that are somewhere the largest. If $c_i$ is the place where the next kept line
# overtakes line $i$, then the maximum is piecewise linear with kinks at the $c_i$, and
#
# ```{math}
# :label: bo-envelope
# \mathbb E \max_i (a_i + b_i Z) - \max_i a_i = \sum_i (b_{i+1} - b_i)\,h(-|c_i|) .
# ```
#
# **Noise.** Under noise nobody knows $f_n^*$. A popular substitute puts $\mu_n^{**} = \max_i \mu_n(x_i)$, the best posterior mean of an evaluated
# point, into {eq}`bo-ei` and goes on ("plug-in EI"). The one-step argument says otherwise: the gain is
# $\mathbb E[\mu_{n+1}^{**} - \mu_n^{**}]$, where $\mu_{n+1}^{**}$ is the best posterior mean among $x_1, \ldots, x_n$ and $x$ *after* the observation. That is
# equation {eq}`bo-envelope` again, with few lines.
#
# **Entropies.** With $H[X] = -\int p \log p$ (the tutorial's definition of the differential entropy lacks the minus sign),
#
# $$\mathrm{ES}(x) = H[x^*] - \mathbb E_y\,H[x^* \mid y], \qquad \mathrm{PES}(x) = H[y] - \mathbb E_{x^*}\,H[y \mid x^*].$$
#
# Mutual information is symmetric, so the two are equal; they differ in what has to be approximated.
#
# ## The method in code

# %%
import math
from itertools import pairwise

import numpy as np
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import digamma, erfcx, log_ndtr
from scipy.stats import qmc
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.blocks import row_blocks
from gaussbook.claims import Claims
from gaussbook.gp.cholesky import jittered_cholesky, solve_triangular
from gaussbook.gp.covariances import Matern52, SquaredExponential
from gaussbook.gp.exact import log_marginal_likelihood
from gaussbook.notebook import say
from gaussbook.plotting import figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("bayesian_optimization")
xp = backend()


# %% [markdown]
# The function $h$ must not lose its digits far in the left tail, where most candidates live. With $\Phi(-z) = \varphi(z)\,M(z)$ and Mills' ratio
# $M(z) = \sqrt{\pi/2}\,\operatorname{erfcx}(z/\sqrt2)$ it is $h(-z) = \varphi(z)\,(1 - z\,M(z))$ for $z \ge 0$, and $h(z) = z + h(-z)$ on the right.

# %%
def h(z: Array) -> Array:
    """h(z) = phi(z) + z Phi(z) = [z]^+ + phi(z) (1 - |z| M(|z|))."""
    size = xp.abs(z)
    mills = xp.asarray(erfcx(to_host(size) / math.sqrt(2))) * math.sqrt(math.pi / 2)
    phi = xp.exp(-(size**2) / 2) / math.sqrt(2 * math.pi)
    return xp.where(z > 0, z, 0.0) + phi * (1 - size * mills)


def expected_improvement(Delta: Array, sigma: Array) -> Array:
    """EI = sigma h(Delta / sigma), and [Delta]^+ where sigma = 0."""
    safe = xp.where(sigma > 0, sigma, 1.0)
    known = xp.where(Delta > 0, Delta, 0.0)
    return xp.where(sigma > 0, safe * h(Delta / safe), known)


# %% [markdown]
# The posterior {eq}`bo-posterior` on a grid, by a Cholesky factor, and its cheap update by one more observation, for all replications of an experiment (first axis) at once.

# %%
def condition(K: Array, i: Array, y: Array, lam: float) -> tuple[Array, Array]:
    """mu_n and C_n of a vector N(0, K) of which the components i were observed as y."""
    L, _ = jittered_cholesky(K[i][:, i] + lam * xp.eye(i.shape[0]))
    half = solve_triangular(L, xp.concat([K[i], y[:, None]], axis=1))
    half, z = half[:, :-1], half[:, -1]
    return z @ half, K - xp.matrix_transpose(half) @ half


def observe(mu: Array, C: Array, i: Array, y: Array, lam: float) -> tuple[Array, Array]:
    """mu + C_i (y - mu_i) / (C_ii + lam) and C - C_i C_i^T / (C_ii + lam).

    Where only rounding is left of C_ii + lam, the point is known, and nothing changes."""
    r = xp.arange(i.shape[0])
    c = C[r, i]
    total = c[r, i] + lam
    new = total > 1e-12 * xp.max(xp.linalg.diagonal(C), axis=1)
    gain = xp.where(new[:, None], c / xp.where(new, total, 1.0)[:, None], 0.0)
    return mu + gain * (y - mu[r, i])[:, None], C - gain[:, :, None] * c[:, None, :]


# %% [markdown]
# The envelope {eq}`bo-envelope` by pruning: sort the lines of a row by slope; line $i$ can be the largest only between its crossings with its two neighbours, and
# where the left one is not left of the right one, the neighbours cover it. All such lines go at once, those that remain have new neighbours, and so on until all
# stay. Of two parallel lines the higher overtakes at $-\infty$. Every row of `a` and `b` is a problem of its own; the lines of all rows lie in one long
# vector, each with the number of its row. Beyond ten standard deviations ($h(-10) < 10^{-24}$) nobody looks, so that most lines can go at once: those that
# cannot catch up with the line highest at $z = 0$ on the way there.

# %%
def crossings(a: Array, b: Array, row: Array, far: float) -> tuple[Array, Array]:
    """Where each line is overtaken by its successor, within ±far, and which have one."""
    same, rise, fall = row[1:] == row[:-1], b[1:] - b[:-1], a[:-1] - a[1:]
    parallel = xp.where(fall < 0, -far, far)
    c = xp.where(rise > 0, fall / xp.where(rise > 0, rise, 1.0), parallel)
    return xp.clip(c, -far, far), same


def expected_rise(a: Array, b: Array, far: float = 10.0) -> Array:
    """E max_i(a_i + b_i Z) - max_i a_i of each row: the sum of (b_{i+1} - b_i) h(-|c_i|)."""
    (B, m), order, end = a.shape, xp.argsort(b, axis=1), xp.full(1, far)
    top, row = xp.argmax(a, axis=1)[:, None], xp.repeat(xp.arange(B), m)
    behind = xp.take_along_axis(a, top, axis=1) - a
    near = behind < far * xp.abs(b - xp.take_along_axis(b, top, axis=1))
    keep = xp.take_along_axis(near | (behind == 0), order, axis=1)
    a, b = (xp.take_along_axis(v, order, axis=1)[keep] for v in (a, b))
    row, covered = row[xp.reshape(keep, (-1,))], True
    while covered:
        c, same = crossings(a, b, row, far)
        left = xp.concat([-end, xp.where(same, c, -far)])
        keep = left < xp.concat([xp.where(same, c, far), end])
        covered = not bool(xp.all(keep))
        a, b, row = a[keep], b[keep], row[keep]
    rises = (b[1:] - b[:-1])[same] * h(-xp.abs(c[same]))
    return xp.bincount(row[1:][same], weights=rises, minlength=B)


# %% [markdown]
# Now the acquisition functions themselves. Each takes means (R, m), covariances (R, m, m), the indices `seen` (R, n) of the evaluated points and the noise variance $\lambda$, and
# returns its value at all $m$ candidates. Where $\sigma_n(x)$ is below $10^{-4}$ of the largest one, nothing can be learned and the two that divide by it return zero.

# %%
def deviation(C: Array) -> Array:
    """sigma_n, the root of the diagonal (below zero only by rounding)."""
    variance = xp.linalg.diagonal(C)
    return xp.sqrt(xp.where(variance > 0, variance, 0.0))


def plug_in_ei(mu: Array, C: Array, seen: Array, lam: float) -> Array:
    """EI with mu** = max_i mu_n(x_i) in the place of f*."""
    best = xp.max(xp.take_along_axis(mu, seen, axis=1), axis=1)
    return expected_improvement(mu - best[:, None], deviation(C))


def sigma_tilde(C: Array, lam: float) -> tuple[Array, Array]:
    """C_n(x, x') / sqrt(C_n(x, x) + lam), rows x, and where it is worth looking."""
    sigma = deviation(C)
    live = (sigma > 0) & (sigma >= 1e-4 * xp.max(sigma, axis=-1, keepdims=True))
    scale = xp.sqrt(xp.where(live, sigma**2, 1.0) + lam)
    return C / scale[:, :, None], live


# %%
def knowledge_gradient(mu: Array, C: Array, seen: Array, lam: float) -> Array:
    """KG: the lines are mu_n(x') + sigma~(x', x) z for all x'."""
    (R, m), (b, live) = mu.shape, sigma_tilde(C, lam)
    a = xp.broadcast_to(mu[:, None, :], (R, m, m))
    rise = expected_rise(xp.reshape(a, (R * m, m)), xp.reshape(b, (R * m, m)))
    return xp.where(live, xp.reshape(rise, (R, m)), 0.0)


def noisy_ei(mu: Array, C: Array, seen: Array, lam: float) -> Array:
    """E[mu**_{n+1}] - mu**_n: the lines are those of x_1, ..., x_n and of x itself."""
    (R, m), n, (b, live) = mu.shape, seen.shape[1], sigma_tilde(C, lam)
    at_seen = xp.take_along_axis(mu, seen, axis=1)
    which = xp.broadcast_to(seen[:, None, :], (R, m, n))
    own = xp.linalg.diagonal(b)[:, :, None]
    b = xp.concat([xp.take_along_axis(b, which, axis=2), own], axis=2)
    a = xp.broadcast_to(at_seen[:, None, :], (R, m, n))
    a = xp.concat([a, mu[:, :, None]], axis=2)
    rise = expected_rise(xp.reshape(a, (R * m, n + 1)), xp.reshape(b, (R * m, n + 1)))
    ahead = mu - xp.max(at_seen, axis=1)[:, None]  # what x is worth already
    return xp.where(live, xp.reshape(rise, (R, m)), 0.0) + xp.where(
        ahead > 0, ahead, 0.0
    )


# %% [markdown]
# ## Experiments
#
# ### The belief and the expected improvement
#
# Our running example has three data on a grid of 101 points, $X = (0.1, 0.45, 0.8)$ and $y = (0.2, 1, -0.5)$, and the covariance
# $e^{-(x-x')^2/2\ell^2}$ with $\ell = 0.15$ (in the tutorial's notation $\alpha_1 = 1/2\ell^2$).

# %%
grid = 0.01 * xp.arange(101, dtype=xp.float64)
k = SquaredExponential(1.0, 0.15)
X, y = xp.asarray([0.1, 0.45, 0.8]), xp.asarray([0.2, 1.0, -0.5])
seen = xp.asarray([[10, 45, 80]])
noises = (0.0, 0.1, 1.0)
beliefs = {}
for lam in noises:
    mu, C = condition(k(grid), seen[0], y, lam)
    beliefs[lam] = mu[None], C[None], seen, lam

# %%
draws = {}
for alpha_1 in (1, 20, 400):
    L, _ = jittered_cholesky(SquaredExponential(1.0, (2 * alpha_1) ** -0.5)(grid))
    draws[alpha_1] = L @ generator(3).standard_normal((101, 3))
ei = to_host(plug_in_ei(*beliefs[0.0])[0])

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: without noise the posterior mean passes through three points, with a band of "
    "uncertainty that closes at each, and expected improvement has its highest hump between "
    "the first and the second point. Right: draws from the prior wiggle faster the larger "
    "alpha is.",
    caption="Left: posterior mean, 95 % band and (shaded, right scale) EI of the running "
    "example without noise. Right: prior draws for three values of $\\alpha_1 = 1/2\\ell^2$.",
) as axes:
    mu, C, *_ = beliefs[0.0]
    x, mean, sd = (to_host(v) for v in (grid, mu[0], deviation(C)[0]))
    axes[0].plot(x, mean, label="posterior mean")
    axes[0].fill_between(x, mean - 1.96 * sd, mean + 1.96 * sd, alpha=0.2)
    axes[0].plot(to_host(X), to_host(y), "ko", label="data")
    axes[0].set(xlabel="x", ylabel="f(x)", ylim=(-2.3, 3.2))
    twin = axes[0].twinx()
    twin.fill_between(x, ei, color="#D55E00", alpha=0.4)
    twin.set(ylim=(0, 0.6), ylabel="EI")
    twin.grid(False)
    axes[0].legend(loc="upper left", ncols=2)
    for alpha_1, shift in ((1, 0), (20, -5), (400, -10)):
        axes[1].plot(x, to_host(draws[alpha_1]) + shift, color="#0072B2", lw=1)
        axes[1].text(1.02, shift - 0.2, f"α₁ = {alpha_1}")
    axes[1].set(xlabel="x", ylabel="f(x), shifted by 5", xlim=(0, 1.25))


# %% [markdown]
# EI is zero at the data, where the band closes, and rises where the mean or the uncertainty does. We hold it against numerical integration of $[\Delta + \sigma z]^+\varphi(z)$.

# %%
def printed(Delta: Array, sigma: Array) -> Array:
    """The tutorial's [Delta]^+ + sigma phi(Delta/sigma) - |Delta| Phi(Delta/sigma)."""
    z = to_host(Delta / sigma)
    Phi = xp.asarray(np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z]))
    phi = xp.exp(-((Delta / sigma) ** 2) / 2) / math.sqrt(2 * math.pi)
    return xp.where(Delta > 0, Delta, 0.0) + sigma * phi - xp.abs(Delta) * Phi


def quadrature(Delta: float) -> float:
    """The integral of (Delta + z) phi(z) over z > -Delta."""

    def integrand(z):
        return (Delta + z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    cuts = -Delta + np.array(
        [0.0, 5.0, 12.0, 48.0]
    )  # one piece alone would miss the peak
    tight = {"epsabs": 1e-15, "epsrel": 1e-12}
    return sum(quad(integrand, *piece, **tight)[0] for piece in pairwise(cuts))


ratio = xp.linspace(-8.0, 8.0, 161)
one = xp.ones(161)
exact = np.array([quadrature(float(z)) for z in ratio])
ei_error = float(np.abs(to_host(expected_improvement(ratio, one)) - exact).max())
pairs = xp.asarray([[1.0, 1.0], [0.0, 1.0], [-1.0, 1.0], [0.5, 2.0]])

# %%
Delta, sigma = pairs[:, 0], pairs[:, 1]
values = zip(expected_improvement(Delta, sigma), printed(Delta, sigma), strict=True)
table(
    [
        [f"Δ = {float(d):g}, σ = {float(s):g}", float(ei), float(p), want]
        for d, s, (ei, p), want in zip(
            Delta, sigma, values, (1.08332, 0.39894, 0.08332, 1.07269), strict=True
        )
    ],
    ["Point", "EI, equation above", "EI as printed", "Reference"],
    "Expected improvement and the misprinted formula: they part where Δ is positive.",
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: EI rises with Delta throughout; the printed formula agrees up to zero and "
    "then turns and falls to zero. Right: contours of EI over Delta and sigma; EI "
    "grows towards the upper right.",
    caption="Left: EI for $\\sigma = 1$ and the formula as printed. Right: contours of EI.",
) as axes:
    line = xp.linspace(-3.0, 3.0, 121)
    ones, x = xp.ones(121), to_host(line)
    axes[0].plot(x, to_host(expected_improvement(line, ones)), label="EI")
    axes[0].plot(x, to_host(printed(line, ones)), "--", label="as printed")
    axes[0].set(xlabel="mean difference Δ", ylabel="EI")
    axes[0].legend()
    D, S = xp.meshgrid(line, xp.linspace(0.0, 3.0, 121))
    levels = axes[1].contour(
        to_host(D), to_host(S), to_host(expected_improvement(D, S)), levels=12
    )
    axes[1].clabel(levels, fontsize=7)
    axes[1].set(xlabel="mean difference Δ", ylabel="posterior deviation σ")

# %% [markdown]
# The printed curve turns down right of zero: a point with a *better* mean would be worth *less*. No
# implementation that we know of computes it so; but whoever copies the formula from the page gets a method that avoids its best candidates.

# %%
claims.check(
    "C1.a",
    "EI against quadrature, Δ/σ in [−8, 8]: largest error",
    measured=ei_error,
    at_most=1e-10,
)
claims.check(
    "C1.b",
    "EI at Δ = σ = 1",
    measured=float(expected_improvement(xp.ones(1), xp.ones(1))[0]),
    equals=1.08332,
    within=5e-6,
    own=True,
)
rising = expected_improvement(D, S)
steps = (rising[1:] - rising[:-1], rising[:, 1:] - rising[:, :-1])
claims.check(
    "C1.c",
    "least increment of EI in either argument over the contour plot",
    measured=min(float(xp.min(s)) for s in steps),
    at_least=-1e-12,
)

# %%
claims.check(
    "C1.d",
    "noise-free data: largest EI at an evaluated point",
    measured=float(xp.max(plug_in_ei(*beliefs[0.0])[0, seen[0]])),
    at_most=1e-6,
)
claims.check(
    "C1.e",
    "the formula as printed at Δ = σ = 1 (erratum)",
    measured=float(printed(xp.ones(1), xp.ones(1))[0]),
    equals=0.40063,
    within=5e-6,
    own=True,
)


# %% [markdown]
# ### Every acquisition on one problem
#
# The same three data with three noise variances, and on them every acquisition function of the tutorial. For KG we use, beside the exact envelope, the
# tutorial's simulation (its algorithm 2): draw $Z$, move the mean, take the maximum, average.

# %%
def simulated_kg(mu: Array, C: Array, lam: float, Z: Array) -> tuple[Array, Array]:
    """Algorithm 2 at every x: max_x'(mu + sigma~ Z_j) - max mu for each draw; mean and error."""
    b, live = sigma_tilde(C[None], lam)
    means, errors = [], []
    for row in b[0]:
        rise = xp.max(mu + Z[:, None] * row, axis=1) - xp.max(mu)
        means.append(xp.mean(rise))
        errors.append(xp.std(rise) / math.sqrt(Z.shape[0]))
    return xp.where(live[0], xp.stack(means), 0.0), xp.stack(errors)


# %% [markdown]
# The entropies need the joint law of $y$ and $x^*$, which has no closed form. We draw $S$ functions from the posterior on the grid; $x^*$ is the place of the largest
# value of each. Given the function, $y$ is normal around $f(x)$, so at a candidate $x$
#
# $$p(y, x^* = g) \approx \frac1S \sum_{s:\,x^*_s = g} \mathcal N\bigl(y \mid f_s(x), \lambda\bigr).$$
#
# PES integrates $p(y)$ and $p(y \mid x^*)$ over $y$; ES draws $y$, reweights the *same kind* of sample with its likelihood and looks at what
# becomes of $P(x^*)$. We give them independent samples, so that agreement means something. Without
# noise the likelihood is a spike; both then read $f$ through an instrument of deviation $0.02$.

# %%
def entropy(p: Array) -> Array:
    """-sum p log p over the last axis."""
    return -xp.sum(p * xp.log(xp.where(p > 0, p, 1.0)), axis=-1)


def joint(y: Array, f: Array, star: Array, lam: float) -> Array:
    """p(y_q, x* = g) for each y_q: the (S, q) likelihoods, added up by the place x* of each f_s."""
    u, v = y / math.sqrt(2 * lam), f / math.sqrt(2 * lam)
    p, lowest = 0.0, xp.full(y.shape[0], -600.0)  # below, exp is slow
    for rows in row_blocks(f.shape[0], y.shape[0], y):
        exponents = xp.maximum(-((v[rows, None] - u) ** 2), lowest)
        p = p + ad.scatter_add(xp.exp(exponents), star[rows], grid.shape[0])
    return xp.matrix_transpose(p) / (math.sqrt(2 * math.pi * lam) * f.shape[0])


def es(f: Array, star: Array, lam: float, rng) -> float:
    """H[x*] - E_y H[x* | y] with simulated y."""
    draws = f[rng.integers(0, f.shape[0], 200)] + math.sqrt(lam) * rng.standard_normal(
        200
    )
    p = joint(draws, f, star, lam)
    p_given_y = p / xp.sum(p, axis=1, keepdims=True)
    P = xp.bincount(star, minlength=grid.shape[0]) / star.shape[0]
    return float(entropy(P) - xp.mean(entropy(p_given_y)))


# %%
def pes(f: Array, star: Array, lam: float) -> float:
    """H[y] - E_x* H[y | x*], y integrated over a lattice finer than the narrowest peak."""
    sd = math.sqrt(lam)
    y = xp.arange(float(xp.min(f)) - 5 * sd, float(xp.max(f)) + 5 * sd, 0.7 * sd)
    p, dy = joint(y, f, star, lam), y[1] - y[0]
    P = xp.sum(p, axis=0) * dy
    conditional = (
        entropy(xp.matrix_transpose(p)) + P * xp.log(xp.where(P > 0, P, 1.0)) / dy
    )
    return float((entropy(xp.sum(p, axis=1)) - xp.sum(conditional)) * dy)


# %%
S = scale(default=20_000, paper=200_000)
places = [5, 15, 25, 30, 35, 50, 60, 70, 90, 100]  # grid indices of the ten candidates
rng = generator(0)


def sample_functions(mu: Array, C: Array) -> tuple[Array, Array]:
    """S posterior functions on the grid and the places (S,) of their maxima."""
    L, _ = jittered_cholesky(C)
    f = mu + rng.standard_normal((S, 101)) @ xp.matrix_transpose(L)
    return f, xp.argmax(f, axis=1)


information = {}
for lam in noises:
    mu, C = beliefs[lam][0][0], beliefs[lam][1][0]
    instrument = max(lam, 0.02**2)
    (f, star), (f2, star2) = sample_functions(mu, C), sample_functions(mu, C)
    at = places + ([10, 45, 80] if lam == 0 else [])
    information[lam] = [
        (es(f[:, i], star, instrument, rng), pes(f2[:, i], star2, instrument))
        for i in at
    ]

# %%
rules = {"plug-in EI": plug_in_ei, "KG": knowledge_gradient, "noisy EI": noisy_ei}
reference = {  # value and argmax of EI, KG, noisy EI; then of the posterior mean
    0.0: [(0.15990, 0.34), (0.24129, 0.42), (0.15990, 0.34), (1.0046, 0.44)],
    0.1: [(0.18434, 0.34), (0.18477, 0.31), (0.12695, 0.32), (0.9110, 0.44)],
    1.0: [(0.29052, 0.38), (0.12213, 0.28), (0.07427, 0.27), (0.4963, 0.44)],
}
curves = {lam: [rule(*b)[0] for rule in rules.values()] for lam, b in beliefs.items()}
rows, value_errors, place_errors = [], [], []
for lam in noises:
    found = [*curves[lam], beliefs[lam][0][0]]
    row = [f"λ = {lam:g}"]
    for curve, (value, place) in zip(found, reference[lam], strict=True):
        best, where = float(xp.max(curve)), float(grid[xp.argmax(curve)])
        value_errors.append(abs(best - value))
        place_errors.append(abs(where - place))
        row.append(f"{best:.5f} at {where:.2f}")
    rows.append(row)
table(
    rows,
    ["Noise variance", *rules, "posterior mean"],
    "The largest value of each acquisition function and where it is.",
)

# %%
half = generator(1).standard_normal(1000)
Z = xp.concat([half, -half])  # antithetic, J = 2000
x, dots = to_host(grid), {}
for lam, (mu, C, *_) in beliefs.items():
    dots[lam], _ = simulated_kg(mu[0], C[0], lam, Z)

# %% tags=["hide-input"]
with figure(
    2,
    3,
    alt="Top: plug-in EI, KG with simulated dots on it, and noisy EI over x. Without "
    "noise the two EI coincide and KG is higher; with noise plug-in EI grows while KG and "
    "noisy EI shrink. Bottom: entropy search and predictive entropy search at ten points agree.",
    caption="Above: acquisition functions for noise variances 0, 0.1 and 1 (dots: KG by algorithm 2). Below: "
    "mutual information by ES and PES at ten candidates.",
    sharex=True,
    sharey="row",
    height=5.2,
) as axes:
    for (above, below), lam in zip(axes.T, noises, strict=True):
        for name, curve in zip(rules, curves[lam], strict=True):
            style = "--" if name == "noisy EI" else "-"
            above.plot(x, to_host(curve), style, label=name)
        above.plot(x[::5], to_host(dots[lam])[::5], "o", color="#D55E00", ms=3)
        above.set(title=f"λ = {lam:g}")
        pairs = np.array(information[lam][:10])
        below.plot(x[places], pairs[:, 0], "s", mfc="none", label="ES", ms=7)
        below.plot(x[places], pairs[:, 1], "x", label="PES")
        below.set(xlabel="x")
    for row, label in zip(axes, ("gain in f", "information (nats)"), strict=True):
        row[0].set(ylabel=label)
        row[1].legend(loc="upper right", fontsize=8)

# %% [markdown]
# Look at plug-in EI from left to right: the noisier the measurement, the *more* it promises, because it counts the uncertainty of $f$ as if an observation
# would remove it. The two one-step quantities fall, as the value of a worse measurement must. Entropy search looks elsewhere altogether: it values even
# places where the maximum is not, if they tell something about where it is.

# %%
claims.check(
    "C2.a",
    "running example: error of twelve largest values against the reference",
    measured=max(value_errors),
    at_most=2e-4,
    own=True,
)
claims.check(
    "C2.b",
    "running example: error of their places",
    measured=max(place_errors),
    at_most=0.0101,
    own=True,
)
draws, deviations = scale(default=10**6, paper=10**7), []
for lam in noises:
    mu, b = beliefs[lam][0][0], sigma_tilde(beliefs[lam][1], lam)[0][0]
    best = int(xp.argmax(curves[lam][1]))
    rng, rise = generator(2), []
    for _ in range(draws // 50_000):
        Z = rng.standard_normal(50_000)
        rise.append(xp.max(mu + Z[:, None] * b[best], axis=1) - xp.max(mu))
    rise = xp.concat(rise)
    error = float(xp.std(rise)) / math.sqrt(draws)
    deviations.append(abs(float(xp.mean(rise) - curves[lam][1][best])) / error)

# %%
claims.check(
    "C2.c",
    "exact KG against a million simulations, three noises: worst, in standard errors",
    measured=max(deviations),
    at_most=3,
)


# %% [markdown]
# **The gradient of KG.** Differentiate one simulated term of {eq}`bo-kg` with respect to $x$. The maximiser $\hat x^*$ moves too, but at a maximum that does not
# matter to first order (the envelope theorem), so $\hat x^*$ is held fixed (algorithm 4):
#
# $$G = Z\,\frac{\partial}{\partial x}\tilde\sigma_n(\hat x^*, x), \qquad
# \partial_x\tilde\sigma_n(x', x) = \frac{\partial_x C_n(x', x)}{s} - \frac{C_n(x', x)\,\partial_x C_n(x, x)}{2 s^3},
# \quad s^2 = C_n(x, x) + \lambda .$$

# %%
def kg_lines(x: Array, lam: float) -> tuple[Array, Array, Array]:
    """mu_n(x'), sigma~(x', x) and its derivative by x; rows x (any point), columns the grid."""
    L, _ = jittered_cholesky(k(X) + lam * xp.eye(3))
    kx, kg = k(X, x), k(X, grid)

    def dk(points):
        return k(x, points) * (points - x[:, None]) / 0.15**2

    u, v = solve_triangular(L, kx), solve_triangular(L, kg)
    du = solve_triangular(L, xp.matrix_transpose(dk(X)))
    C = k(x, grid) - xp.matrix_transpose(u) @ v
    dC = dk(grid) - xp.matrix_transpose(du) @ v
    s = xp.sqrt(1.0 - xp.sum(u * u, axis=0) + lam)[:, None]
    half_dvariance = -xp.sum(u * du, axis=0)[:, None]
    return solve_triangular(L, y) @ v, C / s, dC / s - C * half_dvariance / s**3


def kg_gradient(x: Array, lam: float, Z: Array) -> tuple[Array, Array]:
    """Algorithm 4 at each x: the mean of Z d sigma~(x^*, x) / dx, and its standard error."""
    mu, b, db = kg_lines(x, lam)
    star = xp.argmax(mu[None, :, None] + b[:, :, None] * Z, axis=1)  # (points, J)
    G = Z * xp.take_along_axis(db, star, axis=1)
    return xp.mean(G, axis=1), xp.std(G, axis=1) / math.sqrt(Z.shape[0])


def exact_kg(x: Array, lam: float) -> Array:
    """KG at any x, maximum over the grid."""
    mu, b, _ = kg_lines(x, lam)
    return expected_rise(xp.broadcast_to(mu, b.shape), b)


# %%
x5 = xp.asarray([0.15, 0.25, 0.55, 0.65, 0.95])
G, error = kg_gradient(x5, 0.1, generator(4).standard_normal(20_000))
difference = (exact_kg(x5 + 1e-5, 0.1) - exact_kg(x5 - 1e-5, 0.1)) / 2e-5
table(
    [
        [f"{float(v):.2f}", *map(float, row)]
        for v, *row in zip(x5, G, error, difference, strict=True)
    ],
    ["x", "Gradient, algorithm 4", "Standard error", "Finite difference of exact KG"],
    "The simulated gradient of KG at five points, noise variance 0.1.",
)
claims.check(
    "C2.d",
    "gradient of KG by algorithm 4 against finite differences: worst of 5 points, standard errors",
    measured=float(xp.max(xp.abs(G - difference) / error)),
    at_most=3,
)


# %% [markdown]
# With that gradient the tutorial climbs from $R$ random starts by $T$ steps of length $\alpha_t = a/(a + t)$ (algorithm 3) and keeps the best end point.

# %%
def ascend(a: float, T: int, lam: float, unit: float, rng) -> tuple[float, float]:
    """Algorithm 3: R = 10 starts, x <- x + a / (a + t) G; the best end and its KG."""
    x = rng.random(10)
    for t in range(1, T + 1):
        G, _ = kg_gradient(x, lam, rng.standard_normal(100))
        x = xp.clip(x + unit**2 * a / (a + t) * G, 0.0, 1.0)
    ends = exact_kg(x, lam)
    best = int(xp.argmax(ends))
    return float(x[best]), float(ends[best])


rows = [["grid", 0.31, float(xp.max(curves[0.1][1]))]]
for unit, label in ((1.0, "unit interval"), (0.15, "unit of one length ℓ")):
    rows.append([f"algorithm 3, {label}", *ascend(4, 100, 0.1, unit, generator(5))])
table(
    rows,
    ["Method", "x", "KG"],
    "The largest KG found by stochastic gradients (noise variance 0.1).",
)

# %% [markdown]
# The step length acts on raw coordinates, and the suggested $a = 4$ on the unit interval is a trap: with gradients of order one the first steps throw every start
# to the boundary, from where the gradient does not lead back. Measured in units of $\ell$ instead ($x = \ell u$ turns the step into $\ell^2\alpha_t G$), the same $a$
# finds the maximum. What about the relations between the functions?

# %%
mu, C, seen_3, _ = beliefs[0.0]
gap = xp.max(xp.abs(curves[0.0][2] - curves[0.0][0]))
claims.check(
    "C3.a",
    "no noise: noisy EI minus EI, largest on the grid",
    measured=float(gap),
    at_most=1e-7,
)
least, larger = [], []
for lam in noises:
    mu = beliefs[lam][0][0]
    _, kg, nei = curves[lam]
    least.append(float(xp.min(kg)))
    larger.append(float(xp.min(kg + xp.max(mu) - nei - xp.max(mu[seen[0]]))))
claims.check("C3.b", "least KG, three noises", measured=min(least), at_least=0)
claims.check(
    "C3.c",
    "least (KG + max μ) − (noisy EI + μ**), three noises",
    measured=min(larger),
    at_least=0,
)

# %%
both = np.array([pair for lam in noises for pair in information[lam][:10]])
claims.check(
    "C4.a",
    "ES minus PES, worst of 10 points and three noises",
    measured=float(np.abs(both[:, 0] - both[:, 1]).max()),
    at_most=0.1,
    unit="nats",
)
claims.check(
    "C4.b", "least of these", measured=float(both.min()), at_least=0, unit="nats"
)
claims.check(
    "C4.c",
    "largest of ES and PES at the noise-free data",
    measured=float(np.abs(information[0.0][10:]).max()),
    at_most=0.01,
    unit="nats",
)


# %% [markdown]
# ### Policies on functions drawn from the prior
#
# Which rule wins when the model is exactly right? Functions are drawn from the prior ($\ell = 0.1$) on a grid of 80 points; every policy starts from the same three points
# and then spends 20 evaluations. All policies see the same functions and the same noise sequence, so differences are paired. The baseline draws its points uniformly
# without replacement and recommends like the others, by the largest posterior mean, which is the best it can do. We judge by the opportunity cost $\max f - f(\hat x)$.
# Where there is no noise the model still needs some, and takes $\lambda = 10^{-6}$.
#
# PES at this scale uses $S$ posterior functions and the variance of each group with the same $x^*$,
# $\mathrm{PES}(x) \approx \tfrac12\log(\sigma_n^2(x) + \lambda) - \tfrac12\sum_g P_g \log(\sigma_{n,g}^2(x) + \lambda)$. The logarithm of
# a sample variance of $n_g$ values is biased by $\psi(\tfrac{n_g-1}2) - \log\tfrac{n_g-1}2$, which is taken off, and groups of fewer than ten are pooled.
# The functions need not be drawn anew: each moves with the data like the mean (Matheron's rule).

# %%
def follow(f: Array, C: Array, i: Array, y: Array, lam: float, noise: Array) -> Array:
    """Matheron: f_s + C_i (y - f_s(x_i) - eps_s) / (C_ii + lam), samples f of shape (R, S, m)."""
    r = xp.arange(i.shape[0])
    c = C[r, i]
    gain = c / (c[r, i] + lam)[:, None]
    surprise = y[:, None] - f[r, :, i] - noise
    return f + surprise[:, :, None] * gain[:, None, :]


def sampled_pes(f: Array, lam: float) -> Array:
    """PES from samples (R, S, m): variances of all and of the groups with the same argmax."""
    R, S, m = f.shape
    g, r = xp.argmax(f, axis=2), xp.arange(R)[:, None]

    def in_groups(values, g):  # their sums, (R, m + 1, ...)
        sums = ad.scatter_add(values, r * (m + 1) + g, R * (m + 1))
        return xp.reshape(sums, (R, m + 1, *values.shape[2:]))

    g = xp.where(in_groups(xp.ones((R, S)), g)[r, g] < 10, m, g)  # the pool is the last group
    n, f = in_groups(xp.ones((R, S, 1)), g), f - xp.mean(f, axis=1, keepdims=True)
    safe = xp.where(n > 1, n, 2.0)
    squares = in_groups(f**2, g) - in_groups(f, g) ** 2 / safe
    variance = xp.where(squares > 0, squares, 0.0) / (safe - 1)
    bias = xp.asarray(digamma(to_host(safe - 1) / 2)) - xp.log((safe - 1) / 2)
    inside = xp.sum(n / S * (xp.log(variance + lam) - bias), axis=1)
    return 0.5 * (xp.log(xp.mean(f**2, axis=1) + lam) - inside)


# %%
R = scale(default=60, paper=2000)  # replications
m, S = scale(default=(80, 500), paper=(500, 1000))
policies = {"random": None, **rules, "PES": None}
points = xp.linspace(0.0, 1.0, m)
prior = SquaredExponential(1.0, 0.1)(points)


def problem(sd: float, seed: int, S: int = 0) -> dict:
    """Common functions f, noise, visiting order of the random policy, and S prior samples."""
    rng = generator(seed)
    L, _ = jittered_cholesky(prior)
    f = rng.standard_normal((R, m)) @ xp.matrix_transpose(L)
    noise = sd * rng.standard_normal((R, 23))
    order = xp.argsort(rng.random((R, m)), axis=1)
    paths = rng.standard_normal((R, S, m)) @ xp.matrix_transpose(L)
    return {"f": f, "noise": noise, "order": order, "paths": paths, "rng": rng}


# %%
def play(name: str, sd: float, f, noise, order, paths, rng) -> tuple[Array, Array]:
    """Opportunity cost after each evaluation, of argmax mu and of the best sampled point."""
    lam, r = max(sd**2, 1e-6), xp.arange(R)
    mu, C = xp.zeros((R, m)), xp.broadcast_to(prior, (R, m, m))
    seen, costs, best = [], [], xp.full(R, -xp.inf)
    for n in range(23):
        if n < 3 or name == "random":
            i = order[:, n]
        elif name == "PES":
            i = xp.argmax(sampled_pes(paths, lam), axis=1)
        else:
            i = xp.argmax(rules[name](mu, C, xp.stack(seen, axis=1), lam), axis=1)
        seen.append(i)
        y = f[r, i] + noise[:, n]
        if name == "PES":
            eps = math.sqrt(lam) * rng.standard_normal((R, S))
            paths = follow(paths, C, i, y, lam, eps)
        mu, C = observe(mu, C, i, y, lam)
        best = xp.maximum(best, f[r, i])
        top = xp.max(f, axis=1)
        costs.append(xp.stack([top - f[r, xp.argmax(mu, axis=1)], top - best]))
    return tuple(xp.stack(costs, axis=0)[:, k] for k in (0, 1))


# %%
levels = (0.0, 0.3, 1.0)
costs, sampled = {}, {}
for sd in progress(levels, "policies"):
    for name in policies:
        recommended, best = play(name, sd, **problem(sd, 0, S * (name == "PES")))
        costs[sd, name], sampled[sd, name] = to_host(recommended), to_host(best)[-1]


def mean_error(v: np.ndarray) -> tuple[float, float]:
    """Mean over the replications and its standard error."""
    return float(v.mean()), float(v.std(ddof=1)) / math.sqrt(len(v))


rows = []
for name in policies:
    final = [mean_error(costs[sd, name][-1]) for sd in levels]
    best = [f"{sampled[sd, name].mean():.3f}" for sd in levels]
    rows.append([name, *(f"{mean:.3f} ± {error:.3f}" for mean, error in final), *best])
table(
    rows,
    [
        "Policy",
        *(f"argmax μ, sd {s:g}" for s in levels),
        *(f"best sampled, sd {s:g}" for s in levels),
    ],
    "Opportunity cost after 3 + 20 evaluations (mean ± standard error over replications).",
)

# %% tags=["hide-input"]
with figure(
    1,
    3,
    alt="Opportunity cost over evaluations for five policies at three noise levels. All model-based policies "
    "fall far below random without noise; with noise the curves come closer together.",
    caption="Mean opportunity cost of the recommendation $\\arg\\max\\mu_n$, noise deviation 0, 0.3 "
    "and 1 (a mean below 0.0005 is not shown).",
    sharey=True,
) as axes:
    for ax, sd in zip(axes, levels, strict=True):
        for name in policies:
            ax.semilogy(range(1, 24), costs[sd, name].mean(axis=1), label=name)
        ax.set(
            xlabel="evaluations", title=f"noise sd {sd:g}", xlim=(3, 23), ylim=(5e-4, 2)
        )
    axes[0].set(ylabel="opportunity cost")
    axes[1].legend(fontsize=7)


# %%
def paired(first: str, second: str, sd: float) -> tuple[float, float]:
    """Mean of cost(first) - cost(second) after the last evaluation, and its standard error."""
    return mean_error(costs[sd, first][-1] - costs[sd, second][-1])


def lead(name: str, sd: float) -> float:
    """How far a policy is ahead of random, in paired standard errors; 0 if both are perfect."""
    mean, error = paired("random", name, sd)
    return mean / error if error > 0 else 0.0


least_lead = min(lead(name, sd) for name in (*rules, "PES") for sd in (0.0, 0.3))
claims.check(
    "C5.a",
    "four policies, noise sd 0 and 0.3: least advantage over random, in paired standard errors",
    measured=least_lead,
    at_least=2,
    seeds=R,
    not_reproduced="without noise random points leave too little to gain",
    own=True,
)
excess = [paired("KG", "plug-in EI", sd) for sd in levels]
claims.check(
    "C5.b",
    "cost of KG minus (cost of plug-in EI + 1 paired standard error), worst noise level",
    measured=max(mean - error for mean, error in excess),
    at_most=0,
    seeds=R,
)


# %%
def at_the_end(name: str) -> np.ndarray:
    """Mean cost over noise sd 0.3 and 1, for the functions above and two more sets of them."""
    runs = [
        [costs[sd, name][-1], *(to_host(play(name, sd, **problem(sd, k))[0][-1]) for k in (1, 2))]
        for sd in (0.3, 1.0)
    ]
    return np.concatenate(runs[0]) / 2 + np.concatenate(runs[1]) / 2


advantage, its_error = mean_error(at_the_end("plug-in EI") - at_the_end("KG"))
claims.check(
    "C5.c",
    "noise sd 0.3 and 1: cost of plug-in EI minus cost of KG, mean",
    measured=advantage,
    at_least=0.005,
    seeds=3 * R,
    spread=its_error,
)
claims.check(
    "C5.f",
    "the number of C5.a, bounded from below",
    measured=least_lead,
    at_least=-4,
    seeds=R,
    own=True,
)

# %%
least, its_spread = min(paired("random", name, 0.3) for name in ("KG", "noisy EI", "PES"))
claims.check(
    "C5.d",
    "KG, noisy EI, PES at noise sd 0.3: least advantage over random",
    measured=least,
    at_least=0.005,
    seeds=R,
    spread=its_spread,
    own=True,
)
claims.check(
    "C5.e",
    "no noise, largest mean cost of the four policies",
    measured=max(costs[0.0, name][-1].mean() for name in (*rules, "PES")),
    at_most=0.001,
    seeds=R,
    own=True,
)

# %%
say(f"""Averaged over the noise levels 0.3 and 1, KG ends {advantage:.3f} ± {its_error:.3f} below plug-in EI;
without noise the two are level (within {abs(excess[0][0]):.1e}).""")


# %% [markdown]
# So KG against plug-in EI comes out as the tutorial says. The surprise is how little plug-in EI gains on the baseline under
# noise. It keeps measuring where $f$ is uncertain,
# or where it is already known to be high, without asking whether an observation could change anything; these few runs cannot tell
# it from points drawn blindly, while the three rules that know the noise are clearly ahead at noise 0.3. Our specification had expected *every* policy to beat random by two standard errors at noise 0 and 0.3 (C5.a).
# Besides plug-in EI, the noise-free half of it fails for a harmless reason: 23 different points of a smooth function and a good model of it leave even the random policy
# almost no cost, so that so few replications cannot resolve the difference. C5.d and C5.e say what does hold.
#
# ### Unknown hyper-parameters, continuous domains
#
# Now the model must be learned too. The covariance is Matérn 5/2 with a length for each coordinate; every fourth evaluation its hyper-parameters are set to their posterior mode
# under log-normal priors, $\log\sigma^2 \sim \mathcal N(0, 1)$ and $\log\ell_d \sim \mathcal N(\log\tfrac12, 0.75^2)$, on a unit cube and
# standardised values. SciPy's optimiser lives on the host, and so does this experiment.

# %%
class Belief:
    """A Matern 5/2 process given X (n, d) in the unit cube and y (n,), at its posterior mode."""

    def __init__(self, X: np.ndarray, y: np.ndarray, theta: np.ndarray | None = None):
        self.X, self.shift, self.unit = X, y.mean(), y.std()
        self.y = (y - self.shift) / self.unit
        d = X.shape[1]
        self.centre = np.array([0.0, *[math.log(0.5)] * d])
        self.width = np.array([1.0, *[0.75] * d])
        self.k = Matern52(1.0, [0.5] * d)
        if theta is None:
            theta = minimize(self.loss, self.centre, jac=True, method="L-BFGS-B").x
        self.theta, self.k = theta, self.k.with_theta(theta)
        self.L, _ = jittered_cholesky(self.k(X) + 1e-6 * np.eye(len(X)))
        z = solve_triangular(self.L, self.y)
        self.alpha = solve_triangular(self.L, z, transpose=True)

    def loss(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """- log p(y | theta) - log p(theta) and its gradient."""
        value, gradient = log_marginal_likelihood(
            self.k.with_theta(theta), 1e-6, self.X, self.y
        )
        u = (theta - self.centre) / self.width
        return 0.5 * u @ u - value, u / self.width - gradient[:-1]


# %% [markdown]
# EI spans hundreds of orders of magnitude, so its logarithm is what is climbed. With $z = \Delta/\sigma$ it is $\log\sigma + \log h(z)$, and since
# $h' = \Phi$ its gradient is $\nabla\sigma/\sigma + (\Phi/h)(z)\,(\nabla\mu - z\nabla\sigma)/\sigma$.

# %%
def log_h(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log h(z) and its derivative Phi / h; for z < 0 from Mills' ratio M."""
    size = np.abs(z)
    M = math.sqrt(math.pi / 2) * erfcx(size / math.sqrt(2))
    tail = np.where(size < 1e4, 1 - size * M, 1 / np.maximum(size, 1.0) ** 2)
    log_phi = -0.5 * size**2 - 0.5 * math.log(2 * math.pi)
    right = np.where(z < 0, 1.0, z + np.exp(log_phi) * tail)
    value = np.where(z < 0, log_phi + np.log(tail), np.log(right))
    return value, np.where(z < 0, M / tail, (1 - np.exp(log_phi) * M) / right)


def log_ei(belief: Belief, x: np.ndarray, best: float) -> tuple[np.ndarray, np.ndarray]:
    """log EI at x (n, d), in standardised values, and its gradient (n, d)."""
    lengths = belief.k.lengthscale
    K, difference = belief.k(x, belief.X), (x[:, None] - belief.X) / lengths
    a = np.sqrt(5 * np.sum(difference**2, axis=2))
    slope = -belief.k.variance * 5 / 3 * (1 + a) * np.exp(-a)
    dK = slope[:, :, None] * difference / lengths  # by the coordinates of x
    half = solve_triangular(belief.L, K.T)
    weights = solve_triangular(belief.L, half, transpose=True).T
    sigma = np.sqrt(np.maximum(belief.k.variance - np.sum(half**2, axis=0), 1e-12))
    dmu = np.einsum("nid,i->nd", dK, belief.alpha)
    dsigma = -np.einsum("nid,ni->nd", dK, weights) / sigma[:, None]
    z = (K @ belief.alpha - best) / sigma
    value, slope = log_h(z)
    dz = (dmu - z[:, None] * dsigma) / sigma[:, None]
    return np.log(sigma) + value, dsigma / sigma[:, None] + slope[:, None] * dz


# %%
def climb(belief: Belief, best: float, rng: np.random.Generator) -> np.ndarray:
    """argmax log EI: the best 5 of 1000 random points, refined together by L-BFGS-B."""
    d = belief.X.shape[1]
    candidates = rng.random((1000, d))
    order = np.argsort(-log_ei(belief, candidates, best)[0])

    def loss(flat):
        value, gradient = log_ei(belief, flat.reshape(-1, d), best)
        return -value.sum(), -gradient.ravel()

    options = {"maxiter": 30}
    found = minimize(
        loss,
        candidates[order[:5]].ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * (5 * d),
        options=options,
    )
    ends = found.x.reshape(-1, d)
    return ends[np.argmax(log_ei(belief, ends, best)[0])]


# %%
def maximise(f, X: np.ndarray, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Bayesian optimization from the points X on; hyper-parameters every fourth time."""
    y, theta = f(X), None
    for n in range(rounds):
        belief = Belief(X, y, None if n % 4 == 0 else theta)
        theta = belief.theta
        x = climb(belief, belief.y.max(), rng)[None]
        X, y = np.concatenate([X, x]), np.concatenate([y, f(x)])
    return y


# %% [markdown]
# Two classical test functions, to be maximised over the unit cube: Branin's (maximum $-0.397887$, taken at three places) and Hartmann's in three dimensions ($3.86278$). The two
# baselines are uniform random points and a scrambled Sobol sequence; all three methods share the first six Sobol points.

# %%
def branin(u: np.ndarray) -> np.ndarray:
    """Minus Branin's function, [0, 1]^2 mapped to [-5, 10] x [0, 15]."""
    x, y = 15 * u[:, 0] - 5, 15 * u[:, 1]
    bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return -(bowl**2) - 10 * (1 - 1 / (8 * math.pi)) * np.cos(x) - 10


def hartmann(u: np.ndarray) -> np.ndarray:
    """The sum over i of c_i exp(-sum_j A_ij (u_j - P_ij)^2)."""
    A = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
    P = 1e-4 * np.array(
        [[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]
    )
    c = np.array([1.0, 1.2, 3.0, 3.2])
    return np.exp(-np.sum(A * (u[:, None] - P) ** 2, axis=2)) @ c


tasks = {"Branin": (branin, 2, -0.397887), "Hartmann-3": (hartmann, 3, 3.86278)}
seeds = range(scale(default=6, paper=50))

# %%
regret = {}
for name, (f, d, maximum) in tasks.items():
    for seed in progress(seeds, name):
        rng = generator(seed).host
        sobol = qmc.Sobol(d, scramble=True, rng=generator(seed).host).random(32)[:30]
        runs = {
            "EI": maximise(f, sobol[:6], 24, rng),
            "random": f(np.concatenate([sobol[:6], rng.random((24, d))])),
            "Sobol": f(sobol),
        }
        for method, values in runs.items():
            curve = maximum - np.maximum.accumulate(values)
            regret.setdefault((name, method), []).append(curve)
median = {key: np.median(curves, axis=0) for key, curves in regret.items()}

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Best regret over evaluations on two test functions: the curve of EI falls by several "
    "orders of magnitude after about fifteen evaluations, random and Sobol search stay near their "
    "starting level.",
    caption="Median regret of the best value found, with each seed of EI (thin). The first six points are shared.",
) as axes:
    for ax, name in zip(axes, tasks, strict=True):
        for method in ("EI", "random", "Sobol"):
            ax.semilogy(range(1, 31), median[name, method], label=method)
        for curve in regret[name, "EI"]:
            ax.semilogy(range(1, 31), curve, color="#0072B2", lw=0.5, alpha=0.5)
        ax.set(xlabel="evaluations", ylabel="best regret", title=name)
    axes[0].legend()

# %%
table(
    [
        [
            f"{name}, {method}",
            float(curve[-1]),
            float(np.max(regret[name, method], axis=0)[-1]),
        ]
        for (name, method), curve in median.items()
    ],
    ["Function and method", "Median regret", "Worst seed"],
    "Regret of the best value after 30 evaluations.",
)
final = {key: float(curve[-1]) for key, curve in median.items()}
claims.check(
    "C6.a",
    "Branin: median best regret of EI after 30 evaluations",
    measured=final["Branin", "EI"],
    at_most=0.1,
    seeds=len(seeds),
    own=True,
)

# %%
claims.check(
    "C6.b",
    "Branin: that regret over the one of random search",
    measured=final["Branin", "EI"] / final["Branin", "random"],
    at_most=0.25,
    seeds=len(seeds),
    own=True,
)
claims.check(
    "C6.c",
    "Hartmann-3: median best regret of EI after 30 evaluations",
    measured=final["Hartmann-3", "EI"],
    at_most=0.15,
    seeds=len(seeds),
    own=True,
)

# %%
share = {name: final[name, "EI"] / final[name, "random"] for name in tasks}
say(f"The median regret of EI is {share['Branin']:.1e} of that of random search on Branin's function and "
    f"{share['Hartmann-3']:.1e} on Hartmann's, whose single smooth hump suits the model.")


# %% [markdown]
# ### Several evaluations at once
#
# When $q$ machines stand ready, the improvement of a whole batch is $q\text{-}\mathrm{EI} = \mathbb E[\max_i f(x^{(i)}) - f^*]^+$. With
# $f = \mu + L\epsilon$ and the *same* normal numbers $\epsilon$ for all batches it is a smooth function to climb. The *constant liar* is the
# greedy way: take the maximiser of EI, pretend that the posterior mean was observed there, and repeat.

# %%
def q_ei(belief: Belief, x: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """[max_i f(x_i) - f*]^+ for batches x (B, q, d) and each draw eps (J, q); (B, J)."""
    B, q, d = x.shape
    half = solve_triangular(belief.L, belief.k(x.reshape(-1, d), belief.X).T)
    mu = (belief.k(x.reshape(-1, d), belief.X) @ belief.alpha).reshape(B, q)
    half = half.T.reshape(B, q, -1)
    K = np.stack([belief.k(batch) for batch in x])
    L = np.linalg.cholesky(K - half @ half.transpose(0, 2, 1) + 1e-9 * np.eye(q))
    f = mu[:, None, :] + eps @ L.transpose(0, 2, 1)
    return np.maximum(f.max(axis=2) - belief.y.max(), 0)


def constant_liar(belief: Belief, q: int, rng: np.random.Generator) -> np.ndarray:
    """q points, each the best for EI once the lies mu(x) at the others are believed."""
    lied, best = belief, belief.y.max()
    for _ in range(q):
        x = climb(lied, best, rng)[None]
        lie = lied.k(x, lied.X) @ lied.alpha  # standardised; the belief rescales
        X, y = np.concatenate([lied.X, x]), np.concatenate([lied.y, lie])
        lied = Belief(X, y, belief.theta)
        best = lied.y.max()
    return lied.X[-q:]


# %%
def climb_batch(belief: Belief, starts: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """Maximise q-EI by L-BFGS-B, central differences with common random numbers in one batch."""
    shape = starts.shape[1:]
    shifts = 1e-5 * np.eye(starts[0].size)
    moves = np.concatenate([np.zeros((1, len(shifts))), shifts, -shifts])

    def loss(flat):
        value = q_ei(belief, (flat + moves).reshape(-1, *shape), eps).mean(axis=1)
        up, down = value[1 : len(shifts) + 1], value[len(shifts) + 1 :]
        return -value[0], -(up - down) / 2e-5

    bounds, options = [(0, 1)] * len(shifts), {"maxiter": 20}
    ends = [
        minimize(
            loss, s.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        for s in starts
    ]
    return min(ends, key=lambda end: end.fun).x.reshape(shape)


# %%
def estimate(
    belief: Belief, batch: np.ndarray, eps: np.ndarray
) -> tuple[float, float, float]:
    """q-EI of a batch; and (q-EI - max EI) and (sum of EI - q-EI) in standard errors.

    An improvement so rare that no draw met it still has an error: that of one draw more."""
    draws = q_ei(belief, batch[None], eps)[0]
    value, n = draws.mean(), len(draws)
    error = draws.std() / math.sqrt(n) + 1 / n
    single = np.exp(log_ei(belief, batch, belief.y.max())[0])
    return value, (value - single.max()) / error, (single.sum() - value) / error


ratios, margins = {2: [], 4: []}, []
for seed in progress(seeds, "batches"):
    rng = generator(seed).host
    design = qmc.Sobol(2, scramble=True, rng=generator(seed).host).random(16)[:10]
    belief = Belief(design, branin(design))
    for q, shares in ratios.items():
        eps, fresh = rng.standard_normal((256, q)), rng.standard_normal((20_000, q))
        many = rng.random((100, q, 2))
        best = many[np.argmax(q_ei(belief, many, eps).mean(axis=1))]
        liar = constant_liar(belief, q, rng)
        batch = climb_batch(belief, np.stack([liar, best]), eps)
        results = [estimate(belief, x, fresh) for x in (liar, batch, best, many[0])]
        shares.append(results[0][0] / results[1][0])
        margins += [margin for _, *both in results for margin in both]

# %% [markdown]
# The bounds compare a simulated number with closed forms that do not share its draws, so they can be missed: they are given in standard errors.

# %%
table(
    [[f"q = {q}", min(s), float(np.median(s)), max(s)] for q, s in ratios.items()],
    ["Batch", "Least", "Median", "Largest"],
    "q-EI of the constant liar's batch over that of the optimised batch (Branin, ten data).",
)
claims.check(
    "C7.a",
    "q-EI minus largest EI, and sum of EI minus q-EI: least, in standard errors",
    measured=float(min(margins)),
    at_least=-3,
    seeds=len(seeds),
)
claims.check(
    "C7.b",
    "q = 4: constant liar over optimised q-EI, worst seed",
    measured=min(ratios[4]),
    at_least=0.8,
    seeds=len(seeds),
    own=True,
)


# %% [markdown]
# The lower bound is nearly reached when one point of the batch carries all the improvement. The constant liar loses little against climbing all
# $2q$ coordinates at once.
#
# ### Constraints
#
# If a point counts only where $g(x) \ge 0$, and $g$ is as dear as $f$, the improvement must be multiplied by the probability of being feasible,
# $\mathrm{EI}(x)\,\Pr(g(x) \ge 0)$, for independent processes. We allow Branin's function only in the disc of radius $\sqrt{50}$ around $(2.5, 7.5)$, which contains one of its
# three maxima. The comparison is the same method with the probability left out, hence blind to the constraint.

# %%
def disc(u: np.ndarray) -> np.ndarray:
    """g = 50 - (x - 2.5)^2 - (y - 7.5)^2, not negative in the disc."""
    return 50 - (15 * u[:, 0] - 7.5) ** 2 - (15 * u[:, 1] - 7.5) ** 2


def predict(belief: Belief, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and deviation in the units of the data."""
    K = belief.k(x, belief.X)
    variance = belief.k.variance - np.sum(solve_triangular(belief.L, K.T) ** 2, axis=0)
    sigma = np.sqrt(np.maximum(variance, 1e-12))
    return belief.shift + belief.unit * (K @ belief.alpha), belief.unit * sigma


def constrained(i: list[int], cells: np.ndarray, rounds: int, aware: bool) -> list[int]:
    """Maximise EI x P(g >= 0) over a finite set of cells; EI alone if not aware."""
    thetas = [None, None]
    for n in range(rounds):
        X = cells[i]
        thetas = [None, None] if n % 4 == 0 else thetas
        f, g = Belief(X, branin(X), thetas[0]), Belief(X, disc(X), thetas[1])
        thetas = [f.theta, g.theta]
        feasible = disc(X) >= 0
        best = branin(X)[feasible if aware and feasible.any() else slice(None)].max()
        value = log_ei(f, cells, (best - f.shift) / f.unit)[0]
        mean, sigma = predict(g, cells)
        value = value + (log_ndtr(mean / sigma) if aware else 0)
        value[i] = -np.inf
        i = [*i, int(np.argmax(value))]
    return i


# %%
cells = qmc.Sobol(2, scramble=True, rng=generator(0).host).random(1024)
allowed = disc(cells) >= 0
maximum, rows = branin(cells)[allowed].max(), []
for seed in progress(seeds, "constraints"):
    rng = generator(seed).host
    start = rng.choice(1024, 6, replace=False).tolist()
    runs = [constrained(start, cells, 16, aware) for aware in (True, False)]
    runs.append([*start, *rng.choice(1024, 16, replace=False)])
    row = [f"seed {seed}"]
    for i in runs:
        good = branin(cells[i])[allowed[i]]
        row += [float(maximum - good.max()), int(allowed[i][6:].sum())]
    rows.append(row)
names = [
    f"{n}{what}"
    for n in ("EI × P", "EI alone", "random")
    for what in (", regret", ", inside")
]
table(
    rows,
    ["Start", *names],
    "Constrained Branin: feasible regret and how many of 16 points lay inside.",
)

# %%
inside = np.array([[row[2], row[4]] for row in rows]).mean(axis=0)
claims.check(
    "C7.g",
    "constraint: how many more of 16 evaluations lie inside with the probability in",
    measured=inside[0] - inside[1],
    at_least=3,
    seeds=len(seeds),
)
say(f"Of 16 evaluations {inside[0]:.1f} lie inside with the probability in, and "
    f"{inside[1]:.1f} without: the others go to the other two maxima.")


# %% [markdown]
# ### Cheap approximations and derivatives
#
# A cheap source observes $f(x) + \delta(x)$, with $\delta$ a process of its own, at a tenth of the price. Observing it never adds an evaluated value of
# $f$, so the improvement over the best *evaluated* value is zero whatever comes out. KG asks what the observation does to the posterior mean of $f$
# everywhere, and divides by the price, $\mathrm{KG}(x, s)/c(s)$. The same holds for an observation of $f'(x)$, whose covariances are, for $k = e^{-(x-x')^2/2\ell^2}$,
#
# $$\operatorname{Cov}(f(x), f'(x')) = k\,\frac{x-x'}{\ell^2}, \qquad
# \operatorname{Cov}(f'(x), f'(x')) = \frac{k}{\ell^2}\Bigl(1 - \frac{(x-x')^2}{\ell^2}\Bigr).$$
#
# Both are one Gaussian vector of 202 numbers, the values of $f$ on the grid and below them those of the other source, and the value of an observation is again {eq}`bo-envelope`, with
# the lines restricted to evaluated points (EI, by the one-step argument) or to all values of $f$ (KG).

# %%
def two_sources(grid: Array, cross: Array, other: Array) -> Array:
    """Covariance of (f, other source) on a grid."""
    upper = xp.concat([k(grid), cross], axis=1)
    return xp.concat([upper, xp.concat([xp.matrix_transpose(cross), other], axis=1)])


def value_of(mu: Array, C: Array, lines: Array, lam: float) -> Array:
    """E max(mu_{n+1}) - max(mu_n) over the given lines, for an observation of each component."""
    b, live = sigma_tilde(C[None], lam)
    b = b[0][:, lines]
    return xp.where(live[0], expected_rise(xp.broadcast_to(mu[lines], b.shape), b), 0.0)


apart = grid[:, None] - grid
slopes = k(grid) * apart / 0.15**2
curvature = k(grid) / 0.15**2 * (1 - apart**2 / 0.15**2)
cheap = k(grid) + SquaredExponential(0.1, 0.3)(grid)
sources = {
    "cheap source": two_sources(grid, k(grid), cheap),
    "derivative": two_sources(grid, slopes, curvature),
}
worth = {}
for name, K in sources.items():
    mu, C = condition(K, seen_3[0], y, 0.0)
    worth[name] = [value_of(mu, C, i, 0.0) for i in (seen_3[0], xp.arange(101))]

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: the knowledge gradient per unit price of the cheap source lies far above that of f itself. "
    "Right: the knowledge gradient of a derivative is positive between and near the data. The EI of either is zero throughout.",
    caption="What an observation is worth in the running example without noise. Left: KG per unit of price, "
    "of $f$ (price 1) and of the cheap source (price 0.1). Right: KG of $f$ and of $f'$.",
    sharex=True,
) as axes:
    x = to_host(grid)
    for ax, (name, (ei, kg)), price in zip(
        axes, worth.items(), (0.1, 1.0), strict=True
    ):
        ax.plot(x, to_host(kg[:101]), label="KG, f")
        ax.plot(x, to_host(kg[101:]) / price, label=f"KG, {name}")
        ax.plot(x, to_host(ei[101:]), "--", label=f"EI, {name}")
        ax.set(
            xlabel="x",
            ylabel="expected gain per price" if price < 1 else "expected gain",
        )
        ax.set_ylim(top=1.5 * float(xp.max(kg[101:])) / price)
        ax.legend(fontsize=8, loc="upper right")

# %%
cheap_ei, cheap_kg = (v[101:] for v in worth["cheap source"])
slope_ei, slope_kg = (v[101:] for v in worth["derivative"])
claims.check(
    "C7.c",
    "largest EI of the cheap source and of a derivative",
    measured=float(xp.max(xp.abs(xp.concat([cheap_ei, slope_ei])))),
    equals=0,
)
claims.check(
    "C7.d",
    "largest KG of the cheap source",
    measured=float(xp.max(cheap_kg)),
    at_least=1e-3,
)
claims.check(
    "C7.e",
    "largest KG of a derivative",
    measured=float(xp.max(slope_kg)),
    at_least=1e-3,
)

# %% [markdown]
# Are the derivative's covariances right? We condition on three values and three slopes, and again on three values and three difference quotients of $f$,
# whose covariances need nothing but $k$.

# %%
step, data = 1e-4, xp.asarray([0.2, 1.0, -0.5, 4.0, -3.0, 2.0])
at = xp.concat([seen_3[0], 101 + seen_3[0]])
mu, _ = condition(sources["derivative"], at, data, 0.0)
shifted = xp.concat([grid, X - step, X + step])
K = k(shifted)
quotient = (K[:, 104:] - K[:, 101:104]) / (2 * step)
both = xp.concat([K[:101, :101], quotient[:101]], axis=1)
second = (quotient[104:] - quotient[101:104]) / (2 * step)
lower = xp.concat([xp.matrix_transpose(quotient[:101]), second], axis=1)
mu_quotient, _ = condition(
    xp.concat([both, lower]), xp.concat([seen_3[0], xp.arange(101, 104)]), data, 0.0
)
claims.check(
    "C7.f",
    "posterior mean from slopes against difference quotients: largest difference on the grid",
    measured=float(xp.max(xp.abs(mu[:101] - mu_quotient[:101]))),
    at_most=1e-5,
)


# %% [markdown]
# Now let the cheap source play. Functions and biases come from their priors, both policies start from two paired observations, and then spend five units: EI can only buy $f$ itself, KG may buy
# either.

# %%
def spend(rule: str, f: Array, start: Array, budget: float) -> tuple[Array, Array]:
    """Price paid and opportunity cost after each purchase; f (R, 2 m) holds both sources."""
    R, m = f.shape[0], f.shape[1] // 2
    r = xp.arange(R)
    mu, C = xp.zeros((R, 2 * m)), xp.broadcast_to(two_prior, (R, 2 * m, 2 * m))
    seen, paid, costs = [], [xp.zeros(R)], []
    bought = [start[:, 0], start[:, 1], start[:, 0] + m, start[:, 1] + m]
    price = xp.where(xp.arange(2 * m) < m, 1.0, 0.1)
    while len(seen) < 4 or float(xp.min(paid[-1])) < budget:
        if len(seen) < 4:
            i = bought[len(seen)]
        elif rule == "EI":
            own = xp.stack([*seen[:2], *seen[4:]], axis=1)  # where f itself was bought
            i = xp.argmax(plug_in_ei(mu, C, own, 0)[:, :m], axis=1)
        else:
            b, _ = sigma_tilde(C, 1e-6)
            a = xp.broadcast_to(mu[:, None, :m], (R, 2 * m, m))
            a, b = (xp.reshape(v, (-1, m)) for v in (a, b[:, :, :m]))
            rise = expected_rise(a, b)
            i = xp.argmax(xp.reshape(rise, (R, 2 * m)) / price, axis=1)
        seen.append(i)
        paid.append(paid[-1] + (price[i] if len(seen) > 4 else 0.0))
        mu, C = observe(mu, C, i, f[r, i], 1e-6)
        costs.append(xp.max(f[:, :m], axis=1) - f[r, xp.argmax(mu[:, :m], axis=1)])
    return xp.stack(paid[4:]), xp.stack(costs[3:])


# %%
R, m = scale(default=(40, 40), paper=(1000, 200))
k, points = SquaredExponential(1.0, 0.1), xp.linspace(0.0, 1.0, m)
two_prior = two_sources(
    points, k(points), k(points) + SquaredExponential(0.1, 0.3)(points)
)
L, _ = jittered_cholesky(two_prior)
rng = generator(0)
f = rng.standard_normal((R, 2 * m)) @ xp.matrix_transpose(L)
start = xp.argsort(rng.random((R, m)), axis=1)[:, :2]
budgets, curves_paid = np.arange(0, 5.01, 0.5), {}
for rule in progress(("EI", "KG"), "two sources"):
    paid, cost = (to_host(v) for v in spend(rule, f, start, 5.0))
    last = (paid[None] <= budgets[:, None, None] + 1e-9).sum(axis=1) - 1
    curves_paid[rule] = np.take_along_axis(cost, last, axis=0)
gain = mean_error(curves_paid["EI"][-1] - curves_paid["KG"][-1])
table(
    [
        [f"{b:g}", *(float(curves_paid[rule][j].mean()) for rule in ("EI", "KG"))]
        for j, b in enumerate(budgets)
        if j % 2 == 0
    ],
    ["Spent", "EI on f", "KG on either source"],
    f"Mean opportunity cost by money spent; at the end EI − KG = {gain[0]:.3f} ± {gain[1]:.3f}.",
)

# %%
claims.check(
    "C7.h",
    "two sources: cost of EI minus cost of KG after 5 units",
    measured=gain[0],
    at_least=0.005,
    seeds=R,
    spread=gain[1],
)

# %% [markdown]
# Ten cheap observations cost as much as a dear one and say more about where the maximum is; EI cannot see them.
#
# ### A real task
#
# Last, a support vector machine with a Gaussian kernel on 400 handwritten digits, whose accuracy is an average over three cross-validation folds. Its $\log_{10} C$ and $\log_{10}\gamma$ are to be
# tuned on a grid of 15 × 15. EI has to pay for all three folds of a setting. KG may buy a single fold $w$: the model is a joint process over setting and fold, with covariance
# $s^2 k(x, x')\,(\rho + (1-\rho)\,[w = w'])$, and what is to be maximised is the average over the folds. With $s = 0.3$, $\ell = 0.3$ on the unit square and $\rho = 0.995$, set beforehand, folds
# of one setting differ by some two per cent.

# %%
digits = load_digits()
chosen = generator(0).host.permutation(len(digits.target))[:400]
images, labels = digits.data[chosen] / 16, digits.target[chosen]
squares = np.sum((images[:, None] - images) ** 2, axis=2)
folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(images, labels))
log_C, log_gamma = np.linspace(-2, 4, 15), np.linspace(-5, 1, 15)
accuracy = np.zeros((15, 15, 3))
for j, gamma in enumerate(progress(log_gamma, "accuracies")):
    K = np.exp(-(10**gamma) * squares)
    for w, (fit, test) in enumerate(folds):
        for i, C in enumerate(log_C):
            machine = SVC(C=10**C, kernel="precomputed").fit(
                K[np.ix_(fit, fit)], labels[fit]
            )
            accuracy[i, j, w] = machine.score(K[np.ix_(test, fit)], labels[test])
accuracy = accuracy.reshape(225, 3)

# %%
axis = np.linspace(0, 1, 15)
settings = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(225, 2)
same_fold = 0.995 + 0.005 * np.eye(3)
fold_prior = to_device(np.kron(SquaredExponential(0.09, 0.3)(settings), same_fold))


# %%
def tune(rule: str, start: np.ndarray, y: Array) -> Array:
    """Cost of argmax mu after 12 + 3 j folds; start (R, 4) settings, y (225, 3) accuracies."""
    R, spent, costs = len(start), 0, []
    shift = xp.mean(y[start], axis=(1, 2))
    mu, C = xp.zeros((R, 675)), xp.broadcast_to(fold_prior, (R, 675, 675))
    seen = [to_device(column) for column in start.T]
    queue = [
        3 * i + w for i in seen for w in range(3)
    ]  # state 3 i + w is fold w of setting i
    while spent < 36:
        mean = xp.mean(xp.reshape(mu, (R, 225, 3)), axis=2)
        if spent >= 12 and spent % 3 == 0:
            costs.append(
                xp.max(xp.mean(y, axis=1)) - xp.mean(y, axis=1)[xp.argmax(mean, axis=1)]
            )
        if not queue:
            queue = choose(rule, mu, C, mean, seen)
        i = queue.pop(0)
        mu, C = observe(mu, C, i, xp.reshape(y, (-1,))[i] - shift, 1e-6)
        spent += 1
    mean = xp.mean(xp.reshape(mu, (R, 225, 3)), axis=2)
    costs.append(
        xp.max(xp.mean(y, axis=1)) - xp.mean(y, axis=1)[xp.argmax(mean, axis=1)]
    )
    return xp.stack(costs)


# %%
def choose(rule: str, mu: Array, C: Array, mean: Array, seen: list) -> list[Array]:
    """The next fold by KG, or the next three folds by EI or at random."""
    R = mu.shape[0]
    if rule == "KG on folds":
        b, _ = sigma_tilde(C, 1e-6)
        b = xp.reshape(xp.mean(xp.reshape(b, (R, 675, 225, 3)), axis=3), (-1, 225))
        a = xp.reshape(xp.broadcast_to(mean[:, None], (R, 675, 225)), (-1, 225))
        return [xp.argmax(xp.reshape(expected_rise(a, b), (R, 675)), axis=1)]
    if rule == "random settings":
        seen.append(tuning_rng.integers(0, 225, R))
    else:
        blocks = xp.mean(xp.reshape(C, (R, 225, 3, 225, 3)), axis=(2, 4))
        value = plug_in_ei(mean, blocks, xp.stack(seen, axis=1), 0.0)
        seen.append(xp.argmax(value, axis=1))
    return [3 * seen[-1] + w for w in range(3)]


tuning_rng = generator(1)
start = np.stack(
    [generator(s).host.choice(225, 4, replace=False) for s in range(4)]
)

# %%
y = to_device(accuracy)
tuned = {
    rule: to_host(tune(rule, start, y))
    for rule in progress(
        ("random settings", "EI on all folds", "KG on folds"), "tuning"
    )
}
table(
    [
        [rule, *(f"{100 * v:.2f}" for v in cost.mean(axis=1)[::2])]
        for rule, cost in tuned.items()
    ],
    ["Policy", *(f"{n} folds" for n in range(12, 37, 6))],
    f"Accuracy (%) lost against the best of 225 settings ({100 * accuracy.mean(axis=1).max():.2f} %), "
    "mean of four starts.",
)

# %% [markdown]
# All settings on a broad plateau are close to each other, and the differences between the policies are of the same size as those between starts. KG does what it should, it
# buys single folds and spreads them over more settings; but four starts decide nothing. We draw no claim from this table.
#
# ## Verdict
#
# The formulas hold to rounding, except for the one that is misprinted: at $\Delta = \sigma = 1$ the page gives $0.4006$ where the expectation is $1.0833$. Entropy search and
# predictive entropy search agree within Monte Carlo error, noisy EI turns into EI as the noise vanishes, and EI is exactly zero for a cheap source or a derivative that KG
# values highly. On functions from the prior KG equals EI without noise and beats its plug-in form under noise, as the tutorial says. What we had not expected: how little the
# plug-in form then gains over random points, and that an acquisition that merely asks the one-step question among *evaluated* points (noisy EI) keeps up with KG. The
# lesson is less about which acquisition than about asking what an observation can still change.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# C5.a as our specification states it (every policy ahead of random by two standard errors at noise 0 and 0.3) does not hold, nor did it on ten further sets of functions.
# The tutorial itself makes no such statement.
#
# The 98 % of the multi-step optimum is cited from earlier work on a solvable problem which the tutorial does not give in enough detail to set up. Its other statements on performance are
# cited as well. Entropy search is usually approximated by expectation propagation; on a finite grid sampling is exact up to Monte Carlo error, and we use that. The batch is optimised by quasi-Newton
# steps on a fixed sample instead of stochastic gradients. Hyper-parameters are set to their posterior mode; the fully Bayesian average over slice samples is not run.
#
# The suggested step length $a = 4$ of algorithm 3 worked here only after the domain was measured in units of the covariance's length.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the policies play 2000 replications on a grid of 500 points; each step of KG then scans a million envelopes of 500 lines, all in step, which is what a GPU is for,
# but its memory wants the replications in portions. The test functions run with 50 seeds, the entropies with 200 000 functions and the two sources with 1000 replications. None of this has been run on a GPU yet.
