"""Activations written over the array they are applied to, inside fused primitives."""

from __future__ import annotations

import math

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch, elementwise
from gaussbook.autodiff.engine import plain_namespace

__all__ = ["ACTIVATIONS", "activate", "activation_pull", "check_activation"]

_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715
ACTIVATIONS = {
    None: lambda x: x,
    "gelu": elementwise.gelu,
    "relu": elementwise.relu,
    "sigmoid": elementwise.sigmoid,
    "silu": elementwise.silu,
    "tanh": elementwise.tanh,
}


def check_activation(name: str | None) -> None:
    """Raise ``ValueError`` unless this is the name of an activation (None is the identity)."""
    if name is not None and (not isinstance(name, str) or name not in ACTIVATIONS):
        raise ValueError(f"activation must be one of {list(ACTIVATIONS)}, got {name!r}")


def activate(saved: dict, z: Array, name: str | None) -> Array:
    """Apply an activation to an array that may be overwritten; leave what its slope needs."""
    if name == "relu":
        z = dispatch.rectify(z)
    elif name == "tanh":
        z = dispatch.apply_in_place("tanh", z)
    elif name in ("sigmoid", "silu"):
        half = dispatch.apply_in_place("tanh", 0.5 * z)
        half += 1
        half *= 0.5
        saved["z"], saved["gate"] = z, half
        z = half if name == "sigmoid" else z * half
    elif name == "gelu":
        z, saved["slope"] = _gelu(z)
    saved["y"] = z
    return z


def activation_pull(saved: dict, g: Array, name: str | None) -> Array:
    """Return g times the activation's slope (g itself for the identity)."""
    y = saved["y"]
    xp = plain_namespace(y)
    if name is None:
        return g
    if name == "relu":
        return g * xp.astype(y > 0, g.dtype)
    if name == "tanh":
        out = y * y
        out *= -1
        out += 1
    elif name == "sigmoid":
        out = 1 - y
        out *= y
    elif name == "silu":
        gate = saved["gate"]
        out = 1 - gate
        out *= saved["z"]
        out += 1
        out *= gate
    else:
        return g * saved["slope"]
    out *= g
    return out


def _gelu(z: Array) -> tuple[Array, Array]:
    r"""Return the values, written over z, and the slopes, block by block in the cache.

    With :math:`t=\tanh(s z(1+cz^2))` the slope is
    :math:`\frac12(1+t)+\frac12 z(1-t^2)\,s(1+3cz^2)`.
    """
    slopes = plain_namespace(z).empty(z.shape, dtype=z.dtype)
    for rows in dispatch.row_blocks(z.shape[0], z.shape[1], z):
        x = z[rows, :]
        squares = x * x
        t = squares * (_GELU_CUBIC * _GELU_SCALE)
        t += _GELU_SCALE
        t *= x
        t = dispatch.apply_in_place("tanh", t)
        squares *= 1.5 * _GELU_CUBIC * _GELU_SCALE
        squares += 0.5 * _GELU_SCALE
        squares *= x
        squares *= 1 - t * t
        t += 1
        t *= 0.5
        squares += t
        slopes[rows, :] = squares
        t *= x
        z[rows, :] = t
    return z, slopes
