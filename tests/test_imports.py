"""Imports run one way, within the library and within what builds the book."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gaussbook

ROOT = Path(gaussbook.__file__).parents[1]


def imports(path):
    """The modules that a file imports, at its head, within a function or for its types."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                yield node.module, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names)


def graph(package):
    """Map every module of a package to those that it imports."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / package).rglob("*.py")
    }
    return {
        # What is imported from a package is one of its modules, or the package itself.
        module: {name if name in files else source for source, name in imports(path)}
        & set(files) - {module}
        for module, path in files.items()
    }


@pytest.mark.parametrize("package", ["gaussbook", "bookbuild"])
def test_no_two_modules_import_each_other(package):
    modules = graph(package)
    assert sum(map(len, modules.values())) > len(modules) / 2  # imports are seen at all
    TopologicalSorter(modules).prepare()  # raises CycleError, with the circle


def test_operations_know_nothing_of_the_arrays_that_are_traced():
    modules = graph("gaussbook/autodiff")
    above = {"traced", "derivatives", "names"}
    for module, found in modules.items():
        if module.rpartition(".")[2] not in above | {"autodiff"}:
            assert not {m.rpartition(".")[2] for m in found} & above
