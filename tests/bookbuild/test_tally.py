"""The paper's claims are groups of rows."""

import pytest

from bookbuild.tally import Tally, tally


def _rows(*facts):
    return [dict(zip(("id", "kind", "verdict"), each.split("/"), strict=True)) for each in facts]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["C1/number/holds"], "1 of 1 claim holds; 1 row"),
        (["C1.a/number/holds", "C1.b/statement/holds"], "1 of 1 claim holds; 2 rows"),
        (["C1.a/number/holds", "C1.b/own/not reproduced"], "1 of 1 claim holds; 2 rows"),
        (
            ["C1.a/number/holds", "C1.b/number/not reproduced", "C2/number/holds"],
            "1 of 2 claims hold, 1 not reproduced; 3 rows",
        ),
        (["C1.a/number/holds", "C1.b/own/fails"], "0 of 1 claim holds, 1 fails; 2 rows"),
        (
            ["C1.a/number/not reproduced", "C1.b/number/fails"],
            "0 of 1 claim holds, 1 fails; 2 rows",
        ),
        (["C1/own/holds", "C2/number/reported"], "0 of 0 claims hold; 2 rows"),
        (["C1.a/number/reported", "C1.b/number/holds"], "1 of 1 claim holds; 2 rows"),
        (["C1/number/holds", "C10/number/fails"], "1 of 2 claims hold, 1 fails; 2 rows"),
    ],
)
def test_a_group_of_rows_is_one_claim(rows, words):
    assert str(tally(_rows(*rows))) == words


def test_chapters_add_up():
    one = tally(_rows("C1/number/holds", "C2/number/not reproduced"))
    assert one + one + Tally() == Tally(hold=2, not_reproduced=2, rows=4)
