"""What the last run of everything took: from a clone to the site, and to the end of the tests.

The site's own run and that of the tests leave a record each below ``_build/performance``; the page
on performance shows the newest ones.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Stage", "files", "machine_factor", "processors", "read", "record", "seconds_by_file"]

STAGES = ("environment", "site", "tests")
_REFERENCE = 0.70  # seconds of processor time that the fixed work takes on a current server's core


class Stage(NamedTuple):
    """One part of the way."""

    seconds: float
    """By the clock."""
    facts: dict[str, Any]
    """What else was recorded: the machine's factor, the day, its processors."""


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_factor() -> float:
    """Return how slow a core of this machine is now: 1 for a current server's, 2 for half of it.

    The work is fixed: a loop in Python, four products of matrices of 1200 rows, and as many numbers
    exponentiated twenty times.  The median of three runs counts, in processor time.
    """
    a = np.random.default_rng(0).standard_normal((1200, 1200))
    _ = a @ a  # the first product starts threads
    return statistics.median(_work(a) for _ in range(3)) / _REFERENCE


def _work(a: np.ndarray) -> float:
    started = time.process_time()
    sum(i * i for i in range(5_000_000))
    for _ in range(4):
        _ = a @ a
    for _ in range(20):
        np.exp(a)
    return time.process_time() - started


def record(build: Path, stage: str, seconds: float, **facts: Any) -> None:
    """Write down what a part took, on which machine and day.

    Parameters
    ----------
    build : Path
        The folder of everything made.
    stage : {"site", "tests"}
        The part.
    seconds : float
        By the clock.
    **facts
        What else the page shows of it; anything that JSON can hold.
    """
    facts |= {"factor": machine_factor(), "date": date.today().isoformat()}
    facts |= {"processors": processors(), "seconds": seconds}
    path = _path(build, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts), encoding="utf-8")


def files(build: Path) -> list[Path]:
    """Return the files of the records, that of the tests last.

    Where there is none, an empty one is made: pages can depend on it.
    """
    found = [_path(build, stage) for stage in STAGES[1:]]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return found


def read(root: Path) -> dict[str, Stage]:
    """Return the parts that are on record, in their order.

    Parameters
    ----------
    root : Path
        The book's folder.
    """
    found = {}
    begun, ended = root / ".venv" / "pyvenv.cfg", root / ".venv" / "ready"
    if begun.exists() and ended.exists():
        found["environment"] = Stage(ended.stat().st_mtime - begun.stat().st_mtime, {})
    for stage in STAGES[1:]:
        try:
            facts = json.loads(_path(root / "_build", stage).read_text(encoding="utf-8"))
            found[stage] = Stage(float(facts.pop("seconds")), facts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # no record, or none that can be read
    return found


def _path(build: Path, stage: str) -> Path:
    return build / "performance" / f"{stage}.json"


def seconds_by_file(reports: Iterable[Any]) -> dict[str, tuple[int, float]]:
    """Return the number of tests of each file, and their seconds with those of their fixtures.

    Parameters
    ----------
    reports : iterable of pytest.TestReport
        Of all phases of all tests, in any order.
    """
    sums: dict[str, list] = {}
    for report in reports:
        kept = sums.setdefault(report.nodeid.partition("::")[0], [set(), 0.0])
        kept[0].add(report.nodeid)
        kept[1] += report.duration
    return {file: (len(names), seconds) for file, (names, seconds) in sums.items()}
