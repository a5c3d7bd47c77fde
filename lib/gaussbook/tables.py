"""Tables of results: accessible HTML in a notebook, aligned text in a plain run."""

from __future__ import annotations

import html
import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Any

from gaussbook import notebook

__all__ = ["format_number", "html_table", "table", "text_table"]


def table(rows: Sequence[Sequence[Any]], columns: Sequence[str], caption: str) -> None:
    """Show a table of results; the first cell of each row is its header.

    Parameters
    ----------
    rows : sequence of sequences
        The cells: texts, or numbers, which are shown with four significant digits.
    columns : sequence of str
        The columns' headers, units included.
    caption : str
        What the table shows.

    Raises
    ------
    ValueError
        If there are no rows, a row has not one cell for each column, or the caption is empty.
    """
    if not caption.strip():
        raise ValueError("caption must say what the table shows")
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"rows must be non-empty, with {len(columns)} cells each")
    cells = [[_cell(value) for value in row] for row in rows]
    text = f"{caption}\n{text_table(columns, cells)}"
    if notebook.is_running():
        data = {"text/plain": text, "text/html": html_table(columns, cells, caption)}
        notebook.publish(data)
    else:
        print(text)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return str(value)
    return format_number(float(value))


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: float, digits: int = 4) -> str:
    """Return a number as people write it: ``0.0123``, ``66000``, ``−1.649 × 10⁻¹³``.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        How many significant digits it is rounded to; below a million, whole numbers keep all.
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if 10**digits <= abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    value += 0.0  # a zero has no sign
    mantissa, e, exponent = f"{value:.{digits}g}".replace("-", "−", value < 0).partition("e")
    if not e:
        return mantissa
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return f"{mantissa} × {power}" if mantissa.strip("−") != "1" else mantissa.replace("1", power)


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the cells as text with aligned columns."""
    lines = [columns, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    aligned = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in aligned)


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    *,
    name: str = "results",
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> str:
    """Return the cells as an HTML table with a caption and row and column headers.

    Parameters
    ----------
    columns, rows : sequences of str
        The cells as plain text; they are escaped here.
    caption : str
        The table's caption.
    name : str
        The table's CSS class.
    ids : sequence of str, optional
        An anchor for each row.
    groups : sequence of str, optional
        For each row the group of rows it belongs to; neighbours of one group stand together, and
        the group's name is an anchor too.
    """
    head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in columns)
    lines = []
    for k, (first, *rest) in enumerate(rows):
        anchor = f' id="{html.escape(ids[k])}"' if ids else ""
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr{anchor}><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    bodies = []
    taken = {None, *(ids or ())}  # a group whose rows stand apart is named where it begins
    numbered = range(len(lines))
    for group, members in itertools.groupby(numbered, lambda k: groups[k] if groups else None):
        anchor = "" if group in taken else f' id="{html.escape(group)}"'
        taken.add(group)
        bodies.append(f"<tbody{anchor}>{''.join(lines[k] for k in members)}</tbody>")
    return (
        f'<table class="{name}"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>{''.join(bodies)}</table>"
    )
