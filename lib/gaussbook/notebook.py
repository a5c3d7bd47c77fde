"""What a chapter shows, in a Jupyter kernel or as a plain Python script."""

from __future__ import annotations

from typing import Any

__all__ = ["is_running", "publish", "say"]


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
