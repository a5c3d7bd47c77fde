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

_NEARLY_ALL = 7 / 8  # of the points
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
        """Return the points of a checked matrix, as float64."""
        x = namespace(x).astype(x, namespace(x).float64, copy=False)
        return cls(*present(x, check_sample_weight(sample_weight, x)))


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
    points = _Points.of(check_array("x", x, ndim=2), sample_weight)
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
    whose nearest centre may have changed, and read the points once.  On the host these products are
    in single precision (n (d + 2) such numbers are kept), and what their errors leave open is
    decided in double precision: no label depends on them.
    """
    x = check_array("x", x, ndim=2)
    points = _Points.of(x, sample_weight)
    n_clusters = check_integer("n_clusters", n_clusters, at_least=1, at_most=points.x.shape[0])
    n_init = check_integer("n_init", n_init, at_least=1)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(x)
    variance, single = _spread(points, n_clusters)
    threshold = check_scalar("tol", tol, at_least=0) * variance
    rng = host_generator(seed)
    if init is not None:
        init = check_array("init", init, shape=(n_clusters, x.shape[1]))
        init, n_init = xp.astype(xp.asarray(init), xp.float64), 1
    results = []
    for _ in range(n_init):
        centres = init
        if init is None:
            centres = seed_centres(points.x, n_clusters, rng, weight=points.weight)
        results.append(_lloyd(points, centres, max_iter, threshold, single))
    best = min(results, key=lambda result: result.inertia)
    if sample_weight is None:
        return best
    # Labels for all rows, and the inertia in the unit in which the weights came.
    labels, squares = _assign(xp.astype(x, xp.float64, copy=False), best.centres)
    weights = check_sample_weight(sample_weight, x)
    inertia = float(xp.sum(xp.where(weights > 0, squares, 0.0) * weights))
    return best._replace(labels=labels, inertia=inertia)


def _spread(points: _Points, n_clusters: int) -> tuple[float, _SinglePrecision | None]:
    """Return the mean variance of the coordinates, and the points in single precision."""
    x, weight = points
    xp, (n, d) = namespace(x), x.shape
    weight = xp.ones(n, dtype=x.dtype) if weight is None else weight
    middle, total = weight @ x / n, 0.0
    single = _SinglePrecision.room_for(points.x, middle, n_clusters)
    for rows in row_blocks(n, d, x):
        centred = x[rows, :] - middle
        norms = xp.vecdot(centred, centred)
        total += float(weight[rows] @ norms)
        if single is not None:
            single.put(rows, centred, norms)
    if not math.isfinite(total):
        raise ValueError("x holds values whose squares overflow")
    return total / (n * d), single if single is not None and single.is_safe() else None


class _SinglePrecision:
    r"""Bounds of the distances of points to centres, from one product in single precision.

    A point :math:`z`, measured from the middle of all, stands in a row
    :math:`(z, \lVert z\rVert^2, 1)`, whose product with
    :math:`(-2c, 1, \lVert c\rVert^2)` is the square of its distance to a centre :math:`c`.
    What that square can be off by is known, and so is where it leaves the nearest centre open.
    """

    _MOST_CENTRES = 2**12  # their numbers take up to half of a square's bits
    _RANGE = 2.0**-40, 2.0**40  # of the largest squared norm

    def __init__(self, n: int, middle: np.ndarray):
        d = middle.shape[0]
        self._middle, self._rows = middle, np.ones((n, d + 2), dtype=np.float32)
        # Of a sum of d + 2 products of rounded factors; its terms are at most twice the norms.
        self._relative = 2 * (d + 8) * float(np.finfo(np.float32).eps)

    @classmethod
    def room_for(cls, x: Array, middle: Array, n_clusters: int) -> _SinglePrecision | None:
        """Return an object to `put` the points into, or None where the product is not for them."""
        if is_numpy_array(x) and n_clusters <= cls._MOST_CENTRES:
            return cls(x.shape[0], middle)
        return None

    def put(self, rows: slice, centred: np.ndarray, norms: np.ndarray) -> None:
        """Take in some points from their middle, and their squared norms."""
        with np.errstate(over="ignore"):
            self._rows[rows, :-2], self._rows[rows, -2] = centred, norms

    def is_safe(self) -> bool:
        """Say whether no square over- or underflows."""
        least, most = self._RANGE
        return bool(least < np.max(self._rows[:, -2]) < most)

    def two_nearest(
        self, centres: np.ndarray, chosen: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels, upper bounds of the distances, and lower bounds of those to the others.

        A label is certain where the first bound is less than the second.
        """
        factors, largest = self._factors(centres)
        n = self._rows.shape[0] if chosen is None else chosen.shape[0]
        labels, upper, lower = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
        n_clusters, bits = centres.shape[0], (centres.shape[0] - 1).bit_length()
        rounding = 2.0 ** (bits - 21)
        # So wide a block stays in the cache, and is no power of two, whose rows get in each
        # other's way there.
        width = max(centres.shape)
        elements = 2**17 - 16 * width
        blocks = list(row_blocks(n, width, centres, elements=elements, fewest=16))
        numbers = np.arange(n_clusters, dtype=np.int32)[:, None]
        numbers = np.repeat(numbers, blocks[0].stop, axis=1)
        for some in blocks:
            rows = self._rows[some] if chosen is None else self._rows.take(chosen[some], axis=0)
            # Non-negative floats are in the order of their bits, whose last few take the centre's
            # number: the least of a column is the nearest centre and its square.
            keys = (factors @ rows.T).view(np.int32)
            keys &= -(1 << bits)
            keys |= numbers[:, : rows.shape[0]]
            nearest = np.min(keys, axis=0)
            labels[some] = nearest & ((1 << bits) - 1)
            keys[labels[some], np.arange(rows.shape[0])] = np.float32(np.inf).view(np.int32)
            second = np.min(keys, axis=0).view(np.float32)
            second -= 2 * self._relative * (rows[:, -2] + largest)
            upper[some] = np.sqrt(nearest.view(np.float32)) * (1 + rounding)
            lower[some] = np.sqrt(np.maximum(second, 0)) * (1 - rounding)
        return labels, upper, lower

    def _factors(self, centres: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the product's other factor (K, d + 2), and the centres' largest squared norm.

        The largest error is added to each square, so that none is negative.
        """
        centred = centres - self._middle
        norms = np.vecdot(centred, centred)
        largest = float(np.max(norms))
        ones = np.full_like(norms, 1 + self._relative)
        columns = [-2 * centred, ones[:, None], (norms + self._relative * largest)[:, None]]
        return np.concat(columns, axis=1).astype(np.float32), largest


class _Nearest:
    r"""The nearest centres of points, kept while the centres move.

    Beside each label stand two numbers: an upper bound of the distance to that centre, and its
    slack, by which the distances to all others are longer at least.  Distances are taken again only
    where the centres' ways since then have used up the slack, and where the upper bound reaches
    half the way to another centre (Hamerly, 2010).  Those ways are kept as sums for each centre,
    and a point's numbers as if it had been there from the start: no step changes them all.
    """

    def __init__(self, x: Array, centres: Array, single: _SinglePrecision | None):
        self._x, self._centres, self._single = x, centres, single
        xp, (n_clusters, d) = namespace(x), centres.shape
        self._eps = float(xp.finfo(xp.float64).eps)
        self._rounding = 2.0**9 * (d + 4) * self._eps  # relative, of squares and so of distances
        self._way = xp.zeros(n_clusters, dtype=xp.float64)  # of each centre, and of this and
        self._ways = xp.zeros(n_clusters, dtype=xp.float64)  # the fastest of the others together
        self._steps = 0
        self.labels, self._upper, lower = self._two_nearest(None)
        self._slack = lower - self._upper

    def follow(self, centres: Array) -> None:
        """Find the nearest of other centres, mostly near to the last ones."""
        xp = namespace(centres)
        moved = self._lengths(centres - self._centres) * (1 + self._rounding)
        itself = xp.arange(moved.shape[0]) == xp.argmax(moved)
        others = xp.where(itself, xp.max(xp.where(itself, 0.0, moved)), xp.max(moved))
        self._centres, self._steps = centres, self._steps + 1
        self._way, self._ways = self._way + moved, self._ways + moved + others
        rows = self._open()
        if rows.shape[0] == 0:
            return
        if rows.shape[0] > _NEARLY_ALL * self.labels.shape[0]:
            rows = None  # to look at all costs less than to pick so many
        labels, upper, lower = self._two_nearest(rows)
        slack = lower - upper + xp.take(self._ways, labels)
        upper = upper - xp.take(self._way, labels)
        if rows is not None:
            labels = _put(self.labels, rows, labels)
            upper, slack = _put(self._upper, rows, upper), _put(self._slack, rows, slack)
        self.labels, self._upper, self._slack = labels, upper, slack

    def _open(self) -> Array:
        """Return the points whose nearest centre may be another one than before."""
        xp = namespace(self._centres)
        longer = 1 + 4 * (self._steps + 1) * self._eps  # sums of so many ways
        (rows,) = xp.nonzero(self._slack <= xp.take(self._ways * longer, self.labels))
        between = squared_distances(self._centres, self._centres)
        between = xp.where(xp.eye(between.shape[0], dtype=xp.bool), math.inf, between)
        half = xp.sqrt(row_minima(between)[:, 0]) / 2
        room = half * (1 - self._rounding) - self._way * longer
        near = xp.take(self._upper, rows) < xp.take(room, xp.take(self.labels, rows))
        return rows[~near]

    def _two_nearest(self, rows: Array | None) -> tuple[Array, Array, Array]:
        """Return bounds as `_SinglePrecision.two_nearest` does, and with them sure labels."""
        if self._single is None:
            return self._exact(rows)
        labels, upper, lower = self._single.two_nearest(self._centres, rows)
        (unsure,) = np.nonzero(~(upper < lower))  # NaN of an overflow, too
        if unsure.size > labels.size / 2:  # two products take longer than the second alone
            self._single = None
            return self._exact(rows)
        if unsure.size:
            exact = self._exact(unsure if rows is None else rows[unsure])
            labels[unsure], upper[unsure], lower[unsure] = exact
        return labels, upper, lower

    def _exact(self, chosen: Array | None) -> tuple[Array, Array, Array]:
        xp = namespace(self._x)
        x = self._x if chosen is None else xp.take(self._x, chosen, axis=0)
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
        return (
            labels,
            xp.sqrt(own) * (1 + self._rounding),
            xp.sqrt(second) * (1 - self._rounding),
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


def _lloyd(
    points: _Points,
    centres: Array,
    max_iter: int,
    threshold: float,
    single: _SinglePrecision | None,
) -> KMeans:
    xp = namespace(points.x)
    converged, nearest = False, _Nearest(points.x, centres, single)
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
    for block in row_blocks(*x.shape, x, elements=2**18):  # a matrix of members takes its time
        own, shares = labels[block], None if weight is None else weight[block]
        members = _members(own, shares, n_clusters, x)
        sums += members @ x[block, :]
        if is_numpy_array(own):
            counts += np.bincount(own, shares, n_clusters)
        else:
            counts += xp.sum(members, axis=1)
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
