"""The press looks at a run itself: what hides an error, a cell or a row is found."""

import dataclasses

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bookbuild import verification
from bookbuild.project import Chapter, cells
from gaussbook.claims import MIME_TYPE, Claim

HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
{more}---

# A chapter
"""
CELL = "```{code-cell} ipython3\nx = 1\n```\n"


@pytest.fixture
def chapter(tmp_path):
    def write(text, more=""):
        path = tmp_path / "one.md"
        path.write_text(HEADER.format(more=more) + "\n" + text)
        return Chapter(part="mixtures", slug="one", markdown=path)

    return write


def test_a_plain_chapter_may_run(chapter):
    text = (
        f"{CELL}\nProse.\n\n```{{code-cell}} ipython3\n:tags: [hide-input]\n\ny = '%d' % 1\n```\n"
    )
    assert verification.refusal(chapter(text)) is None


@pytest.mark.parametrize(
    "tag", ["raises-exception", "skip-execution", "remove-output", "remove_cell"]
)
def test_tags_that_hide_or_skip_are_refused(chapter, tag):
    inline = f"```{{code-cell}} ipython3\n:tags: [hide-input, {tag}]\n\nx = 1\n```\n"
    block = f"```{{code-cell}} ipython3\n---\ntags: [{tag}]\n---\nx = 1\n```\n"
    for text in (inline, block):
        assert tag in verification.refusal(chapter(CELL + "\n" + text))


@pytest.mark.parametrize("option", [":load: other.py", ":mystnb: {remove_code_outputs: true}"])
def test_options_of_cells_are_refused(chapter, option):
    text = f"```{{code-cell}} ipython3\n{option}\n\nx = 1\n```\n"
    assert "option" in verification.refusal(chapter(text))


@pytest.mark.parametrize(
    "more",
    [
        "execution:\n  allow_errors: true\n",
        "mystnb:\n  execution_mode: 'off'\n",
        "mystnb:\n  execution_allow_errors: true\n",
        "file_format: mystnb\n",
        "nbmake: {}\n",
    ],
)
def test_headers_that_steer_the_execution_are_refused(chapter, more):
    assert more.split(":")[0] in verification.refusal(chapter(CELL, more))


@pytest.mark.parametrize(
    "source",
    [
        "%%time\nx = 1",
        "%%capture\nx = 1",
        "\n%%bash --no-raise-error\nfalse",
        "!false",
        "x = !ls",
        "%run other.py",
        "if True:\n    %xmode Minimal",
        "print?",
        "get_ipython().set_custom_exc((Exception,), print)",
    ],
)
def test_commands_of_ipython_are_refused(chapter, source):
    text = f"{CELL}\n```{{code-cell}} ipython3\n{source}\n```\n"
    assert verification.refusal(chapter(text)).startswith("code cell 2")


def test_a_syntax_error_is_named(chapter):
    problem = verification.refusal(chapter("```{code-cell} ipython3\nx = (1\n```\n"))
    assert "code cell 1 (x = (1)" in problem and "SyntaxError" in problem


@pytest.mark.parametrize(
    "fence",
    [
        ":::{code-cell} ipython3\nx = 2\n:::\n",
        "- item\n\n  ```{code-cell} ipython3\n  x = 2\n  ```\n",
        "> ```{code-cell} ipython3\n> x = 2\n> ```\n",
        "````{note}\n```{code-cell} ipython3\nx = 2\n```\n````\n",
        "````{note}\n~~~{code-cell} ipython3\nx = 2\n~~~\n````\n",
    ],
)
def test_cells_that_only_the_page_has_are_refused(chapter, fence):
    assert "the cells of the page" in verification.refusal(chapter(f"{CELL}\n{fence}"))


@pytest.mark.parametrize(
    "fence",
    [
        "````{code-cell} ipython3\nx = 2\n````\n",
        "~~~{code-cell} ipython3\nx = 2\n~~~\n",
        "  ```{code-cell} ipython3\n  x = 2\n  ```\n",
    ],
)
def test_cells_that_page_and_notebook_have_may_run(chapter, fence):
    one = chapter(f"{CELL}\n{fence}")
    assert cells(one.markdown) == 2
    assert verification.refusal(one) is None


def _row(id="C1", verdict="holds", **more):
    facts = dict.fromkeys(field.name for field in dataclasses.fields(Claim))
    facts |= {"id": id, "statement": "a value", "kind": "statement", "measured": 1.0}
    facts |= {"relation": "at_most", "threshold": 2.0, "unit": "mm", "verdict": verdict}
    return {**facts, **more}


def _bundle(*rows, slug="one", scale="default"):
    data = {"slug": slug, "scale": scale, "backend": "numpy", "claims": list(rows)}
    return new_output("display_data", data={MIME_TYPE: data})


def _error(name="ValueError", text="bad \x1b[31mvalue\x1b[0m\nmore"):
    return new_output("error", ename=name, evalue=text, traceback=[])


def _ran(*outputs, prose=None):
    """A notebook with one code cell for each list of outputs; it declares what they report."""
    if prose is None:
        found = [output.get("data", {}) for each in outputs for output in each]
        bundles = [data[MIME_TYPE] for data in found if MIME_TYPE in data]
        ids = dict.fromkeys(row["id"] for bundle in bundles for row in bundle["claims"])
        prose = f"1. A. {{claims}}`{', '.join(ids)}`" if ids else ""
    cells = [
        new_code_cell(f"cell {k}", outputs=list(each), execution_count=k)
        for k, each in enumerate(outputs, 1)
    ]
    return new_notebook(cells=[new_markdown_cell(prose), *cells])


def _failure(notebook):
    failure = verification.failure(notebook, "one", "default")
    return failure.text if failure else None


def test_a_run_with_one_report_at_its_end_is_verified():
    rows = [_row(), _row("C2", "not reproduced"), _row("C3", "reported")]
    assert _failure(_ran([], [_bundle(*rows)])) is None


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([[], []], "reports no claims"),
        ([[_bundle(_row())], []], "in code cell 1 of 2, not last"),
        ([[_bundle(_row())], [_bundle(_row())]], "reports its claims 2 times"),
        ([[], [_bundle(_row()), _bundle(_row())]], "reports its claims 2 times"),
        ([[], [_bundle()]], "checks no claim"),
        ([[], [_bundle(_row(verdict="reported"))]], "checks no claim"),
        ([[], [_bundle(_row(), slug="two")]], "'two'"),
        ([[], [_bundle(_row(), scale="paper")]], "at paper scale"),
        ([[], [_bundle(_row(verdict="fine"))]], "the verdict fine"),
        ([[], [_bundle({"id": "C1"})]], "cannot be read"),
        ([[_error()], [_bundle(_row())]], "code cell 1 of 2 (cell 1): ValueError: bad value"),
        ([[], [_bundle(_row()), _error()]], "stopped in code cell 2 of 2"),
        ([[], [_bundle(_row()), _error("ClaimError", "no failing row")]], "ClaimError: no failing"),
    ],
)  # fmt: skip
def test_every_other_run_fails(outputs, words):
    assert words in _failure(_ran(*outputs))


@pytest.mark.parametrize("errors", [[], [_error("ClaimError", "one: 1 of 2 fail")]])
def test_a_claim_that_fails_is_seen_whether_or_not_an_error_was_raised(errors):
    rows = [_row(), _row("C2", "fails", measured=2.5)]
    failure = verification.failure(_ran([_bundle(*rows), *errors]), "one", "default")
    assert failure.kind == "claims"
    assert failure.text == "1 of 2 rows fail: C2 a value: measured 2.5 mm, threshold at most 2 mm"


def test_a_cell_that_did_not_run_is_seen():
    notebook = _ran([], [_bundle(_row())])
    notebook.cells[1].execution_count = None
    assert "code cell 1 of 2 (cell 1) did not run" in _failure(notebook)


@pytest.mark.parametrize(
    ("prose", "words"),
    [
        ("1. A. {claims}`C1, C2`", "declares C2 and does not report it"),
        ("1. A. {claims}`C2`", "declares C2 and does not report it"),
        ("1. A. {claims}`C1`\n2. B. {claims}`C7 (paper)`", None),
        ("1. A. {claims}`C1, C1`", "declares C1 twice"),
        ("1. A. {claims}`first`", "must list ids"),
    ],
)
def test_what_is_declared_must_come(prose, words):
    found = _failure(_ran([_bundle(_row())], prose=prose))
    assert words in found if words else found is None


def test_what_comes_must_be_declared():
    notebook = _ran([_bundle(_row(), _row("C2"))], prose="1. A. {claims}`C1`")
    assert "reports C2 and does not declare it" in _failure(notebook)
    assert "declares none" in _failure(_ran([_bundle(_row())], prose="1. A."))
