"""Time warping against the plain recursion."""

import numpy as np
import pytest

from gaussbook.speech import dynamic_time_warping


def cheapest(cost):
    """The definition, cell by cell."""
    n, m = cost.shape
    D = np.full((n + 1, m + 1), np.inf)
    D[0, 0] = 0
    for i in range(n):
        for j in range(m):
            D[i + 1, j + 1] = cost[i, j] + min(D[i, j], D[i, j + 1], D[i + 1, j])
    return D[n, m]


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (7, 9), (12, 5)])
def test_the_path_is_the_cheapest(xp, shape):
    cost = np.random.default_rng(sum(shape)).random(shape)
    path = dynamic_time_warping(xp.asarray(cost))
    assert tuple(path[0]) == (0, 0) and tuple(path[-1]) == (shape[0] - 1, shape[1] - 1)
    steps = np.diff(path, axis=0)
    assert ((steps >= 0) & (steps <= 1)).all() and (steps.sum(axis=1) >= 1).all()
    assert cost[tuple(path.T)].sum() == pytest.approx(cheapest(cost), abs=1e-12)


def test_equal_sequences_are_paired_one_to_one():
    x = np.random.default_rng(0).random(20)
    path = dynamic_time_warping(np.abs(x[:, None] - x))
    np.testing.assert_array_equal(path, np.repeat(np.arange(20)[:, None], 2, axis=1))


def test_of_equal_costs_the_diagonal_wins():
    np.testing.assert_array_equal(dynamic_time_warping(np.zeros((3, 3))), [[0, 0], [1, 1], [2, 2]])


@pytest.mark.parametrize("cost", [np.zeros(3), np.zeros((0, 3)), np.asarray([[np.nan]])])
def test_refuses_what_is_no_matrix_of_costs(cost):
    with pytest.raises(ValueError, match="^cost"):
        dynamic_time_warping(cost)
