"""Particles: weighted points that stand for a distribution."""

from __future__ import annotations

import numpy as np

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array

__all__ = ["systematic_resample"]


def systematic_resample(weights: Array, u: Array) -> Array:
    r"""Draw as many particles as there are, in proportion to their weights, with one number.

    Mark j of m stands at :math:`(u+j)/m` and takes the particle in whose share of the running sum
    of weights it falls: a particle of weight w is taken :math:`\lfloor mw\rfloor` or
    :math:`\lceil mw\rceil` times (Kitagawa, 1996).

    Parameters
    ----------
    weights : array, shape (B, m)
        Weights of B sets of m particles; each set is normalised here.
    u : array, shape (B,)
        A number from [0, 1) for each set.

    Returns
    -------
    array of int, shape (B m,)
        Rows of the particles taken, set after set, if those of all sets stand one below the other:
        particle i of set b is row b m + i.

    Raises
    ------
    ValueError
        If a weight is negative or a set has none, or `u` does not fit or leaves [0, 1).
    """
    weights = check_array("weights", weights, ndim=2)
    xp = namespace(weights)
    B, m = weights.shape
    u = check_array("u", u, shape=(B,))
    total = xp.sum(weights, axis=1)
    if bool(xp.any(weights < 0)) or not bool(xp.all(total > 0)):
        raise ValueError("weights must not be negative, nor all zero in one set")
    if bool(xp.any((u < 0) | (u >= 1))):
        raise ValueError("u must lie in [0, 1)")
    if isinstance(weights, np.ndarray):
        return _resample_on_host(weights, u)
    row = xp.arange(B)[:, None]
    # One sorted array, each set above the one before: that takes digits, so all is double.
    lift = xp.astype(row, xp.float64)
    ends = xp.cumulative_sum(xp.astype(weights, xp.float64), axis=1)
    ends = xp.reshape(ends / ends[:, -1:] + lift, (-1,))
    marks = xp.astype(u, xp.float64)[:, None] + xp.arange(m, dtype=xp.float64)
    marks = xp.reshape(marks / m + lift, (-1,))
    taken = xp.reshape(xp.searchsorted(ends, marks, side="right"), (B, m))
    return xp.reshape(xp.minimum(taken, row * m + m - 1), (-1,))  # a mark rounded up to 1


def _resample_on_host(weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Count the marks below the end of each share, in place of a search for every mark."""
    m = weights.shape[1]
    ends = np.cumsum(weights, axis=1, dtype=np.float64)
    ends *= m / ends[:, -1:]
    ends -= u[:, None]
    below = np.minimum(np.ceil(ends), m)  # a share may end a rounding above 1
    below[:, -1] = m  # u may be rounded up to 1
    copies = below.astype(np.int64)
    copies[:, 1:] = copies[:, 1:] - copies[:, :-1]
    return np.repeat(np.arange(weights.size), copies.reshape(-1))
