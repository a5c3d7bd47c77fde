"""Kernel density estimates with a Gaussian kernel, at any size: no m × n array is ever held."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from array_api_compat import is_cupy_array

from gaussbook.arrays import Array, namespace
from gaussbook.distances import SquaredDistances
from gaussbook.validation import check_array

__all__ = ["Estimate", "estimate", "log_density", "participation_ratio", "score"]

_TILE = (256, 512)  # queries and data points at once on the host: 1 MiB, which stays in the cache
_DEVICE_TILE = (4096, 8192)  # and on a GPU, which wants large tiles: 256 MiB
_TOLERANCE = 1e-10  # rounding error of an exponent that is left as it is
_NEGLIGIBLE = 45.0  # e^-45 of the largest term changes no digit of the sum
_UNDERFLOW = 700.0  # exp takes ten times as long where its result is below e^-708
_SAFE = 300.0  # e^300, its square, and sums of many of them can be held
_FLOOR = -300.0  # in place of exponents that may be so deep: e^-300 changes no digit either


class Estimate(NamedTuple):
    """What one pass over the data gives; for a single bandwidth the leading axis H is absent.

    Attributes
    ----------
    log_density : array, shape (H, m)
        Logarithm of the density, which is per unit of volume of the data's space.
    score : array, shape (H, m, d), or None
        Gradient of the log-density, in one over the unit of the data, if asked for.
    participation : array, shape (H, m), or None
        Participation ratio of the data points, between 1/n and 1, if asked for.
    """

    log_density: Array
    score: Array | None
    participation: Array | None


def estimate(
    x: Array,
    data: Array,
    bandwidth: float | Sequence[float] | Array,
    *,
    weights: Array | None = None,
    leave_one_out: bool = False,
    with_score: bool = False,
    with_participation: bool = False,
) -> Estimate:
    r"""Evaluate kernel density estimates, and what comes with them, in one pass over the data.

    With the energies :math:`E_i(x)=\tfrac12\lVert x-y_i\rVert^2` and weights :math:`a_i`,

    .. math::
        \hat\rho_h(x) = (2\pi h^2)^{-d/2}\,\frac{\sum_i a_i e^{-E_i/h^2}}{\sum_i a_i},\qquad
        \nabla\log\hat\rho_h(x) = \frac1{h^2}\Bigl(\sum_i w_i y_i - x\Bigr),\qquad
        Y_2(x) = \sum_i w_i^2,

    where :math:`w_i=a_ie^{-E_i/h^2}/\sum_ja_je^{-E_j/h^2}` is the share of data point i in the
    estimate (:math:`Y_2` after Biroli and Mézard, arXiv:2408.05807).

    Parameters
    ----------
    x : array, shape (m, d)
        Queries.
    data : array, shape (n, d)
        Data points :math:`y_i`.
    bandwidth : float or array, shape (H,)
        One or several bandwidths h, in the unit of the data.  For a kernel with another covariance
        matrix, whiten `x` and `data` with it first.
    weights : array, shape (n,), optional
        Positive weights :math:`a_i` of the data points; equal ones if not given.
    leave_one_out : bool
        Evaluate query i without data point i; `x` then has the shape of `data`.
    with_score, with_participation : bool
        Whether to compute these, too.

    Returns
    -------
    Estimate
        In float64.

    Raises
    ------
    ValueError
        If an argument is out of its range, shapes disagree, or squared distances overflow.

    Notes
    -----
    For each tile of queries × data points the energies are one product of matrices with ``d + 2``
    columns.  The bandwidths share them and their running minimum, so that a further bandwidth
    costs one exponential for each pair; the score costs a second product.  Where the rounding of
    that product (`gaussbook.distances`) could move an exponent :math:`E_i/h^2` by more than 1e-10,
    the pairs that count are computed again from the differences of their coordinates.
    """
    x, data, weights = _check_points(x, data, weights, leave_one_out)
    xp = namespace(x, data)
    widths, single = _check_bandwidth(bandwidth)
    unit = min(widths)  # lengths are counted in the smallest bandwidth
    pairs = _Pairs(x, data, unit, weights, leave_one_out)
    betas = [(unit / h) ** 2 for h in widths]
    sums = [
        _sum_over_data(pairs, rows, betas, with_score, with_participation)
        for rows in pairs.blocks(x.shape[0], 0)
    ]
    peak = xp.concat([s.peak for s in sums])
    total = xp.concat([s.total for s in sums], axis=1)
    log_mass = xp.log(pairs.mass)
    densities = [
        b * peak
        + xp.log(total[k, :])
        - log_mass
        - x.shape[1] * math.log(math.sqrt(2 * math.pi) * h)
        for k, (b, h) in enumerate(zip(betas, widths, strict=True))
    ]
    fields = [xp.stack(densities), None, None]
    if with_score:
        pulls = xp.concat([s.first for s in sums], axis=1) / total[..., None]
        squares = xp.asarray([h * h / unit for h in widths], dtype=xp.float64)
        fields[1] = pulls / squares[:, None, None]
    if with_participation:
        fields[2] = xp.concat([s.square for s in sums], axis=1) / total**2
    return Estimate(*(f[0, ...] if single and f is not None else f for f in fields))


def log_density(
    x: Array,
    data: Array,
    bandwidth: float | Sequence[float] | Array,
    *,
    weights: Array | None = None,
    leave_one_out: bool = False,
) -> Array:
    r"""Logarithm of a kernel density estimate, :math:`\log\hat\rho_h(x)` of `estimate`.

    Parameters
    ----------
    x, data, bandwidth, weights, leave_one_out
        As for `estimate`.

    Returns
    -------
    array, shape (m,) or (H, m)
        A row for each bandwidth, if several are given.

    Raises
    ------
    ValueError
        As `estimate`.
    """
    return estimate(x, data, bandwidth, weights=weights, leave_one_out=leave_one_out).log_density


def score(
    x: Array,
    data: Array,
    bandwidth: float | Sequence[float] | Array,
    *,
    weights: Array | None = None,
    leave_one_out: bool = False,
) -> Array:
    r"""Gradient of a kernel density estimate's logarithm: :math:`(\sum_i w_iy_i - x)/h^2`.

    It points to the *mean shift* :math:`\sum_iw_iy_i`, the average of the data that the kernel at x
    sees, and is the exact score of the data after noise of standard deviation h was added.

    Parameters
    ----------
    x, data, bandwidth, weights, leave_one_out
        As for `estimate`.

    Returns
    -------
    array, shape (m, d) or (H, m, d)
        A matrix for each bandwidth, if several are given.

    Raises
    ------
    ValueError
        As `estimate`.
    """
    options = {"weights": weights, "leave_one_out": leave_one_out}
    return estimate(x, data, bandwidth, with_score=True, **options).score


def participation_ratio(
    x: Array,
    data: Array,
    bandwidth: float | Sequence[float] | Array,
    *,
    weights: Array | None = None,
    leave_one_out: bool = False,
) -> Array:
    r"""Participation ratio :math:`Y_2(x)=\sum_iw_i^2` of the data points in `estimate`.

    Its inverse is the number of data points that an estimate effectively averages.

    Parameters
    ----------
    x, data, bandwidth, weights, leave_one_out
        As for `estimate`.

    Returns
    -------
    array, shape (m,) or (H, m)
        A row for each bandwidth, if several are given.

    Raises
    ------
    ValueError
        As `estimate`.
    """
    options = {"weights": weights, "leave_one_out": leave_one_out}
    return estimate(x, data, bandwidth, with_participation=True, **options).participation


def _check_points(
    x: Array, data: Array, weights: Array | None, leave_one_out: bool
) -> tuple[Array, Array, Array | None]:
    x = check_array("x", x, ndim=2)
    data = check_array("data", data, shape=(None, x.shape[1]))
    xp = namespace(x, data)
    if leave_one_out and x.shape != data.shape:
        raise ValueError(
            f"x must be the data where one is left out: shape {tuple(data.shape)}, "
            f"got {tuple(x.shape)}"
        )
    if leave_one_out and data.shape[0] < 2:
        raise ValueError("data needs at least two points where one is left out")
    if weights is not None:
        weights = check_array("weights", weights, shape=(data.shape[0],))
        weights = xp.astype(weights, xp.float64, copy=False)
        if not bool(xp.all(weights > 0)):
            raise ValueError("weights must be positive: leave points of weight zero out")
        weights = weights / xp.max(weights)
        if not bool(xp.all(weights > 0)):
            raise ValueError("weights must lie within a factor 1e308 of each other")
    x, data = (xp.astype(a, xp.float64, copy=False) for a in (x, data))
    return x, data, weights


def _check_bandwidth(bandwidth: float | Sequence[float] | Array) -> tuple[list[float], bool]:
    """Return the bandwidths as numbers, and whether a single one was given."""
    bandwidth = check_array("bandwidth", bandwidth, ndim=(0, 1))
    single = bandwidth.ndim == 0
    widths = [float(bandwidth)] if single else [float(h) for h in bandwidth]
    if min(widths) <= 0:
        raise ValueError(f"bandwidth must be positive, got {min(widths):g}")
    return widths, single


class _Pairs:
    """Minus the energies of pairs of queries and data points, a tile at a time.

    Lengths are in units of the smallest bandwidth.
    """

    def __init__(self, x: Array, y: Array, unit: float, weights: Array | None, leave_one_out: bool):
        xp = namespace(x)
        self.x, self.weights, self.leave_one_out, self._unit = x, weights, leave_one_out, unit
        self._tile = _DEVICE_TILE if is_cupy_array(x) else _TILE
        middle = xp.mean(y, axis=0)
        self._x_offsets, self._y_offsets = ((z - middle) / unit for z in (x, y))
        self.y = y
        self._to_data = SquaredDistances(y, xp.full(x.shape[1], unit, dtype=xp.float64))
        largest = [float(xp.max(xp.vecdot(z, z))) for z in (self._x_offsets, self._y_offsets)]
        if not math.isfinite(sum(largest)):
            raise ValueError("x or data holds points whose squared distances overflow")
        self.rounding = self._to_data.rounding(sum(largest)) / 2
        self.spread = 0.0 if weights is None else -math.log(float(xp.min(weights)))
        self.highest_energy = sum(map(math.sqrt, largest)) ** 2 / 2
        ones = xp.ones(y.shape[0], dtype=xp.float64) if weights is None else weights
        self.mass = _mass_of_others(ones) if leave_one_out else xp.sum(ones)

    @property
    def width(self) -> int:
        """Number of data points of a tile."""
        return self._tile[1]

    def blocks(self, n: int, axis: int) -> Iterator[slice]:
        """Iterate over slices of `n` queries (axis 0) or data points (axis 1)."""
        side = self._tile[axis]
        return (slice(start, min(start + side, n)) for start in range(0, n, side))

    def negative_energies(self, rows: slice, columns: slice, above: Array | None = None) -> Array:
        """Return the tile, as far as it lies `above` a number for each query.

        A point left out has minus infinity.
        """
        xp = namespace(self.x)
        shift = None if above is None else -above
        tile = self._to_data.minus_half(self.x[rows, :], columns, shift)
        low, high = max(rows.start, columns.start), min(rows.stop, columns.stop)
        if self.leave_one_out and low < high:  # the tile meets the diagonal
            k = xp.arange(high - low)
            across = slice(low - rows.start, high - rows.start)
            down = slice(low - columns.start, high - columns.start)
            tile[across, down] = xp.where(k[:, None] == k, -math.inf, tile[across, down])
        return tile

    def pull(self, kernel: Array, rows: slice, columns: slice, exact: bool) -> Array:
        """Return Σ k (y − x) over the data of a tile, by a product where that is `exact` enough."""
        xp = namespace(self.x)
        if exact and self.x.shape[1] > 3:
            total = xp.sum(kernel, axis=1)[:, None]
            return kernel @ self._y_offsets[columns, :] - total * self._x_offsets[rows, :]
        x, y = self.x[rows, :], self.y[columns, :]
        pulls = [
            xp.vecdot(kernel, (y[:, d] - x[:, d][:, None]) / self._unit)
            for d in range(self.x.shape[1])
        ]
        return xp.stack(pulls, axis=1)

    def recompute(self, tile: Array, counting: Array, rows: slice, columns: slice) -> None:
        """Replace the energies that count by those from the differences of coordinates."""
        tile *= -2
        self._to_data.correct(tile, counting, self.x[rows, :], columns)
        tile *= -0.5


def _mass_of_others(weights: Array) -> Array:
    """Return the sum of all other weights for each point: sums from both ends, no difference."""
    xp = namespace(weights)
    before = xp.cumulative_sum(weights, include_initial=True)[:-1]
    behind = xp.flip(xp.cumulative_sum(xp.flip(weights), include_initial=True)[:-1])
    return before + behind


class _Sums(NamedTuple):
    """For some queries the largest −E, and Σ a k, Σ a k (y − x), Σ (a k)²; k = e^β(−E − peak)."""

    peak: Array  # (m,)
    total: Array  # (H, m)
    first: Array | None  # (H, m, d)
    square: Array | None  # (H, m)


def _sum_over_data(
    pairs: _Pairs, rows: slice, betas: list[float], with_score: bool, with_square: bool
) -> _Sums:
    """Accumulate the sums over all data, scaled anew whenever a nearer point turns up."""
    xp = namespace(pairs.x)
    m, (n, d) = rows.stop - rows.start, pairs.y.shape
    peak = xp.full(m, -math.inf)
    total = xp.zeros((len(betas), m))
    first = xp.zeros((len(betas), m, d)) if with_score else None
    square = xp.zeros((len(betas), m)) if with_square else None
    window = _recompute_window(pairs, betas)
    floor, ones = xp.asarray(_FLOOR - pairs.spread), xp.ones(pairs.width)
    settled = False
    for columns in pairs.blocks(n, 1):
        if settled:
            tile, drop = pairs.negative_energies(rows, columns, above=peak), xp.zeros(m)
        else:
            tile = pairs.negative_energies(rows, columns)
            nearest = xp.maximum(peak, xp.max(tile, axis=1))
            if window is not None:
                counting = tile >= (nearest - window)[:, None]
                counting = counting & (tile > -math.inf)
                pairs.recompute(tile, counting, rows, columns)
                nearest = xp.maximum(peak, xp.max(tile, axis=1))
            drop = peak - nearest
            peak = nearest
            tile -= peak[:, None]
            # An energy is at least zero: from such a peak on no exponent can be too large.
            settled = window is None and bool(xp.all(peak > -_SAFE))
        for k, beta in enumerate(betas):
            exponents = tile if beta == 1 else beta * tile
            if beta * pairs.highest_energy > _UNDERFLOW:
                exponents = xp.maximum(exponents, floor)
            kernel = xp.exp(exponents)
            if pairs.weights is not None:
                kernel *= pairs.weights[columns]
            shrink = xp.exp(beta * drop)
            # A product with ones is quicker than a sum, and its terms are all positive.
            total[k, :] = total[k, :] * shrink + kernel @ ones[: kernel.shape[1]]
            if with_score:
                pull = pairs.pull(kernel, rows, columns, window is None)
                first[k, ...] = first[k, ...] * shrink[:, None] + pull
            if with_square:
                square[k, :] = square[k, :] * shrink**2 + xp.vecdot(kernel, kernel)
    return _Sums(peak, total, first, square)


def _recompute_window(pairs: _Pairs, betas: list[float]) -> float | None:
    """How far below the largest −E a pair still counts and is too inexact; None if none is."""
    inexact = [beta for beta in betas if beta * pairs.rounding > _TOLERANCE]
    if not inexact:
        return None
    return (_NEGLIGIBLE + pairs.spread) / min(inexact) + 2 * pairs.rounding
