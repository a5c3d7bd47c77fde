"""A chapter's notebook as Jupyter and Colab show it: nothing in it needs this book's press.

The sources use roles and directives of MyST, which those programs print as they stand.  In the
notebook that a reader downloads, equations carry their numbers, citations are names with links, and
the card is a few lines and a table.
"""

from __future__ import annotations

import copy
import re

from nbformat import NotebookNode

from bookbuild.board import Board
from bookbuild.directives import plain, table_row
from bookbuild.project import Paper
from gaussbook.claims import Claim

_EQUATION = re.compile(
    r"^```\{math\}[ ]*\n(?::label:[ ]*(?P<name>\S+)[ ]*\n)?(?P<fenced>.*?)\n```[ ]*$"
    r"|\$\$(?P<dollars>.+?)\$\$(?:[ ]*\((?P<label>[\w:.-]+)\))?",
    re.DOTALL | re.MULTILINE,
)
_CARD = re.compile(r"^(?P<fence>`{3,}|:{3,})\{paper-card\}[ ]*\n(?P=fence)[ ]*$", re.MULTILINE)
_TARGET = re.compile(r"^\([\w:.-]+\)=[ ]*\n", re.MULTILINE)
_ROLE = re.compile(r"\{(?P<role>cite:t|cite|eq|ref|claims)\}`(?P<text>[^`]*)`")
_LABELLED = re.compile(r"(.*?)\s*<[^>]*>", re.DOTALL)


def portable(notebook: NotebookNode, slug: str, facts: Board) -> NotebookNode:
    """Return a copy of a chapter's notebook without roles and directives.

    Parameters
    ----------
    notebook : NotebookNode
        The chapter with its outputs.
    slug : str
        Its name.
    facts : Board
        The papers, and what the runs measured.
    """
    notebook = copy.deepcopy(notebook)
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    numbers: dict[str, int] = {}
    for cell in texts:
        cell.source = _number_equations(_TARGET.sub("", cell.source), numbers)
    for cell in texts:
        cell.source = _CARD.sub(lambda _: _card(slug, facts), cell.source)
        cell.source = _ROLE.sub(lambda role: _plain_role(role, numbers, facts), cell.source)
    return notebook


def _number_equations(text: str, numbers: dict[str, int]) -> str:
    """Give each labelled equation its number, in the page's order, as a tag that MathJax draws."""

    def tagged(found: re.Match[str]) -> str:
        label, body = found["name"] or found["label"], found["fenced"] or found["dollars"]
        if label is not None:
            numbers[label] = len(numbers) + 1
            body = f"{body.rstrip()} \\tag{{{numbers[label]}}}"
        return f"$$\n{body.strip()}\n$$" if found["fenced"] else f"$${body}$$"

    return _EQUATION.sub(tagged, text)


def _plain_role(found: re.Match[str], numbers: dict[str, int], facts: Board) -> str:
    role, text = found["role"], found["text"]
    if role == "eq":
        return f"({numbers.get(text, '?')})"  # Sphinx has said which is missing
    if role == "claims":
        return f"(tested by {text})"
    if role == "ref":
        return _LABELLED.sub(r"\1", text)
    papers = [facts.papers[key.strip()] for key in text.split(",")]
    named = "; ".join(f"[{_short(paper)}]({_address(paper)})" for paper in papers)
    return named if role == "cite:t" else f"({named})"


def _short(paper: Paper) -> str:
    first, *others = (name.split()[-1] for name in paper.authors)
    if len(others) > 1:
        return f"{first} et al., {paper.year}"
    return f"{' and '.join([first, *others])}, {paper.year}"


def _address(paper: Paper) -> str:
    return f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else str(paper.address or "")


def _card(slug: str, facts: Board) -> str:
    """Return the paper, where it is, and what the last run measured."""
    paper = facts.papers[slug]
    lines = [
        f"> {', '.join(map(plain, paper.authors))}. *{plain(paper.title)}*. "
        f"{plain(paper.venue)}, {paper.year}. <{_address(paper)}>"
    ]
    if slug in facts.bundles:
        columns = ["Claim", "What is measured", "Paper", "Measured here", "Verdict"]
        lines += [">", f"> {facts.verdict(slug)}", "", table_row(columns), table_row(["---"] * 5)]
        for claim in (Claim(**row) for row in facts.bundles[slug]["claims"]):
            texts = claim.id, claim.statement, claim.paper or "–", claim.measured_text()
            lines.append(table_row([plain(text) for text in (*texts, claim.verdict)]))
    return "\n".join(lines)
