"""Many small problems at once, stacked along one axis: derivatives, elimination, maximisation."""

from __future__ import annotations

from collections.abc import Callable

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["differences", "maximize_newton", "sweep"]


def differences(
    function: Callable[[Array], Array], v: Array, h: float = 1e-4, *, central: bool = True
) -> Array:
    """Differentiate a function by finite differences.

    Parameters
    ----------
    function : callable
        Takes arrays shaped like `v`, and returns an array of any one shape.
    v : array, shape (..., d)
        The point, or one point for each of several problems.
    h : float
        The step, in the units of `v`.
    central : bool
        Whether to step to both sides; to one side is half the work, and exact to order `h` only.

    Returns
    -------
    array
        Derivatives by each element of `v`, on a new last axis of length d.

    Raises
    ------
    ValueError
        If `h` is not positive.
    """
    h, xp = check_scalar("h", h, above=0), namespace(v)
    unit = xp.eye(v.shape[-1], dtype=v.dtype)
    steps = [h * unit[k, ...] for k in range(v.shape[-1])]
    if central:
        return xp.stack([(function(v + e) - function(v - e)) / (2 * h) for e in steps], axis=-1)
    base = function(v)
    return xp.stack([(function(v + e) - base) / h for e in steps], axis=-1)


def sweep(S: Array, u: Array, corner: Array) -> tuple[Array, Array, Array, Array]:
    """Solve many small symmetric systems by Gauss-Jordan elimination of the bordered matrix.

    Parameters
    ----------
    S : array, shape (..., d, d, n)
        Positive definite matrices, with the problems on the last axis, where memory is contiguous.
    u : array, shape (..., d, n)
        Right-hand sides.
    corner : array, shape (..., n)
        What ``u' S^-1 u`` is subtracted from.

    Returns
    -------
    negative_inverse : array, shape (..., d, d, n)
        ``-S^-1``.
    solution : array, shape (..., d, n)
        ``S^-1 u``.
    rest : array, shape (..., n)
        ``corner - u' S^-1 u``.
    log_determinant : array, shape (..., n)
        ``log |S|``.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    d = S.shape[-2] if S.ndim > 2 else 0
    if d == 0 or S.shape[-3] != d or u.shape[-2] != d or corner.shape[-1] != S.shape[-1]:
        raise ValueError(
            f"S must be (..., d, d, n), u (..., d, n), corner (..., n), "
            f"got {S.shape}, {u.shape}, {corner.shape}"
        )
    xp = namespace(S, u, corner)
    T = xp.concat([S, u[..., :, None, :]], axis=-2)
    last = xp.concat([u, corner[..., None, :]], axis=-2)
    T, log_determinant = xp.concat([T, last[..., None, :, :]], axis=-3), 0.0
    for i in range(d):
        pivot = xp.asarray(T[..., i, i, :], copy=True)
        row = T[..., i, :, :] / pivot[..., None, :]
        T = T - T[..., :, i, None, :] * row[..., None, :, :]
        T[..., i, :, :], T[..., :, i, :], T[..., i, i, :] = row, row, -1 / pivot
        log_determinant = log_determinant + xp.log(pivot)
    return T[..., :d, :d, :], T[..., :d, d, :], T[..., d, d, :], log_determinant


def maximize_newton(
    function: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    information: Callable[[Array], Array],
    v: Array,
    *,
    tol: float = 1e-3,
    max_iter: int = 24,
    every: int = 12,
    least: float = 1.0,
) -> tuple[Array, Array]:
    """Climb in several problems at once by Newton's method.

    Directions in which the information is not positive are turned uphill, and a step that does not
    raise the function is cut to a quarter.

    Parameters
    ----------
    function, gradient, information : callable
        The functions to maximise, shape (R,); their gradients, (R, d); and minus their second
        derivatives, or something close, (R, d, d).
    v : array, shape (R, d)
        The starts.
    tol : float
        Stop when no derivative is larger.
    max_iter : int
        Largest number of steps.
    every : int
        For how many steps one information matrix serves.
    least : float
        Smaller curvatures, in absolute value, are taken for this one, so that no step is longer
        than the slope over it.

    Returns
    -------
    v : array, shape (R, d)
        The points reached.
    value : array, shape (R,)
        The functions there.

    Raises
    ------
    ValueError
        If `v` has not two axes, or an option is out of range.
    """
    v = check_array("v", v, shape=(None, None))
    tol, every = check_scalar("tol", tol, above=0), check_integer("every", every, at_least=1)
    least = check_scalar("least", least, above=0)
    xp, value = namespace(v), function(v)
    for step in range(check_integer("max_iter", max_iter, at_least=0)):
        slope = gradient(v)
        if float(xp.max(xp.abs(slope))) < tol:
            break
        if step % every == 0:
            size, U = xp.linalg.eigh(information(v))
            size = xp.clip(xp.abs(size), least, None)[..., None]
        direction = (U @ (xp.matrix_transpose(U) @ slope[..., None] / size))[..., 0]
        for cut in range(5):
            trial = v + 0.25**cut * direction
            new = function(trial)
            better = new > value
            v, value = xp.where(better[:, None], trial, v), xp.where(better, new, value)
            if bool(xp.all(better)):
                break
    return v, value
