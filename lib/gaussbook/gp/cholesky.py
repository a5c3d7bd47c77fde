"""Factors of covariance matrices: jitter that is reported, triangular solves, inverses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from array_api_compat import is_cupy_array, is_numpy_array

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array, check_scalar, try_cholesky

__all__ = [
    "add_to_diagonal",
    "cholesky_inverse",
    "jittered_cholesky",
    "log_determinant",
    "solve_triangular",
]

_TILE = 128  # rows and columns of a part of a matrix that is mirrored
_LARGE = 24  # rows from which matrices of a batch are solved one by one on the host


def add_to_diagonal(matrix: Array, value: float) -> Array:
    """Return a copy of a square matrix (n, n) with `value` added to its diagonal."""
    xp = namespace(matrix)
    result = xp.empty(matrix.shape, dtype=matrix.dtype)  # row by row, whatever the matrix's order
    result[:, :] = matrix
    flat = xp.reshape(result, (-1,), copy=False)  # a view: one pass over the memory, not three
    flat[:: matrix.shape[0] + 1] += value
    return result


def jittered_cholesky(
    covariance: Array, *, largest: float = 1e-4, scale: float | None = None
) -> tuple[Array, float]:
    r"""Return the Cholesky factor of a covariance matrix and the jitter it took.

    A matrix that is positive definite only up to rounding gets :math:`\epsilon\,\bar k` added to
    its diagonal, where :math:`\epsilon` is tried as 0, :math:`10^{-12}` (in single precision
    :math:`10^{-6}`), ten times that, and so on; in a batch the same :math:`\epsilon` for all.

    Parameters
    ----------
    covariance : array, shape (..., n, n)
        Symmetric matrices, of which the lower triangle is read.
    largest : float
        The largest :math:`\epsilon` to try.
    scale : float, optional
        The variance :math:`\bar k` whose rounding the matrix carries: that of the prior, where it
        is a posterior covariance and so a difference of larger ones.  The mean of each matrix's
        own diagonal if not given.

    Returns
    -------
    cholesky : array, shape (..., n, n)
        Lower factors of ``covariance + jitter * I``.
    jitter : float
        What was added to the diagonal, in a batch the most: 0 if nothing was needed.

    Raises
    ------
    ValueError
        If a matrix is not square, or not positive definite with the largest jitter either.
    """
    K = check_array("covariance", covariance)
    largest = check_scalar("largest", largest, at_least=0)
    if K.ndim < 2 or K.shape[-1] != K.shape[-2]:
        raise ValueError(f"covariance must be square, got shape {tuple(K.shape)}")
    xp = namespace(K)
    L = try_cholesky(K)
    if L is not None:
        return L, 0.0
    identity = xp.eye(K.shape[-1], dtype=K.dtype)
    if scale is None:
        scales = xp.mean(xp.linalg.diagonal(K), axis=-1)
    else:
        scales = xp.asarray(check_scalar("scale", scale), dtype=K.dtype)
    highest, lowest = float(xp.max(scales)), float(xp.min(scales))
    epsilon = 1e-12 if K.dtype == xp.float64 else 1e-6
    while 0 < lowest and epsilon <= largest * (1 + 1e-9):
        L = try_cholesky(K + epsilon * scales[..., None, None] * identity)
        if L is not None:
            return L, epsilon * highest
        epsilon *= 10
    raise ValueError(
        f"covariance is not positive definite, even with {largest:g} of a variance {lowest:g} added"
    )


def solve_triangular(cholesky: Array, b: Array, *, transpose: bool = False) -> Array:
    r"""Return :math:`L^{-1} b`, or :math:`L^{-\top} b`.

    Parameters
    ----------
    cholesky : array, shape (n, n) or that of a batch, (..., n, n)
        Lower triangular matrices :math:`L`; what is above the diagonal is not read.
    b : array, shape (n,) or (n, m); (..., n, m) for a batch
        Right-hand sides.
    transpose : bool
        Solve with the transpose.

    Returns
    -------
    array, shape of `b`
        The solution.
    """
    xp = namespace(cholesky, b)
    if is_numpy_array(cholesky) and cholesky.ndim == 2:
        return _solve_on_host(cholesky, b, transpose)
    if is_numpy_array(cholesky) and cholesky.shape[-1] >= _LARGE and b.ndim > 2:
        return _solve_batch_on_host(cholesky, b, transpose)
    if is_cupy_array(cholesky) and cholesky.ndim == 2:
        from cupyx.scipy.linalg import solve_triangular as solve
    else:  # elimination by a general solver finds nothing to do or to exchange below
        L = xp.tril(cholesky)
        matrix = b[:, None] if b.ndim == 1 else b
        return xp.reshape(
            xp.linalg.solve(xp.matrix_transpose(L) if transpose else L, matrix), b.shape
        )
    return solve(cholesky, b, lower=True, trans=int(transpose), check_finite=False)


@cache
def _trtrs(kind: str) -> Callable | None:
    """Return LAPACK's triangular solver for a type, by its letter; None if it has none."""
    from scipy.linalg import lapack

    return {"d": lapack.dtrtrs, "f": lapack.strtrs}.get(kind)


def _solve_on_host(cholesky: np.ndarray, b: np.ndarray, transpose: bool) -> np.ndarray:
    """Solve one system; SciPy's checks of a small one would take ten times as long as LAPACK."""
    solver = _trtrs(cholesky.dtype.char) if cholesky.dtype == b.dtype and b.size else None
    if solver is None or b.ndim > 2 or cholesky.shape != 2 * b.shape[:1]:
        from scipy.linalg import solve_triangular as solve

        return solve(cholesky, b, lower=True, trans=int(transpose), check_finite=False)
    if cholesky.flags.f_contiguous:
        x, info = solver(cholesky, b, lower=1, trans=int(transpose))
    else:  # the transpose of a C array is LAPACK's own layout
        x, info = solver(cholesky.T, b, lower=0, trans=int(not transpose))
    if info:
        raise np.linalg.LinAlgError(f"cholesky has a zero on its diagonal, at {info - 1}")
    return x


def _solve_batch_on_host(cholesky: np.ndarray, b: np.ndarray, transpose: bool) -> np.ndarray:
    """Solve system by system: substitution in each beats the elimination of all."""
    n, m = b.shape[-2:]
    factors = np.broadcast_to(cholesky, (*b.shape[:-2], n, n)).reshape(-1, n, n)
    sides = b.reshape(-1, n, m)
    solved = [_solve_on_host(L, r, transpose) for L, r in zip(factors, sides, strict=True)]
    return np.reshape(np.asarray(solved), b.shape)


def cholesky_inverse(cholesky: Array, *, overwrite: bool = False) -> Array:
    r"""Return the full symmetric :math:`(LL^\top)^{-1}`, for traces that need all of it.

    To solve a system use `solve_triangular`: it is faster and more accurate.

    Parameters
    ----------
    cholesky : array, shape (n, n) or that of a batch, (..., n, n)
        The lower factors :math:`L`, zero above their diagonals.
    overwrite : bool
        Whether the inverses may take the place of the factors.

    Returns
    -------
    array, shape of `cholesky`
        The inverses; :math:`2n^3/3` flops each by LAPACK's ``potri`` on the host.
    """
    xp = namespace(cholesky)
    n = cholesky.shape[-1]
    if is_numpy_array(cholesky) and cholesky.ndim == 2:
        return _inverse_on_host(cholesky, overwrite)
    if is_numpy_array(cholesky) and n >= _LARGE:
        inverses = [_inverse_on_host(L) for L in cholesky.reshape(-1, n, n)]
        return np.reshape(np.asarray(inverses), cholesky.shape)
    unit = xp.broadcast_to(xp.eye(n, dtype=cholesky.dtype), cholesky.shape)
    half = solve_triangular(cholesky, unit)
    return xp.matrix_transpose(half) @ half


def _inverse_on_host(cholesky: np.ndarray, overwrite: bool = False) -> np.ndarray:
    from scipy.linalg import get_lapack_funcs

    # The transpose of a C array is LAPACK's own layout; its upper triangle is our lower one.
    potri = get_lapack_funcs("potri", (cholesky,))
    upper, info = potri(cholesky.T, lower=0, overwrite_c=overwrite)
    if info != 0:
        raise ValueError(f"cholesky has a zero on its diagonal, at {info - 1}")
    inverse = upper.T
    for start in range(0, inverse.shape[0], _TILE):  # small parts, so that both sides are cached
        stop = start + _TILE
        corner = inverse[start:stop, start:stop]
        corner += np.triu(corner.T, 1)
        for other in range(stop, inverse.shape[0], _TILE):
            below = inverse[other : other + _TILE, start:stop]
            inverse[start:stop, other : other + _TILE] = below.T
    return inverse


def log_determinant(cholesky: Array) -> float:
    r"""Return :math:`\log\det LL^\top = 2\sum_i \log L_{ii}` of one matrix."""
    xp = namespace(cholesky)
    return 2.0 * float(xp.sum(xp.log(xp.linalg.diagonal(cholesky))))
