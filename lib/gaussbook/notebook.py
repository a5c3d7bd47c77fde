"""What a chapter shows, in a Jupyter kernel or as a plain Python script."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["is_running", "offer", "publish", "say"]

LARGEST_OFFER = 384 * 1024  # bytes; the page and the notebook carry a file within them


def is_running() -> bool:
    """Return whether the code runs in a Jupyter kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


def publish(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Attach one output, given in several MIME types, to the running cell."""
    from IPython.display import display

    display(data, metadata=metadata or {}, raw=True)


def say(text: str) -> None:
    """Show sentences whose numbers the run has measured, as part of the chapter's prose.

    Parameters
    ----------
    text : str
        Markdown, usually an f-string; line breaks within a paragraph are spaces.

    Raises
    ------
    ValueError
        If there is nothing to say.
    """
    if not text.strip():
        raise ValueError("text must hold a sentence")
    if is_running():
        publish({"text/plain": text, "text/markdown": text})
    else:
        print(text)


def offer(name: str, write: Callable[[str], None], text: str) -> None:
    """Offer a small file that the run has made, to be saved from the page.

    The output holds the file itself: the page needs no server, and the file belongs to the run
    whose numbers stand beside it.  A plain run keeps no file and says so, and so does one whose
    file is larger than 384 KiB, as it may be at paper scale.

    Parameters
    ----------
    name : str
        The file's name with its ending, without a folder, as the reader will find it.
    write : callable
        ``write(path)`` writes the file.
    text : str
        What is in it and what opens it; not Markdown.

    Raises
    ------
    ValueError
        If the name holds a folder or has no ending, if there is nothing to say, or if the file was
        not written or is empty.
    """
    if Path(name).name != name or not Path(name).suffix or not name.isprintable():
        raise ValueError(f"name must be a file's, with an ending and no folder, got {name!r}")
    if not text.strip():
        raise ValueError("text must hold a sentence")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        write(path)
        if not os.path.isfile(path):
            raise ValueError("write did not write the file that it was given")
        content = Path(path).read_bytes()
    if not content:
        raise ValueError("write made an empty file")
    plain = f"{name} ({len(content) / 1000:.0f} kB): {text}"
    if len(content) > LARGEST_OFFER:
        say(f"{plain} (It is too large for a page and was not kept.)")
        return
    if not is_running():
        print(f"{plain} (A plain run does not keep it.)")
        return
    address = f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
    page = (
        f'<p class="offer"><a download="{escape(name)}" href="{address}">{escape(name)}</a> '
        f"({len(content) / 1000:.0f} kB): {escape(text)}</p>"
    )
    publish({"text/plain": plain, "text/html": page})
