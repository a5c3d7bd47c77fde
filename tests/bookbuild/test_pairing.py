"""An edit in one of the three forms reaches the others; edits in two are never overwritten."""

import nbformat
import pytest

from bookbuild import pairing
from bookbuild.project import BookError, Project


@pytest.fixture
def chapter(mini):
    chapter = Project(mini.root).chapter("one")
    pairing.pair(chapter)
    return chapter


def _forms(chapter):
    return {path: path.read_bytes() for path in (chapter.markdown, chapter.script)}


def _edit_notebook(chapter, old, new):
    notebook = nbformat.read(chapter.notebook, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)
    nbformat.write(notebook, chapter.notebook)


def test_all_forms_are_made_and_agree(chapter):
    digests = {
        pairing.inputs_digest(pairing.read(path))
        for path in (chapter.markdown, chapter.script, chapter.notebook)
    }
    assert len(digests) == 1
    assert pairing.disagreement(chapter) is None


def test_pairing_twice_changes_nothing(chapter):
    before = {**_forms(chapter), chapter.notebook: chapter.notebook.read_bytes()}
    pairing.pair(chapter)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("form", ["markdown", "script"])
def test_an_edit_of_a_text_form_reaches_the_others(chapter, form):
    path = getattr(chapter, form)
    path.write_text(path.read_text().replace("Some prose", "Fine prose"))
    pairing.pair(chapter)
    for other in (chapter.markdown, chapter.script, chapter.notebook):
        assert "Fine prose" in other.read_text()


def test_a_readers_edit_of_the_notebook_reaches_the_text_forms(chapter):
    _edit_notebook(chapter, "Some prose", "A reader's prose")
    pairing.pair(chapter)
    for path in (chapter.markdown, chapter.script, chapter.notebook):
        assert "A reader's prose" in path.read_text()


def test_edits_in_two_forms_are_an_error_and_nothing_is_overwritten(chapter):
    _edit_notebook(chapter, "Some prose", "A reader's prose")
    chapter.markdown.write_text(chapter.markdown.read_text().replace("Some prose", "Other prose"))
    before = {**_forms(chapter), chapter.notebook: chapter.notebook.read_bytes()}
    with pytest.raises(BookError, match=r"edited differently.*jupytext --sync .*one\.md"):
        pairing.pair(chapter)
    assert {path: path.read_bytes() for path in before} == before


def test_forms_that_disagree_without_a_notebook_are_named_with_the_command(chapter):
    chapter.notebook.unlink()
    chapter.script.write_text(chapter.script.read_text().replace("Some prose", "Other prose"))
    message = pairing.disagreement(chapter)
    assert str(chapter.markdown) in message and "jupytext --sync" in message
    with pytest.raises(BookError, match="disagree"):
        pairing.pair(chapter)


def test_a_damaged_notebook_is_made_again(chapter):
    chapter.notebook.write_text('{"cells": [')
    pairing.pair(chapter)
    assert pairing.inputs_digest(pairing.read(chapter.notebook)) == pairing.inputs_digest(
        pairing.read(chapter.markdown)
    )


def test_a_damaged_markdown_header_is_named(chapter):
    chapter.notebook.unlink()
    chapter.markdown.write_bytes(b"\xff\xfe not text")
    with pytest.raises(BookError, match=r"one\.md cannot be read"):
        pairing.pair(chapter)
