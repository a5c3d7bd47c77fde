"""Faults that a build survives, or ends on with a clear word."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from bs4 import BeautifulSoup

from bookbuild import pdf, site
from bookbuild.__main__ import main
from bookbuild.locks import locked
from bookbuild.project import BookError
from gaussbook import arrays

from .. import PATIENCE

WAIT = """
import pathlib, time
while not pathlib.Path(os.environ["EXECUTIONS"] + ".go").exists():
    time.sleep(0.05)
"""


def _wait_for(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _release(mini):
    mini.log.with_name("executions.go").touch()


def _is_done(mini, slug):
    path = mini.notebook(slug)
    try:
        return "key" in json.loads(path.read_text())["metadata"]["gaussbook"]
    except (OSError, ValueError, KeyError):
        return False


def test_a_site_stands_whatever_fails_and_says_so_in_red(built):
    """One chapter with a false claim, one that stops: all pages are there, and the build fails."""
    (built.root / "lib/toy/other.py").write_text("def value():\n    return 20.5\n")
    built.edit("one", "from toy", "raise OSError('<b>no</b> such thing')\nfrom toy")
    result = built.build()
    assert result.returncode == 1
    false = "1 of 1 rows fail: C1 the toy's value: measured 20.5 mm, threshold at most 10 mm"
    stop = "stopped in code cell 1 of 2 (import os): OSError: <b>no</b> such thing"
    assert f"  two: FAILED, {false} (" in result.stdout
    end = result.stdout.split("error: ")[1]
    assert end.startswith("2 chapters failed on this machine")
    assert f"two: {false}\n" in end and f"one: {stop}\n" in end
    assert "Traceback" not in end
    assert (built.root / "_build/complete").exists()
    for slug, words in (("two", false), ("one", stop)):
        page = BeautifulSoup(built.page(slug), "html.parser")
        (box,) = page.select("div.admonition.danger.failure")
        assert words in box.get_text() and "fails on this machine" in box.get_text()
    assert "20.5 mm" in built.page("two")  # the failed run's own outputs
    assert "OSError" in built.page("one")
    index = (built.root / "_build/html/book/index.html").read_text()
    board = BeautifulSoup(index, "html.parser").select_one("article")
    totals, *_ = board.select("p")
    assert "0 of 1 claim holds, 1 fails; 1 row" in totals.get_text()
    assert "0 of 1 claim holds, 1 fails; 1 row" in board.select_one(".scoreboard").get_text()
    red = [each.get_text() for each in board.select("p.failure")]
    names = {"Paper one", "Paper two"}
    assert len(red) == 2  # below the totals, and above the scoreboard
    for words in red:
        head, _, titles = words.removesuffix(".").partition(": ")
        assert head == "2 chapters fail on this machine" and set(titles.split(", ")) == names
    rows = json.loads((built.root / "_build/html/book/scoreboard.json").read_text())
    assert [row["verdict"] for row in rows] == ["failed", "fails", "no chapter yet"]
    downloaded = nbformat.read(built.root / "_build/html/book/mixtures/one.ipynb", 4)
    assert any(o.output_type == "error" for c in downloaded.cells for o in c.get("outputs", []))
    # at the next build both run again, and what is mended is green
    built.executions()
    (built.root / "lib/toy/other.py").write_text("def value():\n    return 2\n")
    built.edit("one", "raise OSError('<b>no</b> such thing')\n", "")
    result = built.build()
    assert result.returncode == 0, result.stdout
    assert built.executions() == []  # the verified runs of these inputs were kept
    for slug in ("one", "two"):
        assert "failure" not in built.page(slug)


def test_pairs_that_disagree_cost_their_own_chapter_only(built):
    built.edit("one", "Some prose", "Other prose")
    script = built.script("one")
    script.write_text(script.read_text().replace("Some prose", "Third prose"))
    result = built.build()
    assert result.returncode == 1
    assert "1 chapter failed on this machine" in result.stdout
    assert "fails on this machine" in built.page("one")
    assert "Other prose" in built.chapter("one").read_text()
    assert "Third prose" in script.read_text()


def test_killed_in_the_middle_the_finished_chapters_are_kept(mini):
    mini.write("two", "other", WAIT)
    process = mini.start()
    _wait_for(lambda: _is_done(mini, "one"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "one" in mini.executions()
    _release(mini)
    result = mini.build()
    assert result.returncode == 0, result.stdout
    assert mini.executions() == ["two"]
    assert "1 mm" in mini.page("one") and "2 mm" in mini.page("two")


def test_damage_is_repaired_and_never_shown(built):
    mini = built
    half = mini.notebook("one").read_text()
    mini.notebook("one").write_text(half[: len(half) // 2])  # a half-written notebook
    notebook = nbformat.read(mini.notebook("two"), 4)
    for cell in notebook.cells:  # a claim of somebody's own
        for output in cell.get("outputs", []):
            if "application/vnd.gaussbook.claims+json" in output.get("data", {}):
                bundle = output["data"]["application/vnd.gaussbook.claims+json"]
                bundle["claims"][0]["measured"] = 0.001
                output["data"]["text/html"] = "<p>0.001 mm</p>"
    nbformat.write(notebook, mini.notebook("two"))
    cache = mini.root / "_build/jupyter-cache"
    shutil.rmtree(cache)
    cache.write_text("not a folder")
    (mini.root / "_build/complete").unlink()  # as if cut off while writing pages
    (mini.root / "_build/html/book/mixtures/one.html").write_text("<html>half a pa")
    result = mini.build()
    assert result.returncode == 0, result.stdout
    assert mini.executions() == ["one", "two"]
    assert "1 mm" in mini.page("one")
    assert "2 mm" in mini.page("two") and "0.001 mm" not in mini.page("two")


def test_a_second_build_waits_for_the_first(mini):
    mini.write("two", "other", WAIT)
    first = mini.start()
    _wait_for(lambda: mini.log.exists() and "two" in mini.log.read_text())
    second = mini.start()
    line = second.stdout.readline()
    assert line.startswith(f"another build (process {first.pid}) is running here; waiting")
    _release(mini)
    assert first.wait(PATIENCE) == 0 and second.wait(PATIENCE) == 0
    assert mini.executions() == ["one", "two"]


def test_ctrl_c_is_one_sentence(mini):
    mini.write("two", "other", WAIT)
    process = mini.start()
    _wait_for(lambda: _is_done(mini, "one") and "two" in mini.log.read_text())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert output.splitlines()[-1] == "stopped; finished chapters are kept"
    assert "Traceback" not in output
    assert _is_done(mini, "one")


def test_a_child_keeps_the_lock_of_a_process_that_was_killed(tmp_path):
    lock = tmp_path / "lock"
    code = (
        "import subprocess, sys; from pathlib import Path; from bookbuild.locks import locked\n"
        f"with locked(Path({str(lock)!r})) as lock:\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], pass_fds=[lock])\n"
        "    print(child.pid, flush=True)\n"
        "    child.wait()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    with open(lock) as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.stdin.close()  # the child ends
    _wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")
    with locked(lock):
        pass


def test_sphinx_and_the_pdf_get_the_lock(built, monkeypatch):
    """Every program that works in ``_build`` holds the lock with the process that starts it."""
    given = []

    def run(command, **options):
        given.append(options["pass_fds"])
        return subprocess.CompletedProcess(command, 1, stdout="no pages")

    monkeypatch.setattr(subprocess, "run", run)
    built.edit("one", "Some prose", "Other prose")
    monkeypatch.setattr(pdf, "chromium", lambda: "chromium")
    for act in (pdf.print_book, site.build):
        with pytest.raises(BookError, match="no pages"):
            act(built.project())
    assert len(given) == 2 and all(len(each) == 1 for each in given)


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({"GAUSSBOOK_SCALE": "papier"}, ["build"], "GAUSSBOOK_SCALE is 'papier'"),
        ({"GAUSSBOOK_BACKEND": "cuda"}, ["build"], "GAUSSBOOK_BACKEND is 'cuda'"),
        ({"GAUSSBOOK_CELL_LIMIT": "long"}, ["build"], "GAUSSBOOK_CELL_LIMIT must be"),
        ({"GAUSSBOOK_CELL_LIMIT": "-1"}, ["build"], "GAUSSBOOK_CELL_LIMIT must be"),
        ({}, ["chapter", "tow"], "there is no chapter 'tow'; the chapters are: one, two"),
    ],
)
def test_what_is_asked_for_is_checked_before_anything_runs(
    mini, monkeypatch, capsys, settings, arguments, words
):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    _says(mini, capsys, words, *arguments)


def test_a_gpu_that_is_not_there_is_named_before_anything_runs(mini, monkeypatch, capsys):
    def backend():
        raise arrays.BackendError("GAUSSBOOK_BACKEND is 'cupy', but no CUDA GPU is visible")

    monkeypatch.setenv("GAUSSBOOK_BACKEND", "cupy")
    monkeypatch.setattr(arrays, "backend", backend)
    _says(mini, capsys, "no CUDA GPU is visible")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title = {Paper two}", "title = {Paper two", "references.bib cannot be read"),
        ("@misc{two,", "@misc{one,", "references.bib cannot be read"),
        ("year = {2020}, ", "", "one has no year"),
        ("author = {Doe, Jane}, ", "", "one has no author"),
        ("title = {Paper one}, ", "", "one has no title"),
        ("part = {mixtures}", "part = {mixture}", "one is of the part 'mixture'"),
    ],
)
def test_a_broken_bibliography_is_one_sentence(mini, capsys, old, new, words):
    path = mini.root / "book/references.bib"
    path.write_text(path.read_text().replace(old, new))
    _says(mini, capsys, words)


@pytest.mark.parametrize("name", ["_toc.yml", "_config.yml"])
def test_a_broken_table_of_contents_is_one_sentence(mini, capsys, name):
    (mini.root / name).write_text("a: [1\n")
    _says(mini, capsys, f"{name} cannot be read")


def test_two_chapters_of_one_name_are_an_error(mini, capsys):
    other = mini.root / "book/experts/one.md"
    other.parent.mkdir()
    shutil.copyfile(mini.chapter("one"), other)
    _says(mini, capsys, "two chapters are called one")


def _says(mini, capsys, words, *arguments):
    """The command ends with one sentence, and nothing has run."""
    assert main(["--root", str(mini.root), *(arguments or ["build"])]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and words in message and message.count("\n") == 1
    assert mini.executions() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write")
def test_a_folder_that_cannot_be_written(mini):
    (mini.root / "_build").symlink_to("/proc/self/fd")
    result = mini.build()
    assert result.returncode == 1
    assert result.stdout.startswith("error: ")
    assert "_build" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_full_disk(mini):
    build = mini.root / "_build"
    build.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(build)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        (build / "ballast").write_bytes(b"x" * 56_000)
        result = mini.build()
    finally:
        subprocess.run(["umount", "-l", str(build)], check=True)
    assert result.returncode == 1
    assert "No space left" in result.stdout or "the disk is full" in result.stdout


@pytest.mark.parametrize(
    ("number", "words"), [(28, "the disk is full"), (30, "cannot be written"), (13, "writable")]
)
def test_errors_of_the_disk_are_one_sentence(mini, monkeypatch, capsys, number, words):
    def fail(project):
        raise OSError(number, os.strerror(number), "_build/html")

    monkeypatch.setattr("bookbuild.site.build", fail)
    assert main(["--root", str(mini.root), "build"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and words in message and message.count("\n") == 1
