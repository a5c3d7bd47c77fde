"""The book's own Sphinx directives: the card of a paper, the papers of a part, the scoreboard.

All of them draw on two sources only: the bibliography (what the papers are) and the outputs of the
executed notebooks (what was measured).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from bookbuild import freshness, pairing
from bookbuild.project import PARTS, BookError, Chapter, Paper, Project
from gaussbook.claims import Claim

_STATIC = Path(__file__).parent / "static"


class Board:
    """What the executed notebooks say, read once for each build."""

    def __init__(self, project: Project):
        self.project = project
        self.chapters = {chapter.slug: chapter for chapter in project.chapters}
        self.papers = project.papers
        self.bundles: dict[str, dict] = {}
        self.seconds: dict[str, float] = {}
        for slug, chapter in self.chapters.items():
            notebook = self._notebook(chapter)
            bundle = freshness.claims_bundle(notebook) if notebook is not None else None
            if bundle is not None:
                self.bundles[slug] = bundle
                self.seconds[slug] = notebook.metadata[pairing.STAMP]["seconds"]

    def _notebook(self, chapter: Chapter):
        try:
            notebook = pairing.read(chapter.notebook)
        except BookError:
            return None
        return notebook if freshness.is_current(notebook, self.project.root / "lib") else None

    @property
    def waiting(self) -> list[Chapter]:
        """The chapters whose present form has not run."""
        return [c for slug, c in self.chapters.items() if slug not in self.bundles]

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
            rows += [{**facts, **run, **claim} for claim in bundle["claims"]]
        return rows


def _board(app: Sphinx) -> Board:
    if not hasattr(app, "gaussbook_board"):
        app.gaussbook_board = Board(Project(Path(app.srcdir)))
    return app.gaussbook_board


class BoardDirective(SphinxDirective):
    """A directive that writes Markdown from the board."""

    def markdown(self, lines: list[str]) -> list[nodes.Node]:
        """Parse Markdown lines at this place."""
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.env.docname), 0, holder)
        return holder.children

    def rests_on(self, chapters: list[Chapter]) -> None:
        """Have the page drawn again when the papers, the contents or these chapters change."""
        root = _board(self.env.app).project.root
        for path in (root / "_toc.yml", root / "book" / "references.bib"):
            self.env.note_dependency(str(path))
        for chapter in chapters:
            self.env.note_dependency(str(chapter.notebook))


class PaperCard(BoardDirective):
    """The facts of a chapter's paper and of its last run."""

    def run(self) -> list[nodes.Node]:
        """Return the card."""
        board = _board(self.env.app)
        slug = Path(self.env.docname).name
        if slug not in board.papers or slug not in board.chapters:
            raise self.error(f"{slug} is not a chapter with an entry in book/references.bib")
        paper = board.papers[slug]
        self.rests_on([board.chapters[slug]])
        lines = [
            f"{_authors(paper)}. *{paper.title}*. {paper.venue}, {paper.year}.",
            "",
            f"{_links(paper)}",
            "",
        ]
        bundle = board.bundles.get(slug)
        if bundle is None:
            lines.append("This chapter has not been run in its present form.")
        else:
            lines.append(
                f"**[{freshness.verdicts(bundle)}](#verdict)** · {bundle['scale']} scale, "
                f"{board.seconds[slug]:.0f} s with {bundle['backend']} on {bundle['device']}"
            )
        card = nodes.container(classes=["paper-card"])
        card += self.markdown(lines)
        return [card]


def _authors(paper: Paper) -> str:
    *others, last = paper.authors
    return f"{', '.join(others)} and {last}" if others else last


def _links(paper: Paper) -> str:
    arxiv = f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})"
    code = f"[the authors' code]({paper.code})" if paper.code else "no code by the authors"
    return f"{arxiv} · {code} · {{cite}}`{paper.slug}`"


class PartPapers(BoardDirective):
    """The papers of one part, with links to the chapters that are written."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"{part!r} is no part; the parts are {', '.join(PARTS)}")
        board = _board(self.env.app)
        self.rests_on(list(board.chapters.values()))
        lines = ["| Paper | Year | Verdict |", "| --- | --- | --- |"]
        for paper in board.papers.values():
            if paper.part == part:
                bundle = board.bundles.get(paper.slug)
                verdict = freshness.verdicts(bundle) if bundle else "no chapter yet"
                lines.append(f"| {_title(paper, board)} | {paper.year} | {verdict} |")
        return self.markdown(lines)


def _title(paper: Paper, board: Board) -> str:
    title = paper.title.replace("|", "\\|")
    if paper.slug in board.chapters:
        return f"[{title}](/book/{paper.part}/{paper.slug}.md)"
    return f"{title} {{cite}}`{paper.slug}`"


_DOWNLOADS = (  # written beside the page when the build ends, so Sphinx cannot link them
    '<p>The same table as <a href="scoreboard.json" download>JSON</a> and as '
    '<a href="scoreboard.csv" download>CSV</a>.</p>'
)


class Scoreboard(BoardDirective):
    """Every paper and every claim, with the paper's number and ours."""

    def run(self) -> list[nodes.Node]:
        """Return totals, downloads and the table."""
        board = _board(self.env.app)
        self.rests_on(list(board.chapters.values()))
        totals = board.totals()
        lines = [
            f"**{totals['papers']} papers, {totals['chapters']} of them with a chapter; "
            f"{totals['claims']} claims checked: {totals['hold']} hold, "
            f"{totals['not reproduced']} not reproduced.**",
            "",
            "| Paper | Part | Claim | What is measured | Paper's number | Measured here "
            "| Threshold | Verdict |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *(_row(row, board) for row in board.rows()),
        ]
        box = nodes.container(classes=["scoreboard"])
        box += self.markdown(lines)
        return [nodes.raw("", _DOWNLOADS, format="html"), box]


def _row(row: dict[str, Any], board: Board) -> str:
    title = _title(board.papers[row["slug"]], board)
    if "id" not in row:
        cells = [title, PARTS[row["part"]], "", "", "", "", "", row["verdict"]]
    else:
        claim = Claim(**{name: row[name] for name in Claim.__dataclass_fields__})
        page = f"/book/{row['part']}/{row['slug']}.md"
        cells = [
            f"[{board.papers[row['slug']].title}]({page})",
            PARTS[row["part"]],
            f"{claim.id}",
            claim.statement,
            claim.paper or "–",
            claim.measured_text(),
            claim.threshold_text(),
            claim.verdict + (f": {claim.reason}" if claim.reason else ""),
        ]
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|") if "\\|" not in cell else cell


class Totals(BoardDirective):
    """One sentence with the live counts of the book."""

    def run(self) -> list[nodes.Node]:
        """Return the sentence."""
        board = _board(self.env.app)
        self.rests_on(list(board.chapters.values()))
        t = board.totals()
        return self.markdown(
            [
                f"**{t['papers']}** papers · **{t['chapters']}** chapters · **{t['claims']}** "
                f"claims checked: **{t['hold']}** hold, **{t['not reproduced']}** not reproduced"
            ]
        )


def _without_thebe(app: Sphinx, config: Config) -> None:
    """Silence the live-code extension of Jupyter Book: it names outside hosts on every page."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        listeners = app.events.listeners[event]
        listeners[:] = [each for each in listeners if each.handler.__module__ != "sphinx_thebe"]


def _number_by_page(app: Sphinx, config: Config) -> None:
    """Give equations numbers page by page, and figures none: a new chapter renumbers no other."""
    config.numfig = False  # Jupyter Book's LaTeX extension insists on it, whatever the user says


def _keep_from_running(app: Sphinx, config: Config) -> None:
    """Let Sphinx execute nothing: a chapter that is not current is shown without outputs."""
    board = _board(app)
    waiting = [f"{chapter.docname}.md" for chapter in board.waiting]
    config.nb_execution_excludepatterns = [*config.nb_execution_excludepatterns, *waiting]
    config.nb_execution_cache_path = str(board.project.build / "jupyter-cache")
    config.html_static_path = [*config.html_static_path, str(_STATIC)]
    config.gaussbook_press = _press_digest()


def _press_digest() -> str:
    """Return a digest of this package: pages are drawn anew when the press itself changes."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _write_downloads(app: Sphinx, error: Exception | None) -> None:
    """Put the scoreboard as JSON and CSV beside its page."""
    if error is not None or app.builder.format != "html":
        return
    rows = _board(app).rows()
    folder = Path(app.outdir) / "book"
    folder.mkdir(exist_ok=True)
    text = json.dumps(rows, ensure_ascii=False, indent=1)
    (folder / "scoreboard.json").write_text(text, encoding="utf-8")
    table = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(table, columns)
    writer.writeheader()
    writer.writerows(rows)
    (folder / "scoreboard.csv").write_text(table.getvalue(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the two steps around the build."""
    app.add_directive("paper-card", PaperCard)
    app.add_directive("part-papers", PartPapers)
    app.add_directive("scoreboard", Scoreboard)
    app.add_directive("totals", Totals)
    app.add_config_value("gaussbook_press", "", "env")
    app.add_css_file("book.css")
    app.add_js_file("book.js", loading_method="defer")
    app.connect("config-inited", _without_thebe)
    app.connect("config-inited", _keep_from_running)
    app.connect("config-inited", _number_by_page, priority=900)
    app.connect("build-finished", _write_downloads)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
