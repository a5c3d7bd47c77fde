"""Do the verdicts travel?  Every chapter under other arithmetic and other seeds.

Machines choose other kernels for the same sum, so a claim that hangs on rounding holds on one of
them and fails on the next; and a claim that hangs on luck holds for one seed.  Both show here: each
chapter runs as a plain script under several settings, and its claims are compared with those of the
machine's own setting.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from bookbuild import freshness, pairing, trial
from bookbuild.project import Chapter, Project
from bookbuild.trial import Setting, unseen
from gaussbook.claims import Claim
from gaussbook.records import digest, read_record, write_record
from gaussbook.tables import text_table

OWN = Setting("this machine")
MOVED = 0.1  # of the distance to the threshold
THIN = 2  # standard deviations from seed to seed between a claim and its threshold


def arithmetic() -> list[Setting]:
    """Return the settings under which the same sums are added in another order.

    A path that is chaotic in its last digit ends elsewhere once in a few roundings only: so these
    are all that the machine offers.
    """
    first, *others = _other_cores() or [""]
    oldest = {"OPENBLAS_CORETYPE": first, "NPY_DISABLE_CPU_FEATURES": _features()}
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    threads["OPENBLAS_THREAD_TIMEOUT"] = "4"  # a thread that waits sleeps soon
    return [
        Setting("oldest kernels", oldest),
        *(Setting(f"{core}'s kernels", {"OPENBLAS_CORETYPE": core}) for core in others),
        Setting("two threads", threads),
    ]


@cache
def _other_cores() -> list[str]:
    """Return the processors whose kernels NumPy's BLAS has and runs here, the oldest first.

    Those that it takes by itself are left out.
    """
    cores = {
        "x86_64": ("Prescott", "Core2", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX"),
        "aarch64": ("ARMV8", "CORTEXA57", "NEOVERSEN1"),
    }
    own = _kernels(None)
    others = [core for core in cores.get(platform.machine(), ()) if core.lower() not in own]
    return [core for core in others if core.lower() in _kernels(core)]


def _kernels(core: str | None) -> list[str]:
    """Return the names of the kernels that NumPy's BLAS takes: by itself, or if told to."""
    code = (
        "import numpy, threadpoolctl as t; x = numpy.ones((300, 300)); x @ x;"  # which may be fatal
        "print(*(i.get('architecture') for i in t.threadpool_info()))"
    )
    environment = {**os.environ, **({"OPENBLAS_CORETYPE": core} if core else {})}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    return done.stdout.lower().split() if done.returncode == 0 else []


def _features() -> str:
    """Return all processor features that NumPy found here and can do without."""
    from numpy._core import _multiarray_umath as umath

    return " ".join(f for f in umath.__cpu_dispatch__ if umath.__cpu_features__.get(f))


def survey(
    project: Project, chapters: Iterable[Chapter], settings: list[Setting], jobs: int
) -> dict[str, list[dict[str, Any]]]:
    """Run chapters under `settings`, or read what has been run before in their present form.

    Parameters
    ----------
    project : Project
        The book.
    chapters : iterable of Chapter
        The chapters to run.
    settings : list of Setting
        The conditions.
    jobs : int
        Number of trials that run side by side.

    Returns
    -------
    dict
        For each slug the trials' results, in the order of `settings`.
    """
    chapters = list(chapters)
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {
            chapter.slug: [pool.submit(_result, project, chapter, s) for s in settings]
            for chapter in chapters
        }
        return {slug: [each.result() for each in results] for slug, results in waiting.items()}


def _result(project: Project, chapter: Chapter, setting: Setting) -> dict[str, Any]:
    inputs = pairing.read(chapter.script)
    key = freshness.execution_key(inputs, project.root / "lib", freshness.setting())
    conditions = {"key": key, "environment": setting.environment, "offset": setting.seed_offset}
    stem = project.build / "verdicts" / f"{chapter.slug}-{digest('conditions', conditions)[:16]}"
    try:
        return read_record(stem)
    except (FileNotFoundError, ValueError):
        pass
    result = trial.run(trial.script(chapter), setting, name=chapter.script.name)
    words = result["error"] or f"{len(result['claims'])} rows"
    print(f"  {chapter.slug}, {setting.name}: {words} ({result['seconds']:.0f} s)", flush=True)
    stem.parent.mkdir(parents=True, exist_ok=True)
    return write_record(stem, conditions, result)


def differences(
    results: list[dict[str, Any]], settings: list[Setting]
) -> tuple[list[tuple[str, ...]], bool]:
    """Compare the trials of one chapter with the first of them.

    Parameters
    ----------
    results : list of dict
        What `survey` returns for the chapter; the first is that of the machine's own setting.
    settings : list of Setting
        The conditions, in the same order.

    Returns
    -------
    rows : list of (claim, setting, what is different)
        Verdicts that changed; under other arithmetic also numbers that moved by more than a tenth
        of their distance to the threshold; over seeds also claims whose distance to the threshold
        is less than two of their own standard deviations.
    travels : bool
        Whether no verdict changes under other arithmetic, at most one for each claim over the
        seeds, and the first trial has no failing claim.
    """
    rows: list[tuple[str, ...]] = []
    travels = True
    own = {fact["id"]: Claim(**fact) for fact in results[0]["claims"]}
    flips: dict[str, int] = {}
    values: dict[str, list[float]] = {id: [] for id in own}
    for result, setting in zip(results, settings, strict=True):
        found = {fact["id"]: Claim(**fact) for fact in result["claims"]}
        if result["error"]:
            rows.append(("–", setting.name, result["error"]))
            travels = False
        for id in {**own, **found}:
            before, after = own.get(id), found.get(id)
            if after is not None and after.measured is not None and id in values:
                values[id].append(after.measured)
            words = _difference(before, after, seeds=bool(setting.seed_offset))
            if words:
                rows.append((id, setting.name, words))
            if (before and before.verdict) != (after and after.verdict):
                flips[id] = flips.get(id, 0) + 1
                travels &= bool(setting.seed_offset) and flips[id] < 2
    for id, claim in own.items():
        if claim.verdict == "fails":
            rows.append((id, settings[0].name, _numbers(claim)))
            travels = False
        rows += _thin(claim, values[id]) if settings[-1].seed_offset else []
    return rows, travels


def _difference(before: Claim | None, after: Claim | None, *, seeds: bool) -> str:
    if after is None:
        return "the row is missing"
    if before is None:
        return "the row is missing in the machine's own setting"
    if before.verdict != after.verdict:
        return f"{before.verdict} → {after.verdict}: {_numbers(before)} → {_numbers(after)}"
    slack = before.slack()
    if seeds or slack is None or after.measured is None:
        return ""
    moved = abs(after.measured - before.measured)
    if moved <= MOVED * abs(slack):
        return ""
    return f"moved: {before.measured_text()} → {after.measured_text()} ({before.threshold_text()})"


def _thin(claim: Claim, values: list[float]) -> list[tuple[str, ...]]:
    slack = claim.slack()
    if slack is None or len(values) < 3:
        return []
    spread = statistics.stdev(values)
    centre = Claim(**{**claim.__dict__, "measured": statistics.fmean(values)}).slack()
    if spread == 0 or abs(centre) >= THIN * spread:
        return []
    words = f"{abs(centre) / spread:.1f} sd from the threshold ({claim.threshold_text()})"
    return [(claim.id, "over the seeds", words)]


def _numbers(claim: Claim) -> str:
    return f"{claim.measured_text()} ({claim.threshold_text()})"


def report(project: Project, slugs: list[str], seeds: int, jobs: int) -> bool:
    """Run the trials of chapters, print what differs, and return whether all verdicts travel.

    Parameters
    ----------
    project : Project
        The book.
    slugs : list of str
        The chapters; all of them if empty.
    seeds : int
        Number of unseen seed offsets.
    jobs : int
        Number of trials that run side by side.
    """
    chapters = [project.chapter(slug) for slug in slugs] or project.chapters
    settings = [OWN, *arithmetic(), *unseen(seeds)]
    results = survey(project, chapters, settings, jobs)
    rows, failing = [], []
    for slug, found in results.items():
        different, travels = differences(found, settings)
        rows += [(slug, *row) for row in different]
        failing += [] if travels else [slug]
    if rows:
        print(text_table(("Chapter", "Claim", "Setting", "What is different"), rows))
    words = f"those of {', '.join(failing)} do not" if failing else "all do"
    print(f"{len(results)} chapters, {len(settings)} settings; which verdicts travel: {words}")
    return not failing
