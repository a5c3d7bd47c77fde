"""One trial of a chapter: its script in a process of its own, with other arithmetic, seeds or code.

``python -m bookbuild.trial SCRIPT RESULT`` is that process.  It writes the claims that the chapter
has checked, also when the chapter then stops with an error.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bookbuild.project import BookError, Chapter

OFFSET = 10_000  # far from the seeds on which chapters are judged or calibrated


@dataclass(frozen=True)
class Setting:
    """The conditions of a trial.

    Attributes
    ----------
    name : str
        The conditions in words.
    environment : dict
        Environment variables of the process.
    seed_offset : int
        What is added to the seed of every ``generator(seed)`` of the chapter and of the library.
        A draw that a claim names is made with ``Generator(seed)``, and stays.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    seed_offset: int = 0


def unseen(count: int) -> list[Setting]:
    """Return settings in which every seed is shifted by an offset that no author has seen."""
    return [Setting(f"seeds + {OFFSET * k}", {}, OFFSET * k) for k in range(1, count + 1)]


def run(
    source: str,
    setting: Setting,
    *,
    name: str,
    until: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Run a chapter's script and return what it claimed.

    Parameters
    ----------
    source : str
        The script.
    setting : Setting
        The conditions.
    name : str
        The script's file name, for tracebacks.
    until : tuple of str
        Ids of rows: the trial ends as soon as all of them have been checked; at the chapter's end
        if empty.

    Returns
    -------
    dict
        ``claims`` (list of facts, as in the bundle), ``error`` (str or None: the last line of the
        traceback, if the chapter stopped before its report) and ``seconds`` (processor time).
    """
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        script, result = Path(folder, name), Path(folder, "result.json")
        script.write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "bookbuild.trial", str(script), str(result)]
        command += [f"--offset={setting.seed_offset}", f"--until={','.join(until)}"]
        environment = {
            **os.environ,
            "MPLBACKEND": "agg",
            "MPLCONFIGDIR": folder,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            **setting.environment,
        }
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        if result.exists():
            return json.loads(result.read_text())
        last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
        return {"claims": [], "error": last, "seconds": 0.0}


class _AllChecked(BaseException):
    """Every row that the trial waits for has been checked."""


def _shift_seeds(offset: int) -> None:
    """Shift the seeds of `gaussbook.arrays.generator`, before any other module has imported it."""
    import numpy as np

    from gaussbook import arrays

    original = arrays.generator

    def generator(seed: int) -> arrays.Generator:
        if isinstance(seed, np.random.SeedSequence):
            spawned = (*seed.spawn_key, offset)
            return original(np.random.SeedSequence(seed.entropy, spawn_key=spawned))
        return original(seed + offset)

    arrays.generator = generator


def _watch(until: set[str]) -> list[Any]:
    """Collect the chapter's `Claims` objects, and stop once all rows of `until` are there."""
    from gaussbook.claims import Claims

    made: list[Claims] = []
    create, append = Claims.__init__, Claims._append

    def watched_init(self, *arguments, **options):
        create(self, *arguments, **options)
        made.append(self)

    def watched_append(self, *arguments, **options):
        append(self, *arguments, **options)
        if until and until <= {claim.id for claim in self.claims}:
            raise _AllChecked

    Claims.__init__, Claims._append = watched_init, watched_append
    return made


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bookbuild.trial")
    parser.add_argument("script", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--until", default="")
    options = parser.parse_args()
    if options.offset:
        _shift_seeds(options.offset)
    made = _watch({id for id in options.until.split(",") if id})
    from gaussbook.claims import ClaimError

    error = None
    try:
        runpy.run_path(str(options.script), run_name="__main__")
    except (_AllChecked, ClaimError):  # the claims say it themselves
        pass
    except BaseException as problem:  # also a chapter that calls exit()
        error = traceback.format_exception_only(problem)[-1].strip()
    claims = [claim for each in made for claim in each.bundle()["claims"]]
    facts = {"claims": claims, "error": error, "seconds": round(time.process_time(), 1)}
    options.result.write_text(json.dumps(facts))


def script(chapter: Chapter) -> str:
    """Return the source of a chapter's script.

    Raises
    ------
    BookError
        If there is none.
    """
    try:
        return chapter.script.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BookError(f"{chapter.script} is missing; make it with: make pair") from error


if __name__ == "__main__":
    _main()
