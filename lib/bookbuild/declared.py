"""The rows that a chapter declares: the role ``{claims}`` in its list of the paper's claims.

An item of the list names the rows of the verdict that test it, ``{claims}`C2.a, C2.b` ``.  The role
links to them, and the press compares the names with what the run reports: a row that never came is
a failure, and so is one that nobody announced.  ``C7 (paper)`` is a row of one scale only.
"""

from __future__ import annotations

import re

from docutils import nodes
from nbformat import NotebookNode
from sphinx.util.docutils import SphinxRole

from bookbuild.project import BookError

_ROW = re.compile(r"(C\d+(?:\.[a-z0-9]+)?)(?: \((default|paper)\))?")
_ROLE = re.compile(r"\{claims\}`([^`]*)`")


def _rows(text: str) -> list[tuple[str, str | None]]:
    """Return the ids in the text of a role, each with the one scale that it belongs to."""
    found = [_ROW.fullmatch(item.strip()) for item in text.split(",")]
    if not all(found):
        raise BookError(
            f"{{claims}}`{text}` must list ids such as 'C2.a, C2.b' or 'C7 (paper)', with commas"
        )
    return [match.groups() for match in found]


def declared_claims(notebook: NotebookNode, scale: str) -> list[str]:
    """Return the ids of the rows that a chapter declares for a scale, in its order.

    Parameters
    ----------
    notebook : NotebookNode
        The chapter, in any of its three forms.
    scale : str
        ``"default"`` or ``"paper"``.

    Raises
    ------
    BookError
        If a declaration cannot be read, or a row is declared twice.
    """
    ids: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for text in _ROLE.findall(cell.source):
            ids += [id for id, only in _rows(text) if only in (None, scale)]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise BookError(f"the role {{claims}} declares {', '.join(twice)} twice")
    return ids


class ClaimsRole(SphinxRole):
    """Links to the rows of the verdict that test an item."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the links."""
        try:
            rows = _rows(self.text)
        except BookError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        links: list[nodes.Node] = [nodes.Text("(tested by ")]
        for k, (id, only) in enumerate(rows):
            links.append(nodes.Text(", " if k else ""))
            if only == "paper":  # the page shows the rows of the default scale
                links.append(nodes.Text(f"{id} at paper scale"))
                continue
            links.append(nodes.reference("", id, refuri=f"#{id}", classes=["claim-link"]))
            if only:
                links.append(nodes.Text(f" at {only} scale"))
        return [nodes.inline("", "", *links, nodes.Text(")"), classes=["claim-links"])], []
