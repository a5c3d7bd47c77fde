"""No figure without its texts and labels; shown as SVG where small, else as PNG."""

import base64
import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from gaussbook import plotting

TEXTS = {"alt": "A line that rises from one\n to two.", "caption": "It rises: $y = x$."}


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", lambda *output: outputs.append(output))
    return outputs


def _draw(points=2, **options):
    with plotting.figure(**TEXTS, **options) as ax:
        ax.plot(np.linspace(0, 1, points), np.linspace(1, 2, points), "." if points > 9 else "-")
        ax.set(xlabel="time (s)", ylabel="length (m)")


def test_a_small_figure_is_svg_with_its_texts(shown):
    _draw()
    (data, metadata), (caption, _) = shown
    assert data["image/svg+xml"].lstrip().startswith("<?xml")
    assert metadata["image/svg+xml"] == {
        "alt": "A line that rises from one to two.",
        "caption": "It rises: $y = x$.",
    }
    assert caption == {"text/markdown": "*It rises: $y = x$.*"}


def test_the_same_figure_is_the_same_bytes(shown):
    _draw()
    _draw()
    assert shown[0] == shown[2]


def test_a_figure_of_many_marks_is_png(shown):
    _draw(points=20_000)
    data, metadata = shown[0]
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.width >= 1000
    assert metadata["image/png"]["alt"]


@pytest.mark.parametrize("missing", ["alt", "caption"])
@pytest.mark.parametrize("text", ["", "  ", None])
def test_texts_are_demanded(missing, text):
    with (
        pytest.raises(ValueError, match=f"^{missing} must say"),
        plotting.figure(**{**TEXTS, missing: text}),
    ):
        pass


def test_labels_are_demanded():
    with (
        pytest.raises(ValueError, match="the y axis of a panel has no label"),
        plotting.figure(**TEXTS) as ax,
    ):
        ax.plot([1, 2])
        ax.set_xlabel("time (s)")


def test_pictures_and_shared_axes_need_no_labels_of_their_own(shown):
    with plotting.figure(**TEXTS) as ax:
        ax.imshow(np.eye(3))
        ax.set_axis_off()
    with plotting.figure(1, 2, sharey=True, **TEXTS) as axes:
        for ax in axes:
            ax.plot([1, 2])
            ax.set_xlabel("time (s)")
        axes[0].set_ylabel("length (m)")
    assert len(shown) == 4


def test_a_plain_run_draws_and_leaves_nothing_open(capsys):
    before = matplotlib.rcParams["font.size"]
    _draw()
    assert capsys.readouterr().out == ""
    assert plt.get_fignums() == [] and matplotlib.rcParams["font.size"] == before


def test_an_error_inside_the_block_comes_through():
    with pytest.raises(ZeroDivisionError), plotting.figure(**TEXTS):
        1 / 0
    assert plt.get_fignums() == []


def test_the_palette_is_that_of_the_style():
    with matplotlib.style.context(plotting.STYLE):
        colours = [c["color"].lstrip("#") for c in matplotlib.rcParams["axes.prop_cycle"]]
    assert colours == [c.lstrip("#") for c in plotting.PALETTE.values()]
