"""What must run: a notebook is fresh while all that its outputs rest on is unchanged.

That is its code, the library modules it imports (directly or through others, with the data files
of their packages), the versions of Python and of the numerical packages, the scale and the
backend.  A notebook that has run carries a stamp with the key of all these and a digest of its
outputs.  The stamp guards against accidents: an edit, a half-written file, outputs of other inputs.
It does not guard against forgery: who can write the notebook can also compute the digest.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import os
import py_compile
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from bookbuild.pairing import STAMP
from gaussbook import arrays
from gaussbook.claims import MIME_TYPE


def setting() -> dict[str, str]:
    """Return the scale and backend that the environment asks for.

    ``auto`` is replaced by the backend that it means on this machine, since outputs computed on a
    GPU are not those of the processor.
    """
    backend = os.environ.get("GAUSSBOOK_BACKEND", "auto")
    if backend == "auto":
        backend = "cupy" if "cupy" in arrays.backend().__name__ else "numpy"
    return {"scale": os.environ.get("GAUSSBOOK_SCALE", "default"), "backend": backend}


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
            str(path.relative_to(library)): _digest_of_what_runs(path.suffix, path.read_bytes())
            for path in dependencies([cell.source for cell in code], library)
        },
        "versions": _versions(),
        **setting,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def library_state(notebook: NotebookNode, library: Path) -> dict[str, tuple[int, int, int]]:
    """Return what changes when a file that the notebook rests on is written, even if put back."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    found = {path: path.stat() for path in dependencies(sources, library)}
    return {str(p): (each.st_ino, each.st_size, each.st_ctime_ns) for p, each in found.items()}


def compile_by_content(notebook: NotebookNode, library: Path) -> None:
    """Have Python check the library's compiled files by their sources' contents.

    By default it compares the size and the second of the last change, and so runs the old code of a
    file that was edited twice in a second or that was given an old date.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    for path in dependencies(sources, library):
        if path.suffix != ".py":
            continue
        compiled = Path(cache_from_source(str(path)))
        with contextlib.suppress(OSError, py_compile.PyCompileError):
            if not compiled.exists() or compiled.read_bytes()[4:8] != _CHECKED_HASH:
                py_compile.compile(
                    str(path), doraise=True, invalidation_mode=PycInvalidationMode.CHECKED_HASH
                )


_CHECKED_HASH = (3).to_bytes(4, "little")  # the flags of a compiled file, PEP 552


@functools.lru_cache(maxsize=1024)
def _digest_of_what_runs(suffix: str, content: bytes) -> str:
    """Return a digest of a file; of Python only what runs counts, not comments or docstrings."""
    if suffix == ".py":
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):  # it cannot run, whatever it says
            return hashlib.sha256(content).hexdigest()
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if ast.get_docstring(node, clean=False) is not None:
                    del node.body[0]
        content = ast.dump(tree).encode()
    return hashlib.sha256(content).hexdigest()


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
        Sources of notebook cells, with IPython's magics and escapes if need be.  A cell that
        cannot be parsed cannot run either and rests on nothing.
    library : Path
        The folder of the library's packages.

    Returns
    -------
    list of Path
        Python files, and the data files of the packages they belong to, sorted.
    """
    pending = [name for source in sources for name in _imported(as_python(source), "")]
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
        source = path.read_bytes()
        pending.extend(_imported(source, package))
        pending.extend(_parents(name))
        if b"import_module" in source or b"__import__" in source:  # anything may be behind it
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


def as_python(source: str) -> str:
    """Return a cell as IPython would run it: magics and shell escapes as calls.

    The body of a cell magic is code too, for all that can be known here.
    """
    if source.lstrip().startswith("%%"):
        source = source.lstrip().partition("\n")[2]
    try:
        return TransformerManager().transform_cell(source)
    except SyntaxError:
        return source


@functools.lru_cache(maxsize=1024)
def _imported(source: str | bytes, package: str) -> tuple[str, ...]:
    """Return all module names that a source may import, anywhere in it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names for name in (name, *_parents(name)))


def outputs_digest(notebook: NotebookNode) -> str:
    """Return a digest of the outputs of all code cells."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def stamp(
    notebook: NotebookNode,
    key: str,
    seconds: float,
    failure: dict | None = None,
    cost: dict | None = None,
) -> None:
    """Mark a notebook that has just run as the run of `key`.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook with its outputs.
    key : str
        The execution key of the run.
    seconds : float
        How long it took.
    failure : dict, optional
        Why the run is no verified one: the fields of `verification.Failure`.
    cost : dict, optional
        What it took of the machine: ``processor`` in seconds, ``memory`` in megabytes.
    """
    known = notebook.metadata.get(STAMP, {})
    notebook.metadata[STAMP] = {
        **({"inputs": known["inputs"]} if "inputs" in known else {}),
        **setting(),
        "key": key,
        "outputs": outputs_digest(notebook),
        "seconds": round(seconds, 1),
        "date": datetime.now(UTC).date().isoformat(),
        **(cost or {}),
        **({"failure": failure} if failure else {}),
    }


def is_run_of(notebook: NotebookNode, inputs: NotebookNode, library: Path) -> bool:
    """Return whether the outputs of `notebook` are those of a run of the present `inputs`.

    The run may have been at any scale and on any backend, and it may have failed: the stamp says
    which.
    """
    facts = notebook.metadata.get(STAMP, {})
    if not {"key", "date"} <= facts.keys() or facts.get("outputs") != outputs_digest(notebook):
        return False
    ran = {name: facts.get(name) for name in setting()}
    return facts["key"] == execution_key(inputs, library, ran)


def is_current(notebook: NotebookNode, library: Path) -> bool:
    """Return whether the outputs are those of a verified run of the notebook's present inputs."""
    return "failure" not in notebook.metadata.get(STAMP, {}) and is_run_of(
        notebook, notebook, library
    )


def as_asked(notebook: NotebookNode) -> bool:
    """Return whether a stamp has the scale and the backend that are asked for now."""
    facts = notebook.metadata.get(STAMP, {})
    return all(facts.get(name) == value for name, value in setting().items())


def is_fresh(notebook: NotebookNode, library: Path) -> bool:
    """Return whether the notebook is current, at the scale and backend asked for now."""
    return as_asked(notebook) and is_current(notebook, library)


def claims_bundle(notebook: NotebookNode) -> dict | None:
    """Return the claims that a notebook's outputs report, or None."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            bundle = output.get("data", {}).get(MIME_TYPE)
            if bundle is not None:
                return bundle
    return None
