"""A claim holds, fails or is not reproduced; a failing one raises with number and threshold."""

import json
import math

import array_api_strict as xps
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaussbook.claims import MIME_TYPE, ClaimError, Claims

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
def claims():
    return Claims("some_paper")


def _verdict(**options):
    claims = Claims("some_paper")
    claims.check("C1", "a number", **options)
    return claims.claims[0].verdict


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"measured": 1.5, "at_most": 1.5}, "holds"),
        ({"measured": 1.51, "at_most": 1.5}, "fails"),
        ({"measured": 2, "at_least": 2}, "holds"),
        ({"measured": 1.9, "at_least": 2}, "fails"),
        ({"measured": 1, "between": (0, 1)}, "holds"),
        ({"measured": 1.1, "between": (0, 1)}, "fails"),
        ({"measured": 3.05, "equals": 3, "within": 0.1}, "holds"),
        ({"measured": 3.2, "equals": 3, "within": 0.1}, "fails"),
        ({"measured": True, "equals": 1}, "holds"),
        ({"measured": 2.0000001, "equals": 2}, "fails"),
        ({"measured": 0, "at_least": 1, "not_reproduced": "too small"}, "not reproduced"),
        ({"measured": 2, "at_least": 1, "not_reproduced": "too small"}, "fails"),
    ],
)
def test_verdicts(options, verdict):
    assert _verdict(**options) == verdict


@given(st.sampled_from([{"at_most": 1}, {"at_least": 1}, {"between": (0, 1)}, {"equals": 1}]))
def test_nan_never_passes(relation):
    assert _verdict(measured=math.nan, **relation) == "fails"


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_exactly_the_right_side_holds(value, bound):
    assert (_verdict(measured=value, at_most=bound) == "holds") == (value <= bound)
    assert (_verdict(measured=value, at_least=bound) == "holds") == (value >= bound)


def test_report_names_every_failing_claim_with_number_and_threshold(claims, capsys):
    claims.check("C1", "holds well", measured=0, at_most=1)
    claims.check("C2.a", "plan error", measured=2.1, at_most=1.5, unit="%")
    claims.check("C2.b", "slope", measured=math.nan, between=(0.1, 0.2))
    with pytest.raises(ClaimError) as error:
        claims.report()
    message = str(error.value)
    assert message.startswith("some_paper: 2 of 3 fail")
    assert "C2.a plan error: measured 2.1 %, threshold at most 1.5 %" in message
    assert "C2.b slope: measured not finite, threshold between 0.1 and 0.2" in message
    assert "the number is nan" in message
    assert "holds well" not in message
    assert "✗ fails" in capsys.readouterr().out  # the table stands above the error


def test_a_finding_does_not_raise_unless_it_unexpectedly_holds(claims, capsys):
    claims.check("C1", "gain", measured=0.1, at_least=1, not_reproduced="no gain at this size")
    claims.report()
    assert "○ not reproduced: no gain at this size" in capsys.readouterr().out
    claims = Claims("some_paper")
    claims.check("C2", "gain", measured=3, at_least=1, not_reproduced="no gain at this size")
    with pytest.raises(ClaimError, match="marked as not reproduced .* but it holds"):
        claims.report()


def test_the_bundle_is_the_schemas(claims, monkeypatch):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "numpy")
    claims.check("C1", "a < b", measured=1, equals=1, within=0.5, unit="s", paper="1", seeds=3)
    claims.check("C2", "b", measured=2, at_most=1, not_reproduced="diverges", spread=0.4)
    claims.report_value("C3", "c", measured=np.float32(2.5), unit="s", own=True)
    claims.report()
    bundle = json.loads(json.dumps(shown[0][MIME_TYPE], allow_nan=False))
    assert list(bundle) == ["slug", "scale", "backend", "device", "seconds", "claims"]
    assert (bundle["slug"], bundle["scale"], bundle["backend"]) == (
        "some_paper",
        "default",
        "numpy",
    )
    assert bundle["seconds"] >= 0 and bundle["device"]
    assert bundle["claims"][0] == {
        "id": "C1",
        "statement": "a < b",
        "kind": "number",
        "paper": "1",
        "measured": 1.0,
        "relation": "equals",
        "threshold": [1.0, 0.5],
        "unit": "s",
        "seeds": 3,
        "spread": None,
        "verdict": "holds",
        "reason": None,
    }
    assert bundle["claims"][1]["spread"] == 0.4
    reported = bundle["claims"][2]
    assert (reported["verdict"], reported["relation"], reported["threshold"]) == (
        "reported",
        None,
        None,
    )
    assert [claim["kind"] for claim in bundle["claims"]] == ["number", "statement", "own"]
    html = shown[0]["text/html"]
    assert 'id="C1"' in html and "a &lt; b" in html and "1 s (3 seeds)" in html


@pytest.mark.parametrize(
    ("id", "options", "words"),
    [
        ("2", {"at_most": 1}, "id must look like"),
        ("C2.A", {"at_most": 1}, "id must look like"),
        ("C1", {}, "exactly one of .* got none"),
        ("C1", {"at_most": 1, "at_least": 0}, "exactly one of .* got at_most, at_least"),
        ("C1", {"at_most": 1, "within": 0.1}, "within of C1 goes with equals"),
        ("C1", {"between": (2, 1)}, "between of C1"),
        ("C1", {"equals": 1, "within": -1}, "within of C1"),
        ("C1", {"at_most": math.nan}, "not finite"),
        ("C1", {"at_most": math.inf}, "not finite"),
        ("C1", {"between": (math.nan, 1)}, "between of C1"),
        ("C1", {"at_most": 1, "not_reproduced": " "}, "must say why"),
        ("C1", {"at_most": "1"}, "at_most of C1 must be one real number"),
        ("C1", {"between": "12"}, "between of C1 must be one real number"),
        ("C1", {"equals": 1j}, "equals of C1 must be one real number"),
        ("C1", {"equals": 1, "within": "0.1"}, "within of C1 must be one real number"),
        ("C1", {"at_most": 1, "seeds": 2.5}, "seeds of C1"),
        ("C1", {"at_most": 1, "seeds": 0}, "seeds of C1"),
        ("C1", {"at_most": 1, "seeds": True}, "seeds of C1"),
        ("C1", {"at_most": 1, "spread": -1}, "spread of C1"),
        ("C1", {"at_most": 1, "spread": math.nan}, "spread of C1"),
        ("C1", {"at_most": 1, "paper": 1.5}, "paper of C1"),
        ("C1", {"at_most": 1, "paper": "1.5", "own": True}, "own of C1"),
    ],
)
def test_a_check_that_cannot_decide_is_refused(claims, id, options, words):
    with pytest.raises(ValueError, match=words):
        claims.check(id, "a number", measured=0, **options)


def test_ids_are_used_once_and_statements_are_needed(claims):
    claims.check("C1", "a", measured=0, at_most=1)
    with pytest.raises(ValueError, match="C1 is checked twice"):
        claims.check("C1", "b", measured=0, at_most=1)
    with pytest.raises(ValueError, match="statement of C2 must be one line of words"):
        claims.check("C2", " ", measured=0, at_most=1)
    with pytest.raises(ValueError, match="statement of C2 must be one line of words"):
        claims.check("C2", "a\n| b", measured=0, at_most=1)


def test_nothing_checked_is_an_error(claims):
    with pytest.raises(ValueError, match="checks no claim"):
        claims.report()
    claims.report_value("C1", "seconds", measured=1.5, unit="s")
    with pytest.raises(ValueError, match="checks no claim"):
        claims.report()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("inf")])
def test_what_is_not_finite_neither_holds_nor_counts_as_a_finding(claims, value):
    for k, relation in enumerate([{"at_most": 3}, {"at_least": 3}, {"equals": 3, "within": 1}]):
        claims.check(f"C1.{k}", "a", measured=value, **relation)
        claims.check(f"C2.{k}", "a", measured=value, **relation, not_reproduced="too far")
    assert {claim.verdict for claim in claims.claims} == {"fails"}
    assert {claim.measured_text() for claim in claims.claims} == {"not finite"}
    with pytest.raises(ValueError, match="measured of C3 must be finite"):
        claims.report_value("C3", "a", measured=value)


@pytest.mark.parametrize("value", [1 + 0j, "1", None, [1.0], np.ones(2), np.array("1"), b"1"])
def test_only_one_real_number_is_measured(claims, value):
    with pytest.raises(ValueError, match="measured of C1 must be one real number"):
        claims.check("C1", "a", measured=value, at_most=2)


@pytest.mark.parametrize(
    "value", [1, True, 1.0, np.int8(1), np.float32(1), np.array(1.0), np.ones((1, 1)), xps.ones(())]
)
def test_numbers_and_arrays_of_one_number_are_measured(claims, value):
    claims.check("C1", "a", measured=value, equals=1, seeds=np.int64(5))
    assert type(claims.claims[0].measured) is float and type(claims.claims[0].seeds) is int
    assert json.loads(json.dumps(claims.bundle()))["claims"][0]["verdict"] == "holds"


def test_nothing_comes_after_the_report(claims, capsys):
    claims.check("C1", "a", measured=0, at_most=1)
    claims.report()
    with pytest.raises(ValueError, match="C2 comes after the report"):
        claims.check("C2", "a", measured=0, at_most=1)
    with pytest.raises(ValueError, match="C3 comes after the report"):
        claims.report_value("C3", "a", measured=0)
    with pytest.raises(ValueError, match="reports its claims twice"):
        claims.report()


def test_rows_stand_by_their_numbers(claims, capsys):
    for id in ("C10", "C2.b", "C1", "C2.a", "C10.a"):
        claims.check(id, "a", measured=0, at_most=1)
    claims.report()
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == ["C1", "C2.a", "C2.b", "C10", "C10.a"]
    assert [fact["id"] for fact in claims.bundle()["claims"]] == shown


@given(FINITE, FINITE)
def test_numbers_that_differ_read_differently(value, bound):
    claims = Claims("some_paper")
    claims.check("C1", "a", measured=value, at_most=bound)
    measured, threshold = claims.claims[0].measured_text(), claims.claims[0].threshold_text()
    assert (f"at most {measured}" == threshold) <= (value == bound)


def test_the_slack_is_told_in_the_numbers_own_spread(claims, capsys):
    claims.check("C1", "a", measured=1.0, at_most=1.46, spread=0.2)
    claims.check("C2", "a", measured=1.0, between=(0.9, 5), spread=0.2)
    claims.check("C3", "a", measured=1.0, at_least=2, spread=0.5, not_reproduced="small")
    claims.report()
    text = capsys.readouterr().out
    assert "at most 1.46 (2.3 sd from the threshold)" in text
    assert "between 0.9 and 5 (0.5 sd from the threshold)" in text
    assert "at least 2 (2 sd from the threshold on the other side)" in text


@pytest.mark.parametrize("slug", ["", "Some Paper", "some-paper", "1paper"])
def test_bad_slugs(slug):
    with pytest.raises(ValueError, match="slug must be"):
        Claims(slug)
