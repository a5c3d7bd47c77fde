"""Claims as data: what a paper says, what was measured here, and whether it holds.

A chapter makes one `Claims`, calls `Claims.check` for every number of its spec, or
`Claims.report_value` for a number without a verdict, and ends with `Claims.report`, which shows the
table, attaches the same facts to the cell's output as ``application/vnd.gaussbook.claims+json`` and
raises if a claim fails.
"""

from __future__ import annotations

import math
import numbers
import operator
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gaussbook import arrays, notebook
from gaussbook.arrays import to_host
from gaussbook.scale import current_scale
from gaussbook.tables import format_number, html_table, text_table

__all__ = ["KINDS", "MIME_TYPE", "SIGNS", "Claim", "ClaimError", "Claims"]

MIME_TYPE = "application/vnd.gaussbook.claims+json"

HOLDS = "holds"
FAILS = "fails"
NOT_REPRODUCED = "not reproduced"
REPORTED = "reported"

KINDS = {
    "number": "the paper's number",
    "statement": "the paper's statement",
    "own": "our own check",
}
"""What a row tests, in words."""

SIGNS = {HOLDS: "✓", FAILS: "✗", NOT_REPRODUCED: "○", REPORTED: "·"}
"""The sign before a verdict."""


class ClaimError(AssertionError):
    """One or more claims of a chapter fail; the message names each with number and threshold."""


@dataclass(frozen=True)
class Claim:
    """One measured number: the fields of the JSON schema, in its order."""

    id: str
    statement: str
    kind: str  # "number", "statement" or "own": see KINDS
    paper: str | None
    measured: float | None  # None stands for NaN and infinities, which JSON does not have
    relation: str | None  # "at_most", "at_least", "between", "equals"; None if only reported
    threshold: float | list[float] | None  # [low, high] of between, [value, within] of equals
    unit: str
    seeds: int | None
    spread: float | None  # standard deviation of the measured number from seed to seed
    verdict: str
    reason: str | None

    def measured_text(self) -> str:
        """Return the measured number with its unit, apart from every bound that it differs from."""
        if self.measured is None:
            return _with_unit("not finite", self.unit)
        return _with_unit(_apart(self.measured, self._bounds()), self.unit)

    def threshold_text(self) -> str:
        """Return the threshold in words: ``at most 1.5 %``; a dash if there is none."""
        if self.relation is None:
            return "–"
        if self.relation == "between":
            low, high = map(format_number, self.threshold)
            return _with_unit(f"between {low} and {high}", self.unit)
        if self.relation == "equals":
            value, within = self.threshold
            tolerance = f" ± {format_number(within)}" if within else ""
            return _with_unit(f"{format_number(value)}{tolerance}", self.unit)
        words = self.relation.replace("_", " ")
        return _with_unit(f"{words} {format_number(self.threshold)}", self.unit)

    def slack(self) -> float | None:
        """Return the distance to the nearest bound: positive where the claim holds."""
        if self.measured is None or self.relation is None:
            return None
        if self.relation == "at_most":
            return self.threshold - self.measured
        if self.relation == "at_least":
            return self.measured - self.threshold
        low, high = self._bounds()
        return min(self.measured - low, high - self.measured)

    def slack_text(self) -> str:
        """Return the slack in the number's own standard deviations, or an empty text."""
        slack = self.slack()
        if not self.spread or slack is None:
            return ""
        distance = format_number(float(f"{abs(slack) / self.spread:.2g}"))
        return f"{distance} sd from the threshold" + ("" if slack >= 0 else " on the other side")

    def _bounds(self) -> list[float]:
        if self.relation is None:
            return []
        if self.relation == "equals":
            value, within = self.threshold
            return [value - within, value + within]
        return self.threshold if self.relation == "between" else [self.threshold]


class Claims:
    """The claims of one chapter, checked one by one.

    Parameters
    ----------
    slug : str
        The chapter's name, e.g. ``"light_schrodinger_bridge"``.

    Examples
    --------
    >>> claims = Claims("light_schrodinger_bridge")
    >>> claims.check("C2", "plan error", measured=0.6, at_most=1.5, unit="%")
    >>> claims.report()
    Claim  What is measured  What it is             Paper  Measured here  Threshold      Verdict
    C2     plan error        the paper's statement  –      0.6 %          at most 1.5 %  ✓ holds
    """

    def __init__(self, slug: str):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
            raise ValueError(f"slug must be lower case with underscores, got {slug!r}")
        self.slug = slug
        self.claims: list[Claim] = []
        self._reported = False
        self._started = time.perf_counter()

    def check(
        self,
        id: str,
        statement: str,
        *,
        measured: float,
        at_most: float | None = None,
        at_least: float | None = None,
        between: tuple[float, float] | None = None,
        equals: float | None = None,
        within: float | None = None,
        unit: str = "",
        paper: str | None = None,
        seeds: int | None = None,
        spread: float | None = None,
        own: bool = False,
        not_reproduced: str | None = None,
    ) -> None:
        """Record one measured number and its verdict; it is `report` that raises, not this.

        Parameters
        ----------
        id : str
            The claim's id in the spec, ``"C2"``, or ``"C2.a"`` where it has several numbers.
        statement : str
            What is measured, in words.
        measured : float
            The number found here.  NaN and infinities never pass.
        at_most, at_least, between, equals : float or pair of float
            The threshold: exactly one of them.  Bounds are inclusive.
        within : float, optional
            Absolute tolerance of `equals` (0 if not given).
        unit : str
            Unit of `measured` and of the threshold.
        paper : str, optional
            The paper's own number, as the paper prints it, or its own words.
        seeds : int, optional
            Over how many seeds the number was taken.
        spread : float, optional
            Standard deviation of the measured number itself from one set of seeds to another: the
            table says how many of them lie between the number and its threshold.
        own : bool
            Whether this is a check of ours rather than something that the paper says.
        not_reproduced : str, optional
            Why the claim is known not to hold here: the verdict is then "not reproduced", or
            "fails" if the claim unexpectedly holds.

        Raises
        ------
        ValueError
            If the id is malformed or taken, an argument is no real number, the threshold is
            missing, doubled or not finite, or the claims have been reported already.
        """
        if not_reproduced is not None and not not_reproduced.strip():
            raise ValueError(f"not_reproduced of {id} must say why")
        relation, threshold = _relation(id, at_most, at_least, between, equals, within)
        value = _real(f"measured of {id}", measured)
        reason = not_reproduced
        if not math.isfinite(value):
            verdict, reason = FAILS, f"the number is {value}"
        elif _holds(value, relation, threshold):
            verdict = HOLDS
            if not_reproduced is not None:
                verdict = FAILS
                reason = f"marked as not reproduced ({not_reproduced}), but it holds"
        else:
            verdict = FAILS if not_reproduced is None else NOT_REPRODUCED
        self._append(
            id, statement, value, relation, threshold, verdict, reason,
            unit=unit, paper=paper, seeds=seeds, spread=spread, own=own,
        )  # fmt: skip

    def report_value(
        self,
        id: str,
        statement: str,
        *,
        measured: float,
        unit: str = "",
        paper: str | None = None,
        seeds: int | None = None,
        spread: float | None = None,
        own: bool = False,
    ) -> None:
        """Record a number that has no verdict: a time, an identity, a number for comparison.

        Parameters
        ----------
        id, statement, measured, unit, paper, seeds, spread, own
            As for `check`.

        Raises
        ------
        ValueError
            As for `check`; also if the number is not finite.
        """
        value = _real(f"measured of {id}", measured)
        if not math.isfinite(value):
            raise ValueError(f"measured of {id} must be finite, got {value}")
        self._append(
            id, statement, value, None, None, REPORTED, None,
            unit=unit, paper=paper, seeds=seeds, spread=spread, own=own,
        )  # fmt: skip

    def _append(
        self, id, statement, value, relation, threshold, verdict, reason,
        *, unit, paper, seeds, spread, own,
    ) -> None:  # fmt: skip
        if self._reported:
            raise ValueError(f"{id} comes after the report, which would not show it")
        self._check_id(id)
        if not statement.strip() or "\n" in statement:
            raise ValueError(f"statement of {id} must be one line of words, got {statement!r}")
        if paper is not None and not (isinstance(paper, str) and paper.strip()):
            raise ValueError(f"paper of {id} must be what the paper prints, got {paper!r}")
        if own and paper is not None:
            raise ValueError(f"own of {id}: a check of ours has no number of the paper")
        if seeds is not None:
            seeds = _count(f"seeds of {id}", seeds)
        if spread is not None:
            spread = _real(f"spread of {id}", spread)
            if not 0 <= spread < math.inf:
                raise ValueError(f"spread of {id} must be finite and not negative, got {spread}")
        has_number = paper is not None and any(map(str.isdigit, paper))
        self.claims.append(
            Claim(
                id=id,
                statement=statement,
                kind="own" if own else "number" if has_number else "statement",
                paper=paper,
                measured=value if math.isfinite(value) else None,
                relation=relation,
                threshold=threshold,
                unit=unit,
                seeds=seeds,
                spread=spread,
                verdict=verdict,
                reason=reason,
            )
        )

    def _check_id(self, id: str) -> None:
        if not re.fullmatch(r"C\d+(\.[a-z0-9]+)?", id):
            raise ValueError(f"id must look like 'C2' or 'C2.a', got {id!r}")
        if any(claim.id == id for claim in self.claims):
            raise ValueError(f"id {id} is checked twice")

    def _in_order(self) -> list[Claim]:
        """Return the claims by their numbers, wherever in the chapter they were checked."""
        return sorted(self.claims, key=lambda c: (int(c.id[1:].partition(".")[0]), c.id))

    def bundle(self) -> dict[str, Any]:
        """Return the facts of all claims as plain JSON data."""
        return {
            "slug": self.slug,
            "scale": current_scale(),
            "backend": "cupy" if "cupy" in arrays.backend().__name__ else "numpy",
            "device": arrays.device_name(),
            "seconds": round(time.perf_counter() - self._started, 2),
            "claims": [asdict(claim) for claim in self._in_order()],
        }

    def report(self) -> None:
        """Show the table of claims and raise if one fails; the last thing that a chapter does.

        Raises
        ------
        ClaimError
            Naming every claim that fails, its number and its threshold.
        ValueError
            If nothing was checked, or the claims have been reported already.
        """
        if all(claim.verdict == REPORTED for claim in self.claims):
            raise ValueError(f"{self.slug} checks no claim")
        if self._reported:
            raise ValueError(f"{self.slug} reports its claims twice")
        self._reported = True
        claims = self._in_order()
        rows = [_cells(claim) for claim in claims]
        text = text_table(_COLUMNS, rows)
        if notebook.is_running():
            ids = [claim.id for claim in claims]
            groups = [id.partition(".")[0] for id in ids]
            page = html_table(_COLUMNS, rows, _CAPTION, name="claims", ids=ids, groups=groups)
            notebook.publish({"text/plain": text, "text/html": page, MIME_TYPE: self.bundle()})
        else:
            print(text)
        failing = [claim for claim in claims if claim.verdict == FAILS]
        if failing:
            lines = "; ".join(
                f"{c.id} {c.statement}: measured {c.measured_text()}, "
                f"threshold {c.threshold_text()}" + (f" [{c.reason}]" if c.reason else "")
                for c in failing
            )
            raise ClaimError(f"{self.slug}: {len(failing)} of {len(self.claims)} fail: {lines}")


def _relation(
    id: str,
    at_most: float | None,
    at_least: float | None,
    between: Sequence[float] | None,
    equals: float | None,
    within: float | None,
) -> tuple[str, float | list[float]]:
    given = {"at_most": at_most, "at_least": at_least, "between": between, "equals": equals}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"{id} needs exactly one of at_most, at_least, between, equals; got "
            f"{', '.join(given) or 'none'}"
        )
    ((relation, value),) = given.items()
    if within is not None and relation != "equals":
        raise ValueError(f"within of {id} goes with equals, not with {relation}")
    if relation == "between":
        low, high = (_real(f"between of {id}", bound) for bound in value)
        if not low <= high:
            raise ValueError(f"between of {id} must be (low, high), got ({low}, {high})")
        threshold: float | list[float] = [low, high]
    elif relation == "equals":
        tolerance = 0.0 if within is None else _real(f"within of {id}", within)
        if not tolerance >= 0:
            raise ValueError(f"within of {id} must not be negative, got {tolerance}")
        threshold = [_real(f"equals of {id}", value), tolerance]
    else:
        threshold = _real(f"{relation} of {id}", value)
    if not all(map(math.isfinite, threshold if isinstance(threshold, list) else [threshold])):
        raise ValueError(f"the threshold of {id} is not finite: {threshold}")
    return relation, threshold


def _holds(value: float, relation: str, threshold: float | list[float]) -> bool:
    if relation == "at_most":
        return value <= threshold
    if relation == "at_least":
        return value >= threshold
    if relation == "between":
        return threshold[0] <= value <= threshold[1]
    return abs(value - threshold[0]) <= threshold[1]


def _real(name: str, value: Any) -> float:
    """Return a real number, or an array of one, as a float; nothing is parsed or truncated."""
    if isinstance(value, numbers.Real | np.bool_):
        return float(value)
    size = math.prod(getattr(value, "shape", (0,)))
    if size == 1 and hasattr(value, "dtype"):
        item = to_host(value).reshape(()).item()
        if isinstance(item, numbers.Real):
            return float(item)
    raise ValueError(f"{name} must be one real number, got {value!r}")


def _count(name: str, value: Any) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return count


def _apart(value: float, others: Sequence[float]) -> str:
    """Return a number with as many digits as tell it from each of the others."""
    text = format_number(value)
    digits = 4
    while digits < 17 and any(v != value and text == _digits(v, digits) for v in others):
        digits += 1
        text = _digits(value, digits)
    return text


def _digits(value: float, digits: int) -> str:
    return format_number(value, digits)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


_CAPTION = "The claims and what was measured"
_COLUMNS = (
    "Claim", "What is measured", "What it is", "Paper", "Measured here", "Threshold", "Verdict",
)  # fmt: skip


def _cells(claim: Claim) -> tuple[str, ...]:
    seeds = f" ({claim.seeds} seeds)" if claim.seeds and claim.seeds > 1 else ""
    slack = claim.slack_text()
    reason = f": {claim.reason}" if claim.reason else ""
    return (
        claim.id,
        claim.statement,
        KINDS[claim.kind],
        claim.paper or "–",
        claim.measured_text() + seeds,
        claim.threshold_text() + (f" ({slack})" if slack else ""),
        f"{SIGNS[claim.verdict]} {claim.verdict}{reason}",
    )
