"""Trials of a toy chapter: what does not travel is seen, and so is a break that nothing notices."""

import json

import numpy as np
import pytest

from bookbuild import trial, verdicts
from bookbuild.breaks import breaks
from bookbuild.breaks import report as report_breaks
from bookbuild.project import BookError, Project
from bookbuild.trial import OFFSET, Setting, unseen
from bookbuild.verdicts import OWN, differences

CHAPTER = """\
import os
from gaussbook.arrays import Generator, generator
from gaussbook.claims import Claims
signal, rival, named = 3.0, 1.0, Generator(7).standard_normal()
noise = float(generator(3).standard_normal())
measured = signal + 0.1 * noise
claims = Claims("toy")
claims.check("C1", "the signal", measured=measured, at_least=2)
claims.check("C2", "a lucky draw", measured=noise, between=({noise} - 0.01, {noise} + 0.01))
claims.check("C3", "named", measured=named, equals={named})
claims.check("C4", "threads", measured=int(os.environ["OMP_NUM_THREADS"]), at_most=1)
{extra}
claims.report()
"""
NOISE = float(np.random.default_rng(3).standard_normal())
NAMED = float(np.random.default_rng(7).standard_normal())
TWO = Setting("two threads", {"OMP_NUM_THREADS": "2"})


def source(extra=""):
    return CHAPTER.format(noise=repr(NOISE), named=repr(NAMED), extra=extra)


def run(setting=OWN, extra="", **options):
    return trial.run(source(extra), setting, name="toy.py", **options)


def test_a_trial_returns_the_claims_whether_they_hold_or_not():
    assert [fact["verdict"] for fact in run()["claims"]] == ["holds"] * 4
    result = run(TWO)
    assert [fact["verdict"] for fact in result["claims"]] == ["holds"] * 3 + ["fails"]
    assert result["error"] is None and result["seconds"] > 0


@pytest.mark.parametrize("extra", ["1 / 0", "import sys; sys.exit(3)", "raise KeyboardInterrupt"])
def test_a_chapter_that_stops_says_where_and_keeps_what_it_checked(extra):
    result = run(extra=extra)
    assert result["error"] and len(result["claims"]) == 4


def test_a_process_that_dies_is_a_result_too():
    result = run(extra="os.kill(os.getpid(), 9)")
    assert result["claims"] == [] and "status -9" in result["error"]


def test_the_trial_ends_with_the_last_row_that_it_waits_for():
    result = run(until=("C2", "C1"), extra="1 / 0")
    assert [fact["id"] for fact in result["claims"]] == ["C1", "C2"] and result["error"] is None


def test_seeds_are_shifted_for_all_but_named_draws():
    facts = {fact["id"]: fact for fact in run(unseen(1)[0])["claims"]}
    shifted = float(np.random.default_rng(3 + OFFSET).standard_normal())
    assert facts["C2"]["measured"] == shifted and facts["C2"]["verdict"] == "fails"
    assert facts["C3"]["verdict"] == "holds"


def test_replications_of_a_sweep_are_shifted_too():
    code = (
        "import numpy as np\nfrom gaussbook import arrays\nfrom gaussbook.claims import Claims\n"
        "seed = np.random.SeedSequence(5)\nclaims = Claims('toy')\n"
        "draw = arrays.generator(seed).host.random()\n"
        "claims.check('C1', 'a', measured=draw, at_least=0)\nclaims.report()\n"
    )
    values = {trial.run(code, s, name="t.py")["claims"][0]["measured"] for s in [OWN, *unseen(2)]}
    assert len(values) == 3


def test_the_arithmetic_of_the_settings_is_another_one():
    oldest, *others, threads = verdicts.arithmetic()
    cores = [setting.environment["OPENBLAS_CORETYPE"] for setting in (oldest, *others)]
    assert len(set(cores)) == len(cores)
    assert threads.environment["OPENBLAS_NUM_THREADS"] == "2"
    code = (
        "import threadpoolctl\nfrom numpy._core import _multiarray_umath as umath\n"
        "import numpy\nfrom gaussbook.claims import Claims\nclaims = Claims('toy')\n"
        "blas = [i for i in threadpoolctl.threadpool_info() if i['user_api'] == 'blas'][0]\n"
        "name = oldest = {core!r}\n"
        "claims.check('C1', 'core', measured=blas['architecture'].lower() == oldest, equals=1)\n"
        "left = [f for f in umath.__cpu_dispatch__ if umath.__cpu_features__[f]]\n"
        "claims.check('C2', 'features', measured=len(left), equals=0)\nclaims.report()\n"
    )
    core = oldest.environment["OPENBLAS_CORETYPE"].lower()
    if not core:
        pytest.skip("NumPy's BLAS offers no choice of kernels here")
    result = trial.run(code.format(core=core), oldest, name="t.py")
    assert [fact["verdict"] for fact in result["claims"]] == ["holds", "holds"], result
    for setting, core in zip(others, cores[1:], strict=True):
        result = trial.run(code.format(core=core.lower()), setting, name="t.py")
        assert result["claims"][0]["verdict"] == "holds", result


def _fact(id, measured, verdict="holds", **options):
    return {
        "id": id, "statement": "s", "kind": "own", "paper": None, "measured": measured,
        "relation": "at_most", "threshold": 1.0, "unit": "", "seeds": None, "spread": None,
        "verdict": verdict, "reason": None, **options,
    }  # fmt: skip


def _compare(*results, settings=None):
    settings = settings or [OWN, TWO, *unseen(5)][: len(results)]
    return differences([{"claims": r, "error": None} for r in results], settings)


def test_equal_verdicts_travel():
    rows, travels = _compare([_fact("C1", 0.5)], [_fact("C1", 0.53)])
    assert rows == [] and travels


def test_a_number_that_moves_is_shown_and_a_verdict_that_changes_fails():
    rows, travels = _compare([_fact("C1", 0.5)], [_fact("C1", 0.6)])
    assert "moved: 0.5 → 0.6" in rows[0][2] and travels
    rows, travels = _compare([_fact("C1", 0.5)], [_fact("C1", 1.5, "fails")])
    assert rows[0][:2] == ("C1", "two threads") and not travels
    rows, travels = _compare([_fact("C1", 2, "not reproduced")], [_fact("C1", 0.5, "fails")])
    assert "not reproduced → fails" in rows[0][2] and not travels


def test_a_claim_may_change_its_verdict_under_one_offset_only():
    same, other = [_fact("C1", 0.1)], [_fact("C1", 1.2, "fails")]
    assert _compare(same, same, other, same, same)[1]
    assert not _compare(same, same, other, other, same)[1]


def test_rows_that_vanish_stops_and_failures_do_not_travel():
    one, two = [_fact("C1", 0.5)], [_fact("C1", 0.5), _fact("C2", 0.5)]
    assert not _compare(two, one)[1] and not _compare(one, two)[1]
    assert not _compare([_fact("C1", 2, "fails")], [_fact("C1", 2, "fails")])[1]
    stopped = [{"claims": one, "error": None}, {"claims": one, "error": "ValueError: no"}]
    rows, travels = differences(stopped, [OWN, TWO])
    assert rows == [("–", "two threads", "ValueError: no")] and not travels


def test_a_claim_near_its_threshold_is_thin():
    results = [[_fact("C1", value)] for value in (0.5, 0.5, 0.2, 0.9, 0.6, 0.95, 0.8)]
    rows, travels = _compare(*results)
    assert travels and rows[0][:2] == ("C1", "over the seeds") and "sd from" in rows[0][2]


@pytest.fixture
def book(tmp_path):
    """Return a book of one toy chapter and what writes its breaks."""
    (tmp_path / "book" / "mixtures").mkdir(parents=True)
    (tmp_path / "tests" / "breaks").mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "_toc.yml").write_text("format: jb-book\n")
    chapter = tmp_path / "book" / "mixtures" / "toy"
    chapter.with_suffix(".py").write_text(source())
    chapter.with_suffix(".md").write_text("# Toy\n\n```{code-cell}\n1\n```\n")

    def write(*lines):
        head = "from bookbuild.breaks import Break\nBREAKS = [\n"
        text = head + "\n".join(f"Break({line})," for line in lines) + "\n]\n"
        (tmp_path / "tests" / "breaks" / "toy.py").write_text(text)
        return Project(tmp_path)

    return write


NO_SIGNAL = '"no signal", ("C1",), {"signal + 0.1": "0.1"}'
NO_LUCK = '"no luck", ("C2",), {"generator(3)": "generator(4)"}'
RIVAL = '"the rival", ("C1",), {"signal + ": "rival + "}, competitor=True'


def test_breaks_that_are_noticed(book, capsys):
    assert report_breaks(book(NO_SIGNAL, NO_LUCK, RIVAL), [], 0, 1)
    assert "3 trials, 0 unnoticed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"harmless", ("C1",), {"0.1 * noise": "0.2 * noise"}', "C1 holds"),
        ('"a typo", ("C9",), {"signal + 0.1": "0.1"}', "C9 was not checked"),
        ('"it stops", ("C1",), {"signal + 0.1": "1 / 0"}', "it stopped: ZeroDivisionError"),
    ],
)
def test_a_break_that_nothing_notices(book, capsys, line, words):
    assert not report_breaks(book(NO_SIGNAL, RIVAL, line), ["toy"], 0, 1)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([NO_SIGNAL, RIVAL], "at least 3"),
        ([NO_SIGNAL, NO_LUCK, NO_LUCK], "competitor"),
        ([NO_SIGNAL, RIVAL, '"x", ("C1",), {"no such text": ""}'], "stands 0 times"),
        ([NO_SIGNAL, RIVAL, '"x", ("C1",), {"claims": ""}'], "times in the script, not once"),
        ([NO_SIGNAL, RIVAL, '"x", ("C1",), {"rival": "rival"}'], "replaced by itself"),
        ([NO_SIGNAL, RIVAL, '"x", (), {"rival": "other"}'], "needs edits and the claims"),
    ],
)
def test_breaks_that_do_not_fit_are_refused(book, lines, words):
    project = book(*lines)
    with pytest.raises(BookError, match=words):
        breaks(project, project.chapter("toy"))


def test_a_survey_is_resumed(book, capsys):
    project = book(NO_SIGNAL)
    chapters, settings = project.chapters, [OWN, *unseen(1)]
    first = verdicts.survey(project, chapters, settings, 2)
    assert capsys.readouterr().out.count("4 rows") == 2
    again = verdicts.survey(project, chapters, settings, 2)
    assert capsys.readouterr().out == "" and json.dumps(first) == json.dumps(again)
    script = chapters[0].script
    script.write_text(script.read_text().replace("0.1 * noise", "0.3 * noise"))
    verdicts.survey(project, chapters, settings[:1], 1)
    assert "4 rows" in capsys.readouterr().out


def test_the_report_says_what_does_not_travel(book, capsys):
    project = book(NO_SIGNAL)
    assert not verdicts.report(project, ["toy"], 2, 2)
    out = capsys.readouterr().out
    assert "C2" in out and "those of toy do not" in out
    assert "two threads" in out and "holds → fails" in out
