"""Tables of claims: all of them on the scoreboard, a chapter's own on its card.

The cells are text nodes, never markup: what a chapter writes into a statement or a reason is shown
as it is, escaped once, by Sphinx.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes

from bookbuild.board import Board
from bookbuild.directives import BoardDirective, failed_chapters
from bookbuild.project import PARTS
from gaussbook.claims import Claim

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
    """Every paper and every claim, with the paper's number and ours."""

    columns = (
        "Paper", "Part", "Claim", "What is measured", "Paper's number", "Measured here",
        "Threshold", "Verdict", "Ran on",
    )  # fmt: skip

    def run(self) -> list[nodes.Node]:
        """Return totals, downloads and the table."""
        self.rests_on(list(self.board.chapters.values()))
        papers, chapters = len(self.board.papers), len(self.board.chapters)
        counts = f"{papers} papers, {chapters} of them with a chapter; {self.board.tally()}."
        box = nodes.container(classes=["scoreboard"])
        box += nodes.paragraph("", "", nodes.strong("", counts))
        box += failed_chapters(self.board)
        box += claims_table(
            list(self.columns), [self._cells(row) for row in self.board.rows()], "all-claims"
        )
        return [nodes.raw("", _DOWNLOADS, format="html"), box]

    def _cells(self, row: dict[str, Any]) -> list[Cell]:
        paper = _paper(self, self.board, row["slug"])
        reason = f": {row['reason']}" if row.get("reason") else ""
        verdict, part = row["verdict"] + reason, PARTS[row["part"]]
        if "id" not in row:
            return [paper, part, "", "", "", "", "", verdict, ""]
        claim = Claim(**{name: row[name] for name in Claim.__dataclass_fields__})
        numbers = [claim.paper or "–", claim.measured_text(), claim.threshold_text()]
        device = "GPU" if row["backend"] == "cupy" else "CPU"
        return [paper, part, claim.id, claim.statement, *numbers, verdict, device]


def _paper(directive: BoardDirective, facts: Board, slug: str) -> nodes.Node:
    """Return a paper's title with a link to its chapter, or to its entry in the bibliography."""
    title = facts.papers[slug].title
    if slug not in facts.chapters:
        (citation,) = directive.markdown([f"{{cite}}`{slug}`"])
        return nodes.inline("", f"{title} ", *citation.children)
    return addnodes.pending_xref(
        "",
        nodes.inline("", title),
        refdomain="std",
        reftype="doc",
        reftarget=f"/{facts.chapters[slug].docname}",
        refdoc=directive.env.docname,
        refexplicit=True,
        refwarn=True,
    )


ALL = {"claims-at-a-glance": Glance, "scoreboard": Scoreboard}
