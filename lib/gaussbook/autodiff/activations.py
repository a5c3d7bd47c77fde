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
    xp = plain_namespace(z)
    if name == "relu":
        z = xp.maximum(z, xp.zeros((), dtype=z.dtype))
    elif name == "tanh":
        z = dispatch.apply_in_place("tanh", z)
    elif name in ("sigmoid", "silu"):
        half = dispatch.apply_in_place("tanh", 0.5 * z)
        half += 1
        half *= 0.5
        saved["z"], saved["gate"] = z, half
        z = half if name == "sigmoid" else z * half
    elif name == "gelu":
        inner = z * z
        inner *= _GELU_CUBIC * _GELU_SCALE
        inner += _GELU_SCALE
        inner *= z
        inner = dispatch.apply_in_place("tanh", inner)
        saved["z"], saved["tanh"] = z, inner
        out = inner + 1
        out *= z
        out *= 0.5
        z = out
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
    else:  # gelu: (1 + t) / 2 + z (1 - t^2) (1 + 3 c z^2) s / 2
        z, t = saved["z"], saved["tanh"]
        out = z * z
        out *= 1.5 * _GELU_CUBIC * _GELU_SCALE
        out += 0.5 * _GELU_SCALE
        out *= z
        out *= 1 - t * t
        out += 0.5
        out += 0.5 * t
    out *= g
    return out
