"""The host's allocator, set for programs that take and free the same large arrays step by step."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_KEPT, _KEPT = 32 * 2**20, 512 * 2**20
_CHOSEN_BY_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")  # see mallopt(3)


def keep_freed_memory() -> bool:
    """Ask glibc not to give memory back to the system after every large array.

    By default it returns what is freed at once, and the next array of that size costs a page
    fault for every 4 KiB: a third of the time of a transformer's training step on one core.
    Arrays up to 32 MiB are from now on kept for reuse, 512 MiB of them at most.

    Returns
    -------
    bool
        Whether the settings were accepted; other C libraries are left alone.

    Raises
    ------
    ValueError
        If the environment variable ``GAUSSBOOK_KEEP_MEMORY`` has another value than 0 or 1.

    Notes
    -----
    ``import gaussbook.autodiff`` calls this, and the settings hold for the whole process: for all
    its threads (``mallopt`` takes the allocator's lock) and for the children that it forks.  They
    change which memory an allocation gets, never a result.  Nothing is set where the environment
    variable ``GAUSSBOOK_KEEP_MEMORY`` is 0, or where the user has chosen thresholds with glibc's
    own variables ``MALLOC_MMAP_THRESHOLD_`` or ``MALLOC_TRIM_THRESHOLD_``.
    """
    choice = os.environ.get("GAUSSBOOK_KEEP_MEMORY", "1")
    if choice not in ("0", "1"):
        raise ValueError(f"GAUSSBOOK_KEEP_MEMORY must be 0 or 1, got {choice!r}")
    if choice == "0" or any(name in os.environ for name in _CHOSEN_BY_USER):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and libc.mallopt(_TRIM_THRESHOLD, _KEPT)
    )
