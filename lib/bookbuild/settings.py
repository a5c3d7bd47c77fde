"""What the environment asks for, checked before anything runs."""

from __future__ import annotations

import os

from bookbuild import execution
from bookbuild.project import BookError
from gaussbook import arrays
from gaussbook.scale import current_scale


def check() -> None:
    """Check the scale, the backend and the limits.

    Raises
    ------
    BookError
        If one of them cannot be used here, in one sentence.
    """
    try:
        current_scale()
        if os.environ.get("GAUSSBOOK_BACKEND", "auto") != "auto":
            arrays.backend()
    except (ValueError, arrays.BackendError) as error:
        raise BookError(str(error)) from error
    try:
        limit = execution.cell_limit()
    except ValueError:
        limit = 0.0
    if not limit > 0:
        value = os.environ["GAUSSBOOK_CELL_LIMIT"]
        raise BookError(f"GAUSSBOOK_CELL_LIMIT must be a number of seconds, got {value!r}")
