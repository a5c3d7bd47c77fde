"""The book's own directives: the card of a paper, the cards of the parts, the lists of facts.

All of them draw on two sources only: the bibliography (what the papers are) and the outputs of the
executed notebooks (what was measured).
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from bookbuild import freshness
from bookbuild.board import Board, board
from bookbuild.project import PARTS, Chapter, Paper
from gaussbook.claims import Claim
from gaussbook.tables import html_table


class BoardDirective(SphinxDirective):
    """A directive that writes Markdown from the board."""

    def markdown(self, lines: list[str]) -> list[nodes.Node]:
        """Parse Markdown lines at this place."""
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.env.docname), 0, holder)
        return holder.children

    @property
    def board(self) -> Board:
        """The facts of this build."""
        return board(self.env.app)

    def rests_on(self, chapters: list[Chapter]) -> None:
        """Have the page drawn again when the papers, the contents or these chapters change."""
        root = self.board.project.root
        for path in (root / "_toc.yml", root / "book" / "references.bib"):
            self.env.note_dependency(str(path))
        for chapter in chapters:
            self.env.note_dependency(str(chapter.notebook))


class PaperCard(BoardDirective):
    """The facts of a chapter's paper and of its last run; its claims; how to cite and download."""

    def run(self) -> list[nodes.Node]:
        """Return the card."""
        slug = Path(self.env.docname).name
        if slug not in self.board.papers or slug not in self.board.chapters:
            raise self.error(f"{slug} is not a chapter with an entry in book/references.bib")
        paper = self.board.papers[slug]
        self.rests_on([self.board.chapters[slug]])
        bundle = self.board.bundles.get(slug)
        lines = [f"{_authors(paper)}. *{paper.title}*. {paper.venue}, {paper.year}.", ""]
        lines += [_links(paper), ""]
        if bundle is None:
            lines.append("This chapter has not been run in its present form.")
        else:
            run = self.board.run(slug)
            lines += [
                f"**[{freshness.verdicts(bundle)}](#verdict)** · {bundle['scale']} scale, "
                f"{run['seconds']:.0f} s with {bundle['backend']} on {bundle['device']}, "
                f"{run['date']}",
                "",
                *_glance(bundle),
            ]
        card = nodes.container(classes=["paper-card"])
        card += self.markdown([*lines, *_citation(paper)])
        card += nodes.raw("", _chapter_downloads(slug, bundle is not None), format="html")
        return [card]


def _authors(paper: Paper) -> str:
    *others, last = paper.authors
    return f"{', '.join(others)} and {last}" if others else last


def _links(paper: Paper) -> str:
    arxiv = f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})"
    code = f"[the authors' code]({paper.code})" if paper.code else "no code by the authors"
    return f"{arxiv} · {code} · {{cite}}`{paper.slug}`"


def _glance(bundle: dict) -> list[str]:
    """Return a folded table of the claims, each with a link to its row in the full verdict."""
    claims = [Claim(**fact) for fact in bundle["claims"]]
    rows = [(c.id, c.statement, c.paper or "–", c.measured_text(), c.verdict) for c in claims]
    columns = ("Claim", "What is measured", "Paper", "Measured here", "Verdict")
    table = html_table(columns, rows, "The claims at a glance", name="claims")
    link = r'<th scope="row"><a href="#\1">\1</a></th>'
    return [
        f"````{{dropdown}} The {len(claims)} claims and what was measured",
        "```{raw} html",
        re.sub(r'<th scope="row">(C[\w.]+)</th>', link, table),
        "```",
        "````",
        "",
    ]


def _citation(paper: Paper) -> list[str]:
    """Return a folded BibTeX entry of the chapter, which names the paper it reproduces."""
    return [
        "````{dropdown} Cite this chapter",
        "```{code-block} bibtex",
        f"@incollection{{gaussbook_{paper.slug},",
        "  author    = {{The Gaussbook contributors}},",
        f"  title     = {{{paper.title}: a reproduction}},",
        "  booktitle = {The {Gaussian} papers, reproduced},",
        f"  note      = {{Reproduces arXiv:{paper.arxiv}, {_bibtex_names(paper)} ({paper.year})}},",
        "}",
        "```",
        "````",
    ]


def _bibtex_names(paper: Paper) -> str:
    first, *others = paper.authors
    return f"{first} and others" if others else first


def _chapter_downloads(slug: str, has_run: bool) -> str:
    notebook = "notebook with its outputs" if has_run else "notebook"
    forms = {"ipynb": notebook, "py": "Python script", "md": "Markdown"}
    links = " · ".join(f'<a href="{slug}.{e}" download>{text}</a>' for e, text in forms.items())
    return f'<p class="chapter-downloads">Download: {links}</p>'


class PartCards(BoardDirective):
    """The cards of the landing page: the parts, each with a figure, and the scoreboard.

    The content is YAML, one line for each part: a text, and ``figure: <slug> <k>`` to show the
    k-th figure of a chapter.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the grid of cards."""
        self.rests_on(list(self.board.chapters.values()))
        entries = yaml.safe_load("\n".join(self.content))
        if list(entries)[:-1] != list(PARTS):
            raise self.error(f"the cards must be those of {', '.join(PARTS)} and the scoreboard")
        lines = ["````{grid} 1 2 2 2", ":gutter: 3", ""]
        for name, entry in entries.items():
            page = f"/book/{name}/index" if name in PARTS else f"/book/{name}"
            lines += [f"```{{grid-item-card}} {PARTS.get(name, name.capitalize())}"]
            lines += [f":link: {page}", ":link-type: doc"]
            lines += self._picture(name, *entry["figure"].split()) if "figure" in entry else []
            lines += [entry["text"], *self._count(name), "```", ""]
        return self.markdown([*lines, "````"])

    def _count(self, part: str) -> list[str]:
        if part not in PARTS:
            return []
        papers = sum(paper.part == part for paper in self.board.papers.values())
        chapters = sum(chapter.part == part for chapter in self.board.chapters.values())
        return ["", f"*{chapters} of {papers} papers have their chapter*"]

    def _picture(self, name: str, slug: str, number: str) -> list[str]:
        """Write the figure where Sphinx finds it, and return the card's options."""
        if slug not in self.board.bundles:
            return []
        figures = self.board.figures(slug)
        if not 1 <= int(number) <= len(figures):
            raise self.error(f"{slug} has {len(figures)} figures, not a figure {number}")
        ending, data, alt = figures[int(number) - 1]
        path = self.board.project.build / "cards" / f"{name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if ending == "svg" else base64.b64decode(data))
        return [f":img-top: /_build/cards/{path.name}", f":img-alt: {alt}"]


class PartPapers(BoardDirective):
    """The papers of one part, with links to the chapters that are written."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"{part!r} is no part; the parts are {', '.join(PARTS)}")
        self.rests_on(list(self.board.chapters.values()))
        lines = ["| Paper | Year | Verdict |", "| --- | --- | --- |"]
        for paper in self.board.papers.values():
            if paper.part == part:
                bundle = self.board.bundles.get(paper.slug)
                verdict = freshness.verdicts(bundle) if bundle else "no chapter yet"
                lines.append(f"| {_title(paper, self.board)} | {paper.year} | {verdict} |")
        return self.markdown(lines)


class MethodIndex(BoardDirective):
    """Every method that the bibliography names, with the chapters that use it."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.rests_on(list(self.board.chapters.values()))
        chapters: dict[str, list[str]] = {}
        for slug in self.board.chapters:
            paper = self.board.papers[slug]
            for method in paper.methods:
                chapters.setdefault(method, []).append(_title(paper, self.board))
        lines = []
        for method in sorted(chapters, key=str.casefold):
            first, *others = chapters[method]
            lines += [method, f": {first}", *(f": {other}" for other in others), ""]
        return self.markdown(lines)


def _title(paper: Paper, facts: Board) -> str:
    title = paper.title.replace("|", "\\|")
    if paper.slug in facts.chapters:
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
        self.rests_on(list(self.board.chapters.values()))
        totals = self.board.totals()
        lines = [
            f"**{totals['papers']} papers, {totals['chapters']} of them with a chapter; "
            f"{totals['claims']} claims checked: {totals['hold']} hold, "
            f"{totals['not reproduced']} not reproduced.**",
            "",
            "| Paper | Part | Claim | What is measured | Paper's number | Measured here "
            "| Threshold | Verdict | Ran on |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(_scoreboard_row(row, self.board) for row in self.board.rows()),
        ]
        box = nodes.container(classes=["scoreboard"])
        box += self.markdown(lines)
        return [nodes.raw("", _DOWNLOADS, format="html"), box]


def _scoreboard_row(row: dict[str, Any], facts: Board) -> str:
    paper = facts.papers[row["slug"]]
    if "id" not in row:
        cells = [_title(paper, facts), PARTS[row["part"]], "", "", "", "", "", row["verdict"], ""]
        return table_row(cells)
    claim = Claim(**{name: row[name] for name in Claim.__dataclass_fields__})
    page = f"/book/{row['part']}/{row['slug']}.md"
    return table_row(
        [
            f"[{paper.title}]({page})",
            PARTS[row["part"]],
            claim.id,
            claim.statement,
            claim.paper or "–",
            claim.measured_text(),
            claim.threshold_text(),
            claim.verdict + (f": {claim.reason}" if claim.reason else ""),
            "GPU" if row["backend"] == "cupy" else "CPU",
        ]
    )


def table_row(cells: list[str]) -> str:
    """Return one row of a Markdown table."""
    escaped = (c if "\\|" in c else c.replace("|", "\\|") for c in cells)
    return f"| {' | '.join(escaped)} |"


class Totals(BoardDirective):
    """One sentence with the live counts of the book, and when and where it ran."""

    def run(self) -> list[nodes.Node]:
        """Return the sentence."""
        self.rests_on(list(self.board.chapters.values()))
        t = self.board.totals()
        counts = (
            f"**{t['papers']}** papers · **{t['chapters']}** chapters · **{t['claims']}** "
            f"claims checked: **{t['hold']}** hold, **{t['not reproduced']}** not reproduced"
        )
        last = self.board.last_run()
        return self.markdown([f"{counts} · {last}" if last else counts])


ALL = {
    "paper-card": PaperCard,
    "part-cards": PartCards,
    "part-papers": PartPapers,
    "method-index": MethodIndex,
    "scoreboard": Scoreboard,
    "totals": Totals,
}
