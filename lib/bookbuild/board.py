"""What the executed notebooks say, together with what the bibliography says of their papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from sphinx.application import Sphinx

from bookbuild import freshness, pairing
from bookbuild.project import BookError, Chapter, Project


class Board:
    """The facts of every chapter whose present form has run, read once for each build."""

    def __init__(self, project: Project):
        self.project = project
        self.chapters = {chapter.slug: chapter for chapter in project.chapters}
        self.papers = project.papers
        self.notebooks: dict[str, NotebookNode] = {}
        self.bundles: dict[str, dict] = {}
        for slug, chapter in self.chapters.items():
            notebook = self._notebook(chapter)
            bundle = freshness.claims_bundle(notebook) if notebook is not None else None
            if bundle is not None:
                self.notebooks[slug] = notebook
                self.bundles[slug] = bundle

    def _notebook(self, chapter: Chapter) -> NotebookNode | None:
        try:
            notebook = pairing.read(chapter.notebook)
        except BookError:
            return None
        return notebook if freshness.is_current(notebook, self.project.root / "lib") else None

    @property
    def waiting(self) -> list[Chapter]:
        """The chapters whose present form has not run."""
        return [c for slug, c in self.chapters.items() if slug not in self.bundles]

    def run(self, slug: str) -> dict[str, Any]:
        """Return when and how long a chapter ran: its stamp."""
        return self.notebooks[slug].metadata[pairing.STAMP]

    def totals(self) -> dict[str, int]:
        """Count the papers, the chapters and the claims by verdict."""
        verdicts = [c["verdict"] for b in self.bundles.values() for c in b["claims"]]
        return {
            "papers": len(self.papers),
            "chapters": len(self.bundles),
            "claims": len(verdicts),
            "hold": verdicts.count("holds"),
            "not reproduced": verdicts.count("not reproduced"),
        }

    def last_run(self) -> str:
        """Return the day of the latest run and the machines of all runs, in words."""
        if not self.bundles:
            return ""
        day = max(self.run(slug)["date"] for slug in self.bundles)
        devices = sorted({bundle["device"] for bundle in self.bundles.values()})
        return f"last run {day} on {' and '.join(devices)}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each claim, and one for each paper without a chapter."""
        rows = []
        for slug, paper in self.papers.items():
            bundle = self.bundles.get(slug)
            facts = {"slug": slug, "part": paper.part, "title": paper.title, "year": paper.year}
            if bundle is None:
                rows.append({**facts, "verdict": "no chapter yet"})
                continue
            run = {name: bundle[name] for name in ("scale", "backend", "device", "seconds")}
            run["date"] = self.run(slug)["date"]
            rows += [{**facts, **run, **claim} for claim in bundle["claims"]]
        return rows

    def figures(self, slug: str) -> list[tuple[str, str, str]]:
        """Return the figures of a chapter's run: file ending, data and alternative text."""
        found = []
        for cell in self.notebooks[slug].cells:
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
