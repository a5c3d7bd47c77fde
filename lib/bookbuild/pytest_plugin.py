"""Chapters as tests: nbmake collects them, the press runs each once for a change.

A chapter whose verified run is there passes without running again, and one whose last run failed
fails again as it did (``--rerun-chapters`` runs both all the same).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bookbuild import runs, settings, site
from bookbuild.execution import THREADS
from bookbuild.project import BookError, Chapter, Project

_FACT = "chapter line"


class ChapterFailed(Exception):
    """A chapter's run is no verified one; the message says why."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of chapters."""
    group = parser.getgroup("chapters", "the book's chapters")
    group.addoption("--rerun-chapters", action="store_true", help="run fresh chapters again")


def pytest_configure(config: pytest.Config) -> None:
    """Pair the notebooks before they are collected (in the main process only)."""
    for name in THREADS:  # tests run side by side, as chapters do
        os.environ.setdefault(name, "1")
    if not config.getoption("nbmake", False) or hasattr(config, "workerinput"):
        return
    project = Project(config.rootpath)
    if not (project.root / "book").is_dir() or not _wants_chapters(config, project):
        return
    try:
        settings.check()
        for chapter in project.chapters:
            runs.prepare(chapter, project)  # the chapter's own test says what is wrong
    except BookError as error:
        raise pytest.UsageError(str(error)) from error


def _wants_chapters(config: pytest.Config, project: Project) -> bool:
    book = (project.root / "book").resolve()
    paths = [
        Path(config.invocation_params.dir, arg.split("::")[0]).resolve() for arg in config.args
    ]
    return any(path.is_relative_to(book) or book.is_relative_to(path) for path in paths)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the press in the place of nbmake's execution."""
    if getattr(item, "nbmake", False):
        item.runtest = lambda: _run(item)
        item.repr_failure = lambda info, style=None: (
            str(info.value)
            if info.errisinstance(ChapterFailed)
            else pytest.Item.repr_failure(item, info, style)
        )


def _run(item: pytest.Item) -> None:
    project = Project(item.config.rootpath)
    path = item.path
    chapter = Chapter(part=path.parent.name, slug=path.stem, markdown=path.with_suffix(".md"))
    run = runs.run_chapter(chapter, project, again=item.config.getoption("rerun_chapters"))
    item.user_properties.append((_FACT, site.line(chapter, run)))
    if run.failure is not None:
        raise ChapterFailed(f"{chapter.slug}: {run}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember each chapter's line for the end of the session."""
    if report.when == "call":
        _lines.extend(text for name, text in report.user_properties if name == _FACT)


_lines: list[str] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start with no lines."""
    _lines.clear()


def pytest_terminal_summary(terminalreporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the chapters of the session with verdicts and times."""
    if _lines:
        terminalreporter.section("chapters")
        for text in sorted(_lines):
            terminalreporter.write_line(text)
