"""A new chapter: the ten lines of CONTRIBUTING, tried literally from nothing to a green chapter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bookbuild import pairing
from bookbuild.__main__ import main
from bookbuild.project import Project
from bookbuild.skeleton import SECTIONS

ROOT = Path(__file__).parents[2]
ENTRY = """\
@misc{fourth, author = {Doe, Jane}, title = {The Fourth {G}aussian}, year = {2020},
  eprint = {2001.00004}, part = {mixtures}, methods = {K-means}}
"""


@pytest.fixture
def entered(mini):
    """The first line: the paper is in the bibliography."""
    path = mini.root / "book" / "references.bib"
    path.write_text(path.read_text() + ENTRY)
    return mini


def _new(mini, slug):
    return main(["--root", str(mini.root), "new", slug])


def test_the_skeleton_is_a_chapter(entered):
    assert _new(entered, "fourth") == 0
    chapter = Project(entered.root).chapter("fourth")
    text = chapter.markdown.read_text()
    assert "# The Fourth Gaussian\n" in text
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    assert text.count("```{paper-card}\n```") == 1 and "{claims}`C1`" in text
    assert pairing.disagreement(chapter) is None and chapter.notebook.exists()
    contents = yaml.safe_load((entered.root / "_toc.yml").read_text())
    assert [item["file"] for item in contents["chapters"]] == [
        "book/mixtures/one",
        "book/mixtures/two",
        "book/mixtures/fourth",
        "book/bibliography",
    ]


def test_the_first_chapter_of_a_part(entered):
    toc = entered.root / "_toc.yml"
    toc.write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - chapters:\n"
        "      - file: book/mixtures/index\n      - file: book/learning/index\n"
    )
    assert _new(entered, "fourth") == 0
    (part,) = yaml.safe_load(toc.read_text())["parts"]
    assert part["chapters"] == [
        {"file": "book/mixtures/index", "sections": [{"file": "book/mixtures/fourth"}]},
        {"file": "book/learning/index"},
    ]


@pytest.mark.parametrize(
    ("slug", "message"),
    [("fifth", "no entry 'fifth'"), ("one", "one.md exists"), ("fourth", "names no page")],
)
def test_what_cannot_be_begun_is_one_sentence(entered, capsys, slug, message):
    toc = entered.root / "_toc.yml"
    if slug == "fourth":
        toc.write_text("format: jb-book\nroot: book/index\n")
    before = {path: path.read_bytes() for path in entered.root.rglob("*") if path.is_file()}
    assert _new(entered, slug) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before


def _commands(slug):
    """Return the commands of the ten lines, with the line each stands in."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    lines = re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 11))
    return {
        command.replace("<slug>", slug): int(number)
        for number, line in lines
        for command in re.findall(r"`(make [^`]*)`", line)
    }


def _with_an_environment(mini):
    """Give the mini book the Makefile, and this environment as its own."""
    (mini.root / "Makefile").write_text((ROOT / "Makefile").read_text())
    (mini.root / "constraints.txt").write_text((ROOT / "constraints.txt").read_text())
    environment = mini.root / ".venv"
    environment.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != "ready":
            (environment / path.name).symlink_to(path)
    (environment / "ready").touch()


def test_the_ten_lines_lead_to_a_green_chapter(entered):
    _with_an_environment(entered)

    def type_(command):
        return subprocess.run(
            command.split(),
            cwd=entered.root,
            env=entered.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    new, run, test = sorted(_commands("fourth"), key=_commands("fourth").get)
    assert type_(new).returncode == 0
    path = entered.chapter("fourth")
    red = type_(run)
    assert red.returncode != 0
    assert "C1 nothing is measured yet: measured 0, threshold at least 1" in red.stdout
    text = path.read_text()
    text = text.replace('"nothing is measured yet", measured=0', '"one and one", measured=1 + 1')
    path.write_text(text)
    green = type_(run)
    assert green.returncode == 0, green.stdout
    assert "fourth: 1 of 1 claim holds" in green.stdout
    page = entered.page("fourth")
    assert "The Fourth Gaussian" in page and "one and one" in page
    tested = type_(test)
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"fourth: 1 of 1 claim holds.*\(unchanged\)", tested.stdout)


def test_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    command = ["make", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert {name for name, _ in listed} == targets
    assert all(words.strip() for _, words in listed)
