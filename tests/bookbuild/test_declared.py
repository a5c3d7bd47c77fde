"""The rows that a chapter declares are read from its Markdown, for the scale that runs."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bookbuild.declared import declared_claims
from bookbuild.project import BookError


def _notebook(*texts):
    return new_notebook(cells=[*map(new_markdown_cell, texts), new_code_cell("x = '{claims}`C9`'")])


def test_the_rows_come_in_the_chapters_order_and_only_from_prose():
    notebook = _notebook("1. One {claims}`C2.b, C1` and", "2. Two {claims}`C10.a`, {claims}`C3`")
    assert declared_claims(notebook, "default") == ["C2.b", "C1", "C10.a", "C3"]
    assert declared_claims(_notebook("nothing"), "default") == []


def test_rows_of_one_scale():
    notebook = _notebook("{claims}`C1, C2 (paper), C3 (default)`")
    assert declared_claims(notebook, "default") == ["C1", "C3"]
    assert declared_claims(notebook, "paper") == ["C1", "C2"]


@pytest.mark.parametrize("text", ["", "C", "C1 C2", "C1,", "c1", "C1 (huge)", "C1.A"])
def test_a_declaration_that_cannot_be_read(text):
    with pytest.raises(BookError, match="must list ids"):
        declared_claims(_notebook(f"{{claims}}`{text}`"), "default")


def test_a_row_is_declared_once():
    with pytest.raises(BookError, match="declares C1 twice"):
        declared_claims(_notebook("{claims}`C1, C2`", "{claims}`C1`"), "default")
