"""From sources to pages: pair, execute what is not fresh, typeset."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bookbuild import freshness, pairing
from bookbuild.locks import locked
from bookbuild.project import BookError, Chapter, Project

CELL_LIMIT = 300  # seconds that one cell may take at default scale
PAPER_CELL_LIMIT = 900


def build(project: Project, only: str | None = None) -> Path:
    """Build the whole site, or execute one chapter and build the site around it.

    Parameters
    ----------
    project : Project
        The book.
    only : str, optional
        Slug of the one chapter that may execute; the others appear as they last ran.

    Returns
    -------
    Path
        The page to open.

    Raises
    ------
    BookError
        If a chapter fails, the forms of one disagree, or Sphinx warns.
    """
    started = time.perf_counter()
    waiting = "another build (process {pid}) is running here; waiting for it to end"
    with locked(project.build / "lock", waiting):
        chapters = project.chapters
        for chapter in chapters:
            pairing.pair(chapter)
        chosen = [project.chapter(only)] if only else chapters
        stale = [chapter for chapter in chosen if not _fresh(chapter, project)]
        print(f"{len(chosen) - len(stale)} chapters unchanged, {len(stale)} to run", flush=True)
        if stale:
            _execute(stale, project)
        _fill_cache(project, chapters)
        page = _typeset(project)
    if only:
        page = (page.parent / chosen[0].docname).with_suffix(".html")
    print(f"built in {time.perf_counter() - started:.0f} s; open {page} (or: make serve)")
    return page


def _fresh(chapter: Chapter, project: Project) -> bool:
    return freshness.is_fresh(pairing.read(chapter.notebook), project.root / "lib")


def _execute(chapters: list[Chapter], project: Project) -> None:
    """Run chapters side by side through nbmake; each that ends is kept, whatever happens next."""
    workers = min(len(chapters), os.cpu_count() or 1)
    limit = PAPER_CELL_LIMIT if os.environ.get("GAUSSBOOK_SCALE") == "paper" else CELL_LIMIT
    limit = int(os.environ.get("GAUSSBOOK_CELL_LIMIT", limit))
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    command += ["--nbmake", "--overwrite", f"--nbmake-timeout={limit}", "--chapter-lines"]
    command += ["-n", str(workers), f"--rootdir={project.root}"]
    command += [str(chapter.notebook) for chapter in chapters]
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    rest = []
    for line in process.stdout:
        if re.match(r"  \w+: (\d+ |FAILED)", line):  # a chapter that has just ended
            print(line, end="", flush=True)
        else:
            rest.append(line)
    if process.wait() != 0:
        print("".join(rest))
        raise BookError("a chapter failed, see above; the chapters that passed are kept")


def _fill_cache(project: Project, chapters: list[Chapter]) -> None:
    """Hand the executed notebooks to jupyter-cache, so that Sphinx finds them and runs nothing.

    The cache knows nothing of the library, so it is filled anew from the verified notebooks each
    time; it holds copies only and may be damaged or lost without harm.  Chapters that are not
    current (only when one chapter is built alone) stay out: the page shows them without outputs.
    """
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from myst_nb.core.read import read_myst_markdown_notebook

    path = project.build / "jupyter-cache"
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    cache = get_cache(path)
    for chapter in chapters:
        notebook = pairing.read(chapter.notebook)
        if not freshness.is_current(notebook, project.root / "lib"):
            continue
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # timings would change the cache's key
        seconds = notebook.metadata[pairing.STAMP]["seconds"]
        bundle = CacheBundleIn(notebook, str(chapter.notebook), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        page = read_myst_markdown_notebook(
            chapter.markdown.read_text(encoding="utf-8"), add_source_map=False
        )
        try:
            cache.match_cache_notebook(page)
        except KeyError as error:
            raise BookError(
                f"{chapter.slug}: the page's cells are not those of the executed notebook; pair "
                f"them with: jupytext --sync {chapter.markdown}"
            ) from error


def _typeset(project: Project) -> Path:
    """Run Jupyter Book with warnings as errors; a run that was cut off is done anew."""
    complete = project.build / "complete"
    if not complete.exists():
        for folder in ("html", ".doctrees"):
            shutil.rmtree(project.build / folder, ignore_errors=True)
    complete.unlink(missing_ok=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(project.root), "-W", "--keep-going", "-q"]
    done = subprocess.run(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    page = project.build / "html" / "index.html"
    if done.returncode != 0 or not page.exists():
        raise BookError(f"{done.stdout}\nthe pages were not built, see above")
    complete.touch()
    return page
