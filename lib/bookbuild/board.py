"""What the shown runs say, together with what the bibliography says of their papers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from bookbuild import runs
from bookbuild.project import Chapter, Project
from bookbuild.runs import Run
from bookbuild.tally import Tally, tally

FAILED = "failed"  # the verdict of a chapter that did not come to report its claims


class Board:
    """The facts of every chapter as its page shows it, read once for each build."""

    def __init__(self, project: Project):
        self.project = project
        self.chapters = {chapter.slug: chapter for chapter in project.chapters}
        self.papers = project.papers
        shown = {slug: runs.read_shown(c, project) for slug, c in self.chapters.items()}
        self.runs: dict[str, Run] = {slug: run for slug, run in shown.items() if run is not None}
        bundles = {slug: run.bundle for slug, run in self.runs.items()}
        self.bundles: dict[str, dict] = {s: b for s, b in bundles.items() if b is not None}

    @property
    def without_outputs(self) -> list[Chapter]:
        """The chapters that did not run in their present form."""
        ran = {slug for slug, run in self.runs.items() if not run.is_refused}
        return [chapter for slug, chapter in self.chapters.items() if slug not in ran]

    @property
    def failures(self) -> dict[str, str]:
        """What failed on this machine, by chapter."""
        return {slug: run.failure.text for slug, run in self.runs.items() if run.failure}

    def tally(self) -> Tally:
        """Count the claims of all chapters."""
        return sum((tally(b["claims"]) for b in self.bundles.values()), Tally())

    def title(self, slug: str) -> str:
        """Return a chapter's own title, or that of a paper without a chapter."""
        chapter = self.chapters.get(slug)
        return chapter.title if chapter is not None else self.papers[slug].title

    def picture(self, slug: str, number: int = 1) -> tuple[str, str] | None:
        """Write a figure of a chapter's run where Sphinx finds it; return its address and text.

        None if the run has no such figure.
        """
        figures = self.figures(slug) if slug in self.runs else []
        if not 1 <= number <= len(figures):
            return None
        ending, data, alt = figures[number - 1]
        path = self.project.build / "cards" / f"{slug}-{number}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = data.encode() if ending == "svg" else base64.b64decode(data)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
        return f"/_build/cards/{path.name}", alt

    def verdict(self, slug: str) -> str:
        """Return a chapter's verdict in words."""
        if slug not in self.chapters:
            return "no chapter yet"
        if slug not in self.runs:
            return "not run in its present form"
        if slug not in self.bundles:
            return "failed on this machine"
        return str(tally(self.bundles[slug]["claims"]))

    def last_run(self) -> str:
        """Return the day of the latest run and the machines of all runs, in words."""
        if not self.bundles:
            return ""
        day = max(self.runs[slug].stamp["date"] for slug in self.bundles)
        devices = sorted({bundle["device"] for bundle in self.bundles.values()})
        return f"last run {day} on {' and '.join(devices)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each row of a verdict, and one for each paper without any."""
        rows = []
        for slug, paper in self.papers.items():
            bundle = self.bundles.get(slug)
            facts = {
                "slug": slug,
                "part": paper.part,
                "title": self.title(slug),
                "year": paper.year,
            }
            if bundle is not None:
                ran = {name: bundle[name] for name in ("scale", "backend", "device", "seconds")}
                ran["date"] = self.runs[slug].stamp["date"]
                rows += [{**facts, **ran, **claim} for claim in bundle["claims"]]
            elif slug in self.failures:
                rows.append({**facts, "verdict": FAILED, "reason": self.failures[slug]})
            else:
                rows.append({**facts, "verdict": self.verdict(slug)})
        return rows

    def figures(self, slug: str) -> list[tuple[str, str, str]]:
        """Return the figures of a chapter's run: file ending, data and alternative text."""
        found = []
        for cell in self.runs[slug].notebook.cells:
            for output in cell.get("outputs", []):
                for kind, ending in (("image/svg+xml", "svg"), ("image/png", "png")):
                    texts = output.get("metadata", {}).get(kind, {})
                    if "alt" in texts:
                        found.append((ending, output["data"][kind], texts["alt"]))
        return found


def board(app: Sphinx) -> Board:
    """Return the board of the book that is being built."""
    if not hasattr(app, "gaussbook_board"):
        app.gaussbook_board = Board(Project(Path(app.srcdir)))
    return app.gaussbook_board
