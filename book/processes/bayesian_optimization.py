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
# What "better off" means is the whole subject. {cite}`bayesian_optimization` derive the usual answers (expected improvement, knowledge
# gradient, entropy search) from one decision-theoretic argument and carry them over to noise,
# parallel evaluations, constraints, cheap approximations and derivatives. This chapter puts all of these acquisition functions side by side on one small
# problem where each can be computed exactly, repairs a misprint in the tutorial's formula of expected improvement, and then lets
# them play against each other on the same functions with the same noise.
#
# ## What the paper claims
#
# The tutorial has no benchmark tables: its claims are formulas, and statements about when which of them pays.
#
# 1. The posterior of a Gaussian process has mean and variance in closed form; without noise its variance is zero at the data.
# 2. Expected improvement (EI) has a closed form, vanishes at evaluated points, and grows with both the posterior mean and
#    the posterior deviation. The printed formula contains an error, which we show.
# 3. The knowledge gradient (KG) values the change of the largest posterior mean; its gradient can be estimated without
#    bias through the envelope theorem (algorithms 2 to 4; suggested sizes $R = 10$, $T = 100$, $a = 4$, $J = 1000$).
# 4. KG has a small advantage over EI without noise and a substantial one with noise.
# 5. Entropy search (ES) and predictive entropy search (PES) are the same quantity.
# 6. Under noise the natural extension of EI is one-step optimality among the *evaluated* points, rather than an ad hoc
#    substitute; it becomes EI as the noise vanishes.
# 7. EI is blind to cheap approximations of $f$ and to derivatives, KG and ES are not. EI of a batch of points can be optimised, and
#    the constant liar approximates it greedily; with constraints only feasible improvement counts.
# 8. One-step policies come within 98 % of the multi-step optimum in a solvable problem (cited from earlier work).
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

import numpy as np
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import digamma, erfcx
from scipy.stats import qmc
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.gp.cholesky import jittered_cholesky, solve_triangular
from gaussbook.gp.covariances import Matern52, SquaredExponential
from gaussbook.gp.exact import log_marginal_likelihood
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
def posterior(k, X: Array, y: Array, grid: Array, lam: float) -> tuple[Array, Array]:
    """mu_n and C_n on the grid, prior mean zero."""
    L, _ = jittered_cholesky(k(X) + lam * xp.eye(X.shape[0]))
    half = solve_triangular(L, xp.concat([k(X, grid), y[:, None]], axis=1))
    half, z = half[:, :-1], half[:, -1]
    return z @ half, k(grid) - xp.matrix_transpose(half) @ half


def observe(mu: Array, C: Array, i: Array, y: Array, lam: float) -> tuple[Array, Array]:
    """mu + C_i (y - mu_i) / (C_ii + lam) and C - C_i C_i^T / (C_ii + lam)."""
    r = xp.arange(i.shape[0])
    c = C[r, i]
    gain = c / (c[r, i] + lam)[:, None]
    return mu + gain * (y - mu[r, i])[:, None], C - gain[:, :, None] * c[:, None, :]


# %% [markdown]
# The envelope {eq}`bo-envelope` is a scan with a stack: take the lines by rising slope; as long as the new line overtakes the top of the stack no later than the
# top overtook its predecessor, the top is never the largest and is dropped. Every row of `a` and `b` is a problem of its own; all rows scan in step, each
# dropping or adding one line at a time. Slopes that are equal up to rounding must count as equal, or
# a crossing far out of the way is computed from noise.

# %%
def expected_rise(a: Array, b: Array) -> Array:
    """E max_i(a_i + b_i Z) - max_i a_i of each row: the sum of (b_{i+1} - b_i) h(-|c_i|)."""
    a, b = by_slope(a, xp.round(b * 1e9) / 1e9)
    (B, m), r = a.shape, xp.arange(a.shape[0])
    A, S, c = a + 0, b + 0, xp.full((B, m), -xp.inf)  # the stacks; the first line is on
    top, new = xp.zeros(B, dtype=xp.int64), xp.ones(B, dtype=xp.int64)
    while bool(xp.any(new < m)):
        k, t = xp.minimum(new, xp.asarray(m - 1)), xp.maximum(top, xp.asarray(0))
        gap = b[r, k] - S[r, t]
        cross = (A[r, t] - a[r, k]) / xp.where(gap > 0, gap, 1.0)
        cross = xp.where((gap > 0) & (top >= 0), cross, -xp.inf)
        drop = (new < m) & (top >= 0) & (cross <= c[r, t])
        add = (new < m) & ~drop
        top = top + xp.astype(add, xp.int64) - xp.astype(drop, xp.int64)
        at = (r[add], top[add])
        A[at], S[at], c[at] = a[r, k][add], b[r, k][add], cross[add]
        new = new + xp.astype(add, xp.int64)
    kept = xp.arange(1, m) <= top[:, None]
    rises = (S[:, 1:] - S[:, :-1]) * h(-xp.abs(xp.where(kept, c[:, 1:], 0.0)))
    return xp.sum(xp.where(kept, rises, 0.0), axis=1)


# %%
def by_slope(a: Array, b: Array) -> tuple[Array, Array]:
    """Sort the lines of each row by slope b and, among equal slopes, by intercept a."""
    for key in (0, 1):
        order = xp.argsort((a, b)[key], axis=1, stable=True)
        a = xp.take_along_axis(a, order, axis=1)
        b = xp.take_along_axis(b, order, axis=1)
    return a, b


# %% [markdown]
# Now the acquisition functions themselves. Each takes means (R, m), covariances (R, m, m), the indices `seen` (R, n) of the evaluated points and the noise variance $\lambda$, and
# returns its value at all $m$ candidates. Where $\sigma_n(x) < 10^{-4}$ nothing can be learned and the two that divide by it return zero.

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
    live = sigma >= 1e-4
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
    return xp.where(live, xp.reshape(rise, (R, m)), 0.0) + xp.where(ahead > 0, ahead, 0.0)


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
    mu, C = posterior(k, X, y, grid, lam)
    beliefs[lam] = mu[None], C[None], seen, lam

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
    axes[0].set(xlabel="x", ylabel="f(x)")
    twin = axes[0].twinx()
    twin.fill_between(x, to_host(plug_in_ei(*beliefs[0.0])[0]), color="#D55E00", alpha=0.4)
    twin.set(ylim=(0, 0.6), ylabel="EI")
    twin.grid(False)
    axes[0].legend(loc="lower left")
    for alpha_1, shift in ((1, 0), (20, -5), (400, -10)):
        prior = SquaredExponential(1.0, (2 * alpha_1) ** -0.5)(grid)
        L, _ = jittered_cholesky(prior)
        draws = L @ generator(3).standard_normal((101, 3))
        axes[1].plot(x, to_host(draws) + shift, color="#0072B2", lw=1)
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
    phi = lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    low = max(-Delta, -40.0)
    pieces = [(low, low + 5), (low + 5, low + 12), (low + 12, low + 48)]
    return sum(
        quad(lambda z: (Delta + z) * phi(z), *p, epsabs=1e-15, epsrel=1e-12)[0] for p in pieces
    )


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
    "then first rises by less and falls before it rises. Right: contours of EI over Delta and sigma; EI "
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
    "C1.a", "EI against quadrature, Δ/σ in [−8, 8]: largest error", measured=ei_error, at_most=1e-10
)
claims.check(
    "C1.b",
    "EI at Δ = σ = 1",
    measured=float(expected_improvement(xp.ones(1), xp.ones(1))[0]),
    equals=1.08332,
    within=5e-6,
)
rising = expected_improvement(D, S)
steps = (rising[1:] - rising[:-1], rising[:, 1:] - rising[:, :-1])
claims.check(
    "C1.c",
    "least increment of EI in either argument over the contour plot",
    measured=min(float(xp.min(s)) for s in steps),
    at_least=-1e-15,
)
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


def joint(y: Array, f: Array, groups: Array, lam: float) -> Array:
    """p(y_q, x* = g) for each y_q: (q, S) likelihoods times the (S, m) indicators of x*."""
    likelihood = xp.exp(-((y[:, None] - f) ** 2) / (2 * lam)) / math.sqrt(2 * math.pi * lam)
    return likelihood @ groups / f.shape[0]


def es(f: Array, groups: Array, lam: float, rng) -> float:
    """H[x*] - E_y H[x* | y] with simulated y."""
    draws = f[rng.integers(0, f.shape[0], 200)] + math.sqrt(lam) * rng.standard_normal(200)
    p = joint(draws, f, groups, lam)
    p_given_y = p / xp.sum(p, axis=1, keepdims=True)
    return float(entropy(xp.mean(groups, axis=0)) - xp.mean(entropy(p_given_y)))


def pes(f: Array, groups: Array, lam: float) -> float:
    """H[y] - E_x* H[y | x*] with y integrated over a lattice."""
    margin = 5 * math.sqrt(lam)
    y = xp.linspace(float(xp.min(f)) - margin, float(xp.max(f)) + margin, 400)
    p, dy = joint(y, f, groups, lam), y[1] - y[0]
    P = xp.sum(p, axis=0) * dy
    conditional = entropy(xp.matrix_transpose(p)) + P * xp.log(xp.where(P > 0, P, 1.0)) / dy
    return float((entropy(xp.sum(p, axis=1)) - xp.sum(conditional)) * dy)


# %%
S = scale(default=20_000, paper=200_000)
places = [5, 15, 25, 30, 35, 50, 60, 70, 90, 100]  # grid indices of the ten candidates
rng = generator(0)


def sample_groups(mu: Array, C: Array) -> tuple[Array, Array]:
    """S posterior functions on the grid and the indicators (S, m) of their maximisers."""
    L, _ = jittered_cholesky(C)
    f = mu + rng.standard_normal((S, 101)) @ xp.matrix_transpose(L)
    return f, xp.astype(xp.argmax(f, axis=1)[:, None] == xp.arange(101), xp.float64)


information = {}
for lam in noises:
    mu, C = beliefs[lam][0][0], beliefs[lam][1][0]
    instrument = max(lam, 0.02**2)
    (f, groups), (f2, groups2) = sample_groups(mu, C), sample_groups(mu, C)
    at = places + ([10, 45, 80] if lam == 0 else [])
    information[lam] = [
        (es(f[:, i], groups, instrument, rng), pes(f2[:, i], groups2, instrument)) for i in at
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

# %% tags=["hide-input"]
with figure(
    2,
    3,
    alt="Top: for three noise variances plug-in EI, KG with simulated dots on it, and noisy EI over x. Without noise "
    "the two EI coincide and KG is higher near data; with noise plug-in EI grows while KG and noisy EI "
    "shrink. Bottom: entropy search and predictive entropy search at ten points agree.",
    caption="Above: acquisition functions for noise variances 0, 0.1 and 1 (dots: KG by algorithm 2). Below: "
    "mutual information by ES and PES at ten candidates.",
    sharex=True,
    sharey="row",
    height=5.2,
) as axes:
    half = generator(1).standard_normal(1000)
    Z = xp.concat([half, -half])  # antithetic, J = 2000
    x = to_host(grid)
    for (above, below), lam in zip(axes.T, noises, strict=True):
        for name, curve in zip(rules, curves[lam], strict=True):
            above.plot(x, to_host(curve), label=name, ls="--" if name == "noisy EI" else "-")
        dots, _ = simulated_kg(beliefs[lam][0][0], beliefs[lam][1][0], lam, Z)
        above.plot(x[::5], to_host(dots)[::5], "o", color="#D55E00", ms=3)
        above.set(title=f"λ = {lam:g}")
        pairs = np.array(information[lam][:10])
        below.plot(x[places], pairs[:, 0], "s", mfc="none", label="ES", ms=7)
        below.plot(x[places], pairs[:, 1], "x", label="PES")
        below.set(xlabel="x")
    axes[0, 0].set(ylabel="expected gain in f")
    axes[1, 0].set(ylabel="information (nats)")
    axes[0, 0].legend()
    axes[1, 0].legend()

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
)
claims.check(
    "C2.b", "running example: error of their places", measured=max(place_errors), at_most=0.0101
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
    dk = lambda points: k(x, points) * (points - x[:, None]) / 0.15**2  # noqa: E731
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
    [[f"{float(v):.2f}", *map(float, row)] for v, *row in zip(x5, G, error, difference, strict=True)],
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
R, T, a, J = 10, 100, 4, 1000  # the tutorial's suggestion; J also averages each gradient
rng = generator(5)
x = start = rng.random(R)
for t in progress(range(1, T + 1), "algorithm 3"):
    G, _ = kg_gradient(x, 0.1, rng.standard_normal(J // 10))
    x = xp.clip(x + a / (a + t) * G, 0.0, 1.0)
ends = exact_kg(x, 0.1)
best = int(xp.argmax(ends))
table(
    [["algorithm 3", float(x[best]), float(ends[best])], ["grid", 0.31, float(xp.max(curves[0.1][1]))]],
    ["Method", "x", "KG"],
    "The maximum of KG by stochastic gradient ascent and on the grid (noise variance 0.1).",
)

# %% [markdown]
# The step length acts on raw coordinates: it suits a unit cube and functions of unit scale, as here, and nothing else, so the domain must be
# rescaled first. What about the relations between the functions?

# %%
mu, C, seen_3, _ = beliefs[0.0]
gap = xp.max(xp.abs(curves[0.0][2] - curves[0.0][0]))
claims.check(
    "C3.a", "no noise: noisy EI minus EI, largest on the grid", measured=float(gap), at_most=1e-7
)
least, larger = [], []
for lam in noises:
    mu = beliefs[lam][0][0]
    _, kg, nei = curves[lam]
    least.append(float(xp.min(kg)))
    larger.append(float(xp.min(kg + xp.max(mu) - nei - xp.max(mu[seen[0]]))))
claims.check("C3.b", "least KG, three noises", measured=min(least), at_least=0)
claims.check(
    "C3.c", "least (KG + max μ) − (noisy EI + μ**), three noises", measured=min(larger), at_least=0
)
both = np.array([pair for lam in noises for pair in information[lam][:10]])
claims.check(
    "C4.a",
    "ES minus PES, worst of 10 points and three noises",
    measured=float(np.abs(both[:, 0] - both[:, 1]).max()),
    at_most=0.1,
    unit="nats",
)
claims.check("C4.b", "least of these", measured=float(both.min()), at_least=0, unit="nats")
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
    groups = xp.astype(xp.argmax(f, axis=2)[:, :, None] == xp.arange(m), xp.float64)
    small = xp.sum(groups, axis=1) < 10
    pooled = xp.sum(xp.where(small[:, None, :], groups, 0.0), axis=2, keepdims=True)
    groups = xp.concat([xp.where(small[:, None, :], 0.0, groups), pooled], axis=2)
    n = xp.sum(groups, axis=1)[:, :, None]
    f = f - xp.mean(f, axis=1, keepdims=True)
    turned, safe = xp.matrix_transpose(groups), xp.where(n > 1, n, 2.0)
    squares = turned @ f**2 - (turned @ f) ** 2 / safe
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


def problem(sd: float, seed: int) -> dict:
    """Common functions f, noise, visiting order of the random policy, and prior samples."""
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
    costs, best = [], xp.full(R, -xp.inf)
    for n in range(23):
        if n < 3 or name == "random":
            i = order[:, n]
        elif name == "PES":
            i = xp.argmax(sampled_pes(paths, lam), axis=1)
        else:
            i = xp.argmax(rules[name](mu, C, xp.stack(seen, axis=1), lam), axis=1)
        seen = [i] if n == 0 else [*seen, i]
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
        recommended, best = play(name, sd, **problem(sd, seed=0))
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
    ["Policy", *(f"argmax μ, sd {s:g}" for s in levels), *(f"best sampled, sd {s:g}" for s in levels)],
    "Opportunity cost after 3 + 20 evaluations (mean ± standard error over replications).",
)

# %% tags=["hide-input"]
with figure(
    1,
    3,
    alt="Opportunity cost over evaluations for five policies at three noise levels. All model-based policies "
    "fall far below random without noise; with noise the curves come closer together.",
    caption="Mean opportunity cost of the recommendation $\\arg\\max\\mu_n$, noise deviation 0, 0.3 and 1.",
) as axes:
    for ax, sd in zip(axes, levels, strict=True):
        for name in policies:
            ax.semilogy(range(1, 24), costs[sd, name].mean(axis=1), label=name)
        ax.set(xlabel="evaluations", title=f"noise sd {sd:g}", xlim=(3, 23))
    axes[0].set(ylabel="opportunity cost")
    axes[1].legend(fontsize=7)


# %%
def paired(first: str, second: str, sd: float) -> tuple[float, float]:
    """Mean of cost(first) - cost(second) after the last evaluation, and its standard error."""
    return mean_error(costs[sd, first][-1] - costs[sd, second][-1])


gains = [paired("random", name, sd) for name in ("plug-in EI", "noisy EI", "KG", "PES") for sd in (0.0, 0.3)]
claims.check(
    "C5.a",
    "four policies, noise sd 0 and 0.3: least advantage over random, in paired standard errors",
    measured=min(mean / error for mean, error in gains),
    at_least=2,
    seeds=R,
)
excess = [paired("KG", "plug-in EI", sd) for sd in levels]
claims.check(
    "C5.b",
    "cost of KG minus plug-in EI, worst of three noise levels, in paired standard errors",
    measured=max(mean / error for mean, error in excess),
    at_most=1,
    seeds=R,
)
claims.check(
    "C5.c",
    "noise sd 1: cost of KG minus cost of plug-in EI",
    measured=excess[-1][0],
    at_most=0,
    seeds=R,
)

# %%
claims.report()
