"""One chapter's run: what is kept of it, and what the user's settings and edits do to it."""

import json
import threading

import nbformat
import pytest

from bookbuild import execution, runs

REPORT = """\
claims = Claims("{slug}")
claims.check("C1", "the toy's value", measured=value(), at_most=10, unit="mm")
claims.report()"""


@pytest.fixture
def run(mini):
    """Run the chapter called one, with another first cell or last cell if need be."""

    def run(extra=None, end=None, **options):
        if extra is not None:
            mini.write("one", "direct", extra)
        if end is not None:
            mini.edit("one", REPORT.format(slug="one"), end)
        return runs.run_chapter(mini.project().chapter("one"), mini.project(), **options)

    return run


def _measured(run):
    return run.bundle["claims"][0]["measured"]


def _waiting(mini, meanwhile):
    """Return code that waits for a file, and start a thread that makes it after `meanwhile`."""
    started, go = mini.root / "started", mini.root / "go"

    def act():
        while not started.exists():
            pass
        meanwhile()
        go.touch()

    threading.Thread(target=act, daemon=True).start()
    return (
        "import pathlib, time\n"
        f"pathlib.Path({str(started)!r}).touch()\n"
        f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.01)"
    )


def test_a_verified_run_is_kept(run, mini):
    first = run()
    assert first.failure is None and not first.kept and _measured(first) == 1
    assert run().kept
    assert mini.executions() == ["one"]
    assert not run(again=True).kept
    assert mini.executions() == ["one"]


def test_a_failed_run_is_kept_apart_and_not_made_again_unless_asked(run, mini):
    run()
    before = mini.notebook("one").read_bytes()
    mini.executions()
    deep = mini.root / "lib/toy/deep.py"
    deep.write_text("NUMBER = 20.5\n")
    failed = run()
    assert failed.failure.kind == "claims"
    assert str(failed) == (
        "1 of 1 rows fail: C1 the toy's value: measured 20.5 mm, threshold at most 10 mm"
    )
    assert mini.notebook("one").read_bytes() == before
    assert run().kept and run().failure == failed.failure
    assert mini.executions() == ["one"]
    assert not run(retry=True).kept
    assert mini.executions() == ["one"]
    deep.write_text("NUMBER = 1\n")  # back: the verified outputs are there still
    assert run().failure is None and run().kept
    assert mini.executions() == []


def test_a_run_that_fails_at_once_keeps_the_verified_outputs(run, mini, monkeypatch):
    run()
    before = mini.notebook("one").read_bytes()
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "nonsense")
    assert run("from gaussbook import arrays; arrays.backend()").failure is not None
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "numpy")
    mini.write("one", "direct")
    run()
    assert nbformat.reads(before.decode(), 4).cells[1].outputs == []
    assert mini.executions() == ["one", "one"]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("try:\n    claims.report()\nexcept AssertionError:\n    pass", "1 of 1 rows fail: C1"),
        ("claims.report()", "1 of 1 rows fail: C1"),
        ("import os; os._exit(3)", "the kernel died (exit status 3)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ran out of memory"),
        ("raise MemoryError", "stopped in code cell 2 of 2"),
        ("raise SystemExit(0)", "stopped in code cell 2 of 2"),
        ("0 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_failure_is_found_whatever_the_chapter_says(run, end, words):
    check = 'claims = Claims("one")\nclaims.check("C1", "a", measured=20, at_most=10)\n'
    assert words in run(end=check + end).failure.text


def test_an_error_in_the_middle_ends_the_run_and_keeps_what_came_before(run):
    failed = run("print('before')\nraise ValueError('in the middle')")
    assert "code cell 1 of 2 (import os): ValueError: in the middle" in failed.failure.text
    kinds = [output.output_type for output in failed.notebook.cells[1].outputs]
    assert kinds == ["stream", "error"]
    assert failed.bundle is None


def test_a_syntax_error_is_one_sentence_and_nothing_runs(run, mini):
    assert "is no Python: SyntaxError" in run("x = (1").failure.text
    assert mini.executions() == []
    run("x = 1")
    assert run().failure is None  # a refusal is forgotten when its reason is gone


def test_a_syntax_error_of_the_library_is_one_sentence(run, mini):
    (mini.root / "lib/toy/deep.py").write_text("NUMBER = (\n")
    assert "SyntaxError" in run().failure.text


def test_a_header_that_changes_after_the_run_is_seen(run, mini):
    run()
    more = "execution:\n  allow_errors: true\n"
    mini.edit("one", "kernelspec:", f"{more}kernelspec:")
    assert run().failure.kind == "refused"
    mini.edit("one", more, "")
    assert run().failure is None and run().kept
    assert mini.executions() == ["one"]


def test_a_declaration_that_changes_after_the_run_is_seen(run, mini):
    assert run().failure is None
    mini.edit("one", "`C1`", "`C1, C2`")
    runs.prepare(mini.project().chapter("one"), mini.project())
    assert "C2" in runs.last_run(mini.project().chapter("one"), mini.project()).failure.text
    mini.edit("one", "C1, C2", "C1")
    assert run().failure is None
    assert mini.executions() == ["one"]


def test_the_users_settings_change_nothing(run, mini, monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    start = home / ".ipython/profile_default/startup/00.py"
    start.parent.mkdir(parents=True)
    poison = "import builtins; builtins.POISON = 1\n"
    start.write_text(poison)
    (home / "start.py").write_text(poison)
    (home / "sitecustomize.py").write_text(poison)
    (home / "json.py").write_text("raise ImportError('a module of the user')")
    kernel = home / ".local/share/jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    style = home / ".config/matplotlib/matplotlibrc"
    style.parent.mkdir(parents=True)
    for path in (style, mini.chapter("one").with_name("matplotlibrc"), home / "matplotlibrc"):
        path.write_text("lines.linewidth: 17\n")
    config = home / ".jupyter/jupyter_config.json"
    config.parent.mkdir()
    config.write_text("not json")
    for name, value in {
        "HOME": home,
        "IPYTHONDIR": home / ".ipython",
        "JUPYTER_CONFIG_DIR": home / ".jupyter",
        "JUPYTER_PATH": home / ".local/share/jupyter",
        "MPLCONFIGDIR": home,
        "MATPLOTLIBRC": home,
        "PYTHONSTARTUP": home / "start.py",
        "PYTHONPATH": home,
        "PYTHONOPTIMIZE": 2,
        "PYTHONHASHSEED": 7,
        "OMP_NUM_THREADS": 7,
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": "AVX2",
        "SKLEARN_ASSUME_FINITE": 1,
    }.items():
        monkeypatch.setenv(name, str(value))
    checks = """
import builtins, json, sys
import matplotlib
assert not hasattr(builtins, "POISON")
assert matplotlib.rcParams["lines.linewidth"] == 1.5
assert sys.flags.optimize == 0 and sys.flags.hash_randomization == 0
assert os.environ["OMP_NUM_THREADS"] == "1"
assert not [n for n in os.environ if n.startswith(("OPENBLAS_C", "NPY_", "SKLEARN"))]
assert os.listdir(".") == []
ours = os.path.realpath(os.environ["IPYTHONDIR"]), os.path.realpath(".")
from ipykernel.kernelapp import IPKernelApp
for folder in IPKernelApp.instance().config_file_paths:
    assert os.path.realpath(folder).startswith(ours), folder
from IPython.core import shellapp
assert shellapp.SYSTEM_CONFIG_DIRS + shellapp.ENV_CONFIG_DIRS == []
"""
    result = run(checks)
    assert result.failure is None, result.failure


def test_metadata_of_the_notebook_changes_nothing(run, mini):
    runs.prepare(mini.project().chapter("one"), mini.project())
    notebook = nbformat.read(mini.notebook("one"), 4)
    notebook.metadata.execution = {"allow_errors": True, "timeout": 0}
    notebook.metadata.kernelspec.name = "no-such-kernel"
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.metadata.nbmake = {"mock": {"value": "lambda: 7"}, "post_cell_execute": ["value = 8"]}
    first.metadata.tags = []
    nbformat.write(notebook, mini.notebook("one"))
    assert _measured(run()) == 1


def test_an_edit_of_prose_during_the_run_survives(run, mini):
    def edit():
        notebook = nbformat.read(mini.notebook("one"), 4)
        notebook.cells[0].source += "\n\nA reader's remark."
        nbformat.write(notebook, mini.notebook("one"))

    result = run(_waiting(mini, edit))
    assert result.failure is None
    assert "A reader's remark." in mini.notebook("one").read_text()
    assert run().kept
    assert "A reader's remark." in mini.chapter("one").read_text()


def test_an_edit_of_code_during_the_run_survives_and_the_run_does_not_count(run, mini):
    def edit():
        notebook = nbformat.read(mini.notebook("one"), 4)
        notebook.cells[-1].source = notebook.cells[-1].source.replace("at_most=10", "at_most=11")
        nbformat.write(notebook, mini.notebook("one"))

    assert "was changed while it ran" in run(_waiting(mini, edit)).failure.text
    assert "at_most=11" in mini.notebook("one").read_text()
    again = run(retry=True)
    assert again.failure is None
    assert again.bundle["claims"][0]["threshold"] == 11
    assert "at_most=11" in mini.chapter("one").read_text()


@pytest.mark.parametrize("back", [True, False])
def test_a_library_that_changes_during_the_run_is_seen(run, mini, back):
    deep = mini.root / "lib/toy/deep.py"

    def edit():
        deep.write_text("NUMBER = 7\n")

    code = _waiting(mini, edit) + "\nvalue()"
    if back:  # the chapter has measured the other number by then
        code += f"\nif value() == 7:\n    pathlib.Path({str(deep)!r}).write_text('NUMBER = 1\\n')"
    failed = run(code)
    assert "while it ran" in failed.failure.text
    assert "key" not in nbformat.read(mini.notebook("one"), 4).metadata.gaussbook
    assert run(retry=True).failure is None


def test_a_cell_over_its_processor_time_is_ended_and_named(run, monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_CELL_LIMIT", "5")
    failed = run("while True:\n    pass")
    assert "stopped in code cell 1 of 2 (import os): over 5 seconds" in failed.failure.text


def test_a_cell_that_only_waits_is_ended_after_ten_times_the_limit(mini, monkeypatch):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import time\ntime.sleep(1000)")]
    )
    monkeypatch.setenv("GAUSSBOOK_CELL_LIMIT", "0.2")
    outcome = execution.run(notebook, mini.root / "lib", mini.root / "_build/kernels")
    assert "no end after 2 seconds" in outcome.stopped


def test_a_run_knows_what_it_took(mini):
    work = "import time\nheld = bytearray(300_000_000)\n"
    work += "while time.process_time() < 1.5: pass\ntime.sleep(0.3)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(work)])
    outcome = execution.run(notebook, mini.root / "lib", mini.root / "_build/kernels")
    assert outcome.stopped is None
    assert 1.5 <= outcome.processor < 30
    assert 3e8 <= outcome.memory < 3e9


def test_an_interrupt_ends_the_run(run, mini):
    interrupt = threading.Event()
    code = _waiting(mini, interrupt.set) + "\nwhile True: time.sleep(0.01)"
    with pytest.raises(KeyboardInterrupt):
        run(code, interrupt=interrupt)


@pytest.fixture
def shared(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GAUSSBOOK_CACHE", str(folder))
    return folder


def _forget(mini):
    mini.notebook("one").unlink()


def test_a_run_is_shared_by_its_key(run, mini, shared):
    ran = run()
    _forget(mini)
    taken = run()
    assert mini.executions() == ["one"]
    assert taken.kept and taken.bundle == ran.bundle and taken.stamp == ran.stamp
    (mini.root / "lib/toy/deep.py").write_text("NUMBER = 3\n")
    assert _measured(run()) == 3
    run(again=True)
    assert mini.executions() == ["one", "one"]


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_shared_run_is_passed_over(run, mini, shared, damage):
    run()
    _forget(mini)
    (file,) = shared.iterdir()
    content = file.read_bytes()
    file.write_bytes(content.replace(b"20", b"21") if damage is None else damage)
    assert run().failure is None
    assert mini.executions() == ["one", "one"]


def test_a_failed_run_is_not_shared(run, shared):
    run(end="0 / 0")
    assert list(shared.iterdir()) == []


def test_nothing_is_shared_unless_asked(run, mini, monkeypatch):
    monkeypatch.delenv("GAUSSBOOK_CACHE", raising=False)
    run()
    _forget(mini)
    run()
    assert mini.executions() == ["one", "one"]
