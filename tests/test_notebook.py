"""A sentence is shown as Markdown in a kernel and printed elsewhere."""

import pytest

from gaussbook.notebook import say


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
