"""What a chapter says and offers, in a kernel and in a plain run."""

import base64
import re
from pathlib import Path

import pytest

from gaussbook.notebook import LARGEST_OFFER, offer, say


def test_a_plain_run_prints_the_sentence(capsys):
    say(f"Off by {0.125:.1%}.")
    assert capsys.readouterr().out == "Off by 12.5%.\n"


def test_a_kernel_shows_it_as_markdown(monkeypatch):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    say("Off by *two*.")
    assert shown == [{"text/plain": "Off by *two*.", "text/markdown": "Off by *two*."}]


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_not_said(text):
    with pytest.raises(ValueError, match="^text must hold a sentence"):
        say(text)


def writer(content):
    return lambda path: Path(path).write_bytes(content)


def test_a_kernel_offers_the_file_itself(monkeypatch):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    content = bytes(range(256)) * 8
    offer("scene.ply", writer(content), "A <scene> & more.")
    (data,) = shown
    assert data["text/plain"] == "scene.ply (2 kB): A <scene> & more."
    assert "A &lt;scene&gt; &amp; more." in data["text/html"]
    name, kind, coded = re.search(
        r'download="([^"]*)" href="data:([^;]*);base64,([^"]*)"', data["text/html"]
    ).groups()
    assert (name, kind) == ("scene.ply", "application/octet-stream")
    assert base64.b64decode(coded) == content


def test_a_plain_run_says_what_it_would_offer(capsys):
    offer("scene.ply", writer(b"abc"), "A scene.")
    assert capsys.readouterr().out == "scene.ply (0 kB): A scene. (A plain run does not keep it.)\n"


@pytest.mark.parametrize(
    "name", ["", "scene", "a/scene.ply", "../scene.ply", "sc\nene.ply", ".ply"]
)
def test_a_name_is_a_name(name):
    with pytest.raises(ValueError, match="^name must be a file's"):
        offer(name, writer(b"abc"), "A scene.")


@pytest.mark.parametrize("running", [False, True])
def test_a_large_file_is_not_carried_and_this_is_said(monkeypatch, capsys, running):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: running)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    offer("scene.ply", writer(b"a" * (LARGEST_OFFER + 1)), "A scene.")
    said = shown[0]["text/markdown"] if running else capsys.readouterr().out
    assert said.strip().endswith("A scene. (It is too large for a page and was not kept.)")


def test_nothing_written_and_nothing_said_are_errors():
    with pytest.raises(ValueError, match="^write did not write"):
        offer("scene.ply", lambda path: None, "A scene.")
    with pytest.raises(ValueError, match="^write made an empty file"):
        offer("scene.ply", writer(b""), "A scene.")
    with pytest.raises(ValueError, match="^text must hold a sentence"):
        offer("scene.ply", writer(b"abc"), " ")
