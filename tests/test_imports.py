"""Imports within a package run one way."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gaussbook

ROOT = Path(gaussbook.__file__).parent


def imports(path):
    """The modules that a file imports, at its head or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def graph(package):
    name = f"gaussbook.{package}"
    files = {f"{name}.{p.stem}": p for p in (ROOT / package).glob("*.py") if p.stem != "__init__"}
    return {module: set(imports(path)) & set(files) - {module} for module, path in files.items()}


@pytest.mark.parametrize(
    "package", ["autodiff", "experts", "gp", "kernels", "nn", "splatting", "transport"]
)
def test_no_two_modules_import_each_other(package):
    TopologicalSorter(graph(package)).prepare()  # raises CycleError, with the circle


def test_operations_know_nothing_of_the_arrays_that_are_traced():
    modules = graph("autodiff")
    above = {"traced", "derivatives", "names"}
    for module, found in modules.items():
        if module.rpartition(".")[2] not in above:
            assert not {m.rpartition(".")[2] for m in found} & above
