"""What a chapter rests on, and when its outputs are no longer those of its inputs."""

import os
from types import ModuleType

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


@pytest.mark.parametrize(
    "legal",
    [
        'x = ("%d of %d"\n     % (1, 2))',
        "y = 7 \\\n    % 2",
        'text = """\n%matplotlib inline\n!ls\n"""',
        "a = (3\n!= 4)",
        "%time import pkg.alone",
        "!ls\n?print",
        "x = (1",
        "%%bash\nimport [",
        "\N{BYTE ORDER MARK}x = 1",
    ],
)
def test_whatever_stands_in_a_cell_is_scanned(library, legal):
    found = _names(library, legal, "from pkg import alone")
    assert "alone.py" in found


@pytest.mark.parametrize(
    "source",
    ['x = ("%d of %d"\n     % (1, 2))\n', "# coding: latin-1\nx = '\xe9'\n", "x = (\n", "\0"],
)
def test_whatever_stands_in_a_library_file_is_scanned(library, source):
    (library / "pkg" / "b.py").write_bytes(source.encode("latin-1"))
    assert "b.py" in _names(library, "import pkg.a")
    cell = new_code_cell("import pkg.a")
    assert freshness.execution_key(new_notebook(cells=[cell]), library, freshness.setting())


def test_imports_of_a_cell_with_magics_are_followed(library):
    assert "alone.py" in _names(library, "%matplotlib inline\nx = !ls\nfrom pkg import alone")
    assert "alone.py" in _names(library, "%%time\nfrom pkg import alone")


def test_compiled_files_follow_contents(library, monkeypatch):
    """Same size, same time, other contents: Python's own check would run the old code."""
    import subprocess
    import sys

    path = library / "pkg" / "alone.py"
    command = [sys.executable, "-c", "import pkg.alone; print(pkg.alone.NUMBER)"]
    notebook = new_notebook(cells=[new_code_cell("import pkg.alone")])

    def value(number):
        path.write_text(f"NUMBER = {number}\n")
        os.utime(path, (1e9, 1e9))
        freshness.compile_by_content(notebook, library)
        return subprocess.check_output(command, cwd=library, text=True).strip()

    assert value(1) == "1"
    assert value(2) == "2"


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


def test_auto_is_the_backend_that_it_means_here(monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "auto")
    monkeypatch.setattr(freshness.arrays, "backend", lambda: ModuleType("array_api_compat.cupy"))
    assert freshness.setting()["backend"] == "cupy"
    monkeypatch.setattr(freshness.arrays, "backend", lambda: ModuleType("array_api_compat.numpy"))
    assert freshness.setting()["backend"] == "numpy"
