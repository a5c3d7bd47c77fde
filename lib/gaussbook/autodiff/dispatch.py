"""What the array API standard lacks, for each kind of array: the only such choice of this package.

NumPy arrays go to NumPy and SciPy, CuPy arrays to CuPy, and every other kind to a formulation in
the standard's own functions (or, for the special functions, to an explicit copy on the host).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array, is_numpy_array

from gaussbook.arrays import Array, to_host
from gaussbook.autodiff.tracing import is_floating, plain_namespace
from gaussbook.bounds import at_least

__all__ = [
    "add_at",
    "add_rows",
    "add_to_rows",
    "apply_in_place",
    "checked_indices",
    "cholesky",
    "column_sums",
    "exponentials",
    "on_host",
    "rectify",
    "special",
    "windows",
]


def apply_in_place(name: str, x: Array) -> Array:
    """Return ``xp.<name>(x)``, written over `x` where the arrays allow it."""
    if isinstance(x, np.ndarray):
        return getattr(np, name)(x, out=x)
    if is_cupy_array(x):
        import cupy

        return getattr(cupy, name)(x, out=x)
    return getattr(plain_namespace(x), name)(x)


def special(name: str, x: Array) -> Array:
    """Return ``scipy.special.<name>(x)``."""
    if is_cupy_array(x):
        from cupyx.scipy import special as functions

        return getattr(functions, name)(x)
    from scipy import special as functions

    if isinstance(x, np.ndarray | np.generic | float):
        return getattr(functions, name)(x)
    return plain_namespace(x).asarray(getattr(functions, name)(to_host(x)))


def cholesky(x: Array) -> Array:
    """Return lower Cholesky factors; a matrix that has none is an error on every device."""
    if is_cupy_array(x):
        import cupyx

        with cupyx.errstate(linalg="raise"):
            return plain_namespace(x).linalg.cholesky(x)
    return plain_namespace(x).linalg.cholesky(x)


def rectify(x: Array) -> Array:
    """Return max(x, 0), written over `x` where the arrays allow it."""
    if is_cupy_array(x):
        return plain_namespace(x).maximum(x, 0, out=x)
    return at_least(x, 0.0, overwrite=True)


def exponentials(x: Array) -> Array:
    """Return exp(x), written over `x` where the arrays allow it; below e^-700 it may be zero.

    NumPy takes up to fifty times as long for the numbers of double precision below.
    """
    if not isinstance(x, np.ndarray) or x.dtype != np.float64 or not x.size or x.min() >= -700:
        return apply_in_place("exp", x)
    low = x < -700
    x = at_least(x, -700.0, overwrite=True)
    x = np.exp(x, out=x)
    np.putmask(x, low, 0)
    return x


def add_to_rows(x: Array, row: Array) -> None:
    """Add a vector (m,) to every row of a matrix (n, m), in place."""
    n, m = x.shape
    several = math.gcd(n, 512 // m) if n >= 1024 and 0 < m <= 64 else 1
    if isinstance(x, np.ndarray) and several > 1 and x.flags.c_contiguous:
        x = x.reshape(n // several, several * m)  # many short rows are slower than few long ones
        row = np.concatenate([row] * several)
    x += row


def column_sums(x: Array) -> Array:
    """Return the sums over the rows of matrices (..., n, m), as a product: faster than a sum."""
    xp = plain_namespace(x)
    return xp.ones(x.shape[-2], dtype=x.dtype) @ x


def windows(x: Array, kernel: tuple[int, int], stride: int, out: tuple[int, int]) -> Array:
    """Return the windows of images as the rows of a matrix.

    Parameters
    ----------
    x : array, shape (B, H, W, C)
        Images.
    kernel : (int, int)
        Height and width (kh, kw) of the windows.
    stride : int
        Distance of the windows.
    out : (int, int)
        Number of windows (h, w) down and across.

    Returns
    -------
    array, shape (B h w, kh kw C)
        A copy.
    """
    xp = plain_namespace(x)
    (kh, kw), (h, w), (B, _, _, c) = kernel, out, x.shape
    if isinstance(x, np.ndarray) or is_cupy_array(x):
        if isinstance(x, np.ndarray):
            from numpy.lib.stride_tricks import as_strided
        else:
            from cupy.lib.stride_tricks import as_strided
        b, i, j, k = x.strides
        if c < 8:  # few channels make short runs: copy along the rows of the images instead
            columns = as_strided(x, (kh, kw, c, B, h, w), (i, j, k, b, stride * i, stride * j))
            return xp.matrix_transpose(xp.reshape(columns, (kh * kw * c, B * h * w)))
        view = as_strided(x, (B, h, w, kh, kw, c), (b, stride * i, stride * j, i, j, k))
        return xp.reshape(view, (B * h * w, kh * kw * c))
    rows = xp.empty((B, h, w, kh * kw, c), dtype=x.dtype)
    for i in range(kh):
        for j in range(kw):
            part = x[:, i : i + stride * (h - 1) + 1 : stride, :, :]
            rows[:, :, :, i * kw + j, :] = part[:, :, j : j + stride * (w - 1) + 1 : stride, :]
    return xp.reshape(rows, (B * h * w, kh * kw * c))


def on_host(x: Array) -> bool:
    """Say whether looking at values is cheap: a GPU would first have to finish all its work."""
    return not is_cupy_array(x)


def checked_indices(name: str, indices: Array, n: int, like: Array) -> tuple[Array, Array | None]:
    """Return indices from 0 to n - 1, and what to add to results that came from no such index.

    Parameters
    ----------
    name : str
        The argument's name, for errors.
    indices : array of int
        To be checked.
    n : int
        Length of the axis.
    like : array
        What is indexed.

    Returns
    -------
    indices : array of int
        All within the axis.
    guard : array or None
        None where the values could be looked at.  For floating arrays on a GPU: 0 for each index
        that was within the axis, and NaN for each that was not.

    Raises
    ------
    ValueError
        If the indices are no integers, or seen to lie outside.
    """
    xp = plain_namespace(indices)
    if not hasattr(indices, "dtype") or not xp.isdtype(indices.dtype, "integral"):
        raise ValueError(f"{name} must be an array of integers")
    if on_host(indices) or not is_floating(like):
        if indices.size and not (int(xp.min(indices)) >= 0 and int(xp.max(indices)) < n):
            raise ValueError(f"{name} must lie between 0 and {n - 1}")
        return indices, None
    inside = (indices >= 0) & (indices < n)
    zero = xp.zeros((), dtype=like.dtype)
    return xp.where(inside, indices, xp.zeros_like(indices)), xp.where(inside, zero, math.nan)


def add_rows(values: Array, rows: Array, n: int) -> Array:
    """Return the matrix (n, m) whose row i is the sum of those `values` (k, m) with row number i.

    Parameters
    ----------
    values : array, shape (k, m)
        What is added.
    rows : array of int, shape (k,)
        Where to, from 0 to n - 1: the caller has checked them, as SciPy does not.
    n : int
        Number of rows of the result.
    """
    if is_numpy_array(values):
        from scipy.sparse import csc_array

        k = values.shape[0]
        ones = np.ones(k, values.dtype)
        return csc_array((ones, rows, np.arange(k + 1)), shape=(n, k)) @ values
    if is_cupy_array(values):
        import cupy
        import cupyx

        total = cupy.zeros((n, values.shape[1]), dtype=values.dtype)
        cupyx.scatter_add(total, rows, values)
        return total
    xp = plain_namespace(values)
    hot = xp.arange(n, dtype=rows.dtype)[:, None] == rows[None, :]
    return xp.astype(hot, values.dtype) @ values


def add_at(shape: tuple[int, ...], index: Any, values: Array) -> Array:
    """Return zeros of the given shape with `values` added at an index, repeats counted.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    index : index
        Anything that indexes an array: integers, slices, integer or boolean arrays.
    values : array
        Of the shape that the index picks out.
    """
    xp = plain_namespace(values)
    if isinstance(values, np.ndarray | np.generic):
        total = np.zeros(shape, values.dtype)
        np.add.at(total, index, values)
        return total
    if is_cupy_array(values):
        import cupyx

        total = xp.zeros(shape, dtype=values.dtype)
        cupyx.scatter_add(total, index, values)
        return total
    size = math.prod(shape)
    numbers = xp.reshape(xp.arange(size), shape)[index]
    total = add_rows(xp.reshape(values, (-1, 1)), xp.reshape(numbers, (-1,)), size)
    return xp.reshape(total, shape)
