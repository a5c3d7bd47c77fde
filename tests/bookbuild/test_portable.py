"""The downloaded notebook reads as text in programs that know no MyST."""

import re
from types import SimpleNamespace

import nbformat
import pytest

from bookbuild.portable import portable
from bookbuild.project import Paper
from gaussbook.claims import Claims


def _paper(slug, authors, arxiv="2001.00001"):
    return Paper(
        slug=slug, part="mixtures", title=f"On {slug} | more", authors=authors, year="2020",
        venue="Journal *A*", arxiv=arxiv, address="https://doi.org/10.1/x", code=None, methods=(),
    )  # fmt: skip


@pytest.fixture
def facts():
    claims = Claims("one")
    claims.check("C1.a", "error | of *x*", measured=1e-13, at_most=1e-9, paper="less than 1")
    papers = {
        "one": _paper("one", ("Jane Doe",)),
        "two": _paper("two", ("Jane Doe", "Bo Ek")),
        "many": _paper("many", ("A B", "C D", "E F"), arxiv=None),
    }
    return SimpleNamespace(
        papers=papers, bundles={"one": claims.bundle()}, verdict=lambda slug: "1 of 1 claim holds"
    )


def _shown(facts, *texts):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(t) for t in texts])
    before = [cell.source for cell in notebook.cells]
    shown = [cell.source for cell in portable(notebook, "one", facts).cells]
    assert [cell.source for cell in notebook.cells] == before
    return shown


def test_equations_are_numbered_in_the_order_of_the_page(facts):
    first, second, third = _shown(
        facts,
        "See {eq}`late` and {eq}`early`.\n\n$$\na = b\n$$ (early)\n\n$$c$$\n",
        "```{math}\n:label: late\nx\n= y .\n```\n\nthen\n\n```{math}\nz\n```",
        "by {eq}`late`",
    )
    assert first.startswith("See (2) and (1).")
    assert "$$\na = b \\tag{1}$$" in first and "$$c$$" in first and "early" not in first
    assert second == "$$\nx\n= y . \\tag{2}\n$$\n\nthen\n\n$$\nz\n$$"
    assert third == "by (2)"


def test_citations_are_names_with_links(facts):
    one, many, both = _shown(facts, "{cite:t}`one` say", "so {cite}`many`", "{cite}`one, two`")
    assert one == "[Doe, 2020](https://arxiv.org/abs/2001.00001) say"
    assert many == "so ([B et al., 2020](https://doi.org/10.1/x))"
    assert "[Doe, 2020]" in both and "[Doe and Ek, 2020]" in both


def test_the_card_is_a_table_of_the_claims(facts):
    (card,) = _shown(facts, "# Title\n\n```{paper-card}\n```\n\nText")
    assert card.startswith("# Title\n\n> Jane Doe. *On one \\| more*") and card.endswith("\n\nText")
    assert r"| C1\.a | error \| of \*x\* | less than 1 | 10⁻¹³ | holds |" in card


def test_targets_references_and_declared_rows_are_words(facts):
    target, words = _shown(
        facts, "(here)=\n### Here", "{ref}`look <here>`, {claims}`C1.a, C2 (paper)`, `{code}`"
    )
    assert target == "### Here"
    assert words == "look, (tested by C1.a, C2 (paper)), `{code}`"
    assert not re.search(r"\{[a-z:]+\}`[^`]", words.replace("`{code}`", ""))
