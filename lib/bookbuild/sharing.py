"""Executed chapters shared between checkouts: ``GAUSSBOOK_CACHE`` names a folder; off without it.

The folder holds one file for each execution key, with the outputs of the run and their digest.
What is taken from it is verified like a run that has just ended.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from bookbuild import execution, freshness, pairing, verification
from bookbuild.pairing import STAMP
from bookbuild.project import Chapter, Project


def is_on() -> bool:
    """Return whether chapters may come from a shared folder instead of a run."""
    return _folder() is not None


def _folder() -> Path | None:
    name = os.environ.get("GAUSSBOOK_CACHE")
    return Path(name).expanduser() if name else None


def give(notebook: NotebookNode) -> None:
    """Put the outputs of a verified run into the shared folder, if there is one."""
    folder = _folder()
    if folder is None:
        return
    stamp = {n: value for n, value in notebook.metadata[STAMP].items() if n != "inputs"}
    cells = [
        {name: cell[name] for name in ("cell_type", "outputs", "execution_count")}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    content = json.dumps({"stamp": stamp, "cells": cells}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stamp['key']}.run"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    temporary.replace(path)


def take(chapter: Chapter, project: Project) -> NotebookNode | None:
    """Return the chapter's notebook with shared outputs, written to its place, or None.

    A file that is missing or damaged is passed over; runs on another backend have another key.
    """
    folder = _folder()
    if folder is None:
        return None
    notebook = pairing.read(chapter.notebook)
    setting = freshness.setting()
    key = freshness.execution_key(notebook, project.root / "lib", setting)
    try:
        digest, _, content = (folder / f"{key}.run").read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    facts = json.loads(content)
    if facts["stamp"]["key"] != key:
        return None
    execution.put_outputs(notebook, nbformat.from_dict(facts["cells"]))
    if verification.failure(notebook, chapter.slug, setting["scale"]) is not None:
        return None
    notebook.metadata[STAMP] = {**notebook.metadata.get(STAMP, {}), **facts["stamp"]}
    notebook.metadata[STAMP].pop("failure", None)
    pairing.write(chapter.notebook, notebook)
    return notebook
