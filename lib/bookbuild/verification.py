"""What makes a run a verified one: the press looks itself, whatever a chapter says of its success.

Before a run, `refusal` turns away what could hide an error, skip a cell or run code that the
execution key does not know.  After it, `failure` looks at every cell's outputs and at the rows
that were reported.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode

from bookbuild import pairing
from bookbuild.declared import declared_claims
from bookbuild.freshness import as_python, claims_bundle
from bookbuild.project import BookError, Chapter, cells
from gaussbook.claims import FAILS, HOLDS, MIME_TYPE, NOT_REPRODUCED, REPORTED, Claim

HEADER = ("jupytext", "kernelspec")
"""What a chapter's header may hold."""
TAGS = ("hide-input", "full-width", "scroll-output")
"""The tags that a cell may have: none of them hides an output or skips a cell."""


@dataclass(frozen=True)
class Failure:
    """Why a run is no verified one.

    Parameters
    ----------
    text : str
        One sentence.
    kind : str
        ``"claims"`` if the run itself was sound and what fails is a claim, ``"refused"`` if the
        chapter may not run as it is written, else ``"run"``.
    """

    text: str
    kind: str = "run"


def refusal(chapter: Chapter) -> str | None:
    """Return why a chapter may not run as it is written, in one sentence, or None.

    Raises
    ------
    BookError
        If the Markdown cannot be read.
    """
    notebook = pairing.read(chapter.markdown)
    strange = [name for name in notebook.metadata if name not in (*HEADER, pairing.STAMP)]
    if strange:
        return f"its header sets {', '.join(strange)}; it may hold {' and '.join(HEADER)} only"
    for number, cell in enumerate(_code(notebook), 1):
        problem = _cell_problem(cell)
        if problem:
            return f"code cell {number} ({_first_line(cell)}) {problem}"
    text = chapter.markdown.read_text(encoding="utf-8")
    try:
        page = read_myst_markdown_notebook(text)
    except Exception as error:  # the reader has its own exceptions
        return f"the page cannot be read: {error}"
    sources = [cell.source.strip() for cell in _code(notebook)]
    if [cell.source.strip() for cell in _code(page)] != sources or cells(chapter.markdown) != len(
        sources
    ):
        return (
            "the cells of the page are not those of the notebook; begin each cell at the start of "
            "a line with ```{code-cell} and end it with ```"
        )
    return None


def _cell_problem(cell: NotebookNode) -> str | None:
    options = [name for name in cell.metadata if name != "tags"]
    if options:
        return f"has the option {', '.join(options)}; a cell may have tags only"
    tags = [tag for tag in cell.metadata.get("tags", []) if tag not in TAGS]
    if tags:
        return f"has the tag {', '.join(tags)}; the tags are {', '.join(TAGS)}"
    if cell.source.lstrip().startswith("%%"):
        return "begins with a cell magic, which may hide errors and imports"
    try:
        tree = ast.parse(as_python(cell.source))
    except (SyntaxError, ValueError) as error:
        return f"is no Python: {error.__class__.__name__}: {error}"
    if any(isinstance(node, ast.Name) and node.id == "get_ipython" for node in ast.walk(tree)):
        return "uses a command of IPython (%, ! or ?); a chapter is plain Python"
    return None


def failure(notebook: NotebookNode, slug: str, scale: str) -> Failure | None:
    """Return why an executed notebook is no verified run, or None if it is one.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook with its outputs.
    slug : str
        The chapter's file name.
    scale : str
        The scale that was asked for.
    """
    code = _code(notebook)
    bundles = [
        (number, output.data[MIME_TYPE])
        for number, cell in enumerate(code, 1)
        for output in cell.outputs
        if MIME_TYPE in output.get("data", {})
    ]
    sound = len(bundles) == 1 and bundles[0][0] == len(code)
    problem = _bundle_problem(bundles[0][1], notebook, slug, scale) if sound else None
    failing = _failing(bundles[0][1]) if sound and not problem else []
    for number, cell in enumerate(code, 1):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors and not (failing and number == len(code) and errors[-1].ename == "ClaimError"):
            where = f"stopped in code cell {number} of {len(code)} ({_first_line(cell)})"
            return Failure(f"{where}: {_error_text(errors[-1])}")
        if cell.source.strip() and cell.execution_count is None:
            return Failure(f"code cell {number} of {len(code)} ({_first_line(cell)}) did not run")
    if not bundles:
        return Failure("reports no claims: end it with claims.report()")
    if len(bundles) > 1:
        return Failure(f"reports its claims {len(bundles)} times; once is right, in the last cell")
    if not sound:
        return Failure(f"reports its claims in code cell {bundles[0][0]} of {len(code)}, not last")
    if problem:
        return Failure(problem)
    if failing:
        rows = len(bundles[0][1]["claims"])
        details = "; ".join(
            f"{c.id} {c.statement}: measured {c.measured_text()}, threshold {c.threshold_text()}"
            + (f" [{c.reason}]" if c.reason else "")
            for c in failing
        )
        return Failure(f"{len(failing)} of {rows} rows fail: {details}", kind="claims")
    return None


def undeclared(notebook: NotebookNode, slug: str, scale: str) -> Failure | None:
    """Return why a verified run is none any more, as its chapter declares other rows now, or None.

    What a chapter declares is prose, which may change without an execution.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook with the outputs of a verified run.
    slug : str
        The chapter's file name.
    scale : str
        The scale of the run.
    """
    problem = _bundle_problem(claims_bundle(notebook), notebook, slug, scale)
    return Failure(problem) if problem else None


def _bundle_problem(bundle: dict, notebook: NotebookNode, slug: str, scale: str) -> str | None:
    """Return what is wrong with the rows that a run reports, verdicts apart."""
    try:
        rows = [Claim(**row) for row in bundle["claims"]]
        facts = bundle["slug"], bundle["scale"]
    except (KeyError, TypeError) as error:
        return f"reports claims that cannot be read ({error})"
    if facts != (slug, scale):
        return f"reports as {facts[0]!r} at {facts[1]} scale, not as {slug!r} at {scale} scale"
    strange = {row.verdict for row in rows} - {HOLDS, FAILS, NOT_REPRODUCED, REPORTED}
    if strange:
        return f"reports the verdict {', '.join(sorted(strange))}, which does not exist"
    if all(row.verdict == REPORTED for row in rows):
        return "checks no claim"
    try:
        declared = declared_claims(notebook, scale)
    except BookError as error:
        return str(error)
    if not declared:
        return "declares none of its rows"
    reported = [row.id for row in rows]
    missing = [id for id in declared if id not in reported]
    if missing:
        return f"declares {', '.join(missing)} and does not report {_them(missing)}"
    more = [id for id in reported if id not in declared]
    if more:
        return f"reports {', '.join(more)} and does not declare {_them(more)}"
    return None


def _them(items: list[str]) -> str:
    return "it" if len(items) == 1 else "them"


def _failing(bundle: dict) -> list[Claim]:
    return [claim for claim in (Claim(**row) for row in bundle["claims"]) if claim.verdict == FAILS]


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _first_line(cell: NotebookNode) -> str:
    line = cell.source.strip().partition("\n")[0]
    return line if len(line) <= 60 else f"{line[:57]}..."


def _error_text(error: NotebookNode) -> str:
    """Return the last line of a traceback without its colours."""
    words = f"{error.ename}: {error.evalue}".strip().rstrip(":")
    return re.sub(r"\x1b\[[0-9;]*m", "", words).partition("\n")[0]
