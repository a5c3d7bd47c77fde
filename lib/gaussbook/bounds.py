"""A bound on every element of an array.

NumPy compares an array with one number for four times as long as with another array, which makes
this small operation as dear as an exponential.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gaussbook.arrays import Array, namespace

__all__ = ["at_least"]

_BLOCK = 2**14  # elements of the array of bounds, which stays in the cache


def at_least(x: Array, lower: float, *, overwrite: bool = False) -> Array:
    r"""Return :math:`\max(x, l)` of every element.

    Parameters
    ----------
    x : array of floats
        Of any shape; what is not a number stays so.
    lower : float
        The bound l.
    overwrite : bool
        Whether `x` may be written over.

    Returns
    -------
    array, shape of `x`
        The larger of both, in the type of `x`.
    """
    if type(x) is np.ndarray:
        out = x if overwrite else np.empty_like(x)
        if not x.flags.c_contiguous or x.size < _BLOCK // 4:
            return np.maximum(x, x.dtype.type(lower), out=out)
        flat, found, bound = x.reshape(-1), out.reshape(-1), _repeated(lower, x.dtype)
        for start in range(0, x.size, _BLOCK):
            part = flat[start : start + _BLOCK]
            np.maximum(part, bound[: part.size], out=found[start : start + _BLOCK])
        return out
    xp = namespace(x)
    return xp.maximum(x, xp.asarray(lower, dtype=x.dtype))


@lru_cache(maxsize=16)
def _repeated(lower: float, dtype: np.dtype) -> np.ndarray:
    bound = np.full(_BLOCK, lower, dtype)
    bound.flags.writeable = False
    return bound
