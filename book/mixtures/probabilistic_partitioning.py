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
# # Probabilistic partitive partitioning
#
# ```{paper-card}
# ```
#
# Run k-means twice and you may get two answers; and before you run it at all, it asks how many clusters
# you want. {cite:t}`probabilistic_partitioning` announces a way out of both. K-means proposes a
# partition, a Gaussian mixture checks it point by point, and what passes is split again, until nothing
# passes. No number of clusters is given, and the abstract says that convergence is *guaranteed*,
# whatever the start.
#
# We could read the title page and the abstract only. They name the ingredients and give no equation, no
# data set and no number. **The algorithm below is our reading of that abstract**; every threshold in it is
# ours, and nothing here should be held against the author or credited to him.
#
# What comes out: on eight groups that are well apart, runs from different seeds do agree, and nobody had
# to say "eight". But k-means that is *told* the number repeats as well. On handwritten digits the same rule with one
# restart of k-means in place of twenty gives answers that often have little in common, and with twenty, two runs still
# differ. Repeatability is bought with restarts. It is not a guarantee.
#
# ## What the paper claims
#
# 1. Repeatability: the result does not depend on the initial conditions.
#    {claims}`C1, C1.a, C1.b, C1.c, C1.d, C1.e, C1.f`
# 2. The number of clusters need not be given. {claims}`C2, C2.a, C2.c`
# 3. K-means does the partitioning and a Gaussian mixture validates it. The validation is tested against a closed
#    form, {claims}`C3, C3.a, C3.b, C3.c`; that the combination beats either alone, against the better of the
#    two. {claims}`C2.b, C2.d`
# 4. The clusters are compact. {claims}`C4`
# 5. The method singles out the most separable part of the data, and that part is easier to cluster than the
#    whole. {claims}`C5, C5.a, C5.b, C5.c, C5.d, C5.e, C5.f`
# 6. It scales: a part of the data is enough, and little is lost. {claims}`C6`
# 7. (Ours.) Partitions are split again, so that more clusters are found than one test can propose.
#    {claims}`C7`
#
# Not tested here: the paper's own data, tables, pseudo-code and its definitions of "separable" and
# "clusterable", none of which the abstract contains.
#
# ## The idea
#
# **Partition.** For $k=2,\dots,q$, k-means cuts the $m$ points of a set $A$ into $k$ parts. It minimises the sum of
# squares
#
# $$
# \mathrm{SSE}=\sum_{i\in A}\min_{j\le k}\|x_i-c_j\|^2
# $$ (eq-ppp-sse)
#
# from $R$ random starts, of which the best is kept. It always returns $k$ parts, whether or not there are any.
#
# **Probability.** A mixture of $k$ Gaussians is then fitted by expectation–maximisation (EM), started from these
# very parts, so that component $j$ belongs to part $j$. Two questions are asked of it. The first is whether
# several Gaussians explain the points better than one, by Schwarz's criterion with $p$ free numbers for each Gaussian,
#
# $$
# \Delta\mathrm{BIC}_k=-2\log\frac{L_k}{L_1}+\bigl[(k-1)p+k-1\bigr]\log m<0 .
# $$ (eq-ppp-bic)
#
# The second is whether the mixture *agrees* with k-means. With the responsibilities $r_{ij}$ (the probability that
# point $i$ comes from component $j$) and the part $z_i$ of k-means, a point is **validated** if
#
# $$
# \arg\max_jr_{ij}=z_i\quad\text{and}\quad\max_jr_{ij}\ge\tau,\qquad
# a_k=\frac{\#\{\text{validated points}\}}m .
# $$ (eq-ppp-agreement)
#
# A split is *valid* if {eq}`eq-ppp-bic` holds and $a_k\ge\alpha$. We take $\tau=\alpha=0.9$ throughout.
#
# **Recursion.** Of the valid splits the one with the smallest $\Delta\mathrm{BIC}_k$ is made, and each of its parts is
# tested in the same way. A set without a valid split is a *leaf*: a cluster. The points that were validated in every
# test on their way to a leaf form the **separable set**. Here $q=6$ limits the branches of one test, not the number of
# clusters.
#
# **What agreement means.** For two equally large round Gaussians whose centres are $\Delta$ standard deviations apart all this
# can be computed. The boundary of k-means and that of the mixture are the same plane, half-way between the
# centres. At distance $|x|$ from it (in standard deviations) the log-odds are $\Delta|x|$, so that a point is validated if it lies on its part's
# side further than $c=\frac1\Delta\log\frac\tau{1-\tau}$ from the plane. A part contains points of both
# Gaussians, hence
#
# $$
# a(\Delta)=\Phi\Bigl(\frac\Delta2-c\Bigr)+\Phi\Bigl(-\frac\Delta2-c\Bigr)
# $$ (eq-ppp-closed)
#
# in any dimension. Asking for $a\ge0.9$ is asking for a distance, and {eq}`eq-ppp-closed` says which.
#
# ## The method in code
#
# Everything below works on all candidates at once: an array of centres has the shape (run, $q$, $d$), where a
# run is one start for one $k$, and centres beyond the $k$-th are absent.

# %%
import math
import time
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, davies_bouldin_score, silhouette_score

from gaussbook import data
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.mixture import GaussianMixture, component_log_densities, k_means
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("probabilistic_partitioning")

# %%
xp = backend()
transpose = xp.matrix_transpose
q = scale(default=6, paper=8)
R = 20
TAU = ALPHA = 0.9


# %% [markdown]
# **Starts.** K-means++ (Arthur and Vassilvitskii, 2007) draws each next centre with a probability proportional to
# the squared distance from the nearest centre so far.

# %%
def first_centres(X, runs, size, rng):
    """`size` spread-out points of X for every run: an array (runs, size, d)."""
    chosen = xp.asarray(rng.integers(0, X.shape[0], runs))
    C = xp.take(X, chosen, axis=0)[:, None, :]
    nearest = xp.full((runs, X.shape[0]), math.inf)
    for _ in range(size - 1):
        nearest = xp.minimum(nearest, xp.sum((X - C[:, -1:, :]) ** 2, axis=2))
        mass = xp.cumulative_sum(nearest, axis=1)
        level = xp.asarray(rng.random((runs, 1))) * mass[:, -1:]
        chosen = xp.sum(xp.astype(mass < level, xp.int64), axis=1)
        C = xp.concat([C, xp.take(X, chosen, axis=0)[:, None, :]], axis=1)
    return C


# %% [markdown]
# **Lloyd's iteration** assigns each point to its nearest centre and moves each centre to the mean of its
# points; both steps lower {eq}`eq-ppp-sse`. Runs whose centres rest are left alone. With a column of ones beside $X$, one product gives
# $\|c_j\|^2-2c_j^\top x_i$ for all pairs, and another the sums and the sizes of all parts.

# %%
def assign(X1, C):
    """Membership (run, k, n) in the nearest centre, and squares less |x|^2; X1 is (X, 1)."""
    runs, k, d = C.shape
    c1 = xp.concat([-2 * C, xp.sum(C**2, axis=2, keepdims=True)], axis=2)
    squares = xp.reshape(c1, (runs * k, d + 1)) @ transpose(X1)
    squares = xp.reshape(squares, (runs, k, X1.shape[0]))
    least = xp.min(squares, axis=1, keepdims=True)
    return xp.astype(squares == least, xp.float64), least[:, 0, :]


def lloyd(X1, C, tolerance, sweeps=100):
    """Centres at rest."""
    moving, (_, k, d) = xp.arange(C.shape[0]), C.shape
    while moving.shape[0] and sweeps:
        before = xp.take(C, moving, axis=0)
        members, _ = assign(X1, before)
        sums = xp.reshape(members, (-1, X1.shape[0])) @ X1
        sums = xp.reshape(sums, (moving.shape[0], k, d + 1))
        after = sums[..., :d] / xp.maximum(sums[..., d:], xp.asarray(1.0))
        after = xp.where(sums[..., d:] > 0, after, before)
        C[moving, ...] = after
        moved = xp.sum((after - before) ** 2, axis=(1, 2)) > tolerance
        moving, sweeps = xp.take(moving, xp.nonzero(moved)[0]), sweeps - 1
    return C


# %% [markdown]
# The first $k$ of $q$ spread-out points are a start for $k$ parts, so $R$ draws serve all $k$.

# %%
def partitions(X, ks, restarts, rng):
    """The best of `restarts` runs of k-means for every k: labels (len(ks), n) and their SSE."""
    starts, X1 = first_centres(X, restarts, max(ks), rng), xp.concat([X, xp.ones((X.shape[0], 1))], axis=1)
    tolerance, z, sse = 1e-4 * float(xp.mean(xp.var(X, axis=0))), [], []
    for k in ks:
        members, squares = assign(X1, lloyd(X1, xp.asarray(starts[:, :k, :], copy=True), tolerance))
        of_run = xp.sum(X**2) + xp.sum(squares, axis=1)
        best = xp.argmin(of_run)
        z.append(xp.argmax(members[best, ...], axis=0))
        sse.append(float(of_run[best]))
    return xp.stack(z), sse


# %% [markdown]
# **Expectation–maximisation.** With $r_{ij}$ fixed, the best Gaussians have
#
# $$
# w_j=\frac1m\sum_ir_{ij},\qquad\mu_j=\frac{\sum_ir_{ij}x_i}{\sum_ir_{ij}},\qquad
# \Sigma_j=\frac{\sum_ir_{ij}x_ix_i^\top}{\sum_ir_{ij}}-\mu_j\mu_j^\top+\lambda I ,
# $$ (eq-ppp-em)
#
# and with the Gaussians fixed, $\log r_{ij}$ is $\log w_jN(x_i\mid\mu_j,\Sigma_j)$ up to a constant of the point. The floor
# $\lambda$ is $10^{-4}$ of the mean variance. The log-density is quadratic in $x$, so both steps are products with one matrix $F$
# whose rows are $(1,x_i,x_ix_i^\top)$. `shape` is a matrix of ones for full covariances and the identity for diagonal ones.

# %%
def maximise(r, F, shape, floor):
    """M-step: coefficients of the rows of F in log w_j N(x | mu_j, Sigma_j)."""
    d = shape.shape[0]
    sums = r @ F
    w = sums[..., 0] / F.shape[0]
    moments = sums[..., 1:] / xp.maximum(sums[..., :1], xp.asarray(1e-9))
    mu, second = moments[..., :d], xp.reshape(moments[..., d:], (*w.shape, d, d))
    Sigma = shape * (second - mu[..., :, None] * mu[..., None, :]) + floor * xp.eye(d)
    L = xp.linalg.cholesky(Sigma)
    half = xp.linalg.solve(L, xp.broadcast_to(xp.eye(d), L.shape))  # L^-1
    P = transpose(half) @ half
    linear = (P @ mu[..., None])[..., 0]
    constant = xp.sum(xp.log(xp.linalg.diagonal(half)), axis=-1) - d / 2 * math.log(2 * math.pi)
    constant = constant - xp.sum(linear * mu, axis=-1) / 2
    log_w = xp.where(w > 0, xp.log(xp.maximum(w, xp.asarray(1e-300))), -math.inf)
    quadratic = xp.reshape(-P / 2, (*w.shape, d * d))
    return xp.concat([(constant + log_w)[..., None], linear, quadratic], axis=-1)


# %% [markdown]
# We alternate at most 60 times, or until no mixture's $\log L$ gains as much as 0.1.

# %%
def em(r, X, shape, sweeps=60):
    """Responsibilities (k, q, n) and log-likelihoods (k,) of mixtures started from shares r."""
    n, d = X.shape
    F = xp.concat(
        [xp.ones((n, 1)), X, xp.reshape(X[:, :, None] * X[:, None, :], (n, d * d))], axis=1
    )
    floor, before = 1e-4 * float(xp.mean(X**2)), -math.inf
    for _ in range(sweeps):
        joint = maximise(r, F, shape, floor) @ transpose(F)
        top = xp.max(joint, axis=1, keepdims=True)
        r = xp.exp(joint - top)
        total = xp.sum(r, axis=1, keepdims=True)
        r, log_L = r / total, xp.sum(xp.log(total) + top, axis=(1, 2))
        if float(xp.max(xp.abs(log_L - before))) < 0.1:
            break
        before = log_L
    return r, log_L


# %% [markdown]
# **The test of one set.** $p=d+d(d+1)/2$ with full covariances. A set of fewer than $10p$ points cannot carry them and
# gets diagonal ones, $p=2d$, in all its models. A split into parts of fewer than $d+2$ points, or with a component that has shrunk to so few,
# is not valid.

# %%
class Node(NamedTuple):
    """One tested set: its points, its depth, the chosen k (1 for a leaf), and the evidence for k = 2…q."""

    rows: np.ndarray
    level: int
    k: int
    a: np.ndarray
    dbic: np.ndarray
    valid: list
    z: np.ndarray
    r: np.ndarray


def validated(z, r):
    """Which points the mixtures validate, for every k."""
    return (xp.argmax(r, axis=1) == z) & (xp.max(r, axis=1) >= TAU)


# %%
def evidence(X, rng, restarts):
    """Labels, responsibilities, Delta BIC and the smallest part, for k = 2…q."""
    n, d = X.shape
    full = n >= 10 * (d + d * (d + 1) // 2)
    p = d + d * (d + 1) // 2 if full else 2 * d
    shape = xp.ones((d, d)) if full else xp.eye(d)
    ks = np.arange(2, q + 1)
    z, _ = partitions(X, ks, restarts, rng)
    start = xp.astype(z[:, None, :] == xp.arange(q)[:, None], xp.float64)
    r, log_L = em(start, X, shape)
    _, log_L1 = em(xp.ones((1, 1, n)), X, shape, sweeps=1)
    dbic = -2 * to_host(log_L - log_L1) + (ks - 1) * (p + 1) * math.log(n)
    sizes = to_host(xp.minimum(xp.sum(start, axis=2), xp.sum(r, axis=2)))
    smallest = np.where(np.arange(q) < ks[:, None], sizes, math.inf).min(axis=1)
    return z, r, dbic, smallest


# %%
def test(X, rows, level, rng, restarts):
    """Test one set of points: the Node."""
    X = xp.take(X, to_device(rows), axis=0)
    z, r, dbic, smallest = evidence(X - xp.mean(X, axis=0), rng, restarts)
    a = to_host(xp.mean(xp.astype(validated(z, r), xp.float64), axis=1))
    good = (dbic < 0) & (a >= ALPHA) & (smallest >= X.shape[1] + 2)
    valid = [k for k in range(2, q + 1) if good[k - 2]]
    k = min(valid, key=lambda k: dbic[k - 2]) if valid else 1
    return Node(rows, level, k, a, dbic, valid, z, r)


# %% [markdown]
# **The recursion.** Sets of fewer than $4(d+1)$ points are leaves without a test.

# %%
class Partition(NamedTuple):
    """Clusters 0, 1, …; which points are in the separable set; the tested nodes, root first."""

    labels: np.ndarray
    separable: np.ndarray
    nodes: list


def ppp(X, rng, restarts=R):
    """Probabilistic partitive partitioning of the rows of X."""
    n, d = X.shape
    labels, separable, nodes = np.zeros(n, int), np.ones(n, bool), []
    waiting, leaves = [(np.arange(n), 0)], 0
    while waiting:
        rows, level = waiting.pop(0)
        node = test(X, rows, level, rng, restarts) if len(rows) >= 4 * (d + 1) else None
        nodes += [node] if node else []
        if node is None or node.k == 1:
            labels[rows], leaves = leaves, leaves + 1
            continue
        part = to_host(node.z[node.k - 2, :])
        separable[rows] &= to_host(validated(node.z, node.r)[node.k - 2, :])
        waiting += [(rows[part == j], level + 1) for j in range(node.k)]
    return Partition(labels, separable, nodes)


# %% [markdown]
# ## Experiments
#
# ### Do two runs agree?
#
# Eight round groups of 80 points with unit variance, their centres on a 2 × 4 grid of spacing 8, each moved by up
# to 1.5 in both coordinates; three such data sets. Every method is run six times on each. A run takes *all* its random numbers
# from one seed, and it sees the rows in another order, so that a seed frozen somewhere inside a
# method cannot pass for repeatability. Agreement is the adjusted Rand index (ARI): 1 for equal partitions, 0 on average for
# unrelated ones. K-means and the mixture are *told* that there are eight groups.

# %%
def grid_of_groups(seed, per_group=80):
    """Eight groups on a jittered grid: points and groups."""
    rng = generator(seed)
    corners = np.asarray([(i, j) for i in range(4) for j in range(2)])
    centres = to_device(8.0 * corners) + rng.uniform(-1.5, 1.5, (8, 2))
    y = np.repeat(np.arange(8), per_group)
    return xp.take(centres, to_device(y), axis=0) + rng.standard_normal((len(y), 2)), y


def repeat(cluster, X, seeds):
    """Labels (seed, n) of runs with their own draws and their own order of the rows."""
    runs = np.empty((len(seeds), X.shape[0]), int)
    for run, seed in zip(runs, seeds, strict=True):
        rng = generator(seed)
        order = rng.host.permutation(X.shape[0])
        run[order] = to_host(cluster(xp.take(X, to_device(order), axis=0), rng))
    return runs


def between_runs(runs):
    """ARI of all pairs of runs."""
    return np.asarray([adjusted_rand_score(a, b) for a, b in combinations(runs, 2)])


# %%
def k_means_random(X, rng):
    """Lloyd's iteration from eight points drawn at random."""
    chosen = to_device(rng.host.permutation(X.shape[0])[:8])
    return k_means(X, 8, init=xp.take(X, chosen, axis=0)).labels


def mixture_random(X, rng):
    """EM from random responsibilities."""
    return GaussianMixture(8, init_params="random", random_state=rng).fit_predict(X)


METHODS = {
    "PPP": lambda X, rng: ppp(X, rng).labels,
    "k-means, random start": k_means_random,
    "k-means++, one start": lambda X, rng: k_means(X, 8, seed=rng).labels,
    "k-means++, best of 100": lambda X, rng: partitions(X, [8], 100, rng)[0][0, :],
    "mixture, random start": mixture_random,
}

# %%
sets, SEEDS = [grid_of_groups(seed) for seed in range(3)], range(10, scale(default=16, paper=60))
runs = {
    name: [repeat(cluster, X, SEEDS) for X, _ in sets]
    for name, cluster in progress(METHODS.items(), "repeatability")
}
repeats = {name: np.mean([between_runs(r) for r in of]) for name, of in runs.items()}
to_truth = [
    adjusted_rand_score(y, run) for (_, y), r in zip(sets, runs["PPP"], strict=True) for run in r
]
trees = [ppp(X, generator(SEEDS[0])) for X, _ in sets]
say(f"Seeds of the runs: {', '.join(map(str, SEEDS))}.")


# %% tags=["hide-input"]
def draw_tree(ax, X, partition):
    """Points coloured by the first split, the tree of centres, and the points left out."""
    X, colours = to_host(X), list(PALETTE.values())
    root, others = partition.nodes[0], partition.nodes[1:]
    branch = to_host(root.z[root.k - 2, :]) if root.k > 1 else np.zeros(len(X), int)
    ax.scatter(*X.T, c=[colours[b] for b in branch], s=4)
    ax.plot(*X[~partition.separable].T, "kx", ms=5, label="not validated")
    for node in others:
        parents = [p for p in partition.nodes if p.level == node.level - 1]
        (above,) = [p for p in parents if np.isin(node.rows[0], p.rows)]
        ends = np.stack([X[above.rows].mean(axis=0), X[node.rows].mean(axis=0)])
        ax.plot(*ends.T, "-", color="black", lw=2.5 - node.level)
        ax.plot(*ends[1], "o", color="white", mec="black", ms=7)
    ax.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")


# %% tags=["hide-input"]
alt = """Left: eight groups of points in two rows of four. Black lines lead from the middle of all
points to six circles, and from two of these on to two circles each, so that every group has one. A
few points between groups are crossed out. Right: bars of the agreement between runs. PPP and
k-means++ nearly fill the scale, k-means from a random start reaches less, the mixture from a random
start least."""
caption = r"""Left: the tree of one run; circles are the nodes below the root, colours the parts of the first
split, crosses the points that are not in the separable set. Right: mean ARI between two runs on the same data, over three data
sets. All but PPP are told the number of groups."""
with figure(1, 2, alt=alt, caption=caption, width=9.6, height=3.4) as axes:
    draw_tree(axes[0], sets[1][0], trees[1])
    axes[1].barh(list(repeats), list(repeats.values()), color=PALETTE["blue"])
    axes[1].invert_yaxis()
    axes[1].set(xlabel="mean ARI between two runs", ylabel="method", xlim=(0, 1))

# %%
claims.check(
    "C1", "E1: mean ARI between two runs of PPP", measured=repeats["PPP"],
    at_least=0.98, seeds=len(SEEDS), paper="independent of initial conditions",
)  # fmt: skip
claims.check(
    "C1.a", "E1: mean ARI between two runs of k-means from random starts, K given",
    measured=repeats["k-means, random start"], at_most=0.93, seeds=len(SEEDS), own=True,
)  # fmt: skip
claims.check(
    "C1.b", "E1: mean ARI between PPP and the true groups", measured=np.mean(to_truth),
    at_least=0.97, seeds=len(SEEDS), own=True,
)  # fmt: skip
claims.check(
    "C1.c", "E1: ARI between runs, PPP minus the best of 100 starts of k-means, K given",
    measured=repeats["PPP"] - repeats["k-means++, best of 100"],
    equals=0, within=0.02, seeds=len(SEEDS), own=True,
)  # fmt: skip
again = [
    np.max(np.abs(node.a - np.mean(to_host(validated(node.z, node.r)), axis=1)))
    for tree in trees for node in tree.nodes
]  # fmt: skip
claims.check(
    "C3.c", "E1: stored agreement against that of the stored labels and responsibilities",
    measured=max(again, default=math.inf), at_most=1e-12, own=True,
)  # fmt: skip


# %% [markdown]
# PPP repeats, and it finds the groups, more of them than one of its tests can propose. That is no advantage over
# k-means that is told the number and started a hundred times, and hardly one over a single start of the library's k-means++, which is
# choosier than ours: it tries several candidates for each centre. What PPP adds is that nobody told it.
#
# ### The price of the guarantee
#
# Only where k-means finds the same optimum every time can PPP find the same tree. How often it does is a matter of
# the restarts $R$, and of the data. On the handwritten digits (1797 images, ten principal components) there is no
# clear optimum to find.

# %%
def digits_10():
    """Ten principal components of the digits, and the classes."""
    digits = data.table("digits")
    return to_device(PCA(10, random_state=0).fit_transform(digits.data)), digits.target


pixels, _ = digits_10()
DIGIT_SEEDS = range(30, scale(default=35, paper=80))
on_digits = {
    m: repeat(lambda X, rng, m=m: ppp(X, rng, restarts=m).labels, pixels, DIGIT_SEEDS)
    for m in progress((1, R), "digits")
}
found = [run.max() + 1 for run in on_digits[R]]
pairs = between_runs(on_digits[R])

# %%
rows = [(f"digits, R = {m}", between_runs(r).mean(), between_runs(r).min()) for m, r in on_digits.items()]
rows.append((f"eight groups, R = {R}", repeats["PPP"], min(between_runs(r).min() for r in runs["PPP"])))
table(rows, ["data and restarts", "mean ARI between runs", "smallest"], "What restarts buy")
work = [len(tree.nodes) * (q - 1) for tree in trees]
say(f"""One run on the eight groups fits {np.mean(work):.0f} mixtures and starts k-means
{R * np.mean(work):.0f} times; to be told the number would save nearly all of it. On the digits the runs with {R}
restarts end with {", ".join(map(str, found))} clusters.""")
claims.check(
    "C1.d", "digits, R = 1: mean ARI between two runs", measured=between_runs(on_digits[1]).mean(),
    at_most=0.9, seeds=len(DIGIT_SEEDS), own=True,
)  # fmt: skip
claims.check(
    "C1.e", f"digits, R = {R}: pairs of runs with the same partition",
    measured=100 * np.mean(pairs == 1), at_least=100, unit="%", seeds=len(DIGIT_SEEDS),
    paper="convergence is guaranteed",
    not_reproduced="k-means is a heuristic, and hard thresholds turn small differences into other trees",
)  # fmt: skip
claims.check(
    "C1.f", f"digits, R = {R}: smallest ARI between two runs", measured=pairs.min(), at_least=0.6,
    seeds=len(DIGIT_SEEDS), own=True,
)  # fmt: skip


# %% [markdown]
# There is no theorem to lean on. The best of $R$ starts is the optimum with a probability that
# grows with $R$ and is unknown for any given data. And a rule with thresholds can amplify: an agreement
# just below 0.9 in one run and just above it in the next makes two different trees.
#
# ### What the validation measures
#
# Two Gaussians in three dimensions, 1000 points each, $\Delta$ standard deviations apart; five data sets for every $\Delta$.
# The agreement $a_2$ should follow {eq}`eq-ppp-closed`, whatever the dimension. For two groups five restarts are plenty.

# %%
def closed_form(Delta):
    """a(Delta) of two balanced round Gaussians."""
    c = math.log(TAU / (1 - TAU)) / Delta
    return norm.cdf(Delta / 2 - c) + norm.cdf(-Delta / 2 - c)


def two_groups(Delta, rng, n=2000):
    X = rng.standard_normal((n, 3))
    X[n // 2 :, 0] += Delta
    return X


DELTAS, FIVE = (2, 3, 3.5, 4, 4.5, 5, 6), range(20, 25)
roots = {
    Delta: [test(two_groups(Delta, g), np.arange(2000), 0, g, 5) for g in map(generator, FIVE)]
    for Delta in progress(DELTAS, "two Gaussians")
}
a_2 = {Delta: np.asarray([node.a[0] for node in nodes]) for Delta, nodes in roots.items()}
dbic_2 = {Delta: np.asarray([node.dbic[0] for node in nodes]) for Delta, nodes in roots.items()}
switch = brentq(lambda Delta: closed_form(Delta) - ALPHA, 2, 6)

# %% tags=["hide-input"]
alt = """The agreement against the distance of two Gaussians: it rises along the closed form from
0.5 at distance 2 to almost 1 at 6. Below the crossing with 0.9 points are hollow: the set stays
whole. Above they are full: it is split."""
caption = r"""Agreement $a_2$ of k-means and mixture, five data sets for every distance, and the closed form
{eq}`eq-ppp-closed`. Full: the set is split. Hollow: it is left whole, although BIC prefers two Gaussians at every
distance from 3 on."""
with figure(alt=alt, caption=caption, width=6.0, height=3.4) as ax:
    grid = np.linspace(1.8, 6.2, 100)
    ax.plot(grid, closed_form(grid), color=PALETTE["blue"], label="closed form")
    ax.axhline(ALPHA, color="gray", ls="--", label="α = 0.9")
    for Delta, nodes in roots.items():
        for node in nodes:
            face = PALETTE["vermilion"] if node.k > 1 else "none"
            ax.plot(Delta, node.a[0], "o", mfc=face, mec=PALETTE["vermilion"], ms=5)
    ax.set(xlabel="distance Δ (standard deviations)", ylabel="agreement a₂")
    ax.legend(loc="lower right")

# %%
off = {Delta: abs(a_2[Delta].mean() - closed_form(Delta)) for Delta in (3, 4, 5)}
claims.check(
    "C3", "E3, Δ = 3, 4, 5: mean agreement, largest distance from the closed form",
    measured=max(off.values()), at_most=0.03, seeds=5, own=True,
)  # fmt: skip
claims.check(
    "C3.a", "E3, Δ = 3: largest ΔBIC of two Gaussians against one", measured=dbic_2[3].max(),
    at_most=-50, seeds=5, own=True,
)  # fmt: skip
leaves = [ppp(two_groups(4.5, g), g, restarts=5).labels.max() + 1 for g in map(generator, FIVE)]
right = [node.k == 1 for node in roots[3]] + [K == 2 for K in leaves]
claims.check(
    "C3.b", "E3: data sets left whole at Δ = 3 and cut in two at Δ = 4.5, of ten",
    measured=sum(right), equals=10, seeds=5, paper="a mixture validates the partition",
)  # fmt: skip
say(f"""At Δ = 3 BIC prefers two Gaussians by {-dbic_2[3].max():.0f} to {-dbic_2[3].min():.0f}, and the set is left
whole all the same. The rule α = 0.9 is a distance of {switch:.2f} standard deviations. At Δ = 3.5 it cuts
{sum(node.k > 1 for node in roots[3.5])} of 5 data sets, at Δ = 4
{sum(node.k > 1 for node in roots[4])}.""")


# %% [markdown]
# So the validation is not a better BIC. It asks another question: not whether there *are* several Gaussians, but
# whether one can tell for nine points in ten, with nine parts in ten of certainty, which one a point came from.
#
# ### How many clusters?
#
# Groups of 60 points in two and in five dimensions, their centres drawn in a box at least 7 standard deviations apart;
# and twenty single Gaussians of 200 points, half of them in either dimension. The ingredients are asked as well: BIC over mixtures of 1 to 15
# Gaussians, for each kind of covariance, and k-means with the number of the best *silhouette* (a point's distance to the nearest other cluster minus
# that to its own, divided by the larger of the two, on average).

# %%
def centres_apart(K, d, gap, rng):
    """K uniform centres in a box, none closer than gap to another."""
    side, C = 1.5 * gap * K ** (1 / d), np.empty((0, d))
    while len(C) < K:
        c = rng.host.uniform(0, side, d)
        if np.all(np.sum((C - c) ** 2, axis=1) >= gap**2):
            C = np.vstack([C, c])
    return to_device(C)


def groups(C, n, rng):
    """n points around centres C, evenly, in a random order; and their groups."""
    y = rng.host.permutation(np.arange(n) % C.shape[0])
    return xp.take(C, to_device(y), axis=0) + rng.standard_normal((n, C.shape[1])), y


# %%
def by_silhouette(X, rng, most=15):
    """The number of clusters of k-means with the best silhouette."""
    ks, D = np.arange(2, most + 1), to_host(X)
    z = to_host(partitions(X - xp.mean(X, axis=0), ks, R, rng)[0])
    return int(ks[np.argmax([silhouette_score(D, labels) for labels in z])])


def by_bic(X, kind, rng, most=15):
    """The number of components with the smallest BIC."""
    fits = [
        GaussianMixture(k, covariance_type=kind, random_state=rng, n_init=N_INIT).fit(X)
        for k in range(1, most + 1)
    ]
    return 1 + int(np.argmin([fit.bic(X) for fit in fits]))


# %%
N_INIT = scale(default=1, paper=3)
KINDS = ("full", "diag", "spherical")
cases = [(K, d, s) for d in (2, 5) for K in (2, 5, 8, 12) for s in range(scale(default=2, paper=4))]
estimates, levels = [], []
for K, d, s in progress(cases, "number of clusters"):
    rng = generator(1000 * d + 10 * K + s)
    X, _ = groups(centres_apart(K, d, 7.0, rng), 60 * K, rng)
    tree = ppp(X, rng)
    kinds = [by_bic(X, kind, rng) for kind in KINDS]
    estimates.append([K, tree.labels.max() + 1, by_silhouette(X, rng), *kinds])
    levels.append(1 + max((node.level for node in tree.nodes if node.k > 1), default=-1))
singles = []
for s in range(20):
    rng = generator(300 + s)
    singles.append(ppp(rng.standard_normal((200, (2, 5)[s % 2])), rng))

# %%
estimates = np.asarray(estimates)
miss = np.abs(estimates[:, 1:] - estimates[:, :1])
names = ["PPP", "silhouette of k-means", *(f"BIC, {kind} covariances" for kind in KINDS)]
rows = []
for name, column, off in zip(names, estimates[:, 1:].T, miss.T, strict=True):
    found = [", ".join(map(str, np.unique(column[estimates[:, 0] == K]))) for K in (2, 5, 8, 12)]
    rows.append((name, *found, 100 * np.mean(off == 0), 100 * np.mean(off <= 1)))
columns = ["method", *(f"K = {K}" for K in (2, 5, 8, 12)), "exact (%)", "within one (%)"]
table(rows, columns, "The numbers of clusters that were estimated, and how often they were right")

# %%
exact = np.mean(miss == 0, axis=0)
deep = [level for level, (K, _, _) in zip(levels, cases, strict=True) if K > q]
claims.check(
    "C2", "E2: share of data sets whose number of groups PPP finds", measured=100 * exact[0],
    at_least=60, unit="%", seeds=len(cases), paper="the number need not be given",
)  # fmt: skip
claims.check(
    "C2.a", "E2: share in which PPP is at most one off", measured=100 * np.mean(miss[:, 0] <= 1),
    at_least=90, unit="%", seeds=len(cases), own=True,
)  # fmt: skip
claims.check(
    "C2.c", "E2: single Gaussians without a valid split, of 20",
    measured=sum(len(tree.nodes) > 0 and not tree.nodes[0].valid for tree in singles),
    at_least=18, seeds=20, own=True,
)  # fmt: skip

# %%
claims.check(
    "C2.b", "E2: exact share, PPP minus the better of silhouette and BIC",
    measured=100 * (exact[0] - exact[1:].max()), at_least=5, unit="points", seeds=len(cases),
    paper="better than either alone",
    not_reproduced="one of the ingredients finds the number as often: groups so far apart leave no room",
)  # fmt: skip
claims.check(
    "C2.d", "E2: the same difference, from below", measured=100 * (exact[0] - exact[1:].max()),
    at_least=-50, unit="points", seeds=len(cases), own=True,
)  # fmt: skip
claims.check(
    "C7", "E2: smallest number of levels of splits where there are more than q groups",
    measured=min(deep), at_least=2, seeds=len(deep), own=True,
)  # fmt: skip


# %% [markdown]
# PPP finds the number without being told, and so does the silhouette of plain k-means. Where BIC errs here it asks for one too
# many: with a single start for each number, the fit with the right number can miss a group, and one more component repairs
# that at a small price. The combination is a good method; it is not better than the better of its parts on groups like these.
#
# ### The most separable part
#
# Five groups of 200 points at the corners of a pentagon whose sides are 4.5 standard deviations: each overlaps two
# others. Dropping the points that were not validated should leave clearer clusters. Two controls keep us honest: the
# same number of points dropped *at random*, and dropped by plain k-means, namely those with the smallest *margin* between
# the nearest and the second nearest centre. Anyone who drops what lies between clusters gets a better silhouette. The
# *Hopkins statistic* needs no labels: it compares the distances to the nearest point from random places with those from the points
# themselves, and is one half without clusters and near one with strong ones.

# %%
def pentagon(side, n, rng):
    """Five overlapping groups around the corners of a pentagon."""
    angles = 2 * math.pi * np.arange(5) / 5
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return groups(to_device(corners * side / 2 / math.sin(math.pi / 5)), n, rng)


def by_margin(X, K, keep, rng):
    """Labels of k-means, and the `keep` points with the largest margin."""
    if K == 1:
        return np.zeros(X.shape[0], int), np.ones(X.shape[0], bool)
    centres = k_means(X, K, n_init=5, seed=rng).centres
    distances = np.sqrt(np.sum((to_host(X)[:, None, :] - to_host(centres)) ** 2, axis=2))
    order = np.sort(distances, axis=1)
    kept = np.zeros(len(order), bool)
    kept[np.argsort(order[:, 0] - order[:, 1])[:keep]] = True
    return np.argmin(distances, axis=1), kept


# %%
def hopkins(X, rng, most=200):
    """Nearest distances from random places over those from places and points: 1/2 if unclustered."""
    tree, m = cKDTree(X), min(most, len(X) // 2)
    places = rng.host.uniform(X.min(axis=0), X.max(axis=0), (m, X.shape[1]))
    u = tree.query(places)[0].sum()
    w = tree.query(X[rng.host.permutation(len(X))[:m]], k=2)[0][:, 1].sum()
    return u / (u + w)


def silhouette(X, labels, kept):
    """Mean silhouette of the kept points among themselves; 0 for a single cluster."""
    several = len(np.unique(labels[kept])) > 1
    return silhouette_score(X[kept], labels[kept]) if several else 0.0


# %%
def separable_set(X, y, rng):
    """Share kept; silhouette, Hopkins and ARI of whole and part; gains of the two controls."""
    tree = ppp(X, rng)
    labels, part, whole, D = tree.labels, tree.separable, np.ones(len(y), bool), to_host(X)
    at_random = rng.host.permutation(part)
    z, kept = by_margin(X, labels.max() + 1, part.sum(), rng)
    base = silhouette(D, labels, whole)
    return {
        "clusters": labels.max() + 1,
        "kept": part.mean(),
        "silhouette": base,
        "of the part": silhouette(D, labels, part),
        "random": silhouette(D, labels, at_random) - base,
        "margin": silhouette(D, z, kept) - silhouette(D, z, whole),
        "Hopkins": hopkins(D, rng),
        "Hopkins, part": hopkins(D[part], rng),
        "ARI": adjusted_rand_score(y, labels),
        "ARI, part": adjusted_rand_score(y[part], labels[part]),
    }


# %%
def standardised(name):
    X = data.table(name).data
    return (X - X.mean(axis=0)) / X.std(axis=0)


REAL = {name: data.table(name).data for name in ("iris", "wine", "digits", "breast_cancer")}
REAL["wine"], REAL["digits"] = standardised("wine"), pixels
REAL["breast_cancer"] = PCA(5, random_state=0).fit_transform(standardised("breast_cancer"))
pentagons = [separable_set(*pentagon(4.5, 1000, g), g) for g in map(generator, range(40, 45))]
real = {
    name: separable_set(to_device(X), data.table(name).target, generator(45))
    for name, X in REAL.items()
}

# %%
average = {key: np.mean([p[key] for p in pentagons]) for key in pentagons[0]}
columns = {"five groups": average, **real}
table(
    [(key, *(found[key] for found in columns.values())) for key in average],
    ["", *(name.replace("_", " ") for name in columns)],
    "The separable set: silhouettes, Hopkins statistics and ARI to the true classes of the whole and "
    "of the part; gains of the silhouette if as many points are kept at random or by margin",
)

# %%
gains = np.asarray([p["of the part"] - p["silhouette"] for p in pentagons])
gain = gains.mean()
higher = [found["of the part"] > found["silhouette"] for found in real.values()]
claims.check(
    "C5", "E4, five groups: gain in silhouette of the separable set", measured=gain, at_least=0.03,
    seeds=5, spread=gains.std(ddof=1) / math.sqrt(5), paper="the most separable set",
)  # fmt: skip
claims.check(
    "C5.a", "E4, five groups: share of points kept", measured=100 * average["kept"], at_least=60,
    unit="%", seeds=5, own=True,
)  # fmt: skip
claims.check(
    "C5.d", "E4, five groups: gain of a random subset of the same size",
    measured=average["random"], equals=0, within=0.01, seeds=5, own=True,
)  # fmt: skip

# %%
claims.check(
    "C5.b", "E4, five groups: gain over that of dropping as many by margin",
    measured=gain / average["margin"], between=(0.5, 1.3), seeds=5, own=True,
)  # fmt: skip
claims.check(
    "C5.c", "E4, five groups: gain in ARI to the true groups",
    measured=average["ARI, part"] - average["ARI"], at_least=0.02, seeds=5, own=True,
)  # fmt: skip
refused = [
    tree.separable[node.rows] & ~to_host(validated(node.z, node.r)[node.k - 2, :])
    for tree in trees for node in tree.nodes if node.k > 1
]  # fmt: skip
claims.check(
    "C5.f", "E1: points of the separable sets that a test on their way did not validate",
    measured=sum(np.sum(points) for points in refused), equals=0, own=True,
)  # fmt: skip
claims.check(
    "C5.e", "E4: real data sets whose separable set has the larger silhouette, of 4",
    measured=sum(higher), at_least=2, paper="the most separable set",
)  # fmt: skip

# %% [markdown]
# The separable set is clearer, and its labels are right more often. But plain k-means does as well by its margin: the
# gain comes from dropping what lies in between, and the mixture is not needed for that. The Hopkins statistic
# hardly moves: few points are dropped, and the clusters stay where they are. What the mixture
# adds is the refusal. The breast-cancer data are left whole, where k-means and its margin would "find" two clusters
# and clear the space between them. Of the three classes of iris PPP tells two apart, and its clusters of the digits are
# not the ten digits: classes are not Gaussian clusters, and no threshold was turned to make them so.
#
# What happens when the groups move together?

# %%
rows = []
for side in (3, 4, 5):
    X, y = pentagon(side, 1000, generator(46))
    seen = repeat(METHODS["PPP"], X, range(47, 50))
    counts = ", ".join(map(str, np.unique(seen.max(axis=1) + 1)))
    rows.append((side, counts, between_runs(seen).mean(), adjusted_rand_score(y, seen[0])))
columns = ["side (standard deviations)", "clusters", "ARI between runs", "ARI to the groups"]
table(rows, columns, "The pentagon by its side: one data set each, three runs")


# %% [markdown]
# At three standard deviations PPP declines to cut, and that answer repeats perfectly, too. *Repeatable* and *right*
# are different things: one cluster for everything is the most repeatable answer there is. Where runs differ is in
# between, near the distance at which the rule begins to cut, and the data do not tell whether they lie there.
#
# ### Compact?
#
# K-means minimises {eq}`eq-ppp-sse` and nothing else. The leaves of PPP minimise it only test by test. On the eight
# groups we compare them with the best of a hundred starts of k-means for the same number of clusters, from
# the library's own k-means. The Davies–Bouldin index compares widths with distances; small is good.

# %%
def sse(X, labels):
    """Sum of squares around the clusters' means."""
    return sum(len(P) * np.sum(P.var(axis=0)) for P in (X[labels == j] for j in np.unique(labels)))


rows = []
for s, ((X, _), tree) in enumerate(zip(sets, trees, strict=True)):
    D, best = to_host(X), k_means(X, tree.labels.max() + 1, n_init=100, seed=60 + s)
    ours, theirs = sse(D, tree.labels), best.inertia
    indices = (davies_bouldin_score(D, labels) for labels in (tree.labels, to_host(best.labels)))
    rows.append((f"data set {s + 1}", ours, theirs, ours / theirs, *indices))
columns = ["", "SSE, PPP", "SSE, k-means", "ratio", "Davies–Bouldin, PPP", "Davies–Bouldin, k-means"]
table(rows, columns, "The leaves and the best of 100 starts of k-means with the same number of clusters")
ratios = np.asarray([row[3] for row in rows])
claims.check(
    "C4", "E5: SSE of the leaves over that of the best of 100 starts, mean",
    measured=ratios.mean(), at_most=1.10, seeds=3, paper="compact",
)  # fmt: skip
say(f"""The leaves are looser than they could be by {100 * (ratios.min() - 1):.1f} to
{100 * (ratios.max() - 1):.1f} %, in {np.sum(ratios > 1.03)} of {len(ratios)} data sets by more than the 3 % that we
had hoped for at first. A cut is final: a point that the first test puts on the wrong side stays there.""")


# %% [markdown]
# ### A part for the whole
#
# Twelve groups in five dimensions. PPP sees all points, or a tenth of them; in the second case the rest is labelled by
# the nearest leaf, $\arg\max_j\log w_jN(x\mid\mu_j,\operatorname{diag}\sigma_j^2)$.

# %%
def extend(X, labels, others):
    """Labels of other points by the diagonal Gaussians of the leaves of X."""
    parts = [X[to_device(labels == j)] for j in range(labels.max() + 1)]
    mu = xp.stack([xp.mean(part, axis=0) for part in parts])
    variance = xp.stack([xp.var(part, axis=0) for part in parts])
    variance = variance + 1e-4 * float(xp.mean(xp.var(X, axis=0)))
    log_w = xp.log(to_device(np.bincount(labels) / len(labels)))
    return to_host(xp.argmax(component_log_densities(others, mu, variance) + log_w, axis=1))


def timed(function, *arguments):
    """Result, and seconds of processor time."""
    start = time.process_time()
    return function(*arguments), time.process_time() - start


# %%
rows = []
for n in scale(default=(1000, 4000), paper=(1000, 4000, 16_000)):
    rng = generator(70)
    X, y = groups(centres_apart(12, 5, 7.0, rng), n, rng)
    tree, of_ppp = timed(ppp, X, rng)
    part, of_part = timed(ppp, X[: n // 10, :], rng)
    _, of_bic = timed(by_bic, X, "full", rng)
    same = adjusted_rand_score(tree.labels, extend(X[: n // 10, :], part.labels, X))
    counts = tree.labels.max() + 1, part.labels.max() + 1
    rows.append((n, *counts, same, of_ppp / of_bic, of_part / of_ppp))
columns = ["points", "clusters", "from a tenth", "ARI of the two", "time / BIC's", "a tenth's time / all's"]
table(rows, columns, "All points or a tenth of them; times are ratios on this machine")
claims.check(
    "C6", f"E6: ARI between the fit to a tenth and the fit to all, n = {rows[-1][0]}",
    measured=rows[-1][3], at_least=0.95, paper="little information is lost",
)  # fmt: skip

# %% [markdown]
# A tenth of four thousand points is enough for twelve groups that are well apart. A tenth of one thousand is eight points for a
# group, of which no test can make anything: the set to be clustered may shrink only as far as the tests can bear.
#
# ## Verdict
#
# Most of the abstract's sentences hold in our reading. The answer repeats on clear groups, the number need not
# be given, the leaves are compact, the validation does what a closed form says, the separable set is clearer, and a tenth
# of the data can stand for all. Two do not. The combination does not beat the better of its ingredients here. And a
# guarantee of the same answer does not exist: it is as good as the restarts of k-means and as the data are clear,
# and on the digits that was not enough.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# - **Whatever is in the paper beyond its abstract**: its pseudo-code, data sets, tables, and its own definitions of
#   "separable" and "clusterability". A reader who has the paper may find that it means another algorithm.
# - **Large data.** The largest set here has 4000 points.
# - **More runs.** Six seeds for repeatability, two data sets for every number of groups and dimension, one start of EM for every
#   number in BIC; more of each only at paper scale.
# - **Other thresholds.** $\tau$, $\alpha$ and $q$ were set once and never tuned to a data set. By {eq}`eq-ppp-closed` another
#   $\alpha$ is another distance at which groups count as two.
# - **Groups that are not Gaussian.** Full covariances ask for many points in a node, diagonal ones cut tilted groups; the
#   nodes of fewer than $10p$ points have diagonal ones.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells allow eight parts in one test, take fifty seeds for repeatability, four data
# sets for every number of groups, three starts for BIC, and 16 000 points in the last experiment. The abstract speaks of large data; $10^6$ points and more, where assignments and responsibilities
# would fill a GPU, are not run by these cells. Nothing here has been run on a GPU yet.
