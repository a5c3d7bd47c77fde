"""The spaces that gradients live in, and the linear maps between them.

A gradient by an array has the array's shape and type, whatever it was broadcast or promoted to on
the way to the result.  `defvjp` and `defvjp_argnums` see to it, for every primitive of this package
and of its users: what a pull returns is summed along the axes that were broadcast, and brought into
the array's type.  Values are real: an operation that makes complex numbers of traced ones is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.extend
import numpy as np

from gaussbook.arrays import Array
from gaussbook.autodiff.tracing import (
    SliceGradient,
    as_array,
    is_floating,
    is_traced,
    plain,
    plain_namespace,
    primitive,
    same_type,
)

__all__ = [
    "Axis",
    "astype",
    "axes_of",
    "broadcast_to",
    "checked_axis",
    "defvjp",
    "defvjp_argnums",
    "into_space",
    "kept_shape",
    "reshape",
    "sum",
    "unbroadcast",
]

Axis = int | tuple[int, ...] | None


def into_space(g: Any, like: Array) -> Any:
    """Bring a gradient into the shape and the type of the array that it is by.

    Parameters
    ----------
    g : array or float
        What a pull returned.
    like : array
        The array.

    Raises
    ------
    ValueError
        If `g` is complex, or has a shape to which `like` cannot be broadcast.
    """
    if type(g) is SliceGradient:
        return g
    if not hasattr(g, "dtype"):
        g = plain_namespace(like).asarray(g)
    if g.shape != like.shape:
        g = unbroadcast(g, tuple(like.shape))
    if same_type(g, like):
        return g
    if plain_namespace(g).isdtype(g.dtype, "complex floating"):
        raise ValueError(f"g must be real, got {g.dtype}")
    return astype(g, like.dtype)


def _check_real(ans: Any, like: Array) -> None:
    """Raise ``ValueError`` if traced numbers became complex or masked ones."""
    if type(ans) is np.ndarray and ans.dtype is like.dtype:
        return  # the usual case
    if isinstance(ans, np.ma.MaskedArray):
        raise ValueError("function must not mix in arrays with masked values")
    if hasattr(ans, "dtype") and not same_type(ans, like) and not is_floating(ans):
        raise ValueError(
            f"function must stay within floating numbers, an operation gave {ans.dtype}"
        )


def defvjp(
    function: Callable, *makers: Callable | None, argnums: Sequence[int] | None = None
) -> None:
    """Say how gradients are pulled back through a primitive, argument by argument.

    Parameters
    ----------
    function : callable
        Made by `primitive`.
    *makers : callable or None
        ``maker(ans, *args, **kwargs)`` returns the pull of one argument, which maps the gradient by
        the result to that by the argument; None for an argument that is never differentiated by.
        The pull may leave the gradient broadcast, and in any floating type.
    argnums : sequence of int, optional
        The positions that the makers belong to: 0, 1, 2, ... if not given.
    """
    positions = range(len(makers)) if argnums is None else argnums

    def in_space(maker: Callable, position: int) -> Callable:
        def make(ans: Array, *args: Any, **kwargs: Any) -> Callable:
            like = args[position]
            _check_real(ans, like)
            pull = maker(ans, *args, **kwargs)
            return lambda g: into_space(pull(g), like)

        return make

    fitted = [m and in_space(m, i) for m, i in zip(makers, positions, strict=True)]
    autograd.extend.defvjp(function, *fitted, argnums=positions)


def defvjp_argnums(function: Callable, maker: Callable) -> None:
    """Say how gradients are pulled back through a primitive, to several arguments at once.

    Parameters
    ----------
    function : callable
        Made by `primitive`.
    maker : callable
        ``maker(argnums, ans, args, kwargs)`` returns the pull, which maps the gradient by the
        result to a sequence of those by the arguments at the positions `argnums`.
    """

    def make(argnums: tuple, ans: Array, args: tuple, kwargs: dict) -> Callable:
        likes = [args[i] for i in argnums]
        _check_real(ans, likes[0])
        pull = maker(argnums, ans, args, kwargs)
        return lambda g: [into_space(part, like) for part, like in zip(pull(g), likes, strict=True)]

    autograd.extend.defvjp_argnums(function, make)


# ------------------------------------------------------------------------------------------ axes


def checked_axis(axis: int, ndim: int) -> int:
    """Return the axis counted from the front, or raise ``ValueError`` if there is none such."""
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis must be one of {ndim} axes, got {axis}")
    return axis % ndim


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return the axes that a reduction is over, counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(checked_axis(a, ndim) for a in ((axis,) if isinstance(axis, int) else axis))


def kept_shape(shape: Sequence[int], axis: Axis) -> tuple[int, ...]:
    """Return the shape after a reduction that keeps the reduced axes at length 1."""
    axes = axes_of(axis, len(shape))
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


# ------------------------------------------------------------------------- linear maps of spaces


@primitive
def _astype(x: Array, dtype: Any, copy: bool) -> Array:
    return plain_namespace(x).astype(x, dtype, copy=copy)


defvjp(_astype, lambda ans, x, dtype, copy: lambda g: g)


def astype(x: Array, dtype: Any, copy: bool = True) -> Array:
    """Return x in another type; its gradient comes back in the type of x.

    Parameters
    ----------
    x : array
        Of any shape.
    dtype : dtype
        The new type.  In whole numbers or booleans a traced array is constant almost everywhere:
        the result is a plain array.
    copy : bool
        Copy an array that has the type already.

    Raises
    ------
    ValueError
        If a traced array is to become complex.
    """
    xp = plain_namespace(x)
    if is_traced(x) and xp.isdtype(xp.zeros(0, dtype=dtype).dtype, ("bool", "integral")):
        return xp.astype(plain(x), dtype)
    return _astype(as_array(x), dtype, copy)


@primitive
def reshape(x: Array, shape: int | tuple[int, ...]) -> Array:
    """Return x in another shape of the same size; one length may be -1."""
    x = as_array(x)
    return plain_namespace(x).reshape(x, (shape,) if isinstance(shape, int) else tuple(shape))


defvjp(reshape, lambda ans, x, shape: lambda g: reshape(g, tuple(x.shape)))


@primitive
def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Return x repeated to a larger shape."""
    x = as_array(x)
    return plain_namespace(x).broadcast_to(x, tuple(shape))


defvjp(broadcast_to, lambda ans, x, shape: lambda g: g)


@primitive
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the sum over one, several or all axes; whole numbers as NumPy promotes them."""
    x = as_array(x)
    return plain_namespace(x).sum(x, axis=axis, keepdims=keepdims)


defvjp(
    sum,
    lambda ans, x, axis=None, keepdims=False: (
        lambda g: broadcast_to(
            g if keepdims or x.ndim == 0 else reshape(g, kept_shape(x.shape, axis)), tuple(x.shape)
        )
    ),
)


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which an array of the given shape was repeated.

    Raises
    ------
    ValueError
        If that shape cannot be broadcast to the gradient's.
    """
    if tuple(g.shape) == shape:
        return g
    lead = g.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[lead:], strict=True)):
        raise ValueError(f"g has shape {tuple(g.shape)}, to which {shape} cannot be broadcast")
    axes = (
        *range(lead),
        *(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1),
    )
    return reshape(sum(g, axis=axes), shape) if axes else reshape(g, shape)
