"""The two scales of a chapter: ``default`` (a laptop core) and ``paper`` (one large GPU)."""

from __future__ import annotations

import os
from typing import TypeVar

__all__ = ["current_scale", "scale"]

T = TypeVar("T")
_SCALES = ("default", "paper")


def current_scale() -> str:
    """Return ``GAUSSBOOK_SCALE``: ``default`` (also when unset) or ``paper``.

    Raises
    ------
    ValueError
        If the environment variable has another value.
    """
    choice = os.environ.get("GAUSSBOOK_SCALE", "default")
    if choice not in _SCALES:
        raise ValueError(f"GAUSSBOOK_SCALE is {choice!r}; it must be one of {', '.join(_SCALES)}")
    return choice


def scale(*, default: T, paper: T) -> T:
    """Return the value that belongs to the current scale: ``n = scale(default=80, paper=400)``."""
    return paper if current_scale() == "paper" else default
