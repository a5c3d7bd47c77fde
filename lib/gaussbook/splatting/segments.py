"""Sums over contiguous stretches, and rows put where they belong, for arrays of any backend.

The standard knows neither segmented sums nor assignment at arrays of indices.  Each function has a
way around that, which any backend can take, and the direct way for NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import is_cupy_array, is_numpy_array

from gaussbook.arrays import Array, namespace

__all__ = [
    "offsets_of",
    "offsets_of_sorted",
    "put_rows",
    "repeat",
    "running_sums",
    "segment_sums",
    "unsort",
]


def offsets_of(lengths: Array) -> Array:
    """Return where segments of these lengths start, and the end of the last, shape (n + 1,)."""
    return running_sums(lengths, lengths.dtype)


def running_sums(values: Array, dtype: Any) -> Array:
    """Return the sums of the first 0, 1, ..., n values, shape (n + 1,)."""
    if is_numpy_array(values):  # without the copy that putting a zero in front takes
        result = np.empty(values.size + 1, dtype=dtype)
        result[0] = 0
        np.cumsum(values, out=result[1:])
        return result
    return namespace(values).cumulative_sum(values, dtype=dtype, include_initial=True)


def offsets_of_sorted(labels: Array, n: int) -> Array:
    """Return where each of the labels 0, ..., n - 1 starts in a sorted array, and its length."""
    if is_numpy_array(labels):
        return offsets_of(np.bincount(labels, minlength=n))
    xp = namespace(labels)
    return xp.searchsorted(labels, xp.arange(n + 1, dtype=labels.dtype))


def repeat(values: Array, lengths: Array, offsets: Array) -> Array:
    """Repeat each value ``lengths`` times.

    Parameters
    ----------
    values : array, shape (n, ...)
    lengths : array of int, shape (n,)
    offsets : array of int, shape (n + 1,)
        Those of `lengths`, from `offsets_of`.

    Returns
    -------
    array, shape (M, ...)
    """
    if is_numpy_array(values):
        return np.repeat(values, lengths, axis=0)
    xp = namespace(values)
    count = int(offsets[-1]) if offsets.shape[0] > 1 else 0
    places = xp.arange(count, dtype=offsets.dtype)
    return xp.take(values, xp.searchsorted(offsets[1:], places, side="right"), axis=0)


def segment_sums(values: Array, offsets: Array) -> Array:
    """Sum contiguous segments along the first axis.

    Parameters
    ----------
    values : array, shape (M, ...)
    offsets : array of int, shape (n + 1,)
        Segment i is ``values[offsets[i]:offsets[i + 1]]``; it may be empty.

    Returns
    -------
    array, shape (n, ...)
    """
    xp = namespace(values)
    if is_numpy_array(values):
        starts, ends = offsets[:-1], offsets[1:]
        filled = ends > starts
        if filled.all():
            return np.add.reduceat(values, starts, axis=0) if starts.size else values[:0]
        result = np.zeros((starts.size, *values.shape[1:]), dtype=values.dtype)
        if values.shape[0]:
            result[filled] = np.add.reduceat(values, starts[filled], axis=0)
        return result
    # The standard has no segmented sum: take differences of running sums, in double precision.
    running = xp.cumulative_sum(values, axis=0, dtype=xp.float64, include_initial=True)
    total = xp.take(running, offsets, axis=0)
    return xp.astype(total[1:, ...] - total[:-1, ...], values.dtype)


def unsort(values: Array, order: Array) -> Array:
    """Return the array of which ``values`` is ``take(array, order)``, `order` a permutation."""
    xp = namespace(values)
    if is_numpy_array(values):
        result = np.empty_like(values)
        result[order] = values
        return result
    return xp.take(values, xp.argsort(order))


def put_rows(values: Array, index: Array, n: int) -> Array:
    """Return n rows that hold `values` at the (distinct) rows `index`, and zeros elsewhere."""
    xp = namespace(values)
    result = xp.zeros((n, *values.shape[1:]), dtype=values.dtype)
    if index.shape[0] == 0:
        return result
    if is_numpy_array(values) or is_cupy_array(values):
        result[index] = values
        return result
    # The standard cannot assign at an array of indices: look up where each row comes from.
    order = xp.argsort(index)
    found = xp.take(index, order)
    rows = xp.arange(n, dtype=index.dtype)
    place = xp.minimum(xp.searchsorted(found, rows), index.shape[0] - 1)
    hit = xp.reshape(xp.take(found, place) == rows, (n,) + (1,) * (values.ndim - 1))
    return xp.where(hit, xp.take(values, xp.take(order, place), axis=0), result)
