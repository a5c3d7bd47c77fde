"""K-means: k-means++ seeding, Lloyd's iteration, and the assignment step of a vector quantiser."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from array_api_compat import is_cupy_array, is_numpy_array
from scipy import sparse

from gaussbook.arrays import Array, Generator, generator, namespace, to_host
from gaussbook.blocks import row_blocks
from gaussbook.distances import SquaredDistances, squared_distances
from gaussbook.rows import row_minima
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
    return to_centres.nearest(rows)[:2]


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
    The first iteration takes ``n K d`` multiply-adds.  The others take distances only of the points
    whose nearest centre may have changed, and read the points once.
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


class _Nearest:
    r"""The nearest centres of points, kept while the centres move.

    Beside each label stand an upper bound of the distance to that centre and a lower bound of the
    distances to all others, which move with the centres.  Distances are taken again only where the
    two meet, and where the upper bound reaches half the way to another centre (Hamerly, 2010).
    """

    def __init__(self, x: Array, centres: Array):
        self._x, self._centres = x, centres
        self.labels, self._upper, self._lower = self._two_nearest(x)
        xp, (n_clusters, d) = namespace(x), centres.shape
        # The squares' relative error, and so that of sums and differences of distances.
        self._rounding = 2.0**9 * (d + 4) * float(xp.finfo(xp.float64).eps)
        self._largest = xp.max(self._lower if n_clusters > 1 else self._upper)

    def _two_nearest(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the labels of points, their distances, and those to the second nearest."""
        xp = namespace(x)
        to_centres, parts = SquaredDistances(self._centres), []
        n_clusters = self._centres.shape[0]
        for rows in row_blocks(x.shape[0], max(self._centres.shape), x):
            labels, own, squares = to_centres.nearest(x[rows, :])
            if is_numpy_array(squares):
                squares[np.arange(labels.size), labels] = math.inf
            else:
                squares = xp.where(xp.arange(n_clusters) == labels[:, None], math.inf, squares)
            parts.append((labels, own, row_minima(squares)[:, 0]))
        labels, own, second = (xp.concat(part) for part in zip(*parts, strict=True))
        return labels, xp.sqrt(own), xp.sqrt(second)

    def follow(self, centres: Array) -> None:
        """Find the nearest of other centres, mostly near to the last ones."""
        xp = namespace(centres)
        moved = self._lengths(centres - self._centres)
        self._centres = centres
        fastest = xp.argmax(moved)
        others = xp.where(xp.arange(moved.shape[0]) == fastest, 0.0, moved)
        self._upper = self._upper + xp.take(moved, self.labels)
        fastest_other = xp.where(self.labels == fastest, xp.max(others), moved[fastest])
        self._lower = self._lower - fastest_other
        self._largest = self._largest + 2 * moved[fastest]
        between = squared_distances(centres, centres)
        between = xp.where(xp.eye(moved.shape[0], dtype=xp.bool), math.inf, between)
        half = xp.sqrt(row_minima(between)[:, 0]) / 2
        clear = xp.maximum(self._lower, xp.take(half, self.labels)) - self._rounding * self._largest
        (rows,) = xp.nonzero(self._upper >= clear)
        self._tighten(rows, xp.take(clear, rows))

    def _tighten(self, rows: Array, clear: Array) -> None:
        """Take the distances of some points to their centres again, or else those to all."""
        xp = namespace(rows)
        x = xp.take(self._x, rows, axis=0)
        own = self._lengths(x - xp.take(self._centres, xp.take(self.labels, rows), axis=0))
        self._upper = _put(self._upper, rows, own)
        (left,) = xp.nonzero(own >= clear)
        if left.shape[0]:
            rows = xp.take(rows, left)
            labels, upper, lower = self._two_nearest(xp.take(x, left, axis=0))
            self.labels = _put(self.labels, rows, labels)
            self._upper, self._lower = (
                _put(self._upper, rows, upper),
                _put(self._lower, rows, lower),
            )

    def squares(self) -> Array:
        """Return the squared distances of the points to their centres."""
        xp = namespace(self._x)
        parts = []
        for rows in row_blocks(*self._x.shape, self._x):
            away = self._x[rows, :] - xp.take(self._centres, self.labels[rows], axis=0)
            parts.append(xp.vecdot(away, away))
        return xp.concat(parts)

    @staticmethod
    def _lengths(vectors: Array) -> Array:
        xp = namespace(vectors)
        return xp.sqrt(xp.vecdot(vectors, vectors))


def _put(values: Array, rows: Array, new: Array) -> Array:
    """Return the values with new ones at some rows; the old array may be overwritten."""
    if is_numpy_array(values) or is_cupy_array(values):
        values[rows] = new
        return values
    if rows.shape[0] == 0:
        return values
    # The standard cannot assign at an array of positions.
    xp = namespace(values)
    hit = xp.any(xp.arange(values.shape[0])[:, None] == rows, axis=1)
    places = xp.cumulative_sum(xp.astype(hit, xp.int64)) - 1
    return xp.where(hit, xp.take(new, xp.clip(places, 0, new.shape[0] - 1)), values)


def _lloyd(points: _Points, centres: Array, max_iter: int, threshold: float) -> KMeans:
    xp = namespace(points.x)
    converged, nearest = False, _Nearest(points.x, centres)
    for _n_iter in range(1, max_iter + 1):
        previous = centres
        centres = _means(points, nearest, previous)
        nearest.follow(centres)
        if float(xp.sum((centres - previous) ** 2)) <= threshold:
            converged = True
            break
    squares = nearest.squares()
    inertia = float(xp.sum(squares if points.weight is None else squares * points.weight))
    if not math.isfinite(inertia):
        raise ValueError(_OVERFLOW)
    return KMeans(centres, nearest.labels, inertia, _n_iter, converged)


def _means(points: _Points, nearest: _Nearest, centres: Array) -> Array:
    """Return the means of the points nearest to each centre."""
    xp = namespace(points.x)
    sums, counts = _sums(points, nearest.labels, centres.shape[0])
    means = sums / xp.where(counts > 0, counts, 1.0)[:, None]
    empty = [int(k) for k in np.flatnonzero(to_host(counts == 0))]
    if empty:
        rows = _far_points(points, nearest, centres.shape[0])
        for k, row in zip(empty, rows, strict=False):
            means[k, :] = points.x[row, :]
        for k in empty[len(rows) :]:
            means[k, :] = centres[k, :]
    return means


def _sums(points: _Points, labels: Array, n_clusters: int) -> tuple[Array, Array]:
    """Return the sum of each cluster's points and their number, both weighted."""
    x, weight = points
    xp = namespace(x)
    sums = xp.zeros((n_clusters, x.shape[1]), dtype=x.dtype)
    counts = xp.zeros(n_clusters, dtype=x.dtype)
    for block in row_blocks(*x.shape, x):
        members = _members(labels[block], None if weight is None else weight[block], n_clusters, x)
        sums += members @ x[block, :]
        counts += members @ xp.ones(labels[block].shape[0], dtype=x.dtype)
    return sums, counts


def _members(labels: Array, weight: Array | None, n_clusters: int, like: Array) -> Array:
    """Return the matrix (K, n) that holds each point's weight in the row of its cluster."""
    xp, n = namespace(like), labels.shape[0]
    weight = xp.ones(n, dtype=like.dtype) if weight is None else weight
    if is_numpy_array(labels):
        return sparse.csc_array((weight, labels, np.arange(n + 1)), shape=(n_clusters, n))
    return xp.where(xp.arange(n_clusters)[:, None] == labels, weight, 0.0)


def _far_points(points: _Points, nearest: _Nearest, n_clusters: int) -> list[int]:
    """Return the farthest points of different blocks, so that several empty clusters part."""
    xp, farthest = namespace(points.x), []
    squares = nearest.squares()
    if points.weight is not None:
        squares = squares * points.weight
    for block in row_blocks(points.x.shape[0], max(n_clusters, points.x.shape[1]), points.x):
        row = xp.argmax(squares[block])
        farthest.append((float(squares[block][row]), block.start + int(row)))
    return [row for _, row in sorted(farthest, key=lambda f: -f[0])]
