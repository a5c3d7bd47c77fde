"""Every chapter keeps breaks that fit it; `python -m bookbuild breaks` runs them."""

from pathlib import Path

import pytest

from bookbuild import pairing
from bookbuild.breaks import breaks
from bookbuild.declared import declared_claims
from bookbuild.project import Project

PROJECT = Project.find(Path(__file__).parent)


@pytest.mark.parametrize("chapter", PROJECT.chapters, ids=lambda chapter: chapter.slug)
def test_the_breaks_fit_the_chapter(chapter):
    declared = set(declared_claims(pairing.read(chapter.script), "default"))
    for each in breaks(PROJECT, chapter):
        assert set(each.fails) <= declared, each.what


def test_every_file_of_breaks_has_its_chapter():
    slugs = {chapter.slug for chapter in PROJECT.chapters}
    assert {path.stem for path in (PROJECT.root / "tests" / "breaks").glob("*.py")} <= slugs
