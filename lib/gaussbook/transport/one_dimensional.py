"""Wasserstein distances on the line: the distance of two quantile functions.

The optimal plan between measures on the line is monotone, for every cost that is a convex function
of the difference.  It pairs the sorted points in order, and where the weights or the numbers of
points differ it merges the steps of the two quantile functions.
"""

from __future__ import annotations

from typing import NamedTuple

from gaussbook.arrays import Array, namespace
from gaussbook.transport.pairs import check_order
from gaussbook.validation import check_array

__all__ = ["Coupling", "monotone_coupling", "power", "wasserstein_1d"]


def wasserstein_1d(
    x: Array,
    y: Array,
    p: float = 1,
    *,
    a: Array | None = None,
    b: Array | None = None,
    axis: int = -1,
) -> Array:
    r"""Wasserstein distances between samples on the line.

    .. math::
        W_p^p=\int_0^1\lvert F_x^{-1}(q)-F_y^{-1}(q)\rvert^p\,dq,\qquad\text{and}\qquad
        W_p^p=\frac1n\sum_i\lvert x_{(i)}-y_{(i)}\rvert^p

    for two samples of n points of equal weight.

    Parameters
    ----------
    x : array, shape (..., n)
        Points of the first distributions, one sample for each index of the other axes.
    y : array, shape (..., m)
        Points of the second distributions; the other axes broadcast with those of `x`.
    p : float
        Order, between 1 and 16.
    a, b : array, shapes (..., n) and (..., m), optional
        Weights of the points: not negative, of positive sum, and divided by it.  Equal weights if
        not given.
    axis : int
        The axis which holds the sample in all arguments.

    Returns
    -------
    array, shape (...)
        The distances (not their p-th powers), in the unit of the data.

    Raises
    ------
    ValueError
        If points or weights are not finite, a weight is negative, a sum of weights is zero,
        shapes disagree, or a difference of two points overflows.

    Notes
    -----
    Cumulated weights are rounded at about 1e-16, and as much mass goes to a neighbouring point:
    with `a` or `b`, the result is off by up to :math:`(10^{-16})^{1/p}` of the distance between
    neighbours, 1e-8 for p = 2.  Without them the levels are integers, and exact.
    """
    x, y = _samples_last("x", x, axis), _samples_last("y", y, axis)
    p = check_order(p)
    xp = namespace(x, y)
    _broadcast("y", x[..., 0], y[..., 0])
    n, m = x.shape[-1], y.shape[-1]
    if a is None and b is None:
        x, y = (xp.sort(z, axis=-1, stable=False) for z in (x, y))
        coupling = monotone_coupling(n, m, x)
        if coupling is None:
            return _root_mean(x, y, None, p)
        i, j, mass = coupling
        return _root_mean(xp.take(x, i, axis=-1), xp.take(y, j, axis=-1), mass, p)
    x, levels_x = _sort_with_levels("a", x, a, axis)
    y, levels_y = _sort_with_levels("b", y, b, axis)
    lead = _broadcast("b", x[..., 0], y[..., 0])[0].shape
    x, levels_x = (xp.broadcast_to(v, (*lead, n)) for v in (x, levels_x))
    y, levels_y = (xp.broadcast_to(v, (*lead, m)) for v in (y, levels_y))
    levels = xp.concat([levels_x, levels_y], axis=-1)
    order = xp.argsort(levels, axis=-1, stable=False)
    levels = xp.take_along_axis(levels, order, axis=-1)
    mass = xp.diff(levels, axis=-1, prepend=xp.zeros((*lead, 1), dtype=levels.dtype))
    # between two levels, the quantile is the point after those whose levels have been passed
    of_x = xp.astype(order < n, order.dtype)
    passed_x = xp.cumulative_sum(of_x, axis=-1) - of_x
    passed_y = xp.cumulative_sum(1 - of_x, axis=-1) - (1 - of_x)
    x = xp.take_along_axis(x, xp.minimum(passed_x, xp.asarray(n - 1)), axis=-1)
    y = xp.take_along_axis(y, xp.minimum(passed_y, xp.asarray(m - 1)), axis=-1)
    return _root_mean(x, y, mass, p)


class Coupling(NamedTuple):
    """The monotone plan between sorted points: step k moves ``mass[k]`` from ``i[k]`` to ``j[k]``.

    Attributes
    ----------
    i, j : array of integers, shape (K,)
        Ranks, which never fall.
    mass : array, shape (K,)
        Masses, which sum to one.
    """

    i: Array
    j: Array
    mass: Array


def monotone_coupling(n: int, m: int, like: Array) -> Coupling | None:
    """Return the monotone plan between n and m points of equal weight, beside the array `like`.

    It is None for ``n == m``, where rank i goes to rank i.  The levels are counted in units of
    ``1 / (n m)``, as integers, so that equal levels of the two samples coincide exactly.
    """
    if n == m:
        return None
    xp = namespace(like)
    levels = xp.concat([m * xp.arange(1, n + 1), n * xp.arange(1, m)])  # n m ends both
    levels = xp.sort(levels, stable=False)
    steps = xp.diff(levels, prepend=xp.zeros(1, dtype=levels.dtype))
    start = levels - steps
    mass = xp.astype(steps, xp.float64) / (n * m)
    return Coupling(start // m, start // n, mass)


def power(gaps: Array, p: float) -> Array:
    """Return the p-th powers of the absolute values (1 and 2 without a logarithm)."""
    xp = namespace(gaps)
    if p == 2:
        return gaps * gaps
    gaps = xp.abs(gaps)
    return gaps if p == 1 else gaps**p


def _samples_last(name: str, x: Array, axis: int) -> Array:
    x = check_array(name, x)
    if x.ndim == 0:
        raise ValueError(f"{name} must have at least one dimension")
    xp = namespace(x)
    try:
        return xp.moveaxis(xp.astype(x, xp.float64, copy=False), axis, -1)
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"axis must be an axis of {name}, got {axis!r}") from error


def _broadcast(name: str, *arrays: Array) -> list[Array]:
    try:
        return namespace(*arrays).broadcast_arrays(*arrays)
    except ValueError as error:
        raise ValueError(f"{name} has axes that do not broadcast: {error}") from error


def _sort_with_levels(name: str, x: Array, weights: Array | None, axis: int) -> tuple[Array, Array]:
    """Return the sorted points and the cumulated weights, which end at one."""
    xp = namespace(x)
    n = x.shape[-1]
    if weights is None:
        levels = xp.arange(1, n + 1, dtype=xp.float64) / n
        return xp.sort(x, axis=-1, stable=False), xp.broadcast_to(levels, x.shape)
    weights = _samples_last(name, weights, axis)
    if weights.shape[-1] != n:
        raise ValueError(f"{name} must have {n} weights along the axis, got {weights.shape[-1]}")
    total = xp.sum(weights, axis=-1, keepdims=True)
    if bool(xp.any(weights < 0)) or not bool(xp.all((total > 0) & xp.isfinite(total))):
        raise ValueError(f"{name} must not be negative, and of positive, finite sum")
    x, weights = _broadcast(name, x, weights / total)
    order = xp.argsort(x, axis=-1, stable=False)
    levels = xp.cumulative_sum(xp.take_along_axis(weights, order, axis=-1), axis=-1)
    levels = levels / levels[..., -1:]  # both last levels are exactly one
    return xp.take_along_axis(x, order, axis=-1), levels


def _root_mean(x: Array, y: Array, mass: Array | None, p: float) -> Array:
    """Return ``(sum mass |x - y|^p)^(1/p)``; equal masses for None."""
    xp = namespace(x, y)
    gaps = xp.abs(x - y)
    largest = xp.max(gaps, axis=-1, keepdims=True)
    if not bool(xp.all(xp.isfinite(largest))):
        raise ValueError("x and y are so far apart that their difference overflows")
    scale = xp.where(largest > 0, largest, 1.0)  # neither overflow nor underflow of the powers
    gaps = power(gaps / scale, p)
    mean = xp.mean(gaps, axis=-1) if mass is None else xp.vecdot(gaps, mass)
    return scale[..., 0] * mean ** (1 / p)
