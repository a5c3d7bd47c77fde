"""K-means: k-means++ seeding, Lloyd's iteration, and the assignment step of a vector quantiser."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gaussbook.arrays import Array, Generator, generator, namespace, to_host
from gaussbook.blocks import row_blocks
from gaussbook.distances import SquaredDistances, squared_distances
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["KMeans", "assign", "k_means", "kmeans_plus_plus"]

_OVERFLOW = "x holds points whose squared distance to the centres overflows"


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
        The nearest centre; of several equally near ones, the first.
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
    labels, squares = _assign(x, centres)
    if not bool(namespace(squares).all(namespace(squares).isfinite(squares))):
        raise ValueError(_OVERFLOW)
    return labels, squares


def _assign(x: Array, centres: Array) -> tuple[Array, Array]:
    xp = namespace(x, centres)
    to_centres = SquaredDistances(xp.astype(centres, xp.result_type(x, centres), copy=False))
    parts = [
        nearest(x[rows, :], to_centres) for rows in row_blocks(x.shape[0], max(centres.shape), x)
    ]
    labels, squares = (xp.concat(part) for part in zip(*parts, strict=True))
    return labels, squares


def nearest(rows: Array, to_centres: SquaredDistances) -> tuple[Array, Array]:
    """Return labels and squared distances of one block of rows, unchecked."""
    xp = namespace(rows)
    squares = to_centres(rows)
    labels = xp.argmin(squares, axis=1)
    return labels, xp.take_along_axis(squares, labels[:, None], axis=1)[:, 0]


class _Points(NamedTuple):
    """The points that count, with weights of mean one, or None where all count the same."""

    x: Array
    weight: Array | None

    @classmethod
    def of(cls, x: Array, sample_weight: Array | None) -> _Points:
        xp = namespace(x)
        x = xp.astype(check_array("x", x, ndim=2), xp.float64, copy=False)
        return cls(*present(x, check_sample_weight(sample_weight, x)))

    def mean(self, values: Array) -> Array:
        """Return the weighted mean of values (n, ...), one for each point."""
        xp = namespace(values)
        if self.weight is None:
            return xp.mean(values, axis=0)
        return self.weight @ values / self.x.shape[0]


def check_sample_weight(sample_weight: Array | None, x: Array) -> Array | None:
    """Return a weight for each row of `x`, non-negative and not all zero, as float64; or None."""
    if sample_weight is None:
        return None
    sample_weight = check_array("sample_weight", sample_weight, shape=(x.shape[0],))
    xp = namespace(x)
    sample_weight = xp.astype(xp.asarray(sample_weight), xp.float64, copy=False)
    if bool(xp.any(sample_weight < 0)):
        raise ValueError("sample_weight holds negative values")
    if not bool(xp.any(sample_weight > 0)):
        raise ValueError("sample_weight is zero throughout")
    return sample_weight


def present(x: Array, sample_weight: Array | None) -> tuple[Array, Array | None]:
    """Return the rows of positive weight and their weights, of mean one.

    A point of weight zero is absent: it must not even reach a tolerance, a centre or a check.  And
    only ratios of weights have a meaning: brought to mean one, no sum of them over- or underflows.
    """
    if sample_weight is None:
        return x, None
    xp = namespace(x)
    rows = xp.nonzero(sample_weight > 0)[0]
    if rows.shape[0] < x.shape[0]:
        x, sample_weight = xp.take(x, rows, axis=0), xp.take(sample_weight, rows)
    sample_weight = sample_weight / xp.max(sample_weight)
    return x, sample_weight / xp.mean(sample_weight)


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
        Non-negative weights of the points; a point of weight zero is absent.

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
    points = _Points.of(x, sample_weight)
    n_clusters = check_integer("n_clusters", n_clusters, at_least=1, at_most=points.x.shape[0])
    return seed_centres(points.x, n_clusters, host_generator(seed), weight=points.weight)


def host_generator(seed: int | Generator) -> np.random.Generator:
    return (seed if isinstance(seed, Generator) else generator(seed)).host


def seed_centres(
    x: Array,
    n_clusters: int,
    rng: np.random.Generator,
    given: Array | None = None,
    weight: Array | None = None,
) -> Array:
    """Return `kmeans_plus_plus` centres, the first of them given (m, d), unchecked."""
    xp = namespace(x)
    n, _ = x.shape
    weight = xp.ones(n, dtype=xp.float64) if weight is None else weight
    trials = 2 + int(math.log(n_clusters))

    def draw(density: Array, count: int) -> Array:
        """Draw indices with probability proportional to a density (any, where it is zero)."""
        cumulative = xp.cumulative_sum(density)
        levels = xp.asarray(rng.random(count)) * cumulative[-1]
        indices = xp.searchsorted(cumulative, levels, side="right")
        return xp.where(indices < n, indices, xp.argmax(density))  # beyond the end by rounding

    first = xp.take(x, draw(weight, 1), axis=0) if given is None else given
    centres, squares = [first], xp.min(squared_distances(x, first), axis=1)
    for _ in range(n_clusters - first.shape[0]):
        candidates = xp.take(x, draw(weight * squares, trials), axis=0)
        after = xp.minimum(squared_distances(x, candidates), squares[:, None])
        best = int(xp.argmin(weight @ after))
        squares = after[:, best]
        centres.append(candidates[best : best + 1, :])
    return xp.concat(centres, axis=0)


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
        Non-negative weights :math:`w_i` of the points; a point of weight zero is absent.

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
    x = check_array("x", x, ndim=2)
    points = _Points.of(x, sample_weight)
    n_clusters = check_integer("n_clusters", n_clusters, at_least=1, at_most=points.x.shape[0])
    n_init = check_integer("n_init", n_init, at_least=1)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(x)
    threshold = check_scalar("tol", tol, at_least=0) * _mean_variance(points)
    rng = host_generator(seed)
    if init is not None:
        init = check_array("init", init, shape=(n_clusters, x.shape[1]))
        init, n_init = xp.astype(xp.asarray(init), xp.float64), 1
    results = []
    for _ in range(n_init):
        centres = init
        if init is None:
            centres = seed_centres(points.x, n_clusters, rng, weight=points.weight)
        results.append(_lloyd(points, centres, max_iter, threshold))
    best = min(results, key=lambda result: result.inertia)
    if sample_weight is None:
        return best
    # Labels for all rows, and the inertia in the unit in which the weights came.
    labels, squares = _assign(xp.astype(x, xp.float64, copy=False), best.centres)
    weights = check_sample_weight(sample_weight, x)
    inertia = float(xp.sum(xp.where(weights > 0, squares, 0.0) * weights))
    return best._replace(labels=labels, inertia=inertia)


def _mean_variance(points: _Points) -> float:
    xp = namespace(points.x)
    variance = float(xp.mean(points.mean((points.x - points.mean(points.x)) ** 2)))
    if not math.isfinite(variance):
        raise ValueError("x holds values whose squares overflow")
    return variance


def _lloyd(points: _Points, centres: Array, max_iter: int, threshold: float) -> KMeans:
    xp = namespace(points.x)
    converged = False
    for _n_iter in range(1, max_iter + 1):
        previous = centres
        centres = _update(points, previous)
        if float(xp.sum((centres - previous) ** 2)) <= threshold:
            converged = True
            break
    labels, squares = _assign(points.x, centres)
    inertia = float(xp.sum(squares if points.weight is None else squares * points.weight))
    if not math.isfinite(inertia):
        raise ValueError(_OVERFLOW)
    return KMeans(centres, labels, inertia, _n_iter, converged)


def _update(points: _Points, centres: Array) -> Array:
    """Return the means of the points nearest to each centre."""
    x, sample_weight = points
    xp = namespace(x)
    to_centres = SquaredDistances(centres)
    n_clusters, d = centres.shape
    sums = xp.zeros((n_clusters, d), dtype=x.dtype)
    counts = xp.zeros(n_clusters, dtype=x.dtype)
    farthest, clusters = [], xp.arange(n_clusters)
    for block in row_blocks(x.shape[0], max(n_clusters, d), x):
        rows = x[block, :]
        labels, squares = nearest(rows, to_centres)
        members = xp.astype(clusters[:, None] == labels, x.dtype)
        if sample_weight is not None:
            members = members * sample_weight[block]
            squares = squares * sample_weight[block]
        sums += members @ rows
        counts += xp.sum(members, axis=1)
        row = xp.argmax(squares)
        farthest.append((squares[row], block.start + row))
    means = sums / xp.where(counts > 0, counts, 1.0)[:, None]
    empty = [int(k) for k in np.flatnonzero(to_host(counts == 0))]
    # The farthest points of different blocks, so that several empty clusters part.
    rows = [int(row) for _, row in sorted(farthest, key=lambda f: -float(f[0]))]
    for k, row in zip(empty, rows, strict=False):
        means[k, :] = x[row, :]
    for k in empty[len(rows) :]:
        means[k, :] = centres[k, :]
    return means
