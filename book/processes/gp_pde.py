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
# # High-frequency differential equations with Gaussian processes
#
# ```{paper-card}
# ```
#
# A differential equation such as $u'' = f$ can be solved by fitting a flexible function: choose points,
# and adjust the function until it satisfies the equation at all of them. Neural networks are popular for
# this and have a well-known weakness. They learn slow variation first, and a solution that oscillates
# fast may never arrive.
#
# {cite:t}`gp_pde` fit a Gaussian process instead, and give it a covariance that is a mixture of bumps in the
# *frequency* domain. The position of each bump is a parameter, so the process finds out at which
# frequencies the solution lives, and an automatic pruning removes the bumps that are not needed. This
# chapter solves $u'' = f$ for solutions with fifty oscillations on the domain, from four points for each of them.
# It also gives the competitors a fair chance, and one of them takes it.
#
# ## What the paper claims
#
# The numbers are relative errors, as on the authors' slides and poster.
#
# 1. **Accuracy.** A Gaussian process whose covariance is the inverse Fourier transform of a mixture of Student-t
#    bumps (GP-HM-StM) or Gaussian bumps (GP-HM-GM) solves high-frequency and multi-scale equations: $6.5\cdot10^{-7}$ on
#    $\sin 100x$, $3.2\cdot10^{-6}$ on $\sin 6x\cos 100x$, $2.7\cdot10^{-3}$ on three scales, $7.7\cdot10^{-6}$ on the
#    nonlinear Allen–Cahn equation. {claims}`C1.a, C1.b, C1.c, C1.d, C1.e`
# 2. **Frequencies are found.** The components that are needed move to the true frequencies. {claims}`C2.a, C2.b, C2.c`
# 3. **Pruning.** Optimising the logarithms of the weights amounts to Jeffreys' prior $p(w) \propto 1/w$:
#    superfluous components vanish. {claims}`C3`
# 4. **Others fail.** Processes with an ordinary covariance stay at $2.7\cdot10^{-2}$ ($\sin 100x$), 0.52 (product) and
#    0.98 (three scales), neural networks that are trained on the equation (PINN) at 1.36 on $\sin 100x$. But a network on random
#    Fourier features reaches $5\cdot10^{-4}$ there and *beats* the authors' process on three scales ($2\cdot10^{-5}$), and a
#    Chebyshev solver beats everything in one dimension.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f, C4.g, C4.h, C4.i`
# 5. **Kronecker structure.** On a grid with a product covariance everything is computed from the matrices of the single
#    axes, without any low-rank approximation. {claims}`C5.a, C5.b, C5.c`
# 6. **Slow but steady.** The published optimisation, Adam on all unknowns, gets there in $10^5$ steps and more; after 100
#    steps a log of the authors has an error of 0.2756. {claims}`C6.a, C6.b, C6.c`
#
# Not tested here: that a step takes $O(\sum_d M_d^3 + M\sum_d M_d)$ operations with $M_d$ points on axis $d$ and $M=\prod_d M_d$
# (a figure shows times), and the paper's other equations.
#
# These statements rest on the authors' repository (solvers, covariances, all configurations, scripts, two
# short logs), its description and figure, the abstract, and the tables of the authors' slides and poster. The body
# of the paper was not read.
#
# ## The idea
#
# **A covariance with frequencies.** A stationary covariance is the Fourier transform of a spectral density
# $S$. Let $S$ be a mixture of $Q$ pairs of bumps at $\pm\mu_q$. The transform of a shifted bump is the transform of
# the bump times a cosine, so with the distance $d = |x - x'|$
#
# ```{math}
# :label: gp-pde-kernel
# k(d) = \sum_{q=1}^Q w_q\, m(d;\ell_q)\cos(2\pi\mu_q d), \qquad
# m_{\text{StM}} = \bigl(1 + z + \tfrac13 z^2\bigr)e^{-z},\ z = \sqrt5\,\ell\, d, \qquad
# m_{\text{GM}} = e^{-\ell d^2}.
# ```
#
# The weight $w_q$ is the variance carried by component $q$, $\mu_q$ its frequency in cycles per unit of $x$, and $\ell_q$ the
# width of its bump: an *inverse* length (for GM the square of one). The envelope of the Student-t bumps, whose tails
# decay like a power, is the Matérn covariance of smoothness 5/2.
#
# **The equation as data.** Let $x_1, \ldots, x_N$ be a regular grid from one boundary to the other, $u$ the
# values of the solution there, and $u \sim N(0, K)$ with $K = k(X, X) + \varepsilon I$; the *jitter* $\varepsilon = 10^{-6}$
# keeps $K$ invertible. Given $u$, the conditional mean of the second derivative is $B K^{-1}u$, where
# $B = k''(X, X)$. The unknowns are $u$, the parameters $\Theta = (\log w_q, \log \ell_q, \mu_q)$, and two precisions: $\tau$ of the
# boundary values $g$ and $v$ of the equation. One minimises
#
# ```{math}
# :label: gp-pde-objective
# J = \tfrac12\log|K| + \tfrac12 u^\top K^{-1}u
#   + \lambda_b\Bigl[\tfrac\tau2\|u_b - g\|^2 - \tfrac{N_b}2\log\tau\Bigr]
#   + \tfrac v2\|BK^{-1}u - f\|^2 - \tfrac N2\log v,
# ```
#
# where $u_b$ are the $N_b = 2$ boundary values, and $\lambda_b = 200$ gives them the weight that they
# would not have as two points among many.
#
# **Why weights vanish.** A weight $w$ with Jeffreys' prior $1/w$ has a *flat* density as a function of $\log w$. Nothing
# holds a weight up that does not help the data, and $\tfrac12\log|K|$ pays for every bit of variance given away: the
# weight drifts towards zero, exponentially in the number of steps.
#
# **Eliminating the solution.** The published algorithm runs Adam on everything, $u$ included. For a
# linear equation this is not needed: given the parameters, $J$ is quadratic in $u$. With
# $u = K\alpha$ and the Cholesky factor $K = LL^\top$ we put $\alpha = L^{-\top}z$. The equation becomes
# $B\alpha = G^\top z$ with $G = L^{-1}B$, the boundary values $L_b z$ with the two outer rows $L_b$ of $L$, and $z$ solves
#
# ```{math}
# :label: gp-pde-system
# \bigl(I + \lambda_b\tau L_b^\top L_b + v\,GG^\top\bigr)\,z = \lambda_b\tau L_b^\top g + v\,Gf .
# ```
#
# The identity in this matrix is what makes it safe: its eigenvalues are at least 1. (In terms
# of $\alpha$ the first term is $K$, whose smallest eigenvalue is the jitter, and the Cholesky
# factorisation fails from rounding in nearly every step; we tried.)
#
# **Gradient.** At the minimum over $\alpha$ the derivative of $J$ by the parameters is the partial one with $\alpha$ held
# fixed (the envelope theorem). With $r_b = u_b - g$, $r = B\alpha - f$ and $E_b$ the two outer columns of the identity,
#
# ```{math}
# :label: gp-pde-gradient
# \frac{\partial J}{\partial K} = \tfrac12 K^{-1} + \bigl(\tfrac12\alpha + \lambda_b\tau E_b r_b\bigr)\alpha^\top,
# \qquad \frac{\partial J}{\partial B} = v\,r\,\alpha^\top .
# ```
#
# On a regular grid $K$ and $B$ have constant diagonals. So only the $N$ values $k(d_j)$, $k''(d_j)$ and their derivatives
# by the parameters are ever evaluated, and the two matrices above enter through the sums of their diagonals.
#
# ## The method in code

# %%
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from numpy.polynomial import chebyshev
from scipy.interpolate import CubicSpline
from scipy.linalg import lstsq, solve_banded
from scipy.signal import find_peaks

from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.gp.cholesky import (
    add_to_diagonal,
    cholesky_inverse,
    jittered_cholesky,
    log_determinant,
    solve_triangular,
)
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims, xp, mT = Claims("gp_pde"), backend(), backend().matrix_transpose


# %% [markdown]
# An *envelope* returns $m, m', m''$ and the derivatives of these three by $\log\ell$, or $m$ alone. For the Student-t
# bumps, with $a = \sqrt5\,\ell$ and $z = ad$, $m' = -\tfrac a3 z(1+z)e^{-z}$ and $m'' = -\tfrac{a^2}3(1+z-z^2)e^{-z}$; at $d = 0$ the
# second derivative is finite, which is all that a second-order equation needs.

# %%
def student(d: Array, log_l: Array, slopes: bool = True) -> tuple:
    """m = (1 + z + z^2/3) exp(-z), z = sqrt(5) l d; m, m', m'' and d/dlog l of them."""
    a = math.sqrt(5) * xp.exp(log_l)
    z = a * d
    e = xp.exp(-z)
    y = z * z
    m = (1 + z + y / 3) * e
    if not slopes:
        return m, None
    e = -a / 3 * e
    m1, m2 = z * (1 + z) * e, a * ((1 + z - y) * e)
    s1 = z * (2 + 2 * z - y) * e
    s2 = a * ((2 + 2 * z - 5 * y + z * y) * e)
    s = d * m1
    return (m, m1, m2), (s, s1, s2)


def gaussian(d: Array, log_l: Array, slopes: bool = True) -> tuple:
    """m = exp(-y), y = l d^2; m, m', m'' and d/dlog l of them."""
    l = xp.exp(log_l)  # noqa: E741
    y = l * d**2
    m = xp.exp(-y)
    if not slopes:
        return m, None
    m1, m2 = -2 * l * d * m, 2 * l * (2 * y - 1) * m
    return (m, m1, m2), (-y * m, m1 * (1 - y), 2 * l * (5 * y - 1 - 2 * y**2) * m)


# %% [markdown]
# With $F = 2\pi\mu$, each component of $k$ is $w\,m\cos Fd$, and each of $k''$ is
# $w\,[(m'' - F^2m)\cos Fd - 2Fm'\sin Fd]$. Both are linear in the envelope, so the derivative by $\log w$ is the
# component itself, that by $\log\ell$ has the same form with other envelopes, and only that by $\mu$ needs a new line.

# %%
def kernel(d: Array, theta: dict, envelope: Callable) -> dict[str, tuple[Array, Array]]:
    """(N, Q) derivatives of k and k'' by log w, log l, mu; the first: the components."""
    d, F = d[:, None], 2 * math.pi * theta["mu"]
    w, c, s = xp.exp(theta["log_w"]), xp.cos(F * d), xp.sin(F * d)

    def modulated(m, m1, m2):
        return w * m * c, w * ((m2 - F**2 * m) * c - 2 * F * m1 * s)

    (m, m1, m2), slopes = envelope(d, theta["log_l"])
    bend = -(m2 - F**2 * m) * d * s - 2 * F * m * c - 2 * m1 * s - 2 * F * d * m1 * c
    return {
        "log_w": modulated(m, m1, m2),
        "log_l": modulated(*slopes),
        "mu": (-2 * math.pi * w * d * m * s, 2 * math.pi * w * bend),
    }


def toeplitz(column: Array) -> Array:
    """The symmetric matrix with entries column[|i - j|]."""
    n = column.shape[0]
    lags = xp.concat([xp.flip(column[1:]), column])  # every row is a window of it
    rows = xp.tile(lags, (n,))[n - 1 : n - 1 + n * (2 * n - 2)]
    return xp.reshape(rows, (n, 2 * n - 2))[:, :n]


# %% [markdown]
# The sums over diagonals $s_k = \sum_{|i-j|=k} M_{ij}$ are one pass over the matrix: give every row $N$ zeros,
# re-cut the memory into rows one entry shorter, and the diagonals stand upright as columns.

# %%
eps = 1e-6  # the jitter


def axis_matrices(
    x: Array, theta: dict, envelope: Callable
) -> tuple[Array, Array, dict]:
    """K = k(X, X) + eps I and B = k''(X, X) on a regular grid, and their derivatives."""
    partials = kernel(x - x[0], theta, envelope)
    k, k2 = (xp.sum(part, axis=1) for part in partials["log_w"])
    return add_to_diagonal(toeplitz(k), eps), toeplitz(k2), partials


def lag_sums(M: Array) -> Array:
    """s_k, the sum of M_ij over |i - j| = k."""
    n = M.shape[0]
    padded = xp.concat([xp.flip(M, axis=1), xp.zeros((n, n))], axis=1)
    cut = xp.reshape(padded, (-1,))[: n * (2 * n - 1)]
    sums = xp.sum(xp.reshape(cut, (n, 2 * n - 1)), axis=0)
    return xp.concat([sums[n - 1 : n], sums[n:] + xp.flip(sums[: n - 1])])


def to_parameters(dK: Array, dB: Array, partials: dict) -> dict[str, Array]:
    """sum_ij dK_ij dk_ij/dtheta + dB_ij dk''_ij/dtheta for log w, log l, mu."""
    sK, sB = lag_sums(dK), lag_sums(dB)
    return {name: sK @ dk + sB @ dk2 for name, (dk, dk2) in partials.items()}


# %% [markdown]
# A linear equation $u'' + c\,u = f$ is given by its grid, $c$, $f$ and the boundary values; $c$ is zero
# for $u'' = f$ and will be needed for Allen–Cahn. Then $G = L^{-1}(B + K\operatorname{diag}c) = L^{-1}B + L^\top\operatorname{diag}c$.
# Equation {eq}`gp-pde-system` reads as follows. The last field, normally $\varepsilon$, will explain a
# puzzle.

# %%
lambda_b = 200.0


@dataclass(frozen=True)
class System:
    """u'' + c u = f on the grid x with u = g at both ends."""

    x: Array
    c: Array
    f: Array
    g: Array
    boundary_jitter: float = eps


def eliminate(K: Array, B: Array, tau: Array, v: Array, system: System) -> tuple:
    """L of K = L L^T, alpha, r_b and r at the minimum of J over u = K alpha."""
    L, _ = jittered_cholesky(K, largest=0.0)  # 0: raise rather than add anything
    E_b = xp.eye(K.shape[0])[:, [0, -1]]
    G = solve_triangular(L, B) + mT(L) * system.c
    removed = (eps - system.boundary_jitter) * solve_triangular(L, E_b)
    L_b = L[[0, -1], :] - mT(removed)
    A = add_to_diagonal(lambda_b * tau * mT(L_b) @ L_b + v * (G @ mT(G)), 1.0)
    R, _ = jittered_cholesky(A, largest=0.0)
    right = lambda_b * tau * mT(L_b) @ system.g + v * G @ system.f
    z = solve_triangular(R, solve_triangular(R, right), transpose=True)
    alpha = solve_triangular(L, z, transpose=True)
    return L, alpha, L_b @ z - system.g, mT(G) @ z - system.f


# %% [markdown]
# The objective {eq}`gp-pde-objective` with $u^\top K^{-1}u = \alpha^\top K\alpha$, and its gradient {eq}`gp-pde-gradient`; where $c$ is
# not zero, $r$ depends on $K$ through $c\,K\alpha$, which adds $v\,(c\,r)\,\alpha^\top$.

# %%
def objective(theta: dict, system: System, envelope: Callable) -> tuple:
    """J minimised over u, its gradient by theta, and the minimiser alpha."""
    K, B, partials = axis_matrices(system.x, theta, envelope)
    tau, v = xp.exp(theta["log_tau"]), xp.exp(theta["log_v"])
    L, alpha, r_b, r = eliminate(K, B, tau, v, system)
    misfit, misfit_b = v / 2 * (r @ r), tau / 2 * (r_b @ r_b)
    n, n_b = r.shape[0], r_b.shape[0]
    J = (
        0.5 * log_determinant(L)
        + 0.5 * alpha @ (K @ alpha)
        + misfit
        + lambda_b * misfit_b
    )
    J = J - n / 2 * theta["log_v"] - lambda_b * n_b / 2 * theta["log_tau"]
    E_b = xp.eye(n)[:, [0, -1]]
    left = 0.5 * alpha + lambda_b * tau * (E_b @ r_b) + v * system.c * r
    dK = 0.5 * cholesky_inverse(L) + left[:, None] * alpha
    gradient = to_parameters(dK, v * r[:, None] * alpha, partials)
    gradient["log_tau"] = lambda_b * (misfit_b - n_b / 2)
    gradient["log_v"] = misfit - n / 2
    return J, gradient, alpha


# %% [markdown]
# Adam descends from equal weights and frequencies spread evenly over $[0, F_{\max}]$. The parameters stay in a box. Its most
# important side is $\mu < 0.98$ of the Nyquist frequency $1/(2h)$ of the grid with spacing $h$: above it,
# a wave can satisfy the equation at every grid point and be wrong everywhere in between. We keep the
# iterate with the smallest $J$ (the published code keeps the smallest *test error* over 20 checkpoints, which is
# not a rule that a user could follow). The rate falls to a tenth along half a cosine. At a constant rate the path near
# the optimum is chaotic, and with another processor's rounding it now and then ends with the highest peak beside the true
# frequency.

# %%
BOX = {"log_w": (-100, 3), "log_l": (-6, 5), "log_tau": (-30, 12), "log_v": (-30, 12)}


def start(Q: int, F_max: float, log_l: float = 0.0) -> dict[str, Array]:
    """w = 1/Q, mu even on [0, F_max], tau = v = 1."""
    theta = {"log_w": xp.full(Q, -math.log(Q)), "log_l": xp.full(Q, log_l)}
    theta |= {"mu": xp.linspace(0, F_max, Q)}
    return theta | {"log_tau": xp.asarray(0.0), "log_v": xp.asarray(0.0)}


def fit(
    system: System, theta: dict, envelope: Callable, steps: int, final=0.005, **options
) -> dict:
    """Adam on J; the iterate with the smallest J, and all alphas and thetas."""
    box = BOX | {"mu": (0, 0.49 / float(system.x[1] - system.x[0]))}
    box |= options.pop("box", {})
    adam, trace = Adam(cosine_decay(0.05, steps, final), beta2=0.99, **options), []
    for _ in range(steps):
        J, gradient, alpha = objective(theta, system, envelope)
        trace.append((float(J), theta, alpha))
        theta = adam.step(theta, gradient)
        theta = {name: xp.clip(value, *box[name]) for name, value in theta.items()}
    J, theta, alpha = min(trace, key=lambda item: item[0])
    return {"J": J, "theta": theta, "alpha": alpha, "trace": trace, "x": system.x}


# %% [markdown]
# The solution anywhere is $u(x_*) = k(x_*, X)\,\alpha$. Errors are relative, $\|\hat u - u\|/\|u\|$, on 300 points.

# %%
def cross_kernel(points: Array, x: Array, theta: dict, envelope: Callable) -> Array:
    """k(points, x)."""
    F, w, rows = 2 * math.pi * theta["mu"], xp.exp(theta["log_w"]), []
    for d in xp.abs(points[:, None] - x)[:, :, None]:  # point by point, within the cache
        m, _ = envelope(d, theta["log_l"], slopes=False)
        rows.append((m * xp.cos(F * d)) @ w)
    return xp.stack(rows)


def predict(fitted: dict, points: Array, envelope: Callable) -> Array:
    """u(points) = k(points, X) alpha."""
    return (
        cross_kernel(points, fitted["x"], fitted["theta"], envelope) @ fitted["alpha"]
    )


def relative_error(estimate: Array, truth: Array) -> float:
    """|estimate - truth| / |truth|."""
    return float(xp.linalg.vector_norm(estimate - truth) / xp.linalg.vector_norm(truth))


# %% [markdown]
# ## Experiments
#
# ### Three equations with a known solution
#
# The right-hand sides are made from solutions chosen in advance: $\sin 100x$; a product $\sin 6x\cos 100x$, which
# consists of the two frequencies $100 \pm 6$; and $\sin x + 0.1\sin 20x + 0.05\cos 100x$, which has three scales. (The
# repository's description has the cosine in the last one, its code a sine; we take the cosine.) The first two live
# on $[0, \pi]$, half of the published domain at the published density of points, the third on $[0, 1]$.
#
# The frequencies start on an even grid from 0 to $F_{\max}$. With the published $F_{\max} = 20$ one of them starts almost
# at the answer, 15.86 for 15.92, and nothing need be found. For the first two problems we therefore choose $F_{\max}$ such that
# the true frequencies lie in the *middle* between two starting values; for the third the published 30 does it.

# %%
@dataclass(frozen=True)
class Problem:
    """u on [0, end] with u'' = f; frequencies up to F_max are tried."""

    name: str
    u: Callable[[Array], Array]
    f: Callable[[Array], Array]
    end: float
    n: int
    F_max: float


def product_f(x: Array, a: float, b: float) -> Array:
    """(sin ax cos bx)''."""
    even = -(a**2 + b**2) * xp.sin(a * x) * xp.cos(b * x)
    return even - 2 * a * b * xp.cos(a * x) * xp.sin(b * x)


def poisson(p: Problem, **options) -> System:
    """u'' = f on the grid of n points from 0 to end."""
    x = xp.linspace(0, p.end, p.n)
    return System(x, xp.zeros(p.n), p.f(x), p.u(x[[0, -1]]), **options)


# %%
end, n = scale(default=math.pi, paper=2 * math.pi), scale(default=200, paper=400)
single = Problem(
    "sin 100x",
    lambda x: xp.sin(100 * x),
    lambda x: -1e4 * xp.sin(100 * x),
    *(end, n, 29 / 22.5 * 100 / (2 * math.pi)),
)
product = Problem(
    "sin 6x cos 100x",
    lambda x: xp.sin(6 * x) * xp.cos(100 * x),
    lambda x: product_f(x, 6, 100),
    *(end, n, 29 / 23.5 * 94 / (2 * math.pi)),
)
three = Problem(
    "three scales",
    lambda x: xp.sin(x) + 0.1 * xp.sin(20 * x) + 0.05 * xp.cos(100 * x),
    lambda x: -xp.sin(x) - 40 * xp.sin(20 * x) - 500 * xp.cos(100 * x),
    end=1.0,
    n=scale(default=200, paper=900),
    F_max=30.0,
)
problems = [single, product, three]

# %% [markdown]
# Thirty components. On the product and the three scales a change of $10^{-6}$ in the starting frequencies, or another
# processor's rounding, leads to another of many equally good sets of components all the same: there we take the median of
# three such starts.

# %%
Q = 30


def shaken_start(p: Problem, seed: int) -> dict[str, Array]:
    """The start with frequencies moved by up to 1e-6."""
    theta = start(Q, p.F_max)
    return theta | {"mu": theta["mu"] + 1e-6 * generator(seed).random(Q)}


def error(p: Problem, fitted: dict, envelope: Callable = student) -> float:
    """Relative error of a fitted process on 300 points."""
    points = xp.linspace(0, p.end, 300)
    return relative_error(predict(fitted, points, envelope), p.u(points))


def median(values: list[float]) -> float:
    """The middle one of an odd number of values."""
    return sorted(values)[len(values) // 2]


# %%
steps = scale(default=400, paper=3000)
shaken_runs = {
    p: [fit(poisson(p), shaken_start(p, seed), student, steps) for seed in range(3)]
    for p in progress((product, three), "shaken starts")
}
runs = {p.name: fitted[0] for p, fitted in shaken_runs.items()}
runs[single.name] = fit(poisson(single), start(Q, single.F_max), student, steps)
gm_run = fit(poisson(single), start(Q, single.F_max), gaussian, scale(default=300, paper=3000))
errors = {single.name: error(single, runs[single.name])}
for p, fitted in shaken_runs.items():
    errors[p.name] = median([error(p, each) for each in fitted])
gm_error = error(single, gm_run, gaussian)

# %%
published = {single.name: "6.53e-7", product.name: "3.17e-6", three.name: "2.71e-3"}
for letter, p in zip("abc", problems, strict=True):
    claims.check(
        f"C1.{letter}",
        f"GP-HM-StM, {p.name}: relative error" + ", median of 3 starts" * (p is not single),
        measured=errors[p.name],
        at_most=1e-3,
        paper=published[p.name],
        seeds=None if p is single else 3,
    )
claims.check(
    "C1.d",
    "GP-HM-GM, sin 100x: relative error",
    measured=gm_error,
    at_most=5e-3,
    paper="3.99e-7",
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: six oscillations of sin 100x; the fitted curve runs through the truth and the "
    "grid points, about four to an oscillation. Right: the three-scale solution, a "
    "rising curve with ripples, again with the fit on top of the truth.",
    caption="Solutions (grey), the Gaussian process (dashed) and the grid points (dots), where only "
    "$u''$ is known and no value of $u$.",
) as axes:
    for ax, p, right in zip(axes, (single, three), (0.4, 1.0), strict=True):
        points = xp.linspace(0, right, 300)
        ax.plot(to_host(points), to_host(p.u(points)), color="#999999", lw=3)
        fitted = predict(runs[p.name], points, student)
        ax.plot(to_host(points), to_host(fitted), "--", color="#D55E00", lw=1.2)
        x = runs[p.name]["x"]
        x = x[x <= right]
        ax.plot(to_host(x), to_host(p.u(x)), ".", color="#0072B2", ms=4)
        ax.set(xlabel="x", ylabel="u(x)", title=p.name)


# %% [markdown]
# Four points to an oscillation, with the second derivative known there and $u$ itself only at the two ends, are
# enough for the first two problems, and with either kind of bump. The third is the least accurate, with us as with the authors,
# strange for the problem with the fewest oscillations; we come back to it.
#
# ### Frequencies that stay, frequencies that go
#
# Now the weights against the frequencies, before and after. The true frequencies are $100/2\pi = 15.92$ for the
# first problem, $(100 \pm 6)/2\pi = 14.96$ and $16.87$ for the second, and $1/2\pi$, $20/2\pi = 3.18$ and $15.92$ for the third.
#
# The weight of a component is an area, and a broad bump may carry more of it than a sharp line. The height of the fitted
# spectrum shows the lines. For the Student-t bumps the transform of {eq}`gp-pde-kernel` is, with $a_q = \sqrt5\,\ell_q$,
#
# $$S(\mu) = \sum_q w_q\,\frac{16}{3a_q}\Bigl(1 + \bigl(2\pi(\mu - \mu_q)/a_q\bigr)^2\Bigr)^{-3},
# \qquad \int S\,\mathrm d\mu = \sum_q w_q .$$

# %%
def density(mu: Array, theta: dict) -> Array:
    """S(mu), the sum of the Student-t bumps."""
    a = math.sqrt(5) * xp.exp(theta["log_l"])
    x = 2 * math.pi * (mu[:, None] - theta["mu"]) / a
    return xp.sum(xp.exp(theta["log_w"]) * 16 / (3 * a) * (1 + x**2) ** -3, axis=1)


def highest_peaks(theta: dict, F_max: float) -> list[float]:
    """Frequencies of the peaks of S, at least 1 apart, the highest first."""
    mu = xp.linspace(0, F_max, round(1000 * F_max) + 1)
    S = to_host(density(mu, theta))
    peaks = find_peaks(S, distance=1000)[0]
    return [float(mu[int(k)]) for k in sorted(peaks, key=lambda k: -S[k])]


def heaviest_first(theta: dict) -> tuple[Array, Array]:
    """Frequencies and weights in the order of the weights."""
    order = xp.flip(xp.argsort(theta["log_w"]))
    return theta["mu"][order], xp.exp(theta["log_w"][order])


# %% tags=["hide-input"]
truth = {single.name: (100,), product.name: (94, 106), three.name: (1, 20, 100)}
with figure(
    2,
    3,
    alt="Above, weights against frequency: thirty equal weights at the start; at the end a few "
    "large ones, most of them at or near the true frequencies, and the rest orders of magnitude "
    "below. Below, the fitted spectral density: sharp peaks at the true frequencies.",
    caption="Above: weights $w_q$ at the start (rings) and at the end (dots). Below: the "
    "spectral density $S(\\mu)$ that they add up to. Green lines: the true frequencies.",
    height=5.0,
    sharex="col",
    sharey="row",
) as axes:
    for (top, bottom), p in zip(axes.T, problems, strict=True):
        for omega in truth[p.name]:
            top.axvline(omega / (2 * math.pi), color="#009E73", lw=1)
            bottom.axvline(omega / (2 * math.pi), color="#009E73", lw=1)
        after, mu = runs[p.name]["theta"], xp.linspace(0, p.F_max, 6001)
        top.plot(to_host(start(Q, p.F_max)["mu"]), [1 / Q] * Q, "o", mfc="none", ms=4)
        top.plot(to_host(after["mu"]), to_host(xp.exp(after["log_w"])), "o", ms=4)
        bottom.plot(to_host(mu), to_host(density(mu, after)), color="#D55E00", lw=1)
        top.set(title=p.name, yscale="log", ylim=(1e-12, 1e2))
        bottom.set(xlabel="frequency μ", yscale="log", ylim=(1e-8, 1e3))
    axes[0, 0].set(ylabel="weight w")
    axes[1, 0].set(ylabel="density S(μ)")


# %% [markdown]
# For the product we ask whether each of the two true frequencies has a component nearby that matters, with at least a
# hundredth of the largest weight. Of three scales the highest has a twentieth of the amplitude: there we ask this of
# the components above 10.

# %%
def distance(theta: dict, omegas: tuple, above: float = 0.0) -> float:
    """How far the components with w > 0.01 max w stay from omega / 2 pi, the worst omega."""
    mu, w = heaviest_first(theta)
    mu, w = mu[mu > above], w[mu > above]
    kept = mu[w > 0.01 * w[0]]
    return max(float(xp.min(xp.abs(kept - omega / (2 * math.pi)))) for omega in omegas)


rows = [
    [
        str(seed),
        ", ".join(f"{float(mu):.2f}" for mu in heaviest_first(fitted["theta"])[0][:4]),
        distance(fitted["theta"], (94, 106)),
        error(product, fitted),
    ]
    for seed, fitted in enumerate(shaken_runs[product])
]
table(
    rows,
    ["Start", "Four heaviest components", "Distance from the truth", "Relative error"],
    "sin 6x cos 100x from three starts (true frequencies: 14.96 and 16.87).",
)

# %%
peak = highest_peaks(runs[single.name]["theta"], single.F_max)[0]
claims.check(
    "C2.a",
    "sin 100x: frequency of the highest peak",
    measured=peak,
    equals=100 / (2 * math.pi),
    within=0.1,
)
claims.check(
    "C2.b",
    "sin 6x cos 100x: distance of the kept components from the two true frequencies, "
    "median of the starts",
    measured=median([row[2] for row in rows]),
    at_most=0.15,
    seeds=3,
)
claims.check(
    "C2.c",
    "three scales: distance of the kept components above 10 from the highest true frequency",
    measured=distance(runs[three.name]["theta"], (100,), above=10.0),
    at_most=0.2,
)

# %%
w = heaviest_first(runs[single.name]["theta"])[1]
claims.check(
    "C3",
    "sin 100x: components of 30 that keep w > 0.001 max w",
    measured=int(xp.sum(w > 1e-3 * w[0])),
    at_most=12,
)

# %% [markdown]
# A handful of components is left, and the spectrum is that of the solution, although no component began within 0.3 of
# a fast frequency. It is less tidy than the paper's account. Several components may share one line, so the two
# heaviest need not be the two frequencies, and now and then a peak survives beside a true one. The domain is $\pi$ long, so
# frequencies $1/\pi \approx 0.3$ apart are hardly different on it, and a covariance only says what is *possible*; the
# solution is right all the same. In fact it is nearly right with the frequencies frozen where they
# start: broad bumps reach across the gap. The errors of C1 alone do not show that frequencies are learned.
#
# ### Other solvers, at their best
#
# A Gaussian process with a single component at frequency 0 is the ordinary Matérn 5/2 or
# squared-exponential (SE) process. We give each the same objective, points and optimiser, and the better of two starts,
# which we tried beforehand: the published $\log\ell = 0$, or one tuned to fast oscillations. The rate stays constant, which
# is better for a single component, and for SE, where $\ell$ is the square of an inverse length, the box is wider.

# %%
baseline_steps = scale(default=200, paper=3000)
FIXED = {"multipliers": {"mu": 0.0}, "box": {"log_l": (-6, 10)}, "final": 0.05}


def one_component(p: Problem, name: str, steps=baseline_steps, **options) -> float:
    """Error of a process without frequencies, from the better start."""
    envelope = student if name == "Matérn 5/2" else gaussian
    log_l = 6.0 if name == "SE" else 0.0 if p is three else 3.0
    fitted = fit(poisson(p, **options), start(1, 0.0, log_l), envelope, steps, **FIXED)
    return error(p, fitted, envelope)


baseline = {
    (p.name, name): one_component(p, name)
    for p in progress(problems, "one component")
    for name in ("Matérn 5/2", "SE")
}


# %% [markdown]
# Two classical methods get the same number of unknowns: second-order finite differences on the same grid (with a
# cubic spline between the points), and Chebyshev collocation, which expands $u$ in $N$ Chebyshev polynomials and asks for
# $u'' = f$ at Chebyshev points.

# %%
def finite_differences(p: Problem) -> float:
    """(u_{i-1} - 2 u_i + u_{i+1}) / h^2 = f_i; relative error on 300 points."""
    s = poisson(p)
    h2, n = float(s.x[1] - s.x[0]) ** 2, p.n
    right = to_host(xp.concat([s.g[:1], h2 * s.f[1:-1], s.g[1:]]))
    bands = [[0.0, 0.0] + [1.0] * (n - 2), [1.0] + [-2.0] * (n - 2) + [1.0]]
    bands += [[1.0] * (n - 2) + [0.0, 0.0]]
    spline = CubicSpline(to_host(s.x), solve_banded((1, 1), bands, right))
    points = xp.linspace(0, p.end, 300)
    return relative_error(to_device(spline(to_host(points))), p.u(points))


def chebyshev_collocation(p: Problem) -> float:
    """sum_k c_k T_k'' = f at n - 2 Chebyshev points and u = g at the ends."""
    nodes = to_device(chebyshev.chebpts1(p.n - 2))
    second = chebyshev.chebder(
        [[float(i == j) for j in range(p.n)] for i in range(p.n)], 2
    )
    rows = chebyshev.chebval(to_host(nodes), second).T * (2 / p.end) ** 2 / 1e4
    right = to_host(xp.concat([p.f((nodes + 1) * p.end / 2) / 1e4, poisson(p).g]))
    ends = [[(-1.0) ** k for k in range(p.n)], [1.0] * p.n]
    c = lstsq([*rows, *ends], right)[0]
    points = xp.linspace(0, p.end, 300)
    estimate = chebyshev.chebval(to_host(points) * 2 / p.end - 1, c)
    return relative_error(to_device(estimate), p.u(points))


# %% [markdown]
# And two neural networks. On $X \in [-1, 1]$ they are
# $y(X) = g_0 + \tfrac{1+X}2(g_1 - g_0) + (1-X^2)\,\mathcal N(X)$, right at the boundary by construction (a penalty on the
# boundary did worse). $\mathcal N$ has two hidden layers of 64 tanh units; in the second network its input
# passes through 64 random frequencies first, $\cos b_jX$ and $\sin b_jX$ (RFF-PINN). Derivatives travel forward with
# the values: for $a = \tanh z$ and $s = 1 - a^2$, $a' = sz'$ and $a'' = sz'' - 2asz'^2$.

# %%
def network(H: Array, params: dict) -> tuple[Array, list]:
    """N, N', N'' (3, points, 1) from H, H', H'', and what the backward pass needs."""
    tape = []
    for layer in range(3):
        z, z1, z2 = H @ params[f"W{layer}"]
        z = z + params[f"b{layer}"]
        a = xp.tanh(z)
        s = 1 - a * a
        tape.append((H, a, s, z1, z2))
        H = xp.stack([a, s * z1, s * (z2 - 2 * a * z1 * z1)])
    return xp.stack([z, z1, z2]), tape


def backward(g: Array, params: dict, tape: list) -> dict[str, Array]:
    """Gradient by the parameters from that by N, N', N'' (3, points, 1)."""
    gradient = {}
    for layer in (2, 1, 0):
        H, a, s, z1, z2 = tape[layer]
        if layer < 2:
            g0, g1, g2 = g @ mT(params[f"W{layer + 1}"])
            bend = a * z2 + (s - 2 * a * a) * z1 * z1
            value = g0 - 2 * a * z1 * g1 - 2 * bend * g2
            g = s * xp.stack([value, g1 - 4 * a * z1 * g2, g2])
        flat_H, flat_g = (xp.reshape(v, (-1, v.shape[2])) for v in (H, g))
        gradient[f"W{layer}"] = mT(flat_H) @ flat_g
        gradient[f"b{layer}"] = xp.sum(g[0, ...], axis=0, keepdims=True)
    return gradient


# %% [markdown]
# Training minimises the mean squared residual in units of the size of $f$, by Adam with a decaying
# rate, in single precision: 2000 steps for RFF-PINN on three scales, 1000 for the others, which stop improving before. Random frequencies are normal with standard deviation $\sigma$ (radians per unit of
# $x$).

# %%
def features(X: Array, b: Array | None) -> Array:
    """H, H', H'' (3, points, inputs): X itself, or cos bX and sin bX."""
    if b is None:
        return xp.stack([X, xp.ones_like(X), xp.zeros_like(X)])
    c, s = xp.cos(b * X), xp.sin(b * X)
    rows = ((c, s), (-b * s, b * c), (-b * b * c, -b * b * s))
    return xp.stack([xp.concat(row, axis=1) for row in rows])


def initial_weights(rng, inputs: int) -> dict[str, Array]:
    """Normal weights of variance 1 / fan-in, biases 0."""
    params, widths = {}, (inputs, 64, 64, 1)
    for k, (a, b) in enumerate(pairwise(widths)):
        W = rng.standard_normal((a, b)) / math.sqrt(a)
        params |= {f"W{k}": xp.astype(W, xp.float32)}
        params |= {f"b{k}": xp.zeros((1, b), dtype=xp.float32)}
    return params


# %%
def column(values: Array) -> Array:
    """A column in single precision."""
    return xp.astype(values[:, None], xp.float32)


# %%
def pinn(p: Problem, sigma: float | None, steps: int, seed: int = 0) -> tuple:
    """Relative error on 300 points and final mean squared residual over that of f."""
    s, rng, half = poisson(p), generator(seed), p.end / 2
    b = sigma and xp.astype(rng.standard_normal(64) * sigma * half, xp.float32)
    X, f = column(s.x / half - 1), column(s.f * half**2)
    H, size = features(X, b), float(xp.sqrt(xp.mean(f**2)))
    params = initial_weights(rng, H.shape[2])
    adam, X2 = Adam(cosine_decay(3e-3, steps, 3e-5)), 1 - X**2
    for _ in range(steps):
        (y, y1, y2), tape = network(H, params)
        r = (X2 * y2 - 4 * X * y1 - 2 * y - f) / size
        q = 2 * r / (size * p.n)
        g = xp.stack([-2 * q, -4 * X * q, X2 * q])
        params = adam.step(params, backward(g, params, tape))
    points = xp.linspace(0, p.end, 300)
    X = column(points / half - 1)
    y = ((1 - X**2) * network(features(X, b), params)[0][0, ...])[:, 0]
    y = y + s.g[0] + points / p.end * (s.g[1] - s.g[0])
    return relative_error(y, p.u(points)), float(xp.mean(r**2))


# %% [markdown]
# We tried $\sigma$ = 10, 30, 60 and 100 and keep the best for each problem. A smooth problem, $\sin 4x$, shows that
# the network works where it should.

# %%
smooth = Problem(
    "sin 4x", lambda x: xp.sin(4 * x), lambda x: -16 * xp.sin(4 * x), end, n, 20.0
)
short, long = scale(default=(1000, 2000), paper=(20_000, 20_000))
neural = {
    ("PINN", smooth.name): pinn(smooth, None, short),
    ("PINN", single.name): pinn(single, None, short),
    ("RFF-PINN", single.name): pinn(single, 100.0, short),
    ("RFF-PINN", three.name): pinn(three, 30.0, long),
}

# %%
names = [p.name for p in problems]
best = {name: min(v for k, v in baseline.items() if k[0] == name) for name in names}
chebyshev_errors = [chebyshev_collocation(p) for p in problems]
rows = [["GP-HM-StM", *(errors[name] for name in names)]]
for kind in ("Matérn 5/2", "SE"):
    rows.append([f"GP, {kind}", *(baseline[name, kind] for name in names)])
for kind in ("PINN", "RFF-PINN"):
    rows.append([kind, *(neural.get((kind, name), ("–",))[0] for name in names)])
rows.append(["finite differences", *(finite_differences(p) for p in problems)])
rows.append(["Chebyshev collocation", *chebyshev_errors])
table(rows, ["Method", *names], "Relative errors, all with the same number of points.")
table(
    [[kind, name, residual, err] for (kind, name), (err, residual) in neural.items()],
    ["Network", "Problem", "Mean squared residual / that of f", "Relative error"],
    "What the networks reach at their points, and what the solution is worth.",
)

# %%
paper_ratio = (0.027 / 6.53e-7, 0.515 / 3.17e-6, 0.98 / 2.71e-3)
for letter, p, ratio in zip("abc", problems, paper_ratio, strict=True):
    claims.check(
        f"C4.{letter}",
        f"{p.name}: error of the best GP without frequencies over that of GP-HM-StM",
        measured=best[p.name] / errors[p.name],
        at_least=15,
        paper=f"{ratio:.2g}",
        not_reproduced="the SE process, well optimised, is as good; the jitter limits both"
        if p is three
        else None,
    )
claims.check(
    "C4.d",
    "the same ratio on three scales, from below and above",
    measured=best[three.name] / errors[three.name],
    between=(0.2, 5),
    own=True,
)

# %%
claims.check(
    "C4.e",
    "sin 100x: relative error of the PINN",
    measured=neural["PINN", single.name][0],
    at_least=0.3,
    paper="1.36",
)
claims.check(
    "C4.f",
    "sin 100x, three scales: error of Chebyshev collocation over that of GP-HM-StM, larger",
    measured=max(chebyshev_errors[k] / errors[names[k]] for k in (0, 2)),
    at_most=0.1,
    paper="4.7e-5",
)
for letter, p, number in (("g", single, "4.97e-4"), ("h", three, "2.00e-5")):
    claims.report_value(
        f"C4.{letter}",
        f"{p.name}: relative error of the RFF-PINN",
        measured=neural["RFF-PINN", p.name][0],
        paper=number,
    )

# %%
residual = neural["RFF-PINN", single.name][1]
say(f"""On the two problems that oscillate fast throughout, the process with frequencies is better by
factors of {best[single.name] / errors[single.name]:.0f} and {best[product.name] / errors[product.name]:.0f} than
any without, and the networks find nothing: an error of 1 is what the zero function has. The RFF-PINN satisfies
the equation of sin 100x at the 200 points to a mean squared residual of {residual:.0e} and is wrong.""")

# %% [markdown]
# Four points per oscillation do not pin
# down a function that may contain any frequency. Here the Nyquist limit on $\mu$ and the prior earn their keep. (The authors'
# RFF-PINN does solve $\sin 100x$; fresh random points in each step did not bring ours there.)
#
# The claim needs two corrections, though. The squared-exponential process does *not* fail once $u$ is eliminated and its length
# scale may become short enough. What the authors' figure shows is a
# failure to optimise more than one to represent. On the three-scale problem it ties with GP-HM-StM, and the
# RFF-PINN is close behind (in the paper it is ahead). Second, Chebyshev collocation, a classical method with as many
# unknowns and no training, beats everything in the table, as in the paper's on all problems in one dimension: on an interval with a smooth solution, a
# Gaussian process is no match for the right polynomial basis. Finite differences of second order are.
#
# ### A straight line in the error
#
# Why is the three-scale problem, the one of moderate frequencies, the least accurate? Its error has a shape.

# %%
clean = fit(
    poisson(three, boundary_jitter=0.0),
    start(Q, three.F_max),
    student,
    scale(default=400, paper=3000),
)
clean_se_error = one_component(three, "SE", 3 * baseline_steps // 2, boundary_jitter=0.0)
alpha = runs[three.name]["alpha"]
points = xp.linspace(0, three.end, 300)
line = eps * (-alpha[0] * (1 - points / three.end) - alpha[-1] * points / three.end)

# %% tags=["hide-input"]
with figure(
    alt="The error of the three-scale solution is a straight line that is not zero at either "
    "end, and the dashed line computed from the jitter lies on it. The error with the "
    "boundary condition freed of jitter is zero to the eye.",
    caption="Error of GP-HM-StM on the three-scale problem with the published boundary condition, "
    "the line $-\\varepsilon\\alpha$ between the two ends, and the error once the jitter is taken "
    "out of the boundary condition.",
    height=2.8,
) as ax:
    pairs = ((runs[three.name], "published"), (clean, "boundary without jitter"))
    for fitted, label in pairs:
        off = predict(fitted, points, student) - three.u(points)
        ax.plot(to_host(points), to_host(off), label=label)
    ax.plot(to_host(points), to_host(line), "--", color="#E69F00", label="−εα, linear")
    ax.set(xlabel="x", ylabel="error of u(x)")
    ax.legend()

# %%
table(
    [
        ["GP-HM-StM", errors[three.name], error(three, clean)],
        ["GP, SE", baseline[three.name, "SE"], clean_se_error],
    ],
    ["Method", "Published", "No jitter at the boundary"],
    "Three scales: relative errors with and without the jitter in the boundary condition.",
)
claims.check(
    "C4.i",
    "three scales: factor by which the error falls without jitter at the boundary",
    measured=errors[three.name] / error(three, clean),
    at_least=15,
    own=True,
)


# %% [markdown]
# The error *is* a straight line, the one harmless-looking function with $u'' = 0$. Its ends are the
# jitter: the grid values are $u = K\alpha = k\alpha + \varepsilon\alpha$, the boundary condition is imposed on them, and the solution
# between the points is $k\alpha$ alone, so at the ends it is off by $-\varepsilon\alpha$. White noise of size $\sqrt\varepsilon = 10^{-3}$ is
# a cheap way to satisfy the boundary, cheaper than making $k\alpha$ fit. Imposing the condition on $k\alpha$ (that is `boundary_jitter=0`)
# is the largest single improvement in this chapter. It helps the squared-exponential process as well, so the ratio of the
# two stays of the order of one, and C4.c is not reproduced on the repaired footing either: on 200 points the third problem is
# not hard for a smooth process.
#
# ### Slow but steady: the published optimisation
#
# The published algorithm runs Adam with rate 0.01 on the values $u$ and all parameters together. We write
# its gradient for two dimensions at once, with a matrix $U$ of grid values and
# $F[u] = U_{xx} + U_{yy}$; one dimension is the case of a second axis with one point, $K_2 = 1$ and $B_2 = 0$. On a grid
# $C = K_1 \otimes K_2$, and with $D_a = B_aK_a^{-1}$, $N_a$ the points on axis $a$,
#
# ```{math}
# :label: gp-pde-kronecker
# \log|C| = N_2\log|K_1| + N_1\log|K_2|, \quad
# u^\top C^{-1}u = \operatorname{tr}(K_1^{-1}UK_2^{-1}U^\top), \quad
# U_{xx} = D_1U, \quad U_{yy} = UD_2^\top .
# ```

# %%
@dataclass(frozen=True)
class Axis:
    """K, B of one axis, its factor L, and D = B K^-1."""

    K: Array
    B: Array
    L: Array
    D: Array


def make_axis(K: Array, B: Array) -> Axis:
    """Factorise K = L L^T; D^T = K^-1 B."""
    L, _ = jittered_cholesky(K, largest=0.0)
    return Axis(K, B, L, mT(solve(L, B)))


def solve(L: Array, b: Array) -> Array:
    """(L L^T)^-1 b."""
    return solve_triangular(L, solve_triangular(L, b), transpose=True)


def grid_terms(U: Array, first: Axis, second: Axis) -> tuple:
    """K1^-1 U, A = K1^-1 U K2^-1, log|C|, u^T C^-1 u, U_xx and U_yy."""
    half = solve(first.L, U)
    A = mT(solve(second.L, mT(half)))
    n1, n2 = U.shape
    log_det = n2 * log_determinant(first.L) + n1 * log_determinant(second.L)
    return half, A, log_det, xp.sum(U * A), first.D @ U, U @ mT(second.D)


# %% [markdown]
# With $R = U_{xx} + U_{yy} - f$, the misfit $E$ at the boundary points and $A = K_1^{-1}UK_2^{-1}$, the gradient by
# $U$ is $A + \lambda_b\tau E + v(D_1^\top R + RD_2)$. The one by the first axis follows from
# $\mathrm dD_1 = (\mathrm dB_1 - D_1\,\mathrm dK_1)K_1^{-1}$; the second axis is the same with everything transposed.
#
# $$\frac{\partial J}{\partial K_1} = \tfrac{N_2}2K_1^{-1} - \bigl(\tfrac12A + v\,D_1^\top R\bigr)(K_1^{-1}U)^\top,
# \qquad \frac{\partial J}{\partial B_1} = v\,R\,(K_1^{-1}U)^\top .$$

# %%
def joint_objective(U, axes, log_tau, log_v, f, g, mask) -> tuple:
    """J and its gradient by U, by (K, B) of each axis, by log tau and by log v."""
    first, second = axes
    tau, v, n_b = xp.exp(log_tau), xp.exp(log_v), xp.sum(mask)
    half, A, log_det, quadratic, U_xx, U_yy = grid_terms(U, first, second)
    R, E = U_xx + U_yy - f, mask * (U - g)
    misfit, misfit_b = v / 2 * xp.sum(R**2), tau / 2 * xp.sum(E**2)
    J = 0.5 * (log_det + quadratic) + misfit + lambda_b * misfit_b
    J = J - U.size / 2 * log_v - lambda_b * n_b / 2 * log_tau
    dU = A + lambda_b * tau * E + v * (mT(first.D) @ R + R @ second.D)
    by_axis = []
    other = solve(second.L, mT(U))
    for axis, a, r, h in ((first, A, R, half), (second, mT(A), mT(R), other)):
        trace = 0.5 * r.shape[1] * cholesky_inverse(axis.L)
        dK = trace - (0.5 * a + v * mT(axis.D) @ r) @ mT(h)
        by_axis.append((dK, v * r @ mT(h)))
    return J, dU, by_axis, lambda_b * (misfit_b - n_b / 2), misfit - U.size / 2, A


# %%
POINT = Axis(xp.ones((1, 1)), xp.zeros((1, 1)), xp.ones((1, 1)), xp.zeros((1, 1)))


def joint_gradient(params: dict, grid: tuple, f: Array, g: Array, mask: Array) -> tuple:
    """J, its gradient by all parameters, and A; `grid` holds each axis's points."""
    thetas = [
        {key: params[f"{key}{d}"] for key in ("log_w", "log_l", "mu")}
        for d in range(len(grid))
    ]
    made = [axis_matrices(x, th, student) for x, th in zip(grid, thetas, strict=True)]
    axes = [make_axis(K, B) for K, B, _ in made] + [POINT] * (2 - len(grid))
    J, dU, by_axis, d_tau, d_v, A = joint_objective(
        params["U"], axes, params["log_tau"], params["log_v"], f, g, mask
    )
    gradient = {"U": dU, "log_tau": d_tau, "log_v": d_v}
    for d, (_, _, partials) in enumerate(made):
        for key, value in to_parameters(*by_axis[d], partials).items():
            gradient[f"{key}{d}"] = value
    return J, gradient, A


# %%
def joint_start(shape: tuple, thetas: list[dict]) -> dict[str, Array]:
    """U = 0, tau = v = 1, and the parameters of each axis."""
    params = {
        "U": xp.zeros(shape),
        "log_tau": xp.asarray(0.0),
        "log_v": xp.asarray(0.0),
    }
    for d, theta in enumerate(thetas):
        params |= {f"{key}{d}": theta[key] for key in ("log_w", "log_l", "mu")}
    return params


# %% [markdown]
# First the formulas against their plain forms on a $12 \times 13$ grid: the determinant, the quadratic form and both
# derivatives with the dense $156 \times 156$ matrices, and both gradients against central differences in ten
# random parameters each.

# %%
rng = generator(0)
thetas = [start(8, 1.5), start(8, 2.0)]
grid = (xp.linspace(0, 3, 12), xp.linspace(0, 3, 13))
made = [axis_matrices(x, th, student) for x, th in zip(grid, thetas, strict=True)]
axes = [make_axis(K, B) for K, B, _ in made]
U = rng.standard_normal((12, 13))
_, _, *fast = grid_terms(U, *axes)

(K1, B1, _), (K2, B2, _) = made
C = xp.reshape(K1[:, None, :, None] * K2[None, :, None, :], (156, 156))
vec = xp.linalg.solve(C, xp.reshape(U, (-1,)))
C_xx = xp.reshape(B1[:, None, :, None] * K2[None, :, None, :], (156, 156))
C_yy = xp.reshape(K1[:, None, :, None] * B2[None, :, None, :], (156, 156))
dense = [xp.linalg.slogdet(C)[1], xp.reshape(U, (-1,)) @ vec]
dense += [xp.reshape(M @ vec, (12, 13)) for M in (C_xx, C_yy)]
gaps = [
    float(xp.max(xp.abs(a - b)) / xp.max(xp.abs(b)))
    for a, b in zip(fast, dense, strict=True)
]


# %%
def gradient_gap(function: Callable, params: dict, rng, h: float = 3e-3) -> float:
    """Largest relative gap to central differences (order 4), ten random parameters."""
    gradient, gaps = function(params)[1], []
    for _ in range(10):
        name = sorted(params)[int(rng.host.integers(len(params)))]
        flat = xp.reshape(params[name], (-1,))
        i = int(rng.host.integers(flat.shape[0]))
        bump = xp.astype(xp.arange(flat.shape[0]) == i, xp.float64) * h
        moved = [
            params | {name: xp.reshape(flat + k * bump, params[name].shape)}
            for k in (-2, -1, 1, 2)
        ]
        low2, low, up, up2 = (float(function(each)[0]) for each in moved)
        numeric = (8 * (up - low) - (up2 - low2)) / (12 * h)
        analytic = float(xp.reshape(gradient[name], (-1,))[i])
        gaps.append(abs(numeric - analytic) / abs(numeric))
    return max(gaps)


def shaken(params: dict) -> dict[str, Array]:
    """Every parameter moved by a random tenth, so that none sits at a special value."""
    return {k: v + 0.1 * rng.standard_normal(v.shape) for k, v in params.items()}


# %%
f, mask = rng.standard_normal((12, 13)), xp.ones((12, 13))
small = poisson(replace(smooth, n=40))
gap_1d = [
    gradient_gap(lambda th, e=e: objective(th, small, e), shaken(start(9, 3.0)), rng)
    for e in (student, gaussian)
]
gap_2d = gradient_gap(
    lambda params: joint_gradient(params, grid, f, U, mask),
    shaken(joint_start((12, 13), thetas)) | {"U": U},
    rng,
)
claims.check(
    "C5.a",
    "log-determinant, quadratic form, U_xx, U_yy: Kronecker against dense, relative",
    measured=max(gaps),
    at_most=1e-8,
)
claims.check(
    "C5.b",
    "gradients against central differences, ten random parameters each, relative",
    measured=max(*gap_1d, gap_2d),
    at_most=1e-5,
)


# %% [markdown]
# Now $\sin 100x$ as published: $\lambda_b = 200$, rate 0.01, start at $u = 0$ and $F_{\max} = 20$, 700 steps.

# %%
def joint_fit(params, grid, f, g, mask, steps, every, **options) -> list[tuple]:
    """Adam on everything; (step, J, params, A) at every `every` steps and the last."""
    adam, trace = Adam(**options), []
    for step in range(steps + 1):
        J, gradient, A = joint_gradient(params, grid, f, g, mask)
        if step % every == 0:
            trace.append((step, float(J), params, A))
        params = adam.step(params, gradient)
    return trace


def joint_error(item: tuple, grid: tuple, points: Array, truth: Array) -> float:
    """Relative error of K_*1 A K_*2^T against the truth at the points of each axis."""
    _, _, params, A = item
    for d, x in enumerate(grid):
        theta = {key: params[f"{key}{d}"] for key in ("log_w", "log_l", "mu")}
        A = mT(cross_kernel(points, x, theta, student) @ A)
    return relative_error(A if len(grid) == 2 else A[0, :], truth)


# %%
system = poisson(single)
mask = to_device([[1.0]] + [[0.0]] * (single.n - 2) + [[1.0]])
trace = joint_fit(
    joint_start((single.n, 1), [start(Q, 20.0)]),
    (system.x,),
    system.f[:, None],
    mask * single.u(system.x)[:, None],
    mask,
    steps=scale(default=700, paper=50_000),
    every=scale(default=100, paper=5000),
    learning_rate=0.01,
)
points = xp.linspace(0, single.end, 300)
steady = [joint_error(item, (system.x,), points, single.u(points)) for item in trace]
quick = [
    (k, dict(runs[single.name], theta=th, alpha=alpha))
    for k, (_, th, alpha) in enumerate(runs[single.name]["trace"])
    if k in (0, 10, 30, 70, 150, 300, 599)
]

# %% tags=["hide-input"]
with figure(
    alt="Relative error against optimisation steps, logarithmic. The published joint optimisation "
    f"falls slowly from 1 to {steady[-1]:.2f} in 700 steps; with the solution eliminated the error "
    "falls below one in a thousand within some dozens of steps.",
    caption="Relative error on $\\sin 100x$ against the number of Adam steps: all unknowns together "
    "as published, and with the solution eliminated.",
    height=3.0,
) as ax:
    ax.semilogy([item[0] for item in trace], steady, "o-", label="joint, published")
    quick_errors = [error(single, fitted) for _, fitted in quick]
    ax.semilogy([k for k, _ in quick], quick_errors, "s-", label="u eliminated")
    ax.set(xlabel="Adam steps", ylabel="relative error")
    ax.legend()

# %%
claims.check(
    "C6.a",
    "sin 100x: relative error of the published optimisation at the last step",
    measured=steady[-1],
    at_most=0.12,
)
claims.check(
    "C6.b",
    "its largest rise over 100 steps (negative: it falls throughout)",
    measured=max(b - a for a, b in pairwise(steady)),
    at_most=0,
)
claims.check(
    "C6.c",
    "sin 100x: relative error of the published optimisation after 100 steps",
    measured=steady[1],
    between=(0.2, 0.4),
    paper="0.2756",
)


# %% [markdown]
# The published scheme works and needs patience;
# eliminating $u$ replaces most of the $10^5$ steps by a Cholesky factorisation. It is also what makes fair
# baselines affordable.
#
# ### Two dimensions
#
# How much does the Kronecker structure save? We time one evaluation of the joint gradient on an $n \times n$ grid against one
# Cholesky factorisation of the full covariance, the least that a method without structure would have to do.

# %%
def seconds(function: Callable, repeats: int = 3) -> float:
    """Shortest time of a call."""
    times = []
    for _ in range(repeats):
        before = time.perf_counter()
        to_host(function())
        times.append(time.perf_counter() - before)
    return min(times)


def step_time(n: int) -> float:
    """Seconds of one joint gradient on an n x n grid."""
    x, U = xp.linspace(0, math.pi, n), xp.ones((n, n))
    params = joint_start((n, n), [start(Q, 5.0)] * 2)
    return seconds(lambda: joint_gradient(params, (x, x), U, U, U)[1]["U"])


def dense_time(n: int) -> float:
    """Seconds of the Cholesky factorisation of an n^2 x n^2 covariance."""
    C = toeplitz(xp.exp(-0.1 * xp.arange(n * n, dtype=xp.float64)))
    return seconds(lambda: jittered_cholesky(C)[0], repeats=1)


sizes, dense_sizes = (16, 32, 64, 128), (16, 24, 32, 40)
times = [step_time(n) for n in sizes]
dense_times = [dense_time(n) for n in dense_sizes]

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Time and memory against points per axis, logarithmic. The Kronecker step grows gently, "
    "one dense factorisation steeply, and its matrix needs gigabytes beyond 100 points per axis.",
    caption="Time measured here and memory of the matrices, on an $n \\times n$ grid.",
) as axes:
    axes[0].loglog(sizes, times, "o-", label="one joint gradient")
    axes[0].loglog(dense_sizes, dense_times, "s-", label="one dense Cholesky")
    axes[1].loglog(
        sizes, [8 * 12 * n**2 / 1e6 for n in sizes], "o-", label="twelve n × n matrices"
    )
    axes[1].loglog(
        sizes, [8 * n**4 / 1e6 for n in sizes], "s-", label="one n² × n² matrix"
    )
    for ax, label in zip(axes, ("seconds", "memory (MB)"), strict=True):
        ax.set(xlabel="points per axis n", ylabel=label)
        ax.minorticks_off()
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.legend()

# %% [markdown]
# The equation is $u_{xx} + u_{yy} = f$ with $u = \sin 6x\cos 20x + \sin 6y\cos 20y$ on a quarter of the published
# square $[0, 2\pi]^2$, on a $64 \times 64$ grid. The joint Adam needs a larger rate for so few steps: 0.05 with
# $\beta_2 = 0.99$. The grid's Nyquist frequency is 10, so the frequencies start between 0 and 9 instead of 0 and 20.

# %%
n2, end2 = scale(default=64, paper=200), scale(default=math.pi, paper=2 * math.pi)
x = xp.linspace(0, end2, n2)
wave = Problem(
    "2D",
    lambda x: xp.sin(6 * x) * xp.cos(20 * x),
    lambda x: product_f(x, 6, 20),
    end2,
    n2,
    9.0,
)
f, g = (h(x)[:, None] + h(x)[None, :] for h in (wave.f, wave.u))
inside = xp.astype((xp.arange(n2) > 0) & (xp.arange(n2) < n2 - 1), xp.float64)
mask = 1 - inside[:, None] * inside[None, :]
steps_2d = scale(default=600, paper=50_000)
trace2 = joint_fit(
    joint_start((n2, n2), [start(Q, wave.F_max)] * 2),
    (x, x),
    f,
    mask * g,
    mask,
    steps=steps_2d,
    every=scale(default=50, paper=500),
    learning_rate=0.05,
    beta2=0.99,
)

# %%
points = xp.linspace(0, end2, 300)
truth2 = wave.u(points)[:, None] + wave.u(points)[None, :]
best2 = min(trace2, key=lambda item: item[1])
curve2 = [(item[0], joint_error(item, (x, x), points, truth2)) for item in trace2[::5]]
error2 = joint_error(best2, (x, x), points, truth2)
table(
    [[f"n = {n2}", best2[0], error2]],
    ["Grid", "Step with the smallest J", "Relative error on 300 × 300 points"],
    "Poisson's equation in two dimensions.",
)
claims.check(
    "C5.c",
    "2D: relative error of the joint optimisation",
    measured=error2,
    at_most=0.2,
    own=True,
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: the solution on the square, a plaid of about thirteen stripes each way. Right: the "
    "relative error falls fast at first and then slowly.",
    caption="Left: the values $U$ found on the grid. Right: relative error against steps.",
) as axes:
    image = axes[0].imshow(
        to_host(mT(best2[2]["U"])),
        origin="lower",
        extent=(0, end2, 0, end2),
        cmap="RdBu_r",
        vmin=-2,
        vmax=2,
    )
    axes[0].figure.colorbar(image, ax=axes[0], label="u(x, y)")
    axes[1].semilogy([k for k, _ in curve2], [e for _, e in curve2])
    axes[0].set(xlabel="x", ylabel="y")
    axes[1].set(xlabel="Adam steps", ylabel="relative error")


# %% [markdown]
# The error falls fast at first and then slowly, far from the accuracy in one dimension, because here
# $u$ is not eliminated; the boundary term is not a Kronecker product, so equation {eq}`gp-pde-system` has no cheap
# counterpart. (For a like solution, $\sin 6x\sin 20x + \sin 6y\sin 20y$, the authors report $1.0\cdot10^{-3}$ after a
# million steps or more.)
#
# ### A nonlinear equation
#
# Allen–Cahn's equation $u'' + u(u^2 - 1) = f$ is not linear, but close to a guess $u_0$ it is: replacing $u^3$ by
# $u_0^3 + 3u_0^2(u - u_0)$ gives $u'' + (3u_0^2 - 1)\,u = f + 2u_0^3$. We start from $u_0 = 0$ and linearise twice, the second time about
# the last solution, keeping the parameters.

# %%
def allen_cahn(p: Problem, u_0: Array) -> System:
    """u'' + (3 u0^2 - 1) u = f + 2 u0^3 with f from the known solution."""
    linear = poisson(p)
    u = p.u(linear.x)
    return replace(linear, c=3 * u_0**2 - 1, f=linear.f + u * (u**2 - 1) + 2 * u_0**3)


u_0, theta, rows = xp.zeros(single.n), start(Q, single.F_max), []
for number in (1, 2):
    fitted = fit(
        allen_cahn(single, u_0), theta, student, scale(default=130, paper=1000)
    )
    theta = fitted["theta"]
    u_0 = predict(fitted, fitted["x"], student)
    rows.append(
        [str(number), float(heaviest_first(theta)[0][0]), error(single, fitted)]
    )
table(
    rows,
    ["Linearisation", "Dominant frequency", "Relative error"],
    "Allen–Cahn with the solution sin 100x.",
)

# %%
claims.check(
    "C1.e",
    "GP-HM-StM, Allen–Cahn, sin 100x: relative error",
    measured=rows[-1][-1],
    at_most=1e-3,
    paper="7.71e-6",
)

# %% [markdown]
# The first linearisation is good already: the solution is at most 1, and its second derivative is of the
# order of $10^4$, so the cubic term hardly matters in this problem of the paper.
#
# ## Verdict
#
# A Gaussian process that may place bumps in the spectrum solves $u'' = f$ at four points
# per oscillation, where our networks fail. It moves its components to frequencies that are not in its start, most of its thirty
# components vanish as the paper says, and the Kronecker formulas are exact. The comparison is less
# one-sided than claimed. An ordinary squared-exponential process, optimised well, solves the hard problems too, less accurately; on three scales, where the
# published objective is held back by its own jitter, it is as good, and one
# line of algebra improves both. And a classical spectral method is better still wherever it applies, as the authors' own table says.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The paper's $x\sin 200x$, $\sin 500x - 2(x-\frac12)^2$, $\sin 100x\sin 100y$, two-dimensional
# Allen–Cahn and advection, and the product solution of Allen–Cahn, are not run. The original runs take $10^5$ to $3\cdot10^6$ steps, with an
# additional process for the low frequencies in the hardest
# cases; we replace most steps by elimination and run none of these. Weighted PINNs and the paper's other networks are left out.
# The factor of 15 over the best process without frequencies is not reproduced on three scales. The networks have one seed each, with $\sigma$ chosen by the
# error itself, in their favour. Orders of time and memory are shown, not judged.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the one-dimensional problems run on the published domains and grids (400 points on
# $[0, 2\pi]$; 900 for three scales) for 3000 steps, the published joint optimisation for $5\cdot10^4$, and the
# two-dimensional problem on $[0, 2\pi]^2$ with 200 points per axis for $5\cdot10^4$ steps. A step is then a few
# Cholesky factorisations and products of matrices of that size. This has not been run on a GPU yet.
