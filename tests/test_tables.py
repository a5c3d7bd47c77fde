"""Tables are readable as text and accessible as HTML."""

import math
from html.parser import HTMLParser

import pytest

from gaussbook import tables


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (0.12345, "0.1235"),
        (1e-4, "0.0001"),
        (1.2344e-7, "1.234 × 10⁻⁷"),
        (12345.6, "12346"),
        (1.5e9, "1.5 × 10⁹"),
        (-2.5, "−2.5"),
        (-1.649e-13, "−1.649 × 10⁻¹³"),
        (1e-10, "10⁻¹⁰"),
        (-1e8, "−10⁸"),
        (-66000.0, "−66000"),
        (-0.0, "0"),
        (math.nan, "not a number"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_four_digits(number, text):
    assert tables.format_number(number) == text


def test_plain_run_prints_aligned_columns(capsys):
    tables.table([["a", 1, 0.5], ["long", 20, 2.0]], ["case", "n", "error"], "Errors by case")
    assert capsys.readouterr().out == (
        "Errors by case\ncase  n   error\na     1   0.5\nlong  20  2\n"
    )


def test_notebook_output_has_caption_and_headers(monkeypatch):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    tables.table([["x < y", True]], ["case", "holds"], "A & B")
    html = shown[0]["text/html"]
    assert "<caption>A &amp; B</caption>" in html
    assert '<th scope="col">case</th>' in html and '<th scope="row">x &lt; y</th>' in html
    assert "<td>yes</td>" in html
    HTMLParser().feed(html)


@pytest.mark.parametrize(
    ("rows", "caption", "name"),
    [([], "c", "rows"), ([["a"]], "c", "rows"), ([["a", 1]], " ", "caption")],
)
def test_bad_tables(rows, caption, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        tables.table(rows, ["a", "b"], caption)
