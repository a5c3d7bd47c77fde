"""What must run: a notebook is fresh while all that its outputs rest on is unchanged.

That is its code, the library modules it imports (directly or through others, with the data files
of their packages), the versions of Python and of the numerical packages, the scale and the
backend.  A fresh notebook carries a stamp with the key of all these and a digest of its outputs,
so outputs that were edited, damaged or made by hand are never taken for a verified run.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from nbformat import NotebookNode

from bookbuild.pairing import STAMP
from gaussbook.claims import MIME_TYPE


def setting() -> dict[str, str]:
    """Return the scale and backend that the environment asks for."""
    return {
        "scale": os.environ.get("GAUSSBOOK_SCALE", "default"),
        "backend": os.environ.get("GAUSSBOOK_BACKEND", "auto"),
    }


def execution_key(notebook: NotebookNode, library: Path, setting: dict[str, str]) -> str:
    """Return the digest of everything that the outputs of a notebook rest on.

    Parameters
    ----------
    notebook : NotebookNode
        The chapter's inputs.
    library : Path
        The folder of the library's packages (``lib``).
    setting : dict
        The scale and backend.
    """
    code = [c for c in notebook.cells if c.cell_type == "code"]
    facts = {
        "code": [[cell.source, sorted(cell.metadata.get("tags", []))] for cell in code],
        "library": {
            str(path.relative_to(library)): _file_digest(path)
            for path in dependencies([cell.source for cell in code], library)
        },
        "versions": _versions(),
        **setting,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    """Return a digest of a file; of Python only what runs counts, not comments or docstrings."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    """Return the versions of Python and of the library's own requirements."""
    versions = {"python": ".".join(map(str, sys.version_info[:2]))}
    for requirement in requires("gaussbook") or []:
        name = re.match(r"[\w.-]+", requirement).group()
        if "extra ==" not in requirement or name.startswith("cupy"):
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = "absent"
    return versions


def dependencies(sources: list[str], library: Path) -> list[Path]:
    """Return the library's files that the given code rests on, directly or through others.

    Parameters
    ----------
    sources : list of str
        Python sources (IPython magics are passed over).
    library : Path
        The folder of the library's packages.

    Returns
    -------
    list of Path
        Python files, and the data files of the packages they belong to, sorted.
    """
    pending = [name for source in sources for name in _imported(source, "")]
    files: set[Path] = set()
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _file_of(name, library)
        if path is None:
            continue
        files.add(path)
        if path.name == "__init__.py":
            files.update(p for p in path.parent.iterdir() if _is_data(p))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        source = path.read_text(encoding="utf-8")
        pending.extend(_imported(source, package))
        pending.extend(_parents(name))
        if "import_module" in source or "__import__" in source:  # anything may be behind it
            pending.extend(_all_modules(library))
    return sorted(files)


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]


def _all_modules(library: Path) -> list[str]:
    return [
        ".".join(path.relative_to(library).with_suffix("").parts).removesuffix(".__init__")
        for path in library.rglob("*.py")
    ]


def _file_of(name: str, library: Path) -> Path | None:
    base = library.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.exists():
            return path
    return None


def _imported(source: str, package: str) -> list[str]:
    """Return all module names that a source may import, anywhere in it."""
    source = re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names for name in (name, *_parents(name))]


def outputs_digest(notebook: NotebookNode) -> str:
    """Return a digest of the outputs of all code cells."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def stamp(notebook: NotebookNode, key: str, seconds: float) -> None:
    """Mark a notebook that has just run to its end as the verified run of `key`."""
    notebook.metadata[STAMP] = {
        **notebook.metadata.get(STAMP, {}),
        **setting(),
        "key": key,
        "outputs": outputs_digest(notebook),
        "seconds": round(seconds, 1),
        "date": datetime.now(UTC).date().isoformat(),
    }


def is_current(notebook: NotebookNode, library: Path) -> bool:
    """Return whether the outputs are those of a run to the end of the present inputs.

    The run may have been at any scale and on any backend: the stamp says which.
    """
    facts = notebook.metadata.get(STAMP, {})
    if not {"key", "date"} <= facts.keys() or facts.get("outputs") != outputs_digest(notebook):
        return False
    ran = {name: facts.get(name) for name in setting()}
    return facts["key"] == execution_key(notebook, library, ran)


def is_fresh(notebook: NotebookNode, library: Path) -> bool:
    """Return whether the notebook is current, at the scale and backend asked for now."""
    facts = notebook.metadata.get(STAMP, {})
    asked = setting()
    return all(facts.get(n) == asked[n] for n in asked) and is_current(notebook, library)


def claims_bundle(notebook: NotebookNode) -> dict | None:
    """Return the claims that a notebook's outputs report, or None."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            bundle = output.get("data", {}).get(MIME_TYPE)
            if bundle is not None:
                return bundle
    return None


def verdicts(bundle: dict) -> str:
    """Return a chapter's verdicts in words: ``9 hold, 1 not reproduced``."""
    counts: dict[str, int] = {}
    for claim in bundle["claims"]:
        counts[claim["verdict"]] = counts.get(claim["verdict"], 0) + 1
    words = {"holds": "hold", "fails": "fail", "not reproduced": "not reproduced"}
    return ", ".join(f"{counts[v]} {words[v]}" for v in words if v in counts)
