"""The book's own directives: the card of a paper, the cards of the parts, the lists of facts.

All of them draw on two sources only: the bibliography (what the papers are) and the outputs of the
executed notebooks (what was measured).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from bookbuild import breaks, runs
from bookbuild.board import Board, board
from bookbuild.project import PARTS, Chapter, Paper

_WORDS_A_MINUTE = 200  # of a text with equations


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


def found_as(names: Iterable[str], *, main: bool = True) -> addnodes.index:
    """Return index entries: a search for one of the names leads to the page they stand on."""
    mark = "main" if main else ""
    return addnodes.index(entries=[("single", name, "", mark, None) for name in names])


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
        lines = self._picture(slug)
        lines += [f"{_authors(paper)}. *{plain(paper.title)}*. {plain(paper.venue)}, {paper.year}."]
        lines += ["", _links(paper), ""]
        if slug not in self.board.runs:
            lines.append("This chapter has not been run in its present form.")
        elif bundle is not None:
            run = self.board.runs[slug]
            lines += [
                f"**[{run if not run.failure else self.board.verdict(slug)}](#verdict)** · "
                f"{_minutes_to_read(self.board.chapters[slug])} to read · "
                f"{run.seconds:.0f} s to run at {bundle['scale']} scale with {bundle['backend']} "
                f"on {plain(bundle['device'])}, {run.stamp['date']}",
                "",
                f"```{{claims-at-a-glance}} {slug}",
                "```",
            ]
        card = nodes.container(classes=["paper-card"])
        card += found_as([paper.title, *paper.methods])
        if slug in self.board.failures:
            card += _failure(self.board.failures[slug])
        card += self.markdown([*lines, *_citation(paper)])
        card += nodes.raw("", _chapter_downloads(slug, bundle is not None), format="html")
        return [card]

    def _picture(self, slug: str) -> list[str]:
        """Return the chapter's first figure, small: what it is about before anything is read."""
        picture = self.board.picture(slug)
        if picture is None:
            return []
        address, alt = picture
        return [f"```{{image}} {address}", f":alt: {alt}", ":class: card-figure", "```", ""]


def _minutes_to_read(chapter: Chapter) -> str:
    words = sum(len(block.split()) for block in chapter.paragraphs if not block.startswith("```"))
    minutes = max(1, round(words / _WORDS_A_MINUTE))
    return f"{minutes} minute{'s' * (minutes > 1)}"


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
            lines += self._picture(*entry["figure"].split()) if "figure" in entry else []
            lines += [entry["text"], *self._count(name), "```", ""]
        return self.markdown([*lines, "````"])

    def _count(self, part: str) -> list[str]:
        if part not in PARTS:
            return []
        papers = sum(paper.part == part for paper in self.board.papers.values())
        chapters = sum(chapter.part == part for chapter in self.board.chapters.values())
        return ["", f"*{chapters} of {papers} papers have their chapter*"]

    def _picture(self, slug: str, number: str) -> list[str]:
        """Return a card's options that show a figure."""
        run = self.board.runs.get(slug)
        if run is None:
            return []
        picture = self.board.picture(slug, int(number))
        if picture is None:
            if run.failure:
                return []  # the figure may come with a run that ends well
            count = len(self.board.figures(slug))
            raise self.error(f"{slug} has {count} figures, not a figure {number}")
        return [f":img-top: {picture[0]}", f":img-alt: {picture[1]}"]


class PartPapers(BoardDirective):
    """The gallery of one part: its chapters with a figure, what they say, and their verdicts."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the cards, and a list of the papers that have no chapter."""
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"{part!r} is no part; the parts are {', '.join(PARTS)}")
        self.rests_on(list(self.board.chapters.values()))
        papers = [paper for paper in self.board.papers.values() if paper.part == part]
        waiting = [paper for paper in papers if paper.slug not in self.board.chapters]
        cards = [line for paper in papers if paper not in waiting for line in self._card(paper)]
        lines = ["````{grid} 1 2 2 2", ":gutter: 3", "", *cards, "````", ""] if cards else []
        if waiting:
            lines += ["Without a chapter yet:", ""]
            lines += [f"- {_title(paper, self.board)}, {paper.year}" for paper in waiting]
        return self.markdown(lines)

    def _card(self, paper: Paper) -> list[str]:
        chapter = self.board.chapters[paper.slug]
        picture = self.board.picture(paper.slug)
        shown = [f":img-top: {picture[0]}", f":img-alt: {picture[1]}"] if picture else []
        return [
            f"```{{grid-item-card}} {chapter.title}",
            f":link: /{chapter.docname}",
            ":link-type: doc",
            *shown,
            chapter.opening,
            "",
            f"*{plain(paper.title)}*, {paper.year}" if paper.title != chapter.title else paper.year,
            "",
            f"**{self.board.verdict(paper.slug)}**",
            "```",
            "",
        ]


class MethodIndex(BoardDirective):
    """Every method that the bibliography names, with the chapters that use it.

    The content is YAML, one line for each method that has other names: ``Method: name, name``.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.rests_on(list(self.board.chapters.values()))
        others: dict[str, str] = yaml.safe_load("\n".join(self.content)) or {}
        chapters: dict[str, list[str]] = {}
        for slug in self.board.chapters:
            paper = self.board.papers[slug]
            for method in paper.methods:
                chapters.setdefault(method, []).append(_title(paper, self.board))
        unknown = sorted(set(others) - {m for p in self.board.papers.values() for m in p.methods})
        if unknown:
            raise self.error(f"no paper has the method {unknown[0]!r}")
        lines = []
        for method in sorted(chapters, key=str.casefold):
            also = f" ({others[method]})" if method in others else ""
            lines += [f"{method}{also}", *(f": {title}" for title in chapters[method]), ""]
        names = [name.strip() for also in others.values() for name in also.split(",")]
        return [found_as(names), found_as(chapters, main=False), *self.markdown(lines)]


def table_row(cells: list[str]) -> str:
    """Return one row of a Markdown table."""
    escaped = (c if "\\|" in c else c.replace("|", "\\|") for c in cells)
    return f"| {' | '.join(escaped)} |"


def _title(paper: Paper, facts: Board) -> str:
    title = plain(facts.title(paper.slug))
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


class Trust(BoardDirective):
    """Why a reader may believe the verdicts, with the counts of this build."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.rests_on(list(self.board.chapters.values()))
        kept, project = [], self.board.project
        for chapter in self.board.chapters.values():
            self.env.note_dependency(str(breaks.file_of(project, chapter)))
            kept += breaks.listed(project, chapter)
        competitors = sum(each.competitor for each in kept)
        count = self.board.tally()
        items = [
            "**Measured, not typed.** Every number of a verdict was printed by the run that made "
            f"this page: {count.rows} rows in {len(self.board.bundles)} chapters.",
            "**Thresholds are not fitted to pass.** Most are the paper's, or come from random "
            "numbers other than those that judge. A few were set after a first look, and all were "
            "asked again at seeds that nobody had seen.",
            "**A broken method is noticed.** Of every chapter we keep versions that are broken on "
            f"purpose, {len(kept)} in all; {competitors} of them hand in a competitor's result as "
            "the method's own. Each must turn a claim red.",
            "**The same on every machine.** Verdicts are asked again with the arithmetic of old "
            "processors and with more threads.",
            f"**What does not hold stays.** {{board-link}}`{count.not_reproduced} claims were not "
            "reproduced <verdict=not reproduced>`, each with its number and the reason.",
        ]
        return self.markdown([f"- {item}" for item in items])


class BoardLink(SphinxRole):
    """A link to the scoreboard that shows some rows only: ``words <verdict=not reproduced>``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link; its address is known when pages are written."""
        words, _, query = self.text.rstrip(">").rpartition(" <")
        link = nodes.reference("", words, refuri="")
        link["chapter"] = "book/scoreboard", ""
        link["query"] = "?" + urlencode(dict([query.split("=", 1)]))
        return [link], []


def failed_chapters(facts: Board) -> list[nodes.Node]:
    """Return a red sentence that counts and names what failed, if anything did."""
    if not facts.failures:
        return []
    count = len(facts.failures)
    names = ", ".join(facts.title(slug) for slug in facts.failures if slug in facts.papers)
    text = f"{count} chapter{'s fail' if count > 1 else ' fails'} on this machine: {names}."
    return [nodes.paragraph("", "", nodes.strong("", text), classes=["failure"])]


ALL = {
    "paper-card": PaperCard,
    "part-cards": PartCards,
    "part-papers": PartPapers,
    "method-index": MethodIndex,
    "totals": Totals,
    "trust": Trust,
}
