"""Checks of layers' arguments: cheap enough for every step, values are not looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gaussbook.arrays import Array, namespace
from gaussbook.autodiff import plain
from gaussbook.autodiff.tracing import refuse_masked

__all__ = ["check_input", "check_integers", "dtype_of", "parameter"]

Params = Mapping[str, Any]
_FAMILIES: dict[tuple, bool] = {}


def _family(x: Array, family: str) -> bool:
    x = plain(x)
    refuse_masked(x)
    key = type(x), x.dtype, family  # asked in every step: the answer is looked up
    found = _FAMILIES.get(key)
    if found is None:
        found = _FAMILIES[key] = namespace(x).isdtype(x.dtype, family)
    return found


def check_input(name: str, x: Any, ndim: int | None = None, at_least: int = 0) -> Array:
    """Return an array of floating numbers, traced or not, or raise ``ValueError``.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    x : array
        The argument.
    ndim : int, optional
        Required number of axes.
    at_least : int
        Smallest number of axes.

    Raises
    ------
    ValueError
        If it is no such array.
    """
    try:
        floating = _family(x, "real floating")
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{name} must be an array, got {type(x).__name__}") from error
    if not floating:
        raise ValueError(f"{name} must hold floating numbers, got {x.dtype}")
    if (ndim is not None and x.ndim != ndim) or x.ndim < at_least:
        wanted = ndim if ndim is not None else f"at least {at_least}"
        raise ValueError(f"{name} must have {wanted} dimension(s), got shape {tuple(x.shape)}")
    return x


def check_integers(name: str, x: Any) -> Array:
    """Return an array of integers, or raise ``ValueError``."""
    try:
        integers = _family(x, "integral")
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{name} must be an array of integers, got {type(x).__name__}") from error
    if not integers:
        raise ValueError(f"{name} must hold integers, got {x.dtype}")
    return x


def parameter(params: Params, name: str) -> Any:
    """Return what stands under a name in a layer's parameters, or raise ``ValueError``."""
    if not isinstance(params, Mapping):
        raise ValueError(f"params must be a dictionary, got {type(params).__name__}")
    if name not in params:
        raise ValueError(f"params must hold {name!r}, got {sorted(map(str, params))}")
    return params[name]


def dtype_of(xp: Any, dtype: str) -> Any:
    """Return the namespace's floating type of that name, or raise ``ValueError``."""
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return getattr(xp, dtype)
