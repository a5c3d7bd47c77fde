"""The largest, the smallest and the sum of each row, where rows are short and many.

NumPy reduces a short row for longer than it takes to exponentiate it.  Reductions over the first
axis, positions of extremes and products with ones are quick.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import is_numpy_array

from gaussbook.arrays import Array, namespace
from gaussbook.blocks import row_blocks

__all__ = ["row_maxima", "row_minima", "row_sums"]

_SHORT = 32  # up to here it pays to transpose
_LONG = 256  # from here on NumPy's reduction is as quick as any


def row_maxima(x: Array) -> Array:
    """Return the largest number of each row, with NumPy's rule for what is not a number.

    Parameters
    ----------
    x : array, shape (..., w)
        Numbers, w at least 1.

    Returns
    -------
    array, shape (..., 1)
        Along the last axis, which is kept.
    """
    return _extremes(x, "max")


def row_minima(x: Array) -> Array:
    """Return the smallest number of each row, as `row_maxima` returns the largest."""
    return _extremes(x, "min")


def row_sums(x: Array) -> Array:
    """Return the sum of each row; the last axis is kept.

    Parameters
    ----------
    x : array of floats, shape (..., w)
        Numbers.

    Returns
    -------
    array, shape (..., 1)
        Sums in the array's own type.
    """
    return x @ namespace(x).ones((x.shape[-1], 1), dtype=x.dtype)


def _extremes(x: Array, name: str) -> Array:
    width = x.shape[-1]
    if not is_numpy_array(x) or not 0 < width < _LONG:
        return getattr(namespace(x), name)(x, axis=-1, keepdims=True)
    rows = x.reshape(-1, width)
    found = np.empty(rows.shape[0], dtype=x.dtype)
    for some in row_blocks(rows.shape[0], width, x):
        if width <= _SHORT:
            getattr(np, name)(np.ascontiguousarray(rows[some].T), axis=0, out=found[some])
        else:
            place = getattr(np, f"arg{name}")(rows[some], axis=1)
            found[some] = np.take_along_axis(rows[some], place[:, None], axis=1)[:, 0]
    return found.reshape(*x.shape[:-1], 1)
