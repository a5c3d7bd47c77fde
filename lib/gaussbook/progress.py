"""A progress bar for long work: on the terminal and in a notebook, never on the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

__all__ = ["progress"]

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over `items` with a bar that names the work and vanishes when it is done.

    Parameters
    ----------
    items : iterable
        What to iterate over.
    description : str
        Shown before the bar, e.g. ``"EM, 20 starts"``.
    total : int, optional
        Number of items, where `items` has no length.

    Returns
    -------
    iterator
        The items, unchanged.
    """
    return iter(tqdm(items, desc=description, total=total, leave=False, mininterval=0.5))
