"""Chapters as tests: nbmake executes a chapter once for each change, for the test and the page.

A chapter whose verified outputs are still fresh passes without running again (``--rerun-chapters``
runs it all the same).  A chapter that reports no claims fails.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bookbuild import freshness, pairing
from bookbuild.locks import locked
from bookbuild.project import BookError, Chapter, Project

# One thread for each chapter: chapters run side by side, and sums do not depend on the machine.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class NoClaims(Exception):
    """A chapter ran to its end without reporting a claim."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of chapters."""
    group = parser.getgroup("chapters", "the book's chapters")
    group.addoption("--rerun-chapters", action="store_true", help="run fresh chapters again")
    group.addoption(
        "--chapter-lines", action="store_true", help="print one line for each chapter that ends"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Pair the notebooks before they are collected (in the main process only)."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    if not config.getoption("nbmake", False) or hasattr(config, "workerinput"):
        return
    project = Project(config.rootpath)
    if not (project.root / "book").is_dir() or not _wants_chapters(config, project):
        return
    for chapter in project.chapters:
        with contextlib.suppress(BookError):  # the chapter's own test says what is wrong
            pairing.pair(chapter)


def _wants_chapters(config: pytest.Config, project: Project) -> bool:
    book = (project.root / "book").resolve()
    paths = [
        Path(config.invocation_params.dir, arg.split("::")[0]).resolve() for arg in config.args
    ]
    return any(path.is_relative_to(book) or book.is_relative_to(path) for path in paths)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the freshness check before nbmake's execution."""
    if getattr(item, "nbmake", False):
        item.runtest = functools.partial(_run, item, item.runtest)


def _run(item: pytest.Item, execute: Callable[[], None]) -> None:
    project = Project(item.config.rootpath)
    path = item.path
    chapter = Chapter(part=path.parent.name, slug=path.stem, markdown=path.with_suffix(".md"))
    with locked(project.build / "locks" / chapter.slug):
        pairing.pair(chapter)
        notebook = pairing.read(chapter.notebook)
        fresh = freshness.is_fresh(notebook, project.root / "lib")
        kept = fresh and not item.config.getoption("rerun_chapters")
        if not kept:
            notebook = _execute(chapter, project, execute)
    bundle = freshness.claims_bundle(notebook)
    seconds = notebook.metadata[pairing.STAMP]["seconds"]
    item.user_properties += [
        ("chapter", chapter.slug),
        ("verdicts", freshness.verdicts(bundle)),
        ("seconds", seconds),
        ("cached", kept),
    ]


def _execute(chapter: Chapter, project: Project, execute: Callable[[], None]):
    """Run a chapter from clean inputs and stamp the notebook that nbmake writes."""
    clean = pairing.read(chapter.notebook)
    for cell in clean.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    clean.metadata[pairing.STAMP] = {"inputs": clean.metadata[pairing.STAMP]["inputs"]}
    pairing.write(chapter.notebook, clean)
    key = freshness.execution_key(clean, project.root / "lib", freshness.setting())
    started = time.perf_counter()
    execute()
    notebook = pairing.read(chapter.notebook)
    if freshness.claims_bundle(notebook) is None:
        raise NoClaims(f"{chapter.slug} reports no claims: end it with claims.report()")
    freshness.stamp(notebook, key, time.perf_counter() - started)
    pairing.write(chapter.notebook, notebook)
    return notebook


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember each chapter's line for the end of the session."""
    if report.when != "call" or not report.nodeid.split("::")[0].endswith(".ipynb"):
        return
    facts = dict(report.user_properties)
    slug = facts.get("chapter", Path(report.nodeid.split("::")[0]).stem)
    if report.passed:
        how = "unchanged" if facts["cached"] else f"{facts['seconds']:.1f} s"
        line = f"{slug}: {facts['verdicts']} ({how})"
    else:
        line = f"{slug}: FAILED after {report.duration:.1f} s"
    _lines.append(line)
    if _live:
        print(f"  {line}", flush=True)


_lines: list[str] = []
_live: list[bool] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start with no lines; print them as they come where that was asked for."""
    _lines.clear()
    _live.clear()
    if session.config.getoption("chapter_lines") and not hasattr(session.config, "workerinput"):
        _live.append(True)


def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config):
    """Leave out pytest's dots where each chapter has its line."""
    if config.getoption("chapter_lines") and report.when == "call":
        return report.outcome, "", ""
    return None


def pytest_terminal_summary(terminalreporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the chapters of the session with verdicts and times."""
    if _lines and not config.getoption("chapter_lines"):
        terminalreporter.section("chapters")
        for line in sorted(_lines):
            terminalreporter.write_line(line)
