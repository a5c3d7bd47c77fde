"""Files that a built site offers beside its pages: the scoreboard as data, chapters as sources."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
from sphinx.application import Sphinx

from bookbuild import address, pairing, runs
from bookbuild.board import board
from bookbuild.portable import portable


def write(app: Sphinx, error: Exception | None) -> None:
    """Put the files in place once all pages are written."""
    if error is not None or app.builder.name != "html":
        return
    _write_scoreboard(app)
    repository = address.repository(app)
    facts = board(app)
    for chapter in facts.chapters.values():
        page = Path(app.outdir) / chapter.docname
        if page.with_suffix(".html").exists():
            shutil.copyfile(chapter.markdown, page.with_suffix(".md"))
            if chapter.script.exists():  # not if Markdown cannot be carried to it
                shutil.copyfile(chapter.script, page.with_suffix(".py"))
            notebook = pairing.read(runs.shown_file(chapter, facts.project))
            notebook = portable(notebook, chapter.slug, facts)
            if repository:
                notebook.cells.insert(0, _installation(repository))
            nbformat.write(notebook, page.with_suffix(".ipynb"))


def _installation(repository: str) -> nbformat.NotebookNode:
    """Return the cell that a notebook needs where nobody has installed the library."""
    cell = nbformat.v4.new_code_cell(f"%pip install --quiet git+{repository}")
    cell.id = "installation"  # the same in every build
    return cell


def _write_scoreboard(app: Sphinx) -> None:
    rows = board(app).rows()
    folder = Path(app.outdir) / "book"
    folder.mkdir(exist_ok=True)
    text = json.dumps(rows, ensure_ascii=False, indent=1)
    (folder / "scoreboard.json").write_text(text, encoding="utf-8")
    table = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(table, columns)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    (folder / "scoreboard.csv").write_text(table.getvalue(), encoding="utf-8")


def _cell(value: Any) -> Any:
    """Return a CSV cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return value
