"""Random weights from a seeded generator, on its own backend."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gaussbook.arrays import Array, Generator, namespace
from gaussbook.nn.arguments import dtype_of
from gaussbook.validation import check_integer, check_scalar

__all__ = ["glorot", "he", "normal", "orthogonal"]


def _checked(shape: Sequence[int], least: int = 1) -> tuple[int, ...]:
    try:
        shape = tuple(shape)
    except TypeError as error:
        raise ValueError(f"shape must be a sequence of lengths, got {shape!r}") from error
    if len(shape) < least:
        raise ValueError(f"shape must have at least {least} axes, got {shape}")
    return tuple(check_integer("shape", n, at_least=1) for n in shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs an output sees and how many outputs see an input."""
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def normal(
    rng: Generator, shape: Sequence[int], *, scale: float = 0.02, dtype: str = "float32"
) -> Array:
    """Draw normal weights of a given standard deviation.

    Parameters
    ----------
    rng : Generator
        A seeded generator (`gaussbook.arrays.generator`).
    shape : sequence of int
        Shape of the result.
    scale : float
        Standard deviation.
    dtype : {"float32", "float64"}
        Type of the result.

    Raises
    ------
    ValueError
        If an argument is outside its range.
    """
    shape = _checked(shape)
    scale = check_scalar("scale", scale, at_least=0)
    draws = rng.standard_normal(shape)
    xp = namespace(draws)
    return xp.astype(scale * draws, dtype_of(xp, dtype))


def he(rng: Generator, shape: Sequence[int], *, dtype: str = "float32") -> Array:
    """Draw normal weights of variance 2 / inputs, for rectifiers (He et al., 2015).

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    shape : sequence of int
        ``(..., inputs, outputs)``; leading axes are the window of a convolution.
    dtype : {"float32", "float64"}
        Type of the result.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    shape = _checked(shape, 2)
    return normal(rng, shape, scale=math.sqrt(2 / _fans(shape)[0]), dtype=dtype)


def glorot(rng: Generator, shape: Sequence[int], *, dtype: str = "float32") -> Array:
    """Draw uniform weights of variance 2 / (inputs + outputs) (Glorot and Bengio, 2010).

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    shape : sequence of int
        ``(..., inputs, outputs)``; leading axes are the window of a convolution.
    dtype : {"float32", "float64"}
        Type of the result.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    shape = _checked(shape, 2)
    bound = math.sqrt(6 / sum(_fans(shape)))
    draws = rng.uniform(-bound, bound, shape)
    xp = namespace(draws)
    return xp.astype(draws, dtype_of(xp, dtype))


def orthogonal(
    rng: Generator, shape: Sequence[int], *, gain: float = 1.0, dtype: str = "float32"
) -> Array:
    """Draw a uniformly random matrix with orthonormal rows or columns (Saxe et al., 2014).

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    shape : (int, int)
        Rows and columns; the shorter ones are orthonormal.
    gain : float
        Factor on the matrix.
    dtype : {"float32", "float64"}
        Type of the result.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    shape = _checked(shape, 2)
    if len(shape) != 2:
        raise ValueError(f"shape must have 2 axes, got {shape}")
    gain = check_scalar("gain", gain)
    draws = rng.standard_normal((max(shape), min(shape)))
    xp = namespace(draws)
    q, r = xp.linalg.qr(draws)
    q = q * xp.sign(xp.linalg.diagonal(r))  # without the signs the draw is not uniform
    q = q if shape[0] >= shape[1] else xp.matrix_transpose(q)
    return xp.astype(gain * q, dtype_of(xp, dtype))
