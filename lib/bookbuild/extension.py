"""The book's Sphinx extension: directives, and the steps around the build."""

from __future__ import annotations

import gc
import hashlib
import os
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from bookbuild import (
    address,
    costs,
    declared,
    directives,
    downloads,
    links,
    outdated,
    pages,
    performance,
    scoreboard,
)
from bookbuild.board import board

_STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"
_KEEP_NOTHING = ("sphinx_multitoc_numbering", "sphinx-mathjax-offline", "sphinx_jupyterbook_latex")


def _without_thebe(app: Sphinx, config: Config) -> None:
    """Silence the live-code extension of Jupyter Book: it names outside hosts on every page."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        listeners = app.events.listeners[event]
        listeners[:] = [each for each in listeners if each.handler.__module__ != "sphinx_thebe"]


def _use_all_processors(app: Sphinx) -> None:
    """Read and write pages in as many processes as there are processors.

    Jupyter Book asks Sphinx for one.  The collector of garbage looks through all that is alive,
    trees of whole pages, a hundred times as rarely: this was a quarter of the work.
    """
    app.parallel = costs.processors()
    gc.set_threshold(50_000, 100, 1000)


def _read_in_parallel(app: Sphinx, config: Config) -> None:
    """Say of some extensions, in their place, that they keep nothing while pages are read."""
    for name in _KEEP_NOTHING:
        app.extensions[name].parallel_read_safe = True


def _number_by_page(app: Sphinx, config: Config) -> None:
    """Give equations numbers page by page, and figures none: a new chapter renumbers no other."""
    config.numfig = False  # Jupyter Book's LaTeX extension insists on it, whatever the user says


def _bring_our_files(app: Sphinx, config: Config) -> None:
    """Name the folders of the press to Sphinx."""
    config.nb_execution_cache_path = str(board(app).project.build / "jupyter-cache")
    config.html_static_path = [*config.html_static_path, str(_STATIC)]
    config.html_search_scorer = str(_STATIC / "scorer.js")
    config.templates_path = [*config.templates_path, str(_TEMPLATES)]
    config.gaussbook_press = _press_digest()


def _keep_from_running(app: Sphinx) -> None:
    """Let Sphinx execute nothing: a chapter that did not run is shown without outputs.

    This is no change of the configuration, after which Sphinx would read every page again.
    """
    pages = [f"{chapter.docname}.md" for chapter in board(app).without_outputs]
    config = app.env.mystnb_config
    app.env.mystnb_config = config.copy(
        execution_excludepatterns=[*config.execution_excludepatterns, *pages]
    )


def _switch_on_launch_buttons(app: Sphinx, config: Config) -> None:
    """Show Binder, Colab and the button to edit once the repository's address is known."""
    options = config.html_theme_options
    address = os.environ.get("GAUSSBOOK_REPOSITORY") or options.get("repository_url")
    if address:
        options["repository_url"] = address
        options["use_edit_page_button"] = True
        options["launch_buttons"] = {
            **options.get("launch_buttons", {}),
            **config.gaussbook_launch,
        }


def _press_digest() -> str:
    """Return a digest of this package: pages are drawn anew when the press itself changes."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _typeset_the_single_page(app: Sphinx) -> None:
    """Load MathJax on the page of the whole book, although its first chapter has no equation."""
    if app.builder.name == "singlehtml":
        app.config.html_assets_policy = "always"


def _describe_to_others(app: Sphinx) -> None:
    """Add Open Graph tags to every page; a sitemap and preview images need the site's address."""
    address = app.config.html_baseurl
    app.setup_extension("sphinxext.opengraph")
    app.config.ogp_site_url = address
    app.config.ogp_site_name = app.config.html_title
    app.config.ogp_social_cards = {"enable": bool(address)}
    if address:
        app.setup_extension("sphinx_sitemap")
        app.config.sitemap_url_scheme = "{link}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the steps around the build."""
    for module in (directives, scoreboard, performance, address):
        for name, directive in module.ALL.items():
            app.add_directive(name, directive)
    app.add_role("claims", declared.ClaimsRole())
    app.add_role("board-link", directives.BoardLink())
    app.add_config_value("gaussbook_press", "", "env")
    app.add_config_value("gaussbook_launch", {}, "html")
    app.add_config_value("gaussbook_contact", "", "html")
    app.add_css_file("book.css")
    app.add_js_file("book.js", loading_method="defer")
    _use_all_processors(app)
    app.connect("config-inited", _read_in_parallel)
    app.connect("config-inited", _without_thebe)
    app.connect("config-inited", _bring_our_files)
    app.connect("config-inited", _switch_on_launch_buttons)
    app.connect("config-inited", _number_by_page, priority=900)
    app.connect("builder-inited", _typeset_the_single_page)
    app.connect("builder-inited", _keep_from_running, priority=900)
    app.connect("env-get-outdated", outdated.by_content)
    app.connect("env-updated", outdated.remember)
    app.connect("env-updated", outdated.keep_searchable)
    app.connect("env-updated", pages.redraw_bibliography)
    app.connect("doctree-resolved", pages.fold_long_cells)
    app.connect("doctree-resolved", pages.link_back)
    app.connect("doctree-resolved", scoreboard.link_rows)
    app.connect("html-page-context", links.link_code)
    app.connect("html-page-context", pages.finish_page, priority=900)
    app.connect("html-page-context", address.on_every_page)
    app.connect("build-finished", downloads.write)
    app.connect("build-finished", address.write_licence)
    _describe_to_others(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
