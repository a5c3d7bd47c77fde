"""Figures that everyone can read: one style, and no figure without an alternative text.

>>> with figure(1, 2, alt="Two panels: ...", caption="What to see.") as axes:  # doctest: +SKIP
...     axes[0].plot(t, x)
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import matplotlib
import numpy as np

from gaussbook import notebook
from gaussbook.arrays import Array, to_host
from gaussbook.tables import format_number
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["PALETTE", "STYLE", "animation", "figure", "slider"]

PALETTE = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "black": "#000000",
}
"""The colours of Okabe and Ito by name, in the order in which curves take them."""

STYLE = str(files("gaussbook") / "gaussbook.mplstyle")
"""The style sheet of all figures."""

_LARGEST_SVG = 120_000  # bytes; a figure with more marks than that is smaller and faster as PNG
_LONGEST = 5.0  # seconds that a picture may move without a control that stops it (WCAG 2.2.2)


@contextmanager
def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    alt: str,
    caption: str,
    width: float = 7.2,
    height: float | None = None,
    **subplots: Any,
) -> Iterator[Any]:
    """Draw a figure inside a ``with`` block; it is shown, with its texts, when the block ends.

    Parameters
    ----------
    rows, columns : int
        Grid of panels.
    alt : str
        What a reader who cannot see the figure needs to know: its content, not its looks.  It
        becomes the ``alt`` of the page's image.
    caption : str
        The sentence below the figure (Markdown and ``$formulas$`` allowed).
    width, height : float
        Size in inches; the height defaults to 3 inches for each row of panels.
    **subplots
        Further arguments of `matplotlib.pyplot.subplots` (``sharex``, ``subplot_kw`` ...).

    Yields
    ------
    matplotlib.axes.Axes or numpy.ndarray of Axes
        The panels, as `matplotlib.pyplot.subplots` returns them.

    Raises
    ------
    ValueError
        If the alternative text or the caption is missing, or an axis of data has no label.
    """
    _check_texts(alt, caption)
    import matplotlib.pyplot as plt

    with matplotlib.style.context(STYLE):
        size = (width, height or 3.0 * rows)
        fig, axes = plt.subplots(rows, columns, figsize=size, **subplots)
        try:
            yield axes
            _check_labels(fig)
            _show(fig, alt, caption)
        finally:
            plt.close(fig)


def animation(
    frames: Array, *, alt: str, caption: str, seconds: float = 4.0, magnify: int = 1
) -> None:
    """Show pictures one after another, once; the last one stays.

    Parameters
    ----------
    frames : array, shape (n, height, width, 3)
        The pictures, from 0 (dark) to 1 (bright); what lies outside is shown as 0 or 1.
    alt, caption : str
        As for `figure`; both should also make sense to who sees only one of the pictures.
    seconds : float
        How long it moves, at most five seconds: longer needs a control that stops it.
    magnify : int
        Side of the square of the page that a pixel fills, in pixels.

    Raises
    ------
    ValueError
        If a text is missing, `frames` is no finite array of that shape, or an option is out of
        range.
    """
    from PIL import Image

    _check_texts(alt, caption)
    frames = check_array("frames", frames, shape=(None, None, None, 3))
    seconds = check_scalar("seconds", seconds, above=0, at_most=_LONGEST)
    magnify = check_integer("magnify", magnify, at_least=1)
    pixels = np.rint(255 * np.clip(to_host(frames), 0, 1)).astype(np.uint8)
    first, *others = (
        Image.fromarray(p).resize((magnify * p.shape[1], magnify * p.shape[0]), Image.NEAREST)
        for p in pixels
    )
    buffer = io.BytesIO()
    duration = round(1000 * seconds / len(pixels))  # ms; without `loop` it plays once
    first.save(buffer, format="GIF", save_all=True, append_images=others, duration=duration)
    if notebook.is_running():
        _publish("image/gif", base64.b64encode(buffer.getvalue()).decode(), alt, caption)


def slider(
    values: Sequence[Any],
    draw: Callable[[Any, Any], None],
    *,
    label: str,
    alt: Callable[[Any], str],
    caption: str,
    start: int = 0,
    rows: int = 1,
    columns: int = 1,
    width: float = 7.2,
    height: float | None = None,
    **subplots: Any,
) -> None:
    """Show one figure for each value, and a control with which the reader goes through them.

    The page shows one of them at a time, with a range input below; in a notebook, in print and
    without JavaScript it is the figure of `values[start]`.

    Parameters
    ----------
    values : sequence
        The values of the one quantity that tells the story, in order: numbers, or texts.
    draw : callable
        ``draw(axes, value)`` draws the figure of one value on empty panels.  Axes should keep their
        limits from value to value, or the reader compares scales.
    label : str
        The quantity's name, with its unit.
    alt : callable
        ``alt(value)`` is the figure's alternative text.
    caption : str
        The sentence below all figures (Markdown and ``$formulas$`` allowed).
    start : int
        Index of the value that is shown first.
    rows, columns, width, height, **subplots
        As for `figure`.

    Raises
    ------
    ValueError
        If there are fewer than two values, `start` is none of them, a text is missing, or an axis
        of data has no label.
    """
    values = list(values)
    if len(values) < 2:
        raise ValueError(f"values must be at least two, got {len(values)}")
    start = check_integer("start", start, at_least=0, at_most=len(values) - 1)
    if not isinstance(label, str) or not label.strip():
        raise ValueError("label must name the quantity that the reader changes")
    import matplotlib.pyplot as plt

    images, alts = [], []
    with matplotlib.style.context(STYLE):
        for value in values:
            alts.append(alt(value))
            _check_texts(alts[-1], caption)
            fig, axes = plt.subplots(
                rows, columns, figsize=(width, height or 3.0 * rows), **subplots
            )
            try:
                draw(axes, value)
                _check_labels(fig)
                images.append(_image(fig))
            finally:
                plt.close(fig)
    if notebook.is_running():
        words = [v if isinstance(v, str) else format_number(float(v)) for v in values]
        frames = [
            {"kind": kind, "data": data, "alt": " ".join(text.split()), "value": word}
            for (kind, data), text, word in zip(images, alts, words, strict=True)
        ]
        first = frames[start]
        more = {"slider": {"label": label, "start": start, "frames": frames}}
        _publish(first["kind"], first["data"], first["alt"], caption, more)


def _check_texts(alt: str, caption: str) -> None:
    for name, text in (("alt", alt), ("caption", caption)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name} must say in words what the figure shows")


def _check_labels(fig: Any) -> None:
    """Refuse axes with tick marks but no label (pictures switch their axes off)."""
    for ax in fig.axes:
        if not ax.axison or ax.get_label() == "<colorbar>" or not ax.has_data():
            continue
        shared = ax.get_subplotspec()
        for axis, outer in ((ax.xaxis, "is_last_row"), (ax.yaxis, "is_first_col")):
            hidden = shared is not None and not getattr(shared, outer)()
            ticks = axis.get_visible() and len(axis.get_ticklocs()) > 0
            named = axis.get_label_text().strip() or (hidden and _labels_are_shared(ax, axis))
            if ticks and not named:
                raise ValueError(f"the {axis.axis_name} axis of a panel has no label")


def _labels_are_shared(ax: Any, axis: Any) -> bool:
    group = ax.get_shared_x_axes() if axis.axis_name == "x" else ax.get_shared_y_axes()
    others = group.get_siblings(ax)
    return any(getattr(o, f"get_{axis.axis_name}label")().strip() for o in others)


def _show(fig: Any, alt: str, caption: str) -> None:
    """Display the figure as SVG where that is small, else as PNG; do nothing outside Jupyter."""
    kind, data = _image(fig)
    if notebook.is_running():
        _publish(kind, data, alt, caption)


def _image(fig: Any) -> tuple[str, str]:
    """Return a figure's kind of data and the data; outside Jupyter draw it for its errors only."""
    if not notebook.is_running():
        fig.canvas.draw()
        return "", ""
    image = _render(fig, "svg")
    if len(image) > _LARGEST_SVG:
        return "image/png", base64.b64encode(_render(fig, "png")).decode()
    return "image/svg+xml", image.decode()


def _publish(
    kind: str, data: str, alt: str, caption: str, more: dict[str, Any] | None = None
) -> None:
    """Attach an image with its texts to the running cell."""
    texts = {"alt": " ".join(alt.split()), "caption": " ".join(caption.split())}
    plain = f"Figure: {texts['caption']}"
    notebook.publish({kind: data, "text/plain": plain}, {kind: {**texts, **(more or {})}})
    # Jupyter shows no caption of its own; the website knows this output and drops it.
    markdown = {"text/markdown": f"*{texts['caption']}*"}
    notebook.publish(markdown, {"text/markdown": {"caption": True}})


def _render(fig: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 160}
    fig.savefig(buffer, format=kind, **options)
    if kind == "svg":
        return buffer.getvalue()
    return _quantised(buffer)


def _quantised(buffer: io.BytesIO) -> bytes:
    """Return a PNG with a palette of 256 colours where no pixel moves by more than the eye sees."""
    from PIL import Image

    full = Image.open(buffer).convert("RGB")
    small = full.quantize(256, dither=Image.Dither.NONE)
    change = np.abs(np.asarray(full, int) - np.asarray(small.convert("RGB"), int)).max()
    output = io.BytesIO()
    (small if change <= 12 else full).save(output, format="PNG", optimize=True)
    return output.getvalue()
