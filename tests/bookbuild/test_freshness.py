"""What a chapter rests on, and when its outputs are no longer those of its inputs."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from bookbuild import freshness


@pytest.fixture
def library(tmp_path):
    package = tmp_path / "pkg"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "style.txt").write_text("data")
    (package / "a.py").write_text("from pkg import b\n")
    (package / "b.py").write_text("def f():\n    from .sub import c\n")
    (package / "alone.py").write_text("")
    (package / "sub" / "__init__.py").write_text("")
    (package / "sub" / "kernel.cu").write_text("")
    (package / "sub" / "c.py").write_text("from ..sub import d\n")
    (package / "sub" / "d.py").write_text("")
    return tmp_path


def _names(library, *sources):
    found = freshness.dependencies(list(sources), library)
    return {str(path.relative_to(library / "pkg")) for path in found}


def test_imports_are_followed_through_modules_functions_and_relative_names(library):
    assert _names(library, "import pkg.a as x") == {
        "__init__.py", "style.txt", "a.py", "b.py",
        "sub/__init__.py", "sub/kernel.cu", "sub/c.py", "sub/d.py",
    }  # fmt: skip


def test_only_what_is_imported_counts(library):
    assert _names(library, "from pkg import alone", "%matplotlib inline\nimport numpy") == {
        "__init__.py", "style.txt", "alone.py",
    }  # fmt: skip


def test_dynamic_imports_count_as_everything(library):
    (library / "pkg" / "alone.py").write_text("import importlib\nimportlib.import_module('x')\n")
    assert "sub/d.py" in _names(library, "from pkg import alone")


@pytest.fixture
def notebook(library):
    cell = new_code_cell("import pkg.a", outputs=[new_output("stream", text="1")])
    notebook = new_notebook(cells=[cell])
    key = freshness.execution_key(notebook, library, freshness.setting())
    freshness.stamp(notebook, key, 1.0)
    return notebook


def test_a_stamped_notebook_is_fresh(notebook, library):
    assert freshness.is_fresh(notebook, library)


@pytest.mark.parametrize("file", ["a.py", "sub/d.py", "sub/kernel.cu", "style.txt"])
def test_a_change_of_the_library_is_seen(notebook, library, file):
    (library / "pkg" / file).write_text("changed = True")
    assert not freshness.is_current(notebook, library)


def test_comments_and_docstrings_of_the_library_may_change(notebook, library):
    code = "def f():\n    from .sub import c\n"
    for text in (f"# a comment\n{code}", code.replace(":\n", ':\n    """Documented."""\n')):
        (library / "pkg" / "b.py").write_text(text)
        assert freshness.is_fresh(notebook, library)
    (library / "pkg" / "b.py").write_text(f"{code}    return c\n")
    assert not freshness.is_current(notebook, library)


def test_a_module_that_nothing_imports_may_change(notebook, library):
    (library / "pkg" / "alone.py").write_text("# changed")
    assert freshness.is_fresh(notebook, library)


def test_a_change_of_code_or_of_outputs_is_seen(notebook, library):
    notebook.cells[0].outputs[0].text = "2"
    assert not freshness.is_current(notebook, library)
    notebook.cells[0].outputs[0].text = "1"
    assert freshness.is_current(notebook, library)
    notebook.cells[0].source += "  # more"
    assert not freshness.is_current(notebook, library)


def test_another_scale_is_current_but_not_fresh(notebook, library, monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_SCALE", "paper")
    assert freshness.is_current(notebook, library)
    assert not freshness.is_fresh(notebook, library)


def test_a_notebook_without_a_stamp_is_not_current(library):
    assert not freshness.is_current(new_notebook(cells=[]), library)
