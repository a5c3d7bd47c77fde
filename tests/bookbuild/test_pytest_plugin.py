"""Chapters as tests: one nbmake item each, run once for each change."""

import subprocess
import sys

from .. import PATIENCE


def _pytest(mini, *options, **variables):
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    command += ["--nbmake", "--overwrite", f"--rootdir={mini.root}", *options]
    return subprocess.run(
        [*command, "book"],
        cwd=mini.root,
        env=mini.environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_one_item_for_each_chapter_made_from_the_text_forms(mini):
    listing = _pytest(mini, "--collect-only").stdout
    assert sorted(line for line in listing.splitlines() if ".ipynb" in line) == [
        "book/mixtures/one.ipynb::one.ipynb",
        "book/mixtures/two.ipynb::two.ipynb",
    ]


def test_a_fresh_chapter_passes_without_running_unless_told_to(built):
    first = _pytest(built)
    assert first.returncode == 0, first.stdout
    assert "one: 1 of 1 claim holds; 1 row (unchanged)" in first.stdout
    assert built.executions() == []
    assert _pytest(built, "--rerun-chapters").returncode == 0
    assert built.executions() == ["one", "two"]


def test_a_chapter_that_failed_fails_again_without_running(mini):
    mini.write("two", "other", "raise ValueError('no')")
    for executions in (["one", "two"], []):
        result = _pytest(mini)
        assert result.returncode == 1
        assert "two: stopped in code cell 1 of 2 (import os): ValueError: no" in result.stdout
        assert "1 failed, 1 passed" in result.stdout
        assert "Traceback" not in result.stdout
        assert mini.executions() == executions
    assert _pytest(mini, "--rerun-chapters").returncode == 1
    assert mini.executions() == ["one", "two"]


def test_a_wrong_setting_is_one_sentence(mini):
    result = _pytest(mini, GAUSSBOOK_SCALE="papier")
    assert result.returncode == 4
    assert result.stderr.startswith("ERROR: GAUSSBOOK_SCALE is 'papier'")
    assert mini.executions() == []


def test_a_pair_that_disagrees_fails_and_is_named(mini):
    script = mini.chapter("one").with_suffix(".py")
    _pytest(mini, "--collect-only")
    script.write_text(script.read_text().replace("Some prose", "Other prose"))
    text = mini.chapter("one").read_text()
    mini.chapter("one").write_text(text.replace("Some prose", "Third prose"))
    result = _pytest(mini)
    assert result.returncode == 1
    assert "edited differently" in result.stdout and "bookbuild pair --keep" in result.stdout
    assert mini.executions() == ["two"]


def test_a_path_through_a_link_is_the_same_book(mini, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    link = elsewhere / "link"
    link.symlink_to(mini.root, target_is_directory=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    result = subprocess.run(
        [*command, str(link / "book")],
        cwd=elsewhere,
        env=mini.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert mini.executions() == ["one", "two"]
    by_cd = _pytest(mini)
    assert by_cd.returncode == 0 and by_cd.stdout.count("(unchanged)") == 2
    assert mini.executions() == []
