"""Distances between distributions, from samples and between Gaussians."""

from __future__ import annotations

from collections.abc import Iterator

from array_api_compat import is_cupy_array

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array

__all__ = ["bures_wasserstein", "energy_distance"]

_BLOCK_ELEMENTS = 2**16  # distances held at once on the host: they stay in the cache
_DEVICE_BLOCK_ELEMENTS = 2**26  # and on a GPU, which wants large blocks: 512 MiB in float64


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
    Distances are taken from :math:`\lVert x\rVert^2+\lVert y\rVert^2-2x^\top y` in float64, about
    ``(n + m)**2 d / 2`` multiply-adds in blocks of bounded memory.  The distance of two points
    which nearly coincide is off by up to 1e-8 of their distance from the centre of the data.
    """
    x = check_array("x", x, ndim=2)
    y = check_array("y", y, shape=(None, x.shape[1]))
    for name, sample in (("x", x), ("y", y)):
        if unbiased and sample.shape[0] < 2:
            raise ValueError(f"{name} needs at least two points for the unbiased estimate")
    xp = namespace(x, y)
    x, y = xp.astype(x, xp.float64), xp.astype(y, xp.float64)
    centre = xp.mean(y, axis=0)  # the expanded square loses digits far from the origin
    x, y = x - centre, y - centre
    n, m = x.shape[0], y.shape[0]
    pairs_x, pairs_y = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    between = _sum_of_distances(x, y) / (n * m)
    return 2 * between - 2 * _sum_within(x) / pairs_x - 2 * _sum_within(y) / pairs_y


def _sum_of_distances(x: Array, y: Array) -> float:
    """Return the sum of the distances of all points of `x` to all points of `y`."""
    xp = namespace(x, y)
    blocks = _row_blocks(x, y)
    return sum(float(xp.sum(_distances(x[start:stop, :], y))) for start, stop in blocks)


def _sum_within(x: Array) -> float:
    """Return the sum of the distances of all unordered pairs of different points of `x`."""
    xp = namespace(x)
    total = 0.0
    for start, stop in _row_blocks(x, x):
        distances = _distances(x[start:stop, :], x[start:, :])
        total += float(xp.sum(xp.triu(distances, k=1)))  # each row meets the later points only
    return total


def _row_blocks(x: Array, y: Array) -> Iterator[tuple[int, int]]:
    """Yield ``(start, stop)`` of the rows of `x` whose distances to all of `y` form one block."""
    elements = _DEVICE_BLOCK_ELEMENTS if is_cupy_array(x) else _BLOCK_ELEMENTS
    step = max(1, elements // y.shape[0])
    for start in range(0, x.shape[0], step):
        yield start, min(start + step, x.shape[0])


def _distances(x: Array, y: Array) -> Array:
    xp = namespace(x, y)
    squares = x @ xp.matrix_transpose(y)
    squares *= -2
    squares += xp.sum(x * x, axis=1)[:, None]
    squares += xp.sum(y * y, axis=1)[None, :]
    return xp.sqrt(xp.where(squares > 0, squares, 0.0))  # rounding leaves squares just below zero


def bures_wasserstein(m0: Array, C0: Array, m1: Array, C1: Array) -> Array:
    r"""Squared 2-Wasserstein distances between Gaussians.

    .. math::
        W_2^2 = \lVert m_0-m_1\rVert^2 + \operatorname{tr} C_0 + \operatorname{tr} C_1
        - 2 \operatorname{tr}\bigl(C_0^{1/2} C_1 C_0^{1/2}\bigr)^{1/2}

    (Olkin and Pukelsheim, 1982).  Between other distributions with these moments it is a lower
    bound of the squared distance (Gelbrich, 1990).

    Parameters
    ----------
    m0, m1 : array, shape (..., d)
        Means.
    C0, C1 : array, shape (..., d, d)
        Covariances; singular ones are allowed.  The leading axes of all four broadcast.

    Returns
    -------
    array, shape (...)
        The squared distances, in the squared unit of the data.

    Raises
    ------
    ValueError
        If the shapes disagree, or a covariance is not symmetric or not positive semidefinite.

    Notes
    -----
    The square root turns a rounding error e of an eigenvalue near zero into one of sqrt(e), so
    that the result is good to about 1e-8 of the traces where the covariances are singular.
    """
    m0 = check_array("m0", m0)
    if m0.ndim == 0:
        raise ValueError("m0 must have at least one dimension")
    d = m0.shape[-1]
    m1 = check_array("m1", m1)
    if m1.ndim == 0 or m1.shape[-1] != d:
        raise ValueError(f"m1 must have {d} coordinates like m0, got shape {tuple(m1.shape)}")
    C0, C1 = _check_symmetric("C0", C0, d), _check_symmetric("C1", C1, d)
    xp = namespace(m0, C0, m1, C1)
    values, vectors = xp.linalg.eigh(C0)
    root = vectors * xp.sqrt(_clip_rounding("C0", values))[..., None, :]
    root = root @ xp.matrix_transpose(vectors)
    product = root @ C1 @ root
    product = (product + xp.matrix_transpose(product)) / 2
    overlap = xp.sum(xp.sqrt(_clip_rounding("C1", xp.linalg.eigvalsh(product))), axis=-1)
    distance = xp.sum((m0 - m1) ** 2, axis=-1)
    return distance + xp.linalg.trace(C0) + xp.linalg.trace(C1) - 2 * overlap


def _check_symmetric(name: str, C: Array, d: int) -> Array:
    C = check_array(name, C)
    if C.ndim < 2 or tuple(C.shape[-2:]) != (d, d):
        raise ValueError(f"{name} must have shape (..., {d}, {d}), got {tuple(C.shape)}")
    xp = namespace(C)
    asymmetry = float(xp.max(xp.abs(C - xp.matrix_transpose(C))))
    if asymmetry > float(xp.finfo(C.dtype).eps) ** 0.5 * float(xp.max(xp.abs(C))):
        raise ValueError(f"{name} is not symmetric (entries differ by {asymmetry:.3g})")
    return C


def _clip_rounding(name: str, eigenvalues: Array) -> Array:
    """Return the eigenvalues with rounding errors below zero removed; refuse larger ones."""
    xp = namespace(eigenvalues)
    smallest, largest = float(xp.min(eigenvalues)), float(xp.max(xp.abs(eigenvalues)))
    if smallest < -(float(xp.finfo(eigenvalues.dtype).eps) ** 0.5) * largest:
        raise ValueError(f"{name} is not positive semidefinite (eigenvalue {smallest:.3g})")
    return xp.where(eigenvalues > 0, eigenvalues, 0.0)
