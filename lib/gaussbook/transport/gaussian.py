"""Optimal transport between Gaussians, in closed form."""

from __future__ import annotations

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array, check_covariance

__all__ = ["bures_wasserstein", "gaussian_map"]


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


def gaussian_map(m0: Array, C0: Array, m1: Array, C1: Array) -> tuple[Array, Array]:
    r"""Optimal map between Gaussians for the squared distance: :math:`T(x)=Ax+t`.

    .. math::
        A = C_0^{-1/2}\bigl(C_0^{1/2}C_1C_0^{1/2}\bigr)^{1/2}C_0^{-1/2},\qquad t=m_1-Am_0

    (Olkin and Pukelsheim, 1982): the symmetric positive solution of :math:`AC_0A=C_1`.

    Parameters
    ----------
    m0, m1 : array, shape (d,)
        Means.
    C0 : array, shape (d, d)
        Covariance of the source, positive definite.
    C1 : array, shape (d, d)
        Covariance of the target; it may be singular.

    Returns
    -------
    A : array, shape (d, d)
        The linear part.
    t : array, shape (d,)
        The shift, in the unit of the data.

    Raises
    ------
    ValueError
        If the shapes disagree, or a covariance is not symmetric or not positive.
    """
    m0 = check_array("m0", m0, ndim=1)
    d = m0.shape[0]
    m1 = check_array("m1", m1, shape=(d,))
    C0, L = check_covariance("C0", check_array("C0", C0, shape=(d, d)))
    C1 = _check_symmetric("C1", check_array("C1", C1, shape=(d, d)), d)
    xp = namespace(m0, C0, m1, C1)
    # with C0 = L L', A = L'^-1 (L' C1 L)^(1/2) L^-1: the Cholesky factor serves as the root
    product = xp.matrix_transpose(L) @ C1 @ L
    values, vectors = xp.linalg.eigh((product + xp.matrix_transpose(product)) / 2)
    half = vectors * _clip_rounding("C1", values)[None, :] ** 0.25
    half = xp.linalg.solve(xp.matrix_transpose(L), half)
    A = half @ xp.matrix_transpose(half)
    return A, m1 - A @ m0


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
