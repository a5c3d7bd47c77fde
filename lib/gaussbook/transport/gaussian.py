"""Optimal transport between Gaussians, in closed form."""

from __future__ import annotations

import numpy as np

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array

__all__ = ["bures_wasserstein"]


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
        The squared distances, in float64 and in the squared unit of the data.

    Raises
    ------
    ValueError
        If the shapes disagree, or a covariance is not symmetric or not positive semidefinite.

    Notes
    -----
    The square root turns a rounding error e of an eigenvalue near zero into one of sqrt(e), so
    that the result is good to about 1e-8 of the traces where the covariances are singular.  What
    rounding leaves below zero is returned as zero.
    """
    m0 = check_array("m0", m0)
    if m0.ndim == 0:
        raise ValueError("m0 must have at least one dimension")
    d = m0.shape[-1]
    m1 = check_array("m1", m1)
    if m1.ndim == 0 or m1.shape[-1] != d:
        raise ValueError(f"m1 must have {d} coordinates like m0, got shape {tuple(m1.shape)}")
    C0, C1 = _check_square("C0", C0, d), _check_square("C1", C1, d)
    _check_leading_axes(m0=m0.shape[:-1], C0=C0.shape[:-2], m1=m1.shape[:-1], C1=C1.shape[:-2])
    size = namespace(C0, C1).maximum(_sizes(C0), _sizes(C1))  # of what the result is exact to
    C0, values, vectors = _check_semidefinite("C0", C0, size)
    C1, _, _ = _check_semidefinite("C1", C1, size, vectors=False)
    xp = namespace(m0, C0, m1, C1)
    m0, m1 = (xp.astype(m, xp.float64, copy=False) for m in (m0, m1))
    # Any A with A A' = C0 serves for the root: the eigenvalues of A' C1 A are the same.
    root = vectors * xp.sqrt(values)[..., None, :]
    product = xp.matrix_transpose(root) @ C1 @ root
    product = (product + xp.matrix_transpose(product)) / 2
    overlap = xp.sum(xp.sqrt(_positive_part(xp.linalg.eigvalsh(product))), axis=-1)
    distance = xp.sum((m0 - m1) ** 2, axis=-1)
    return _positive_part(distance + xp.linalg.trace(C0) + xp.linalg.trace(C1) - 2 * overlap)


def _check_square(name: str, C: Array, d: int) -> Array:
    C = check_array(name, C)
    if C.ndim < 2 or tuple(C.shape[-2:]) != (d, d):
        raise ValueError(f"{name} must have shape (..., {d}, {d}), got {tuple(C.shape)}")
    return C


def _sizes(C: Array) -> Array:
    """Return the largest entry of each matrix, in float64."""
    xp = namespace(C)
    return xp.astype(xp.max(xp.abs(C), axis=(-2, -1)), xp.float64)


def _check_semidefinite(
    name: str, C: Array, size: Array, *, vectors: bool = True
) -> tuple[Array, Array, Array | None]:
    """Return covariances in float64, their eigenvalues and, if wanted, their eigenvectors.

    Differences from symmetry and eigenvalues below zero that are smaller than `size`, a number for
    each matrix, by half the digits of the type are rounding, and the latter become zero.
    """
    xp = namespace(C)
    tolerance = float(xp.finfo(C.dtype).eps) ** 0.5 * size
    C = xp.astype(C, xp.float64, copy=False)
    asymmetry = xp.max(xp.abs(C - xp.matrix_transpose(C)), axis=(-2, -1))
    if bool(xp.any(asymmetry > tolerance)):
        worst = float(xp.max(asymmetry))
        raise ValueError(f"{name} is not symmetric (entries differ by {worst:.3g})")
    values, axes = xp.linalg.eigh(C) if vectors else (xp.linalg.eigvalsh(C), None)
    if bool(xp.any(values < -tolerance[..., None])):
        smallest = float(xp.min(values))
        raise ValueError(f"{name} is not positive semidefinite (eigenvalue {smallest:.3g})")
    return C, _positive_part(values), axes


def _check_leading_axes(**leading: tuple[int, ...]) -> None:
    """Raise ``ValueError`` for the first argument whose leading axes do not fit those before."""
    common: tuple[int, ...] = ()
    for name, shape in leading.items():
        try:
            common = np.broadcast_shapes(common, shape)
        except ValueError as error:
            raise ValueError(
                f"{name} has leading axes {tuple(shape)}, which do not broadcast with {common}"
            ) from error


def _positive_part(x: Array) -> Array:
    """Remove what rounding has left below zero."""
    return namespace(x).where(x > 0, x, 0.0)
