"""Locks between processes; the system frees them when a process ends, however it ends.

A process that gets the descriptor holds the lock too: give it to a child that must not work without
(``pass_fds``), and the lock lasts until both have ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, waiting: str | None = None) -> Iterator[int]:
    """Hold the lock file at `path`; if another process holds it, say so and wait.

    Parameters
    ----------
    path : Path
        The lock file; its folder is made if need be.
    waiting : str, optional
        Printed once, with the other's process number, before waiting.

    Yields
    ------
    int
        The descriptor of the lock file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                file.seek(0)
                print(waiting.format(pid=file.read().strip() or "unknown"), flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()
