"""A chapter's three forms: Markdown and script (committed) and the notebook (generated).

The notebook remembers a digest of the inputs that all three had when they were last equal.  So
whichever form was edited since is recognised by comparing contents, not file times, and an edit is
carried to the other two.  Edits in two places are never merged or overwritten: that is an error.

Each format has texts that it cannot hold: a comment ``# %%`` ends a cell of a script, a line
``+++`` one of Markdown.  So every form is read back and compared before any file is written, and
what would come back changed is refused.  Three things are no part of a chapter and are not kept in
the text forms: blank lines and blanks at the ends of a cell, the line endings of a machine, and
what a reader sets in a notebook to look at it (its kernel, folded cells).
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
from pathlib import Path

import jupytext
import nbformat
from jupytext.config import find_jupytext_configuration_file, load_jupytext_configuration_file
from nbformat import NotebookNode

from bookbuild.project import BookError, Chapter

STAMP = "gaussbook"  # the notebook's metadata key for the digest, and for the execution's stamp
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
FORMATS = "ipynb,md:myst,py:percent"

_FORMATS = {".md": "md:myst", ".py": "py:percent", ".ipynb": "ipynb"}
_CARRIED = ("tags", "mystnb")  # the cell metadata of an author
_LAYOUT = ("lines_to_next_cell", "lines_to_end_of_cell_marker")  # how a script spaces its cells
_HEADER = {"jupytext", "kernelspec", "language_info"}


def read(path: Path) -> NotebookNode:
    """Read any of the three forms.

    Raises
    ------
    BookError
        If the file cannot be parsed.
    """
    try:
        return _parse(path, path.read_text(encoding="utf-8"))
    except Exception as error:  # every reader has its own exceptions
        raise BookError(f"{path} cannot be read as a notebook: {error}") from error


def _parse(path: Path, text: str) -> NotebookNode:
    if path.suffix == ".ipynb":
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        return notebook
    return jupytext.reads(text, fmt=_FORMATS[path.suffix])


def write(path: Path, notebook: NotebookNode) -> None:
    """Write any of the three forms in one step: no reader ever sees half a file.

    Raises
    ------
    BookError
        If the form cannot hold the notebook; the file is then left as it is.
    """
    _replace(path, _render(path, notebook))


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        if path.suffix == ".ipynb":
            _date_as_its_sources(temporary, path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _date_as_its_sources(file: Path, notebook: Path) -> None:
    """Make a notebook no newer than its sources: JupyterLab takes a newer one for an edit."""
    sources = [notebook.with_suffix(ending) for ending in (".md", ".py")]
    times = [source.stat().st_mtime_ns for source in sources if source.exists()]
    if times and file.stat().st_mtime_ns > min(times):
        os.utime(file, ns=(min(times), min(times)))


def _render(path: Path, notebook: NotebookNode) -> str:
    """Return the text of a form, having read it back and compared.

    Raises
    ------
    BookError
        If it would come back changed; the message names the first cell and line.
    """
    wanted = inputs(notebook)
    try:
        text = (
            nbformat.writes(notebook) + "\n"
            if path.suffix == ".ipynb"
            else _render_text(path, wanted)
        )
        found = _read_back(path, text)
    except Exception as error:  # every writer and reader has its own exceptions
        if path.suffix == ".ipynb":
            raise BookError(f"{path.name} cannot hold this chapter: {error}") from error
        raise BookError(f"{path.name} cannot hold {_first_failure(path, wanted)}") from error
    lost = _first_difference(wanted, found)
    if lost:
        raise BookError(f"{path.name} cannot hold {lost}")
    return text


def _read_back(path: Path, text: str) -> list[Input]:
    """Return the inputs that a file of this text would have, line endings as Python reads them."""
    text.encode("utf-8")
    return inputs(_parse(path, text.replace("\r\n", "\n").replace("\r", "\n")))


def _render_text(path: Path, cells: list[Input]) -> str:
    """Return Markdown or script, with the book's own header and nothing of the reader's."""
    notebook = nbformat.v4.new_notebook(cells=[cell.new() for cell in cells], metadata=_metadata())
    configuration = load_jupytext_configuration_file(find_jupytext_configuration_file(str(path)))
    return jupytext.writes(notebook, fmt=_FORMATS[path.suffix], config=configuration)


def _metadata() -> dict:
    """Return what the header of each form says."""
    return {
        "jupytext": {"default_lexer": "ipython3", "formats": FORMATS},
        "kernelspec": dict(KERNEL),
    }


@dataclasses.dataclass(frozen=True)
class Input:
    """What an author writes in one cell."""

    kind: str
    source: str
    metadata: str  # as JSON, which can be compared and hashed

    def new(self) -> NotebookNode:
        """Return a cell of this input, without outputs."""
        make = getattr(nbformat.v4, f"new_{self.kind}_cell")
        return make(source=self.source, metadata=json.loads(self.metadata))


def inputs(notebook: NotebookNode) -> list[Input]:
    """Return what an author writes: the kinds, sources and metadata of the cells."""
    return [
        Input(cell.cell_type, _source(cell.source), json.dumps(_carried(cell)))
        for cell in notebook.cells
    ]


def _source(text: str) -> str:
    """Return a cell's source without blank lines around it."""
    lines = text.replace("\r\n", "\n").rstrip(" \t\n").split("\n")
    while lines and not lines[0].strip(" \t"):
        del lines[0]
    return "\n".join(lines)


def _carried(cell: NotebookNode) -> dict:
    return {key: cell.metadata[key] for key in _CARRIED if cell.metadata.get(key)}


def inputs_digest(notebook: NotebookNode) -> str:
    """Return a digest of what an author writes."""
    cells = []
    for cell in inputs(notebook):
        others = json.loads(cell.metadata)
        tags = sorted(others.pop("tags", []))
        cells.append([cell.kind, tags, cell.source, *([others] if others else [])])
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _first_difference(wanted: list[Input], found: list[Input]) -> str | None:
    """Return where two lists of cells begin to differ, in words, or None."""
    for number, cell in enumerate(wanted, start=1):
        place = f"cell {number} ({cell.kind})"
        if number > len(found):
            return f"{place}, which would be lost, line 1: {_quoted(cell.source, 1)}"
        other = found[number - 1]
        if cell == other:
            continue
        if cell.source != other.source:
            line = _first_line_that_differs(cell.source, other.source)
            return f"{place}, line {line}: {_quoted(cell.source, line)}"
        what = "kind" if cell.kind != other.kind else "metadata"
        return f"{place}, whose {what} would change, line 1: {_quoted(cell.source, 1)}"
    if len(found) > len(wanted):
        return f"the last cell ({len(wanted)}), line 1, without making {len(found)} cells of it all"
    return None


def _first_line_that_differs(wanted: str, found: str) -> int:
    ours, theirs = wanted.split("\n"), found.split("\n")
    same = zip(ours, theirs, strict=False)
    first = next((k for k, (one, other) in enumerate(same) if one != other), len(theirs))
    first = min(first, len(ours) - 1)
    return next((k for k in range(first, len(ours)) if ours[k].strip()), first) + 1


def _first_failure(path: Path, wanted: list[Input]) -> str:
    """Return the first cell and line that a form's writer or reader stops at, in words."""
    for number, cell in enumerate(wanted, start=1):
        lines = cell.source.split("\n")
        for k in range(1, len(lines) + 1):
            head = dataclasses.replace(cell, source="\n".join(lines[:k]))
            try:
                _read_back(path, _render_text(path, [head]))
            except Exception as error:  # every writer and reader has its own exceptions
                why = " ".join(str(error).split())
                return f"cell {number} ({cell.kind}), line {k}: {_quoted(cell.source, k)} ({why})"
    return "its cells together, though each alone: cell 1, line 1"


def _quoted(source: str, line: int) -> str:
    return ascii(source.split("\n")[line - 1][:80])


def _check_source(path: Path, form: NotebookNode) -> None:
    """Refuse what a form holds beside the inputs, if the other forms have no place for it.

    Raises
    ------
    BookError
        Naming the cell, or the key of the header.
    """
    for number, cell in enumerate(form.cells, start=1):
        place = f"{path.name}, cell {number} ({cell.cell_type}), line 1"
        if cell.get("attachments"):
            raise BookError(
                f"{place}: an attached file cannot be carried to the text forms; save it in "
                f"book/images and link it"
            )
        if path.suffix == ".ipynb":
            continue
        extra = sorted(set(cell.metadata) - {*_CARRIED, *_LAYOUT})
        if extra:
            raise BookError(
                f"{place}: {', '.join(map(ascii, extra))} cannot be carried to the other forms; "
                f"a cell has {' and '.join(_CARRIED)} only"
            )
    extra = sorted(set(form.metadata) - _HEADER)
    if extra and path.suffix != ".ipynb":
        raise BookError(
            f"{path.name}, header: {', '.join(extra)} cannot be carried to the other forms; "
            f"the header of a chapter has jupytext and kernelspec only"
        )


def disagreement(chapter: Chapter) -> str | None:
    """Return what is wrong between Markdown and script, and the command that mends it, or None."""
    if not chapter.script.exists():
        return f"{chapter.script} is missing; make it with: {_keep(chapter.markdown)}"
    if inputs_digest(read(chapter.markdown)) != inputs_digest(read(chapter.script)):
        return (
            f"{chapter.markdown} and {chapter.script.name} disagree; keep one, for example the "
            f"first, with: {_keep(chapter.markdown)}"
        )
    return None


def _keep(path: Path) -> str:
    return f"python -m bookbuild pair --keep {path}"


def pair(chapter: Chapter, keep: Path | None = None) -> None:
    """Bring the three forms of a chapter to the same inputs and keep the outputs of equal cells.

    Parameters
    ----------
    chapter : Chapter
        The chapter.
    keep : Path, optional
        The form whose inputs the other two take, whatever was edited.

    Raises
    ------
    BookError
        If two forms were edited differently since they were last equal, if Markdown and script
        disagree and there is no notebook that remembers which one changed, or if an edit holds
        what another form cannot.  No file has then been changed.
    """
    forms = _read_forms(chapter)
    if keep is not None and keep not in forms:
        raise BookError(f"{keep} cannot be kept: it is no form of {chapter.slug} that can be read")
    known = _known(forms.get(chapter.notebook))
    digests = {path: inputs_digest(form) for path, form in forms.items()}
    edited = {path: form for path, form in forms.items() if digests[path] != known}
    if keep is None and len({digests[path] for path in edited}) > 1:
        raise BookError(_conflict(chapter, edited, known))
    source = keep or next(iter(edited), chapter.markdown)
    _carry(chapter, forms, source)


def save(chapter: Chapter, notebook: NotebookNode) -> None:
    """Write a notebook that a reader has edited, and the text forms after it.

    Raises
    ------
    BookError
        If a form on disk was edited since the three were last equal, or a text form cannot hold
        the notebook.  No file has then been changed.
    """
    forms = _read_forms(chapter)
    known = _known(forms.get(chapter.notebook))
    edited = {path: form for path, form in forms.items() if inputs_digest(form) != known}
    edited[chapter.notebook] = notebook
    if len({inputs_digest(form) for form in edited.values()}) > 1:
        raise BookError(_conflict(chapter, edited, known))
    _carry(chapter, {**forms, chapter.notebook: notebook}, chapter.notebook, outputs=True)


def _known(notebook: NotebookNode | None) -> str | None:
    """Return the digest of the inputs that all forms had when they were last equal."""
    return notebook.metadata.get(STAMP, {}).get("inputs") if notebook is not None else None


def _read_forms(chapter: Chapter) -> dict[Path, NotebookNode]:
    """Read the forms that are there; a damaged notebook is put aside."""
    forms = {chapter.markdown: read(chapter.markdown)}
    if chapter.script.exists():
        forms[chapter.script] = read(chapter.script)
    if chapter.notebook.exists():
        try:
            forms[chapter.notebook] = read(chapter.notebook)
        except BookError as error:
            aside = chapter.notebook.with_name(f"{chapter.notebook.name}.damaged")
            chapter.notebook.replace(aside)
            print(f"{error}; it is made again, and the damaged file is kept as {aside.name}")
    return forms


def _conflict(chapter: Chapter, edited: dict[Path, NotebookNode], known: str | None) -> str:
    """Return why edits in several forms cannot be brought together."""
    for path, form in edited.items():  # a form that others could not follow is the cause
        for other in (chapter.markdown, chapter.script):
            if other in edited and other != path:
                try:
                    _render(other, form)
                except BookError as error:
                    return f"{path.name}: {error}; nothing was overwritten"
    names = " and ".join(path.name for path in edited)
    if known is None and (problem := disagreement(chapter)):
        return problem
    return (
        f"{names} in {chapter.markdown.parent} were edited differently since they were last "
        f"equal; nothing was overwritten. Keep one, for example the first, with: "
        f"{_keep(next(iter(edited)))}"
    )


def _carry(
    chapter: Chapter, forms: dict[Path, NotebookNode], source: Path, outputs: bool = False
) -> None:
    """Write the inputs of one form to every other that differs: all of them, or none.

    With `outputs` the notebook is written in any case: its outputs are not those of the file.
    """
    wanted = inputs(forms[source])
    texts = {}
    try:
        for path, form in forms.items():
            if inputs(form) == wanted:
                _check_source(path, form)
        for path in (chapter.markdown, chapter.script):
            form = forms.get(path)
            if form is None or inputs(form) != wanted or not _has_our_header(form):
                texts[path] = _render(path, forms[source])
    except BookError as error:
        raise BookError(f"{source}: {error}; nothing was overwritten") from error
    page = forms[chapter.markdown]
    if chapter.markdown in texts:
        page = _parse(chapter.markdown, texts[chapter.markdown])
    old = forms.get(chapter.notebook)
    if outputs or old is None or not _follows(old, page):
        texts[chapter.notebook] = _render(chapter.notebook, _notebook(page, old))
    for path, text in texts.items():
        _replace(path, text)
    _date_as_its_sources(chapter.notebook, chapter.notebook)


def _has_our_kernel(form: NotebookNode) -> bool:
    return form.metadata.get("kernelspec") == KERNEL


def _has_our_header(form: NotebookNode) -> bool:
    return _has_our_kernel(form) and form.metadata.get("jupytext", {}).get("formats") == FORMATS


def _follows(notebook: NotebookNode, page: NotebookNode) -> bool:
    """Return whether a notebook has the page's very cells, and its stamp says so."""
    same = [cell.source for cell in notebook.cells] == [cell.source for cell in page.cells]
    known = inputs_digest(page) == inputs_digest(notebook) == _known(notebook)
    spaced = any(key in cell.metadata for cell in notebook.cells for key in _LAYOUT)
    return same and known and not spaced and _has_our_kernel(notebook)


def _notebook(page: NotebookNode, old: NotebookNode | None) -> NotebookNode:
    """Return the notebook of a page, with the outputs that `old` has for equal cells."""
    cells = [getattr(nbformat.v4, f"new_{cell.cell_type}_cell")(cell.source) for cell in page.cells]
    metadata = _metadata()
    ours, theirs = inputs(page), inputs(old) if old is not None else []
    for cell, each in zip(cells, ours, strict=True):
        cell.metadata.update(json.loads(each.metadata))
    if old is not None:
        metadata = {**old.metadata, **metadata}
        matcher = difflib.SequenceMatcher(
            None, [(c.kind, c.source) for c in theirs], [(c.kind, c.source) for c in ours], False
        )
        for here, there, size in matcher.get_matching_blocks():
            for kept, cell in zip(old.cells[here:][:size], cells[there:][:size], strict=True):
                seen = {k: v for k, v in kept.metadata.items() if k not in (*_CARRIED, *_LAYOUT)}
                cell.metadata.update(seen)
                others = {key: kept[key] for key in kept if key not in ("source", "metadata")}
                cell.update(others)
    metadata[STAMP] = {**metadata.get(STAMP, {}), "inputs": inputs_digest(page)}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)
