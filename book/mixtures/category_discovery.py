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
# # Discovering categories
#
# ```{paper-card}
# ```
#
# An archive of photographs of birds. Some pictures carry the name of a species, most carry none; and among those without a name are species that nobody has
# named at all. Sort them all. This task, *generalized category discovery*, has one awkward question: into how many heaps? The first methods were told, or tried
# every number. {cite:t}`category_discovery` let a Gaussian mixture find out while it clusters: components *split* and *merge* whenever a Bayesian comparison
# says so.
#
# This chapter takes the comparison apart. On points where half of the classes have no name it finds the number of classes, from starts with half as many
# clusters and with twice as many. But only with a move that the published code does not have. That code never tests the cluster of a named class. Start with
# too few clusters, and the points of unnamed classes are swallowed by the named ones, where no split is ever tried: the number of clusters cannot grow. We add
# the missing move and call it *rescue*. We also find the limits: classes must be about five standard deviations apart before the comparison sees two of them,
# and on real digits the number that comes out depends on how wide a class is expected to be.
#
# ## What the paper claims
#
# 1. (Ours, on what the method computes.) The probability of a cluster's points under *one* Gaussian with unknown mean and covariance has a closed form, and two
#    clusters are compared with their union by it. {claims}`C1.a, C1.b`
# 2. A semi-supervised Gaussian mixture with splits and merges estimates the number of classes, starting from a wrong one. Re-reported estimates: 100, 103, 201
#    and 201 where the truth is 100, 100, 200 and 196. {claims}`C2.a, C2.b, C2.c, C2.d`
# 3. A split or merge is accepted with probability $\min(1,H)$. Ours: what this rule can see, and what the published code makes of it. {claims}`C3.a, C3.b,
#    C3.c, C3.d, C3.e, C3.f, C3.g, C3.h`
# 4. Unlabelled points get the class of the nearest prototype, and the accuracy is comparable with that of semi-supervised k-means, which is told the number of
#    classes. Re-reported accuracies against it, both with an *estimated* number: CIFAR-100 75.4 against 70.8, ImageNet-100 75.3 against 77.9, CUB 52.0 against
#    51.1, cars 38.6 against 39.1. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f, C4.g`
# 5. The same on real images; here, on digits. {claims}`C5.a, C5.b, C5.c, C5.d, C5.e, C5.f`
# 6. To alternate clustering and representation learning improves both. {claims}`C6.a, C6.b, C6.c, C6.d, C6.e, C6.f`
#
# Not tested: all of the paper's own images, and with them its tables.
#
# **What our numbers rest on.** We read the abstract and the authors' code (training script, split and merge, prior, semi-supervised k-means, losses, metrics).
# The paper's text was not available to us. Its numbers above are *re-reported*: the tables of later papers (arXiv 2504.06120 and 2507.04725) print them. A web
# page on benchmarks shows other accuracies, 77.9 and 76.9, for CIFAR-100 and ImageNet-100, without saying in which setting. The published rule for the first
# number of clusters is not known to us.
#
# ## The idea
#
# **The setting.** Each image is a unit vector $z\in\mathbb R^D$, its *features*. Some of the images of the *old* classes $1,\dots,C$ are labelled. The
# unlabelled ones belong to old classes or to *new* ones. Wanted: a class for each unlabelled image, and the number $K$ of all classes.
#
# **Semi-supervised k-means** is k-means in which the first $C$ clusters belong to the old classes. A labelled point stays in the cluster of its class; an
# unlabelled one goes to the nearest centre; centres are means. It needs $K$.
#
# **One cluster or two?** Give each cluster a Gaussian $N(\mu,\Sigma)$ with the conjugate prior, normal-inverse-Wishart: $\Sigma$ has the scale $\Psi$ and $\nu$
# degrees of freedom, and $\mu\mid\Sigma\sim N(m,\Sigma/\kappa)$. ([Few-shot learning](../inference/niw_meta.md) puts this law on networks.) Mean and covariance integrate out. For $N$ points $X$ with the mean $\bar x$ and scatter
# $S=\sum_i(x_i-\bar x)(x_i-\bar x)^\top$, let $\kappa^*=\kappa+N$, $\nu^*=\nu+N$ and $\Psi^*=\Psi+S+\frac{\kappa N}{\kappa^*}(\bar x-m)(\bar x-m)^\top$. Then
#
# $$
# \log p(X)=-\tfrac{ND}2\log\pi+\log\frac{\Gamma_D(\nu^*/2)}{\Gamma_D(\nu/2)}+\tfrac\nu2\log|\Psi|-\tfrac{\nu^*}2\log|\Psi^*|
# +\tfrac D2\log\frac\kappa{\kappa^*}.
# $$ (eq-gcd-evidence)
#
# A Dirichlet-process prior weighs a partition by $\alpha\,\Gamma(N_k)$ for each cluster. The ratio of posterior probabilities of two parts $X_1,X_2$ and of
# their union $X$ is therefore
#
# $$
# H=\frac{\alpha\,\Gamma(N_1)\,p(X_1)\;\Gamma(N_2)\,p(X_2)}{\Gamma(N)\,p(X)},\qquad\alpha=1 .
# $$ (eq-gcd-hastings)
#
# A split is accepted with probability $\min(1,H)$, a merge with $\min(1,1/H)$. Two terms are against two clusters: the gamma functions, by about $-N\log2$ for
# equal parts, and the second mean, by about $-\frac D2\log(N/\kappa)$. So points must be well apart before a split pays.
#
# **The loop.** Semi-supervised k-means with the present $K$; one sweep of splits; one sweep of merges; again with the new $K$.
#
# ## The method in code
#
# {eq}`eq-gcd-evidence` comes from the library, for all clusters in one call. The union of two sets has the scatter $S_1+S_2+\frac{N_1N_2}N(\bar x_2-\bar
# x_1)(\bar x_2-\bar x_1)^\top$, so that {eq}`eq-gcd-hastings` needs no second pass over the points.

# %%
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln

from gaussbook import autodiff as ad
from gaussbook import data, mixture, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.metrics import clustering_error
from gaussbook.mixture import cluster_statistics, semi_supervised_k_means
from gaussbook.notebook import say
from gaussbook.optim import SGD, cosine_decay
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("category_discovery")
xp = backend()


# %%
def union(one, two):
    """Number, mean and scatter of the union of paired sets."""
    N = one.counts + two.counts
    share = two.counts / xp.maximum(N, 1.0)
    step = two.means - one.means
    outer = step[:, :, None] * step[:, None, :]
    S = one.scatters + two.scatters + (one.counts * share)[:, None, None] * outer
    return mixture.ClusterStatistics(N, one.means + share[:, None] * step, S)


def log_gamma(N):
    """log Gamma(N) of counts; an empty set is never proposed."""
    return to_device(gammaln(np.maximum(to_host(N), 1)))


def log_p(part, prior):
    """log p(X) of each set."""
    return mixture.niw_log_evidence(*part, prior)


def weight(part, prior):
    """log Gamma(N) p(X)."""
    return log_gamma(part.counts) + log_p(part, prior)


# %%
def log_H(one, two, prior, smallest=0):
    """log H of paired sets; -inf where a part has no more than `smallest` points."""
    ratio = weight(one, prior) + weight(two, prior) - weight(union(one, two), prior)
    allowed = (one.counts > smallest) & (two.counts > smallest)
    return xp.where(allowed, ratio, -math.inf)


# %% [markdown]
# **Is it the evidence?** The probability of a set is the product of the probabilities of its points, each given those before it, and these have a formula of
# their own, Student's $t$. A second check is on the line, with numbers known from integrating over mean and variance by quadrature: $\{0,1,2\}$ against
# $\{6,7\}$ with $m=0$, $\kappa=0.1$, $\nu=3$, $\Psi=1$.

# %%
def evidence(X, prior):
    """log p(X) of one set."""
    parts = cluster_statistics(X, xp.zeros(X.shape[0], dtype=xp.int64), 1)
    return float(log_p(parts, prior)[0])


def one_by_one(X, prior):
    """The same as a sum of log predictive densities."""
    total, place = 0.0, xp.arange(X.shape[0])
    for i in range(X.shape[0]):
        before = cluster_statistics(X, xp.where(place < i, 0, -1), 1)
        total += float(mixture.niw_log_predictive(X[i : i + 1], mixture.niw_posterior(*before, prior))[0, 0])
    return total


# %%
rng, off = generator(0), []
for D in (1, 4, 8, 16):
    X = rng.standard_normal((20, D)) + 3
    prior = mixture.NormalInverseWishart(xp.zeros(D), 1e-4, D + 2.0, 0.1 * xp.eye(D))
    off.append(abs(evidence(X, prior) / one_by_one(X, prior) - 1))
claims.check("C1.a", "evidence of 20 points in 1 to 16 dimensions: largest relative distance from "
             "the product of predictions", measured=max(off), at_most=1e-8, own=True)  # fmt: skip
line = to_device(np.asarray([[0.0], [1], [2], [6], [7]]))
parts = cluster_statistics(line, to_device(np.asarray([0, 0, 0, 1, 1])), 2)
one, two = (mixture.ClusterStatistics(*(v[k : k + 1] for v in parts)) for k in (0, 1))
line_H = float(log_H(one, two, mixture.NormalInverseWishart(xp.zeros(1), 0.1, 3.0, xp.eye(1)))[0])
claims.check("C1.b", "log H of {0, 1, 2} and {6, 7} (quadrature: 2.719965)", measured=line_H,
             equals=2.719965, within=1e-6, unit="nats", own=True)  # fmt: skip

# %% [markdown]
# ### What the ratio can see
#
# Two clumps of 60 points from $N(\cdot,I)$ in four dimensions, cut halfway between them, $\nu=6$ and $\Psi=I$. How far apart must they be before two clusters
# are the better description? Twenty data sets for each distance.

# %%
DISTANCES, SETS = np.arange(9), 20


def clumps(distance, sets, rng, each=60):
    """Pairs of clumps along the first axis: points (set, point, 4)."""
    X = rng.standard_normal((sets, 2 * each, 4))
    side = to_device(np.repeat([-0.5, 0.5], each))
    return xp.concat([X[..., :1] + (distance * side)[:, None], X[..., 1:]], axis=-1)


def unit_prior(kappa=1e-4):
    """The prior of this experiment."""
    return mixture.NormalInverseWishart(xp.zeros(4), kappa, 6.0, xp.eye(4))


def halfway(X, kappa=1e-4):
    """log H of each set's two sides."""
    sets, n, _ = X.shape
    side = xp.astype(X[..., 0] > 0, xp.int64) + 2 * xp.arange(sets)[:, None]
    rows = sets * n
    parts = cluster_statistics(xp.reshape(X, (rows, 4)), xp.reshape(side, (rows,)), 2 * sets)
    one, two = (mixture.ClusterStatistics(*(v[k::2] for v in parts)) for k in (0, 1))
    return to_host(log_H(one, two, unit_prior(kappa), smallest=5))


# %%
KAPPAS = (1e-4, 1e-2, 1.0)
seen = {
    kappa: np.asarray([halfway(clumps(float(s), SETS, generator(1)), kappa) for s in DISTANCES])
    for kappa in KAPPAS
}  # (distance, set); the same draws at every distance

# %% tags=["hide-input"]
alt = """Log H against the distance of two clumps from 0 to 8 standard deviations, for three values
of kappa. All curves start far below zero, stay flat at first, then rise in a nearly straight line
and cross zero at nearly the same distance."""
caption = r"""$\log H$ of the two halves of two clumps: mean and standard deviation over twenty data sets. Above zero, two clusters win."""
with figure(alt=alt, caption=caption, width=5.8, height=3.4) as ax:
    for kappa, marker in zip(KAPPAS, "o^s", strict=True):
        shift = {1e-4: -0.06, 1e-2: 0.0, 1.0: 0.06}[kappa]
        ax.errorbar(DISTANCES + shift, seen[kappa].mean(axis=1), seen[kappa].std(axis=1),
                    marker=marker, capsize=2, label=f"κ = {kappa:g}")  # fmt: skip
    ax.axhline(0, color="gray", lw=1)
    ax.set(xlabel="distance of the clumps (standard deviations)", ylabel="log H (nats)")
    ax.legend()

# %%
mean = seen[1e-4].mean(axis=1)
after = int(np.argmax(mean > 0))
crossing = after - mean[after] / (mean[after] - mean[after - 1])
claims.check("C3.a", "mean log H at distances 0 and 2, the larger", measured=max(mean[0], mean[2]),
             at_most=-30, unit="nats", seeds=SETS, own=True)  # fmt: skip
claims.check("C3.d", "distance at which the mean of log H crosses zero", measured=crossing,
             between=(4, 6), unit="sd", seeds=SETS, own=True)  # fmt: skip
say(f"""At a distance of four standard deviations, where a histogram of the points has two clear humps, log H is
{mean[4]:.0f} on average: the rule wants one cluster. It turns at {crossing:.1f} standard deviations, and at
eight log H is {mean[8]:.0f}. A larger κ moves the curve up by a few nats only.""")


# %% [markdown]
# ### The moves
#
# **Halves.** To propose a split, each cluster is cut by 2-means, all clusters at once: a point has a cluster and a side, and starts on the side of its
# cluster's principal axis.

# %%
def member(ids, K):
    """Members as a 0-1 matrix (cluster, point)."""
    return xp.astype(xp.arange(K)[:, None] == ids, xp.float64)


def halves(X, labels, K):
    """Side 0 or 1 of each point within its cluster, by 2-means."""
    _, centre, S = cluster_statistics(X, labels, K)
    axis = xp.linalg.eigh(S)[1][:, :, -1]
    side = xp.sum((X - centre[labels]) * axis[labels], axis=1) > 0
    for _ in range(30):
        part = member(2 * labels + xp.astype(side, xp.int64), 2 * K)
        c = (part @ X) / xp.maximum(xp.sum(part, axis=1), 1.0)[:, None]
        middle, step = (c[0::2] + c[1::2]) / 2, c[1::2] - c[0::2]
        nearer = xp.sum((X - middle[labels]) * step[labels], axis=1) > 0
        if bool(xp.all(nearer == side)):
            break
        side = nearer
    return xp.astype(side, xp.int64)


# %% [markdown]
# **Rules.** *Certain*: accept if $H>1$, the rule of all experiments unless another is named. *Metropolis*: $\min(1,H)$. *Coin*: what the published code does,
# where an expression of the form `prob or exp(H)` with a fixed `prob` replaces the ratio by one in ten.

# %%
def certain(log_ratio, rng):
    """Accept what is better."""
    return log_ratio > 0


def metropolis(log_ratio, rng):
    """Accept with probability min(1, H)."""
    return xp.log(rng.random(log_ratio.shape)) < log_ratio


def coin(log_ratio, rng):
    """Accept what is better, and one in ten of all others."""
    return (log_ratio > 0) | ((log_ratio > -math.inf) & (rng.random(log_ratio.shape) < 0.1))


# %% [markdown]
# **Split.** Clusters without labelled points, those after the first $C$, are tested as in the published code. **Rescue**, which is ours, tests the others: if
# one side holds at most a tenth of the class's labelled points and $\log H>0$, its *unlabelled* points leave as a new cluster. A part needs more than five
# points.

# %%
def split(X, y, labels, K, prior, accept, rng, rescue=True):
    """One sweep of splits: new labels and the new number of clusters."""
    side, new = halves(X, labels, K), xp.arange(K) > xp.max(y)
    part = 2 * labels + side
    both = cluster_statistics(X, part, 2 * K)
    one, two = (mixture.ClusterStatistics(*(v[k::2] for v in both)) for k in (0, 1))
    ratio = log_H(one, two, prior, smallest=5)
    held = xp.reshape(xp.sum(member(xp.where(y >= 0, part, -1), 2 * K), axis=1), (K, 2))
    fewer = xp.min(held, axis=1) <= 0.1 * xp.sum(held, axis=1)
    leaves = xp.where(new, 1, xp.argmin(held, axis=1))
    go = new & accept(ratio, rng)
    if rescue:
        go = go | (~new & fewer & (ratio > 0))
    name = K - 1 + xp.cumulative_sum(xp.astype(go, xp.int64))
    moves = go[labels] & (side == leaves[labels]) & (y < 0)
    return xp.where(moves, name[labels], labels), K + int(xp.sum(xp.astype(go, xp.int64)))


# %% [markdown]
# **Merge.** Each cluster without labelled points is proposed with the nearest other one. Accepted pairs are merged best first, and no cluster takes part twice.
# Both parents go. (In the published code an accepted merge appends the mean of the two centres to the list, and the parents stay: there $K$ mostly grows.)

# %%
def merge(X, y, labels, K, prior, accept, rng):
    """One sweep of merges: new labels and the new number of clusters."""
    C = int(xp.max(y)) + 1
    if K - C < 2:
        return labels, K
    parts = cluster_statistics(X, labels, K)
    c = parts.means[C:]
    d = xp.sum((c[:, None] - c) ** 2, axis=-1) + xp.asarray(np.diag(np.full(K - C, math.inf)))
    i, j = xp.arange(C, K), C + xp.argmin(d, axis=1)
    ratio = -log_H(*(mixture.ClusterStatistics(*(v[k] for v in parts)) for k in (i, j)), prior)
    pairs = np.sort(to_host(xp.stack([i, j], axis=1)), axis=1)
    accepted = to_host(accept(ratio, rng))
    into, used = np.arange(K), set()
    for k in np.argsort(-to_host(ratio), kind="stable"):
        if accepted[k] and not used & set(pairs[k]):
            used |= set(pairs[k])
            into[pairs[k][1]] = pairs[k][0]
    kept = np.unique(into)
    return to_device(np.searchsorted(kept, into))[labels], len(kept)


# %% [markdown]
# The sweeps on the clumps: is the single cluster of all points split, and are its two halves merged again?

# %%
def sweep_once(X, halves_given, rng):
    """Number of clusters after one sweep, from one cluster or from its two halves."""
    nobody = xp.full(X.shape[0], -1)
    if halves_given:
        return merge(X, nobody, xp.astype(X[:, 0] > 0, xp.int64), 2, unit_prior(), certain, rng)[1]
    return split(X, nobody, xp.zeros_like(nobody), 1, unit_prior(), certain, rng)[1]


rng = generator(2)
ends = {
    (given, s): np.asarray([sweep_once(X, given, rng) for X in clumps(float(s), SETS, rng)])
    for given in (False, True)
    for s in (0, 2, 8)
}
many = {key: int((found == 2).sum()) for key, found in ends.items()}
own = {"seeds": SETS, "own": True}
claims.check("C3.b", "distance 8: single clusters that are split, of 20", measured=many[False, 8],
             at_least=19, **own)  # fmt: skip
claims.check("C3.f", "distances 0 and 2: single clusters that are split, of 40",
             measured=many[False, 0] + many[False, 2], at_most=0, **own)  # fmt: skip
claims.check("C3.g", "distance 8: pairs of halves that are merged, of 20", measured=20 - many[True, 8],
             at_most=1, **own)  # fmt: skip
claims.check("C3.h", "distances 0 and 2: pairs of halves that are merged, of 40",
             measured=40 - many[True, 0] - many[True, 2], at_least=40, **own)  # fmt: skip

# %%
ratio = to_device(halfway(clumps(0.0, 200, generator(3))))
taken = {f.__name__: int(xp.sum(xp.astype(f(ratio, rng), xp.int64))) for f in (metropolis, coin)}
claims.check("C3.e", "200 splits of one clump: accepted by min(1, H)", measured=taken["metropolis"],
             at_most=0, own=True)  # fmt: skip
claims.check("C3.c", "200 splits of one clump: accepted by the published code's rule",
             measured=taken["coin"], between=(7, 33), own=True)  # fmt: skip


# %% [markdown]
# With log-ratios of this size $\min(1,H)$ is as good as certain. The coin is another thing: it splits single clumps all the time and leaves the repair to the
# merges.
#
# **All together.** Semi-supervised k-means begins with five random starts. Later it begins from the centres that the moves left, and from a random start; the
# lower sum of squares wins. The loop ends when two sweeps change nothing, or after twelve.

# %%
class Found(NamedTuple):
    """Centres, the cluster of each point, and the number of clusters after each sweep."""

    centres: object
    labels: object
    path: list


def refit(X, y, K, labels, rng, starts=1):
    """Semi-supervised k-means from given clusters and from random starts."""
    warm = cluster_statistics(X, labels, K).means
    fits = [semi_supervised_k_means(X, y, K, init=warm)]
    if starts:
        fits.append(semi_supervised_k_means(X, y, K, n_init=starts, seed=rng))
    return min(fits, key=lambda fit: fit.inertia)


# %%
def discover(X, y, K, prior, rng, accept=certain, rescue=True, sweeps=12):
    """The number of classes and the classes."""
    fit, path, quiet = semi_supervised_k_means(X, y, K, n_init=5, seed=rng), [K], 0
    while len(path) <= sweeps and quiet < 2:
        labels, more = split(X, y, fit.labels, K, prior, accept, rng, rescue)
        labels, fewer = merge(X, y, labels, more, prior, accept, rng)
        quiet = quiet + 1 if K == more == fewer else 0
        K = fewer
        fit = refit(X, y, K, labels, rng)
        path.append(K)
    return Found(fit.centres, fit.labels, path)


# %% [markdown]
# ## Experiments
#
# ### How many classes?
#
# Sixteen class means, uniform on the unit sphere in eight dimensions; sixty points each, with noise of standard deviation $0.12$, brought back to length one.
# Eight classes are old, and half of their points labelled. The prior is $\kappa=10^{-4}$, $\nu=10$, $\Psi=0.1\,I$, with $m$ the mean of all points. Six starts,
# five data sets, with and without rescue.

# %%
CLASSES, D, EACH, NOISE = scale(default=(16, 8, 60, 0.12), paper=(200, 64, 500, 0.042))
SEEDS = range(5)
STARTS = [int(CLASSES * f) for f in (0.5, 0.625, 0.75, 1, 1.5, 2)]
OLD = CLASSES // 2


def unit(X):
    """Rows of length one."""
    return X / ad.sqrt(ad.sum(X * X, axis=-1, keepdims=True))


def sphere(seed, noise=NOISE):
    """Features, labels (-1: none) and true classes."""
    rng, truth = generator(seed), xp.arange(CLASSES * EACH) // EACH
    means = unit(rng.standard_normal((CLASSES, D)))
    X = unit(means[truth] + noise * rng.standard_normal((CLASSES * EACH, D)))
    labelled = (truth < OLD) & (xp.arange(CLASSES * EACH) % 2 == 0)
    return X, xp.where(labelled, truth, -1), truth


# %%
def wide(X, s, kappa=1e-4):
    """The prior with Psi = s I."""
    D = X.shape[1]
    return mixture.NormalInverseWishart(xp.mean(X, axis=0), kappa, D + 2.0, s * xp.eye(D))


# %%
runs = {}
for rescue in (True, False):
    for K in progress(STARTS, "starts"):
        for seed in SEEDS:
            X, y, _ = sphere(seed)
            rng, prior = generator(100 + seed), wide(X, 0.1)
            runs[rescue, K, seed] = discover(X, y, K, prior, rng, rescue=rescue)

# %% tags=["hide-input"]
alt = """Two panels: number of clusters after each sweep, six colours for six starts, five lines
each. With rescue all lines meet at or just below 16 within a few sweeps. Without it the lines that
start at 16 or above meet there, and those that start lower end lower, the lowest where they
began."""
caption = "The number of clusters, sweep by sweep, from six starts; five data sets each. Dashed: the true number of classes."
with figure(1, 2, alt=alt, caption=caption, height=3.4, sharey=True) as axes:
    for ax, rescue in zip(axes, (True, False), strict=True):
        for K, colour in zip(STARTS, list(PALETTE.values()), strict=False):
            for seed in SEEDS:
                path = runs[rescue, K, seed].path
                path = path + [path[-1]] * (8 - len(path))
                ax.plot(path, color=colour, lw=1.2, label=f"from {K}" if seed == 0 else None)
        ax.axhline(CLASSES, color="gray", ls="--", lw=1)
        ax.set(xlabel="sweep", title="with rescue (ours)" if rescue else "as published: no rescue")
    axes[0].set_ylabel("clusters K")
    axes[0].legend(ncols=2)

# %%
final = {key: found.path[-1] for key, found in runs.items()}
miss = np.asarray([abs(final[True, K, s] - CLASSES) for K in STARTS for s in SEEDS])
high = np.asarray([abs(final[False, K, s] - CLASSES) for K in STARTS[3:] for s in SEEDS])
of_five = {"unit": "%", "seeds": len(SEEDS)}
paper = "100, 103, 201, 201 for 100, 100, 200, 196"
claims.check("C2.a", "with rescue: runs that end within 2 of the true number",
             measured=100 * (miss <= 2).mean(), at_least=80, paper=paper, **of_five)  # fmt: skip
claims.check("C2.b", "with rescue: runs that end within 3", measured=100 * (miss <= 3).mean(),
             at_least=95, paper=paper, **of_five)  # fmt: skip
stuck = max(final[False, STARTS[0], s] for s in SEEDS)
claims.check("C2.c", "without rescue, from 8 clusters: the largest number reached", measured=stuck,
             at_most=10 * CLASSES / 16, seeds=len(SEEDS), own=True)  # fmt: skip
claims.check("C2.d", "without rescue, from 16, 24 and 32: runs that end within 3",
             measured=100 * (high <= 3).mean(), at_least=80, paper=paper, **of_five)  # fmt: skip

# %%
rows = []
for rule in (metropolis, coin):
    for rescue in (True, False):
        ends = []
        for K in STARTS[::4]:
            for seed in (0, 1):
                X, y, _ = sphere(seed)
                found = discover(X, y, K, wide(X, 0.1), generator(seed), rule, rescue)
                ends.append(", ".join(map(str, found.path[-3:])))
        rows.append([rule.__name__, rescue, *ends])
columns = ["rule", "rescue", *(f"from {K}, set {s}" for K in STARTS[::4] for s in (1, 2))]
table(rows, columns, "The last three numbers of clusters of each run, by rule")


# %% [markdown]
# From above, merges do the work and the published moves are enough. From below, they are not. With $K=C$ there is no cluster that may be split, and each
# unlabelled point sits in an old class. With a few more clusters, only those few can multiply; what the old classes have swallowed comes back by luck, when a
# random start of k-means puts a centre there. The rule hardly matters, except that the coin never comes to rest.
#
# ### How good are the classes?
#
# Accuracy needs a naming of the clusters. The customary one matches clusters with classes once, so that as many unlabelled points as possible are right
# (Hungarian matching), and counts over *all*, *old* and *new* with this one matching.

# %%
def accuracy(labels, truth, y, old):
    """Shares of unlabelled points that are right: all, of old and of new classes."""
    free = to_host(y) < 0
    found, true = to_host(labels)[free], to_host(truth)[free]
    size = max(found.max(), true.max()) + 1
    together = np.zeros((size, size))
    np.add.at(together, (found, true), 1)
    right = linear_sum_assignment(together, maximize=True)[1][found] == true
    is_old = true < old
    return np.asarray([right.mean(), right[is_old].mean(), right[~is_old].mean()]), is_old.mean()


# %%
def compare(noise, K, seed):
    """Estimate, and accuracies with K unknown, with K given, and of plain k-means."""
    X, y, truth = sphere(seed, noise)
    prior = wide(X, 0.1 * (noise / NOISE) ** 2)
    found = discover(X, y, K, prior, generator(100 + seed))
    told = semi_supervised_k_means(X, y, CLASSES, seed=generator(seed))
    plain = mixture.k_means(X, CLASSES, n_init=5, seed=generator(seed))
    scores = [accuracy(fit.labels, truth, y, OLD) for fit in (found, told, plain)]
    share = scores[0][1]
    weighted = share * scores[0][0][1] + (1 - share) * scores[0][0][2]
    return found.path[-1], np.asarray([s for s, _ in scores]), scores[0][0][0] - weighted


# %%
NOISES = [NOISE * f for f in (1, 1.5, 2)]
by_noise = {
    noise: [compare(noise, STARTS[4], seed) for seed in SEEDS]
    for noise in progress(NOISES, "noise")
}
scores = {noise: np.mean([s for _, s, _ in values], axis=0) for noise, values in by_noise.items()}
estimates = {noise: [K for K, _, _ in values] for noise, values in by_noise.items()}

# %% tags=["hide-input"]
alt = """Two panels against noise from 0.12 to 0.24. Left: accuracy falls from 1, slowly for both
kinds of k-means with the true number, faster with the number unknown. Right: the estimated number
starts at 16 and falls below it."""
caption = """More noise, 24 clusters at the start. Left: accuracy on all unlabelled points, mean of five data sets. Right: the estimated number of classes, each data set a dot; dashed: the truth."""
with figure(1, 2, alt=alt, caption=caption, height=3.2) as axes:
    curves = (("K unknown", "o-"), ("K given", "s--"), ("k-means, K given", "^:"))
    for k, (name, marker) in enumerate(curves):
        axes[0].plot(NOISES, [scores[v][k, 0] for v in NOISES], marker, label=name)
    for noise in NOISES:
        axes[1].plot([noise] * len(SEEDS), estimates[noise], "o", color=PALETTE["blue"], alpha=0.5)
    axes[1].axhline(CLASSES, color="gray", ls="--", lw=1)
    axes[0].set(xlabel="noise (standard deviation)", ylabel="accuracy, all", ylim=(0.5, 1.02))
    axes[1].set(xlabel="noise (standard deviation)", ylabel="estimated K", yticks=range(10, 18, 2))
    axes[0].legend(loc="lower left")


# %% [markdown]
# And with wrong labels? We shuffle the labels among the labelled points.

# %%
def shuffled(seed):
    """Estimate, accuracy on all, and unlabelled old points in the cluster of their own class."""
    X, y, truth = sphere(seed)
    labelled, free = xp.nonzero(y >= 0)[0], (y < 0) & (truth < OLD)
    mixed = xp.asarray(y, copy=True)
    mixed[labelled] = y[generator(200 + seed).permutation(labelled)]
    named, out = [], []
    for labels in (y, mixed):
        found = discover(X, labels, STARTS[4], wide(X, 0.1), generator(100 + seed))
        out += [found.path[-1], accuracy(found.labels, truth, y, OLD)[0][0]]
        named.append(float(xp.mean(xp.astype(found.labels == truth, xp.float64)[free])))
    return *out, *named


# %%
K_true, all_true, K_mixed, all_mixed, named_true, named_mixed = np.asarray(
    [shuffled(seed) for seed in SEEDS]
).T
say(f"""Shuffled labels cost the unlabelled points {100 * (all_true - all_mixed).mean():.1f} points of accuracy and
hardly matter to it: the eight mislabelled clusters have their centres near the origin, where no point is, and
sixteen more are found, {K_mixed.mean():.0f} in all on average. What is lost is the *names*: of the unlabelled old
points, {100 * named_true.mean():.0f} per cent were in the cluster of their own class, and now
{100 * named_mixed.mean():.0f} per cent are.""")

# %%
unknown, given, plain = scores[NOISE]
five = {"seeds": len(SEEDS)}
own = five | {"own": True}
claims.check("C4.a", "K unknown: accuracy, all", measured=unknown[0], at_least=0.9, **own)
claims.check("C4.d", "K unknown: accuracy, new", measured=unknown[2], at_least=0.85, **own)
claims.check("C4.b", "accuracy, all: K unknown less K given", measured=unknown[0] - given[0],
             between=(-0.05, 0.05), paper="+.046, -.026, +.009, -.005", **five)  # fmt: skip
claims.check("C4.c", "labels shuffled: fall of the share of unlabelled old points in their own class",
             measured=(named_true - named_mixed).mean(), at_least=0.15, own=True, **five)  # fmt: skip
identity = max(abs(v) for values in by_noise.values() for _, _, v in values)
claims.check("C4.f", "accuracy, all, less the mean of old and new weighted by their numbers",
             measured=identity, at_most=1e-12, own=True)  # fmt: skip
loud = scores[NOISES[-1]]
claims.check("C4.g", "twice the noise: K given less K unknown, all", measured=loud[1, 0] - loud[0, 0],
             at_least=0.05, own=True, **five)  # fmt: skip
claims.report_value("C4.e", "twice the noise: K given less plain k-means, all",
                    measured=loud[1, 0] - loud[2, 0], **own)  # fmt: skip

# %% [markdown]
# At the noise of the first experiment not knowing $K$ costs nothing. Double the noise and it does. Semi-supervised k-means with the true number still separates
# most points, but neighbouring classes are now nearer than the ratio can see, and they are merged: the limit of the previous section, at work.
#
# ### Digits
#
# scikit-learn's 1797 handwritten digits. Old: 0 to 4, half of them labelled. Features: 16 principal components, brought to length one. The prior's scale
# follows one rule, fixed on the sphere: $s=0.1\times$ the mean variance within labelled classes $\times\,60$, where 60 was the size of a class there. Here a
# class has about 180 points, so we also run the rule with $n=180$. Five random choices of the labelled half.
#
# The competitor is *GCD's way*: hide half of the labels, run semi-supervised k-means for many $K$, and take the number with the best accuracy on the hidden
# ones.

# %%
digits = data.table("digits")
truth_digits = to_device(digits.target.astype(np.int64))
pixels = to_device(digits.data / 16)
U, sv, _ = xp.linalg.svd(pixels - xp.mean(pixels, axis=0), full_matrices=False)
Z = unit(U[:, :16] * sv[:16])
HALVES, K_SCAN = range(5), (6, 8, 9, 10, 11, 12, 14, 18)


def half_labelled(seed):
    """Labels of half of the digits 0 to 4."""
    rng, y = generator(seed).host, np.full(len(digits.target), -1)
    for k in range(5):
        own = rng.permutation(np.flatnonzero(digits.target == k))
        y[own[: len(own) // 2]] = k
    return to_device(y)


# %%
def within(Z, y, n=60):
    """The prior with s = 0.1 n times the mean variance within labelled classes."""
    counts, _, S = cluster_statistics(Z, y, 5)
    traces = xp.sum(xp.linalg.diagonal(S), axis=1)
    return wide(Z, 0.1 * n * float(xp.mean(traces / counts)) / Z.shape[1])


# %%
def gcd_number(Z, y, seed):
    """K with the best accuracy on labels that were hidden."""
    rng = generator(seed)
    hidden = (y >= 0) & (rng.random(y.shape[0]) < 0.5)
    seen = xp.where(hidden, -1, y)
    hidden_rows, best = xp.nonzero(hidden)[0], []
    for K in K_SCAN:
        fit = semi_supervised_k_means(Z, seen, K, n_init=2, seed=rng)
        best.append(clustering_error(fit.labels[hidden_rows], truth_digits[hidden_rows]))
    return K_SCAN[int(np.argmin(best))]


def scores_of(fit, y):
    """All, old, new."""
    return accuracy(fit.labels, truth_digits, y, 5)[0]


# %%
SIZES, FROM = (60, 180, 540), (5, 10, 20)
told, plain, by_gcd, ours, fixed = [], [], [], {}, []
for seed in progress(HALVES, "digits"):
    y, rng = half_labelled(seed), generator(300 + seed)
    plain.append(scores_of(mixture.k_means(Z, 10, n_init=10, seed=rng), y))
    starts = {K: 10 if K == 10 else 2 for K in K_SCAN}
    fits = {K: semi_supervised_k_means(Z, y, K, n_init=n, seed=rng) for K, n in starts.items()}
    fixed.append([scores_of(fit, y) for fit in fits.values()])
    told.append(scores_of(fits[10], y))
    K = gcd_number(Z, y, seed)
    by_gcd.append([K, *scores_of(fits[K], y)])
    for n in SIZES:
        for K in FROM:
            found = discover(Z, y, K, within(Z, y, n), rng)
            ours.setdefault((n, K), []).append([found.path[-1], *scores_of(found, y)])
told, plain, by_gcd, fixed = map(np.asarray, (told, plain, by_gcd, fixed))
ours = {key: np.asarray(values) for key, values in ours.items()}


# %%
def row(name, K, values):
    """A row of the table: name, the estimates, the mean accuracies."""
    return [name, K, *(f"{100 * v:.1f}" for v in np.mean(values, axis=0))]


def numbers(column):
    """The estimates of the five runs."""
    return ", ".join(f"{v:.0f}" for v in column)


rows = [row("k-means", "10, given", plain), row("semi-supervised k-means", "10, given", told)]
rows.append(row("the same, GCD's way", numbers(by_gcd[:, 0]), by_gcd[:, 1:]))
rows += [
    row(f"split and merge from {K}, n = {n}", numbers(v[:, 0]), v[:, 1:])
    for (n, K), v in ours.items()
    if n in (60, 180)
]
columns = ["method", "K", "all (%)", "old (%)", "new (%)"]
table(rows, columns, "Digits: estimates and mean accuracies, five choices of labels")

# %% tags=["hide-input"]
alt = """Left: estimated number of classes against n on a logarithmic axis, for starts from 5, 10
and 20. It falls as n grows, to about the true ten. Right: accuracy of semi-supervised k-means
against the number of clusters it is given, for all, old and new. All and new are highest near the
true number and fall on both sides; old keeps rising."""
caption = "Digits, means of five choices of labels. Left: the estimate against the size $n$ in the prior's scale. Right: the price of a wrong $K$ in semi-supervised k-means. Dashed: ten classes."
with figure(1, 2, alt=alt, caption=caption, height=3.3) as axes:
    for K, marker in zip(FROM, "o^s", strict=True):
        estimate = [ours[n, K][:, 0].mean() for n in SIZES]
        axes[0].plot(SIZES, estimate, f"{marker}-", label=f"from {K}")
    for k, (name, marker) in enumerate((("all", "o-"), ("old", "s--"), ("new", "^:"))):
        axes[1].plot(K_SCAN, 100 * fixed.mean(axis=0)[:, k], marker, label=name)
    axes[0].axhline(10, color="gray", ls="--", lw=1)
    axes[1].axvline(10, color="gray", ls="--", lw=1)
    axes[0].set(xlabel="n in the prior's scale (points)", ylabel="estimated K", xscale="log")
    axes[0].set_xticks(SIZES, labels=SIZES)
    axes[0].minorticks_off()
    axes[1].set(xlabel="K that k-means is given", ylabel="accuracy (%)")
    for ax in axes:
        ax.legend()


# %%
def pooled(n):
    """All runs with one size: (start, choice, (K, all, old, new))."""
    return np.stack([ours[n, K] for K in FROM])


apart = np.ptp(pooled(60)[..., 0], axis=0).mean()
five = {"seeds": len(HALVES)}
claims.check("C5.a", "accuracy, old: semi-supervised less plain k-means, K given",
             measured=(told - plain)[:, 1].mean(), at_least=-0.05, own=True, **five)  # fmt: skip
claims.check("C5.b", "n = 60: largest less smallest K of the three starts, mean", measured=apart,
             at_most=3, own=True, **five)  # fmt: skip
claims.check("C5.c", "n = 60: mean estimate, distance from ten", measured=abs(pooled(60)[..., 0].mean() - 10),
             at_most=4, paper="0, 3, 1, 5 of 100 to 200", **five)  # fmt: skip
behind = {n: (pooled(n)[..., 1] - told[:, 0]).mean() for n in SIZES}
claims.check("C5.d", "n = 60: accuracy, all, K unknown less K given", measured=behind[60], at_least=-0.05,
             paper="-.017 to +.024", **five,
             not_reproduced="the prior expects narrow classes, so that wide digits are split")  # fmt: skip
claims.check("C5.e", "n = 180: accuracy, all, K unknown less K given", measured=behind[180],
             between=(-0.05, 0.05), own=True, **five)  # fmt: skip
claims.check("C5.f", "n = 180: mean estimate, distance from ten",
             measured=abs(pooled(180)[..., 0].mean() - 10), at_most=1.5, own=True, **five)  # fmt: skip
by_K = dict(zip(K_SCAN, 100 * fixed[..., 0].mean(axis=0), strict=True))
low, high = by_K[10] - by_K[8], by_K[10] - by_K[12]
say(f"""A later paper reports that too small a K costs three times as much as one too large. Here eight clusters
in place of ten cost {low:.1f} points of accuracy and twelve cost {high:.1f}. GCD's way finds {by_gcd[:, 0].mean():.1f}
classes on average: hidden labels of old classes do not show that a new class sits in an old cluster.""")

# %% [markdown]
# The estimate follows the prior's scale: whoever says how wide a class is has half said how many there are. With the size of the sphere's classes digits are
# split further, into ways of writing them, and accuracy falls. With their own size the estimate is right within one or two on average, and about as good as being told.
#
# ### The full loop on digits
#
# Now the features are learned. An encoder $f$ (layers 64–128–32) gives $z=f(x)/\|f(x)\|$; a head (32–32) gives $h$ for the two contrastive losses. Each image
# comes in two views: shifted by up to one pixel, pixel noise $0.1$, brightness $\pm10\%$. The loss is
#
# $$
# L=(1-\lambda)L_{\rm nce}+\lambda L_{\rm sup}+L_{\rm proto},\qquad
# L_{\rm proto}=-\log\frac{\exp(z^\top c_k/\phi_k)}{\sum_j\exp(z^\top c_j/\phi_j)},\qquad\lambda=0.35 .
# $$ (eq-gcd-loss)
#
# $L_{\rm nce}$ asks each view to find its partner in the batch; $L_{\rm sup}$ asks a labelled view to find all of its class. $L_{\rm proto}$ pulls $z$ to the
# prototype of its cluster $k$. The concentration $\phi_k$ is the mean distance to the centre divided by $\log(N_k+10)$, clipped to the 10th and 90th
# percentiles and scaled to a mean of 1.

# %%
LAMBDA, SIDE = 0.35, 10
frame = xp.zeros((pixels.shape[0], SIDE, SIDE), dtype=xp.float32)
frame[:, 1:9, 1:9] = xp.reshape(pixels, (-1, 8, 8))
frame = xp.reshape(frame, (-1, SIDE * SIDE))
CORNER = xp.reshape(SIDE * xp.arange(8)[:, None] + xp.arange(8), (-1,))


def view(rows, rng):
    """Shifted, noisy, brighter or darker copies of images."""
    move = rng.integers(0, 3, (len(rows), 1)) * SIDE + rng.integers(0, 3, (len(rows), 1))
    x = xp.take_along_axis(frame[rows], CORNER + move, axis=1)
    x = x * rng.uniform(0.9, 1.1, (len(rows), 1)) + 0.1 * rng.standard_normal(x.shape)
    return xp.astype(x, xp.float32)


# %%
def nce(h, m, temperature=0.3):
    """Each view finds its partner."""
    scores, partner = h[:m] @ ad.matrix_transpose(h[m:]) / temperature, xp.arange(m)
    return 0.5 * sum(
        ad.mean(ad.cross_entropy(s, partner)) for s in (scores, ad.matrix_transpose(scores))
    )


def sup(h, y, temperature=0.07):
    """Each labelled view finds all others of its class."""
    itself = xp.eye(h.shape[0], dtype=xp.float32)
    same = xp.astype(y[:, None] == y, xp.float32) - itself
    log_p = ad.log_softmax(h @ ad.matrix_transpose(h) / temperature - 1e4 * itself)
    return -ad.mean(ad.sum(same * log_p, axis=1) / xp.sum(same, axis=1))


# %%
def loss(params, x, labelled, y, clusters, c, phi):
    """L; without prototypes if c is None."""
    z = unit(nn.mlp(params["f"], x))
    h = unit(nn.mlp(params["head"], z))
    L = (1 - LAMBDA) * nce(h, x.shape[0] // 2) + LAMBDA * sup(ad.take(h, labelled, axis=0), y)
    if c is not None:
        L = L + ad.mean(ad.cross_entropy(z @ xp.matrix_transpose(c) / phi, clusters))
    return L


# %%
def features(params):
    """Unit features of all images."""
    return xp.astype(unit(nn.mlp(params["f"], xp.astype(pixels, xp.float32))), xp.float64)


def prototypes(Z, fit):
    """Unit centres and their concentrations."""
    K = fit.centres.shape[0]
    d = xp.linalg.vector_norm(Z - fit.centres[fit.labels], axis=1)
    own = member(fit.labels, K)
    N = xp.maximum(xp.sum(own, axis=1), 1.0)
    phi = (own @ d) / N / xp.log(N + 10)
    low, high = np.percentile(to_host(phi), [10, 90])
    phi = xp.clip(phi, low, high)
    return tuple(xp.astype(v, xp.float32) for v in (unit(fit.centres), phi / xp.mean(phi)))


# %%
def recluster(Z, y, fit, K, grow, rng):
    """Clusters of new features, from the old ones; the number may change if `grow`."""
    if fit is None:
        fit = semi_supervised_k_means(Z, y, K, n_init=5, seed=rng)
    K = fit.centres.shape[0]
    fit = refit(Z, y, K, fit.labels, rng, starts=0)
    if not grow:
        return fit
    prior = within(Z, y, 180)
    labels, K = split(Z, y, fit.labels, K, prior, certain, rng)
    labels, K = merge(Z, y, labels, K, prior, certain, rng)
    return refit(Z, y, K, labels, rng, starts=0)


# %%
BATCH, WARM, EPOCHS = 128, 5, scale(default=20, paper=300)
SEEDS_LOOP = range(scale(default=2, paper=5))


def epoch(params, optimiser, y, fit, rng):
    """One pass over the images, with prototypes if there are clusters."""
    c, phi = (None, None) if fit is None else prototypes(features(params), fit)
    clusters = y if fit is None else fit.labels
    order, slope = rng.permutation(y.shape[0]), ad.grad(loss)
    for start in range(0, y.shape[0] - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        both = xp.concat([rows, rows])
        labelled = xp.nonzero(y[both] >= 0)[0]
        x = xp.concat([view(rows, rng), view(rows, rng)])
        grads = slope(params, x, labelled, y[both][labelled], clusters[both], c, phi)
        params = optimiser.step(params, grads)
    return params


# %%
def train(params, y, epochs, rng, K=None, grow=False, told=None):
    """Parameters, clusters, and (K, accuracy) after each epoch; no prototypes if K is None.

    A control has the classes `told` for its clusters.
    """
    steps = epochs * (y.shape[0] // BATCH)
    optimiser, fit, trace = SGD(cosine_decay(0.03, steps), momentum=0.9), None, []
    for _ in range(epochs):
        if K is not None:
            fit = recluster(features(params), y, fit, K, grow, rng)
            trace.append((fit.centres.shape[0], scores_of(fit, y)[0]))
        if told is not None:
            centres = cluster_statistics(features(params), told, K).means
            fit = fit._replace(labels=told, centres=centres)
        params = epoch(params, optimiser, y, fit, rng)
    return params, fit, trace


# %% [markdown]
# Three arms continue from one warm-up of five epochs: **(a)** the contrastive losses alone, clusters once at the end; **(b)** the full loop with $K=10$ given;
# **(c)** the full loop from 15 clusters. SGD with rate $0.03$ and momentum $0.9$, batches of 128; these two and the temperature $0.3$ of $L_{\rm nce}$ were
# chosen on other seeds. A control, **(d)**, is arm (b) with the *true* classes for clusters: the most that prototypes could do.

# %%
def nearest_mean(Z, y):
    """Share of unlabelled old digits that are nearest to the labelled mean of their own class."""
    means = cluster_statistics(Z, y, 5).means
    rows = xp.nonzero((y < 0) & (truth_digits < 5))[0]
    found = xp.argmin(xp.sum((Z[rows][:, None] - means) ** 2, axis=-1), axis=1)
    return float(xp.mean(xp.astype(found == truth_digits[rows], xp.float64)))


# %%
arms, traces, named = {}, [], []
for seed in progress(SEEDS_LOOP, "full loop"):
    rng, y = generator(400 + seed), half_labelled(seed)
    fresh = {"f": nn.mlp_init(rng, [64, 128, 32]), "head": nn.mlp_init(rng, [32, 32])}
    start, _, _ = train(fresh, y, WARM, rng)
    alone, _, _ = train(start, y, EPOCHS - WARM, rng)
    known, fit_b, trace_b = train(start, y, EPOCHS - WARM, rng, K=10)
    unknown, fit_c, trace_c = train(start, y, EPOCHS - WARM, rng, K=15, grow=True)
    traces.append((trace_b, trace_c))
    for name, params in (("untrained", fresh), ("(a)", alone)):
        Z_a = features(params)
        named.append(nearest_mean(Z_a, y))
        told_a = semi_supervised_k_means(Z_a, y, 10, n_init=5, seed=rng)
        arms.setdefault(f"{name}, K given", []).append([10, *scores_of(told_a, y)])
    found = discover(Z_a, y, 15, within(Z_a, y, 180), rng)
    arms.setdefault("(a), K unknown", []).append([found.path[-1], *scores_of(found, y)])
    for name, params, fit in (("(b), K given", known, fit_b), ("(c), K unknown", unknown, fit_c)):
        last = recluster(features(params), y, fit, None, "unknown" in name, rng)
        arms.setdefault(name, []).append([last.centres.shape[0], *scores_of(last, y)])
    rng = generator(500 + seed)
    Z_d = features(train(start, y, EPOCHS - WARM, rng, K=10, told=truth_digits)[0])
    found = discover(Z_d, y, 15, within(Z_d, y, 180), rng)
    arms.setdefault("(d), K unknown", []).append([found.path[-1], *scores_of(found, y)])
arms = {name: np.asarray(values) for name, values in arms.items()}

# %%
arms["pixels, K given"] = np.insert(told[: len(SEEDS_LOOP)], 0, 10, axis=1)
rows = [row(name, numbers(v[:, 0]), v[:, 1:]) for name, v in arms.items()]
table(rows, columns, "Digits with learned features, and with the principal components of pixels")

# %% tags=["hide-input"]
alt = """Two panels over epochs 5 to 20. Left: accuracy of the full loop, K given and K unknown, two
runs each; the curves fall slowly or stay. Right: the number of clusters of the run with K unknown,
falling within a few epochs."""
caption = "The full loop on digits. Left: accuracy on all unlabelled images while training. Right: clusters in arm (c); dashed: ten."
with figure(1, 2, alt=alt, caption=caption, height=3.2) as axes:
    ticks = range(WARM, EPOCHS)
    for k, (trace_b, trace_c) in enumerate(traces):
        for trace, name, style in ((trace_b, "(b)", "C0-"), (trace_c, "(c)", "C1--")):
            label = None if k else name
            axes[0].plot(ticks, [100 * v for _, v in trace], style, label=label)
        axes[1].plot(ticks, [K for K, _ in trace_c], "C1--")
    axes[1].axhline(10, color="gray", ls="--", lw=1)
    axes[0].set(xlabel="epoch", ylabel="accuracy, all (%)", xticks=ticks[::5])
    axes[1].set(xlabel="epoch", ylabel="clusters K", xticks=ticks[::5])
    axes[0].legend()

# %%
mean = {name: v[:, 1].mean() for name, v in arms.items()}
two = {"seeds": len(SEEDS_LOOP)}
gain = mean["(c), K unknown"] - mean["(a), K unknown"]
claims.check("C6.a", "accuracy, all, K unknown: full loop less contrastive losses alone", measured=gain,
             at_least=0.05, paper="improves both", **two,
             not_reproduced="prototypes pull weakly: with the true classes for clusters, too, it is a few points, C6.f")  # fmt: skip
claims.check("C6.d", "the same difference, bounded below", measured=gain, at_least=-0.15, own=True, **two)  # fmt: skip
most = mean["(d), K unknown"] - mean["(a), K unknown"]
claims.report_value("C6.f", "the same difference with the true classes for clusters, arm (d)", measured=most, own=True, **two)
old_gain = np.mean(named[1::2]) - np.mean(named[0::2])
claims.check("C6.b", "unlabelled old digits nearest to their class's mean: trained less untrained encoder",
             measured=old_gain, at_least=0.02, own=True, **two)  # fmt: skip
short = mean["(b), K given"] - mean["pixels, K given"]
claims.check("C6.c", "accuracy, all, K given: full loop less principal components", measured=short,
             at_least=0.02, own=True, **two,
             not_reproduced="an encoder that starts from nothing learns the old classes")  # fmt: skip
claims.check("C6.e", "the same difference, bounded below", measured=short, at_least=-0.25, own=True, **two)  # fmt: skip
say(f"""Training does what its labels say: of the unlabelled old digits {100 * np.mean(named[1::2]):.0f} per cent are nearest
to the mean of their class, and {100 * np.mean(named[0::2]):.0f} per cent before. But over all digits the full loop is
{100 * abs(gain):.1f} points {"above" if gain > 0 else "below"} the contrastive losses alone, which two runs cannot tell from
nothing, and {100 * abs(short):.0f} points below principal components. With prototypes of the true classes the difference
would be {100 * most:+.1f} points: with a mean concentration of 1 the scores $z^\\top c/\\phi$ of unit vectors differ too little to pull.""")

# %% [markdown]
# The supervised loss pulls the old classes together, and new ones that resemble them come along. The prototypes should hold against this. As found they do
# not, and even those of the true classes, with the published concentration, gain a few points at most. The paper starts from features of a large network trained on a
# million images, which separate new classes beforehand, and trains its last block only. Our result says what the loop does without them, not that the paper is
# wrong.
#
# ## Verdict
#
# The heart of the method holds. A closed-form comparison of one Gaussian with two finds the number of classes, though half of them have no name, from half as
# many clusters and from twice as many, and then the classes are as good as with the number given. From below it needs the rescue move: in the code as
# published, an old class can never let go of what it has swallowed.
#
# Two limits are the comparison's own. It does not see classes that are less than about five standard deviations apart, where k-means with the right number
# still does. And it answers relative to a prior: on digits the number follows the scale that the prior expects of a class. That alternating with representation
# learning improves either, we could not reproduce from an encoder without pretraining.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# CIFAR, ImageNet-100, the fine-grained birds, cars and aircraft, and Herbarium, with features of a pretrained transformer: neither data nor weights are
# bundled. The paper's ablations and its estimate for Herbarium were not found. The posterior covariance, which the code only reports, is not used here. A scan
# over the concentration's temperature and over the weight of the prototype loss is not run.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes 200 classes in 64 dimensions with 100 000 points, with the noise in each coordinate lowered so that its total length stays; and
# the full loop on five seeds for 300 epochs, with the same small encoder. Random numbers are drawn on the host. Nothing here has been run on a GPU.
