"""Blocks of rows: temporaries stay in the cache of a CPU, and within the memory of a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from array_api_compat import is_cupy_array

from gaussbook.arrays import Array

__all__ = ["row_blocks"]

_HOST_ELEMENTS = 2**16  # numbers held at once on the host: 512 KiB, which stay in the cache
_DEVICE_ELEMENTS = 2**26  # and on a GPU, which wants large blocks: 512 MiB in float64


def row_blocks(
    n: int, width: int, like: Array, *, elements: int | None = None, fewest: int = 1
) -> Iterator[slice]:
    """Iterate over slices of `n` rows, of which each holds a bounded number of elements.

    Parameters
    ----------
    n : int
        Number of rows.
    width : int
        Numbers in a temporary of one row.
    like : array
        Says by its kind whether a cache or the memory of a GPU sets the bound.
    elements : int, optional
        The bound on the host, where it is not 2^16.
    fewest : int
        Rows of a block however wide they are.

    Yields
    ------
    slice
        Contiguous rows, in order, each with ``stop <= n``.
    """
    bound = _DEVICE_ELEMENTS if is_cupy_array(like) else elements or _HOST_ELEMENTS
    step = max(fewest, bound // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
