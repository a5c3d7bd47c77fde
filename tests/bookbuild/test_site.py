"""A chapter runs once for each change: counted, on a book of two chapters."""

import time


def _built(result):
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_a_chapter_runs_once_for_each_change(mini):
    output = _built(mini.build())
    assert mini.executions() == ["one", "two"]
    assert "one: 1 hold" in output and "two: 1 hold" in output
    assert "Some prose about Paper one" in mini.page("one")
    assert "1 mm" in mini.page("one")

    started = time.perf_counter()
    _built(mini.build())
    assert mini.executions() == []
    assert time.perf_counter() - started < 20

    text = mini.chapter("one").read_text()
    mini.chapter("one").write_text(text.replace("Some prose", "Better prose"))
    _built(mini.build())
    assert mini.executions() == []
    assert "Better prose about Paper one" in mini.page("one")
    assert "Better prose" in mini.chapter("one").with_suffix(".py").read_text()

    text = mini.chapter("two").read_text()
    mini.chapter("two").write_text(text.replace("at_most=10", "at_most=11"))
    _built(mini.build())
    assert mini.executions() == ["two"]
    assert "at most 11 mm" in mini.page("two")

    (mini.root / "lib/toy/deep.py").write_text("NUMBER = 3\n")  # imported by toy.direct only
    _built(mini.build())
    assert mini.executions() == ["one"]
    assert "3 mm" in mini.page("one")

    (mini.root / "lib/toy/other.py").write_text("def value():\n    return 4\n")
    _built(mini.build())
    assert mini.executions() == ["two"]
    assert "4 mm" in mini.page("two")
    assert "4 mm" in (mini.root / "_build/html/book/index.html").read_text()  # the scoreboard


def test_one_chapter_alone(mini):
    _built(mini.build("chapter", "two"))
    assert mini.executions() == ["two"]
    assert "2 mm" in mini.page("two")
    assert "has not been run in its present form" in mini.page("one")
    unknown = mini.build("chapter", "tow")
    assert unknown.returncode == 1
    assert "there is no chapter 'tow'; the chapters are: one, two" in unknown.stdout


def test_warnings_of_sphinx_are_errors(mini):
    text = mini.chapter("one").read_text()
    mini.chapter("one").write_text(text.replace("Some prose", "See [nothing](nowhere.md)."))
    result = mini.build()
    assert result.returncode == 1
    assert "nowhere" in result.stdout
