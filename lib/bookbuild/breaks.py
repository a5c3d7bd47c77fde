"""Would the chapter notice?  Each chapter with its method broken on purpose.

``tests/breaks/<slug>.py`` lists at least three ways to break a chapter: a term dropped, labels
shuffled, and at least once the strongest competitor's output given out as the method's own.  Each
names the claims that must then fail.
"""

from __future__ import annotations

import runpy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bookbuild import trial
from bookbuild.project import BookError, Chapter, Project
from bookbuild.trial import Setting, unseen
from gaussbook.tables import text_table

FEWEST = 3


@dataclass(frozen=True)
class Break:
    """One way to break a chapter.

    Attributes
    ----------
    what : str
        What is broken, in words.
    fails : tuple of str
        Ids of the rows that must fail.
    edits : dict
        Pieces of the chapter's script, each of which stands there exactly once, and what replaces
        them.
    competitor : bool
        Whether the output of the strongest competitor is given out as the method's own.
    """

    what: str
    fails: tuple[str, ...]
    edits: dict[str, str]
    competitor: bool = False

    def apply(self, source: str) -> str:
        """Return the script with the edits made.

        Raises
        ------
        BookError
            If a piece does not stand in the script exactly once, or nothing is changed.
        """
        for old, new in self.edits.items():
            if source.count(old) != 1:
                raise BookError(
                    f"{self.what}: {old!r} stands {source.count(old)} times in the script, not once"
                )
            if old == new:
                raise BookError(f"{self.what}: {old!r} is replaced by itself")
            source = source.replace(old, new)
        return source


def listed(project: Project, chapter: Chapter) -> list[Break]:
    """Return what a chapter's file lists, as it stands there; nothing if it has no file."""
    path = file_of(project, chapter)
    return runpy.run_path(str(path)).get("BREAKS", []) if path.exists() else []


def file_of(project: Project, chapter: Chapter) -> Path:
    """Return where the breaks of a chapter are listed."""
    return project.root / "tests" / "breaks" / f"{chapter.slug}.py"


def breaks(project: Project, chapter: Chapter) -> list[Break]:
    """Return the breaks of a chapter, after asking whether they are enough and fit it.

    Raises
    ------
    BookError
        If they are missing or too few, none of them feeds the competitor's output, or one of them
        does not fit the chapter.
    """
    path = file_of(project, chapter)
    if not path.exists():
        raise BookError(f"{path} is missing: list at least {FEWEST} breaks of the chapter there")
    found = listed(project, chapter)
    if len(found) < FEWEST:
        raise BookError(f"{path} lists {len(found)} breaks; at least {FEWEST} are needed")
    if not any(each.competitor for each in found):
        raise BookError(f"{path}: no break feeds the strongest competitor's output as the method's")
    source = trial.script(chapter)
    for each in found:
        if not each.fails or not each.edits:
            raise BookError(f"{path}: {each.what!r} needs edits and the claims that must fail")
        compile(each.apply(source), str(chapter.script), "exec")
    return found


def report(project: Project, slugs: list[str], seeds: int, jobs: int) -> bool:
    """Run the breaks of chapters, print what fails, and return whether all are noticed.

    Parameters
    ----------
    project : Project
        The book.
    slugs : list of str
        The chapters; all of them if empty.
    seeds : int
        Number of unseen seed offsets under which each break runs too.
    jobs : int
        Number of trials that run side by side.
    """
    chapters = [project.chapter(slug) for slug in slugs] or project.chapters
    settings = [Setting("its own seeds"), *unseen(seeds)]
    cases = [
        (chapter, each, setting)
        for chapter in chapters
        for each in breaks(project, chapter)
        for setting in settings
    ]
    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda case: _try(*case), cases))
    print(text_table(("Chapter", "Break", "Setting", "Fails", "Unnoticed"), rows))
    unnoticed = [row for row in rows if row[-1]]
    print(f"{len(rows)} trials, {len(unnoticed)} unnoticed")
    return not unnoticed


def _try(chapter: Chapter, each: Break, setting: Setting) -> tuple[str, ...]:
    source = each.apply(trial.script(chapter))
    result = trial.run(source, setting, name=chapter.script.name, until=each.fails)
    failing = [fact["id"] for fact in result["claims"] if fact["verdict"] == "fails"]
    print(f"  {chapter.slug}, {each.what}: {', '.join(failing) or 'nothing fails'}", flush=True)
    return (
        chapter.slug, each.what, setting.name, ", ".join(failing), _unnoticed(result, each.fails)
    )  # fmt: skip


def _unnoticed(result: dict[str, Any], wanted: tuple[str, ...]) -> str:
    """Return which of the claims that must fail do not, in words."""
    verdicts = {fact["id"]: fact["verdict"] for fact in result["claims"]}
    green = [
        f"{id} {verdicts.get(id, 'was not checked')}"
        for id in wanted
        if verdicts.get(id) != "fails"
    ]
    if green and result["error"]:
        green.append(f"it stopped: {result['error']}")
    return ", ".join(green)
