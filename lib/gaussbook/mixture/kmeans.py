"""K-means: k-means++ seeding, Lloyd's iteration, and the assignment step of a vector quantiser."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gaussbook.arrays import Array, Generator, generator, namespace, to_host
from gaussbook.mixture.densities import row_blocks
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["KMeans", "assign", "k_means", "kmeans_plus_plus"]


class KMeans(NamedTuple):
    """The result of `k_means`.

    Attributes
    ----------
    centres : array, shape (K, d)
        Cluster centres.
    labels : array of int64, shape (n,)
        The nearest centre of each point.
    inertia : float
        Weighted sum of squared distances to the nearest centres.
    n_iter : int
        Lloyd iterations of the best start.
    converged : bool
        Whether they ended before the limit.
    """

    centres: Array
    labels: Array
    inertia: float
    n_iter: int
    converged: bool


def assign(x: Array, centres: Array) -> tuple[Array, Array]:
    r"""Find the nearest centre of every point: the encoder of a vector quantiser.

    .. math::
        k(x) = \arg\min_k \lVert x - c_k\rVert^2

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    centres : array, shape (K, d)
        Centres, or codewords, :math:`c_k`.

    Returns
    -------
    labels : array of int64, shape (n,)
        The nearest centre; of several equally near ones, up to rounding, any.
    squared_distances : array, shape (n,)
        :math:`\lVert x - c_{k(x)}\rVert^2`, in squared units of `x`.

    Raises
    ------
    ValueError
        If an argument is not a finite matrix or the numbers of columns differ.

    Notes
    -----
    ``n K d`` multiply-adds in one matrix product for each block of rows; the n × K matrix of
    distances is never held, and ``n (d + 2)`` numbers move.
    """
    x = check_array("x", x, ndim=2)
    centres = check_array("centres", centres, shape=(None, x.shape[1]))
    xp = namespace(x, centres)
    dtype = xp.result_type(x, centres)
    centres = xp.astype(centres, dtype, copy=False)
    labels = xp.empty(x.shape[0], dtype=xp.int64)
    squares = xp.empty(x.shape[0], dtype=dtype)
    for start, stop in row_blocks(x, max(centres.shape)):
        labels[start:stop], squares[start:stop] = nearest(x[start:stop, :], centres)
    if not bool(xp.all(xp.isfinite(squares))):
        raise ValueError("x holds points whose squared distance to the centres overflows")
    return labels, squares


def nearest(rows: Array, centres: Array) -> tuple[Array, Array]:
    """Return labels and squared distances of one block of rows, unchecked."""
    xp = namespace(rows)
    middle = xp.mean(centres, axis=0)  # expand the square about the middle: fewer digits cancel
    offsets = centres - middle
    shifted = rows - middle
    scores = shifted @ xp.matrix_transpose(offsets) - 0.5 * xp.sum(offsets**2, axis=1)
    labels = xp.argmax(scores, axis=1)
    shifted -= xp.take(offsets, labels, axis=0)
    return labels, xp.vecdot(shifted, shifted)


def _check(
    x: Array, n_clusters: int, sample_weight: Array | None
) -> tuple[Array, int, Array | None]:
    x = check_array("x", x, ndim=2)
    xp = namespace(x)
    x = xp.astype(x, xp.float64, copy=False)
    n_clusters = check_integer("n_clusters", n_clusters, at_least=1, at_most=x.shape[0])
    return x, n_clusters, check_sample_weight(sample_weight, x)


def check_sample_weight(sample_weight: Array | None, x: Array) -> Array | None:
    """Return a weight for each row of `x`, non-negative and not all zero, as float64; or None."""
    if sample_weight is None:
        return None
    sample_weight = check_array("sample_weight", sample_weight, shape=(x.shape[0],))
    xp = namespace(x)
    sample_weight = xp.astype(xp.asarray(sample_weight), xp.float64, copy=False)
    if bool(xp.any(sample_weight < 0)) or not math.isfinite(float(xp.sum(sample_weight))):
        raise ValueError("sample_weight holds negative values, or its sum overflows")
    if not bool(xp.any(sample_weight > 0)):
        raise ValueError("sample_weight is zero throughout")
    return sample_weight


def kmeans_plus_plus(
    x: Array,
    n_clusters: int,
    *,
    seed: int | Generator = 0,
    sample_weight: Array | None = None,
) -> Array:
    r"""Choose spread-out points as first centres (greedy k-means++; Arthur & Vassilvitskii, 2007).

    The next centre is drawn with probability proportional to the squared distance :math:`D^2(x)`
    to the nearest centre so far; of :math:`2+\lfloor\log K\rfloor` such draws the one that lowers
    :math:`\sum_x D^2(x)` most is kept.

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    n_clusters : int
        Number of centres K, at most n.
    seed : int or Generator
        Source of the draws.
    sample_weight : array, shape (n,), optional
        Non-negative weights of the points.

    Returns
    -------
    array, shape (K, d)
        The chosen points, float64.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    :math:`nKd(2+\log K)` multiply-adds.
    """
    x, n_clusters, sample_weight = _check(x, n_clusters, sample_weight)
    return _seed_centres(x, n_clusters, _host_generator(seed), sample_weight)


def _host_generator(seed: int | Generator) -> np.random.Generator:
    return (seed if isinstance(seed, Generator) else generator(seed)).host


def _seed_centres(
    x: Array, n_clusters: int, rng: np.random.Generator, sample_weight: Array | None
) -> Array:
    xp = namespace(x)
    n, _ = x.shape
    weight = xp.ones(n, dtype=xp.float64) if sample_weight is None else sample_weight
    middle = xp.mean(x, axis=0)
    x = x - middle
    norms = xp.vecdot(x, x)
    trials = 2 + int(math.log(n_clusters))

    def draw(density: Array, count: int) -> Array:
        """Draw indices with probability proportional to a density (any, where it is zero)."""
        cumulative = xp.cumulative_sum(density)
        levels = xp.asarray(rng.random(count)) * cumulative[-1]
        return xp.clip(xp.searchsorted(cumulative, levels, side="right"), 0, n - 1)

    chosen = draw(weight, 1)
    first = xp.take(x, chosen, axis=0)
    squares = xp.vecdot(x - first, x - first)
    centres = [first]
    for _ in range(n_clusters - 1):
        candidates = draw(weight * squares, trials)
        points = xp.take(x, candidates, axis=0)
        distances = xp.take(norms, candidates)[:, None] - 2 * (points @ xp.matrix_transpose(x))
        distances = xp.clip(distances + norms, 0.0, None)  # rounding may leave them below zero
        distances = xp.minimum(distances, squares)
        best = int(xp.argmin(distances @ weight))
        squares = distances[best, :]
        centres.append(points[best : best + 1, :])
    return xp.concat(centres, axis=0) + middle


def k_means(
    x: Array,
    n_clusters: int,
    *,
    init: Array | None = None,
    n_init: int = 1,
    max_iter: int = 300,
    tol: float = 1e-4,
    seed: int | Generator = 0,
    sample_weight: Array | None = None,
) -> KMeans:
    r"""Minimise :math:`\sum_i w_i \min_k\lVert x_i-c_k\rVert^2` by Lloyd's iteration.

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    n_clusters : int
        Number of clusters K, at most n.
    init : array, shape (K, d), optional
        First centres; those of `kmeans_plus_plus` if not given.
    n_init : int
        Number of starts; the result with the lowest inertia is kept.  One if `init` is given.
    max_iter : int
        Most iterations of a start.
    tol : float
        The last iteration moves the centres by at most `tol` mean variances (sum of squares).
    seed : int or Generator
        Source of the draws.
    sample_weight : array, shape (n,), optional
        Non-negative weights :math:`w_i` of the points.

    Returns
    -------
    KMeans
        The best start.  A cluster without points is moved to the point farthest from its centre.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    An iteration takes ``2 n K d`` multiply-adds and reads the points twice.
    """
    x, n_clusters, sample_weight = _check(x, n_clusters, sample_weight)
    n_init = check_integer("n_init", n_init, at_least=1)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(x)
    threshold = check_scalar("tol", tol, at_least=0) * _mean_variance(x)
    rng = _host_generator(seed)
    if init is not None:
        init = check_array("init", init, shape=(n_clusters, x.shape[1]))
        init, n_init = xp.astype(xp.asarray(init), xp.float64), 1
    results = []
    for _ in range(n_init):
        centres = _seed_centres(x, n_clusters, rng, sample_weight) if init is None else init
        results.append(_lloyd(x, centres, sample_weight, max_iter, threshold))
    return min(results, key=lambda result: result.inertia)


def _mean_variance(x: Array) -> float:
    xp = namespace(x)
    variance = float(xp.mean(xp.var(x, axis=0)))
    if not math.isfinite(variance):
        raise ValueError("x holds values whose squares overflow")
    return variance


def _lloyd(
    x: Array, centres: Array, sample_weight: Array | None, max_iter: int, threshold: float
) -> KMeans:
    xp = namespace(x)
    converged = False
    for _n_iter in range(1, max_iter + 1):
        previous = centres
        centres = _update(x, previous, sample_weight)
        if float(xp.sum((centres - previous) ** 2)) <= threshold:
            converged = True
            break
    labels, squares = assign(x, centres)
    inertia = float(xp.sum(squares if sample_weight is None else squares * sample_weight))
    return KMeans(centres, labels, inertia, _n_iter, converged)


def _update(x: Array, centres: Array, sample_weight: Array | None) -> Array:
    """Return the means of the points nearest to each centre."""
    xp = namespace(x)
    n_clusters, d = centres.shape
    sums = xp.zeros((n_clusters, d), dtype=x.dtype)
    counts = xp.zeros(n_clusters, dtype=x.dtype)
    farthest, clusters = [], xp.arange(n_clusters)
    for start, stop in row_blocks(x, max(n_clusters, d)):
        rows = x[start:stop, :]
        labels, squares = nearest(rows, centres)
        members = xp.astype(clusters[:, None] == labels, x.dtype)
        if sample_weight is not None:
            members = members * sample_weight[start:stop]
            squares = squares * sample_weight[start:stop]
        sums += members @ rows
        counts += xp.sum(members, axis=1)
        row = xp.argmax(squares)
        farthest.append((squares[row], start + row))
    means = sums / xp.where(counts > 0, counts, 1.0)[:, None]
    empty = [int(k) for k in np.flatnonzero(to_host(counts == 0))]
    # The farthest points of different blocks, so that several empty clusters part.
    rows = [int(row) for _, row in sorted(farthest, key=lambda f: -float(f[0]))]
    for k, row in zip(empty, rows, strict=False):
        means[k, :] = x[row, :]
    for k in empty[len(rows) :]:
        means[k, :] = centres[k, :]
    return means
