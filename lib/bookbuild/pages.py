"""What is changed on finished pages: folding of long cells, back-links of the bibliography, links.

Sphinx calls these functions once the pages are parsed; none of them changes what a page says.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from bookbuild import address

_OG_URL = re.compile(r'<meta property="og:url"[^>]*>\n?')
_FRAME = 'class="slider-frame"'  # of those that are hidden at first
LONG_CELL = 15  # lines of code above which a reader may fold a cell
PUBLISHED_BRANCH = "gh-pages"  # where the workflow puts the built site, notebooks included


def fold_long_cells(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Wrap each long cell in an open ``details`` element (cells tagged hide-input have theirs)."""
    if app.builder.format != "html":
        return
    for source in list(doctree.findall(nodes.container)):
        folded = source.parent is not None and "cell_input" in source.get("classes", [])
        lines = source.astext().count("\n") + 1
        hidden = "HideCodeCellNode" in type(source.parent).__name__
        if folded and not hidden and lines > LONG_CELL:
            head = f'<details class="long-cell" open><summary>{lines} lines of code</summary>'
            place = source.parent.index(source)
            source.parent.insert(place, nodes.raw("", head, format="html"))
            source.parent.insert(place + 2, nodes.raw("", "</details>", format="html"))


def redraw_bibliography(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Have the bibliography written again: any page may have begun to cite a work."""
    return list({key.docname for key in env.get_domain("cite").bibliographies})


def link_back(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Add to each work of the bibliography the pages that cite it."""
    domain = app.env.get_domain("cite")
    if docname not in {key.docname for key in domain.bibliographies}:
        return
    keys = {citation.citation_id: citation.key for citation in domain.citations}
    for entry in doctree.findall(nodes.citation):
        key = next((keys[name] for name in entry["ids"] if name in keys), None)
        pages = {
            reference.docname
            for reference in domain.citation_refs
            if key in {target.key for target in reference.targets}
        }
        pages -= {docname}
        if pages:
            entry += _cited_in(app, docname, sorted(pages))


def _cited_in(app: Sphinx, docname: str, pages: list[str]) -> nodes.paragraph:
    paragraph = nodes.paragraph("", "Cited in ", classes=["cited-in"])
    for k, page in enumerate(pages):
        address = app.builder.get_relative_uri(docname, page)
        title = app.env.titles[page].astext()
        paragraph += nodes.reference("", title, internal=True, refuri=address)
        paragraph += nodes.Text("; " if k < len(pages) - 1 else ".")
    return paragraph


def finish_page(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mend roles that assistive technology no longer knows, and point Colab to real notebooks."""
    if "body" in context:
        # docutils: a list (role) whose entries are no list items, with a role ARIA has withdrawn
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        # a table that is wider than the window scrolls, and must do so by the keyboard too
        for kind in ("results", "claims"):
            table = f'<table class="{kind}"'
            context["body"] = context["body"].replace(f"{table}>", f'{table} tabindex="0">')
        # the figures of a slider are fetched when the reader comes to them
        context["body"] = context["body"].replace(_FRAME, f'loading="lazy" {_FRAME}')
    if not app.config.html_baseurl:  # an address that is not absolute is none
        context["metatags"] = _OG_URL.sub("", context.get("metatags", ""))
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []) if group.get("label") == "launch-buttons" else []:
            if button.get("text") == "Colab":
                button["url"] = _colab_address(app, name)


def _colab_address(app: Sphinx, name: str) -> str:
    """Return Colab's address of the executed notebook on the published site."""
    repository = "/".join(address.repository(app).split("/")[-2:])
    host = app.config.html_theme_options["launch_buttons"]["colab_url"].rstrip("/")
    return posixpath.join(host, "github", repository, "blob", PUBLISHED_BRANCH, f"{name}.ipynb")
