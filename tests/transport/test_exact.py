import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from gaussbook.arrays import to_host
from gaussbook.transport import cost_matrix, exact_plan, wasserstein, wasserstein_1d


def clouds(n=12, m=9, d=2, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    return rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 1, a, b


class TestPlan:
    def test_has_the_marginals_and_pots_cost(self):
        x, y, a, b = clouds()
        M = cdist(x, y)
        plan, cost = exact_plan(a, b, M)
        np.testing.assert_allclose(plan.sum(axis=1), a)
        np.testing.assert_allclose(plan.sum(axis=0), b)
        assert cost == pytest.approx(np.sum(plan * M))
        assert cost == pytest.approx(ot.emd2(a, b, M))

    def test_of_equal_weights_is_an_assignment(self):
        x, y, _, _ = clouds(10, 10)
        M = cdist(x, y)
        plan, cost = exact_plan(None, None, M)
        rows, columns = linear_sum_assignment(M)
        assert cost == pytest.approx(M[rows, columns].mean())
        np.testing.assert_array_equal(np.argmax(plan, axis=1), columns)

    @pytest.mark.parametrize("scale", [1e-12, 1e12])
    def test_does_not_depend_on_the_unit_of_cost(self, scale):
        x, y, a, b = clouds()
        M = cdist(x, y) - 0.5
        plan, cost = exact_plan(a, b, M)
        scaled, scaled_cost = exact_plan(a, b, scale * M)
        np.testing.assert_allclose(scaled, plan, atol=1e-12)
        assert scaled_cost == pytest.approx(scale * cost)

    @pytest.mark.parametrize("forbidden", [1e4, 1e12, 1e20, 1e150])
    @pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
    def test_forbidden_pairs_hide_nothing(self, forbidden, unit):
        M = np.array([[1.0, 5.0, forbidden], [forbidden, 1.0, 2.0], [4.0, forbidden, 1.0]])
        plan, cost = exact_plan(None, None, unit * M)
        assert cost == pytest.approx(unit)
        np.testing.assert_allclose(plan, np.eye(3) / 3, atol=1e-12)

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(2, 9), st.integers(0, 2**31), st.floats(0.1, 0.7), st.sampled_from([1e9, 1e25])
    )
    def test_nor_in_an_assignment_with_many_of_them(self, n, seed, share, forbidden):
        rng = np.random.default_rng(seed)
        M = rng.uniform(1, 5, (n, n))
        hidden = rng.random((n, n)) < share
        hidden[np.arange(n), rng.permutation(n)] = False  # at least one assignment is left
        allowed = np.where(hidden, 1e4, M)
        rows, columns = linear_sum_assignment(allowed)
        _, cost = exact_plan(None, None, np.where(hidden, forbidden, M))
        assert cost == pytest.approx(allowed[rows, columns].mean(), rel=1e-9)

    def test_a_forbidden_pair_is_paid_where_no_plan_goes_round_it(self):
        _, cost = exact_plan([0.5, 0.5], [0.9, 0.1], [[1.0, 2.0], [1e20, 3.0]])
        assert cost == pytest.approx(0.4 * 1e20)

    def test_a_pair_that_pays_is_taken_and_hides_nothing(self):
        M = np.array([[-1e20, 1.0, 1.0], [1.0, 1.0, 3.0], [1.0, 4.0, 2.0]])
        plan, _ = exact_plan(None, None, M)
        np.testing.assert_allclose(plan, np.eye(3) / 3, atol=1e-12)

    def test_stops_with_an_error_where_the_simplex_does_not_finish(self):
        x, y, a, b = clouds(60, 60)
        with pytest.raises(RuntimeError, match="no optimal plan"):
            exact_plan(a, b, cdist(x, y), max_iter=2)

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"a": [0.5, 0.6]}, "a"),
            ({"a": [1.5, -0.5]}, "a"),
            ({"b": [1.0]}, "b"),
            ({"M": np.ones(2)}, "M"),
            ({"M": [[1.0, np.inf], [0.0, 0.0]]}, "M"),
            ({"max_iter": 0}, "max_iter"),
        ],
    )
    def test_bad_input(self, change, name):
        good = {"a": [0.5, 0.5], "b": [0.2, 0.8], "M": np.ones((2, 2))}
        with pytest.raises(ValueError, match=f"^{name} "):
            exact_plan(**(good | change))


class TestWasserstein:
    @pytest.mark.parametrize("p", [1, 2, 3])
    def test_on_the_line_it_is_the_distance_of_quantiles(self, p):
        x, y, a, b = clouds(d=1)
        expected = wasserstein_1d(x[:, 0], y[:, 0], p, a=a, b=b)
        assert wasserstein(x, y, p, a=a, b=b) == pytest.approx(expected)

    def test_of_a_translate_is_the_shift(self):
        x = clouds()[0]
        assert wasserstein(x, x + np.array([3.0, -4.0])) == pytest.approx(5)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 2, 3]), st.integers(0, 2**31))
    def test_a_metric_which_motions_leave_alone(self, n, m, p, seed):
        x, y, _, _ = clouds(n, m, 2, seed)
        z = clouds(m, n, 2, seed + 1)[0]
        xy = wasserstein(x, y, p)
        assert wasserstein(x, z, p) <= xy + wasserstein(y, z, p) + 1e-9
        assert wasserstein(y, x, p) == pytest.approx(xy, abs=1e-9)
        assert wasserstein(x, x[::-1], p) == pytest.approx(0, abs=1e-9)
        turn = np.array([[0.6, -0.8], [0.8, 0.6]])
        assert wasserstein(2 * x @ turn + 1, 2 * y @ turn + 1, p) == pytest.approx(2 * xy, abs=1e-8)

    @pytest.mark.parametrize("unit", [1e-250, 1e140])
    def test_any_unit_of_length(self, unit):
        x, y, a, b = clouds()
        ours = wasserstein(unit * x, unit * y, a=a, b=b) / unit
        assert ours == pytest.approx(wasserstein(x, y, a=a, b=b))

    def test_one_point_in_two_samples(self):
        assert wasserstein([[1.0, 2.0]], [[1.0, 2.0]]) == 0

    @pytest.mark.parametrize(
        ("change", "name"),
        [({"p": 0.5}, "p"), ({"y": np.ones((3, 1))}, "y"), ({"x": np.full((2, 2), 1e300)}, "x")],
    )
    def test_bad_input(self, change, name):
        good = {"x": np.zeros((3, 2)), "y": np.ones((4, 2))}
        with pytest.raises(ValueError, match=f"^{name} "):
            wasserstein(**(good | change))


class TestCosts:
    @pytest.mark.parametrize("p", [1, 1.5, 2, 4])
    def test_are_powers_of_distances_also_far_from_the_origin(self, p):
        x, y, _, _ = clouds()
        np.testing.assert_allclose(cost_matrix(x, y, p), cdist(x, y) ** p, rtol=1e-10)
        np.testing.assert_allclose(cost_matrix(x + 1e6, y + 1e6, p), cdist(x, y) ** p, rtol=1e-6)

    @pytest.mark.parametrize("d", [2, 5])
    @pytest.mark.parametrize("p", [1, 2, 3])
    def test_neighbours_in_clusters_far_apart(self, d, p):
        x = np.repeat(1e7 * np.random.default_rng(0).standard_normal((4, d)), 2, axis=0)
        x[::2, 0] += 0.25
        costs = cost_matrix(x, x, p)
        assert np.all(np.diag(costs) == 0)
        np.testing.assert_allclose(np.diag(costs, 1)[::2], cdist(x, x)[::2, 1::2].diagonal() ** p)

    def test_overflow_is_refused(self):
        with pytest.raises(ValueError, match="^p "):
            cost_matrix([[1e100]], [[0.0]], 4)


def test_same_in_every_namespace(xp):
    x, y, a, b = clouds()
    sx, sy, sa, sb = map(xp.asarray, (x, y, a, b))
    plan, cost = exact_plan(sa, sb, cost_matrix(sx, sy))
    expected = exact_plan(a, b, cost_matrix(x, y))
    np.testing.assert_allclose(to_host(plan), expected[0])
    assert cost == pytest.approx(expected[1])
    assert wasserstein(sx, sy, a=sa, b=sb) == pytest.approx(wasserstein(x, y, a=a, b=b))
