"""Argument checks shared by all public functions: each failure names the argument and the fault."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array, is_dask_array, is_numpy_array
from scipy import sparse

from gaussbook.arrays import Array, has_masked_values, namespace

__all__ = [
    "check_array",
    "check_choice",
    "check_covariance",
    "check_integer",
    "check_probabilities",
    "check_scalar",
    "try_cholesky",
]


def check_array(
    name: str,
    x: Any,
    *,
    ndim: int | tuple[int, ...] | None = None,
    shape: tuple[int | None, ...] | None = None,
    finite: bool = True,
    nonempty: bool = True,
    integers: bool = False,
) -> Array:
    """Return `x` as a checked real array on its own device.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    x : array_like
        An array of any backend; lists and numbers become NumPy arrays.
    ndim : int or tuple of int, optional
        Allowed numbers of dimensions.
    shape : tuple, optional
        Required shape; ``None`` stands for any length.
    finite : bool
        Refuse NaN and infinities.
    nonempty : bool
        Refuse arrays without elements.
    integers : bool
        Require an integer type.  Otherwise integers and booleans become float64.

    Returns
    -------
    array
        `x`, converted if need be.

    Raises
    ------
    ValueError
        If `x` does not fit, or a masked array hides some of its values; the message begins with
        `name`.
    """
    x = _as_array(name, x)
    xp = namespace(x)
    if integers:
        if not xp.isdtype(x.dtype, "integral"):
            raise ValueError(f"{name} must hold integers, got {x.dtype}")
    elif xp.isdtype(x.dtype, ("integral", "bool")):
        x = xp.astype(x, xp.float64)
    elif not xp.isdtype(x.dtype, "real floating"):
        raise ValueError(f"{name} must hold real numbers, got {x.dtype}")
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and x.ndim not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"{name} must have {wanted} dimension(s), got shape {tuple(x.shape)}")
    if shape is not None and (
        x.ndim != len(shape)
        or any(w is not None and w != n for w, n in zip(shape, x.shape, strict=True))
    ):
        wanted = ", ".join("any" if w is None else str(w) for w in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(x.shape)}")
    if nonempty and math.prod(x.shape) == 0:
        raise ValueError(f"{name} is empty (shape {tuple(x.shape)})")
    if finite and not integers and not bool(xp.all(xp.isfinite(x))):
        raise ValueError(f"{name} holds NaN or infinite values")
    return x


def _as_array(name: str, x: Any) -> Array:
    if has_masked_values(x):
        raise ValueError(f"{name} has masked values: leave them out, or fill them in")
    if is_dask_array(x):
        raise ValueError(f"{name} is a Dask array, which is not taken here: pass {name}.compute()")
    try:
        namespace(x)
        # Subclasses of NumPy's array have other rules (a matrix's product, a mask).
        return np.asarray(x) if isinstance(x, np.ndarray) else x
    except TypeError:
        pass
    if sparse.issparse(x):
        raise ValueError(f"{name} is sparse, which is not supported: pass {name}.toarray()")
    try:
        array = np.asarray(x)
        return array if array.size else array.astype(float)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from error


_NO_NUMBERS = (str, bytes, bytearray, bool, np.bool_)


def check_scalar(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return `value` as a finite float inside the given bounds, or raise ``ValueError``."""
    try:
        if isinstance(value, _NO_NUMBERS):  # of which float makes numbers
            raise TypeError("not a number")
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    for bound, holds, words in (
        (above, operator.gt, "above"),
        (at_least, operator.ge, "at least"),
        (below, operator.lt, "below"),
        (at_most, operator.le, "at most"),
    ):
        if bound is not None and not holds(number, bound):
            raise ValueError(f"{name} must be {words} {bound:g}, got {number:g}")
    return number


def check_integer(
    name: str, value: Any, *, at_least: int | None = None, at_most: int | None = None
) -> int:
    """Return `value` as an integer inside the given bounds, or raise ``ValueError``."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be an integer, got {value!r}") from error
    if isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    check_scalar(name, number, at_least=at_least, at_most=at_most)
    return number


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, or raise ``ValueError`` that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    return value


def check_probabilities(name: str, weights: Any, *, tolerance: float = 0.0) -> Array:
    """Return `weights`, checked to be non-negative along the last axis and to sum to one.

    The sum, taken in float64, may be off by half the digits of the type, or by `tolerance` where
    that is more.
    """
    weights = check_array(name, weights)
    xp = namespace(weights)
    if bool(xp.any(weights < 0)):
        raise ValueError(f"{name} holds negative values")
    error = float(xp.max(xp.abs(xp.sum(xp.astype(weights, xp.float64), axis=-1) - 1)))
    if error > max(tolerance, float(xp.finfo(weights.dtype).eps) ** 0.5):
        raise ValueError(f"{name} must sum to 1, off by {error:.3g}")
    return weights


def check_covariance(name: str, covariance: Any) -> tuple[Array, Array]:
    """Check covariance matrices ``(..., d, d)`` and return them with their Cholesky factors.

    Returns
    -------
    covariance, cholesky : array, shape (..., d, d)
        The matrices and their lower Cholesky factors.

    Raises
    ------
    ValueError
        If a matrix is not square, not symmetric (to half the type's digits) or not positive
        definite.
    """
    covariance = check_array(name, covariance)
    xp = namespace(covariance)
    if covariance.ndim < 2 or covariance.shape[-1] != covariance.shape[-2]:
        raise ValueError(f"{name} must be square, got shape {tuple(covariance.shape)}")
    difference = xp.abs(covariance - xp.matrix_transpose(covariance))
    asymmetry, size = (xp.max(v, axis=(-2, -1)) for v in (difference, xp.abs(covariance)))
    tolerance = float(xp.finfo(covariance.dtype).eps) ** 0.5
    if bool(xp.any(asymmetry > tolerance * size)):
        worst = float(xp.max(asymmetry))
        raise ValueError(f"{name} is not symmetric (entries differ by {worst:.3g})")
    cholesky = try_cholesky(covariance)
    if cholesky is None:
        raise ValueError(f"{name} is not positive definite")
    return covariance, cholesky


def try_cholesky(matrix: Array, *, overwrite: bool = False) -> Array | None:
    """Return lower Cholesky factors (..., n, n), or None if a matrix is not positive definite.

    With `overwrite` the factor may take the place of the matrix.

    Of symmetric matrices the lower triangle is read; what each backend does about a failure (an
    error on the host, NaN or garbage on a GPU) stays in here.
    """
    xp = namespace(matrix)
    try:
        if is_cupy_array(matrix):
            import cupyx

            with cupyx.errstate(linalg="raise"):
                factor = xp.linalg.cholesky(matrix)
        elif is_numpy_array(matrix) and matrix.ndim == 2:
            from scipy.linalg import cholesky

            # LAPACK reads our rows as its columns, so the upper factor of the transpose costs
            # no copy in the other layout: half the time of numpy.linalg.
            rule = {"lower": False, "check_finite": False, "overwrite_a": overwrite}
            factor = cholesky(matrix.T, **rule).T
            # A row that is not finite takes its end, on the diagonal, with it.
            return factor if np.all(np.isfinite(np.diagonal(factor))) else None
        else:
            factor = xp.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    return factor if bool(xp.all(xp.isfinite(factor))) else None
