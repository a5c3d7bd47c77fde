"""The book's own directives: the card of a paper, the cards of the parts, the lists of facts.

All of them draw on two sources only: the bibliography (what the papers are) and the outputs of the
executed notebooks (what was measured).
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from bookbuild import runs
from bookbuild.board import Board, board
from bookbuild.project import PARTS, Chapter, Paper


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
            self.env.note_dependency(str(runs.shown_file(chapter, self.board.project)))


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
        lines = [f"{_authors(paper)}. *{plain(paper.title)}*. {plain(paper.venue)}, {paper.year}."]
        lines += ["", _links(paper), ""]
        if slug not in self.board.runs:
            lines.append("This chapter has not been run in its present form.")
        elif bundle is not None:
            run = self.board.runs[slug]
            lines += [
                f"**[{run if not run.failure else self.board.verdict(slug)}](#verdict)** · "
                f"{bundle['scale']} scale, {run.seconds:.0f} s with {bundle['backend']} on "
                f"{plain(bundle['device'])}, {run.stamp['date']}",
                "",
                f"```{{claims-at-a-glance}} {slug}",
                "```",
            ]
        card = nodes.container(classes=["paper-card"])
        if slug in self.board.failures:
            card += _failure(self.board.failures[slug])
        card += self.markdown([*lines, *_citation(paper)])
        card += nodes.raw("", _chapter_downloads(slug, bundle is not None), format="html")
        return [card]


def _failure(text: str) -> nodes.admonition:
    """Return the red box of a chapter that failed."""
    title = nodes.title("", "This chapter fails on this machine")
    words = nodes.paragraph("", text, support_smartquotes=False)
    return nodes.admonition("", title, words, classes=["danger", "failure"])


def plain(text: str) -> str:
    """Return a text so that Markdown takes every character for itself."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def _authors(paper: Paper) -> str:
    *others, last = map(plain, paper.authors)
    return f"{', '.join(others)} and {last}" if others else last


def _links(paper: Paper) -> str:
    links = []
    if paper.arxiv:
        links.append(f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})")
    elif paper.address:
        links.append(f"[the paper](<{paper.address}>)")
    links.append(f"[the authors' code]({paper.code})" if paper.code else "no code by the authors")
    return " · ".join([*links, f"{{cite}}`{paper.slug}`"])


def _citation(paper: Paper) -> list[str]:
    """Return a folded BibTeX entry of the chapter, which names the paper it reproduces."""
    source = f"arXiv:{paper.arxiv}, " if paper.arxiv else ""
    return [
        "````{dropdown} Cite this chapter",
        "```{code-block} bibtex",
        f"@incollection{{gaussbook_{paper.slug},",
        "  author    = {{The Gaussbook contributors}},",
        f"  title     = {{{paper.title}: a reproduction}},",
        "  booktitle = {The {Gaussian} papers, reproduced},",
        f"  note      = {{Reproduces {source}{_bibtex_names(paper)} ({paper.year})}},",
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
        run = self.board.runs.get(slug)
        figures = self.board.figures(slug) if run else []
        if run is None or (run.failure and int(number) > len(figures)):
            return []  # the figure may come with a run that ends well
        if not 1 <= int(number) <= len(figures):
            raise self.error(f"{slug} has {len(figures)} figures, not a figure {number}")
        ending, data, alt = figures[int(number) - 1]
        path = self.board.project.build / "cards" / f"{name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = data.encode() if ending == "svg" else base64.b64decode(data)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
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
                verdict = self.board.verdict(paper.slug)
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


def table_row(cells: list[str]) -> str:
    """Return one row of a Markdown table."""
    escaped = (c if "\\|" in c else c.replace("|", "\\|") for c in cells)
    return f"| {' | '.join(escaped)} |"


def _title(paper: Paper, facts: Board) -> str:
    title = plain(paper.title)
    if paper.slug in facts.chapters:
        return f"[{title}](/book/{paper.part}/{paper.slug}.md)"
    return f"{title} {{cite}}`{paper.slug}`"


class Totals(BoardDirective):
    """One sentence with the live counts of the book, and when and where it ran."""

    def run(self) -> list[nodes.Node]:
        """Return the sentence."""
        self.rests_on(list(self.board.chapters.values()))
        counts = (
            f"**{len(self.board.papers)}** papers · **{len(self.board.chapters)}** chapters · "
            f"**{self.board.tally()}**"
        )
        parts = [counts, self.board.last_run()]
        return [*self.markdown([" · ".join(filter(None, parts))]), *failed_chapters(self.board)]


def failed_chapters(facts: Board) -> list[nodes.Node]:
    """Return a red sentence that counts and names what failed, if anything did."""
    if not facts.failures:
        return []
    count = len(facts.failures)
    names = ", ".join(facts.papers[slug].title for slug in facts.failures if slug in facts.papers)
    text = f"{count} chapter{'s fail' if count > 1 else ' fails'} on this machine: {names}."
    return [nodes.paragraph("", "", nodes.strong("", text), classes=["failure"])]


ALL = {
    "paper-card": PaperCard,
    "part-cards": PartCards,
    "part-papers": PartPapers,
    "method-index": MethodIndex,
    "totals": Totals,
}
