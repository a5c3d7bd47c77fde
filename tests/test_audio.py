"""A sound is part of the page, waits for the reader, and has words."""

import base64
import io
import re

import numpy as np
import pytest
from scipy.io import wavfile

from gaussbook.arrays import to_host
from gaussbook.audio import player

WORDS = {"title": "A <tone>", "description": "One pure\n tone."}


def published(monkeypatch, signal, rate=8000):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    player(signal, rate, **WORDS)
    (bundle,) = shown
    return bundle


def test_the_page_holds_the_samples(monkeypatch, xp):
    signal = xp.asarray(np.sin(np.arange(800) * 0.3))
    page = published(monkeypatch, signal)["text/html"]
    (data,) = re.findall(r'src="data:audio/wav;base64,([^"]*)"', page)
    rate, samples = wavfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == 8000 and samples.dtype == np.int16
    assert np.abs(samples).max() == pytest.approx(0.9 * 32767, abs=1)
    scaled = samples / np.abs(samples).max()
    np.testing.assert_allclose(scaled, to_host(signal) / np.abs(to_host(signal)).max(), atol=1e-4)


def test_it_has_controls_words_and_does_not_start_by_itself(monkeypatch):
    bundle = published(monkeypatch, np.ones(8000))
    page = bundle["text/html"]
    assert "<audio controls" in page and "autoplay" not in page
    assert 'aria-label="A &lt;tone&gt;"' in page and "One pure tone." in page
    assert bundle["text/plain"] == "Sound, 1.0 s: A <tone>. One pure tone."


def test_a_plain_run_prints_the_words(capsys):
    player(np.ones(4000), 8000, **WORDS)
    assert capsys.readouterr().out == "Sound, 0.5 s: A <tone>. One pure tone.\n"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("title", {"title": " "}),
        ("description", {"description": ""}),
        ("signal", {"signal": np.zeros(10)}),
        ("signal", {"signal": np.ones((2, 10))}),
        ("signal", {"signal": np.asarray([1.0, np.nan])}),
        ("rate", {"rate": 0}),
    ],
)
def test_bad_arguments_are_named(name, arguments):
    given = {"signal": np.ones(10), "rate": 8000, **WORDS, **arguments}
    with pytest.raises(ValueError, match=f"^{name}"):
        player(given.pop("signal"), given.pop("rate"), **given)
