"""Products, factors and solutions of linear systems."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch
from gaussbook.autodiff.elementwise import multiply
from gaussbook.autodiff.shaping import matrix_transpose, tril
from gaussbook.autodiff.spaces import defvjp, reshape
from gaussbook.autodiff.spaces import sum as total
from gaussbook.autodiff.tracing import as_array, as_floating, plain, plain_namespace, primitive
from gaussbook.gp.cholesky import solve_triangular as _plain_solve_triangular

__all__ = [
    "cholesky",
    "diagonal",
    "inv",
    "matmul",
    "slogdet",
    "solve",
    "solve_triangular",
    "trace",
]


@primitive
def _matmul(x: Array, y: Array) -> Array:
    return x @ y


defvjp(
    _matmul,
    lambda ans, x, y: lambda g: _matmul(g, matrix_transpose(y)),
    lambda ans, x, y: lambda g: _matmul(matrix_transpose(x), g),
)


def matmul(x: Array, y: Array) -> Array:
    """Return the matrix product.

    Parameters
    ----------
    x : array, shape (..., n, k) or (k,)
        Left factor.
    y : array, shape (..., k, m) or (k,)
        Right factor.

    Returns
    -------
    array, shape (..., n, m)
        The product; a vector's axis is left out.

    Raises
    ------
    ValueError
        If the inner lengths differ or a factor has no axis.
    """
    x, y = as_array(x), as_array(y)
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[0 if y.ndim == 1 else -2]:
        raise ValueError(f"x and y do not fit: shapes {tuple(x.shape)} and {tuple(y.shape)}")
    if x.ndim == y.ndim == 1:
        return reshape(_matmul(reshape(x, (1, x.shape[0])), reshape(y, (y.shape[0], 1))), ())
    if x.ndim == 1:
        product = matmul(reshape(x, (1, x.shape[0])), y)
        return reshape(product, (*product.shape[:-2], product.shape[-1]))
    if y.ndim == 1:
        product = matmul(x, reshape(y, (y.shape[0], 1)))
        return reshape(product, tuple(product.shape[:-1]))
    if x.ndim > 2 and y.ndim == 2:  # one large product in place of many small ones
        product = _matmul(reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])), y)
        return reshape(product, (*x.shape[:-1], y.shape[-1]))
    return _matmul(x, y)


# ---------------------------------------------------------------------------------- Einstein sums


# ------------------------------------------------------------------------------- factor and solve


def _with_columns(solver: Callable, a: Array, b: Array, *options: Any) -> Array:
    """Apply a solver of matrices (..., n, n) and (..., n, m) to a vector b (n,) as well."""
    a, b = as_floating(a), as_floating(b)
    n = a.shape[-1] if a.ndim >= 2 else None
    if n is None or a.shape[-2] != n:
        raise ValueError(f"a must hold square matrices, got shape {tuple(a.shape)}")
    if b.ndim == 0 or b.shape[0 if b.ndim == 1 else -2] != n:
        raise ValueError(f"b must have {n} rows, got shape {tuple(b.shape)}")
    if b.ndim > 1:
        return solver(a, b, *options)
    x = solver(a, reshape(b, (n, 1)), *options)
    return reshape(x, tuple(x.shape[:-1]))


@primitive
def _solve_triangular(L: Array, b: Array, transpose: bool) -> Array:
    xp = plain_namespace(L, b)
    if L.ndim > 2 or b.ndim > 2:  # leading axes broadcast like those of `_solve`
        lead = xp.broadcast_arrays(L[..., 0, 0], b[..., 0, 0])[0].shape
        L, b = (xp.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (L, b))
    return _plain_solve_triangular(L, b, transpose=transpose)


def _triangular_vjp_matrix(ans: Array, L: Array, b: Array, transpose: bool) -> Callable:
    def pull(g: Array) -> Array:
        v = _solve_triangular(L, g, not transpose)
        left, right = (ans, v) if transpose else (v, ans)
        return -tril(_matmul(left, matrix_transpose(right)))

    return pull


defvjp(
    _solve_triangular,
    _triangular_vjp_matrix,
    lambda ans, L, b, transpose: lambda g: _solve_triangular(L, g, not transpose),
)


def solve_triangular(cholesky: Array, b: Array, transpose: bool = False) -> Array:
    r"""Return :math:`L^{-1}b`, or :math:`L^{-\top}b`, for lower triangular L.

    Parameters
    ----------
    cholesky : array, shape (..., n, n)
        The matrices L; what is above their diagonal is not read.
    b : array, shape (n,) or (..., n, m)
        Right-hand sides; leading axes are broadcast.
    transpose : bool
        Solve with the transpose.

    Returns
    -------
    array, shape (..., n) for a vector, else (..., n, m)
        The solutions.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    return _with_columns(_solve_triangular, cholesky, b, transpose)


@primitive
def cholesky(x: Array) -> Array:
    r"""Return the lower Cholesky factor of symmetric positive definite matrices (..., n, n).

    The gradient is that by a symmetric matrix: symmetric itself (Murray, 2016).

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite.
    """
    return dispatch.cholesky(as_array(x))


def _cholesky_vjp(L: Array, x: Array) -> Callable:
    n = x.shape[-1]
    xp = plain_namespace(x)
    half = 1 - 0.5 * xp.eye(n, dtype=plain(x).dtype)

    def pull(g: Array) -> Array:
        inner = tril(_matmul(matrix_transpose(L), g)) * half
        left = _solve_triangular(L, inner, True)
        both = _solve_triangular(L, matrix_transpose(left), True)
        return 0.5 * (both + matrix_transpose(both))

    return pull


defvjp(cholesky, _cholesky_vjp)


@primitive
def _solve(a: Array, b: Array) -> Array:
    return plain_namespace(a).linalg.solve(a, b)


defvjp(
    _solve,
    lambda ans, a, b: lambda g: -_matmul(_solve(matrix_transpose(a), g), matrix_transpose(ans)),
    lambda ans, a, b: lambda g: _solve(matrix_transpose(a), g),
)


def solve(a: Array, b: Array) -> Array:
    """Return the solution x of a x = b.

    Parameters
    ----------
    a : array, shape (..., n, n)
        Invertible matrices.
    b : array, shape (n,) or (..., n, m)
        Right-hand sides; leading axes are broadcast.

    Returns
    -------
    array, shape (..., n) for a vector, else (..., n, m)
        The solutions.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    return _with_columns(_solve, a, b)


def inv(a: Array) -> Array:
    """Return the inverses of matrices (..., n, n); to solve a system use `solve`."""
    a = as_floating(a)
    xp = plain_namespace(a)
    eye = xp.eye(a.shape[-1], dtype=plain(a).dtype)
    return _solve(a, xp.broadcast_to(eye, tuple(a.shape)))


@primitive
def _log_abs_det(a: Array) -> Array:
    return plain_namespace(a).linalg.slogdet(a)[1]


defvjp(
    _log_abs_det,
    lambda ans, a: lambda g: multiply(reshape(g, (*a.shape[:-2], 1, 1)), matrix_transpose(inv(a))),
)


def slogdet(a: Array) -> tuple[Array, Array]:
    """Return the sign (a constant) and the logarithm of the absolute determinant.

    Parameters
    ----------
    a : array, shape (..., n, n)
        Square matrices.
    """
    return plain_namespace(a).linalg.slogdet(plain(a))[0], _log_abs_det(a)


# -------------------------------------------------------------------------------------- diagonals


@primitive
def diagonal(x: Array) -> Array:
    """Return the main diagonals of square matrices, (..., n, n) to (..., n)."""
    return plain_namespace(x).linalg.diagonal(x)


@primitive
def _from_diagonal(d: Array) -> Array:
    return d[..., None] * plain_namespace(d).eye(d.shape[-1], dtype=d.dtype)


defvjp(diagonal, lambda ans, x: lambda g: _from_diagonal(g))
defvjp(_from_diagonal, lambda ans, d: lambda g: diagonal(g))


def trace(x: Array) -> Array:
    """Return the traces of square matrices (..., n, n)."""
    return total(diagonal(x), axis=-1)
