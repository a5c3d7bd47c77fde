"""Claims as data: what a paper says, what was measured here, and whether it holds.

A chapter makes one `Claims`, calls `Claims.check` for every number of its spec and ends with
`Claims.report`, which shows the table, attaches the same facts to the cell's output as
``application/vnd.gaussbook.claims+json`` and raises if a claim fails.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gaussbook import arrays, notebook
from gaussbook.scale import current_scale
from gaussbook.tables import format_number, html_table, text_table

__all__ = ["MIME_TYPE", "Claim", "ClaimError", "Claims"]

MIME_TYPE = "application/vnd.gaussbook.claims+json"

HOLDS = "holds"
FAILS = "fails"
NOT_REPRODUCED = "not reproduced"


class ClaimError(AssertionError):
    """One or more claims of a chapter fail; the message names each with number and threshold."""


@dataclass(frozen=True)
class Claim:
    """One checked number: the fields of the JSON schema, in its order."""

    id: str
    statement: str
    paper: str | None
    measured: float | None  # None stands for NaN and infinities, which JSON does not have
    relation: str  # "at_most", "at_least", "between" or "equals"
    threshold: float | list[float]  # [low, high] for "between", [value, within] for "equals"
    unit: str
    seeds: int | None
    verdict: str
    reason: str | None

    def measured_text(self) -> str:
        """Return the measured number with its unit."""
        number = "not a number" if self.measured is None else format_number(self.measured)
        return _with_unit(number, self.unit)

    def threshold_text(self) -> str:
        """Return the threshold in words: ``at most 1.5 %``."""
        if self.relation == "between":
            low, high = map(format_number, self.threshold)
            return _with_unit(f"between {low} and {high}", self.unit)
        if self.relation == "equals":
            value, within = self.threshold
            tolerance = f" ± {format_number(within)}" if within else ""
            return _with_unit(f"{format_number(value)}{tolerance}", self.unit)
        words = self.relation.replace("_", " ")
        return _with_unit(f"{words} {format_number(self.threshold)}", self.unit)


class Claims:
    """The claims of one chapter, checked one by one.

    Parameters
    ----------
    slug : str
        The chapter's name, e.g. ``"light_schrodinger_bridge"``.

    Examples
    --------
    >>> claims = Claims("light_schrodinger_bridge")
    >>> claims.check("C2", "plan error in every cell", measured=0.6, at_most=1.5, unit="%")
    >>> claims.report()
    Claim  What is measured          Paper  Measured here  Threshold      Verdict
    C2     plan error in every cell  –      0.6 %          at most 1.5 %  ✓ holds
    """

    def __init__(self, slug: str):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
            raise ValueError(f"slug must be lower case with underscores, got {slug!r}")
        self.slug = slug
        self.claims: list[Claim] = []
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
            The number found here.  NaN never passes.
        at_most, at_least, between, equals : float or pair of float
            The threshold: exactly one of them.  Bounds are inclusive.
        within : float, optional
            Absolute tolerance of `equals` (0 if not given).
        unit : str
            Unit of `measured` and of the threshold.
        paper : str, optional
            The paper's own number, as the paper prints it.
        seeds : int, optional
            Over how many seeds the number was taken.
        not_reproduced : str, optional
            Why the claim is known not to hold here: the verdict is then "not reproduced", or
            "fails" if the claim unexpectedly holds.

        Raises
        ------
        ValueError
            If the id is malformed or taken, or the threshold is missing, doubled or not finite.
        """
        self._check_id(id)
        if not statement.strip():
            raise ValueError(f"statement of {id} is empty")
        if not_reproduced is not None and not not_reproduced.strip():
            raise ValueError(f"not_reproduced of {id} must say why")
        relation, threshold = _relation(id, at_most, at_least, between, equals, within)
        value = float(measured)
        reason = not_reproduced
        if _holds(value, relation, threshold):
            verdict = HOLDS
            if not_reproduced is not None:
                verdict = FAILS
                reason = f"marked as not reproduced ({not_reproduced}), but it holds"
        else:
            verdict = FAILS if not_reproduced is None else NOT_REPRODUCED
        self.claims.append(
            Claim(
                id=id,
                statement=statement,
                paper=paper,
                measured=value if math.isfinite(value) else None,
                relation=relation,
                threshold=threshold,
                unit=unit,
                seeds=seeds,
                verdict=verdict,
                reason=reason,
            )
        )

    def _check_id(self, id: str) -> None:
        if not re.fullmatch(r"C\d+(\.[a-z0-9]+)?", id):
            raise ValueError(f"id must look like 'C2' or 'C2.a', got {id!r}")
        if any(claim.id == id for claim in self.claims):
            raise ValueError(f"id {id} is checked twice")

    def bundle(self) -> dict[str, Any]:
        """Return the facts of all claims as plain JSON data."""
        return {
            "slug": self.slug,
            "scale": current_scale(),
            "backend": "cupy" if "cupy" in arrays.backend().__name__ else "numpy",
            "device": arrays.device_name(),
            "seconds": round(time.perf_counter() - self._started, 2),
            "claims": [asdict(claim) for claim in self.claims],
        }

    def report(self) -> None:
        """Show the table of claims and raise if one fails.

        Raises
        ------
        ClaimError
            Naming every claim that fails, its number and its threshold.
        ValueError
            If nothing was checked.
        """
        if not self.claims:
            raise ValueError(f"{self.slug} checks no claim")
        rows = [_cells(claim) for claim in self.claims]
        text = text_table(_COLUMNS, rows)
        if notebook.is_running():
            ids = [claim.id for claim in self.claims]
            groups = [id.partition(".")[0] for id in ids]
            page = html_table(_COLUMNS, rows, _CAPTION, name="claims", ids=ids, groups=groups)
            notebook.publish({"text/plain": text, "text/html": page, MIME_TYPE: self.bundle()})
        else:
            print(text)
        failing = [claim for claim in self.claims if claim.verdict == FAILS]
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
        low, high = map(float, value)
        if not low <= high:
            raise ValueError(f"between of {id} must be (low, high), got ({low}, {high})")
        threshold: float | list[float] = [low, high]
    elif relation == "equals":
        tolerance = 0.0 if within is None else float(within)
        if not tolerance >= 0:
            raise ValueError(f"within of {id} must not be negative, got {tolerance}")
        threshold = [float(value), tolerance]
    else:
        threshold = float(value)
    if not all(map(math.isfinite, threshold if isinstance(threshold, list) else [threshold])):
        raise ValueError(f"the threshold of {id} is not finite: {threshold}")
    return relation, threshold


def _holds(value: float, relation: str, threshold: float | list[float]) -> bool:
    """Compare; every comparison with NaN is false, so NaN never passes."""
    if relation == "at_most":
        return value <= threshold
    if relation == "at_least":
        return value >= threshold
    if relation == "between":
        return threshold[0] <= value <= threshold[1]
    return abs(value - threshold[0]) <= threshold[1]


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


_CAPTION = "The claims and what was measured"
_COLUMNS = ("Claim", "What is measured", "Paper", "Measured here", "Threshold", "Verdict")
_SIGNS = {HOLDS: "✓", FAILS: "✗", NOT_REPRODUCED: "○"}


def _cells(claim: Claim) -> tuple[str, ...]:
    seeds = f" ({claim.seeds} seeds)" if claim.seeds and claim.seeds > 1 else ""
    reason = f": {claim.reason}" if claim.reason else ""
    return (
        claim.id,
        claim.statement,
        claim.paper or "–",
        claim.measured_text() + seeds,
        claim.threshold_text(),
        f"{_SIGNS[claim.verdict]} {claim.verdict}{reason}",
    )
