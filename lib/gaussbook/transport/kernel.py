"""The energy distance: means over pairs of points, in blocks of bounded memory."""

from __future__ import annotations

from gaussbook.arrays import Array, namespace
from gaussbook.blocks import row_blocks
from gaussbook.distances import SquaredDistances
from gaussbook.transport.pairs import check_samples

__all__ = ["energy_distance"]


def energy_distance(x: Array, y: Array, *, unbiased: bool = False) -> float:
    r"""Energy distance between two samples.

    .. math::
        \mathcal E(X, Y) = 2\,E\lVert X-Y\rVert - E\lVert X-X'\rVert - E\lVert Y-Y'\rVert
        \ge 0,

    which is zero only for equal distributions (Székely and Rizzo, 2013).  It is twice the squared
    maximum mean discrepancy of the kernel :math:`-\lVert x-y\rVert`; some programs print the half.

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    unbiased : bool
        If false (V-statistic), each inner mean runs over all pairs, the n points with themselves
        included: never negative, biased upwards by
        :math:`E\lVert X-X'\rVert/n + E\lVert Y-Y'\rVert/m`.  If true (U-statistic), over the pairs
        of different points: right on average, and around zero, also below it, for equal
        distributions.

    Returns
    -------
    float
        The distance, in the unit of the data.

    Raises
    ------
    ValueError
        If a sample is empty, not finite or not two-dimensional, if the dimensions differ, or if
        the U-statistic is asked for with fewer than two points in a sample.

    Notes
    -----
    About ``(n + m)**2 d / 2`` multiply-adds in blocks of bounded memory; distances are as accurate
    as those of `gaussbook.distances.SquaredDistances`.
    """
    x, y = check_samples(x, y)
    for name, sample in (("x", x), ("y", y)):
        if unbiased and sample.shape[0] < 2:
            raise ValueError(f"{name} needs at least two points for the unbiased estimate")
    xp = namespace(x, y)
    to_y = SquaredDistances(y)
    between = sum(
        float(xp.sum(xp.sqrt(to_y(x[rows, :])))) for rows in row_blocks(x.shape[0], y.shape[0], x)
    )
    distance = 2 * between / (x.shape[0] * y.shape[0])
    for sample in (x, y):
        n = sample.shape[0]
        distance -= 2 * _sum_over_pairs(sample) / (n * (n - 1) if unbiased else n * n)
    return distance


def _sum_over_pairs(x: Array) -> float:
    """Return the sum of the distances of all unordered pairs of points."""
    xp = namespace(x)
    to_x, total = SquaredDistances(x), 0.0
    for rows in row_blocks(x.shape[0], x.shape[0], x):
        distances = xp.sqrt(to_x(x[rows, :], slice(rows.start, None)))
        total += float(xp.sum(xp.triu(distances, k=1)))  # each row meets the later points only
    return total
