"""What the rows of a verdict say together: the paper's claims, counted in one way everywhere.

A claim of the paper is a group of rows, C1 with C1.a and C1.b, that has at least one judged row
which is not our own check.  It fails if one of its rows fails, holds if all judged rows that are
not our own hold, and is not reproduced otherwise.  Rows are counted apart from claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gaussbook.claims import FAILS, HOLDS, NOT_REPRODUCED, REPORTED


@dataclass(frozen=True)
class Tally:
    """Counts of the paper's claims by their verdict, and of the rows behind them."""

    hold: int = 0
    fail: int = 0
    not_reproduced: int = 0
    rows: int = 0

    @property
    def claims(self) -> int:
        """How many claims of the paper were judged."""
        return self.hold + self.fail + self.not_reproduced

    def __add__(self, other: Tally) -> Tally:
        """Return the counts of two chapters together."""
        return Tally(
            self.hold + other.hold,
            self.fail + other.fail,
            self.not_reproduced + other.not_reproduced,
            self.rows + other.rows,
        )

    def __str__(self) -> str:
        """Say it in words: ``5 of 6 claims hold, 1 not reproduced; 18 rows``."""
        total = f"{self.claims} claim{'s' * (self.claims != 1)}"
        parts = [f"{self.hold} of {total} hold{'s' * (self.claims == 1)}"]
        if self.not_reproduced:
            parts.append(f"{self.not_reproduced} not reproduced")
        if self.fail:
            parts.append(f"{self.fail} fail{'s' * (self.fail == 1)}")
        return f"{', '.join(parts)}; {self.rows} row{'s' * (self.rows != 1)}"


def tally(rows: Iterable[dict[str, Any]]) -> Tally:
    """Count the rows of one chapter's bundle.

    Parameters
    ----------
    rows : iterable of dict
        The bundle's ``claims``.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    count = 0
    for row in rows:
        groups.setdefault(row["id"].partition(".")[0], []).append(row)
        count += 1
    verdicts = [_verdict(group) for group in groups.values()]
    return Tally(
        hold=verdicts.count(HOLDS),
        fail=verdicts.count(FAILS),
        not_reproduced=verdicts.count(NOT_REPRODUCED),
        rows=count,
    )


def _verdict(group: list[dict[str, Any]]) -> str | None:
    judged = [r["verdict"] for r in group if r["kind"] != "own" and r["verdict"] != REPORTED]
    if not judged:
        return None
    if any(row["verdict"] == FAILS for row in group):
        return FAILS
    return HOLDS if all(verdict == HOLDS for verdict in judged) else NOT_REPRODUCED
