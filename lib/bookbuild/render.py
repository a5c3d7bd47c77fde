"""How the book's own outputs appear on a page: figures with alternative text and caption."""

from __future__ import annotations

import dataclasses
import html
import json
from typing import ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer, create_figure_context

from gaussbook.claims import MIME_TYPE

IMAGES = ("image/svg+xml", "image/png", "image/gif")


def _frames(renderer: NbElementRenderer, data: MimeData, slider: dict) -> list[nodes.Element]:
    """Return the images of a slider, all but the first one hidden, and its control.

    The control is native and does nothing without JavaScript, which shows it: see ``book.js``.
    """
    images = []
    for k, frame in enumerate(slider["frames"]):
        one = dataclasses.replace(data, mime_type=frame["kind"], content=frame["data"])
        (image,) = renderer.render_image(one)
        image["alt"], image["classes"] = frame["alt"], ["slider-frame"]
        if k == slider["start"]:
            image["classes"].append("is-shown")
        images.append(image)
    values = html.escape(json.dumps([frame["value"] for frame in slider["frames"]]))
    control = (
        f'<label class="slider-control" hidden>{html.escape(slider["label"])} '
        f'<input type="range" min="0" max="{len(images) - 1}" step="1" value="{slider["start"]}" '
        f'data-values="{values}"> <output></output></label>'
    )
    return [*images, nodes.raw("", control, format="html")]


class Renderer(MimeRenderPlugin):
    """Draw the outputs of `gaussbook.plotting.figure`; everything else is left to MyST-NB."""

    mime_priority_overrides: ClassVar = [("*", MIME_TYPE, 1000)]  # known to Sphinx, and last

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the nodes of a figure of ours, or None for any other output."""
        if data.mime_type == MIME_TYPE:
            return []  # facts for the scoreboard; the page shows the table beside them
        texts = data.output_metadata.get(data.mime_type, {})
        if data.mime_type == "text/markdown" and texts.get("caption") is True:
            return []  # the caption that a notebook shows: here it belongs to the figure
        if inline or data.mime_type not in IMAGES or "alt" not in texts:
            return None
        (image,) = renderer.render_image(data)
        image["alt"] = texts["alt"]
        images = _frames(renderer, data, texts["slider"]) if "slider" in texts else [image]
        holder = nodes.Element()
        with (
            renderer.renderer.current_node_context(holder),
            create_figure_context(renderer.renderer, {"caption": texts["caption"]}, data.line or 0),
        ):
            renderer.renderer.current_node.extend(images)
        return list(holder.children)
