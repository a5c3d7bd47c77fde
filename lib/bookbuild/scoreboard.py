"""Tables of claims: all of them on the scoreboard, a chapter's own on its card.

The cells are text nodes, never markup: what a chapter writes into a statement or a reason is shown
as it is, escaped once, by Sphinx.
"""

from __future__ import annotations

import html
from collections import Counter
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.directives import BoardDirective, failed_chapters, found_as, plain
from bookbuild.project import PARTS
from gaussbook.claims import KINDS, SIGNS, Claim

_DOWNLOADS = (  # written beside the page when the build ends, so Sphinx cannot link them
    '<p>The same table as <a href="scoreboard.json" download>JSON</a> and as '
    '<a href="scoreboard.csv" download>CSV</a>.</p>'
)
Cell = str | nodes.Node


def claims_table(
    columns: list[str], rows: list[list[Cell]], name: str, caption: str = ""
) -> nodes.table:
    """Return a table; if it has a caption, the first cell of each row is the row's header.

    Parameters
    ----------
    columns : list of str
        The headers.
    rows : list of list
        Texts, or nodes with links.
    name : str
        The table's CSS class.
    caption : str
        The table's caption, if it has one.
    """
    table = nodes.table(classes=[name], support_smartquotes=False)
    if caption:
        table += nodes.title("", caption)
    group = nodes.tgroup(cols=len(columns))
    table += group
    group += [
        nodes.colspec(colwidth=1, stub=int(k == 0 and bool(caption))) for k in range(len(columns))
    ]
    group += nodes.thead("", _row(list(columns)))
    group += nodes.tbody("", *map(_row, rows))
    return table


def _row(cells: list[Cell]) -> nodes.row:
    inline = [nodes.Text(cell) if isinstance(cell, str) else cell for cell in cells]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", each)) for each in inline))


class Glance(BoardDirective):
    """A folded table of a chapter's claims, each with a link to its row in the full verdict."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the dropdown with the table."""
        rows = self.board.bundles[self.arguments[0]]["claims"]
        title = f"What was measured: {len(rows)} row{'s' * (len(rows) > 1)}"
        (dropdown,) = self.markdown([f"````{{dropdown}} {title}", "the table", "````"])
        place = next(each for each in dropdown.findall(nodes.paragraph))
        columns = ["Claim", "What is measured", "Paper", "Measured here", "Verdict"]
        place.replace_self(
            claims_table(
                columns, [_glance(Claim(**row)) for row in rows], "claims", "The claims at a glance"
            )
        )
        return [dropdown]


def _glance(claim: Claim) -> list[Cell]:
    link = nodes.reference("", claim.id, refuri=f"#{claim.id}")
    cells = [claim.statement, claim.paper or "–", claim.measured_text(), claim.verdict]
    return [link, *cells]


class Scoreboard(BoardDirective):
    """Every paper and every claim: one foldable group for each paper, its rows inside."""

    columns = (
        "Verdict", "Claim", "What is measured", "Paper", "Measured here", "Threshold", "What it is",
    )  # fmt: skip

    def run(self) -> list[nodes.Node]:
        """Return totals, downloads and the groups."""
        self.rests_on(list(self.board.chapters.values()))
        box = nodes.container(classes=["scoreboard"])
        box += found_as(("not reproduced", "claims", "verdicts", "thresholds"))
        box += nodes.paragraph("", "", nodes.strong("", self._totals()))
        box += failed_chapters(self.board)
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in self.board.rows():
            groups.setdefault(row["slug"], []).append(row)
        waiting = [slug for slug in groups if slug not in self.board.chapters]
        for slug, rows in groups.items():
            if slug in self.board.chapters:
                box += self._group(slug, rows)
        if waiting:
            box += self._without_chapter(waiting)
        return [nodes.raw("", _DOWNLOADS, format="html"), box]

    def _totals(self) -> str:
        papers, chapters = len(self.board.papers), len(self.board.chapters)
        rows = [row for bundle in self.board.bundles.values() for row in bundle["claims"]]
        kinds = Counter(row["kind"] for row in rows)
        behind = "; ".join(f"{kinds[kind]} {words}" for kind, words in KINDS.items() if kinds[kind])
        return (
            f"{papers} papers, {chapters} of them with a chapter; {self.board.tally()}"
            f"{f' ({behind})' if behind else ''}."
        )

    def _group(self, slug: str, rows: list[dict[str, Any]]) -> list[nodes.Node]:
        paper = self.board.papers[slug]
        marks = html.escape(PARTS[paper.part]), html.escape(self.board.title(slug))
        words = [self.board.verdict(slug)]
        if slug in self.board.bundles:
            day = self.board.runs[slug].stamp["date"]
            words += [f"{self.board.bundles[slug]['scale']} scale", day]
        head = (
            f'<details class="paper-claims" data-part="{marks[0]}"><summary>'
            f'<span class="paper-title">{marks[1]}</span> '
            f'<span class="paper-verdict">{html.escape(" · ".join(words))}</span></summary>'
        )
        return [
            nodes.raw("", head, format="html"),
            nodes.paragraph("", "", *self._facts(slug)),
            *self._table(rows),
            nodes.raw("", "</details>", format="html"),
        ]

    def _facts(self, slug: str) -> list[nodes.Node]:
        """Return a link to the chapter, its part, and what it ran on."""
        link = nodes.reference("", "Read the chapter", refuri="")
        link["chapter"] = self.board.chapters[slug].docname, ""
        words = ["", PARTS[self.board.papers[slug].part]]
        if slug in self.board.bundles:
            words.append(f"run on {self.board.bundles[slug]['device']}")
        return [link, nodes.Text(" · ".join(words))]

    def _table(self, rows: list[dict[str, Any]]) -> list[nodes.Node]:
        if any("id" not in row for row in rows):
            words = rows[0].get("reason") or rows[0]["verdict"]
            return [nodes.paragraph("", words, support_smartquotes=False)]
        cells = [self._cells(row) for row in rows]
        return [claims_table(list(self.columns), cells, "all-claims")]

    def _cells(self, row: dict[str, Any]) -> list[Cell]:
        claim = Claim(**{name: row[name] for name in Claim.__dataclass_fields__})
        link = nodes.reference("", claim.id, refuri="")
        link["chapter"] = self.board.chapters[row["slug"]].docname, claim.id
        verdict = nodes.inline("", f"{SIGNS[claim.verdict]} {claim.verdict}")
        verdict["classes"] = ["verdict", claim.verdict.replace(" ", "-")]
        reason = f" ({claim.reason})" if claim.reason else ""
        numbers = [claim.paper or "–", claim.measured_text(), claim.threshold_text()]
        return [verdict, link, claim.statement + reason, *numbers, KINDS[claim.kind]]

    def _without_chapter(self, slugs: list[str]) -> list[nodes.Node]:
        """Return the papers that nobody has reproduced here yet, by part."""
        count = f"{len(slugs)} paper{'s' * (len(slugs) > 1)} without a chapter yet"
        listed = []
        for slug in slugs:
            title = plain(self.board.papers[slug].title)
            listed.append(f"- {title} {{cite}}`{slug}`, {PARTS[self.board.papers[slug].part]}")
        head = f'<details class="paper-waiting"><summary>{count}</summary>'
        return [
            nodes.raw("", head, format="html"),
            *self.markdown(listed),
            nodes.raw("", "</details>", format="html"),
        ]


def link_rows(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give the links to chapters and their rows their addresses, which depend on the builder."""
    for reference in doctree.findall(nodes.reference):
        if "chapter" in reference:
            target, row = reference["chapter"]
            address = app.builder.get_relative_uri(docname, target)
            anchored = row and app.builder.name == "html"  # on one page, C2 is everywhere
            address += reference.get("query", "") if app.builder.name == "html" else ""
            reference["refuri"] = f"{address}#{row}" if anchored else address
            reference["internal"] = True


ALL = {"claims-at-a-glance": Glance, "scoreboard": Scoreboard}
