"""From sources to pages: pair, execute what is not fresh, typeset; a site always comes of it.

A chapter that fails costs its own verdict only: its page says what failed, the scoreboard counts
it, and `build` raises once the site stands.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import distributions
from pathlib import Path

import yaml

from bookbuild import costs, runs, settings, sharing
from bookbuild.locks import locked
from bookbuild.project import BookError, Chapter, Project
from bookbuild.runs import Run

WAITING = "another build (process {pid}) is running here; waiting for it to end"


def build(project: Project, only: str | None = None) -> Path:
    """Build the whole site, or execute one chapter and build the site around it.

    Parameters
    ----------
    project : Project
        The book.
    only : str, optional
        Slug of the one chapter that may execute; the others appear as they last ran.

    Returns
    -------
    Path
        The page to open.

    Raises
    ------
    BookError
        If the book cannot be read or Sphinx warns; or, once the site stands, if a chapter failed.
    """
    started = time.perf_counter()
    settings.check()
    with locked(project.build / "lock", WAITING) as lock:
        known = _end_completeness(project)
        chapters = project.chapters
        chosen = [project.chapter(only)] if only else chapters
        _check_sources(project)
        refused = {c.slug for c in chapters if runs.prepare(c, project)}
        last = {chapter.slug: runs.last_run(chapter, project) for chapter in chapters}
        ready = [chapter for chapter in chosen if chapter.slug not in refused]
        stale = [chapter for chapter in ready if not runs.is_settled(last[chapter.slug])]
        print(f"{len(ready) - len(stale)} chapters unchanged, {len(stale)} to run", flush=True)
        if stale:
            _execute(stale, project)
            last |= {chapter.slug: runs.last_run(chapter, project) for chapter in stale}
        for chapter in chapters:
            runs.show(chapter, last[chapter.slug], project)
        page = _typeset(project, chapters, known, lock)
    if only:
        page = (page.parent / chosen[0].docname).with_suffix(".html")
    seconds = time.perf_counter() - started
    if not only:
        print(_longest(last))
        if len(stale) == len(chapters) and not sharing.is_on():
            costs.record(project.build, "site", seconds)
    print(f"built in {seconds:.0f} s; open {page} (or: make serve)")
    runs_of_chosen = {chapter.slug: last[chapter.slug] for chapter in chosen}
    failed = {slug: run for slug, run in runs_of_chosen.items() if run is None or run.failure}
    if failed:
        lines = "".join(f"\n  {slug}: {run or 'no run'}" for slug, run in failed.items())
        count = f"{len(failed)} chapter{'s' * (len(failed) > 1)}"
        raise BookError(f"{count} failed on this machine; the pages say so:{lines}")
    return page


def _longest(last: Mapping[str, Run | None]) -> str:
    """Name the three chapters that take the most processor time."""
    costs = {slug: run.cost[0] for slug, run in last.items() if run is not None and run.cost}
    longest = sorted(costs, key=lambda slug: -costs[slug])[:3]
    named = [f"{slug} ({costs[slug]:.0f} s)" for slug in longest]
    return f"the longest chapters, in processor time: {', '.join(named) or 'none was measured'}"


def is_complete(project: Project) -> bool:
    """Return whether the site stands, whole, as the last build left it."""
    return (project.build / "complete").exists()


def _end_completeness(project: Project) -> str:
    """Mark the old site as no longer that of the sources; return the digest of what it shows."""
    complete = project.build / "complete"
    known = complete.read_text() if complete.exists() else ""
    complete.unlink(missing_ok=True)
    return known


def _check_sources(project: Project) -> None:
    """Read what every page rests on, before anything runs."""
    _ = project.papers
    for name in ("_toc.yml", "_config.yml"):
        try:
            yaml.safe_load((project.root / name).read_text(encoding="utf-8"))
        except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            raise BookError(f"{name} cannot be read: {' '.join(str(error).split())}") from error


def _execute(chapters: list[Chapter], project: Project) -> None:
    """Run chapters side by side, the longest first; each that ends is kept, whatever happens."""
    interrupt = threading.Event()
    ordered = sorted(chapters, key=lambda c: -runs.expected_seconds(c))
    with ThreadPoolExecutor(max_workers=costs.processors()) as pool:
        jobs = {
            pool.submit(runs.run_chapter, c, project, retry=True, interrupt=interrupt): c
            for c in ordered
        }
        try:
            for job in as_completed(jobs):
                print(f"  {line(jobs[job], job.result())}", flush=True)
        except BaseException:
            interrupt.set()
            pool.shutdown(cancel_futures=True)
            raise


def line(chapter: Chapter, run: Run) -> str:
    """Return what came of a chapter in one line."""
    how = "unchanged" if run.kept else f"{run.seconds:.1f} s"
    return f"{chapter.slug}: {'FAILED, ' if run.failure else ''}{run} ({how})"


def _typeset(project: Project, chapters: list[Chapter], known: str, lock: int) -> Path:
    """Run Jupyter Book with warnings as errors, unless nothing that a page shows has changed."""
    page = project.build / "html" / "index.html"
    digest = _digest(project)
    if known == digest and page.exists():
        print("the pages are those of the last build", flush=True)
    else:
        print("typesetting the pages that changed", flush=True)
        _fill_cache(project, chapters)
        _run_jupyter_book(project, lock)
        if not page.exists():
            raise BookError("the pages were not built; remove _build and run the same again")
    (project.build / "complete").write_text(digest)
    return page


def _digest(project: Project) -> str:
    """Return a digest of all that the pages rest on: sources, runs, the press and its packages."""
    root = project.root
    files = [root / "_toc.yml", root / "_config.yml", costs.files(project.build)[-1]]
    for folder in ("book", "lib", "benchmarks/results", "_build/shown"):
        files += [p for p in (root / folder).rglob("*") if p.is_file() and _is_source(p)]
    files += [p for p in Path(__file__).parent.rglob("*") if p.is_file() and _is_source(p)]
    facts = hashlib.sha256()
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        facts.update(f"{os.path.relpath(path, root)} {content}\n".encode())
    for name, number in sorted({(d.name, d.version) for d in distributions()}):
        facts.update(f"{name} {number}\n".encode())
    return facts.hexdigest()


def _is_source(path: Path) -> bool:
    """Return whether a page may rest on a file: not on notebooks, which have their shown copies."""
    shown = path.parent.name == "shown"
    return (path.suffix not in (".pyc", ".ipynb") or shown) and not path.name.startswith(".")


def _fill_cache(project: Project, chapters: list[Chapter]) -> None:
    """Hand the shown notebooks to jupyter-cache, so that Sphinx finds them and runs nothing.

    It is filled anew each time; it holds copies only and may be damaged or lost without harm.
    Chapters that have no outputs stay out: the page shows them as they are.
    """
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from myst_nb.core.read import read_myst_markdown_notebook

    path = project.build / "jupyter-cache"
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    cache = get_cache(path)
    for chapter in chapters:
        file = runs.shown_file(chapter, project)
        run = runs.read_shown(chapter, project)
        if run is None or run.is_refused:
            continue
        bundle = CacheBundleIn(run.notebook, str(file), data={"execution_seconds": run.seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        text = chapter.markdown.read_text(encoding="utf-8")
        try:
            cache.match_cache_notebook(read_myst_markdown_notebook(text))
        except KeyError as error:
            raise BookError(f"{chapter.slug}: its page is not the notebook that ran") from error


def _run_jupyter_book(project: Project, lock: int) -> None:
    """Typeset; a run that was cut off, or that warned, is done anew by the next.

    Raises
    ------
    BookError
        With what Sphinx says, if it warns.
    """
    unfinished = project.build / "typesetting"
    if unfinished.exists() or not (project.build / "html").exists():
        for folder in ("html", ".doctrees"):
            shutil.rmtree(project.build / folder, ignore_errors=True)
    unfinished.touch()
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(project.root), "-W", "--keep-going", "-q"]
    done = subprocess.run(
        command,
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=[lock],  # should this process be killed, the child keeps others away
    )
    if done.returncode != 0:
        raise BookError(f"{done.stdout}\nthe pages were not built, see above")
    unfinished.unlink()
