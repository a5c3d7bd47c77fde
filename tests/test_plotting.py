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


FRAMES = np.linspace(-0.1, 1.1, 4 * 5 * 6 * 3).reshape(4, 5, 6, 3)


def test_an_animation_plays_once_within_five_seconds(shown):
    plotting.animation(FRAMES, seconds=2.0, magnify=3, **TEXTS)
    (data, metadata), _ = shown
    image = Image.open(io.BytesIO(base64.b64decode(data["image/gif"])))
    assert (image.n_frames, image.size) == (4, (18, 15))
    assert "loop" not in image.info
    durations = []
    for k in range(image.n_frames):
        image.seek(k)
        image.load()
        durations.append(image.info["duration"])
    assert sum(durations) == 2000
    last = np.asarray(image.convert("RGB"), float) / 255
    expected = np.repeat(np.repeat(np.clip(FRAMES[-1], 0, 1), 3, axis=0), 3, axis=1)
    assert np.abs(last - expected).max() < 0.1  # 256 colours
    assert metadata["image/gif"]["alt"] == "A line that rises from one to two."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alt": " "}, "alt must say"),
        ({"caption": ""}, "caption must say"),
        ({"frames": FRAMES[0]}, "frames must have"),
        ({"frames": np.full((2, 4, 4, 3), np.nan)}, "frames "),
        ({"frames": FRAMES[:0]}, "frames "),
        ({"seconds": 6}, "seconds must be"),
        ({"seconds": 0}, "seconds must be"),
        ({"magnify": 0}, "magnify must be"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_an_animation_refuses_what_it_cannot_show(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        plotting.animation(**{"frames": FRAMES, **TEXTS, **change})


def _slide(values=(1.0, 2e-7), **options):
    def draw(ax, slope):
        ax.plot([0, 1], [0, float(slope)])
        ax.set(xlabel="time (s)", ylabel="length (m)")

    texts = {"label": "slope", "alt": lambda v: f"A line\n of slope {v}.", "caption": "Slopes."}
    plotting.slider(values, draw, **{**texts, **options})


def test_a_slider_is_a_figure_with_frames(shown):
    _slide(start=1)
    (data, metadata), (caption, _) = shown
    texts = metadata["image/svg+xml"]
    frames = texts["slider"]["frames"]
    assert [frame["value"] for frame in frames] == ["1", "2 × 10⁻⁷"]
    assert [frame["alt"] for frame in frames] == ["A line of slope 1.0.", "A line of slope 2e-07."]
    assert data["image/svg+xml"] == frames[1]["data"] != frames[0]["data"]
    assert texts["alt"] == frames[1]["alt"] and texts["caption"] == "Slopes."
    assert texts["slider"]["label"] == "slope" and texts["slider"]["start"] == 1
    assert caption == {"text/markdown": "*Slopes.*"}
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"values": [1.0]}, "values must be at least two, got 1"),
        ({"start": 2}, "start must be"),
        ({"label": " "}, "label must name"),
        ({"alt": lambda _: ""}, "alt must say"),
        ({"caption": ""}, "caption must say"),
    ],
)
def test_bad_sliders(options, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        _slide(**options)
    assert not plt.get_fignums()


def test_a_slider_checks_every_frame_in_a_plain_run(shown, monkeypatch):
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: False)
    _slide()
    assert shown == []
    with pytest.raises(ValueError, match="the x axis of a panel has no label"):
        plotting.slider(
            [1, 2], lambda ax, _: ax.plot([0, 1]), label="x", alt=str, caption="No labels."
        )
