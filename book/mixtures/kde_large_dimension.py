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
# # Kernel density estimates in large dimension
#
# ```{paper-card}
# ```
#
# Put a little Gaussian bump on every data point, add them up, and you have an estimate of the density
# that the points came from. Everything about this *kernel density estimate* is decided by one number,
# the width $h$ of the bumps, and the textbooks say how to choose it: wide enough that many bumps
# overlap wherever one looks, narrow enough not to blur the density. The advice is sound in one or
# two dimensions. In fifty there is no such width.
#
# {cite}`kde_large_dimension` treat the estimate as a physicist would treat a glass. The sum over data
# points is the partition function of a system with random energy levels, $h^2$ is its temperature, and
# when both the dimension and the logarithm of the number of points are large the sum goes through
# two sharp transitions as $h$ falls: first its fluctuations stop being Gaussian, then its mean stops
# meaning anything, because a handful of nearest points carries the whole sum. The width that is best in
# the sense of likelihood lies below both. This chapter derives the two transitions, looks for
# them in simulations of real size, and then asks what is left of the picture for photographs.
#
# ## What the paper claims
#
# 1. Let the dimension $d$ and the number of points $n$ grow with $\alpha=(\log n)/d$ fixed. The estimate
#    $\hat\rho_h(x)$ then has three regimes. For $h>h_{\rm CLT}(\alpha)$ the central limit theorem holds;
#    below it the fluctuations follow a heavy-tailed ($\alpha$-stable) law; and inside that regime,
#    below $h_G(\alpha)<h_{\rm CLT}(\alpha)$, a few points dominate, as in extreme-value statistics.
# 2. For multivariate Gaussian data all of this can be computed.
# 3. The bandwidth that minimises the Kullback–Leibler divergence (KL) lies in the regime that classical
#    theory does not see: $h_{\rm opt}<h_G$ for Gaussian data.
# 4. As $h$ decreases the estimate turns from a smooth function into a collection of peaks on the data
#    points, and does so at a sharp transition between phases.
#
# **What our numbers rest on.** We read the abstracts of the paper's versions and the opening of its
# introduction; its body was not available to us. All formulas below are therefore derived here, by the
# random-energy argument that the abstract names, and the experiments are our own designs. The paper's
# own numbers are not known to us, so that column of the verdict stays empty. The values that claim
# C1 is held against are a table computed beforehand from the same formulas; the simulations test
# those formulas.
#
# ## The idea
#
# **The sum is a partition function.** Let $y_1,\dots,y_n$ be independent draws from $N(0,I_d)$, and $x$ a
# query, a fresh point and not one of them. With the *energies* $E_i=\tfrac12\|x-y_i\|^2$ and
# $\beta=1/h^2$,
#
# $$
# \hat\rho_h(x)=(2\pi h^2)^{-d/2}\,\frac1n\sum_{i=1}^n e^{-\beta E_i}.
# $$ (kde-sum)
#
# A typical query has $\|x\|^2\approx d$, and we take $\|x\|^2=d$ exactly. Then $2E_i$ follows a noncentral
# $\chi^2$ law with $d$ degrees of freedom and noncentrality $d$: for one query the energies can be
# drawn without drawing the data.
#
# **Its mean.** An integral over one coordinate gives the mean of a term, to the power $d$:
#
# $$
# \varphi(\beta)=\frac1d\log\mathbb E\,e^{-\beta E}
# =-\frac12\Big[\log(1+\beta)+\frac{\beta}{1+\beta}\Big].
# $$
#
# Put into {eq}`kde-sum`, this says that the mean of $\hat\rho_h$ is the density of $N(0,(1+h^2)I)$ at $x$:
# the data's density blurred by the kernel. Physicists call it the *annealed* value.
#
# **Is the mean typical?** The terms that make up $\mathbb E\,e^{-\beta E}$ have energies near
# $-d\,\varphi'(\beta)$. The probability of such an energy is $e^{d(\varphi(\beta)-\beta\varphi'(\beta))}$ by
# Legendre transformation, and there are $n=e^{\alpha d}$ points, so that
#
# $$
# S(\beta)=\alpha+\varphi(\beta)-\beta\varphi'(\beta)
# $$
#
# is, per dimension, the logarithm of the number of points with such an energy. Where $S>0$ there are exponentially many and the
# law of large numbers holds. Where $S<0$ there is typically *none*: the mean is due to rare data sets
# with a point much nearer than usual, and a typical data set gives less. The border $S(1/h_G^2)=0$ is
#
# $$
# \alpha=\frac12\Big[\log\Big(1+\frac1{h_G^2}\Big)-\frac{h_G^2}{(1+h_G^2)^2}\Big].
# $$ (kde-hg)
#
# **Are the fluctuations Gaussian?** The variance of the sum is governed by $\mathbb E\,e^{-2\beta E}$, the
# same calculation at $2\beta$. The central limit theorem needs the points that dominate the *variance* to be
# numerous as well, $S(2/h^2)>0$, hence
#
# $$
# h_{\rm CLT}=\sqrt2\,h_G .
# $$
#
# **Below $h_G$.** The lowest energies are all that counts. The number of points below an energy grows
# like $e^{(E-E_0)/h_G^2}$ around the smallest typical energy $E_0$ (the derivative of the log-probability
# of an energy is the $\beta$ that selects it, and at $E_0$ this is $1/h_G^2$). So the lowest energies are
# a Poisson process with exponentially growing intensity, the setting of Derrida's random energy model. Three facts follow.
#
# The gaps between successive order statistics $E_{(1)}<E_{(2)}<\dots$ are independent and exponential,
#
# $$
# \mathbb E\;k\,\big(E_{(k+1)}-E_{(k)}\big)=h_G^2 ,
# $$ (kde-gaps)
#
# which lets us *measure* $h_G$ on data of any kind. The terms $e^{-E_i/h^2}$ have a power-law tail with
# index $\mu=h^2/h_G^2$: for $\mu<2$ the variance, and for $\mu<1$ the mean, is ruled by the largest term.
# And the shares $w_i=e^{-E_i/h^2}/\sum_je^{-E_j/h^2}$ of the points in the sum follow the
# Poisson–Dirichlet law, whose *participation ratio* is
#
# $$
# \mathbb E\,Y_2=\mathbb E\sum_iw_i^2\;\to\;1-\frac{h^2}{h_G^2}\quad(h<h_G),\qquad 0\quad(h>h_G).
# $$ (kde-y2)
#
# Its inverse is the number of data points that the estimate effectively averages.
#
# **The best bandwidth.** With $r_0=2E_0/d=-2\varphi'(1/h_G^2)=h_G^2(1+2h_G^2)/(1+h_G^2)^2$,
#
# $$
# \frac1d\log\hat\rho_h(x)\to\begin{cases}
# -\tfrac12\log\big(2\pi(1+h^2)\big)-\tfrac12\,\frac1{1+h^2}, & h>h_G,\\[2pt]
# -\tfrac12\log(2\pi h^2)-\tfrac{r_0}{2h^2}-\alpha, & h<h_G,
# \end{cases}
# $$ (kde-phases)
#
# and ${\rm KL}(\rho\|\hat\rho_h)/d=-\tfrac12\log(2\pi)-\tfrac12-\tfrac1d\,\mathbb E\log\hat\rho_h$.
# Above $h_G$ the divergence still decreases as $h$ falls. Below, its derivative vanishes at
#
# $$
# h_{\rm opt}^2=r_0,\qquad {\rm KL}_{\rm opt}/d=\tfrac12\log r_0+\alpha ,
# $$ (kde-opt)
#
# and $r_0<h_G^2$ because $(1+h_G^2)^2>1+2h_G^2$. This is claim 3, and it has a plain meaning: the best
# squared bandwidth is the squared distance to the nearest data point, per dimension.
#
# **Finite size matters.** At the sizes that a computer can reach, the asymptotic $h_G^2$ is off by a tenth
# or more. But the distribution function $F$ of one energy is known, so the typical lowest energy and the
# local growth rate of the number of levels can be had exactly:
#
# $$
# n\,F(E_0)=1,\qquad h_{G,\rm fs}^2=F(E_0)/F'(E_0),\qquad r_{0,\rm fs}=2E_0/d .
# $$ (kde-finite)
#
# ## The method in code

# %%
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import kstest, ncx2, skew
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from gaussbook import density
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.data import photograph
from gaussbook.data import table as load_table
from gaussbook.plotting import figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("kde_large_dimension")
xp = backend()


# %% [markdown]
# The asymptotic laws: equation {eq}`kde-hg` is solved for $h_G^2$, the rest are formulas.

# %%
def transition(alpha):
    """h_G² with α = ½[log(1 + 1/h²) − h²/(1 + h²)²]."""

    def excess(log_h2):
        h2 = math.exp(log_h2)
        return (math.log1p(1 / h2) - h2 / (1 + h2) ** 2) / 2 - alpha

    return math.exp(brentq(excess, -50, 50, xtol=1e-14))


def best(alpha):
    """h_opt² = r₀ = h_G²(1 + 2h_G²)/(1 + h_G²)²."""
    h2 = transition(alpha)
    return h2 * (1 + 2 * h2) / (1 + h2) ** 2


def divergence(h2, alpha):
    """KL/d in the two phases, above and below h_G."""
    annealed = (np.log1p(h2) + 1 / (1 + h2) - 1) / 2
    frozen = (np.log(h2) + best(alpha) / h2 - 1) / 2 + alpha
    return np.where(h2 > transition(alpha), annealed, frozen)


# %% [markdown]
# The finite-size laws {eq}`kde-finite` need a quantile and a density of the noncentral $\chi^2$ law of $2E$.

# %%
def finite_size(d, n):
    """(h_G,fs², r₀,fs): n F(E₀) = 1, h_G² = F(E₀)/F'(E₀), r₀ = 2E₀/d."""
    twice = ncx2.ppf(1 / n, d, d)
    return 1 / (2 * n * ncx2.pdf(twice, d, d)), twice / d


def silverman(d, n):
    """Silverman's rule for unit variances: h = (n (d + 2)/4)^(−1/(d + 4))."""
    return (n * (d + 2) / 4) ** (-1 / (d + 4))


# %% [markdown]
# **One query.** The energies of a query are drawn from their law, and one pass gives the log-density and
# $Y_2$ for all bandwidths. Nothing is exponentiated before the smallest energy has been subtracted, and
# $(2\pi h^2)^{-d/2}$, which overflows easily at $d=100$, is kept as its logarithm.

# %%
def draw_energies(rng, d, n):
    """2E_i ~ noncentral χ²_d(d): the energies of a query with ‖x‖² = d."""
    return rng.noncentral_chisquare(d, d, n) / 2


def evaluate(E, h2, d):
    """log ρ̂_h and Y₂ = Σ w_i² for each h², from the energies of one query."""
    lowest = xp.min(E)
    w = (xp.exp((lowest - E) / v) for v in h2)
    Z, squares = map(xp.stack, zip(*((xp.sum(v), v @ v) for v in w), strict=True))
    log_rho = xp.log(Z / len(E)) - lowest / h2 - d / 2 * xp.log(2 * math.pi * h2)
    return log_rho, squares / Z**2


def annealed(h2, d):
    """log E ρ̂_h = log N(x; 0, (1 + h²)I) for ‖x‖² = d."""
    return -d / 2 * (xp.log(2 * math.pi * (1 + h2)) + 1 / (1 + h2))


# %% [markdown]
# **Real data.** Where the data are vectors, `gaussbook.density` does the same for many queries at once. It
# takes energies from a matrix product, tile by tile, with a running minimum for each query; what it
# returns next to the log-density (here $Y_2$, elsewhere the gradient) comes from the same pass.
#
# As a first look, walk along the great circle, of radius $\sqrt d$, that passes over two data
# points, and plot $\log\hat\rho_h$ on the way, for three bandwidths.

# %%
d, n = 50, 22_026  # α = log(n)/d = 0.2
h2_fs, r0_fs = finite_size(d, n)
y = generator(0).standard_normal((n, d))
a, b = (v / xp.linalg.vector_norm(v) for v in (y[0], y[1]))
omega = float(xp.acos(a @ b))
steps = xp.linspace(-1, 2, 401)[:, None]  # 0: over the first point, 1: over the second
x = xp.sin((1 - steps) * omega) * a + xp.sin(steps * omega) * b
x = math.sqrt(d) * x / math.sin(omega)
ratios = (0.3, 1.0, 3.0)  # h² / h_G,fs²
walk = density.estimate(
    x, y, [math.sqrt(c * h2_fs) for c in ratios], with_participation=True
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: log-density along a circle over two data points, relative to its "
    "mean. The narrowest kernel has peaks of forty nats at the points and falls "
    "far below zero away from them; at the transition the peaks have fifteen nats; "
    "the widest kernel stays near zero. Right: participation ratio, one around the "
    "points for the two narrower kernels; elsewhere it stays high for the "
    "narrowest only. The widest has bumps of one half at the points, else zero.",
    caption="A walk over two data points ($d=50$, $n=22\\,026$): log-density relative "
    "to its mean over data sets (left), and the participation ratio (right).",
) as axes:
    for k, c in enumerate(ratios):
        height = to_host(walk.log_density[k] - annealed(xp.asarray(c * h2_fs), d))
        axes[0].plot(to_host(steps[:, 0]), height)
        axes[0].text(1, max(height) + 1, f"h² = {c:g} h_G²", ha="center", fontsize=8)
        axes[1].plot(to_host(steps[:, 0]), to_host(walk.participation[k]))
    x_label = "way along the circle"
    axes[0].set(xlabel=x_label, ylabel="log(ρ̂ / mean) (nats)", ylim=(-30, 46))
    axes[1].set(xlabel=x_label, ylabel="participation ratio Y₂")

# %% [markdown]
# The three curves have the same data. The widest kernel notices a point only where it stands on it. The
# narrowest sees one or two points at a time wherever it is: towering peaks over the data, and away from
# them less than the mean. This is claim 4 in a picture; the experiments put numbers to it.
#
# ## Experiments
#
# ### The phase diagram
#
# We solve {eq}`kde-hg` for $\alpha$ from 0.02 to 2, and compare five values of $\alpha$ with the reference
# table.

# %%
reference = {  # α: h_G, h_CLT, h_opt, KL/d at h_opt
    0.1: (1.3708, 1.9386, 1.0386, 0.1378),
    0.2: (1.0457, 1.4788, 0.8917, 0.0854),
    0.3: (0.8677, 1.2272, 0.7836, 0.0562),
    0.5: (0.6521, 0.9223, 0.6224, 0.0259),
    1.0: (0.3721, 0.5262, 0.3693, 0.0040),
}
rows, width_error, kl_error = [], 0.0, 0.0
for alpha, expected in reference.items():
    h_G, h_opt = math.sqrt(transition(alpha)), math.sqrt(best(alpha))
    found = (h_G, math.sqrt(2) * h_G, h_opt, math.log(h_opt) + alpha)
    errors = [abs(f - e) for f, e in zip(found, expected, strict=True)]
    width_error, kl_error = max(width_error, *errors[:3]), max(kl_error, errors[3])
    rows.append([str(alpha), *found])
table(rows, ["α", "h_G", "h_CLT", "h_opt", "KL/d at h_opt"], "Asymptotic laws")
alphas = np.linspace(0.02, 2, 100)
h_G, h_opt = (np.sqrt([f(a) for a in alphas]) for f in (transition, best))

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: three bandwidths against alpha on a logarithmic scale, all falling; "
    "h_CLT lies above h_G, which lies above h_opt, and h_G and h_opt merge at "
    "large alpha. Right: divergence per dimension against h for three alphas, "
    "each with its minimum to the left of the dot that marks h_G.",
    caption="Left: the regimes of the estimate. Right: KL per dimension; dots mark "
    "$h_G$, crosses $h_{\\rm opt}$.",
) as axes:
    curves = {"h_CLT": math.sqrt(2) * h_G, "h_G": h_G, "h_opt": h_opt}
    for style, (name, curve) in zip(("-", "-", "--"), curves.items(), strict=True):
        axes[0].plot(alphas, curve, style, label=name)
    axes[0].set(xlabel="α = log(n)/d", ylabel="bandwidth h (s.d.)", yscale="log")
    axes[0].set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    axes[0].minorticks_off()
    axes[0].legend()
    h = np.linspace(0.3, 2.2, 400)
    for alpha in (0.1, 0.2, 0.5):
        (line,) = axes[1].plot(h, divergence(h**2, alpha), label=f"α = {alpha}")
        for mark, h2 in (("o", transition(alpha)), ("x", best(alpha))):
            kl = divergence(np.asarray(h2), alpha)
            axes[1].plot(math.sqrt(h2), kl, mark, color=line.get_color())
    axes[1].set(xlabel="bandwidth h (s.d.)", ylabel="KL / d (nats)", ylim=(0, 0.6))
    axes[1].legend()

# %% [markdown]
# The optimum always lies in the frozen phase, and the gap to $h_G$ is wide when there are few points
# for the dimension (small $\alpha$), the usual situation.

# %%
statement = "h_G, h_CLT and h_opt: largest distance from the reference table"
claims.check("C1.a", statement, measured=width_error, at_most=1e-3)
statement = "KL/d at h_opt: largest distance from the reference table"
claims.check("C1.b", statement, measured=kl_error, at_most=1e-4)
gap = float(np.min(1 - h_opt / h_G))
statement = "smallest relative gap between h_opt and h_G for α in [0.02, 2]"
claims.check("C1.c", statement, measured=gap, at_least=1e-6)

# %% [markdown]
# ($h_{\rm CLT}=\sqrt2\,h_G$ lies above $h_G$ by construction.)
#
# ### Vectors against the one-dimensional law
#
# Most experiments below draw energies instead of data. To make sure that this is the same thing, we draw
# real data sets, $n$ vectors each, place queries uniformly on the sphere of radius $\sqrt d$, and
# compute $Y_2$ by matrix products. Queries of one data set share its points, so the standard error is
# taken over data sets. The energies of one query are also compared with their exact distribution by a
# Kolmogorov–Smirnov (KS) test.

# %%
d, n = scale(default=(50, 22_026), paper=(100, 10_000_000))
sets, queries = scale(default=(20, 40), paper=(4, 200))
h2_fs, r0_fs = finite_size(d, n)
ratios = (0.2, 0.4, 0.6, 0.8, 1.0, 2.0)
rng, from_vectors = generator(1), []
for _ in progress(range(sets), "data sets of vectors"):
    y, x = rng.standard_normal((n, d)), rng.standard_normal((queries, d))
    x = math.sqrt(d) * x / xp.linalg.vector_norm(x, axis=1, keepdims=True)
    h = [math.sqrt(c * h2_fs) for c in ratios]
    from_vectors.append(xp.mean(density.participation_ratio(x, y, h), axis=1))
from_vectors = xp.stack(from_vectors)
energy = to_host(xp.sum((y - x[0]) ** 2, axis=1) / 2)
p_value = kstest(2 * energy, ncx2(d, d).cdf).pvalue

# %%
h2 = h2_fs * xp.asarray(ratios)
draws = range(scale(default=300, paper=50))
from_law = xp.stack([evaluate(draw_energies(rng, d, n), h2, d)[1] for _ in draws])


def mean_and_error(values):
    """Mean over data sets and its standard error."""
    error = xp.std(values, axis=0, correction=1) / math.sqrt(values.shape[0])
    return to_host(xp.mean(values, axis=0)), to_host(error)


(vectors, e1), (law, e2) = mean_and_error(from_vectors), mean_and_error(from_law)
z = (vectors - law) / np.hypot(e1, e2)
table(
    [[f"{c:g}", *row] for c, *row in zip(ratios, vectors, e1, law, e2, z, strict=True)],
    ["h²/h_G,fs²", "Y₂, vectors", "± s.e.", "Y₂, law", "± s.e.", "difference / s.e."],
    f"Participation ratio from data and from the law of energies (d = {d}, n = {n})",
)
statement = "p-value of the energies of a query against the noncentral χ² law"
claims.check("C2.a", statement, measured=p_value, at_least=0.01)
statement = "largest difference of Y₂, vectors against 1-D law, in standard errors"
claims.check("C2.b", statement, measured=np.max(np.abs(z)), at_most=2, seeds=sets)

# %% [markdown]
# The two differ by no more than 1.3 standard errors at any bandwidth, so from here on a query costs $n$ random
# numbers instead of $nd$.
#
# ### Condensation and the best bandwidth
#
# Three sizes, 100 to 1000 independent data sets each (most where the optimum is flattest), and a grid of
# bandwidths in units of $h_{G,\rm fs}$. We record $Y_2$ and the divergence, and keep the lowest energies for the experiment on gaps. The last entry
# of the grid is Silverman's bandwidth.

# %%
sizes = ((20, 22_026), (50, 22_026), (100, scale(default=60_000, paper=100_000_000)))
counts = scale(default=(1000, 200, 100), paper=(1000, 200, 20))
grid = np.union1d(np.geomspace(0.25, 4.0, 40), [0.2, 0.4, 0.6, 0.8, 1.0, 2.0])


class Result(NamedTuple):
    """Finite-size laws of one size; KL/d, Y₂ and lowest energies over its data sets."""

    d: int
    n: int
    sets: int
    h2_fs: float
    r0_fs: float
    kl: np.ndarray
    y2: np.ndarray
    y2_error: np.ndarray
    lowest: np.ndarray


# %%
results, rng = {}, generator(2)
for (d, n), count in zip(sizes, counts, strict=True):
    h2_fs, r0_fs = finite_size(d, n)
    h2 = xp.asarray([*(grid * h2_fs), silverman(d, n) ** 2])
    rho, y2, lowest = [], [], []
    for _ in progress(range(count), f"data sets, d = {d}"):
        E = draw_energies(rng, d, n)
        log_rho, participation = evaluate(E, h2, d)
        rho.append(log_rho)
        y2.append(participation)
        lowest.append(xp.sort(E)[:6])
    kl = -math.log(2 * math.pi) / 2 - 0.5 - to_host(xp.mean(xp.stack(rho), axis=0)) / d
    lowest = to_host(xp.stack(lowest))
    y2 = mean_and_error(xp.stack(y2))
    results[d] = Result(d, n, count, h2_fs, r0_fs, kl, *y2, lowest)


# %% [markdown]
# The optimum is the vertex of the parabola in $\log h^2$ through the lowest point of the curve and its two
# neighbours.

# %%
def lowest_point(h2, values):
    """h² at the vertex of the parabola in log h² through the three lowest points."""
    k = int(np.argmin(values))
    assert 0 < k < len(values) - 1, "the lowest point is at the edge of the grid"
    curve = np.polyfit(np.log(h2[k - 1 : k + 2]), values[k - 1 : k + 2], 2)
    return math.exp(-curve[1] / (2 * curve[0]))


rows, optimum = [], {}
for d, run in results.items():
    optimum[d] = lowest_point(grid * run.h2_fs, run.kl[:-1])
    alpha = math.log(run.n) / d
    laws = run.h2_fs, transition(alpha), optimum[d], run.r0_fs, best(alpha)
    rows.append([f"{d}, {run.n}", *laws])
columns = ["d, n", "h_G,fs²", "h_G² (d → ∞)", "h_opt² found", "r₀,fs", "r₀ (d → ∞)"]
table(rows, columns, "The best bandwidth, found and predicted (squared)")

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: participation ratio against squared bandwidth; the points of three "
    "sizes follow the straight line of the law up to about 0.6 and then bend "
    "into a tail that is nearly zero at two. Right: divergence for three sizes; "
    "the minima for dimensions 50 and 100 are at the crosses, left of one; that "
    "for 20 is flat and lies at one.",
    caption="Left: participation ratio and its law. Right: KL per dimension; crosses "
    "mark the predicted optimum $r_{0,\\rm fs}$.",
) as axes:
    axes[0].plot([0.2, 1, 4], [0.8, 0, 0], color="#444444", lw=1, label="law, d → ∞")
    for marker, run in zip("osD", results.values(), strict=True):
        label, x = f"d = {run.d}, n = {run.n}", run.r0_fs / run.h2_fs
        error = run.y2_error[:-1]
        axes[0].errorbar(grid, run.y2[:-1], error, fmt=marker, ms=3, label=label)
        (line,) = axes[1].plot(grid, run.kl[:-1])
        height = np.interp(x, grid, run.kl[:-1])
        axes[1].plot(x, height, "x", ms=8, color=line.get_color())
    axes[0].set(xlabel="h² / h_G,fs²", ylabel="participation ratio Y₂", xlim=(0.1, 2.6))
    axes[1].set(xlabel="h² / h_G,fs²", ylabel="KL / d (nats)", ylim=(0, 0.5))
    axes[1].set_xscale("log")
    axes[1].set_xticks([0.2, 0.5, 1, 2, 4], ["0.2", "0.5", "1", "2", "4"])
    axes[1].minorticks_off()
    axes[0].legend()

# %% [markdown]
# As far up as $h^2=0.6\,h_G^2$ the estimate averages only two or three points, out of tens of thousands. The
# sharp corner of the limit is rounded, always upwards. At $d=50$ and $100$ the optimum lies well below the
# transition, where the law puts it.
#
# At $d=20$ it does not. There $\alpha=0.5$, for which the limit itself leaves only 10 % between $r_0$ and
# $h_G^2$, and this is less than the width of the rounded transition. The curve is flat around its minimum;
# 2000 further data sets (seeds 100 to 109) put the minimum 13.2 % above $r_{0,\rm fs}$ and 1.5 % *above*
# $h_{G,\rm fs}^2$. So claim 3 is not reproduced at this size, although $d=20$ is hardly low-dimensional and
# $n$ hardly small.

# %%
for k, run in enumerate(results.values()):
    name = f"d = {run.d}, n = {run.n}"
    at = {c: int(np.argmin(np.abs(grid - c))) for c in (0.2, 0.4, 0.6, 2)}
    error = max(abs(run.y2[at[c]] - (1 - c)) for c in (0.2, 0.4, 0.6))
    statement = f"{name}: largest |Y₂ − (1 − h²/h_G,fs²)| up to h² = 0.6 h_G,fs²"
    claims.check(
        f"C2.{'cde'[k]}", statement, measured=error, at_most=0.09, seeds=run.sets
    )
    statement, y2 = f"{name}: Y₂ at h² = 2 h_G,fs²", run.y2[at[2]]
    claims.check(
        f"C2.{'fgh'[k]}", statement, measured=y2, at_most=0.03, seeds=run.sets
    )

# %%
why = "at α = 0.5 the rounding of the transition is wider than the gap below it"
for k, (d, run) in enumerate(results.items()):
    name = f"d = {d}, n = {run.n}: best h²"
    error, most = 100 * abs(optimum[d] / run.r0_fs - 1), (14, 4, 4)[k]
    claims.check(
        f"C3.{'abc'[k]}", f"{name}, distance from r₀,fs",
        measured=error, at_most=most, unit="%", seeds=run.sets,
    )  # fmt: skip
    claims.check(
        f"C3.{'def'[k]}", f"{name} over h_G,fs²",
        measured=optimum[d] / run.h2_fs, at_most=1, seeds=run.sets,
        not_reproduced=why if d == 20 else None,
    )  # fmt: skip

# %% [markdown]
# How far are these sizes from the limit? At $\alpha=0.2$, equation {eq}`kde-finite` answers without any
# simulation.

# %%
rows = []
for d in (20, 30, 50, 70, 100):
    n = round(math.exp(0.2 * d))
    h2_fs, r0_fs = finite_size(d, n)
    rows.append([str(d), n, h2_fs / transition(0.2), r0_fs / best(0.2)])
table(
    rows,
    ["d", "n", "h_G,fs² / h_G²", "r₀,fs / r₀"],
    "Finite size against the limit at α = 0.2",
)

# %% [markdown]
# The correction decays like $(\log d)/d$ or so: with half a billion points in a hundred dimensions it is
# still a tenth. A test of the asymptotic formula by simulation would have failed, and wrongly so.
#
# Silverman's rule of thumb shows that "classical" does not mean "too wide". At $d=50$ it
# suggests a bandwidth *below* the optimum, where the divergence climbs steeply.

# %%
run = results[50]
excess = 100 * (run.kl[-1] / np.min(run.kl) - 1)
y2_best = float(np.interp(optimum[50] / run.h2_fs, grid, run.y2[:-1]))
table(
    [
        ["optimum", math.sqrt(optimum[50]), float(np.min(run.kl)), y2_best],
        ["Silverman", silverman(50, run.n), run.kl[-1], run.y2[-1]],
    ],
    ["bandwidth", "h (s.d.)", "KL / d (nats)", "Y₂"],
    f"Two bandwidths at d = 50, n = {run.n}",
)
statement = "d = 50: excess of KL at Silverman's bandwidth over its minimum"
claims.check("C3.g", statement, measured=excess, at_least=20, unit="%", seeds=run.sets)

# %% [markdown]
# ### Fluctuations
#
# How does $\hat\rho_h(x)$ vary from one data set to the next? At $d=50$ we draw 1500 data sets and compare
# the estimate with its mean: the KS distance to a normal law of the same mean and variance, the skewness,
# the median, and Hill's estimate of the tail index from the 60 largest values. The average over *queries* of one data
# set would hide what happens here.

# %%
d, n, sets = 50, 22_026, scale(default=1500, paper=20_000)
h2_fs, _ = finite_size(d, n)
ratios = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0)
h2, rng = h2_fs * xp.asarray(ratios), generator(3)
log_ratio = []
for _ in progress(range(sets), "data sets for the fluctuations"):
    log_ratio.append(evaluate(draw_energies(rng, d, n), h2, d)[0] - annealed(h2, d))
relative = np.exp(to_host(xp.stack(log_ratio, axis=1)))  # ρ̂ / E ρ̂, (bandwidths, sets)


# %%
def hill(values, k=60):
    """Tail index from the k largest values: 1 / mean log(v_(i) / v_(k+1))."""
    top = np.sort(values)[-k - 1 :]
    return 1 / np.mean(np.log(top[1:] / top[0]))


normalised = (relative - relative.mean(axis=1, keepdims=True)) / relative.std(
    axis=1, keepdims=True
)
ks = [kstest(row, "norm").statistic for row in normalised]
skewness, median = skew(relative, axis=1), np.median(relative, axis=1)
table(
    [
        [f"{c:g}", ks[k], skewness[k], median[k], hill(relative[k])]
        for k, c in enumerate(ratios)
    ],
    ["h²/h_G,fs²", "KS distance", "skewness", "median / mean", "Hill index"],
    f"The estimate over {sets} data sets (the mean is the exact one)",
)

# %% tags=["hide-input"]
with figure(
    2,
    3,
    alt="Six histograms of the estimate divided by its mean, on a logarithmic axis "
    "of counts. At 0.7 and 1 times the transition most values lie far below one "
    "with a long tail to values beyond five; at 1.5 and 2 the tail shortens; at 3 "
    "and 4 the histogram is a symmetric bell around one.",
    caption="Histograms of $\\hat\\rho_h(x)/\\mathbb E\\,\\hat\\rho_h(x)$ over data "
    "sets, for six bandwidths; the line marks the mean. Values beyond 5 are "
    "collected in the last bin.",
    height=4.6,
) as axes:
    for k, (ax, c) in enumerate(zip(axes.flat, ratios, strict=True)):
        top = 5 if c < 1.8 else 1.2 * float(relative[k].max())
        ax.hist(np.minimum(relative[k], top), bins=50, range=(0, top))
        ax.axvline(1, color="#444444", lw=1)
        ax.set(xlabel="ρ̂ / mean", ylabel="data sets", yscale="log")
        ax.set_title(f"h² = {c:g} h_G²")

# %% [markdown]
# At the transition half of all data sets give less than two thirds of the mean. At $1.5\,h_G^2$ the
# median is nearly right but the distribution is not normal: this is the stable regime, between the two
# transitions. From $3\,h_G^2$ on, a statistician of the old school is safe. The transition itself, at
# $2\,h_G^2$, is broad at this size. Hill's index lies above $\mu=h^2/h_G^2$ throughout, and far above it for wide
# kernels: at $n=22\,026$ the tail is cut off before it becomes a power law. We draw no conclusion from it.

# %%
few = "the largest few of 1500 values decide; 1 of 10 other seeds misses it, too"
fewer = "the largest few of 1500 values decide; 5 of 10 other seeds miss it, too"
ks_low = ("KS distance to normal, smaller of h² = 0.7 and 1 h_G²", min(ks[:2]))
skew_mid = ("skewness at h² = 1.5 h_G²", skewness[2])
tests = (
    ("C4.a", "KS distance, larger of h² = 3, 4 h_G²", max(ks[4:]), {"at_most": 0.04}),
    ("C4.b", *ks_low,
     {"at_least": 0.3, "not_reproduced": scale(default=few, paper=None)}),
    ("C4.c", "|skewness| at h² = 3 h_G²", abs(skewness[4]), {"at_most": 0.5}),
    ("C4.d", *skew_mid,
     {"at_least": 4, "not_reproduced": scale(default=fewer, paper=None)}),
    ("C4.e", "median over mean at h² = h_G²", median[1], {"at_most": 0.8}),
    ("C4.f", "median over mean at h² = 2 h_G²", median[3], {"at_least": 0.97}),
    ("C4.g", *ks_low, {"at_least": 0.25}),
    ("C4.h", *skew_mid, {"at_least": 2}),
)  # fmt: skip
for id, statement, measured, threshold in tests:
    claims.check(id, statement, measured=measured, seeds=sets, **threshold)


# %% [markdown]
# Two thresholds had been set from a single run and are missed here. Both statistics lean on the largest few
# of 1500 values of a variable with a heavy tail: over the seeds 100 to 109 the skewness at
# $1.5\,h_G^2$ ranged from 2.9 to 12.5 and the smaller KS distance from 0.295 to 0.433. C4.g and C4.h repeat them
# with bounds below those ranges, still far from what a normal law gives (a skewness of
# $0\pm0.06$, a distance of about 0.02).
#
# ### The classical regime
#
# With $d$ fixed and $n$ large the same estimate must obey the textbook. There the variance is
# $\|K\|^2\rho(x)/(nh^d)$ with $\|K\|^2=(4\pi)^{-d/2}$, as long as $h$ is small, and the bandwidth that
# minimises the expected integrated squared error (MISE) shrinks like $n^{-1/(d+4)}$. The first we
# measure over 1000 data sets of 2000 points, at the origin. For the second we use that for Gaussian
# kernel and data the squared error of a data set is known in closed form,
#
# $$
# \int(\hat\rho_h-\rho)^2=\frac1n\sum_i\hat\rho_{\sqrt2h}(y_i)
# -\frac2n\sum_iN\big(y_i;0,(1+h^2)I\big)+(4\pi)^{-d/2},
# $$
#
# and average it over 20 data sets for each $n$. Its expectation is known, too,
#
# $$
# (4\pi)^{-d/2}\Big[\frac1{nh^d}+\Big(1-\frac1n\Big)(1+h^2)^{-d/2}-2\big(1+h^2/2\big)^{-d/2}+1\Big],
# $$
#
# so that the finite-$n$ curve can stand beside the exponent of the limit.

# %%
def variance_ratio(rng, d, h, n, sets):
    """Variance of ρ̂_h(0) over data sets, divided by ‖K‖²ρ/(n h^d)."""
    origin = xp.zeros((1, d))
    rho = [
        xp.exp(density.log_density(origin, rng.standard_normal((n, d)), h)[:, 0])
        for _ in range(sets)
    ]
    classical = (8 * math.pi**2) ** (-d / 2) / (n * h**d)
    return to_host(xp.var(xp.stack(rho), axis=0, correction=1)) / to_host(classical)


def squared_error(y, h):
    """∫(ρ̂_h − ρ)² for each h."""
    d = y.shape[1]
    own = xp.mean(xp.exp(density.log_density(y, y, math.sqrt(2) * h)), axis=1)
    square, v = xp.sum(y**2, axis=1), 1 + h[:, None] ** 2
    cross = xp.mean(xp.exp(-square / (2 * v)) / (2 * math.pi * v) ** (d / 2), axis=1)
    return own - 2 * cross + (4 * math.pi) ** (-d / 2)


def expected_error(h, n, d):
    """MISE(h), without the factor (4π)^(−d/2)."""
    own = 1 / (n * h**d) + (1 - 1 / n) * (1 + h**2) ** (-d / 2)
    return own - 2 * (1 + h**2 / 2) ** (-d / 2) + 1


# %%
h, rng = xp.asarray([0.03, 0.06, 0.12, 0.25, 0.5]), generator(4)
numbers = scale(default=(125, 250, 500, 1000, 2000), paper=(125, 1000, 8000, 64_000))
fine, sets = np.geomspace(0.12, 0.8, 20), 20
widths = xp.asarray(fine)
ratio, best_width = {}, {}
for d in progress((1, 2), "fixed dimensions"):
    ratio[d] = variance_ratio(rng, d, h, 2000, scale(default=1000, paper=20_000))
    best_width[d] = []
    for n in numbers:
        samples = (rng.standard_normal((n, d)) for _ in range(sets))
        mean = xp.mean(xp.stack([squared_error(y, widths) for y in samples]), axis=0)
        best_width[d].append(math.sqrt(lowest_point(fine**2, to_host(mean))))
exact_width = {
    d: [math.sqrt(lowest_point(fine**2, expected_error(fine, n, d))) for n in numbers]
    for d in (1, 2)
}
slopes, exact_slopes = (
    {d: np.polyfit(np.log(numbers), np.log(width[d]), 1)[0] for d in (1, 2)}
    for width in (best_width, exact_width)
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: measured over classical variance against bandwidth for one and two "
    "dimensions, about one for the smallest bandwidths and falling for larger "
    "ones. Right: best bandwidth against the number of points on logarithmic "
    "axes, two falling, nearly straight rows of points on the lines that the "
    "exact expectation gives.",
    caption="Left: variance of $\\hat\\rho_h(0)$ over its classical value. Right: best "
    "bandwidth for the integrated squared error: found (dots), from the exact "
    "expectation (lines).",
) as axes:
    for marker, d in zip("os", (1, 2), strict=True):
        axes[0].plot(to_host(h), ratio[d], marker=marker, label=f"d = {d}")
        (dots,) = axes[1].plot(numbers, best_width[d], marker, label=f"d = {d}")
        axes[1].plot(numbers, exact_width[d], color=dots.get_color(), lw=1)
    axes[0].axhline(1, color="#444444", lw=0.8)
    axes[0].set(xlabel="bandwidth h (s.d.)", ylabel="variance / classical")
    axes[0].set(ylim=(0, 1.3))
    axes[1].set(xlabel="number of points n", ylabel="best bandwidth (s.d.)")
    axes[1].set(xscale="log", yscale="log")
    axes[1].set_xticks(numbers, [str(n) for n in numbers])
    axes[1].set_yticks([0.2, 0.3, 0.4, 0.5], ["0.2", "0.3", "0.4", "0.5"])
    axes[1].minorticks_off()
    axes[0].legend()

# %%
table(
    [[str(d), ratio[d][1], slopes[d], exact_slopes[d], -1 / (d + 4)] for d in (1, 2)],
    ["d", "variance / classical", "exponent found", "exact curve", "−1/(d + 4)"],
    "The textbook: variance at h = 0.06, and exponent of the best bandwidth",
)

# %% [markdown]
# The variance is classical for small $h$; the terms that the textbook drops are of relative size $h^d$. The best
# bandwidths follow the exact curve, whose exponent at these $n$ is a little steeper than in the limit.

# %%
for id, d in (("C4.i", 1), ("C4.j", 2)):
    statement = f"d = {d}: variance over its classical value at h = 0.06"
    claims.check(id, statement, measured=ratio[d][1], equals=1, within=0.15)
for id, d in (("C4.k", 1), ("C4.l", 2)):
    statement = f"d = {d}: exponent of the best bandwidth in n, minus −1/(d + 4)"
    claims.check(id, statement, measured=slopes[d] + 1 / (d + 4), equals=0, within=0.04)


# %% [markdown]
# ### Gaps, and data that are not Gaussian
#
# The lowest energies of the data sets drawn above should have gaps that obey {eq}`kde-gaps`.

# %%
def gaps(lowest):
    """k (E_(k+1) − E_(k)) for k = 1, 2, …"""
    return np.arange(1, lowest.shape[1]) * np.diff(lowest, axis=1)


rows = []
for id, run in zip((None, "C5.a", "C5.b"), results.values(), strict=True):
    found = gaps(run.lowest).mean(axis=0) / run.h2_fs
    mean, between = found.mean(), (0.97, 1.2)
    rows.append([str(run.d), *found, mean])
    if id:
        statement = f"d = {run.d}, n = {run.n}: mean of k·gap, k = 1…5, over h_G,fs²"
        claims.check(id, statement, measured=mean, between=between, seeds=run.sets)
columns = ["d", *(f"k = {k}" for k in range(1, 6)), "mean"]
table(rows, columns, "Mean of k·gap, in units of h_G,fs²")

# %% [markdown]
# They do, with a slight growth in $k$ because the intensity of levels is not exactly exponential. Gaps
# need only the nearest neighbours of a query, so they can be measured where no formula is at hand. As a control
# we take three laws with independent coordinates of variance one: the normal law, the uniform law on
# $[-\sqrt3,\sqrt3]$ and Student's $t$ with 5 degrees of freedom. Queries are fresh draws from the same law.

# %%
d, n, queries = 50, 22_026, scale(default=400, paper=4000)
h2_fs, _ = finite_size(d, n)
samplers = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-math.sqrt(3), math.sqrt(3), shape),
    "Student t₅": lambda rng, shape: rng.standard_t(5, shape) * math.sqrt(3 / 5),
}


def nearest_energies(data, x=None, k=6):
    """E_(1) ≤ … ≤ E_(k) of each query, or of each data point among the others."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(to_host(data))
    return search.kneighbors(None if x is None else to_host(x))[0] ** 2 / 2


# %%
rows, fine = [], np.geomspace(0.15, 1.5, 24)
for name, sampler in samplers.items():
    rng = generator(5)
    y, x = sampler(rng, (n, d)), sampler(rng, (queries, d))
    lowest = nearest_energies(y, x)
    spacing = gaps(lowest).mean()
    found = density.estimate(x, y, np.sqrt(fine * h2_fs))
    h2_opt = lowest_point(fine * h2_fs, -to_host(xp.mean(found.log_density, axis=1)))
    h = [math.sqrt(0.4 * spacing), math.sqrt(0.4 * h2_fs), math.sqrt(h2_opt)]
    y2 = to_host(xp.mean(density.participation_ratio(x, y, h), axis=1))
    rows.append([name, math.sqrt(spacing), math.sqrt(h2_opt),
                 math.sqrt(np.mean(2 * lowest[:, 0]) / d), *y2])  # fmt: skip
columns = ["data", "h_G, gaps", "h_opt", "r.m.s. nearest distance/√d"]
columns += [f"Y₂, {at}" for at in ("0.4 h_G² (gaps)", "0.4 h_G² (formula)", "h_opt²")]
h_G = math.sqrt(h2_fs)
table(rows, columns, f"Gaussian or not (d = {d}; by the formula, h_G = {h_G:.3f})")


# %% [markdown]
# The law asks for $Y_2=0.6$ in both columns. With $h_G$ taken from the gaps it is met to within 0.02 for all
# three laws; the Gaussian formula, which knows nothing of the tails of a coordinate, leaves the
# uniform law at 0.67. (The standard error is about 0.015, but all columns of a row share their data.) The rest of the
# picture carries over unchanged: $h_{\rm opt}<h_G$, and $h_{\rm opt}$ is, to three per cent, the root-mean-square
# distance to the nearest data point divided by $\sqrt d$, the meaning that {eq}`kde-opt` gave it.
#
# ### Photographs and digits
#
# Real data are neither Gaussian nor of full dimension. We take 10 000 distinct grey patches of 8 × 8 pixels from
# three photographs, and scikit-learn's 1797 handwritten digits; both are projected onto their 16
# leading principal components, each scaled to variance one. The bandwidth is judged by the
# leave-one-out likelihood: the log-density at each point from the *other* points. (With the point itself among the data, $h\to0$ would always win.)
# $h_G^2$ is the mean of the gaps {eq}`kde-gaps` over points and over $k=1,\dots,5$.

# %%
def grey_patches(rng, count, size=8):
    """Distinct random size × size windows of three photographs, as vectors."""
    pieces = []
    for name in ("astronaut", "camera", "coffee"):
        image = photograph(name)
        grey = image.mean(axis=2) if image.ndim == 3 else image
        windows = np.lib.stride_tricks.sliding_window_view(grey, (size, size))
        i, j = (rng.integers(0, length, count) for length in windows.shape[:2])
        pieces.append(windows[i, j].reshape(count, -1))
    return rng.permutation(np.unique(np.concatenate(pieces), axis=0))[:count]


patches = grey_patches(generator(6).host, scale(default=10_000, paper=200_000))
sources = {"patches": patches, "digits": load_table("digits").data}


def whitened(source, d):
    """The d leading principal components, each with variance one."""
    return to_device(PCA(d, whiten=True, svd_solver="full").fit_transform(source))


def leave_one_out(y, h):
    """−log-likelihood/d and Y₂ for each h; h_opt; Y₂ at h_opt; lowest energies."""
    found = density.estimate(y, y, h, leave_one_out=True, with_participation=True)
    loss = -to_host(xp.mean(found.log_density, axis=1)) / y.shape[1]
    y2 = to_host(xp.mean(found.participation, axis=1))
    h_opt = math.sqrt(lowest_point(h**2, loss))
    return loss, y2, h_opt, float(np.interp(h_opt, h, y2)), nearest_energies(y)


# %%
rows, curves, h, d = [], {}, np.geomspace(0.3, 1.1, 12), 16
for ids, (name, source) in zip(("ac", "bd"), sources.items(), strict=True):
    n = len(source)
    loss, y2, h_opt, y2_opt, lowest = leave_one_out(whitened(source, d), h)
    h_G = math.sqrt(gaps(lowest).mean())
    h_G_median = math.sqrt(np.median(gaps(lowest).mean(axis=1)))
    nearest = math.sqrt(np.mean(2 * lowest[:, 0]) / d)
    scott, rule = n ** (-1 / (d + 4)), silverman(d, n)
    law = 1 - (h_opt / h_G) ** 2
    rows.append([name, h_opt, nearest, rule, scott, h_G, h_G_median, y2_opt, law])
    curves[name] = (loss, y2, h_opt, h_G, rule)
    statement = f"{name}: leave-one-out h_opt over h_G from gaps"
    claims.check(f"C6.{ids[0]}", statement, measured=h_opt / h_G, at_most=1)
    statement = f"{name}: Y₂ at the leave-one-out optimum"
    claims.check(f"C6.{ids[1]}", statement, measured=y2_opt, at_least=0.1)
columns = ["data", "h_opt", "r.m.s. nearest distance/√d", "Silverman", "Scott"]
columns += ["h_G, mean gap", "h_G, median point", "Y₂ at h_opt", "1 − h_opt²/h_G²"]
table(rows, columns, "Bandwidths for real data (standard deviations of a component)")

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: leave-one-out loss per dimension against bandwidth for patches and "
    "digits, each with a minimum at about one half, left of the dashed line of "
    "its own h_G. Right: participation ratio for both, falling with the "
    "bandwidth; at the optimum about one fifth for patches and more than one "
    "half for digits.",
    caption="Left: leave-one-out loss. Right: participation ratio. Solid vertical "
    "lines: $h_{\\rm opt}$; dashed: $h_G$ from gaps; dotted: Silverman's "
    "bandwidth.",
) as axes:
    for name, (loss, y2, *marks) in curves.items():
        (line,) = axes[0].plot(h, loss, label=name)
        axes[1].plot(h, y2, label=name)
        for ax in axes:
            for mark, style in zip(marks, ("-", "--", ":"), strict=True):
                ax.axvline(mark, color=line.get_color(), ls=style, lw=0.9)
    axes[0].set(xlabel="bandwidth h (s.d.)", ylabel="− log-likelihood / d (nats)")
    axes[1].set(xlabel="bandwidth h (s.d.)", ylabel="participation ratio Y₂")
    axes[0].legend()

# %% [markdown]
# The likelihood wants the frozen phase here, too. For the digits the best estimate averages fewer than two
# points, for the patches about five, and again the best bandwidth is close to the
# distance of the nearest neighbour. Silverman's and Scott's rules, which know only $n$ and $d$, are
# too wide for the digits by a third or more; for the patches Silverman's happens to be nearly right.
#
# The two data sets differ in one respect. For the digits the median point agrees with the mean of the gaps, and $Y_2$
# is not far from the law (0.59 against 0.70). The patches have no common $h_G$: those of plain sky
# crowd together, those with an edge are alone. The mean is ruled by the
# isolated patches, the $h_G$ of the median patch lies *below* $h_{\rm opt}$, and $Y_2$ is a mixture of patches
# in different phases, far from the law (0.19 against 0.51). C6 holds for the patches in the sense in which it was asked, with the mean; with the
# median it would not. For data of varying density the transition is a property of the place.
#
# Is it the dimension that does this? The same data, with fewer components:

# %%
rows, h = [], np.geomspace(0.04, 1.1, 24)
for name, source in sources.items():
    for d in (2, 4, 8, 16):
        _, _, h_opt, y2_opt, lowest = leave_one_out(whitened(source[:3000], d), h)
        h_G = math.sqrt(gaps(lowest).mean())
        rows.append([f"{name}, d = {d}", h_opt, h_G, h_opt / h_G, y2_opt, 1 / y2_opt])
columns = ["data", "h_opt", "h_G, mean gap", "h_opt/h_G", "Y₂ at h_opt", "1/Y₂"]
table(rows, columns, "The best bandwidth and the dimension (at most 3000 points)")

# %% [markdown]
# It is. In two dimensions the textbook is right: the best bandwidth lies above $h_G$ and the estimate averages
# 20 or 30 points. At four the two are equal, and from eight on the optimum is in the frozen
# phase. The regime that classical theory does not see begins at a handful of dimensions.
#
# ## Verdict
#
# The random-energy picture is right, and not only in a limit that nobody can reach: with the exact
# finite-size position of the transition, the number of points that share the estimate, the best bandwidth and the
# gaps between the lowest energies come out to a few per cent at $d=50$ and $100$. The passage to normal fluctuations
# around $\sqrt2\,h_G$ is there, but broad. Three numbers are not reproduced: at $d=20$ and $\alpha=0.5$ the best
# bandwidth sits on the transition rather than below it, and two statistics of heavy tails turned out to be
# too noisy for the thresholds set beforehand.
#
# What surprised us most is how little is averaged. In fifty dimensions the likelihood-optimal estimate from
# 22 026 points is an average over about three of them, and for the digits over fewer than two.

# %%
claims.report()

# %% [markdown]
# ## Not reproduced, and why
#
# - **$h_{\rm opt}<h_G$ at $d=20$** (C3.d). The gap between the two closes quickly as $\alpha$ grows; at
#   $\alpha=0.5$ a dimension of 20 is not large enough to see it.
# - **Two thresholds on heavy tails** (C4.b, C4.d). Sample moments of a variable whose tail index is between
#   1 and 2 do not settle with 1500 data sets; the looser C4.g and C4.h hold.
# - **The stable limit laws themselves.** We test the shape of the distribution, not its convergence to a
#   stable law, and do not use the tail index as a test, because at this size it overshoots.
# - **The paper's figures and numbers** were not available to us; nor did we try kernels other than the Gaussian one.
# - **Real data** (C6) go beyond the paper, which makes its claim for Gaussian data.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the comparison of vectors with the law runs on $10^7$ points in a hundred
# dimensions and 200 queries: $4\times10^{11}$ multiply-adds for a data set, in tiles of which only
# the running minimum and a few sums are kept, so that memory holds the data (8 GB) and nothing of size queries × points. The
# one-dimensional sampler goes to $n=10^8$ at $d=100$ ($\alpha=0.18$), the fluctuations to 20 000 data sets, and
# the patches to 200 000. The random numbers are drawn on the host and will take a good part of the
# time. None of this has been run on a GPU yet.
