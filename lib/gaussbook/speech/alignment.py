"""Alignment of two sequences in time."""

from __future__ import annotations

import numpy as np

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.validation import check_array

__all__ = ["dynamic_time_warping"]


def dynamic_time_warping(cost: Array) -> np.ndarray:
    r"""Cheapest monotone path through a matrix of costs, from its first to its last corner.

    .. math::
        D_{ij}=c_{ij}+\min(D_{i-1,j-1},\,D_{i-1,j},\,D_{i,j-1})

    (Sakoe and Chiba 1978), computed for a whole anti-diagonal at a time.

    Parameters
    ----------
    cost : array, shape (n, m)
        Costs of pairing element i of one sequence with element j of the other, e.g. distances.

    Returns
    -------
    numpy.ndarray of int, shape (L, 2)
        The pairs (i, j) of the path, in order; of equally cheap predecessors the diagonal one.

    Raises
    ------
    ValueError
        If `cost` is no finite matrix.
    """
    cost = check_array("cost", cost, ndim=2)
    xp = namespace(cost)
    n, m = cost.shape
    # Row i moved right by i: column d then holds the anti-diagonal i + j = d.
    wide = xp.concat([cost, xp.full((n, n), xp.inf, dtype=cost.dtype)], axis=1)
    skewed = xp.reshape(xp.reshape(wide, (n * (n + m),))[: n * (n + m - 1)], (n, n + m - 1))
    edge = xp.full((1,), xp.inf, dtype=cost.dtype)
    before, last = xp.full((n,), xp.inf, dtype=cost.dtype), skewed[:, 0]
    moves = [xp.zeros((n,), dtype=xp.int8)]
    for d in range(1, n + m - 1):
        diagonal = xp.concat([edge, before[:-1]])
        down = xp.concat([edge, last[:-1]])
        best = xp.minimum(diagonal, xp.minimum(down, last))
        not_diagonal, not_down = (xp.astype(way > best, xp.int8) for way in (diagonal, down))
        moves.append(not_diagonal * (1 + not_down))
        before, last = last, skewed[:, d] + best
    move = to_host(xp.stack(moves, axis=1))
    path = [(n - 1, m - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        step = move[i, i + j]
        path.append((i - (step != 2), j - (step != 1)))
    return np.asarray(path[::-1], dtype=int)
