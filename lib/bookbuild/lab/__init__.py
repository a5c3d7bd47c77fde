"""JupyterLab for the book: its three forms follow each other there as they do in a build.

`start` runs JupyterLab with the settings of this folder: Markdown opens as a notebook by double
click, and `Contents` reads and writes the files.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from jupytext import TextFileContentsManager
from tornado.web import HTTPError

from bookbuild import pairing
from bookbuild.project import BookError, Chapter, Project

_SETTINGS = Path(__file__).parent


def start(project: Project, options: list[str]) -> NoReturn:
    """Pair the chapters and become JupyterLab; `options` are its own."""
    for chapter in project.chapters:
        pairing.pair(chapter)
    others = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [str(_SETTINGS), others]))
    os.chdir(project.root)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab", "book", *options])


class Contents(TextFileContentsManager):
    """Jupytext's contents manager, which loses nothing.

    Before a chapter is opened its forms are paired, by their contents; what a reader saves is
    written if all three forms can hold it, and refused with the reason otherwise.
    """

    def get(self, path: str, content: bool = True, type: str | None = None, **options: Any) -> dict:
        """Return a file; a chapter's forms are brought together first."""
        chapter = self._chapter(path)
        if chapter is not None and content and type in (None, "notebook"):
            try:
                pairing.pair(chapter)
            except BookError as error:
                raise HTTPError(409, str(error)) from error
        return super().get(path, content=content, type=type, **options)

    def save(self, model: dict, path: str = "") -> dict:
        """Write a file; of a chapter all three forms, or none."""
        chapter = self._chapter(path)
        if chapter is None or model.get("type") != "notebook" or "content" not in model:
            return super().save(model, path)
        notebook = nbformat.from_dict(model["content"])
        try:
            pairing.save(chapter, notebook)
        except BookError as error:
            raise HTTPError(400, str(error)) from error
        if self.notary.check_cells(notebook):
            self.notary.sign(pairing.read(chapter.notebook))
        return self.get(path, content=False)

    def _chapter(self, path: str) -> Chapter | None:
        """Return the chapter that a path of the server is a form of, or None."""
        file = Path(self._get_os_path(path.strip("/")))
        if file.suffix not in (".md", ".py", ".ipynb"):
            return None
        markdown = file.with_suffix(".md").resolve()
        try:
            chapters = Project.find(markdown.parent).chapters
        except BookError:
            return None
        return next((each for each in chapters if each.markdown.resolve() == markdown), None)
