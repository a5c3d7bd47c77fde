"""A claim holds, fails or is not reproduced; a failing one raises with number and threshold."""

import json
import math

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
    assert "C2.b slope: measured not a number, threshold between 0.1 and 0.2" in message
    assert "holds well" not in message
    assert "✗ fails" in capsys.readouterr().out  # the table stands above the error


def test_a_finding_does_not_raise_unless_it_unexpectedly_holds(claims, capsys):
    claims.check("C1", "gain", measured=0.1, at_least=1, not_reproduced="no gain at this size")
    claims.report()
    assert "○ not reproduced: no gain at this size" in capsys.readouterr().out
    claims.check("C2", "gain", measured=3, at_least=1, not_reproduced="no gain at this size")
    with pytest.raises(ClaimError, match="marked as not reproduced .* but it holds"):
        claims.report()


def test_the_bundle_is_the_schemas(claims, monkeypatch):
    shown = []
    monkeypatch.setattr("gaussbook.notebook.is_running", lambda: True)
    monkeypatch.setattr("gaussbook.notebook.publish", shown.append)
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "numpy")
    claims.check("C1", "a < b", measured=1, equals=1, within=0.5, unit="s", paper="1", seeds=3)
    claims.check("C2", "b", measured=math.inf, at_most=1, not_reproduced="diverges")
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
        "paper": "1",
        "measured": 1.0,
        "relation": "equals",
        "threshold": [1.0, 0.5],
        "unit": "s",
        "seeds": 3,
        "verdict": "holds",
        "reason": None,
    }
    assert bundle["claims"][1]["measured"] is None
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
    ],
)
def test_a_check_that_cannot_decide_is_refused(claims, id, options, words):
    with pytest.raises(ValueError, match=words):
        claims.check(id, "a number", measured=0, **options)


def test_ids_are_used_once_and_statements_are_needed(claims):
    claims.check("C1", "a", measured=0, at_most=1)
    with pytest.raises(ValueError, match="C1 is checked twice"):
        claims.check("C1", "b", measured=0, at_most=1)
    with pytest.raises(ValueError, match="statement of C2 is empty"):
        claims.check("C2", " ", measured=0, at_most=1)


def test_nothing_checked_is_an_error(claims):
    with pytest.raises(ValueError, match="checks no claim"):
        claims.report()


@pytest.mark.parametrize("slug", ["", "Some Paper", "some-paper", "1paper"])
def test_bad_slugs(slug):
    with pytest.raises(ValueError, match="slug must be"):
        Claims(slug)
