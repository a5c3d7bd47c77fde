"""Indexing, reductions, reshaping, gathering and scattering."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch
from gaussbook.autodiff.elementwise import divide, exp, multiply, subtract, where
from gaussbook.autodiff.spaces import (
    Axis,
    astype,
    axes_of,
    broadcast_to,
    checked_axis,
    defvjp,
    defvjp_argnums,
    kept_shape,
    reshape,
    sum,
    unbroadcast,
)
from gaussbook.autodiff.tracing import (
    SliceGradient,
    as_array,
    as_floating,
    is_floating,
    is_traced,
    plain,
    plain_namespace,
    primitive,
    refuse_masked,
)
from gaussbook.rows import row_maxima, row_sums

__all__ = [
    "astype",
    "broadcast_to",
    "concat",
    "cumsum",
    "flip",
    "logsumexp",
    "matrix_transpose",
    "max",
    "mean",
    "min",
    "permute_dims",
    "reshape",
    "scatter_add",
    "squeeze",
    "stack",
    "std",
    "sum",
    "take",
    "take_along_axis",
    "tril",
    "triu",
    "unbroadcast",
    "var",
]

# ---------------------------------------------------------------------------------------- shapes


@primitive
def permute_dims(x: Array, axes: tuple[int, ...]) -> Array:
    """Return x with its axes in another order."""
    x = as_array(x)
    return plain_namespace(x).permute_dims(x, tuple(axes))


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    axes = [a % len(axes) for a in axes]
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


defvjp(permute_dims, lambda ans, x, axes: lambda g: permute_dims(g, _inverse(axes)))


@primitive
def matrix_transpose(x: Array) -> Array:
    """Return x (..., n, m) with its last two axes exchanged."""
    x = as_array(x)
    return plain_namespace(x).matrix_transpose(x)


defvjp(matrix_transpose, lambda ans, x: lambda g: matrix_transpose(g))


def squeeze(x: Array, axis: int | tuple[int, ...]) -> Array:
    """Return x without the given axes, which have length 1."""
    axes = axes_of(axis, x.ndim)
    if builtins.any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"axis {axis} of shape {tuple(x.shape)} has not length 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@primitive
def flip(x: Array, axis: Axis = None) -> Array:
    """Return x in reverse order along one, several or all axes."""
    x = as_array(x)
    return plain_namespace(x).flip(x, axis=axis)


defvjp(flip, lambda ans, x, axis=None: lambda g: flip(g, axis))


@primitive
def _concat(*arrays: Array, axis: int) -> Array:
    return plain_namespace(*arrays).concat(arrays, axis=axis)


def _concat_vjp(argnums: tuple, ans: Array, args: tuple, kwargs: dict) -> Any:
    axis = kwargs["axis"] % ans.ndim
    ends = [0]
    for x in args:
        ends.append(ends[-1] + x.shape[axis])
    before = (slice(None),) * axis
    return lambda g: [g[(*before, slice(ends[i], ends[i + 1]))] for i in argnums]


defvjp_argnums(_concat, _concat_vjp)


def concat(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Return the arrays end to end along an axis (flattened if it is None)."""
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    return _concat(*map(as_array, arrays), axis=axis)


@primitive
def _stack(*arrays: Array, axis: int) -> Array:
    return plain_namespace(*arrays).stack(arrays, axis=axis)


def _stack_vjp(argnums: tuple, ans: Array, args: tuple, kwargs: dict) -> Any:
    before = (slice(None),) * (kwargs["axis"] % ans.ndim)
    return lambda g: [g[(*before, i, ...)] for i in argnums]


defvjp_argnums(_stack, _stack_vjp)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Return the arrays, of one shape, side by side along a new axis."""
    return _stack(*map(as_array, arrays), axis=axis)


# -------------------------------------------------------------------------- indexing and scatter


@primitive
def _get(x: Array, index: Any) -> Array:
    return x[index]


@primitive
def _put(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    if _is_basic(index):
        total = plain_namespace(g).zeros(shape, dtype=g.dtype)
        total[index] = g
        return total
    return dispatch.add_at(shape, index, g)


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return builtins.all(
        part is Ellipsis or part is None or isinstance(part, int | slice) for part in parts
    )


def _get_vjp(ans: Array, x: Array, index: Any) -> Any:
    basic, shape = _is_basic(index), None
    if basic and isinstance(index, tuple | None) and None in (index or (None,)):
        index = tuple(part for part in index or () if part is not None) or (...,)
        shape = tuple(plain(x)[index].shape)  # a view; new axes have length 1

    def pull(g: Array) -> Any:
        if shape is not None:
            g = reshape(g, shape)
        if basic and not is_traced(g):
            return SliceGradient(plain(x), index, g)
        return _put(g, index, tuple(x.shape))

    return pull


defvjp(_get, _get_vjp)
defvjp(_put, lambda ans, g, index, shape: lambda h: _get(h, index))


def getitem(x: Array, index: Any) -> Array:
    """Return ``x[index]``; traced arrays in the index are constants."""
    index = tuple(map(plain, index)) if isinstance(index, tuple) else plain(index)
    refuse_masked(index)
    return _get(x, index)


@primitive
def _take_rows(x: Array, rows: Array) -> Array:
    return plain_namespace(x).take(x, rows, axis=0)


@primitive
def _add_rows(values: Array, rows: Array, n: int) -> Array:
    tail = tuple(values.shape[1:])
    matrix = plain_namespace(values).reshape(values, (values.shape[0], math.prod(tail)))
    total = dispatch.add_rows(matrix, rows, n)
    return plain_namespace(values).reshape(total, (n, *tail))


defvjp(_take_rows, lambda ans, x, rows: lambda g: _add_rows(g, rows, x.shape[0]))
defvjp(_add_rows, lambda ans, values, rows, n: lambda g: _take_rows(g, rows))


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    """Return the slices of x along an axis that an integer array names.

    Parameters
    ----------
    x : array, shape (..., n, ...)
        The table.
    indices : array of int, any shape S
        From 0 to n - 1.
    axis : int
        The axis of length n, which S replaces in the result.

    Raises
    ------
    ValueError
        If an index is out of range, or there is no such axis.  On a GPU, where looking at values
        makes everything wait, a slice of no such index is NaN.
    """
    x, indices = as_array(x), as_array(plain(indices))
    axis = checked_axis(axis, x.ndim)
    indices, guard = dispatch.checked_indices("indices", indices, x.shape[axis], x)
    xp = plain_namespace(indices)
    front = x if axis == 0 else permute_dims(x, (axis, *(i for i in range(x.ndim) if i != axis)))
    rows = _take_rows(front, xp.reshape(indices, (-1,)))
    rows = reshape(rows, (*indices.shape, *front.shape[1:]))
    k = indices.ndim
    if guard is not None:
        rows = rows + xp.reshape(guard, (*indices.shape, *(1,) * (rows.ndim - k)))
    if axis == 0:
        return rows
    return permute_dims(rows, (*range(k, k + axis), *range(k), *range(k + axis, rows.ndim)))


def scatter_add(values: Array, indices: Array, n: int) -> Array:
    r"""Return the sums of those values that share an index: the transpose of `take`.

    .. math:: y_i = \sum_{j:\, \mathrm{indices}_j = i} \mathrm{values}_j

    Parameters
    ----------
    values : array, whose leading axes are S
        What is added.
    indices : array of int, shape S
        Where to, from 0 to n - 1.
    n : int
        Length of the result.

    Returns
    -------
    array, shape (n, ...)
        The sums, zero where no index points.

    Raises
    ------
    ValueError
        If an index is out of range, or the shapes do not fit.  On a GPU an index out of range
        makes all sums NaN.
    """
    values, indices = as_array(values), as_array(plain(indices))
    if not is_floating(values):  # whole numbers as in `sum`
        values = astype(values, sum(values).dtype)
    indices, guard = dispatch.checked_indices("indices", indices, n, values)
    if tuple(values.shape[: indices.ndim]) != tuple(indices.shape):
        raise ValueError(
            f"values must have a shape that begins with {tuple(indices.shape)}, "
            f"got {tuple(values.shape)}"
        )
    flat = reshape(values, (math.prod(indices.shape), *values.shape[indices.ndim :]))
    total = _add_rows(flat, plain_namespace(indices).reshape(indices, (-1,)), n)
    return total if guard is None else total + plain_namespace(guard).sum(guard)


def take_along_axis(x: Array, indices: Array, axis: int = -1) -> Array:
    """Return ``y[..., i, ...] = x[..., indices[..., i, ...], ...]`` along an axis.

    Parameters
    ----------
    x : array
        Any shape.
    indices : array of int
        Of the shape of x but for that axis.
    axis : int
        The axis.
    """
    x, indices = as_array(x), as_array(plain(indices))
    axis, xp = checked_axis(axis, x.ndim), plain_namespace(indices)
    index = tuple(
        indices
        if i == axis
        else xp.broadcast_to(
            xp.reshape(
                xp.arange(n, dtype=indices.dtype), tuple(n if j == i else 1 for j in range(x.ndim))
            ),
            indices.shape,
        )
        for i, n in enumerate(x.shape)
    )
    return _get(x, index)


# ------------------------------------------------------------------------------------ reductions


@primitive
def _mean(x: Array, axis: Axis, keepdims: bool) -> Array:
    return plain_namespace(x).mean(x, axis=axis, keepdims=keepdims)


defvjp(
    _mean,
    lambda ans, x, axis, keepdims: (
        lambda g: broadcast_to(
            reshape(g, kept_shape(x.shape, axis)) / _count(x, axis), tuple(x.shape)
        )
    ),
)


def _count(x: Array, axis: Axis) -> int:
    """Return how many elements each mean is of."""
    count = math.prod(x.shape[a] for a in axes_of(axis, x.ndim))
    if count == 0:
        raise ValueError(f"x has no elements to take the mean of (shape {tuple(x.shape)})")
    return count


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the mean over one, several or all axes.

    Raises
    ------
    ValueError
        If there is nothing to take the mean of, or no such axis.
    """
    x = as_array(x)
    _count(x, axis)
    return _mean(x, axis, keepdims)


def var(x: Array, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Array:
    """Return the variance, the sum of squares divided by the number less `correction`.

    Raises
    ------
    ValueError
        If the correction leaves nothing to divide by, or as `mean`.
    """
    x = as_array(x)
    count = _count(x, axis)
    if correction >= count:
        raise ValueError(f"correction must be below the number {count} of elements")
    centred = x - mean(x, axis=axis, keepdims=True)
    return divide(sum(centred * centred, axis=axis, keepdims=keepdims), count - correction)


def std(x: Array, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Array:
    """Return the square root of `var`; it has no derivative where all elements are equal."""
    return var(x, axis=axis, keepdims=keepdims, correction=correction) ** 0.5


@primitive
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the largest element along axes; equal ones share the gradient."""
    x = as_array(x)
    return plain_namespace(x).max(x, axis=axis, keepdims=keepdims)


@primitive
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the smallest element along axes; equal ones share the gradient."""
    x = as_array(x)
    return plain_namespace(x).min(x, axis=axis, keepdims=keepdims)


def _chosen_vjp(ans: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    kept, value = kept_shape(x.shape, axis), plain(x)
    xp = plain_namespace(value)
    equal = xp.astype(value == xp.reshape(plain(ans), kept), value.dtype)
    share = equal / xp.sum(equal, axis=axis, keepdims=True)
    return lambda g: reshape(g, kept) * share


defvjp(max, _chosen_vjp)
defvjp(min, _chosen_vjp)


@primitive
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    r"""Return :math:`\log\sum_i e^{x_i}` over axes, without overflow.

    Parameters
    ----------
    x : array
        Logarithms; minus infinity stands for zero.
    axis : int, tuple of int or None
        Axes to sum over.
    keepdims : bool
        Keep them at length 1.
    """
    x = as_floating(x)
    xp, of_rows = plain_namespace(x), x.ndim > 1 and axis in (-1, x.ndim - 1)
    if x.size:
        top = row_maxima(x) if of_rows else xp.max(x, axis=axis, keepdims=True)
        top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    else:
        top = xp.zeros(kept_shape(x.shape, axis), dtype=x.dtype)
    terms = dispatch.exponentials(x - top)
    total = row_sums(terms) if of_rows else xp.sum(terms, axis=axis, keepdims=True)
    zero = total == 0  # all terms are zero: the logarithm is minus infinity, without a warning
    result = xp.log(xp.where(zero, xp.ones_like(total), total)) + top
    result = xp.where(zero, xp.full_like(result, -math.inf), result)
    if keepdims:
        return result
    axes = axes_of(axis, x.ndim)
    return xp.reshape(result, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _logsumexp_vjp(ans: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    kept = kept_shape(x.shape, axis)

    def pull(g: Array) -> Array:
        level = reshape(ans, kept)
        level = where(plain(level) == -math.inf, 0.0, level)  # weights of an empty sum: all zero
        return multiply(reshape(g, kept), exp(subtract(x, level)))

    return pull


defvjp(logsumexp, _logsumexp_vjp)


@primitive
def cumsum(x: Array, axis: int = -1) -> Array:
    """Return the running sums along an axis; whole numbers as NumPy promotes them."""
    x = as_array(x)
    return plain_namespace(x).cumulative_sum(x, axis=axis)


defvjp(cumsum, lambda ans, x, axis=-1: lambda g: flip(cumsum(flip(g, axis), axis), axis))


# ------------------------------------------------------------------------------ parts of matrices


@primitive
def tril(x: Array, k: int = 0) -> Array:
    """Return x (..., n, m) with zeros above its k-th diagonal."""
    x = as_array(x)
    return plain_namespace(x).tril(x, k=k)


@primitive
def triu(x: Array, k: int = 0) -> Array:
    """Return x (..., n, m) with zeros below its k-th diagonal."""
    x = as_array(x)
    return plain_namespace(x).triu(x, k=k)


defvjp(tril, lambda ans, x, k=0: lambda g: tril(g, k))
defvjp(triu, lambda ans, x, k=0: lambda g: triu(g, k))
