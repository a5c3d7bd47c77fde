"""A chapter runs once for each change, and pages follow contents: on a book of two chapters."""

import os
import re

import pytest
from bs4 import BeautifulSoup

from bookbuild import project
from bookbuild.__main__ import main


def _ok(result):
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_a_first_build_runs_everything_and_a_second_nothing(built):
    assert "1 mm" in built.page("one")
    assert "Some prose about Paper one" in built.page("one")
    output = _ok(built.build())
    assert "2 chapters unchanged, 0 to run" in output
    assert "the pages are those of the last build" in output
    assert built.executions() == []


def test_a_chapter_runs_once_for_each_change(built):
    built.edit("one", "Some prose", "Better prose")
    built.edit("two", "at_most=10", "at_most=11")
    output = _ok(built.build())
    assert built.executions() == ["two"]
    assert "two: 1 of 1 claim holds; 1 row" in output
    assert "Better prose about Paper one" in built.page("one")
    assert "Better prose" in built.script("one").read_text()
    assert "at most 11 mm" in built.page("two")

    (built.root / "lib/toy/deep.py").write_text("NUMBER = 3\n")  # imported by toy.direct only
    _ok(built.build())
    assert built.executions() == ["one"]
    assert "3 mm" in built.page("one")
    assert "3 mm" in (built.root / "_build/html/book/index.html").read_text()  # the scoreboard


def test_the_longest_chapter_starts_first(built, monkeypatch):
    """With one worker, the order of starting is the order of the lines."""
    from bookbuild import pairing, runs, site

    for slug, seconds in (("one", 1.0), ("two", 50.0)):
        notebook = pairing.read(built.notebook(slug))
        notebook.metadata["gaussbook"]["seconds"] = seconds
        pairing.write(built.notebook(slug), notebook)
    (built.root / "lib/toy/deep.py").write_text("NUMBER = 3\n")
    started = []
    monkeypatch.setattr(site.costs, "processors", lambda: 1)
    monkeypatch.setattr(
        runs, "run_chapter", lambda chapter, *_, **__: started.append(chapter.slug) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        site._execute(built.project().chapters, built.project())
    assert started[0] == "two"


def _in_the_past(path):
    """Give an edited file an old date, as ``cp -p`` and a clock that was set back do."""
    os.utime(path, (1_000_000_000, 1_000_000_000))


def test_pages_follow_contents_and_not_times(built):
    built.edit("one", "Some prose", "Better prose")
    bibliography = built.root / "book/references.bib"
    bibliography.write_text(bibliography.read_text().replace("Paper three", "Third paper"))
    contents = built.root / "_toc.yml"
    contents.write_text(contents.read_text() + "  - file: book/more\n")
    more = built.root / "book/more.md"
    more.write_text("# A page of its own\n")
    other = built.root / "lib/toy/other.py"
    other.write_text("def value():\n    return 4\n")
    for path in (built.chapter("one"), bibliography, contents, more, other):
        _in_the_past(path)
    _ok(built.build())
    assert "Better prose about Paper one" in built.page("one")
    assert "4 mm" in built.page("two")
    for page in ("book/bibliography", "book/index"):
        html = (built.root / f"_build/html/{page}.html").read_text()
        assert "Third paper" in html and "Paper three" not in html
    assert "A page of its own" in built.page("one")  # in the contents at its side


def test_pages_that_stay_can_still_be_searched(built):
    built.edit("one", "Some prose", "Better prose")
    _ok(built.build())
    found = (built.root / "_build/html/searchindex.js").read_text()
    assert '"toy one"' in found and '"toy two"' in found


def test_a_configuration_from_the_past_counts(built):
    config = built.root / "_config.yml"
    config.write_text(re.sub("(?m)^title: .*$", "title: Another title", config.read_text()))
    _in_the_past(config)
    _ok(built.build())
    assert "Another title" in built.page("two")


def test_one_chapter_alone(mini):
    _ok(mini.build("chapter", "two"))
    assert mini.executions() == ["two"]
    assert "2 mm" in mini.page("two")
    assert "has not been run in its present form" in mini.page("one")
    unknown = mini.build("chapter", "tow")
    assert unknown.returncode == 1
    assert "there is no chapter 'tow'; the chapters are: one, two" in unknown.stdout


def test_warnings_of_sphinx_are_errors(built):
    built.edit("one", "Some prose", "See [nothing](nowhere.md).")
    result = built.build()
    assert result.returncode == 1
    assert "nowhere" in result.stdout
    assert not (built.root / "_build/complete").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more", "````{code-cell} ipython3\nprint(1)\n````\n"),
        ("mixtures/index", "~~~{code-cell} ipython3\nprint(1)\n~~~\n"),
        ("mixtures/deeper/page", "- x\n\n  ```{code-cell} ipython3\n  print(1)\n  ```\n"),
    ],
)
def test_code_outside_a_chapter_is_an_error(mini, name, text):
    path = mini.root / f"book/{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# More\n\n{text}")
    result = mini.build()
    assert result.returncode == 1
    assert f"error: book/{name}.md: code to execute outside a chapter" in result.stdout
    assert mini.executions() == []


def test_code_that_is_only_shown_is_none(mini):
    path = mini.root / "book/more.md"
    path.write_text("# More\n\n````{code-block} md\n```{code-cell} ipython3\nx\n```\n````\n")
    assert project.cells(path) == 0


@pytest.fixture
def odd(built):
    """Claims with awkward words, one of which fails, and a paper without an arXiv number."""
    rows = """\
for k, words in enumerate(WORDS):
    claims.check(f"C{k}", words, measured=-k, at_most=10, unit="a|b")
claims.check("C9.a", "x", measured=20, at_most=10, paper="*19* | <i>x</i>")
claims.report_value("C9.b", "seconds", measured=3.5, own=True)
claims.report()"""
    built.edit("two", "claims.report()", f"WORDS = {WORDS}\n{rows}".replace("C1", "C11"))
    built.edit("two", 'check("C1"', 'check("C11"')
    ids = [*(f"C{k}" for k in range(len(WORDS))), "C9.a", "C9.b", "C11"]
    built.edit("two", "`C1`", f"`{', '.join(ids)}`")
    bibliography = built.root / "book/references.bib"
    first, two, *others = re.split("(?m)^(?=@)", bibliography.read_text())[1:]
    two = two.replace("eprint = {2001.00001}", "doi = {10.1000/two}")
    bibliography.write_text("".join([first, two, *others]))
    return built


WORDS = [
    "<script>alert(1)</script>",
    "</table> a | b",
    "*stars* `ticks` $x$ [link](x)",
    "=1+1",
    "@sum",
    "{cite}`nothing`",
    "a & b &lt; c",
    'it\'s "quoted" -- ...',
]


def test_a_claims_words_are_shown_as_they_are(odd):
    result = odd.build()
    assert result.returncode == 1
    assert "two: 1 of 11 rows fail: C9.a x: measured 20" in result.stdout
    html = odd.root / "_build/html/book"
    page, board = (
        BeautifulSoup(path.read_text(), "html.parser")
        for path in (html / "mixtures/two.html", html / "index.html")
    )
    for rows, column in ((page.select(".paper-card table.claims tbody tr"), 0),
                         (board.select(".scoreboard tbody tr"), 1)):  # fmt: skip
        cells = [[cell.get_text().strip() for cell in row.find_all(["td", "th"])] for row in rows]
        words = {each[column]: each[column + 1] for each in cells if each[column + 1] in WORDS}
        assert [words[f"C{k}"] for k in range(len(WORDS))] == WORDS
        assert any("*19* | <i>x</i>" in each for each in cells)
        assert any("reported" in each[k] for each in cells for k in (0, -1))
    assert not [s for s in page.select("main script, article script") if "alert" in s.get_text()]
    text = (html / "scoreboard.csv").read_text()
    assert ",'=1+1," in text and ",'@sum," in text and ",-1.0," in text
    assert '"verdict": "reported"' in (html / "scoreboard.json").read_text()
    assert "10 of 11 claims hold, 1 fails; 12 rows" in board.get_text()
    assert page.select_one(".paper-card a[href='https://doi.org/10.1000/two']")
    assert "arXiv" not in page.select_one(".paper-card").get_text()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_build/shown/one.ipynb/no", "a folder where a file belongs"),
        ("book/references.bib", "@misc{one, title = {"),
        ("book/more.md", "# More\n\n```{code-cell} ipython3\n1\n```\n"),
    ],
)
def test_the_old_site_is_not_complete_after_a_failure_before_the_pages(built, capsys, name, text):
    marker = built.root / "_build/complete"
    assert marker.exists()
    (built.root / "_build/shown/one.ipynb").unlink()
    path = built.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert main(["--root", str(built.root), "build"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not marker.exists()


def test_pages_that_were_cut_off_are_drawn_again(built):
    """A build that was killed among the pages leaves its mark; nothing it wrote is trusted."""
    (built.root / "_build/complete").unlink()
    (built.root / "_build/typesetting").touch()
    (built.root / "_build/html/book/mixtures/two.html").write_text("half a pa")
    _ok(built.build())
    assert "2 mm" in built.page("two")
    assert built.executions() == []
    assert not (built.root / "_build/typesetting").exists()
