"""Every public name of the library has a user: a chapter, another module, or a chapter to come."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "lib" / "gaussbook"
FILES = sorted(LIBRARY.rglob("*.py"))
CHAPTERS = sorted([*(ROOT / "book").rglob("*.py"), *(ROOT / "lib" / "bookbuild").rglob("*.py")])
# The functions of a traced array's namespace are taken from it by their names in the standard.
BY_NAME = "autodiff"

# Names that wait for the chapter whose specification asks for them.
KEPT: dict[str, str] = {}


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
    return name.removesuffix(".__init__") if name != "__init__" else ""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def public_names(path: Path) -> set[str]:
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return {e.value for e in node.value.elts if isinstance(e, ast.Constant)}
    return set()


@cache
def homes() -> dict[tuple[str, str], tuple[str, str]]:
    """Where a name that a package re-exports is defined."""
    found = {}
    for path in FILES:
        if path.name == "__init__.py":
            for module, name, alias in imports_of(path):
                found[module_of(path), alias] = (module, name)
    return found


def imports_of(path: Path) -> list[tuple[str, str, str]]:
    """Return (module, name, alias) of all imports from the library."""
    return [
        (
            node.module.removeprefix("gaussbook").removeprefix("."),
            alias.name,
            alias.asname or alias.name,
        )
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gaussbook"
        for alias in node.names
    ]


def uses_of(path: Path) -> set[tuple[str, str]]:
    """Return (module, name) of what a file takes from the library, by import or as attribute."""
    modules, used = {}, set()
    known = {module_of(p) for p in FILES} | {""}
    for module, name, alias in imports_of(path):
        inner = f"{module}.{name}".lstrip(".")
        if inner in known and (module, name) not in homes():
            modules[alias] = inner
        else:
            used.add((module, name))
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in modules:
                used.add((modules[node.value.id], node.attr))
    return {resolved(use) for use in used}


def resolved(use: tuple[str, str]) -> tuple[str, str]:
    while use in homes():
        use = homes()[use]
    return use


def reached_within(path: Path, names: set[str]) -> set[str]:
    """Return the names of a module that the given ones mention, directly or through others."""
    definitions = {}
    for node in tree_of(path).body:
        targets = [getattr(node, "name", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            targets = [getattr(target, "id", None)]
        words = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        words |= {w for n in ast.walk(node) if isinstance(n, ast.Constant)
                  for w in [n.value] if isinstance(w, str) and w.isidentifier()}  # fmt: skip
        for name in filter(None, targets):
            definitions[name] = words
    reached, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += [w for w in definitions.get(name, ()) if w in definitions]
    return reached


def reached_from_kept() -> set[str]:
    """Return the names that those of the table bring with them."""
    names = set()
    for path in FILES:
        module = module_of(path)
        kept = {k.rpartition(".")[2] for k in KEPT if k.rpartition(".")[0] == module}
        names |= {f"{module}.{name}" for name in reached_within(path, kept)}
    return names


@cache
def without_user() -> set[str]:
    used: dict[str, set[str]] = {}
    for path in [*FILES, *CHAPTERS]:
        if path.name == "__init__.py":
            continue
        for module, name in uses_of(path):
            if path in CHAPTERS or module != module_of(path):
                used.setdefault(module, set()).add(name)
    left = set()
    for path in FILES:
        module = module_of(path)
        if path.name != "__init__.py" and not module.startswith(BY_NAME):
            wanted = used.get(module, set())
            left |= {f"{module}.{name}" for name in public_names(path)}
            left -= {f"{module}.{name}" for name in reached_within(path, wanted)}
    return left


def test_every_public_name_has_a_user_or_waits_for_one():
    assert without_user() - reached_from_kept() == set()


def test_names_that_wait_exist_and_have_no_user_yet():
    assert set(KEPT) - without_user() == set()


@pytest.mark.parametrize("slug", sorted(set(KEPT.values())))
def test_chapters_that_names_wait_for_are_still_to_come(slug):
    assert slug in (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    assert not list((ROOT / "book").rglob(f"{slug}.py"))
