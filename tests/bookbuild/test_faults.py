"""Faults that a build survives, or ends on with a clear word."""

import json
import os
import shutil
import signal
import subprocess
import time

import nbformat
import pytest

from bookbuild.__main__ import main

WAIT = """
import pathlib, time
while not pathlib.Path(os.environ["EXECUTIONS"] + ".go").exists():
    time.sleep(0.05)
"""


def _wait_for(condition, seconds=60):
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


def test_a_false_claim_is_named_with_number_and_threshold(mini):
    (mini.root / "lib/toy/other.py").write_text("def value():\n    return 20.5\n")
    result = mini.build()
    assert result.returncode == 1
    assert "two: FAILED" in result.stdout
    message = "two: 1 of 1 fail: C1 the toy's value: measured 20.5 mm, threshold at most 10 mm"
    assert message in result.stdout
    assert not (mini.root / "_build/html").exists()  # no page shows a claim that fails
    assert _is_done(mini, "one") and not _is_done(mini, "two")


def test_a_chapter_without_claims_fails(mini):
    text = mini.chapter("one").read_text()
    mini.chapter("one").write_text(text.replace("claims.report()", ""))
    result = mini.build()
    assert result.returncode == 1
    assert "one reports no claims" in result.stdout


def test_killed_in_the_middle_the_finished_chapters_are_kept(mini):
    mini.write("two", "other", WAIT)
    process = mini.start()
    _wait_for(lambda: _is_done(mini, "one"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(["pkill", "-9", "-f", str(mini.root)], check=False)  # kernels of its own session
    assert "one" in mini.executions()
    _release(mini)
    result = mini.build()
    assert result.returncode == 0, result.stdout
    assert mini.executions() == ["two"]
    assert "1 mm" in mini.page("one") and "2 mm" in mini.page("two")


def test_damage_is_repaired_and_never_shown(mini):
    assert mini.build().returncode == 0
    mini.executions()
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


def test_a_chapter_that_hangs_is_ended_and_named(mini):
    mini.write("two", "other", WAIT)
    started = time.monotonic()
    result = mini.build(GAUSSBOOK_CELL_LIMIT="4")
    assert result.returncode == 1
    assert "two: FAILED" in result.stdout and "after 4 seconds" in result.stdout
    assert time.monotonic() - started < 60
    assert _is_done(mini, "one")


def test_a_second_build_waits_for_the_first(mini):
    mini.write("two", "other", WAIT)
    first = mini.start()
    _wait_for(lambda: mini.log.exists() and "two" in mini.log.read_text())
    second = mini.start()
    line = second.stdout.readline()
    assert line.startswith(f"another build (process {first.pid}) is running here; waiting")
    _release(mini)
    assert first.wait(120) == 0 and second.wait(120) == 0
    assert mini.executions() == ["one", "two"]


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
