"""The Voronoi loss: zero at the truth, by hand, and invariant to the order of experts."""

from dataclasses import replace

import numpy as np
import pytest

from gaussbook.experts import Experts, voronoi_loss

from .problems import problem


def line_up(b, beta0=None):
    """Experts that differ in their intercepts alone."""
    b = np.asarray([b], dtype=float)
    zeros = np.zeros((*b.shape, 1))
    beta0 = np.zeros_like(b) if beta0 is None else np.asarray([beta0], dtype=float)
    return Experts(zeros, beta0, zeros, b, np.ones_like(b))


class TestVoronoiLoss:
    def test_is_zero_at_the_truth_in_any_order(self, xp):
        case = problem(xp)
        assert np.all(np.asarray(voronoi_loss(case.experts, case.experts)) == 0)
        shuffled = case.experts.take(xp.asarray([2, 0, 1]), axis=1)
        np.testing.assert_allclose(np.asarray(voronoi_loss(shuffled, case.experts)), 0, atol=1e-12)

    def test_single_members_count_linearly(self):
        truth = line_up([0, 10])
        assert voronoi_loss(line_up([0.1, 9.8]), truth)[0] == pytest.approx(0.3)
        moved = replace(truth, a=truth.a + 0.25, sigma=truth.sigma + 0.5)
        assert voronoi_loss(moved, truth)[0] == pytest.approx(1.5)

    def test_pairs_and_triples_count_with_their_exponents(self):
        truth = line_up([0, 10])
        halves = np.log([0.5, 0.5, 1])
        assert voronoi_loss(line_up([0.2, -0.2, 10], halves), truth)[0] == pytest.approx(0.2**4)
        pair = line_up([0, 0, 10], halves)
        pair = replace(pair, a=pair.a + np.array([0.2, -0.2, 0])[:, None])
        assert voronoi_loss(pair, truth)[0] == pytest.approx(0.2**2)
        thirds = np.log([1 / 3, 1 / 3, 1 / 3, 1])
        three = line_up([0.2, -0.2, 0, 10], thirds)
        assert voronoi_loss(three, truth)[0] == pytest.approx(2 / 3 * 0.2**6)
        assert voronoi_loss(three, truth, exponents=(1, 1, 2))[0] == pytest.approx(2 / 3 * 0.04)

    def test_masses_are_compared_cell_by_cell(self):
        truth = line_up([0, 10])
        assert voronoi_loss(line_up([0, 10], np.log([2, 3])), truth)[0] == pytest.approx(3)
        assert voronoi_loss(line_up([0]), truth)[0] == pytest.approx(1)  # an empty cell

    def test_the_worst_active_set_counts(self):
        truth, moved = line_up([0, 10, 20]), line_up([0.1, 10.2, 20.4])
        for K, expected in ((1, 0.4), (2, 0.6), (3, 0.7), (None, 0.7)):
            assert voronoi_loss(moved, truth, n_active=K)[0] == pytest.approx(expected)

    def test_weights_know_the_temperature(self):
        truth = line_up([0, 10], np.log([2, 3]))
        warm = replace(truth, beta0=2 * truth.beta0, tau=np.array([2.0]))
        assert voronoi_loss(warm, truth)[0] == pytest.approx(0)

    def test_bad_input_is_named(self):
        case, other = problem(), problem(d=1)
        for arguments, options, name in (
            ((case.experts, other.experts), {}, "truth"),
            ((case.experts, case.experts.take(np.array([0, 0, 0]))), {}, "truth"),
            ((case.experts, case.experts), {"n_active": 4}, "n_active"),
            ((line_up([0, 0, 0, 0]), line_up([0])), {}, "exponents"),
        ):
            with pytest.raises(ValueError, match=f"^{name}"):
                voronoi_loss(*arguments, **options)
