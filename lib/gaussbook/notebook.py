"""Where a chapter runs: in a Jupyter kernel, or as a plain Python script."""

from __future__ import annotations

from typing import Any

__all__ = ["is_running", "publish"]


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
