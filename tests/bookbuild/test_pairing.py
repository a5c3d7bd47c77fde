"""An edit in one of the three forms reaches the others; edits in two are never overwritten."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bookbuild import pairing
from bookbuild.__main__ import main
from bookbuild.project import BookError, Chapter, Project

ROOT = Path(__file__).parents[2]
HEADER = """\
---
jupytext:
  formats: ipynb,md:myst,py:percent
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""


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


def test_how_a_script_spaces_its_cells_stays_out_of_the_notebook(chapter):
    """As jupytext leaves it there, when a formatter has put blank lines between cells."""
    notebook = nbformat.read(chapter.notebook, 4)
    notebook.cells[-1].metadata["lines_to_next_cell"] = 2
    nbformat.write(notebook, chapter.notebook)
    pairing.pair(chapter)
    cells = nbformat.read(chapter.notebook, 4).cells
    assert not any("lines_to_next_cell" in cell.metadata for cell in cells)


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
    with pytest.raises(
        BookError, match=r"edited differently.*bookbuild pair --keep .*one\.(md|ipynb)"
    ):
        pairing.pair(chapter)
    assert {path: path.read_bytes() for path in before} == before


def test_forms_that_disagree_without_a_notebook_are_named_with_the_command(chapter):
    chapter.notebook.unlink()
    chapter.script.write_text(chapter.script.read_text().replace("Some prose", "Other prose"))
    message = pairing.disagreement(chapter)
    assert str(chapter.markdown) in message and "bookbuild pair --keep" in message
    with pytest.raises(BookError, match="disagree"):
        pairing.pair(chapter)


def test_a_damaged_notebook_is_made_again(chapter):
    chapter.notebook.write_text('{"cells": [')
    pairing.pair(chapter)
    assert pairing.inputs_digest(pairing.read(chapter.notebook)) == pairing.inputs_digest(
        pairing.read(chapter.markdown)
    )
    assert chapter.notebook.with_name("one.ipynb.damaged").read_text() == '{"cells": ['


def test_a_damaged_markdown_header_is_named(chapter):
    chapter.notebook.unlink()
    chapter.markdown.write_bytes(b"\xff\xfe not text")
    with pytest.raises(BookError, match=r"one\.md cannot be read"):
        pairing.pair(chapter)


@pytest.mark.parametrize("form", ["markdown", "script", "notebook"])
def test_one_of_several_edits_can_be_kept(mini, chapter, form):
    _edit_notebook(chapter, "Some prose", "notebook prose")
    for name in ("markdown", "script"):
        path = getattr(chapter, name)
        path.write_text(path.read_text().replace("Some prose", f"{name} prose"))
    path = getattr(chapter, form)
    assert main(["--root", str(mini.root), "pair", "--keep", str(path)]) == 0
    for other in (chapter.markdown, chapter.script, chapter.notebook):
        assert f"{form} prose" in other.read_text()


# What cannot be carried: refused with cell and line, whichever form it was written in.


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A chapter without cells, in a folder with the book's settings."""
    root = tmp_path_factory.mktemp("pairs")
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    part = root / "book" / "mixtures"
    part.mkdir(parents=True)
    return Chapter("mixtures", "one", part / "one.md")


def _clear(chapter):
    for path in chapter.markdown.parent.iterdir():
        path.unlink()


def _start(chapter, cells, form="notebook"):
    """Pair a chapter of one cell, then write other cells into one of its forms."""
    _clear(chapter)
    chapter.markdown.write_text(f"{HEADER}\n# Title\n")
    pairing.pair(chapter)
    notebook = pairing.read(chapter.notebook)
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }
    notebook.cells = [make[kind](source, metadata=metadata) for kind, source, metadata in cells]
    nbformat.write(notebook, chapter.notebook)


def _all_forms(chapter):
    paths = (chapter.markdown, chapter.script, chapter.notebook)
    return {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    ("kind", "source", "line"),
    [
        ("code", "a = 1\n# %% part two\nc = 3", 2),
        ("code", "a = 1\n# %%", 2),
        ("code", "a = 1\nb = 2\n    # %% [markdown]\n", 3),
        ("markdown", "one\n\n+++\n\ntwo", 3),
        ("markdown", "one\n\n```{code-cell}\nx = 1\n```\n\ntwo", 3),
        ("markdown", "one\n%% two\nthree", 2),
        ("code", "a = 1\nb = '\x1f'", 2),
        ("markdown", "one\u2028two", 1),
        ("code", "a = 'x\ry'", 1),
    ],
)
def test_what_a_form_cannot_hold_is_refused_with_cell_and_line(empty, kind, source, line):
    _start(empty, [("markdown", "# Title", {}), (kind, source, {})])
    before = _all_forms(empty)
    with pytest.raises(BookError, match=rf"cell 2 \({kind}\).*line {line}.*nothing was overwr"):
        pairing.pair(empty)
    assert _all_forms(empty) == before


@pytest.mark.parametrize(
    ("form", "old", "new", "message"),
    [
        ("markdown", "# Title", "# Title\n\n+++\n\n%% x", r"cell 2 \(markdown\), line 1"),
        ("markdown", "# Title", "```{code-cell}\na\n# %% b\n```", r"cell 1 \(code\), line 2"),
        ("markdown", "# Title", "```{code-cell}\n:name: x\na\n```", r"cell 1 \(code\).*'name'"),
        ("markdown", "kernelspec:", "orphan: true\nkernelspec:", "header: orphan"),
        ("script", "# # Title", "# # Title\n#\n# +++\n#\n# x", r"cell 1 \(markdown\), line 3"),
        ("script", "# %% [markdown]", "# %% [markdown] A name", r"cell 1 \(markdown\).*'title'"),
    ],
)
def test_an_edit_of_a_text_form_that_others_cannot_hold(empty, form, old, new, message):
    _start(empty, [("markdown", "# Title", {})])
    pairing.pair(empty)
    path = getattr(empty, form)
    path.write_text(path.read_text().replace(old, new, 1))
    before = _all_forms(empty)
    with pytest.raises(BookError, match=message):
        pairing.pair(empty)
    assert _all_forms(empty) == before


def test_a_picture_pasted_into_a_notebook_is_refused(empty):
    _start(empty, [("markdown", "![](attachment:a.png)", {})])
    notebook = pairing.read(empty.notebook)
    notebook.cells[0].attachments = {"a.png": {"image/png": "AAAA"}}
    nbformat.write(notebook, empty.notebook)
    with pytest.raises(BookError, match=r"cell 1 \(markdown\), line 1: an attached file"):
        pairing.pair(empty)


def test_two_forms_of_which_one_has_lost_something_name_the_loss(empty):
    """JupyterLab without the book's settings writes all forms and reads none of them back."""
    _start(empty, [("markdown", "# Title", {}), ("code", "a = 1\n# %% two\nc = 3", {})])
    notebook = pairing.read(empty.notebook)
    text = "# # Title\n\n# %%\na = 1\n# %% two\nc = 3\n"
    empty.script.write_text(empty.script.read_text().replace("# # Title\n", text))
    header, _, body = empty.markdown.read_text().partition("# Title")
    code = notebook.cells[1].source
    empty.markdown.write_text(f"{header}# Title{body}\n```{{code-cell}} ipython3\n{code}\n```\n")
    before = _all_forms(empty)
    with pytest.raises(BookError, match=r"cell 2 \(code\), line 2"):
        pairing.pair(empty)
    assert _all_forms(empty) == before


@pytest.mark.parametrize("change", ["other", "lost"])
@pytest.mark.parametrize("form", ["markdown", "script", "notebook"])
def test_the_books_kernel_is_restored(empty, form, change):
    _start(empty, [("code", "x = 1", {})])
    pairing.pair(empty)
    path = getattr(empty, form)
    if form == "notebook":
        notebook = pairing.read(path)
        kernel = {"display_name": "My venv", "language": "python", "name": "venv"}
        notebook.metadata.kernelspec = kernel
        if change == "lost":
            del notebook.metadata["kernelspec"]
        nbformat.write(notebook, path)
    else:
        text = path.read_text()
        mark = "# " if form == "script" else ""
        inside = f"{mark}  " if form == "script" else ""
        lines = [f"{inside}kernelspec:\n"]
        lines += [f"{inside}  {key}: {value}\n" for key, value in pairing.KERNEL.items()]
        kernel = "".join(lines)
        assert kernel in text
        new = "" if change == "lost" else kernel.replace("python3", "venv")
        path.write_text(text.replace(kernel, new))
    pairing.pair(empty)
    for each in (empty.markdown, empty.script, empty.notebook):
        assert pairing.read(each).metadata["kernelspec"] == pairing.KERNEL


def test_outputs_stay_with_equal_cells_only(empty):
    _start(empty, [("code", "f(1, 2)", {}), ("code", "g()", {})])
    notebook = pairing.read(empty.notebook)
    for k, cell in enumerate(notebook.cells):
        cell.outputs = [nbformat.v4.new_output("stream", text=str(k))]
    nbformat.write(notebook, empty.notebook)
    pairing.pair(empty)
    empty.markdown.write_text(empty.markdown.read_text().replace("f(1, 2)", "f(12)"))
    pairing.pair(empty)
    first, second = pairing.read(empty.notebook).cells
    assert first.outputs == [] and second.outputs[0].text == "1"


def test_a_notebook_is_no_newer_than_its_sources(empty):
    """Otherwise JupyterLab takes the press's stamp for an edit and refuses to open the chapter."""
    _start(empty, [("code", "x = 1", {})])
    pairing.pair(empty)
    for path, seconds in ((empty.markdown, 2000), (empty.script, 1000)):
        os.utime(path, (seconds, seconds))
    pairing.pair(empty)
    assert empty.notebook.stat().st_mtime == 1000
    pairing.write(empty.notebook, pairing.read(empty.notebook))
    assert empty.notebook.stat().st_mtime == 1000


AWKWARD = [
    "", " ", "\t", "text", "    indented", "\ttab", "trailing  ", "x = 1", "def f():",
    "    return 1",
    "# %%", "# %% title", "# %% [markdown]", "#%%", "# %%%", "%%", "%% [raw]", "# + tags=[]", "# -",
    "+++", '+++ {"tags": ["a"]}', "---", "- - -", "...", "***", ":tags: [a]", ":::{note}", ":::",
    "```", "````", "`````", "~~~", "```{code-cell}", "```{code-cell} ipython3", "````{raw-cell}",
    "```python", "    ```{code-cell}", "- ```{code-cell}", "> ```", "%matplotlib inline", "%%bash",
    "!ls", "?help", "help?", "%time x = 1", "# %time", "# comment", "#", "##", "#!shebang",
    "<!-- x", "-->", '"""', "'''", "x = \"\"\"", "\\", "a\u2028b", "a\u2029b", "a\x85b", "a\x0bb",
    "a\x0cb",
    "a\x1cb", "a\rb", "a\r", "\ufeff", "\xa0", "ünïcode ∑", "{paper-card}", "jupyter:", "# ---",
    "# jupyter:", "[link]: x", "| a | b |", "| - | - |", "$$", "\\begin{align}", "1. item", "",
]  # fmt: skip
SOURCES = st.lists(st.sampled_from(AWKWARD), max_size=6).map("\n".join) | st.text(max_size=20)
SOURCES = SOURCES | SOURCES.map(lambda text: text.replace("\n", "\r\n"))
METADATA = st.sampled_from([{}, {}, {"tags": ["hide-input"]}, {"tags": ["b", "a: c"]}])
CELLS = st.lists(
    st.tuples(st.sampled_from(["code", "markdown", "raw"]), SOURCES, METADATA), max_size=4
)


@given(cells=CELLS)
@example(cells=[("markdown", "", {}), ("markdown", "", {}), ("code", "", {})])
@example(cells=[("markdown", "# jupyter:\n#   x: 1\n# ---", {})])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_notebook_is_carried_whole_or_refused(empty, cells):
    _start(empty, cells)
    wanted = pairing.inputs(pairing.read(empty.notebook))
    before = _all_forms(empty)
    try:
        pairing.pair(empty)
    except BookError as error:
        assert "cell" in str(error) and "line" in str(error)
        assert _all_forms(empty) == before
    else:
        for path in (empty.markdown, empty.script, empty.notebook):
            assert pairing.inputs(pairing.read(path)) == wanted


@given(text=st.lists(st.sampled_from(AWKWARD), max_size=12).map("\n".join), form=st.booleans())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_text_is_carried_whole_or_refused(empty, text, form):
    _start(empty, [("markdown", "# Title", {})])
    pairing.pair(empty)
    path = empty.markdown if form else empty.script
    path.write_text(f"{path.read_text()}\n{text}\n")
    before = _all_forms(empty)
    try:
        pairing.pair(empty)
    except BookError:
        assert _all_forms(empty) == before
    else:
        assert path.read_bytes() == before[path]
        forms = [pairing.read(p) for p in (empty.markdown, empty.script, empty.notebook)]
        assert all(pairing.inputs(form) == pairing.inputs(forms[0]) for form in forms)
