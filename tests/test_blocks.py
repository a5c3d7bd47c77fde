"""Blocks of rows cover all rows once, in order, and within their bound."""

import numpy as np
import pytest

from gaussbook.blocks import row_blocks


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
@pytest.mark.parametrize("width", [0, 1, 33, 10**7])
def test_rows_are_covered_once_and_in_order(n, width):
    slices = list(row_blocks(n, width, np.zeros(1), elements=100))
    assert [row for s in slices for row in range(s.start, s.stop)] == list(range(n))
    assert all((s.stop - s.start) * width <= max(100, width) for s in slices)


def test_the_fewest_rows_are_kept():
    assert [s.stop - s.start for s in row_blocks(20, 10**6, np.zeros(1), fewest=8)] == [8, 8, 4]
