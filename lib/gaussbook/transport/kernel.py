"""Distances between distributions by means over pairs of points, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable

from gaussbook.arrays import Array, namespace
from gaussbook.transport.pairs import check_samples, row_blocks, squared_distances
from gaussbook.validation import check_choice, check_scalar

__all__ = ["energy_distance", "maximum_mean_discrepancy"]


def energy_distance(x: Array, y: Array, *, unbiased: bool = False) -> float:
    r"""Energy distance between two samples.

    .. math::
        \mathcal E(X, Y) = 2\,E\lVert X-Y\rVert - E\lVert X-X'\rVert - E\lVert Y-Y'\rVert
        \ge 0,

    which is zero only for equal distributions (Székely and Rizzo, 2013).  It is twice the squared
    maximum mean discrepancy of the kernel :math:`-\lVert x-y\rVert`; some programs print the half.

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    unbiased : bool
        If false (V-statistic), each inner mean runs over all pairs, the n points with themselves
        included: never negative, biased upwards by
        :math:`E\lVert X-X'\rVert/n + E\lVert Y-Y'\rVert/m`.  If true (U-statistic), over the pairs
        of different points: right on average, and around zero, also below it, for equal
        distributions.

    Returns
    -------
    float
        The distance, in the unit of the data.

    Raises
    ------
    ValueError
        If a sample is empty, not finite or not two-dimensional, if the dimensions differ, or if
        the U-statistic is asked for with fewer than two points in a sample.

    Notes
    -----
    Distances are taken from :math:`\lVert x\rVert^2+\lVert y\rVert^2-2x^\top y` in float64, about
    ``(n + m)**2 d / 2`` multiply-adds in blocks of bounded memory.  The distance of two points
    which nearly coincide is off by up to 1e-8 of their distance from the centre of the data.
    """

    def distance(squares: Array) -> Array:
        return namespace(squares).sqrt(squares)

    between, within_x, within_y = _pair_means(x, y, distance, 0.0, unbiased)
    return 2 * between - within_x - within_y


def maximum_mean_discrepancy(
    x: Array, y: Array, lengthscale: float, *, kernel: str = "gaussian", unbiased: bool = False
) -> float:
    r"""Squared maximum mean discrepancy between two samples.

    .. math::
        \mathrm{MMD}^2 = E\,k(X,X') + E\,k(Y,Y') - 2E\,k(X,Y)\ge0

    (Gretton et al., 2012), which is zero only for equal distributions.

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    lengthscale : float
        Length :math:`\ell` of the kernel, in the unit of the data.
    kernel : {"gaussian", "laplace", "inverse multiquadric"}
        :math:`e^{-r^2/2\ell^2}`, :math:`e^{-r/\ell}` or :math:`(1+r^2/\ell^2)^{-1/2}` of the
        distance r.
    unbiased : bool
        If false (V-statistic), the inner means run over all pairs, a point with itself included.
        If true (U-statistic), over pairs of different points: right on average, and possibly
        negative.

    Returns
    -------
    float
        The square, without unit; at most 2.

    Raises
    ------
    ValueError
        If the samples do not fit together, `lengthscale` is not positive, `kernel` is unknown, or
        the U-statistic is asked for with fewer than two points in a sample.
    """
    lengthscale = check_scalar("lengthscale", lengthscale, above=0)
    check_choice("kernel", kernel, tuple(_KERNELS))
    function = _KERNELS[kernel]
    between, within_x, within_y = _pair_means(
        x, y, lambda squares: function(squares, lengthscale), 1.0, unbiased
    )
    return within_x + within_y - 2 * between


def _gaussian(squares: Array, lengthscale: float) -> Array:
    xp = namespace(squares)
    scaled = xp.sqrt(squares) / lengthscale  # the square of a tiny length scale may underflow
    return xp.exp(-scaled * scaled / 2)


def _laplace(squares: Array, lengthscale: float) -> Array:
    xp = namespace(squares)
    return xp.exp(-xp.sqrt(squares) / lengthscale)


def _inverse_multiquadric(squares: Array, lengthscale: float) -> Array:
    xp = namespace(squares)
    return 1 / xp.hypot(xp.sqrt(squares) / lengthscale, xp.ones_like(squares))


_KERNELS = {
    "gaussian": _gaussian,
    "laplace": _laplace,
    "inverse multiquadric": _inverse_multiquadric,
}


def _pair_means(
    x: Array, y: Array, function: Callable[[Array], Array], diagonal: float, unbiased: bool
) -> tuple[float, float, float]:
    """Return the means over pairs x–y, x–x' and y–y' of a function of the squared distance.

    `diagonal` is the function's value for a point and itself.
    """
    x, y = check_samples(x, y)
    for name, sample in (("x", x), ("y", y)):
        if unbiased and sample.shape[0] < 2:
            raise ValueError(f"{name} needs at least two points for the unbiased estimate")
    xp = namespace(x, y)
    centre = xp.mean(y, axis=0)
    x, y = x - centre, y - centre
    between = sum(
        float(xp.sum(function(squared_distances(x[start:stop, :], y))))
        for start, stop in row_blocks(x, y.shape[0])
    )
    means = [between / (x.shape[0] * y.shape[0])]
    for sample in (x, y):
        n = sample.shape[0]
        pairs = 2 * _sum_over_pairs(sample, function)
        means.append(pairs / (n * (n - 1)) if unbiased else (pairs + n * diagonal) / (n * n))
    return tuple(means)


def _sum_over_pairs(x: Array, function: Callable[[Array], Array]) -> float:
    """Return the sum over all unordered pairs of different points of `x`."""
    xp = namespace(x)
    total = 0.0
    for start, stop in row_blocks(x, x.shape[0]):
        values = function(squared_distances(x[start:stop, :], x[start:, :]))
        total += float(xp.sum(xp.triu(values, k=1)))  # each row meets the later points only
    return total
