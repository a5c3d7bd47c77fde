"""Where the sources are, under which licence, and whom to tell of an error: the foot of each page.

The repository's address is the theme's own option (``GAUSSBOOK_REPOSITORY`` when the site is
published).  Without one, a reader is led to ``gaussbook_contact`` of `_config.yml`, or told that
this copy of the site has no address.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.board import board
from bookbuild.directives import BoardDirective

LICENCE = "LICENSE.txt"


def repository(app: Sphinx) -> str:
    """Return the address of the repository, or an empty text."""
    return (app.config.html_theme_options.get("repository_url") or "").rstrip("/")


def report(app: Sphinx, page: str) -> str:
    """Return where to report an error on a page: a new issue with its name, or an e-mail."""
    title = quote(f"Error in {Path(page).name}")
    body = quote(
        "What is wrong, and where on the page?\n\nIf a number differs on your machine: what does "
        f"`python -m bookbuild verdicts {Path(page).name}` print, and which processor is it?\n"
    )
    if repository(app):
        return f"{repository(app)}/issues/new?title={title}&body={body}"
    if app.config.gaussbook_contact:
        return f"mailto:{app.config.gaussbook_contact}?subject={title}&body={body}"
    return ""


def on_every_page(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Hand the foot of a page what it needs: see ``templates/colophon.html``."""
    facts = board(app)
    slug = Path(name).name
    source = next((c for c in facts.chapters.values() if c.docname == name), None)
    branch = app.config.html_theme_options.get("repository_branch") or "main"
    context["colophon"] = {
        "version": version("gaussbook"),
        "licence": LICENCE,
        "chapter": source is not None,
        "report": report(app, slug) or f"{app.builder.get_relative_uri(name, 'book/run')}#report",
        "source": f"{repository(app)}/blob/{branch}/{name}.md" if repository(app) else "",
    }


def write_licence(app: Sphinx, error: Exception | None) -> None:
    """Put the licence beside the pages."""
    path = board(app).project.root / "LICENSE"
    if error is None and app.builder.name == "html" and path.exists():
        shutil.copyfile(path, Path(app.outdir) / LICENCE)


class WhereItIs(BoardDirective):
    """The repository, and the launch buttons that its address switches on."""

    def run(self) -> list[nodes.Node]:
        """Return a sentence."""
        address = repository(self.env.app)
        if not address:
            words = (
                "This copy of the site was built without the address of its repository: whoever "
                "gave it to you has the sources."
            )
            return self.markdown([words])
        words = (
            f"The sources are at <{address}>. On each chapter the rocket button opens it in Colab "
            "or Binder, where nothing needs to be installed."
        )
        return self.markdown([words])


class ReportAddress(BoardDirective):
    """Where to report what is wrong."""

    def run(self) -> list[nodes.Node]:
        """Return a sentence."""
        address = report(self.env.app, "the book")
        if address:
            return self.markdown([f"[Report an error]({address})"])
        return self.markdown(["Write to whoever gave you this copy of the site."])


class RunCost(BoardDirective):
    """What the last runs of all chapters took."""

    def run(self) -> list[nodes.Node]:
        """Return a sentence with a link to the table."""
        self.rests_on(list(self.board.chapters.values()))
        costs = [run.cost for run in self.board.runs.values() if run.cost is not None]
        if not costs:
            return []
        minutes = sum(seconds for seconds, _ in costs) / 60
        memory = max(memory for _, memory in costs) / 1000
        words = (
            f"When this site was built, its {len(costs)} chapters took {minutes:.0f} minutes of "
            f"one processor, the longest {max(costs)[0]:.0f} seconds, and none more than "
            f"{memory:.1f} GB of memory. [Each chapter's share](performance.md) is on the page on "
            "performance. A chapter runs again only when its code, the library or a package "
            "changes."
        )
        return self.markdown([words])


ALL = {"where-it-is": WhereItIs, "report-address": ReportAddress, "run-cost": RunCost}
