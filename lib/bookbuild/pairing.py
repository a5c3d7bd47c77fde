"""A chapter's three forms: Markdown and script (committed) and the notebook (generated).

The notebook remembers a digest of the inputs that all three had when they were last equal.  So
whichever form was edited since is recognised by comparing contents, not file times, and an edit is
carried to the other two.  Edits in two places are never merged or overwritten: that is an error.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import find_jupytext_configuration_file, load_jupytext_configuration_file
from nbformat import NotebookNode

from bookbuild.project import BookError, Chapter

STAMP = "gaussbook"  # the notebook's metadata key for the digest, and for the execution's stamp

_FORMATS = {".md": "md:myst", ".py": "py:percent", ".ipynb": "ipynb"}


def read(path: Path) -> NotebookNode:
    """Read any of the three forms.

    Raises
    ------
    BookError
        If the file cannot be parsed.
    """
    try:
        if path.suffix == ".ipynb":
            notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
            nbformat.validate(notebook)
            return notebook
        return jupytext.read(path, fmt=_FORMATS[path.suffix])
    except Exception as error:  # every reader has its own exceptions
        raise BookError(f"{path} cannot be read as a notebook: {error}") from error


def write(path: Path, notebook: NotebookNode) -> None:
    """Write any of the three forms in one step: no reader ever sees half a file."""
    if path.suffix == ".ipynb":
        text = nbformat.writes(notebook) + "\n"
    else:
        text = jupytext.writes(notebook, fmt=_FORMATS[path.suffix], config=_configuration(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _configuration(path: Path):
    return load_jupytext_configuration_file(find_jupytext_configuration_file(str(path)))


def inputs_digest(notebook: NotebookNode) -> str:
    """Return a digest of what an author writes: the kinds, tags and sources of the cells."""
    cells = [
        (cell.cell_type, sorted(cell.metadata.get("tags", [])), cell.source.strip())
        for cell in notebook.cells
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def disagreement(chapter: Chapter) -> str | None:
    """Return what is wrong between Markdown and script, and the command that mends it, or None."""
    mend = f"jupytext --sync {chapter.markdown}"
    if not chapter.script.exists():
        return f"{chapter.script} is missing; make it with: jupytext --to py:percent {mend[16:]}"
    if inputs_digest(read(chapter.markdown)) != inputs_digest(read(chapter.script)):
        return (
            f"{chapter.markdown} and {chapter.script.name} disagree; take the newer one for both "
            f"with: {mend}"
        )
    return None


def pair(chapter: Chapter) -> None:
    """Bring the three forms of a chapter to the same inputs and keep the outputs of equal cells.

    Raises
    ------
    BookError
        If two forms were edited differently since they were last equal, or if Markdown and script
        disagree and there is no notebook that remembers which one changed.
    """
    notebook = _read_or_none(chapter.notebook)
    known = notebook.metadata.get(STAMP, {}).get("inputs") if notebook is not None else None
    forms = {chapter.markdown: read(chapter.markdown)}
    if chapter.script.exists():
        forms[chapter.script] = read(chapter.script)
    if notebook is not None:
        forms[chapter.notebook] = notebook
    digests = {path: inputs_digest(form) for path, form in forms.items()}
    edited = {digest: path for path, digest in digests.items() if digest != known}
    if len(edited) > 1:
        names = " and ".join(path.name for path, digest in digests.items() if digest != known)
        problem = disagreement(chapter)
        raise BookError(
            problem
            if known is None and problem
            else f"{names} in {chapter.markdown.parent} were edited differently since they were "
            f"last equal; nothing was overwritten. Keep the newest with: "
            f"jupytext --sync {chapter.markdown}"
        )
    source_path = next(iter(edited.values()), chapter.markdown)
    _carry(chapter, forms[source_path], digests, notebook)


def _carry(chapter: Chapter, source: NotebookNode, digests: dict, notebook) -> None:
    """Write `source` to every form whose inputs differ from it."""
    digest = inputs_digest(source)
    for path in (chapter.markdown, chapter.script):
        if digests.get(path) != digest:
            write(path, source)
    remembered = notebook.metadata.get(STAMP, {}) if notebook is not None else {}
    if remembered.get("inputs") == digest and digests.get(chapter.notebook) == digest:
        return
    combined = NotebookNode(read(chapter.markdown))
    if notebook is not None:
        combined = combine_inputs_with_outputs(combined, notebook, fmt={"extension": ".md"})
    combined.metadata[STAMP] = {**remembered, "inputs": digest}
    write(chapter.notebook, combined)


def _read_or_none(path: Path) -> NotebookNode | None:
    """Read a generated notebook; one that is missing or damaged counts as not there."""
    if not path.exists():
        return None
    try:
        return read(path)
    except BookError:
        return None
