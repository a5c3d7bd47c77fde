"""The whole book as one PDF: every page on one long page, printed by a headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bookbuild import site
from bookbuild.locks import locked
from bookbuild.project import BookError, Project

_PATIENCE = 600_000  # milliseconds: thousands of equations, on a machine that may be busy
_TYPESET = "window.MathJax && window.MathJax.startup.promise.then(() => true)"


def chromium() -> str:
    """Return the path of the machine's Chromium.

    Raises
    ------
    BookError
        If there is none.
    """
    for name in (os.environ.get("CHROMIUM"), "chromium", "google-chrome"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise BookError("no Chromium; install it (Debian: apt-get install chromium)")


def print_book(project: Project) -> Path:
    """Print a book whose site has been built.

    Parameters
    ----------
    project : Project
        The book.

    Returns
    -------
    Path
        The PDF file.

    Raises
    ------
    BookError
        If there is no site yet, no Chromium, or Sphinx warns.
    """
    if not site.is_complete(project):
        raise BookError("there is no whole site yet; build it with: make book")
    browser = chromium()
    with locked(project.build / "lock", site.WAITING) as lock:
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
        command += [str(project.root), "-W", "--keep-going", "-q", "--builder", "custom"]
        command += ["--custom-builder", "singlehtml"]
        done = subprocess.run(
            command,
            cwd=project.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[lock],
        )
        if done.returncode != 0:
            raise BookError(f"{done.stdout}\nthe single page was not built, see above")
        file = project.build / "pdf" / "book.pdf"
        file.parent.mkdir(exist_ok=True)
        page = project.build / "singlehtml" / "index.html"
        (page.parent / "book" / "index.html").replace(page)  # its links are relative to this place
        _print(page, file, browser)
    return file


def _print(page: Path, file: Path, browser: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(
            executable_path=browser,
            args=["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"],
            timeout=_PATIENCE,
        )
        sheet = window.new_page(color_scheme="light")
        sheet.set_default_timeout(_PATIENCE)
        sheet.goto(page.as_uri(), wait_until="load")
        sheet.wait_for_function("!window.MathJax || window.MathJax.startup?.promise")
        sheet.evaluate(_TYPESET)
        sheet.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        sheet.pdf(
            path=str(file),
            format="A4",
            scale=0.8,
            margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            outline=True,
            tagged=True,
        )
        window.close()
