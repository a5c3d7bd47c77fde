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
# # A tester-learner for halfspaces
#
# ```{paper-card}
# ```
#
# Learning algorithms come with promises of the form "if the points are Gaussian, the answer is nearly the best". Nobody
# who has data can check the "if", and whoever skips it holds an answer that may be worth nothing. A *tester-learner*
# repairs this: it either answers, and then the answer is good *whatever the data are*, or it refuses; and on Gaussian
# data it hardly ever refuses. {cite:t}`halfspace_tester_learner` give the first one that is fast, for the simplest classifier
# of all: a halfspace through the origin, with labels of which many are wrong.
#
# The idea is to look at the data through the answer. The points must look Gaussian only near the boundary of
# the classifier that was learned, and only so far as the proof needs it. This chapter builds such a tester-learner, sets
# traps for it that the moments of the points, up to the fourth, do not show, and then hands it two real tables: tumours,
# and handwritten digits. A good classifier comes out of each, and the tester refuses to vouch for either. It is right to: these data are not
# Gaussian where it would matter, so nothing *proves* that the answer is good. Gaussian data of the same size pass.
#
# ## What the paper claims
#
# 1. (Ours, on the learner that the tester judges.) The smoothed loss has its stationary point near the true direction, off by an
#    angle in proportion to the smoothing. {claims}`C1.a, C1.b`
# 2. (Ours.) So the learner survives label noise that turns averaging and logistic regression away for good.
#    {claims}`C2.a, C2.b, C2.c, C2.d, C2.e, C2.f`
# 3. *Completeness*: if the points are Gaussian, the tester accepts with high probability. {claims}`C3.a, C3.b, C3.c`
# 4. *Soundness under Massart noise*: whenever it accepts, the error is at most that of the best halfspace plus $\varepsilon$, whatever
#    the distribution of the points. We add real data that are not Gaussian. {claims}`C4.a, C4.b, C4.c, C4.d`
# 5. Tests that see only the points, as earlier work has them, are replaced by tests that see the learned candidate, and through it
#    the labels. Ours: a distribution on which this matters. {claims}`C5.a, C5.b, C5.c`
# 6. *Soundness under adversarial noise*, for Gaussian points: whenever it accepts, the error is at most a constant times that of the
#    best halfspace, plus $\varepsilon$. {claims}`C6.a, C6.b, C6.c`
# 7. (Ours.) Each of the tests about the candidate is needed: for each there is a distribution that it alone refuses.
#    {claims}`C7.a, C7.b, C7.c, C7.d, C7.e`
#
# Not tested here: that time and sample size are polynomial in $d$ and $1/\varepsilon$, and the variant for strongly
# log-concave points.
#
# **What our numbers rest on.** We read the abstracts of both versions, the opening of the introduction and the public
# reviews, which describe the algorithm; its propositions and constants were not available to us. The paper has no experiments.
# The tests below have the roles that it announces; their exact form, their thresholds and all distributions are ours, and all
# formulas are derived here.
#
# ## The idea
#
# **The problem.** Points $x\in\mathbb R^d$ have labels $y=\pm1$, which follow $\operatorname{sign}\langle w^*,x\rangle$ except that each is flipped with a probability
# $\eta(x)$ that may depend on $x$. *Massart noise* means $\eta(x)\le\eta<\frac12$ everywhere; *adversarial noise* flips whatever set
# it likes, of mass opt. The error of the best halfspace is opt, and the *excess* of $w$ is its error above that:
#
# $$
# \text{excess}(w)=E\bigl[(1-2\eta(x))\,\mathbf 1\{\operatorname{sign}\langle w,x\rangle\ne\operatorname{sign}\langle w^*,x\rangle\}\bigr].
# $$ (eq-hs-excess)
#
# **One-sided noise.** With $a=\langle w^*,x\rangle$ and $b=\langle u,x\rangle$ for some $u\perp w^*$, flip with probability $\eta=0.4$ only where $ab<0$. Then
# opt $=\eta/2$. The mean of $yx$, the simplest estimate of $w^*$, points $\arctan\frac{\eta}{1-\eta}=33.7°$ away from it, towards $u$, and has
# an excess of $0.037$ however many points there are. Call its direction $w_0$.
#
# **The learner** (that of Diakonikolas, Kontonis, Tzamos and Zarifis) counts errors, with a smooth step of width $\sigma$ in place of the
# sharp one, and follows the gradient on the unit sphere:
#
# $$
# L_\sigma(w)=E\,\ell_\sigma(-y\langle w,x\rangle),\qquad \ell_\sigma(t)=\frac1{1+e^{-t/\sigma}},\qquad
# \nabla L_\sigma(w)=-E\bigl[\ell_\sigma'(\langle w,x\rangle)\,y\,(x-\langle w,x\rangle w)\bigr].
# $$ (eq-hs-gradient)
#
# Only points with $|\langle w,x\rangle|\lesssim\sigma$ pull. Let $w$ be at the angle $\theta$ from $w^*$, and $v\perp w$ the direction in which it must
# turn. In this *slab*, a point with $|\langle v,x\rangle|>\sigma\cot\theta$ has the true label $\operatorname{sign}\langle v,x\rangle$, so that it pulls towards $v$, by at least
# $(1-2\eta)|\langle v,x\rangle|$ on average over the noise. The others pull by at most $\sigma\cot\theta$ the other way. If the points of the slab are spread along $v$ as Gaussian ones are,
# the first kind wins as soon as $\tan\theta\gg\sigma/(1-2\eta)$, and *$w$ cannot be stationary*. So a stationary $w$ has $\theta=O(\sigma)$.
#
# **The trap.** The proof used one thing: the spread within the slab. Take it away. In the plane of $w^*$ and $u$, let $v_0\perp w_0$; make $\langle v_0,x\rangle$ a thousand
# times smaller for all points with $|\langle w_0,x\rangle|\le\frac14$ and stretch it for all others, so that its variance is 1 again.

# %%
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf
from scipy.stats import multivariate_normal, norm
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from gaussbook import data
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("halfspace_tester_learner")
xp = backend()
ETA, SIGMA, EPSILON = 0.4, 0.05, 0.02
W0 = np.asarray([1 - ETA, ETA]) / math.hypot(1 - ETA, ETA)  # the mean of yx in the plane (a, b)
INNER = 0.25
MASS = math.erf(INNER / math.sqrt(2))  # P(|<w0, x>| <= 1/4)


# %%
def in_plane(X, change):
    """Change v = <v0, x> to change(p, v), where p = <w0, x>; a and b are the first coordinates."""
    c, s = W0
    p, v = c * X[..., 0] + s * X[..., 1], c * X[..., 1] - s * X[..., 0]
    v = change(p, v)
    plane = xp.stack([c * p - s * v, s * p + c * v], axis=-1)
    return xp.concat([plane, X[..., 2:]], axis=-1)


def trap(X, rng):
    """No spread within the slab around w0; mean, covariance and third moments stay."""
    stretch = 1 / math.sqrt(1 - MASS)
    return in_plane(X, lambda p, v: xp.where(xp.abs(p) <= INNER, 1e-3 * v, stretch * v))


# %% tags=["hide-input"]
alt = """Two clouds of points in the plane. The left one is a round Gaussian cloud. The right one looks the same outside a band
around the line of the averaging direction, but within the band all points sit on a short segment at the
origin. Lines show the true boundary and that of averaging, 34 degrees apart."""
caption = r"""Gaussian points (left) and the trap (right), with one-sided noise; the two have the same mean, covariance and third
moments. Blue: label $+1$; orange: $-1$. Solid: the true boundary. Dashed: that of averaging, $w_0$."""
cloud = generator(0).standard_normal((1500, 2))
flips = generator(1).random(1500)
with figure(1, 2, alt=alt, caption=caption, height=3.7, sharey=True) as axes:
    for ax, x in zip(axes, map(to_host, (cloud, trap(cloud, None))), strict=True):
        y = np.sign(x[:, 0]) * np.where(to_host(flips) < ETA * (x[:, 0] * x[:, 1] < 0), -1, 1)
        for sign, colour, marker in ((1, "sky", "o"), (-1, "orange", "^")):
            ax.plot(*x[y == sign].T, marker, ms=2, color=PALETTE[colour], alpha=0.7)
        ax.plot([0, 0], [-3, 3], color=PALETTE["black"])
        ax.plot(3 * W0[1] * np.asarray([-1, 1]), 3 * W0[0] * np.asarray([1, -1]), "--", color=PALETTE["black"])
        ax.set(xlabel="a, along w* (standard deviations)", xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    axes[0].set_ylabel("b, along u (standard deviations)")


# %% [markdown]
# On the left a learner that starts at $w_0$ turns to the solid line. On the right it has nothing to turn by: the slab around the
# dashed line is empty but for a segment that carries no information. Its gradient is nearly zero, and it stays.
#
# **The tester** therefore looks at the slab of the *candidate*, on fresh points. What it asks for is what the argument used:
#
# - **T1**, mass: the share of points with $|\langle w,x\rangle|\le\tau$ is about $\operatorname{erf}(\tau/\sqrt2)$ for widths $\tau$ near $\sigma$. Else too few points pull, or too
#   many of them pull against each other.
# - **T2**, shape: within the slab, the other coordinates have a covariance bounded from below and above, and fourth moments that are
#   nearly Gaussian. Then no stationary point is far from $w^*$.
# - **T3**, certificate: a small angle must mean a small error. Cut space into slabs $S_i=\{i\vartheta\le|\langle w,x\rangle|<(i+1)\vartheta\}$, and let $m_i$ be the mass and
#   $\lambda_i$ the top eigenvalue of the covariance in each. A halfspace $w'$ at the angle $\varphi$ disagrees with $w$ in $S_i$ only where one
#   coordinate exceeds $i\vartheta/\tan\varphi$, so that by Chebyshev's inequality, *whatever the distribution and for all $w'$ at once*,
#
# $$
# P\bigl(\operatorname{sign}\langle w,x\rangle\ne\operatorname{sign}\langle w',x\rangle\bigr)\le\sum_i m_i\,\min\Bigl(1,\;\lambda_i\frac{\tan^2\varphi}{i^2\vartheta^2}\Bigr),
# $$ (eq-hs-certificate)
#
# which is $O(\varphi)$ if masses and eigenvalues are those of a Gaussian up to constants. We add **T0**, which looks at the points alone, as
# earlier testers did: mean, covariance, and all monomials of degree three and four.
#
# ## The method in code
#
# The slope $\ell_\sigma'$ of {eq}`eq-hs-gradient`, written so that nothing overflows. The paper's own loss is a *smoothed ramp*; as far as the reviews describe it,
# its slope is constant for $|t|\le\sigma/6$ and zero beyond $\sigma/2$. We offer that too, joined by a line.

# %%
def logistic_slope(t, sigma):
    """Slope of 1/(1 + exp(-t/sigma))."""
    e = xp.exp(-xp.abs(t) / sigma)
    return e / (sigma * (1 + e) ** 2)


def ramp_slope(t, sigma):
    """Slope of a smoothed ramp: constant for |t| <= sigma/6, zero for |t| >= sigma/2."""
    return 1.5 / sigma * xp.clip(1.5 - 3 * xp.abs(t) / sigma, 0, 1)


# %% [markdown]
# Projected stochastic gradient descent runs from several starts at once: the mean of $yx$, and random directions. Arrays have the
# axes (trial, point, coordinate), and the columns of `W` are the iterates. What each start contributes to the list of
# candidates is the mean direction of the second half of its path.

# %%
def unit(W):
    """Columns of length one."""
    return W / xp.linalg.vector_norm(W, axis=-2, keepdims=True)


def starts(X, y, rng, count=3):
    """The mean of yx, and random directions."""
    average = xp.matrix_transpose(X) @ y[..., None]
    random = rng.standard_normal((X.shape[0], X.shape[2], count - 1))
    return unit(xp.concat([average / X.shape[1], random], axis=-1))


BATCH = scale(default=1000, paper=10_000)


def learn(X, y, W, sigma, slope=logistic_slope, steps=200, gamma=0.2, batch=BATCH):
    """Candidates, one for each column of W."""
    n, total = X.shape[1], xp.zeros_like(W)
    for t in range(steps):
        rows = slice(t * batch % n, t * batch % n + batch)
        x = X[:, rows, :]
        pull = y[:, rows, None] * slope(x @ W, sigma)
        gradient = -(xp.matrix_transpose(x) @ pull) / x.shape[1]
        gradient = gradient - xp.sum(gradient * W, axis=1, keepdims=True) * W
        W = unit(W - gamma * gradient)
        if t >= steps // 2:
            total = total + W
    return unit(total)


# %% [markdown]
# For Gaussian points and one-sided noise the excess {eq}`eq-hs-excess` needs no sample. Two Gaussians with correlation $\rho$ differ in sign with
# probability $\arccos(\rho)/\pi$, and three are all positive with probability $\frac18+\frac1{4\pi}\sum_{i<j}\arcsin\rho_{ij}$. Hence
#
# $$
# \text{excess}(w)=\frac{\arccos\langle w,w^*\rangle}\pi-2\eta\Bigl[\frac14+\frac{\arcsin\langle w,u\rangle-\arcsin\langle w,w^*\rangle}{2\pi}\Bigr],
# $$
#
# which is $(1-2\eta)\theta/\pi$ when $w$ turns towards $u$ by $\theta$.

# %%
def exact_excess(w, eta=ETA):
    """Excess of unit vectors for Gaussian points and one-sided noise; w* and u are the first axes."""
    both = (np.arcsin(w[1]) - np.arcsin(w[0])) / (2 * math.pi)
    return np.arccos(w[0]) / math.pi - 2 * eta * (0.25 + both)


# %% [markdown]
# ## Experiments
#
# ### The landscape
#
# Where is the stationary point? Put $w$ at the angle $\theta$ from $w^*$ towards $u$, with $u_w=\langle w,x\rangle$ and $v$ the coordinate across it in the
# plane. Given $u_w$, the mean of $y\,v$ is an integral over $v$ in closed form, and
#
# $$
# \frac{dL_\sigma}{d\theta}=2\int\phi(u_w)\,\ell_\sigma'(u_w)\bigl[(1-\eta)\,\phi(u_w\cot\theta)-\eta\,\phi(u_w\tan\theta)\bigr]du_w .
# $$ (eq-hs-tangential)
#
# For small $\sigma$ put $\theta=c\sigma$: with $t$ drawn from the density $\ell_1'$, the root solves $E\,e^{-t^2/2c^2}=\frac{\eta}{1-\eta}$, so it is *proportional to $\sigma$*,
# with $c\approx1.5$ for $\eta=0.4$. The integral is a sum over a midpoint grid, with the learner's own slope.

# %%
u_w = xp.asarray((np.arange(32_000) + 0.5) / 4000)  # 0 < <w, x> < 8; the integrand is even


def phi(t):
    """Density of N(0, 1)."""
    return xp.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)


def tangential(theta, sigma, slope=logistic_slope):
    """dL/dtheta."""
    pulls = (1 - ETA) * phi(u_w / math.tan(theta)) - ETA * phi(u_w * math.tan(theta))
    return 4 * float(xp.sum(phi(u_w) * slope(u_w, sigma) * pulls)) / 4000


REFERENCE = {0.02: 0.0302, 0.05: 0.0750, 0.1: 0.1469, 0.2: 0.2720, 0.3: 0.3646}
theta_star = {s: brentq(tangential, 1e-3, 1.55, args=(s,)) for s in (*REFERENCE, 1.0)}
rows = [
    [f"{s:g}", t, t / s, (1 - 2 * ETA) * t / math.pi, REFERENCE.get(s, "–")]
    for s, t in theta_star.items()
]
columns = ["σ", "θ* (radians)", "θ*/σ", "excess", "reference θ*"]
table(rows, columns, "The stationary point for one-sided noise with η = 0.4, by quadrature")

# %%
off = {s: 100 * abs(theta_star[s] / t - 1) for s, t in REFERENCE.items()}
law = [100 * abs(theta_star[s] / (1.5 * s) - 1) for s in (0.02, 0.05)]
claims.check("C1.a", "stationary angle at σ = 0.02 and 0.05: largest distance from 1.5 σ",
             measured=max(law), at_most=2, unit="%", own=True)  # fmt: skip
claims.check("C1.b", "stationary angle at σ = 0.1, 0.2, 0.3: largest distance from the reference",
             measured=max(off[s] for s in (0.1, 0.2, 0.3)), at_most=1, unit="%", own=True)  # fmt: skip


# %% tags=["hide-input"]
def landscape(theta, sigma):
    """L_sigma at the angle theta."""
    m = (1 - ETA) * norm.cdf(to_host(u_w) / math.tan(theta)) + ETA * norm.cdf(to_host(u_w) * math.tan(theta))
    steps = phi(u_w) * xp.tanh(u_w / (2 * sigma)) * to_device(2 * m - 1)
    return 0.5 - float(xp.sum(steps)) / 4000


alt = """Left: loss against angle from 0 to 70 degrees for four widths. The narrow ones fall to a
minimum within a few degrees and rise steeply after it; the widest has a shallow minimum farther
out. Right: excess at the minimum against the width on logarithmic axes, a straight line of slope
one at first, levelling off towards the line of averaging."""
caption = r"""Left: the population loss along the arc from $w^*$ (0°) towards $u$; dots: its stationary points. Right: their excess, the law
$\theta=1.5\sigma$ (dashed), and the excess of averaging (grey)."""
angles, widths = np.linspace(0.01, 1.22, 90), np.geomspace(0.01, 2, 25)
with figure(1, 2, alt=alt, caption=caption, height=3.3) as axes:
    for sigma in (0.02, 0.1, 0.3, 1.0):
        (line,) = axes[0].plot(np.degrees(angles), [landscape(t, sigma) for t in angles], label=f"σ = {sigma:g}")
        root = theta_star[sigma]
        axes[0].plot(np.degrees(root), landscape(root, sigma), "o", color=line.get_color())
    roots = np.asarray([brentq(tangential, 1e-3, 1.55, args=(s,)) for s in widths])
    axes[1].loglog(widths, (1 - 2 * ETA) * roots / math.pi)
    axes[1].loglog(widths[:16], (1 - 2 * ETA) * 1.5 * widths[:16] / math.pi, "--", color="k")
    axes[1].axhline((1 - 2 * ETA) * math.atan(ETA / (1 - ETA)) / math.pi, color="gray")
    axes[0].set(xlabel="angle θ from w* (degrees)", ylabel="loss L", ylim=(0.19, 0.47))
    axes[1].set(xlabel="width σ", ylabel="excess")
    axes[0].legend(loc="upper center", ncols=2)


# %% [markdown]
# A narrow loss sees the true boundary; a wide one behaves like averaging. The price of a narrow one is that few points pull.
#
# ### Learners
#
# Ten data sets with $d=10$, 20 000 points to learn from and as many for the choice among the candidates, the one with the fewest errors.

# %%
class Sample(NamedTuple):
    """Points (trial, point, coordinate), labels, the signs of <w*, x>, and eta(x)."""

    X: object
    y: object
    clean: object
    noise: object


def one_sided(a, b):
    """Massart noise where a and b differ in sign."""
    return ETA * (a * b < 0)


def label(X, noise, rng, rotation=None):
    """Labels by the first coordinate, flipped with probability noise(a, b); then rotated."""
    a, b = X[..., 0], X[..., 1]
    clean, eta = xp.where(a > 0, 1.0, -1.0), noise(a, b)
    y = xp.where(rng.random(a.shape) < eta, -clean, clean)
    return Sample(X if rotation is None else X @ rotation, y, clean, eta)


def halves(sample):
    """The half to learn from and the half to test on."""
    n = sample.X.shape[1] // 2
    return Sample(*(v[:, :n] for v in sample)), Sample(*(v[:, n:] for v in sample))


# %%
d, n, TRIALS = scale(default=(10, 20_000, 20), paper=(100, 500_000, 20))


def with_errors(X, y, W):
    """Candidates by their errors on fresh points, lowest first; W or -W, whichever has fewer."""
    errors = to_host(xp.mean(xp.astype((X @ W) * y[:, None] < 0, xp.float64), axis=0))
    W = W * to_device(np.where(errors > 0.5, -1.0, 1.0))
    order = np.argsort(np.minimum(errors, 1 - errors), kind="stable")
    return [(float(min(errors[k], 1 - errors[k])), W[:, int(k)]) for k in order]


def others(X, y):
    """Averaging, logistic regression and the linear support vector machine, without intercept."""
    machines = LogisticRegression(fit_intercept=False), LinearSVC(fit_intercept=False, dual=False)
    fits = [machine.fit(to_host(X), to_host(y)).coef_[0] for machine in machines]
    return [w / np.linalg.norm(w) for w in (to_host(X.T @ y), *fits)]


# %%
NAMES = ("learner, σ = 0.05", "learner, σ = 0.1", "learner, ramp loss of width 0.3",
         "averaging", "logistic regression", "support vector machine")  # fmt: skip
LOSSES = ((logistic_slope, 0.05), (logistic_slope, 0.1), (ramp_slope, 0.3))
rng, found = generator(2), []
for _ in progress(range(10), "learners"):
    train, test = halves(label(rng.standard_normal((1, 2 * n, d)), one_sided, rng))
    W = starts(train.X, train.y, rng)
    lists = [learn(train.X, train.y, W, s, slope=slope)[0] for slope, s in LOSSES]
    best = [to_host(with_errors(test.X[0], test.y[0], W)[0][1]) for W in lists]
    found.append([exact_excess(w) for w in (*best, *others(train.X[0], train.y[0]))])
found = np.asarray(found)
mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(10)
rows = [[name, m, e] for name, m, e in zip(NAMES, mean, error, strict=True)]
table(rows, ["learner", "mean excess", "standard error"], "One-sided noise, η = 0.4: ten data sets, exact excess")

# %%
claims.check("C2.a", "learner at σ = 0.05: mean excess", measured=mean[0], between=(0.002, 0.0075),
             seeds=10, spread=error[0], own=True)  # fmt: skip
claims.check("C2.b", "learner: mean excess at σ = 0.1 divided by that at σ = 0.05 (population: 1.96)",
             measured=mean[1] / mean[0], between=(1.3, 2.6), seeds=10, own=True)  # fmt: skip
for id, name, m, e in zip(("C2.c", "C2.d", "C2.e"), NAMES[3:], mean[3:], error[3:], strict=True):
    claims.check(
        id, f"{name}: mean excess (averaging in the population: 0.0374)", measured=m,
        between=(0.033, 0.042), seeds=10, spread=e, own=True,
    )  # fmt: skip
claims.check("C2.f", "the best of the three divided by the learner at σ = 0.05",
             measured=mean[3:].min() / mean[0], at_least=4, seeds=10, own=True)  # fmt: skip

# %% [markdown]
# All three convex methods end at the direction of the mean; more points would not help them. The learner's excess is the landscape's, and it
# doubles with $\sigma$.
#
# ### The tester, in code
#
# **T0.** The length of the mean of $n$ Gaussian points is about $\sqrt{d/n}$, with a deviation of at most $1/\sqrt n$, and the eigenvalues of their covariance
# lie in $(1\pm\sqrt{d/n})^2$; we allow four deviations beyond. The mean of a monomial has the variance $(E\,m^2-(E\,m)^2)/n$, from the
# Gaussian's moments $1,3,15,105$; we allow six, because means of fourth powers have long tails when $n$ is small. With more than ten
# dimensions the monomials are those of ten random directions.

# %%
MEAN, SQUARE = np.asarray([1, 0, 1, 0, 3]), np.asarray([1, 1, 3, 15, 105])  # E z^k and E z^2k


def farthest(moments, powers, n):
    """Largest distance of a monomial's mean from the Gaussian's, in standard deviations."""
    mean, square = MEAN[powers].prod(axis=-1), SQUARE[powers].prod(axis=-1)
    off = (moments - to_device(mean)) / to_device(np.sqrt((square - mean**2) / n))
    return float(xp.max(xp.abs(off)))


def products(P, block=80):
    """P times its transpose, summed over blocks of points that stay in the cache."""
    parts = xp.reshape(P, (P.shape[0], -1, math.gcd(P.shape[1], block)))
    parts = xp.moveaxis(parts, 1, 0)
    return xp.sum(parts @ xp.matrix_transpose(parts), axis=0)


def T0(X, rng):
    """Does the tester that sees only the points reject: by degrees one to three, by degree four."""
    n, d = X.shape
    low, high = (math.sqrt(float(v)) for v in xp.linalg.eigvalsh(X.T @ X / n)[[0, -1]])
    length = float(xp.linalg.vector_norm(xp.mean(X, axis=0)))
    Z = X.T if d <= 10 else xp.linalg.qr(rng.standard_normal((d, 10)))[0].T @ X.T
    i, j = np.triu_indices(Z.shape[0])
    pairs = xp.take(Z, to_device(i), axis=0) * xp.take(Z, to_device(j), axis=0)
    one = np.eye(Z.shape[0], dtype=int)
    two = one[i] + one[j]
    third = farthest(pairs @ Z.T / n, two[:, None] + one, n)
    fourth = farthest(products(pairs) / n, two[:, None] + two, n)
    allowed = (math.sqrt(d) + 4) / math.sqrt(n)
    return max(length, high - 1, 1 - low) > allowed or third > 6, fourth > 6


# %% [markdown]
# **The slabs of a candidate.** One sort by $|\langle w,x\rangle|$ serves all tests. The slabs are $\vartheta=2\sigma$ wide and reach to $|\langle w,x\rangle|=3$, so the
# first of them is T2's.

# %%
class Slabs(NamedTuple):
    """The points by their distance from the boundary of w, and the slabs' statistics."""

    heights: object  # |<w, x>|, sorted
    across: object  # x - <w, x> w, in the same order
    edges: np.ndarray
    sizes: np.ndarray
    covariances: object  # one for each slab
    top: np.ndarray  # their largest eigenvalues


def slabs(X, w, sigma):
    """Cut the points into slabs parallel to the boundary of w."""
    height = X @ w
    order = xp.argsort(xp.abs(height))
    across = xp.take(X, order, axis=0) - xp.take(height, order)[:, None] * w
    heights = xp.abs(xp.take(height, order))
    edges = np.arange(0, 3 + sigma, 2 * sigma)
    ends = [int(k) for k in xp.searchsorted(heights, to_device(edges))]
    parts = [across[a:b, :] for a, b in pairwise(ends)]
    covariances = xp.stack([x.T @ x / max(x.shape[0], 1) for x in parts])
    top = to_host(xp.linalg.eigvalsh(covariances)[:, -1])
    return Slabs(heights, across, edges, np.diff(ends), covariances, top)


# %% [markdown]
# **T1** compares masses with $\operatorname{erf}(\tau/\sqrt2)$ at $\tau=\frac\sigma2,\sigma,2\sigma,4\sigma$ and allows a fifth, or four deviations where points are few.

# %%
def is_off(counts, p, n):
    """Is a share of points off by more than a fifth and by more than four deviations?"""
    return np.abs(counts / n - p) > np.maximum(0.2 * p, 4 * np.sqrt(p * (1 - p) / n))


def T1(s, sigma):
    """Does the mass of a thin slab reject?"""
    tau = sigma * np.asarray([0.5, 1, 2, 4])
    counts = to_host(xp.searchsorted(s.heights, to_device(tau)))
    return bool(is_off(counts, erf(tau / math.sqrt(2)), len(s.heights)).any())


# %% [markdown]
# **T2** wants all eigenvalues of the first slab's covariance within $[\frac35(1-r)_+^2,\frac32(1+r)^2]$, $r=\sqrt{d/n_s}$, where $n_s$ points are in the slab, and kurtoses $E z^4/(Ez^2)^2$
# within $[2,4.5]$ or six deviations, along the extreme eigenvectors and fifty random directions.

# %%
LOWER = 0.6  # the least variance across the slab, as a share of the Gaussian's


def T2(s, w, rng):
    """Does the shape of the slab reject?"""
    n_s, d = int(s.sizes[0]), len(w)
    if n_s == 0:
        return True
    r = math.sqrt(d / n_s)
    values, vectors = xp.linalg.eigh(s.covariances[0] + w[:, None] * w)  # w itself counts as 1
    low, high = float(values[0]), float(values[-1])
    directions = xp.concat([vectors[:, :1], vectors[:, -1:], rng.standard_normal((d, 50))], axis=1)
    squares = (s.across[:n_s, :] @ directions) ** 2
    kurtosis = xp.mean(squares * squares, axis=0) / xp.mean(squares, axis=0) ** 2
    few = 6 * math.sqrt(24 / n_s)
    flat, long = 3 - max(1, few), 3 + max(1.5, few)
    shape = float(xp.min(kurtosis)) < flat or float(xp.max(kurtosis)) > long
    return low < LOWER * max(1 - r, 0) ** 2 or high > 1.5 * (1 + r) ** 2 or shape


# %% [markdown]
# **T3** bounds mass and top eigenvalue of every slab by the same constants, and the certificate {eq}`eq-hs-certificate` is what the bounds are for.

# %%
def T3(s):
    """Does the mass or the spread of any slab reject?"""
    masses = np.diff(erf(s.edges / math.sqrt(2)))
    r = np.sqrt(s.across.shape[1] / np.maximum(s.sizes, 1))
    off = is_off(s.sizes, masses, len(s.heights))
    return bool((off | (s.top > 1.5 * (1 + r) ** 2)).any())


def certificate(s, angle):
    """Bound on the disagreement with every halfspace at that angle."""
    shares, edges = s.sizes / len(s.heights), np.maximum(s.edges[:-1], 1e-12)
    beyond = 1 - shares.sum()
    return beyond + shares @ np.minimum(1, s.top * (math.tan(angle) / edges) ** 2)


# %% [markdown]
# **The verdict.** Candidates are tried in the order of their errors on the fresh points; the first that passes all tests is the answer.

# %%
class Verdict(NamedTuple):
    """The answer (None: refused), the candidate with the fewest errors, and who rejects that."""

    answer: object
    first: object
    error: float
    T0: tuple
    T123: tuple


def about(X, w, sigma, rng):
    """Who rejects the candidate: T1, T2, T3."""
    s = slabs(X, w, sigma)
    return T1(s, sigma), T2(s, w, rng), T3(s)


def judge(X, y, W, sigma, rng):
    """Test the candidates on fresh points."""
    candidates, alone = with_errors(X, y, W), T0(X, rng)
    (error, first), tests = candidates[0], []
    for _, w in candidates:
        tests.append(about(X, w, sigma, rng))
        if any(alone) or not any(tests[-1]):
            break
    answer = None if any(alone) or any(tests[-1]) else w
    return Verdict(answer, first, error, alone, tests[0])


# %% [markdown]
# ### Completeness
#
# Forty Gaussian data sets with ten dimensions and forty with thirty, half of them with one-sided noise and half without noise.

# %%
def noiseless(a, b):
    """No label is wrong."""
    return 0.0 * a


def trials(draw, noise, rng, count=TRIALS, d=d, rotate=False):
    """Draw, learn and judge; yield the test half of each trial, its candidates and the verdict."""
    block = scale(default=10, paper=1)
    for start in range(0, count, block):
        size = min(block, count - start)
        turn = xp.linalg.qr(rng.standard_normal((size, d, d)))[0] if rotate else None
        X = draw(rng.standard_normal((size, 2 * n, d)), rng)
        train, test = halves(label(X, noise, rng, turn))
        W = learn(train.X, train.y, starts(train.X, train.y, rng), SIGMA)
        for k in range(size):
            one = Sample(*(v[k] for v in test))
            yield one, W[k], judge(one.X, one.y, W[k], SIGMA, rng)


def gaussian(X, rng):
    """Leave the points as they are."""
    return X


def share(id, what, values, at_least, **more):
    """Check a share of trials."""
    claims.check(id, what, measured=100 * np.mean(values), at_least=at_least, unit="%", **more)


# %%
rng, accepted = generator(3), {}
for D in (d, 3 * d):
    for noise in progress((noiseless, one_sided), f"completeness, d = {D}"):
        runs = [v.answer is not None for _, _, v in trials(gaussian, noise, rng, d=D)]
        accepted.setdefault(D, []).extend(runs)
often = {"seeds": 2 * TRIALS, "paper": "with high probability"}
share("C3.a", f"Gaussian data sets that are accepted, d = {d}", accepted[d], 95, **often)
share("C3.b", f"the same, d = {3 * d}", accepted[3 * d], 90, **often)

# %%
one, W, verdict = next(trials(gaussian, one_sided, generator(4), count=1))
s, theta = slabs(one.X, verdict.first, SIGMA), theta_star[SIGMA]
say(f"""What an acceptance is worth, in one example: the certificate says that no halfspace within
{math.degrees(theta):.1f}° of the answer (the landscape's θ* at σ = {SIGMA:g}) disagrees with it on more than {100 * certificate(s, theta):.0f} per cent of
the points. For a Gaussian the true number is θ/π, {100 * theta / math.pi:.1f} per cent. At twice the angle the certificate
says {100 * certificate(s, 2 * theta):.0f} per cent.""")


# %% [markdown]
# The certificate is loose by a constant, as Chebyshev's inequality is. It knows nothing of Gaussians.
#
# ### Soundness
#
# Now distributions that are not Gaussian. Each keeps the labels of its first coordinate $a$, with one-sided noise. Here excess is measured on the 20 000
# test points with {eq}`eq-hs-excess`, since $\eta(x)$ is known.

# %%
def put(X, k, values):
    """The points with coordinate k replaced."""
    return xp.concat([X[..., :k], values[..., None], X[..., k + 1 :]], axis=-1)


def cube(X, rng):
    """Corners of the cube; w* and u are axes."""
    return xp.where(X > 0, 1.0, -1.0)


def turned_cube(X, rng):
    """Corners of a cube in random position."""
    return cube(X, rng) @ xp.linalg.qr(rng.standard_normal((X.shape[0], X.shape[2], X.shape[2])))[0]


def slab_bomb(X, rng, rho=0.004, far=8.0):
    """A few points within the slab of w*, but far out along u; b keeps its variance."""
    hit = rng.random(X.shape[:-1]) < rho
    shrink = math.sqrt((1 - rho * far**2) / (1 - rho))
    inside = rng.uniform(-SIGMA, SIGMA, hit.shape)
    b = xp.where(hit, xp.where(X[..., 1] > 0, far, -far), shrink * X[..., 1])
    return put(put(X, 0, xp.where(hit, inside, X[..., 0])), 1, b)


# %%
def student(X, rng, df=5):
    """Multivariate Student distribution with unit variances."""
    return X * xp.sqrt((df - 2) / rng.chisquare(df, X.shape[:-1]))[..., None]


SUITE = {
    "Gaussian": gaussian,
    "Student, 100 degrees of freedom": lambda X, rng: student(X, rng, df=100),
    "product Laplace": lambda X, rng: rng.laplace(0, math.sqrt(0.5), X.shape),
    "cube, random position": turned_cube,
    "Student, 5 degrees of freedom": student,
    "cube, axes": cube,
    "variance 4 along w*": lambda X, rng: put(X, 0, 2 * X[..., 0]),
    "mean shifted by 0.3": lambda X, rng: put(X, 0, X[..., 0] + 0.3),
    "trap": trap,
    "slab bomb": slab_bomb,
    "5 % of the points 10 away": lambda X, rng: put(
        X, 1, X[..., 1] + 10 * (rng.random(X.shape[:-1]) < 0.05)
    ),
}
MUST_GO = list(SUITE)[4:]


def excess(sample, w):
    """Excess of w on the points of a sample."""
    wrong = (sample.X @ w) * sample.clean < 0
    return float(xp.mean((1 - 2 * sample.noise) * wrong))


# %%
rng, rows, suite = generator(5), [], {}
for name, draw in progress(SUITE.items(), "soundness"):
    runs = []
    for one, W, v in trials(draw, one_sided, rng):
        from_average, answered = excess(one, W[:, 0]), v.answer is not None
        value = excess(one, v.answer) if answered else 0.0
        decisions = (v.T0[0], any(v.T0), not answered)
        runs.append((excess(one, v.first), from_average, *decisions, value, *v.T0, *v.T123))
    suite[name] = np.asarray(runs, dtype=float)
    free, average, low, all_four, refused, value = suite[name][:, :6].T
    shares = [f"{100 * (1 - x.mean()):.0f}" for x in (low, all_four, refused)]
    worst = "–" if refused.all() else value.max()
    rows.append([name, free.mean(), free.max(), *shares, worst])
columns = ["distribution", "mean excess without a test", "largest", "moments up to 3 accept (%)",
           "up to 4 accept (%)", "full tester accepts (%)", "largest excess if accepted"]  # fmt: skip
table(rows, columns, f"{TRIALS} trials each, one-sided noise, ε = {EPSILON:g}")

# %%
worst = max(v[:, 5].max() for v in suite.values())
claims.check("C4.a", "largest excess of an accepted answer, all distributions and trials",
             measured=worst, at_most=EPSILON, seeds=TRIALS, paper="at most ε")  # fmt: skip
claims.check("C5.b", "trap: smallest excess of the learner that starts from averaging",
             measured=suite["trap"][:, 1].min(), at_least=EPSILON, seeds=TRIALS, own=True)  # fmt: skip
own = {"seeds": TRIALS, "own": True}
least = min((suite[name][:, 4] for name in MUST_GO), key=np.mean)
share("C4.b", "refusals, the smallest share among the last seven distributions of the table", least, 95, **own)
by_moments = 1 - suite["trap"][:, 2]
share("C5.a", "trap: accepted by mean, covariance and third moments", by_moments, 80, **own)
seen = suite["trap"][:, 8:].any(axis=1)
share("C5.c", "trap: T1, T2 or T3 rejects the best candidate, without T0's help", seen, 95, **own)


# %% [markdown]
# A refusal is not an accusation. On most of these distributions the learner does well, and the tester refuses all the same, because their slabs are not
# those that the proof is about. On the trap it does badly: the moments up to the third let it pass, and the learner that starts from
# averaging stays where it is. (A random start may escape; the tester does not rely on that.) What is accepted without being Gaussian, the Student distribution with 100 degrees of
# freedom, is near enough for the proof, and the answer is as good as on Gaussian points. On this trap fourth moments
# would help. The next section takes them away too.
#
# ### Each test earns its place
#
# **(a) A matched trap.** Outside the band let $\langle v_0,x\rangle=\sqrt A\,s+\sqrt{V-A}\,z$ with a random sign $s$, $z\sim N(0,1)$ and $V=1/P(|\langle w_0,x\rangle|>\frac14)$. Its fourth moment is $3V^2-2A^2$, so
# $A^2=\frac32V(V-1)$ makes the variance 1 *and* the fourth moment 3. **(b) A thinned core**: half of the points with $|a|\le\sigma/2$ are drawn anew. **(c) A band bomb**: points with
# $0.8<|a|<0.9$ get $b=\pm2.5$, and $b$ is shrunk elsewhere. The data are rotated at random, since T0 looks along the axes, where the trap's one odd moment, $E\langle w_0,x\rangle^2\langle v_0,x\rangle^2\approx1.24$ in place of 1, would show; (b) and (c) have
# no noise, so that the candidate is $w^*$.

# %%
def matched_trap(X, rng):
    """The trap with a fourth moment of 3."""
    V = 1 / (1 - MASS)
    A = math.sqrt(1.5 * V * (V - 1))
    sign = xp.where(rng.random(X.shape[:-1]) < 0.5, -math.sqrt(A), math.sqrt(A))
    return in_plane(
        X, lambda p, v: xp.where(xp.abs(p) <= INNER, 1e-3 * v, sign + math.sqrt(V - A) * v)
    )


def thinned_core(X, rng):
    """Every second point of the core is drawn anew (until it stays)."""
    a = X[..., 0]
    drop = (xp.abs(a) <= SIGMA / 2) & (rng.random(a.shape) < 0.5)
    for _ in range(4):
        a = xp.where(drop, rng.standard_normal(a.shape), a)
        drop = drop & (xp.abs(a) <= SIGMA / 2) & (rng.random(a.shape) < 0.5)
    return put(X, 0, a)


def band_bomb(X, rng):
    """Spread along u within a band away from the boundary; b keeps its variance."""
    band = (xp.abs(X[..., 0]) > 0.8) & (xp.abs(X[..., 0]) < 0.9)
    mass = math.erf(0.9 / math.sqrt(2)) - math.erf(0.8 / math.sqrt(2))
    shrink = math.sqrt((1 - 2.5**2 * mass) / (1 - mass))
    return put(X, 1, xp.where(band, xp.where(X[..., 1] > 0, 2.5, -2.5), shrink * X[..., 1]))


# %%
rng, rejected, refusals = generator(6), {}, {}
for name, draw, noise in (
    ("matched trap", matched_trap, one_sided),
    ("thinned core", thinned_core, noiseless),
    ("band bomb", band_bomb, noiseless),
):
    runs = list(progress(trials(draw, noise, rng, rotate=True), name, total=TRIALS))
    tests = [(*v.T0, *about(one.X, W[:, 0], SIGMA, rng)) for one, W, v in runs]
    rejected[name] = np.asarray(tests)  # of the candidate that starts from averaging
    refusals[name] = [v.answer is None for *_, v in runs]
    if draw is matched_trap:
        left = np.asarray([excess(one, W[:, 0]) for one, W, _ in runs])

TESTS = ("T0, up to 3", "T0, 4", "T1", "T2", "T3")
rows = [
    [name, *(f"{100 * x:.0f}" for x in values)]
    for name, values in (
        *((name, runs[:, 6:].mean(axis=0)) for name, runs in suite.items()),
        *((name, rejected[name].mean(axis=0)) for name in refusals),
    )
]
table(rows, ["distribution", *TESTS], "Trials in which each test rejects (%)")


# %%
def alone(name, test):
    """In which trials does that test reject and no other?"""
    runs = rejected[name]
    return runs[:, TESTS.index(test)] & (runs.sum(axis=1) == 1)


share("C7.a", "matched trap: T2 alone rejects the candidate that starts from averaging",
      alone("matched trap", "T2"), 80, **own)  # fmt: skip
share("C7.b", "thinned core: T1 alone rejects", alone("thinned core", "T1"), 80, **own)
bomb = rejected["band bomb"]
share("C7.c", "band bomb: T3 rejects", bomb[:, 4], 95, **own)
either = 100 * bomb[:, 2:4].any(axis=1).mean()
claims.check("C7.d", "band bomb: T1 or T2 rejects", measured=either, at_most=10, unit="%", **own)
share("C7.e", "matched trap: refused by the full tester, all candidates", refusals["matched trap"], 95, **own)

# %%
accept = 100 * (1 - rejected["matched trap"][:, :2].any(axis=1).mean())
say(f"""In the matched trap the learner that starts from averaging has an excess of {left.mean():.3f}, at least
{left.min():.3f} in each trial. The moments of the points alone, up to degree four, accept {accept:.0f} per cent of
these data sets.""")


# %% [markdown]
# None of the three tests about the candidate is redundant. In the suite above T0 does most of the work, and the others mostly agree with it; here they
# see what it cannot. Within T2 the eigenvalues decide: without its kurtoses no row of this chapter would change its verdict. We keep them,
# since the argument asks for a spread that a few far points cannot feign.
#
# ### Adversarial noise
#
# On Gaussian points the adversary flips all labels with $a>0$ and $b<-t$, a set of mass opt $=\frac12\Phi(-t)$. A halfspace is wrong where it disagrees with $w^*$
# outside that set, or agrees inside: its error is opt $+\theta/\pi-2P(a>0,\langle w,x\rangle<0,b<-t)$, a trivariate normal probability.

# %%
def adversarial_error(w, t):
    """Exact error of a unit vector w."""
    covariance = [[1, -w[0], 0], [-w[0], 1, w[1]], [0, w[1], 1]]  # of -a, <w, x>, b
    law = multivariate_normal(cov=covariance, allow_singular=True, seed=0)
    return norm.cdf(-t) / 2 + math.acos(w[0]) / math.pi - 2 * law.cdf([0, 0, -t])


OPT, REPEATS, passed = (0.01, 0.02, 0.05, 0.1), 5, []
rng, ratios = generator(7), {}
for opt in progress(OPT, "adversarial noise"):
    t = -norm.ppf(2 * opt)
    for _ in range(REPEATS):
        X = rng.standard_normal((1, 2 * n, d))
        train, test = halves(label(X, lambda a, b, t=t: 1.0 * ((a > 0) & (b < -t)), rng))
        W = learn(train.X, train.y, starts(train.X, train.y, rng), SIGMA)[0]
        verdict = judge(test.X[0], test.y[0], W, SIGMA, rng)
        passed.append(verdict.answer is not None)
        found = [to_host(verdict.first), *others(train.X[0], train.y[0])]
        ratios.setdefault(opt, []).append([adversarial_error(w, t) / opt for w in found])
ratios = {opt: np.asarray(values) for opt, values in ratios.items()}

# %%
rows = [[f"{opt:g}", *values.mean(axis=0)] for opt, values in ratios.items()]
table(rows, ["opt", "learner", *NAMES[3:]], "Adversarial noise: error divided by opt, mean of five data sets")
accepted_runs = np.asarray(passed).reshape(len(OPT), REPEATS)
bounds = [
    np.where(accepted_runs[k], ratios[opt][:, 0] - 0.003 / opt, -math.inf).max()
    for k, opt in enumerate(OPT)
]
claims.check("C6.a", "largest (error − 0.003)/opt of an accepted answer", measured=max(bounds),
             at_most=1.35, seeds=REPEATS, paper="O(opt) + ε")  # fmt: skip
gain = min((v[:, 1] - v[:, 0]).mean() for v in ratios.values())
claims.check("C6.b", "error of averaging less the learner's, divided by opt: smallest of four means",
             measured=gain, at_least=0.25, seeds=REPEATS, own=True)  # fmt: skip
often["seeds"] = REPEATS * len(OPT)
share("C6.c", "data sets with adversarial noise that are accepted", passed, 90, **often)

# %% [markdown]
# ### Real data
#
# Tumours from scikit-learn's breast-cancer table, and its handwritten digits 3 and 8. Both are whitened: the ten leading principal components, each scaled to
# variance 1. Half of the rows learn and half test, in twenty random halvings. With so few points the slab must be wider, $\sigma=0.3$. Are the tests still fair? The control
# is as many Gaussian points with as many dimensions, and with labels without noise.

# %%
SIGMA_REAL, HALVINGS = 0.3, 20


def whitened(name):
    """Ten leading principal components with unit variance, and labels."""
    read = data.table(name)
    keep = np.isin(read.target, (3, 8)) if name == "digits" else read.target >= 0
    X, y = read.data[keep], np.where(np.isin(read.target[keep], (1, 8)), 1.0, -1.0)
    X = X - X.mean(axis=0)
    X = X / X.std(axis=0) if name == "breast_cancer" else X  # its columns have different units
    U = np.linalg.svd(X, full_matrices=False)[0][:, :10]
    return U * math.sqrt(len(X)), y


def halving(X, y, rng):
    """Learn on a random half, judge on the other; also <w, x> of the test half."""
    order = rng.host.permutation(len(X))
    learned, fresh = order[: len(X) // 2], order[len(X) // 2 :]
    assert not set(learned) & set(fresh)
    A, b = to_device(X[learned])[None], to_device(y[learned])[None]
    W = learn(A, b, starts(A, b, rng), SIGMA_REAL, batch=len(learned))[0]
    verdict = judge(to_device(X[fresh]), to_device(y[fresh]), W, SIGMA_REAL, rng)
    return verdict, X[fresh] @ to_host(verdict.first)


# %%
rng, rows, real, heights, by_test = generator(8), [], {}, {}, {}
TABLES = {"breast_cancer": "tumours", "digits": "digits 3 and 8"}
for table_name, words in progress(TABLES.items(), "real data"):
    X, y = whitened(table_name)
    for name, control in ((words, False), (f"Gaussian, {len(X)} rows", True)):
        runs = []
        for _ in range(HALVINGS):
            if control:
                X = rng.host.standard_normal(X.shape)
                y = np.where(X[:, 0] > 0, 1.0, -1.0)
            runs.append(halving(X, y, rng))
        verdicts = [v for v, _ in runs]
        by_test[name] = tests = 100 * np.mean([(*v.T0, *v.T123) for v in verdicts], axis=0)
        real[name] = np.asarray([v.answer is None for v in verdicts], dtype=float)
        heights[name] = np.concatenate([h for _, h in runs])
        error = 100 * np.mean([v.error for v in verdicts])
        rows.append([name, error, *(f"{x:.0f}" for x in tests), f"{100 * real[name].mean():.0f}"])
columns = ["data", "errors on fresh points (%)", *TESTS, "refused (%)"]
table(rows, columns, "Twenty halvings: errors of the best candidate, and in how many each test rejects it (%)")

# %%
own["seeds"] = HALVINGS
share("C4.c", "tumours: halvings that are refused", real["tumours"], 95, **own)
share("C4.d", "digits 3 and 8: halvings that are refused", real["digits 3 and 8"], 95, **own)
control = max((v for name, v in real.items() if "Gaussian" in name), key=np.mean)
share("C3.c", "Gaussian data of the same two sizes: accepted, the smaller share", 1 - control, 85, **own)

# %% tags=["hide-input"]
alt = """Two histograms of the test points' distances from the learned boundary, with the standard normal curve. For the digits there are two
humps at plus and minus one with a valley at the boundary, where the curve has its top. For the tumours the histogram is lopsided, with
a high narrow hump on one side and a long tail on the other."""
caption = r"""Distances of fresh points from the learned boundary, all halvings, and the Gaussian that the tester hoped for (black). Shaded: the slab
$|\langle w,x\rangle|\le2\sigma$ of T2."""
with figure(1, 2, alt=alt, caption=caption, height=3.2, sharey=True) as axes:
    grid = np.linspace(-4, 4, 200)
    for ax, name in zip(axes, TABLES.values(), strict=True):
        ax.axvspan(-2 * SIGMA_REAL, 2 * SIGMA_REAL, color="gray", alpha=0.2, lw=0)
        ax.hist(heights[name], bins=np.linspace(-4, 4, 41), density=True, color=PALETTE["sky"])
        ax.plot(grid, norm.pdf(grid), color=PALETTE["black"])
        ax.set(xlabel="distance from the boundary (sd)", title=name)
    axes[0].set_ylabel("density")

# %%
inside = 100 * np.mean(np.abs(heights["digits 3 and 8"]) <= 2 * SIGMA_REAL)
fourth = (whitened("breast_cancer")[0] ** 4).mean(axis=0).max()
say(f"""Both tables are refused, for different reasons. The tumours' components have long tails, one of them a
fourth moment of {fourth:.0f} where a Gaussian has 3, and T0 alone rejects {by_test["tumours"][:2].max():.0f} per cent of the
halvings. The digits pass T0 in {100 - by_test["digits 3 and 8"][:2].max():.0f} per cent of them. It takes the
candidate to see that only {inside:.0f} per cent of the points lie within 2σ of its boundary, where a Gaussian has
{100 * math.erf(2 * SIGMA_REAL / math.sqrt(2)):.0f}.""")

# %% [markdown]
# The digits keep away from the boundary, as every practitioner would wish. They are refused because the proof counts on points near
# the boundary, which here are missing. That is the nature of the promise: *accepted* stands for proven, and *refused* for
# not proven, whatever the number of errors. Whoever wants a guarantee for such data needs a proof that rests on other things, a margin
# for example, and a tester for those.
#
# ## Verdict
#
# The tester-learner does what the paper says, at sizes that one can run. Gaussian data, at both dimensions and also
# with the few rows of the real tables, are hardly ever refused. No answer was accepted with an excess above $\varepsilon$. Under adversarial noise the
# error stays within a small factor of the best, where averaging makes more than twice the best halfspace's errors when opt is small. The tests about the candidate, which are the paper's
# point, catch what moments of the points let pass.
#
# Two limits. A suite of distributions cannot show "whatever the distribution"; that is the proof's part, and what we show is that the ways we
# found to break its argument are refused. And T2 looks at fourth moments along 52 directions, where the argument needs
# all: a tester with a proof would bound them all at once.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The paper's own list of tests, its constants, and its polynomials in $d$ and $1/\varepsilon$, since the text was not available; the variants for
# strongly log-concave points. The smallest sample at which completeness sets in, as a function of $d$ and $\sigma$, and a sweep over $\varepsilon$
# with $\sigma=\varepsilon/3$, are not run at any scale. Testing on the half that the learner saw changes no claim here; that the halves of the real tables are
# disjoint is asserted instead.
#
# ## At paper scale
#
# The paper has no experiments and hence no scale. `GAUSSBOOK_SCALE=paper` takes 100 dimensions (300 in the second completeness run) and a million points, one data set at a
# time. The draws are made on the host, which limits the size. Nothing here has been run on a GPU.
