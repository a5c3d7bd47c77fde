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
# # How fast a sparse mixture of experts can be learned
#
# ```{paper-card}
# ```
#
# A mixture of experts is a committee: a *gate* looks at the input and decides how much each expert's
# answer counts. In large language models the committee has dozens of members, and to save computation
# only the $K$ with the largest gate scores are asked. This *top-K sparse softmax gate* is in daily
# use, but the rule that switches experts on and off makes the model discontinuous in its parameters,
# and it is not obvious that maximum likelihood still learns it at the usual speed.
#
# {cite:t}`topk_gating` answer for the simplest case that keeps the difficulty, linear experts with
# Gaussian noise. With the right number of experts everything is learned at the rate $n^{-1/2}$. With
# too many experts the *density* is still learned at that rate, provided that enough experts are
# active, while the *parameters* of the surplus experts are learned far more slowly. This chapter fits
# such models to a few million simulated points, measures the rates, and shows in two lines where the
# slow ones come from.
#
# ## What the paper claims
#
# 1. **Known number of experts, one active.** When the fitted model has as many experts as the true one,
#    $k = k_*$, it is learned at the parametric rate $n^{-1/2}$, up to logarithms; the published simulation
#    has two experts of which one is active. {claims}`C1.a, C1.b`
# 2. **(Ours.)** With one active expert the likelihood is flat in the gate, and EM cannot move it.
#    {claims}`C2`
# 3. **Known number of experts, two active.** The conditional density (in Hellinger distance) and the
#    parameters (in a Voronoi loss $D_1$) converge at $n^{-1/2}$. {claims}`C3.a, C3.b, C3.c`
# 4. **Too many experts need enough active ones.** For $k > k_*$ let $\bar K$ be the number of experts
#    that the fitted model activates. If $\bar K$ is smaller than the number of fitted experts that
#    share the places of the $K$ true active ones, the density estimate cannot converge; with enough
#    of them it converges at $n^{-1/2}$ again. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f`
# 5. **Slow parameters.** The parameters of a true expert that is approximated by $m \ge 2$ fitted
#    ones converge much more slowly: gate slopes and intercepts like $n^{-1/(2\bar r(m))}$, slopes
#    and variances like $n^{-1/\bar r(m)}$, with $\bar r(2)=4$ and $\bar r(3)=6$. True experts that
#    are met by a single fitted one keep $n^{-1/2}$. {claims}`C5.a, C5.b, C5.c, C5.d`
# 6. **EM** never lowers the likelihood. {claims}`C6`
# 7. **The cause** is an interaction of gate and expert through a partial differential equation, which
#    makes the first terms of the Taylor expansion linearly dependent. {claims}`C7.a, C7.b`
#
# Not tested here: cells with three experts, and the logarithms.
#
# **What our numbers rest on.** We read the abstract, the complete code of the same group's earlier
# paper on the dense gate ([arXiv:2305.03288](https://arxiv.org/abs/2305.03288)), which supplies the
# true parameters of the first experiment, the loss and the table of $\bar r$, and a third party's
# re-creation of the first simulation, which supplies $K$. The full text was not available to us: the
# form of items 1, 3 and 5 follows that earlier paper, the paper's fitted slopes are
# unknown to us, and the column of its numbers in the verdict holds the theory. (In a later paper on another
# gate the same group shows fitted slopes of −0.49 and −0.47 as agreeing with −1/2.)
#
# ## The idea
#
# **The model.** For an input $x\in\mathbb R^d$ and a scalar output $y$,
#
# $$
# g(y\mid x)=\sum_{i=1}^{k} w_i(x)\,N\bigl(y\mid a_i^\top x+b_i,\ \sigma_i^2\bigr),\qquad
# w_i(x)=\frac{\exp(\beta_{1i}^\top x+\beta_{0i})}
# {\sum_{j\in A(x)}\exp(\beta_{1j}^\top x+\beta_{0j})}\ \text{ for } i\in A(x),
# $$ (topk-model)
#
# and $w_i(x)=0$ otherwise. Here $a_i, b_i$ are the slope and the intercept of expert $i$, $\sigma_i$
# is its standard deviation, $\beta_{1i},\beta_{0i}$ are the slope and the bias of its gate, and the
# *active set* $A(x)$ holds the $K$ experts with the largest scores. Two scores are in use. As we
# remember it, the paper ranks the slope part $\beta_{1i}^\top x$ alone (`select_on="slope"`). Its
# published one-dimensional simulation makes sense only if the whole logit $\beta_{1i}^\top
# x+\beta_{0i}$ is ranked (`select_on="logit"`): with gate slopes 25 and 0 and $x>0$, the slope part
# would always choose the first expert.
#
# **What can be identified.** A softmax sees only differences, so all $(\beta_{1i},\beta_{0i})$ may be
# shifted by one vector and one number. We fix the gate of one expert at zero. The rest is collected
# in the *mixing measure* $G=\sum_i e^{\beta_{0i}}\,\delta_{(\beta_{1i},a_i,b_i,\sigma_i)}$, which
# does not care for the order of the experts.
#
# **How to measure an error.** Give each fitted expert to the nearest true one; the fitted experts of
# true expert $j$ form its *Voronoi cell* $C_j$. With $\omega_i=e^{\beta_{0i}}$ and differences
# $\Delta$ from the true values,
#
# $$
# D=\max_{|S|=K}\ \sum_{j\in S}\Bigl\{\Bigl|\sum_{i\in C_j}\omega_i-\omega_j^*\Bigr|
# +\sum_{i\in C_j}\omega_i\bigl(|\Delta\beta_{1}|^{p}+|\Delta b|^{p}+|\Delta a|^{q}+|\Delta\sigma|^{q}\bigr)\Bigr\},
# $$ (topk-voronoi)
#
# where $S$ runs over the sets of $K$ true experts. The exact loss $D_1$ has $p=q=1$ everywhere. The
# loss $D_2$ for too many experts has $p=\bar r(m)$, $q=\bar r(m)/2$ in cells with $m=|C_j|\ge2$
# members. If $D_2$ is of order $n^{-1/2}$, item 5 follows by taking roots.
#
# **Where the slow rates come from.** Consider one expert with its gate, $u=e^{\beta_1 x}N(y\mid
# ax+b,\sigma^2)$. Both $a x$ and $b$ enter through the mean, and the normal density solves the heat
# equation, so
#
# ```{math}
# :label: topk-pde
# \frac{\partial^2u}{\partial\beta_1\,\partial b}=\frac{\partial u}{\partial a},\qquad
# \frac{\partial^2u}{\partial b^2}=2\,\frac{\partial u}{\partial(\sigma^2)} .
# ```
#
# Now replace the expert by two halves with intercepts $b\pm\epsilon$. To second order the density
# changes by $\tfrac{\epsilon^2}2\,\partial_b^2u$. By the second equation that is the same as raising
# $\sigma^2$ by $\epsilon^2$. So if both halves get the variance $\sigma^2-\epsilon^2$ at the same
# time, the second order cancels. The third is zero by symmetry, and what is left is of order
# $\epsilon^4$. (Statistically: two narrower bells side by side have the mean, the variance and the
# skewness of the one bell, and differ in the kurtosis.) A sample of size $n$ cannot see changes of
# the density below $n^{-1/2}$, so it cannot see a split of the order $\epsilon=n^{-1/8}$. This is the
# rate $n^{-1/(2\bar r(2))}$ of item 5. The first equation hides gate slopes as well: with gate
# slopes $\beta_1\pm\delta$ beside the intercepts $b\pm\epsilon$ the term
# $\delta\epsilon\,\partial_{\beta_1}\partial_b u$ cancels if both expert slopes fall by
# $\delta\epsilon$. But the square $\delta^2\partial_{\beta_1}^2u$ has nothing to cancel with, so this
# mechanism (the derivation is ours) hides $\delta=\epsilon^2=n^{-1/4}$ and no more.
#
# **Maximum likelihood.** The EM algorithm alternates responsibilities
# $r_{in}=w_i(x_n)N(y_n\mid\cdot)/g(y_n\mid x_n)$, weighted least squares for each expert, and one
# Newton step for the gate on $\sum_{in}r_{in}\log w_i(x_n)$ with the active sets frozen. Then the
# active sets are found anew. That may lower the likelihood, and where it does the gate's step is
# halved. Near a singular point EM crawls, therefore we finish with damped Newton steps on all
# parameters together.
#
# **One active expert** is a case apart. The softmax over a single expert is 1, whatever the gate's
# parameters are, and the likelihood is piecewise constant in them. In one dimension with two experts
# the exact solution is a *change-point scan*: sort by $x$, fit one line to the left and one to the
# right of every cut, and take the best cut,
#
# ```{math}
# :label: topk-scan
# \max_c\ \bigl\{-n_L\log\hat\sigma_L(c)-n_R\log\hat\sigma_R(c)\bigr\} .
# ```
#
# With cumulative sums of $x,y,x^2,xy,y^2$ all cuts together cost $O(n)$. Only the boundary
# $-\beta_0/\beta_1$ is identified, and since a jump is visible in single points its error is of order
# $1/n$, not $n^{-1/2}$.
#
# ## The method in code
#
# Gate, likelihood, EM and Newton steps are in `gaussbook.experts`, batched over replications: inputs
# have shape (replications, $n$, $d$), gate parameters (replications, $k$, $d$) and so on.

# %%
import math
from dataclasses import replace

import numpy as np

from gaussbook.arrays import backend, generator, to_host
from gaussbook.claims import Claims
from gaussbook.experts import (
    Experts,
    Gate,
    conditional_density,
    fit,
    gate_log_weights,
    gradient,
    log_likelihood,
    refine,
    voronoi_loss,
)
from gaussbook.metrics import hellinger_1d, loglog_slope
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("topk_gating")
xp = backend()


# %% [markdown]
# Two truths are used. The *published* one has two experts, of which one is active; its lines cross
# like the letter lambda, and at the boundary $x_0=8/25$ the mean jumps from 1.4 to 8.6. The
# *overlapping* one is ours, made so that the gate is identified: of its three experts two are active,
# the second one everywhere, the first for $x>0$ and the third for $x<0$.

# %%
def experts(beta1, beta0, a, b, sigma):
    """One mixture on the line from its lists of parameters."""
    slopes = (xp.asarray([[[float(v)] for v in values]]) for values in (beta1, a))
    rest = (xp.asarray([values], dtype=xp.float64) for values in (beta0, b, sigma))
    (beta1, a), (beta0, b, sigma) = slopes, rest
    return Experts(beta1, beta0, a, b, sigma)


published = experts([25, 0], [-8, 0], [-20, 20], [15, -5], [0.3, 0.4])
top1 = Gate(1, "logit")
overlapping = experts([3, 0, -3], [-1, 0, -1], [4, -2, 3], [3, 0, -3], [0.5, 0.5, 0.4])
top2 = Gate(2, "slope")


# %% [markdown]
# Data follow equation {eq}`topk-model`: an input, an expert drawn by the gate's weights, and its
# noisy line. Each replication has its own stream of random numbers, and each sample size its own part
# of that stream.

# %%
def streams(seeds, sizes, label):
    """Each size with a list of generators, one for each seed."""
    of_size = zip(*(generator(s).spawn(len(sizes)) for s in seeds), strict=True)
    return progress(zip(sizes, of_size, strict=True), label, total=len(sizes))


def draw(truth, gate, n, rngs, low=-1.0, high=1.0):
    """x ~ U(low, high), i ~ w(x), y = a_i x + b_i + sigma_i e."""
    x = low + (high - low) * xp.stack([rng.random((n, 1)) for rng in rngs])
    u = xp.stack([rng.random(n) for rng in rngs])
    e = xp.stack([rng.standard_normal(n) for rng in rngs])
    ends = xp.cumulative_sum(xp.exp(gate_log_weights(x, truth, gate)), axis=1)
    i = xp.sum(ends[:, :-1, :] < u[:, None, :], axis=1)
    chosen = i[:, None, :] == xp.arange(truth.shape[1])[:, None]
    lines = truth.a @ xp.matrix_transpose(x) + truth.b[:, :, None]
    mean = xp.sum(xp.where(chosen, lines, 0.0), axis=1)
    sigma = xp.sum(xp.where(chosen, truth.sigma[:, :, None], 0.0), axis=1)
    return x, mean + sigma * e


# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: points on a rising line up to x = 0.32 and on a falling line to the "
    "right of it. Right: points along three lines; the middle, falling one extends "
    "over all x, the other two rise, one for negative and one for positive x.",
    caption="A sample of 600 points from each truth. Colours of the background: "
    "regions with different active experts.",
) as axes:
    cases = ((published, top1, 0.0, 0.32), (overlapping, top2, -1.0, 0.0))
    for ax, (truth, gate, low, cut) in zip(axes, cases, strict=True):
        x, y = draw(truth, gate, 600, [generator(0)], low)
        ax.axvspan(low, cut, color=PALETTE["sky"], alpha=0.2, lw=0)
        ax.axvspan(cut, 1, color=PALETTE["orange"], alpha=0.2, lw=0)
        ax.plot(to_host(x)[0, :, 0], to_host(y)[0], ".", ms=3, color="#444444")
        ax.set(xlabel="input x", ylabel="output y", xlim=(low, 1))
    axes[0].set_title("published truth, K = 1")
    axes[1].set_title("overlapping truth, K = 2")


# %% [markdown]
# All fits start near the truth, as in the authors' code: we ask how well the maximum of the
# likelihood estimates, not how to find it.

# %%
def near(truth, n, rngs):
    """Truth + N(0, (0.005 n^-0.083)²); sigma + |N(0, (0.0005 n^-0.25)²)|."""

    def noise(value, sd):
        return sd * xp.stack([rng.standard_normal(value.shape[1:]) for rng in rngs])

    moved = {
        name: getattr(truth, name) + noise(getattr(truth, name), 0.005 * n**-0.083)
        for name in ("beta1", "beta0", "a", "b")
    }
    wider = xp.abs(noise(truth.sigma, 0.0005 * n**-0.25))
    return Experts(**moved, sigma=truth.sigma + wider)


# %% [markdown]
# The scan of equation {eq}`topk-scan`. At least 5 % of the points stay on each side, because a line
# through two points has the likelihood infinity.

# %%
def line(sums):
    """Least squares from Σ(1, x, y, x², xy, y²): slope, intercept, residual sd."""
    m, sx, sy, sxx, sxy, syy = sums
    cxx, cxy, cyy = sxx - sx * sx / m, sxy - sx * sy / m, syy - sy * sy / m
    a = cxy / cxx
    return xp.stack([a, (sy - a * sx) / m, xp.sqrt((cyy - a * cxy) / m)])


def changepoint_two_lines(x, y):
    """The best cut, and (a, b, sigma) to its left and right, each (3, B)."""
    order = xp.argsort(x, axis=1)
    x, y = (xp.take_along_axis(v, order, axis=1) for v in (x, y))
    n, edge = x.shape[1], max(5, x.shape[1] // 20)
    sums = xp.stack([xp.ones_like(x), x, y, x * x, x * y, y * y])
    sums = xp.cumulative_sum(sums, axis=2)
    n_left = slice(edge - 1, n - edge)
    left, right = line(sums[:, :, n_left]), line(sums[:, :, -1:] - sums[:, :, n_left])
    m = sums[0, :, n_left]
    best = xp.argmax(-m * xp.log(left[2]) - (n - m) * xp.log(right[2]), axis=1)[:, None]
    cut = (x[:, n_left] + x[:, edge : n - edge + 1]) / 2
    left, right = (
        xp.take_along_axis(v, best[None], axis=2)[:, :, 0] for v in (left, right)
    )
    return xp.take_along_axis(cut, best, axis=1)[:, 0], left, right


# %% [markdown]
# Distances between densities are averaged over 400 inputs, the midpoints of a grid. None of them is
# 0, where the scores of all experts tie. The grid in $y$ has a step of a tenth of the smallest
# $\sigma$; the trapezoidal rule for smooth bells is then far more accurate than we need.

# %%
middles = ((xp.arange(400) + 0.5) / 200 - 1)[None, :, None]
y_grid = xp.linspace(-12, 12, 601)
true_density = conditional_density(middles, y_grid, overlapping, top2)


def mean_hellinger(fitted, gate):
    """E_X[h], h² = ½∫(√g − √g*)² dy, against the overlapping truth."""
    density = conditional_density(middles, y_grid, fitted, gate)
    return xp.mean(hellinger_1d(density, true_density, y_grid), axis=1)


# %% [markdown]
# Every experiment collects errors in a table, sizes by replications, and ends in log-log coordinates.
# The slope is that of least squares through the means; its interval, from redrawing the replications,
# is a 95 % one.

# %%
def collect(rows):
    """A list of dictionaries of (B,) errors as one dictionary of (sizes, B) arrays."""
    return {name: to_host(xp.stack([row[name] for row in rows])) for name in rows[0]}


def slope_text(sizes, errors):
    """The fitted slope and its interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*loglog_slope(sizes, errors))


def plot_rate(ax, sizes, errors, label, colour, marker="o"):
    """Means with ± 2 standard errors, and the least-squares line."""
    mean = errors.mean(axis=1)
    bars = 2 * errors.std(axis=1, ddof=1) / math.sqrt(errors.shape[1])
    style = {"color": PALETTE[colour], "fmt": marker, "capsize": 2}
    ax.errorbar(sizes, mean, bars, label=label, **style)
    s = loglog_slope(sizes, errors, resamples=1).slope
    centre = [math.exp(sum(map(math.log, v)) / len(v)) for v in (sizes, mean)]
    ends = [centre[1] * (n / centre[0]) ** s for n in (sizes[0], sizes[-1])]
    ax.plot([sizes[0], sizes[-1]], ends, color=PALETTE[colour], lw=1)
    ax.set(xscale="log", yscale="log", xlabel="sample size n")


gains = []  # of the log-likelihood per point, in every EM step of the chapter

# %% [markdown]
# ## Experiments
#
# ### One active expert: the published simulation
#
# 40 replications of the published truth, $n$ from 100 to 31 623. Beside the scan runs the EM
# algorithm from the near-true start. As the gate's gradient is zero it leaves the boundary exactly
# where the start has put it, very near the truth. That looks harmless.

# %%
sizes = scale(
    default=[100, 316, 1000, 3162, 10_000, 31_623],
    paper=[round(10 ** (2 + 4 * j / 59)) for j in range(60)],
)
rows = []
for n, rngs in streams(range(40), sizes, "top-1"):
    x, y = draw(published, top1, n, rngs, low=0.0)
    cut, left, right = changepoint_two_lines(x[:, :, 0], y)
    found = xp.stack([right, left], axis=2)  # expert 1 is on the right
    em = fit(x, y, near(published, n, rngs), top1)
    gains.append(float(xp.min(xp.diff(em.history, axis=0))) / n)
    frozen = xp.stack([em.experts.a[:, :, 0], em.experts.b, em.experts.sigma])
    truth = xp.stack([published.a[:, :, 0], published.b, published.sigma])
    gate = em.experts.relative_to()
    rows.append({"boundary": xp.abs(cut - 0.32)})
    rows[-1]["frozen boundary"] = xp.abs(-gate.beta0[:, 0] / gate.beta1[:, 0, 0] - 0.32)
    for name, estimate in (("", found), ("frozen ", frozen)):
        errors = xp.sum(xp.abs(estimate - truth), axis=2)
        rows[-1] |= {name + "all": xp.sum(errors, axis=0), name + "sigma": errors[2]}
top1_errors = collect(rows)

# %% tags=["hide-input"]
with figure(
    1,
    3,
    alt="Three log-log panels. Expert errors fall along slope minus one half for the "
    "scan; those of EM with a frozen gate lie above. The boundary error falls along "
    "slope minus one for the scan and stays where it is for the frozen "
    "gate. The error of sigma falls much more slowly with the frozen gate and ends "
    "several times as large.",
    caption="Published truth, $k=k_*=2$, $K=1$: mean errors of 40 replications with "
    "two standard errors. Scan (blue) and EM, whose gate never moves (vermilion).",
    width=9.5,
) as axes:
    panels = (
        ("all", "sum of |errors| of a, b, σ"),
        ("boundary", "|error| of the boundary"),
        ("sigma", "sum of |errors| of σ"),
    )
    for ax, (name, label) in zip(axes, panels, strict=True):
        plot_rate(ax, sizes, top1_errors[name], "scan", "blue")
        plot_rate(ax, sizes, top1_errors["frozen " + name], "EM", "vermilion", "s")
        ax.set(ylabel=label)
    axes[0].legend()

# %%
gate_off = top1_errors["frozen boundary"][-1].mean()
excess = top1_errors["frozen all"][-1].mean() / top1_errors["all"][-1].mean() - 1
say(f"""The frozen gate is a lesson. A boundary that is wrong by {gate_off:.1e} puts a handful of
{sizes[-1]} points on the wrong side, where they miss their line by 7. These few raise the error of all
parameters by {excess:.0%}, and that of σ to {top1_errors["frozen sigma"][-1].mean():.3f}.""")

# %% [markdown]
# The scan learns the experts at $n^{-1/2}$ and the boundary at $n^{-1}$. The published simulation, if it was
# run by EM from a start near the truth, can have shown
# $n^{-1/2}$ only as long as few points fell into the gap.

# %%
claims.check(
    "C1.a",
    "top-1, k = k*: slope of the error sum of the six expert parameters",
    measured=loglog_slope(sizes, top1_errors["all"]).slope,
    between=(-0.56, -0.44),
    paper="−1/2 (theory)",
    seeds=40,
)
claims.check(
    "C1.b",
    "top-1, k = k*: slope of the boundary's error (a change point: −1)",
    measured=loglog_slope(sizes, top1_errors["boundary"]).slope,
    at_most=-0.85,
    seeds=40,
)
claims.check(
    "C2",
    "top-1, largest n: error of σ with a frozen gate, in units of the scan's",
    measured=top1_errors["frozen sigma"][-1].mean() / top1_errors["sigma"][-1].mean(),
    at_least=2,
    seeds=40,
    own=True,
)


# %% [markdown]
# ### Two active experts, the right number
#
# 20 replications of the overlapping truth. EM needs few iterations, because the experts are far
# apart and the gate's step is Newton's. The Newton steps on all parameters then change nothing
# visible. The loss {eq}`topk-voronoi` with all exponents 1 is

# %%
def D1(found, truth):
    """The exact Voronoi loss."""
    return voronoi_loss(found, truth, n_active=2, exponents=(1, 1, 1))


# %% [markdown]
# Its value can be had by hand where every expert is off by known amounts: $b$ by 0.01, $a$ by −0.02, $\sigma$
# by 0.03, and the first weight, $e^{-1}$, by a tenth of itself. The largest set $S$ holds the experts 1 and 2.

# %%
truth = overlapping.relative_to(1)
off = replace(truth, b=truth.b + 0.01, a=truth.a - 0.02, sigma=truth.sigma + 0.03)
off = replace(off, beta0=off.beta0 + xp.asarray([[math.log(1.1), 0.0, 0.0]]))
by_hand = 0.1 / math.e + (1 + 1.1 / math.e) * (0.01 + 0.02 + 0.03)
claims.check(
    "C3.c",
    "the Voronoi loss D₁ of known differences, relative distance from its value by hand",
    measured=abs(float(D1(off, truth)[0]) / by_hand - 1),
    at_most=1e-12,
    own=True,
)

# %%
sizes = scale(
    default=[316, 1000, 3162, 10_000, 31_623],
    paper=[round(10 ** (2 + 4 * j / 59)) for j in range(15, 60)],
)
rows = []
for n, rngs in streams(range(20), sizes, "top-2"):
    x, y = draw(overlapping, top2, n, rngs)
    em = fit(x, y, near(overlapping, n, rngs), top2)
    gains.append(float(xp.min(xp.diff(em.history, axis=0))) / n)
    found = refine(x, y, em.experts, top2, tol=1e-6).experts.relative_to(1)
    rows.append({"D1": D1(found, truth), "hellinger": mean_hellinger(found, top2)})
top2_errors = collect(rows)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Two log-log panels. The Voronoi loss and the mean Hellinger distance both fall "
    "by about a factor of ten along straight lines of slope close to minus one half.",
    caption="Overlapping truth, $k=k_*=3$, $K=2$: means of 20 replications with two "
    "standard errors.",
) as axes:
    names = (("D1", "Voronoi loss D₁"), ("hellinger", "mean Hellinger distance"))
    for ax, (name, label) in zip(axes, names, strict=True):
        text = f"slope {slope_text(sizes, top2_errors[name])}"
        plot_rate(ax, sizes, top2_errors[name], text, "blue")
        ax.set(ylabel=label)
        ax.legend()

# %% [markdown]
# Density and parameters, the gate's included, both follow $n^{-1/2}$, on a truth where the
# gate is identified.

# %%
for id, name, text in (("C3.a", "D1", "D₁"), ("C3.b", "hellinger", "E[h]")):
    claims.check(
        id,
        f"top-2, k = k*: slope of {text}",
        measured=loglog_slope(sizes, top2_errors[name]).slope,
        between=(-0.60, -0.40),
        paper="−1/2 (theory)",
        seeds=20,
    )


# %% [markdown]
# ### How many experts must be active?
#
# No data are needed for item 4. Split expert $j$ of the overlapping truth into two halves, each with
# half of its weight ($\beta_0-\log2$), and move gate slope, expert slope and intercept of the halves
# by $\pm\epsilon$. As $\epsilon\to0$ the mixing measure returns to the truth. Does the density?

# %%
def split(j, epsilon, names=("beta1", "a", "b"), spread=0.0, share=0.5):
    """The overlapping truth, expert j twice: names ± epsilon, sigma² − spread."""
    index = sorted([0, 1, 2, j - 1])
    both = [float(i == j - 1) for i in index]
    sign = xp.asarray([b * (-1) ** (place == j) for place, b in enumerate(both)])
    both = xp.asarray(both)
    G = overlapping.take(xp.asarray(index), axis=1)
    sigma = xp.sqrt(G.sigma**2 - spread * both)
    G = replace(G, beta0=G.beta0 + math.log(share) * both, sigma=sigma)
    shift = {name: epsilon * sign for name in names}
    shift = {n: s[:, None] if n in ("beta1", "a") else s for n, s in shift.items()}
    return replace(G, **{name: getattr(G, name) + s for name, s in shift.items()})


epsilons = (1e-1, 1e-2, 1e-3)
distance = {
    (j, K, eps): float(mean_hellinger(split(j, eps), Gate(K, "slope"))[0])
    for j in (1, 2, 3)
    for K in (2, 3, 4)
    for eps in epsilons
}
full = float(mean_hellinger(split(2, 1e-3, share=1.0), top2)[0])

# %% tags=["hide-input"]
rows = [
    [f"expert {j}, {K} active", *(f"{distance[j, K, eps]:.5f}" for eps in epsilons)]
    for j in (1, 2, 3)
    for K in (2, 3, 4)
]
table(
    rows,
    ["split expert and active experts", *(f"ε = {eps:g}" for eps in epsilons)],
    "Mean Hellinger distance from the truth when one expert is split into two halves.",
)

# %% [markdown]
# Only one line of the table goes to zero: expert 2, which is active everywhere, split in two, with
# three active experts. There the active set is the union of the true active cells at every $x$. With
# two active experts one half is missing and the density is off. With all four active it is
# off too, as the expert that should be silent speaks. When expert 1 or 3 is split no $\bar K$ is
# right, because one half of the line needs three active experts and the other needs two. So *enough*
# active experts is necessary in these examples but not sufficient: there can be too many.
#
# The necessity must be read with care as well. It speaks of fitted measures near the true one. If
# each of the two copies of expert 2 carries its *full* weight, twice too much in the measure, two
# active experts suffice: for $x>0$ one copy is selected, for $x<0$ the other.

# %%
for id, j, K, bound in (
    ("C4.a", 2, 3, {"at_most": 1e-3}),
    ("C4.b", 2, 2, {"equals": 0.105, "within": 0.006}),
    ("C4.c", 1, 2, {"equals": 0.232, "within": 0.01}),
):
    statement = f"expert {j} in two halves, {K} active, ε = 0.001: E[h]"
    own = K == 2  # the limits are our own numbers
    claims.check(id, statement, measured=distance[j, K, 1e-3], own=own, **bound)
statement = "expert 2 twice with its full weight, 2 active, ε = 0.001: E[h]"
claims.check("C4.d", statement, measured=full, at_most=1e-3, own=True)

# %% [markdown]
# ### The cause of the slow rates
#
# Three experts active, expert 2 in two halves with intercepts $b\pm\epsilon$. First the variance
# stays; then it is lowered by $\epsilon^2$, as equation {eq}`topk-pde` suggests.

# %%
shifts = [0.02, 0.05, 0.1, 0.2]
top3 = Gate(3, "slope")
seen = {
    label: xp.concat(
        [mean_hellinger(split(2, e, ("b",), c * e**2), top3) for e in shifts]
    )
    for label, c in (("σ² kept", 0.0), ("σ² lowered by ε²", 1.0))
}
for id, (label, h), power in zip(("C7.a", "C7.b"), seen.items(), (2, 4), strict=True):
    claims.check(
        id,
        f"expert 2 split at b ± ε, {label}: slope of E[h] in ε",
        measured=loglog_slope(shifts, h[:, None], resamples=1).slope,
        equals=power,
        within=0.1,
        paper=f"{power} (theory)",
    )

# %% tags=["hide-input"]
with figure(
    alt="Log-log plot of the Hellinger distance against the split epsilon. With the "
    "variance kept it falls along slope two; with the variance lowered along slope "
    "four, far below. A dashed line marks the distance "
    "that 16000 points resolve, 0.008.",
    caption="How much of a split at $b\\pm\\epsilon$ the density shows. Dashed: "
    "$n^{-1/2}$ for $n=16\\,000$.",
    width=4.6,
) as ax:
    for (label, h), colour in zip(seen.items(), ("blue", "vermilion"), strict=True):
        ax.plot(shifts, to_host(h), "o-", color=PALETTE[colour], label=label)
    ax.axhline(16_000**-0.5, color="#444444", ls="--", lw=1)
    ax.set(
        xscale="log", yscale="log", xlabel="split ε", ylabel="mean Hellinger distance"
    )
    ax.set_xticks(shifts, [f"{e:g}" for e in shifts])
    ax.minorticks_off()
    ax.legend()


# %% [markdown]
# A split by 0.2, two fifths of $\sigma$, changes the density by less than what 16 000
# points can resolve, if the variance plays along. This is the cause in one picture.
#
# ### Two active experts, one too many
#
# Now estimation. We fit $k=4$ experts with three active to the overlapping truth, starting with
# expert 2 twice, gate slopes 0.05 apart. After at most 50 EM iterations the Newton steps carry each
# of 12 replications to the maximum. The *scatter* of the doubled expert is
# $S_b=\bigl(\sum_i\bar\omega_i(b_i-b^*)^2\bigr)^{1/2}$ with the weights $\bar\omega_i\propto
# e^{\beta_{0i}}$ of its two halves. The weights matter: a copy with hardly any weight may lie
# anywhere.

# %%
def scatter(found, name, value):
    """S = (Σ ω_i (θ_i − θ*)² / Σ ω_i)^½ over the two copies of expert 2."""
    weight = xp.exp(found.beta0[:, 1:3] - xp.max(found.beta0[:, 1:3], axis=1)[:, None])
    theta = xp.reshape(getattr(found, name), found.b.shape)[:, 1:3]
    square = xp.sum(weight * (theta - value) ** 2, axis=1) / xp.sum(weight, axis=1)
    return xp.sqrt(square)


def exact_errors(found):
    """|errors| of (a, b, σ) of the experts 1 and 3, shape (3, B, 2)."""
    single, true = xp.asarray([0, 3]), xp.asarray([0, 2])
    found, true = found.take(single, axis=1), overlapping.take(true, axis=1)
    pairs = ((found.a[:, :, 0], true.a[:, :, 0]), (found.b, true.b))
    return xp.abs(xp.stack([f - t for f, t in (*pairs, (found.sigma, true.sigma))]))


# %% [markdown]
# Two diagnostics go with it: whether a fit ended at an edge, where the gate slope of a copy meets
# that of expert 1 or 3 and the active set would change, and the largest derivative of the
# log-likelihood that is left.

# %%
def at_edge(found):
    """1 where a copy of expert 2 has, to 0.001, the gate slope of expert 1 or 3."""
    beta1 = found.beta1[:, :, 0]
    gap = xp.abs(
        beta1[:, 1:3, None] - xp.stack([beta1[:, 0], beta1[:, 3]], axis=1)[:, None]
    )
    return xp.astype(xp.min(gap, axis=(1, 2)) < 1e-3, xp.float64)


def steepest(slopes):
    """The largest |derivative| of the log-likelihood, the temperature's left out."""
    names = ("beta0", "b", "sigma")
    both = [*(slopes[n] for n in names), slopes["beta1"][:, :, 0], slopes["a"][:, :, 0]]
    return xp.max(xp.abs(xp.stack(both)), axis=(0, 2))


# %%
sizes = scale(
    default=[500, 1600, 5000, 16_000],
    paper=[500, 1600, 5000, 16_000, 50_000, 160_000, 1_000_000],
)
seeds, truth, rows = range(scale(default=12, paper=40)), overlapping.relative_to(), []
start = split(2, 0.05, names=("beta1",))
for n, rngs in streams(seeds, sizes, "surplus"):
    x, y = draw(overlapping, top2, n, rngs)
    em = fit(x, y, near(start, n, rngs), top3, max_iter=50)
    gains.append(float(xp.min(xp.diff(em.history, axis=0))) / n)
    end = refine(x, y, em.experts, top3, tol=1e-6)
    found, exact = end.experts.relative_to(), exact_errors(end.experts)
    errors = {"exact": xp.sum(exact, axis=(0, 2)), "exact b": xp.mean(exact[1], axis=1)}
    errors |= {"S_b": scatter(found, "b", 0.0), "S_a": scatter(found, "a", -2.0)}
    errors["S_beta1"] = scatter(found, "beta1", 3.0)  # relative to expert 3
    errors |= {"E[h]": mean_hellinger(found, top3), "value": end.log_likelihood}
    errors |= {"D2": voronoi_loss(found, truth, n_active=2), "edge": at_edge(found)}
    rows.append(errors | {"gradient": steepest(gradient(x, y, found, top3))})
surplus = collect(rows)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Two log-log panels. Left: the error of the exactly fitted intercepts falls "
    "along slope minus one half, the scatter of the doubled expert's intercepts more "
    "slowly, with much wider bars; it is above from the start. Right: the Hellinger "
    "distance falls along slope minus one half.",
    caption="Overlapping truth fitted with one expert too many, $k=4$, $\\bar K=3$: "
    "means of the replications with two standard errors.",
) as axes:
    plot_rate(axes[0], sizes, surplus["S_b"], "expert 2, doubled: scatter", "vermilion")
    plot_rate(
        axes[0], sizes, surplus["exact b"], "experts 1 and 3: |error|", "blue", "s"
    )
    plot_rate(axes[1], sizes, surplus["E[h]"], "E[h]", "blue")
    axes[0].set(ylabel="error of an intercept")
    axes[0].set_ylim(top=0.5)
    axes[0].legend()
    axes[1].set(ylabel="mean Hellinger distance")

# %%
labels = {
    "exact": "experts 1 and 3: sum of |errors| of a, b, σ",
    "exact b": "experts 1 and 3: mean |error| of b",
    "S_b": "expert 2 (doubled): scatter of b",
    "S_a": "expert 2 (doubled): scatter of a",
    "S_beta1": "expert 2 (doubled): scatter of β₁",
    "E[h]": "mean Hellinger distance",
}
rows = [
    [text, *surplus[name].mean(axis=1), slope_text(sizes, surplus[name])]
    for name, text in labels.items()
]
rows.append(["Voronoi loss D₂, median", *np.median(surplus["D2"], axis=1), "–"])
inside = np.where(surplus["edge"] == 1, 0.0, surplus["gradient"])
edges = surplus["edge"].sum(axis=1).astype(int)
rows.append(["fits that end at an edge", *edges, "–"])
rows.append(["largest derivative in the other fits", *inside.max(axis=1), "–"])
table(
    rows,
    ["error", *(f"n = {n}" for n in sizes), "slope (95 % interval)"],
    "One expert too many: means over the replications (medians for D₂).",
)

# %% [markdown]
# The exactly fitted experts and the density keep $n^{-1/2}$. The doubled expert lags behind in all
# its parameters. The loss $D_2$ falls faster than $n^{-1/2}$, which the theory
# allows: it is bounded from above, and at these sizes the fourth powers of large gate errors rule
# it. A few fits end at an edge, where the likelihood jumps: their maximum is not a zero of the
# gradient, a reminder that the top-K model is not smooth. In all others the gradient is zero for
# every purpose.

# %%
slope = {name: loglog_slope(sizes, surplus[name]).slope for name in labels}
ratio = surplus["S_b"][-1].mean() / surplus["exact b"][-1].mean()
lag = slope["S_b"] - slope["exact"]
half, gap = "−1/2 (theory)", "1/4 to 3/8 (theory)"
for id, text, measured, paper, bound in (
    ("C5.a", "slope of S_b − slope of exact errors", lag, gap, {"at_least": 0.08}),
    ("C5.b", "slope of the exact errors", slope["exact"], half, {"at_most": -0.36}),
    ("C5.c", "S_b / exact error of b, largest n", ratio, None, {"at_least": 3}),
    ("C5.d", "slope of E[h]", slope["E[h]"], half, {"between": (-0.65, -0.35)}),
):
    text = f"top-3, k = k* + 1: {text}"
    claims.check(id, text, measured=measured, paper=paper, seeds=len(seeds), **bound)

# %% [markdown]
# The *rate* of the scatter is another matter. Twelve replications over one and a half decades leave
# the slope of $S_b$ anywhere in the interval of the table, which holds $-1/8$, $-1/4$ and $-1/2$
# alike. And is it the maximum of the likelihood that we followed? Start once more, from the split
# that the density hardly shows: intercepts $b\pm0.3$, variance lowered by $0.09$.

# %%
rows = []
hidden = split(2, 0.3, ("b",), spread=0.09)
for j, (n, rngs) in enumerate(streams(seeds, sizes[:3], "second start")):
    x, y = draw(overlapping, top2, n, rngs)
    em = fit(x, y, near(hidden, n, rngs), top3, max_iter=50)
    other = refine(x, y, em.experts, top3, tol=1e-6)
    gain = to_host(other.log_likelihood) - surplus["value"][j]
    S_b = to_host(scatter(other.experts.relative_to(), "b", 0.0))
    likelier = np.where(gain > 0, S_b, surplus["S_b"][j])
    means = surplus["S_b"][j].mean(), S_b.mean(), likelier.mean()
    share = [f"{np.sum(d > 0.1)} of {len(gain)}" for d in (gain, -gain)]
    rows.append([str(n), *share, *means])
table(
    rows,
    ["n", "hidden wins", "near wins", "S_b near", "S_b hidden", "S_b likelier"],
    "Two starts of the same fit: how often each ends more than 0.1 higher in "
    "log-likelihood, and the mean scatter from the first, the second, and the "
    "likelier of the two.",
)

# %% [markdown]
# The likelihood has several maxima, and each start misses some of the
# higher ones. The hidden split ends with larger scatter, and in small samples it is often the likelier
# one; there the near-true start, common to all simulations of this kind,
# understates the scatter of the better maximum. In larger ones little is left of that. A
# rate measured from a near-true start is the rate of a nearby local maximum, and small samples
# flatter it.
#
# ### Too few active experts, fitted
#
# Item 4 says that with $\bar K=2$ the same four experts cannot reach the truth, and the table of
# splits agreed: a distance remains as long as the copies share one weight. But an estimator
# is free to leave the neighbourhood of the true measure. We fit the same data with two active
# experts.

# %%
rows = []
for n, rngs in streams(seeds, sizes, "two active"):
    x, y = draw(overlapping, top2, n, rngs)
    em = fit(x, y, near(start, n, rngs), top2, max_iter=50)
    gains.append(float(xp.min(xp.diff(em.history, axis=0))) / n)
    found = refine(x, y, em.experts, top2, tol=1e-6).experts.relative_to()
    mass = xp.sum(xp.exp(found.beta0[:, 1:3]), axis=1) / math.e
    rows.append({"E[h]": mean_hellinger(found, top2), "mass": mass})
    rows[-1]["D2"] = voronoi_loss(found, truth, n_active=2)
sparse = collect(rows)
table(
    [
        ["mean Hellinger distance", *sparse["E[h]"].mean(axis=1)],
        ["mass of the copies, true: 1 (median)", *np.median(sparse["mass"], axis=1)],
        ["Voronoi loss D₂ (median)", *np.median(sparse["D2"], axis=1)],
    ],
    ["with two active of four", *(f"n = {n}" for n in sizes)],
    "One expert too many and only two active: the density converges, the mixing measure does not.",
)

# %%
claims.check(
    "C4.e",
    "k = k* + 1 fitted with only 2 active: E[h] at the largest n stays away from 0",
    measured=sparse["E[h]"][-1].mean(),
    at_least=0.05,
    paper="no convergence",
    seeds=len(seeds),
    not_reproduced="the fit gives each copy the full weight and so leaves the neighbourhood of "
    "the true mixing measure that the theorem is about",
)
claims.check(
    "C4.f",
    "the same fit: E[h] at the largest n over that with 3 active",
    measured=sparse["E[h]"][-1].mean() / surplus["E[h]"][-1].mean(),
    between=(0.5, 2),
    seeds=len(seeds),
    own=True,
)

# %% [markdown]
# The density converges all the same. Maximum likelihood finds the solution with double weight: each
# copy serves one side of $x=0$. What does not converge is the mixing measure, whose mass at expert 2
# settles at twice the true one. So the inequality of item 4 is necessary for measures near the
# truth, as the theorem about the Voronoi loss needs it, and not for learning the density.
#
# ### The published setting with one expert too many
#
# The published over-specified simulation fits $k=3$ experts with two active to the *top-1* truth.
# That model does not contain the truth: where the other expert should speak alone, one of the doubled
# experts is active beside it, and only an infinite gate slope could silence it. We double expert 1,
# or expert 2, and let EM run for 40 iterations on 20 samples of 1000 points.

# %%
rows, n = [], 1000
rngs = [generator(seed) for seed in range(20)]
x, y = draw(published, top1, n, rngs, low=0.0)
reference = log_likelihood(x, y, published, top1)
for j in (1, 2):
    start = published.take(xp.asarray(sorted([0, 1, j - 1])), axis=1)
    em = fit(x, y, near(start, n, rngs), Gate(2, "logit"), max_iter=40)
    gains.append(float(xp.min(xp.diff(em.history, axis=0))) / n)
    deficit = to_host((em.history - reference) / n).mean(axis=1)
    steepest = to_host(xp.max(xp.abs(em.experts.relative_to().beta1), axis=(1, 2)))
    rows.append([f"expert {j}", *(deficit[k] for k in (0, 10, 40)), steepest.max()])
table(
    rows,
    ["doubled", "start", "10 iterations", "40 iterations", "steepest gate slope"],
    "Mean log-likelihood per point, in nats, relative to the truth, and the largest "
    "gate slope of the 20 fits.",
)
claims.report_value(
    "C6",
    "least gain of the log-likelihood per point in any EM step (steps that lower it are halved)",
    measured=min(gains),
    unit="nats",
)

# %% [markdown]
# A model that held the truth would end above it; this one stays below, while in some samples the gate's
# slope runs away to many times its true value. Whatever slopes this setting gives, they are not the rates
# of the theorem, which is why our over-specified experiment uses a truth that the fitted model
# contains.
#
# ## Verdict
#
# The parametric rate for the right number of experts, the parametric rate of the density with one
# expert too many, and the loss of the doubled expert's parameters all show. The cause shows most
# clearly of all, without a single sample: a split of order $\epsilon$ that changes the density by
# $\epsilon^4$. Item 4 holds near the true measure, and there in the form *the right number of active
# experts*, not *enough of them*. As a statement about the fitted density it does not hold here: too
# few active experts did no harm to it.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# - **The slow exponents themselves.** $\bar r(2)=4$ promises at least $n^{-1/8}$ for gate slopes and
#   intercepts and $n^{-1/4}$ for slopes and variances. We show that the doubled expert is slower than
#   its neighbours and that the density hides a split to fourth order, but no exponent. In the worst
#   case, $1.5\,\epsilon^4=n^{-1/2}$, the hidden split at $n=16\,000$ would be 0.27; the scatter that
#   we find is far smaller.
# - **Cells with three experts**, $\bar r(3)=6$, and the logarithms of the theorems, which no sample
#   size of ours resolves.
# - **The inequality of item 4** is checked in two geometries only, one with the surplus expert
#   active everywhere and one not.
# - **The paper's fitted slopes**, which we could not read, and its proofs.
# - **The published over-specified simulation** as evidence for a rate: its model cannot represent its
#   truth.
# - **Global maximisation.** All fits start near the truth, and the table of two starts shows what
#   that costs.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells run 60 log-spaced sizes from 100 to $10^6$ with 40
# replications for the scan, 45 sizes with 20 replications for the overlapping truth, and 40
# replications up to $n=10^6$ with one expert too many. The scan needs a sort and six cumulative sums
# for each size. A Newton step costs about $n(5k)^2$ multiplications per replication in one matrix
# product and holds arrays of replications × $5k$ × $n$ numbers, 6.4 GB each for the largest fit. None
# of this has been run on a GPU yet. Two more decades of $n$ would begin to separate $-1/8$, $-1/4$
# and $-1/2$.
