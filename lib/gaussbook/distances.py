r"""Squared Euclidean distances, by a product of matrices and yet to full relative accuracy.

The expanded square :math:`\lVert u\rVert^2-2u^\top v+\lVert v\rVert^2` of points measured from the
middle of one set has an absolute error of the size of :math:`\lVert u\rVert^2+\lVert v\rVert^2`,
which is all of a distance between neighbours in a cluster far out.  Where more than eight bits
cancel, the square is therefore taken anew from the differences of the coordinates as they came.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gaussbook.arrays import Array, namespace
from gaussbook.blocks import row_blocks
from gaussbook.rows import row_minima

__all__ = ["SquaredDistances", "contract_squares", "remember_squares", "squared_distances"]

_CANCELLED = 2.0**-8  # of the terms' size: below it, a square is computed again
_FEW_COLUMNS = 3  # so few differences cost no more than the product
_FEW = 1 / 256  # of a block's pairs: so many cost less than to look more closely
_MANY = 1 / 8  # of a block's pairs: from here on, differences of whole columns cost less


class SquaredDistances:
    r"""Squared distances to a fixed set of points, a block of others at a time.

    Parameters
    ----------
    y : array, shape (m, d)
        The fixed points, of a real floating type.
    lengths : array, shape (d,), optional
        Units :math:`\ell` of the coordinates; 1 if not given.

    Notes
    -----
    The relative error of a result is at most :math:`2^9(d+4)\epsilon` with float64's
    :math:`\epsilon` (9e-13 for d = 4), beside the rounding of the points' own type; under- and
    overflow of squares aside.  Products are in float64 whatever the type.
    """

    def __init__(self, y: Array, lengths: Array | None = None):
        xp = namespace(y, lengths)
        self._y = xp.astype(y, xp.float64, copy=False)
        self._lengths = None if lengths is None else xp.astype(lengths, xp.float64, copy=False)
        if y.shape[1] > _FEW_COLUMNS:
            self._middle = xp.mean(self._y, axis=0)
            centred = self._scaled(self._y - self._middle)
            self.norms = xp.vecdot(centred, centred)
            ones = xp.ones_like(self.norms)[:, None]
            self._right = xp.concat([centred, ones, self.norms[:, None]], axis=1)

    def __call__(self, x: Array, columns: slice = slice(None)) -> Array:
        """Return the squared distances (n, m) of points (n, d) to those of a slice of `y`."""
        xp = namespace(x)
        dtype = xp.result_type(x, xp.float32)
        if x.shape[1] <= _FEW_COLUMNS:
            return xp.astype(self.by_differences(x, columns), dtype, copy=False)
        squares, norms = self.expanded(x, columns)
        if not self._is_clean(row_minima(squares)[:, 0], norms, columns):
            squares = self._corrected(squares, norms, x, columns)
        return xp.astype(squares, dtype, copy=False)

    def nearest(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the nearest of `y` to each point, its square, and the squares of all (n, m).

        Of several equally near ones it is the first.
        """
        xp = namespace(x)
        if x.shape[1] <= _FEW_COLUMNS:
            squares = self.by_differences(x)
        else:
            squares, norms = self.expanded(x)
            labels, least = _least(squares)
            if self._is_clean(least, norms):
                return labels, xp.astype(least, xp.result_type(x, xp.float32), copy=False), squares
            squares = self._corrected(squares, norms, x)
        labels, least = _least(squares)
        return labels, xp.astype(least, xp.result_type(x, xp.float32), copy=False), squares

    def _is_clean(self, least: Array, norms: Array, columns: slice = slice(None)) -> bool:
        """Say whether no square has cancelled: mostly one look at the least of each row tells."""
        xp = namespace(norms)
        return bool(xp.all(least > _CANCELLED * (norms + xp.max(self.norms[columns]))))

    def _corrected(
        self, squares: Array, norms: Array, x: Array, columns: slice = slice(None)
    ) -> Array:
        """Return the expanded squares with those taken anew that have cancelled."""
        xp = namespace(squares)
        # With one bound for a row these are mostly few enough, and no harm is done to the others.
        bounds = _CANCELLED * (norms + xp.max(self.norms[columns]))
        wrong = ~(squares > bounds[:, None])  # NaN of an overflow, too
        count = int(xp.count_nonzero(wrong))
        if count > _FEW * math.prod(squares.shape):
            wrong = ~(squares > _CANCELLED * (norms[:, None] + self.norms[columns]))
            count = int(xp.count_nonzero(wrong))
        if count > _MANY * math.prod(squares.shape):
            return self.by_differences(x, columns)
        if count > 0:
            self.correct(squares, wrong, x, columns)
        return squares

    def expanded(self, x: Array, columns: slice = slice(None)) -> tuple[Array, Array]:
        """Return the expanded squares (n, m) and the squared norms (n,) of the centred points.

        The size of the terms that cancel in a square is the sum of two such norms.

        The absolute error of a square is at most `rounding` of its size.
        """
        xp = namespace(x)
        left, norms = self._left(x)
        return left @ xp.matrix_transpose(self._right[columns, :]), norms

    def _left(self, x: Array) -> tuple[Array, Array]:
        """Return the other factor of the expanded squares, and the squared norms of its points."""
        xp = namespace(x)
        centred = self._scaled(xp.astype(x, xp.float64, copy=False) - self._middle)
        norms = xp.vecdot(centred, centred)
        # Two more columns let the product add the norms on its way.
        ones = xp.ones_like(norms)[:, None]
        return xp.concat([-2 * centred, norms[:, None], ones], axis=1), norms

    def rounding(self, size: float) -> float:
        """Return the largest error of an expanded square whose terms have this size.

        It is zero in so few dimensions that nothing is expanded.
        """
        d = self._y.shape[1]
        xp = namespace(self._y)
        return 2 * (d + 4) * float(xp.finfo(xp.float64).eps) * size if d > _FEW_COLUMNS else 0.0

    def minus_half(self, x: Array, columns: slice, shift: Array | None = None) -> Array:
        """Return minus half the squares (n, m), and a number (n,) added to the rows.

        Half the squares have the absolute error that `rounding` states.
        """
        xp = namespace(x)
        if x.shape[1] <= _FEW_COLUMNS:
            halves = self.by_differences(x, columns)
            halves *= -0.5
            if shift is not None:
                halves += shift[:, None]
            return halves
        left, norms = self._left(x)
        left *= -0.5
        if shift is not None:  # the product adds this, too
            left[:, -2] = shift - 0.5 * norms
        return left @ xp.matrix_transpose(self._right[columns, :])

    def correct(self, squares: Array, wrong: Array, x: Array, columns: slice = slice(None)) -> None:
        """Replace the squares marked in `wrong` by sums of squared differences, in place."""
        xp = namespace(x)
        x, y = xp.astype(x, xp.float64, copy=False), self._y[columns, :]
        rows, others = xp.nonzero(wrong)
        parts = []
        for pairs in row_blocks(rows.shape[0], x.shape[1], x):
            difference = xp.take(x, rows[pairs], axis=0) - xp.take(y, others[pairs], axis=0)
            difference = self._scaled(difference)
            parts.append(xp.vecdot(difference, difference))
        if parts:
            squares[wrong] = xp.concat(parts)

    def by_differences(self, x: Array, columns: slice = slice(None)) -> Array:
        """Return the squares (n, m) as sums over the coordinates, to a few units of rounding."""
        xp = namespace(x)
        x, y = xp.astype(x, xp.float64, copy=False), self._y[columns, :]
        squares = xp.zeros((x.shape[0], y.shape[0]), dtype=xp.float64)
        for d in range(x.shape[1]):
            difference = x[:, d][:, None] - y[:, d]
            if self._lengths is not None:
                difference = difference / self._lengths[d]
            squares = squares + difference * difference
        return squares

    def _scaled(self, differences: Array) -> Array:
        return differences if self._lengths is None else differences / self._lengths


def _least(squares: Array) -> tuple[Array, Array]:
    """Return the position of the least number of each row, and the number."""
    xp = namespace(squares)
    labels = xp.argmin(squares, axis=1)
    return labels, xp.take_along_axis(squares, labels[:, None], axis=1)[:, 0]


_remembered: ContextVar[dict | None] = ContextVar("remembered squares", default=None)


@contextmanager
def remember_squares() -> Iterator[None]:
    """Compute the squares of a set of points with itself once inside the block, for all lengths.

    It serves a search for the one length of a covariance.  Inside the block `squared_distances`
    knows the points by the array itself, which must therefore not be changed there; where the
    coordinates have lengths of their own, nothing is remembered.
    """
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


def squared_distances(x: Array, y: Array, lengths: Array | None = None) -> Array:
    r"""Squared distances :math:`\sum_d(x_{id}-y_{jd})^2/\ell_d^2` of all pairs of points.

    Parameters
    ----------
    x : array, shape (n, d)
        Points, of a real floating type.
    y : array, shape (m, d)
        Other points.
    lengths : array, shape (d,), optional
        Units :math:`\ell` of the coordinates; 1 if not given.

    Returns
    -------
    array, shape (n, m)
        The squares, with the relative error that `SquaredDistances` states.
    """
    known = _remembered.get()
    if known is not None and x is y and lengths is not None and _all_equal(lengths):
        if id(x) not in known:  # the array is kept as well, so that no other gets its number
            known[id(x)] = x, _all_squares(x, y, None)
        return known[id(x)][1] / lengths[0] ** 2
    return _all_squares(x, y, lengths)


def _all_equal(lengths: Array) -> bool:
    xp = namespace(lengths)
    return lengths.shape[0] > 0 and bool(xp.all(lengths == lengths[0]))


def _all_squares(x: Array, y: Array, lengths: Array | None) -> Array:
    xp = namespace(x, y)
    others = SquaredDistances(y, lengths)
    blocks = list(row_blocks(x.shape[0], y.shape[0], x))
    if len(blocks) <= 1:
        return others(x)
    first = others(x[blocks[0], :])
    squares = xp.empty((x.shape[0], y.shape[0]), dtype=first.dtype)
    squares[blocks[0], :] = first
    for rows in blocks[1:]:
        squares[rows, :] = others(x[rows, :])
    return squares


def contract_squares(
    weights: Array,
    x: Array,
    y: Array,
    lengths: Array | None = None,
    *,
    times: Array | None = None,
) -> Array:
    r"""Return :math:`\sum_{ij}W_{ij}(x_{id}-y_{jd})^2/\ell_d^2` for each coordinate d.

    Parameters
    ----------
    weights : array, shape (n, m)
        The weights :math:`W`, of any sign.
    x, y, lengths
        As for `squared_distances`.
    times : array, shape (n, m), optional
        Factors by which the weights are multiplied; the products are not kept.

    Returns
    -------
    array, shape (d,)
        The sums.

    Notes
    -----
    Two products with 2d + 1 columns, of :math:`W` and of :math:`|W|`, give the sums and what may
    have cancelled in them.  Those of which that is more than eight bits are taken anew from the
    differences of their coordinate, and so are all of up to three.
    """
    xp = namespace(weights, x, y, lengths)
    lengths = xp.ones(x.shape[1], dtype=x.dtype) if lengths is None else lengths
    if x.shape[1] <= _FEW_COLUMNS:
        sums, again = xp.zeros(x.shape[1], dtype=weights.dtype), range(x.shape[1])
    else:
        sums, clean = _contract_expanded(weights, x, y, lengths, times)
        again = [d for d in range(x.shape[1]) if not bool(clean[d])]
    for d in again:
        sums[d] = _contract_differences(weights, x[:, d], y[:, d], lengths[d], times)
    return sums


def _contract_expanded(
    weights: Array, x: Array, y: Array, lengths: Array, times: Array | None
) -> tuple[Array, Array]:
    """Return the sums (d,) from products of matrices, and where few of their digits cancelled."""
    xp, d = namespace(weights), x.shape[1]
    x, y, lengths = (xp.astype(a, xp.float64, copy=False) for a in (x, y, lengths))
    middle = xp.mean(y, axis=0)
    x, y = (x - middle) / lengths, (y - middle) / lengths
    right = xp.concat([y, y * y, xp.ones((y.shape[0], 1), dtype=xp.float64)], axis=1)

    def expanded(W: Array, x: Array) -> tuple[Array, Array]:
        """Return the sums of the squared terms of a square, and of the mixed one."""
        products = W @ right
        squared = x * x * products[:, -1:] + products[:, d:-1]
        return xp.sum(squared, axis=0), xp.sum(2 * x * products[:, :d], axis=0)

    sums, gaps, sizes = (xp.zeros(d, dtype=xp.float64) for _ in range(3))
    for rows in row_blocks(x.shape[0], y.shape[0], x):
        W = xp.astype(_product(weights, times, rows), xp.float64, copy=False)
        squared, mixed = expanded(W, x[rows, :])
        sums += squared - mixed
        squared, mixed = expanded(xp.abs(W), x[rows, :])
        gaps += squared - mixed
        sizes += squared
    return xp.astype(sums, weights.dtype, copy=False), gaps > _CANCELLED * sizes


def _contract_differences(
    weights: Array, x: Array, y: Array, length: Array, times: Array | None
) -> Array:
    """Return the sum for one coordinate from its differences."""
    xp = namespace(weights)
    total = xp.zeros((), dtype=weights.dtype)
    for rows in row_blocks(x.shape[0], y.shape[0], x):
        difference = (x[rows][:, None] - y) / length
        total = total + xp.sum(_product(weights, times, rows) * difference * difference)
    return total


def _product(weights: Array, times: Array | None, rows: slice) -> Array:
    return weights[rows, :] if times is None else weights[rows, :] * times[rows, :]
