"""Activations of plain arrays, with their slopes: what the fused layers apply to their products."""

from __future__ import annotations

import math

import numpy as np

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch
from gaussbook.autodiff.tracing import plain_namespace
from gaussbook.blocks import row_blocks
from gaussbook.bounds import at_least

__all__ = [
    "GELU_CUBIC",
    "GELU_LINEAR",
    "activate",
    "activation_pull",
    "sigmoid",
    "sigmoid_and_slope",
    "softplus",
]

GELU_LINEAR = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715 * GELU_LINEAR
_BLOCK_ELEMENTS = 2**15  # of float32, 128 KiB: several such blocks stay in the cache


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), as tanh would not give it: with all its digits in both tails.

    Only what would be less than twice the least normal number becomes that.
    """
    e = _odds(x)
    e += 1
    return 1 / e


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)): logaddexp gives the same digits and takes many times as long."""
    e = dispatch.apply_in_place("exp", -plain_namespace(x).abs(x))
    return at_least(x, 0.0) + plain_namespace(x).log1p(e)


def sigmoid_and_slope(x: Array) -> tuple[Array, Array]:
    """Return the sigmoid and its derivative, both with all their digits in both tails."""
    e = _odds(x)
    value = 1 / (1 + e)
    e *= value
    e *= value
    return value, e


def _odds(x: Array) -> Array:
    """Return exp(-x), at most a seventh of the largest number, so that it can be multiplied by."""
    xp = plain_namespace(x)
    lowest = 2 - math.log(float(xp.finfo(x.dtype).max))
    if not isinstance(x, np.ndarray) or (x.size and not x.min() >= lowest):
        x = at_least(x, lowest)
    return dispatch.apply_in_place("exp", -x)


def activate(saved: dict, z: Array, name: str | None) -> Array:
    """Apply an activation to a matrix that may be overwritten; leave what a pull needs."""
    if name == "relu":
        z = dispatch.rectify(z)
    elif name == "tanh":
        z = dispatch.apply_in_place("tanh", z)
    elif name == "sigmoid":
        z, saved["slope"] = sigmoid_and_slope(z) if saved["pull"] else (sigmoid(z), None)
    elif name in ("silu", "gelu"):
        z, saved["slope"] = _gated(z, name, saved["pull"])
    saved["y"] = z
    return z


def activation_pull(saved: dict, g: Array, name: str | None) -> Array:
    """Return g times the activation's slope (g itself for the identity)."""
    if name is None:
        return g
    if name == "relu":
        return g * plain_namespace(g).astype(saved["y"] > 0, g.dtype)
    if name == "tanh":
        out = saved["y"] * saved["y"]
        out *= -1
        out += 1
        out *= g
        return out
    return g * saved["slope"]


def _gated(z: Array, name: str, sloped: bool) -> tuple[Array, Array | None]:
    r"""Return :math:`z\,\sigma(v)`, written over z, and its slope if wanted, block by block.

    With :math:`v=z` (SiLU) or :math:`v=z(a+bz^2)` (GELU) the slope is
    :math:`\sigma(v)+z\,\sigma'(v)\,v'`.
    """
    slopes = plain_namespace(z).empty(z.shape, dtype=z.dtype) if sloped else None
    for rows in row_blocks(z.shape[0], z.shape[1], z, elements=_BLOCK_ELEMENTS):
        x = inner = z[rows, :]  # a block of few rows stays in the cache
        if name == "gelu":
            squares = x * x
            inner = squares * GELU_CUBIC
            inner += GELU_LINEAR
            inner *= x
        if sloped:
            gate, slope = sigmoid_and_slope(inner)
            if name == "gelu":
                squares *= 3 * GELU_CUBIC
                squares += GELU_LINEAR
                slope *= squares
            slope *= x
            slope += gate
            slopes[rows, :] = slope
        else:
            gate = sigmoid(inner)
        gate *= x
        z[rows, :] = gate
    return z, slopes
