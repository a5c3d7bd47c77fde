"""The bar shows on standard error and changes nothing."""

import pytest

from gaussbook.progress import progress


def test_items_come_through_unchanged(capsys):
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    output = capsys.readouterr()
    assert output.out == "" and "counting" in output.err


def test_an_error_inside_the_loop_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        for k in progress(iter([1, 0]), "dividing", total=2):
            1 / k
