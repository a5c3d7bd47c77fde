r"""Sums of exponentials in the log domain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np

from gaussbook.arrays import Array, namespace
from gaussbook.bounds import at_least
from gaussbook.rows import row_maxima, row_sums

__all__ = ["log_sum_exp", "normalise"]


def log_sum_exp(exponents: Array, axis: int = -1) -> Array:
    r"""Return :math:`\log\sum_ke^{a_k}` along an axis; -inf where all :math:`a_k` are.

    Parameters
    ----------
    exponents : array of floats
        The exponents :math:`a`, below inf.
    axis : int
        The axis that is summed over.

    Returns
    -------
    array
        The logarithms, of the shape without that axis.
    """
    xp = namespace(exponents)
    largest, sums = _reductions(exponents, axis)
    peak = xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest))
    terms = at_least(exponents - peak, _floor(exponents), overwrite=True)
    terms = np.exp(terms, out=terms) if isinstance(terms, np.ndarray) else xp.exp(terms)
    return xp.squeeze(largest + xp.log(sums(terms)), axis=axis)


def normalise(exponents: Array, axis: int = -1) -> tuple[Array, Array]:
    r"""Return :math:`\log\sum_ke^{a_k}` and the shares :math:`e^{a_k}/\sum_je^{a_j}` of the terms.

    Parameters
    ----------
    exponents : array of floats
        The exponents :math:`a`, below inf, one along the axis at least above -inf.
    axis : int
        The axis along which the shares sum to one.

    Returns
    -------
    log_sum : array
        The logarithms, of the shape without that axis.
    shares : array, shape of `exponents`
        The shares; those below :math:`e^{-600}` of the largest (:math:`e^{-80}` in single
        precision) are 0.
    """
    xp = namespace(exponents)
    largest, sums = _reductions(exponents, axis)
    shares = _exponentials(exponents - largest, xp)
    total = sums(shares)
    shares /= total
    return xp.squeeze(largest + xp.log(total), axis=axis), shares


def _reductions(x: Array, axis: int) -> tuple[Array, Callable[[Array], Array]]:
    """Return the largest along an axis, which is kept, and the function that sums along it."""
    if axis in (-1, x.ndim - 1) and x.ndim > 1:
        return row_maxima(x), row_sums
    if isinstance(x, np.ndarray):  # the reductions themselves, without what NumPy wraps around
        largest = np.maximum.reduce(x, axis=axis, keepdims=True)
        return largest, partial(np.add.reduce, axis=axis, keepdims=True)
    xp = namespace(x)
    return xp.max(x, axis=axis, keepdims=True), partial(xp.sum, axis=axis, keepdims=True)


def _exponentials(x: Array, xp: ModuleType) -> Array:
    """Return the exponentials, zero where they change no digit beside 1; x may be overwritten."""
    floor = _floor(x)
    if not isinstance(x, np.ndarray):
        return xp.where(x < floor, 0.0, xp.exp(xp.maximum(x, floor)))
    if x.size == 0 or np.minimum.reduce(x, axis=None) >= floor:
        return np.exp(x, out=x)
    high = x >= floor
    x = at_least(x, floor, overwrite=True)
    x = np.exp(x, out=x)
    x *= high  # an assignment where x is low would branch at every number
    return x


def _floor(exponents: Array) -> float:
    """Return the exponent of a term that changes no digit beside 1.

    Smaller terms are, or soon will be, subnormal numbers, which take many times as long.
    """
    if isinstance(exponents, np.ndarray):
        return -600.0 if exponents.dtype == np.float64 else -80.0
    return -600.0 if exponents.dtype == namespace(exponents).float64 else -80.0
