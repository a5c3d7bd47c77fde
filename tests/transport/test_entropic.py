import warnings

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from gaussbook.arrays import to_host
from gaussbook.transport import (
    cost_matrix,
    energy_distance,
    entropic,
    exact_plan,
    sinkhorn,
    sinkhorn_divergence,
    wasserstein,
)


def problem(n=40, m=30, d=2, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), 1 + 0.7 * rng.standard_normal((m, d))
    M = cost_matrix(x, y)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), M / M.max()


def updates(result, a, b, M, reg, rho=(np.inf, np.inf)):
    """Both potentials after one update in the log domain by SciPy."""
    factors = [1 / (1 + reg / r) for r in rho]
    f = -reg * logsumexp((result.g - M) / reg, b=b, axis=1)
    g = -reg * logsumexp((result.f[:, None] - M) / reg, b=a[:, None], axis=0)
    return factors[0] * f, factors[1] * g


class TestEndings:
    @pytest.mark.parametrize("max_iter", [1, 2, 3, 20, 60])
    @pytest.mark.parametrize("reg", [1e-1, 1e-3, 1e-5])
    @pytest.mark.parametrize("reg_m", [None, 1.0])
    def test_an_early_end_leaves_a_plan_of_the_last_regularisation(self, max_iter, reg, reg_m):
        M = np.random.default_rng(0).uniform(0, 10, (30, 20))
        with pytest.warns(ConvergenceWarning) as caught:
            result = sinkhorn(None, None, M, reg, reg_m=reg_m, max_iter=max_iter, tol=1e-14)
        assert [w.category for w in caught] == [ConvergenceWarning]  # nothing has overflowed
        assert result.marginal_error < np.inf
        assert result.iterations == max_iter and not result.converged
        assert 0 <= result.cost <= 10 and np.all(np.isfinite(result.plan))
        if reg_m is None:  # the last update has been that of the columns
            np.testing.assert_allclose(np.sum(result.plan, axis=0), 1 / 20, rtol=1e-6)

    def test_the_advice_is_one_that_helps(self):
        M = np.random.default_rng(0).uniform(0, 1, (6, 6))
        with pytest.warns(ConvergenceWarning, match="raise max_iter or reg"):
            sinkhorn(None, None, M, 1e-2, max_iter=3)
        with pytest.warns(ConvergenceWarning, match="rounding .* so raise reg or tol") as caught:
            sinkhorn(None, None, M, 1e-9, max_iter=300)
        assert "max_iter" not in str(caught[0].message)
        a, b, M = problem(20, 15)  # at rest, but for the rounding of the plan's own sums
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for tol in (2e-15, 4e-15, 8e-15):
                sinkhorn(a, b, M, 0.5, tol=tol, max_iter=1000)
        for warning in caught:
            assert ("after 1000 iterations" in str(warning.message)) or (
                "raise reg or tol" in str(warning.message)
            )

    def test_an_iteration_looks_at_the_host_once(self, monkeypatch):
        looks = []
        original = entropic._numbers
        monkeypatch.setattr(entropic, "_numbers", lambda *v: looks.append(1) or original(*v))
        result = sinkhorn(None, None, np.random.default_rng(0).uniform(0, 1, (9, 9)), 0.05)
        assert result.iterations <= len(looks) <= result.iterations + 20


class TestBalanced:
    @pytest.mark.parametrize("reg", [10.0, 1.0, 0.1, 0.01, 1e-3])
    def test_agrees_with_pot(self, reg):
        a, b, M = problem()
        result = sinkhorn(a, b, M, reg, tol=1e-10)
        expected = ot.bregman.sinkhorn_log(a, b, M, reg, stopThr=1e-11, numItermax=50_000)
        np.testing.assert_allclose(result.plan, expected, atol=1e-9)
        assert result.converged
        assert result.marginal_error <= 1e-10

    @pytest.mark.parametrize("reg", [0.1, 1e-3, 1e-4])
    def test_solves_its_equations(self, reg):
        a, b, M = problem()
        result = sinkhorn(a, b, M, reg, tol=1e-12, max_iter=100_000)
        for ours, updated in zip((result.f, result.g), updates(result, a, b, M, reg), strict=True):
            np.testing.assert_allclose(ours, updated, atol=1e-7 * reg)
        density = np.exp((result.f[:, None] + result.g - M) / reg)
        np.testing.assert_allclose(result.plan, a[:, None] * b * density, atol=1e-15)
        primal = np.sum(result.plan * (M + reg * np.log(np.maximum(density, 1e-300))))
        assert result.value == pytest.approx(primal, abs=1e-9)
        assert result.cost == pytest.approx(np.sum(result.plan * M))

    def test_goes_to_the_exact_plan(self):
        a, b, M = problem()
        _, cost = exact_plan(a, b, M)
        costs = [sinkhorn(a, b, M, reg, tol=1e-8).cost for reg in (0.1, 0.01, 1e-3)]
        assert costs[0] > costs[1] > costs[2] > cost - 1e-8
        assert costs[2] == pytest.approx(cost, abs=1e-3)

    def test_of_large_regularisation_is_the_product(self):
        a, b, M = problem()
        np.testing.assert_allclose(sinkhorn(a, b, M, 1e6).plan, np.outer(a, b), rtol=1e-5)

    def test_two_points_in_closed_form(self):
        # equal weights, costs 0 and 1: the plan's odds are exp(1/ε)
        result = sinkhorn(None, None, [[0.0, 1.0], [1.0, 0.0]], 0.2, tol=1e-13)
        stay = 0.5 / (1 + np.exp(-1 / 0.2))
        np.testing.assert_allclose(result.plan, [[stay, 0.5 - stay], [0.5 - stay, stay]])

    @pytest.mark.parametrize("floor", [-30.0, 0.5])
    def test_kernel_and_term_by_term_sums_agree(self, floor, monkeypatch):
        a, b, M = problem()
        usual = sinkhorn(a, b, M, 0.01, tol=1e-11)
        # a narrow range: the kernel is refused and rebuilt again and again, or never used
        monkeypatch.setattr(entropic, "_RANGE", 1.0 if floor < 0 else -1.0)
        other = sinkhorn(a, b, M, 0.01, tol=1e-11)
        np.testing.assert_allclose(other.plan, usual.plan, atol=1e-11)
        assert abs(other.iterations - usual.iterations) <= 1

    @pytest.mark.parametrize("reg", [1.0, 0.01])
    def test_the_potentials_of_a_stage_serve_the_next(self, reg, monkeypatch):
        a, b, M = problem()
        usual = sinkhorn(a, b, M, reg, tol=1e-10)

        def refused(*_):
            raise AssertionError("sums were taken term by term")

        monkeypatch.setattr(entropic, "_softmin", refused)
        assert sinkhorn(a, b, M, reg, tol=1e-10).cost == usual.cost

    @pytest.mark.parametrize("far", [1e-3, 1.0, 1e2])
    @pytest.mark.parametrize("masses", [1.0, 1e3])
    def test_far_potentials_are_no_reference(self, far, masses):
        a, b, M = problem()
        rng = np.random.default_rng(0)
        start = far * rng.standard_normal(len(a)), far * rng.standard_normal(len(b))
        reg_m = None if masses == 1 else 1.0
        rule = {"reg_m": reg_m, "tol": 1e-9 * masses, "max_iter": 100_000}
        usual = sinkhorn(masses * a, masses * b, M, 0.05, **rule)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = sinkhorn(masses * a, masses * b, M, 0.05, warm_start=start, **rule)
        np.testing.assert_allclose(found.plan / masses, usual.plan / masses, atol=1e-8)

    @pytest.mark.parametrize("masses", [1e-60, 1e-20, 1e10, 1e60, 1e140])
    def test_masses_of_any_size(self, masses):
        """The plan of c a and c b is that of a and b times a power of c."""
        a, b, M = problem()
        reg, rho = 0.5, 1.0
        power = 2 * (rho + reg) / (2 * rho + reg)
        usual = sinkhorn(a, b, M, reg, reg_m=rho, tol=1e-11).plan
        for start in (None, (np.full(len(a), 50.0), np.full(len(b), -30.0))):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                rule = {"reg_m": rho, "tol": 1e-11 * masses**power, "warm_start": start}
                found = sinkhorn(masses * a, masses * b, M, reg, **rule)
            np.testing.assert_allclose(found.plan / masses**power, usual, rtol=1e-6, atol=1e-9)

    def test_points_of_weight_zero_take_no_part_but_have_potentials(self):
        a, b, M = problem()
        a[[0, 7]], b[3] = 0, 0
        a, b = a / a.sum(), b / b.sum()
        result = sinkhorn(a, b, M, 0.02, tol=1e-11)
        inner = sinkhorn(a[a > 0], b[b > 0], M[a > 0][:, b > 0], 0.02, tol=1e-11)
        np.testing.assert_allclose(result.plan[a > 0][:, b > 0], inner.plan, atol=1e-10)
        assert not result.plan[a == 0].any()
        assert not result.plan[:, b == 0].any()
        updated = updates(result, a, b, M, 0.02)
        for ours, expected in zip((result.f, result.g), updated, strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-7)

    @pytest.mark.parametrize("far", [1e9, 1e13, 1e140])
    @pytest.mark.parametrize("options", [{}, {"reg_m": 0.5}])
    def test_what_points_of_weight_zero_would_cost_does_not_count(self, far, options, xp):
        a, b, M = problem(8, 6)
        with_it = np.pad(M, (0, 1), constant_values=far)
        zero = (np.append(v, 0) for v in (a, b))
        result = sinkhorn(*map(xp.asarray, (*zero, with_it)), 0.02, tol=1e-11, **options)
        alone = sinkhorn(a, b, M, 0.02, tol=1e-11, **options)
        np.testing.assert_allclose(to_host(result.plan)[:-1, :-1], alone.plan, atol=1e-12)
        assert result.cost == pytest.approx(alone.cost, rel=1e-9)
        assert result.value == pytest.approx(alone.value, rel=1e-9)
        assert (result.iterations, result.converged) == (alone.iterations, True)

    def test_costs_that_forbid_a_pair(self):
        M = np.array([[1.0, 1e9, 2.0], [1e9, 1.0, 2.0], [2.0, 2.0, 1e9]])
        result = sinkhorn(None, None, M, 0.05)
        assert result.converged
        assert result.cost == pytest.approx(exact_plan(None, None, M)[1], abs=1e-8)
        with pytest.raises(ValueError, match="^reg must be .*cut off costs that only forbid"):
            sinkhorn(None, None, np.where(M > 1e6, 1e20, M), 0.05)

    def test_tiny_weights_and_far_outliers(self):
        a, b, M = problem()
        a[0], b[0] = 1e-200, 1e-12
        M[0, :], M[:, 1] = 50.0, M[:, 1] + 1000.0
        a, b = a / a.sum(), b / b.sum()
        result = sinkhorn(a, b, M, 0.01, tol=1e-10)
        assert result.converged
        np.testing.assert_allclose(result.plan.sum(axis=0), b, atol=1e-10)

    def test_a_warm_start_saves_the_work(self):
        a, b, M = problem()
        first = sinkhorn(a, b, M, 0.01, tol=1e-10)
        start = first.f.copy(), first.g.copy()
        again = sinkhorn(a, b, M, 0.01, tol=1e-9, warm_start=start)
        start[0][:], start[1][:] = 0, 0
        np.testing.assert_allclose(again.f, first.f, atol=1e-9)
        assert again.iterations <= 2
        np.testing.assert_allclose(again.plan, first.plan, atol=1e-9)

    def test_says_when_it_has_not_converged(self):
        a, b, M = problem()
        with pytest.warns(ConvergenceWarning, match="raise max_iter"):
            result = sinkhorn(a, b, M, 1e-3, max_iter=5)
        assert not result.converged
        assert result.iterations == 5
        assert result.marginal_error > 1e-9
        rows, columns = result.plan.sum(axis=1) - a, result.plan.sum(axis=0) - b
        error = np.hypot(np.linalg.norm(rows), np.linalg.norm(columns))
        assert result.marginal_error == pytest.approx(error)

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(1, 9),
        st.integers(1, 9),
        st.floats(-2, 1),
        st.floats(-3, 3),
        st.integers(0, 2**31),
    )
    def test_transposes_permutes_and_scales(self, n, m, log_reg, shift, seed):
        a, b, M = problem(n, m, seed=seed)
        reg = 10**log_reg
        plan = sinkhorn(a, b, M, reg, tol=1e-11, max_iter=100_000).plan
        options = {"tol": 1e-11, "max_iter": 100_000}
        across = sinkhorn(b, a, M.T, reg, **options).plan
        np.testing.assert_allclose(across.T, plan, atol=1e-8)
        reversed_ = sinkhorn(a[::-1], b, M[::-1], reg, **options).plan
        np.testing.assert_allclose(reversed_[::-1], plan, atol=1e-8)
        scaled = sinkhorn(a, b, 1e5 * (M + shift), 1e5 * reg, **options).plan
        np.testing.assert_allclose(scaled, plan, atol=1e-8)


class TestUnbalanced:
    @pytest.mark.parametrize("reg_m", [0.5, (0.5, 0.05)])
    def test_agrees_with_pot(self, reg_m):
        a, b, M = problem()
        result = sinkhorn(a, 2 * b, M, 0.05, reg_m=reg_m, tol=1e-12)
        expected = ot.unbalanced.sinkhorn_unbalanced(
            a, 2 * b, M, 0.05, reg_m, stopThr=1e-14, numItermax=20_000
        )
        np.testing.assert_allclose(result.plan, expected, atol=1e-9)

    @pytest.mark.parametrize("reg", [1.0, 0.01, 1e-3])
    def test_solves_its_equations_and_closes_the_gap(self, reg):
        a, b, M = problem()
        b, rho = 3 * b, (0.5, 0.1)
        result = sinkhorn(a, b, M, reg, reg_m=rho, tol=1e-12)
        updated = updates(result, a, b, M, reg, rho)
        for ours, expected in zip((result.f, result.g), updated, strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-7)

        def divergence(p, q):
            return np.sum(p * np.log(p / q) - p + q)

        P = np.maximum(result.plan, 1e-300)
        primal = np.sum(P * M) + reg * divergence(P, np.outer(a, b))
        primal += rho[0] * divergence(P.sum(axis=1), a) + rho[1] * divergence(P.sum(axis=0), b)
        assert result.value == pytest.approx(primal, abs=1e-8)

    def test_large_penalties_hold_the_marginals(self):
        a, b, M = problem()
        result = sinkhorn(a, b, M, 0.1, reg_m=1e6)
        assert result.iterations < 100
        np.testing.assert_allclose(result.plan, sinkhorn(a, b, M, 0.1).plan, atol=1e-6)


class TestDivergence:
    def samples(self):
        rng = np.random.default_rng(0)
        return rng.standard_normal((30, 2)), 1 + rng.standard_normal((25, 2))

    def test_goes_from_the_exact_cost_to_the_distance_of_means(self):
        x, y = self.samples()
        small = sinkhorn_divergence(x, y, 1e-2, max_iter=100_000)
        assert small == pytest.approx(wasserstein(x, y) ** 2, rel=0.01)
        means = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
        assert sinkhorn_divergence(x, y, 1e7) == pytest.approx(means, rel=1e-5)

    def test_of_order_one_ends_at_half_the_energy_distance(self):
        x, y = self.samples()
        expected = energy_distance(x, y) / 2
        assert sinkhorn_divergence(x, y, 1e7, p=1) == pytest.approx(expected, rel=1e-5)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 2]), st.integers(0, 2**31))
    def test_symmetric_positive_and_zero_for_one_sample(self, n, m, p, seed):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((n, 2)), rng.standard_normal((m, 2))
        value = sinkhorn_divergence(x, y, 4.0, p=p)
        assert value >= -1e-5
        assert sinkhorn_divergence(y, x, 4.0, p=p) == pytest.approx(value, abs=1e-5)
        assert sinkhorn_divergence(x, x[::-1], 4.0, p=p) == pytest.approx(0, abs=1e-5)
        assert sinkhorn_divergence(x + 4, y + 4, 4.0, p=p) == pytest.approx(value, abs=1e-5)

    def test_refuses_other_powers(self):
        with pytest.raises(ValueError, match="^p "):
            sinkhorn_divergence(*self.samples(), 1.0, p=3)


def test_same_in_every_namespace(xp):
    a, b, M = problem()
    a[0] = 0
    a = a / a.sum()
    for options in ({}, {"reg_m": 0.5}):
        ours = sinkhorn(*map(xp.asarray, (a, b, M)), 0.02, **options)
        expected = sinkhorn(a, b, M, 0.02, **options)
        np.testing.assert_allclose(to_host(ours.plan), expected.plan, atol=1e-9)
        assert ours.cost == pytest.approx(expected.cost)
    x, y = xp.asarray(M[:, :2]), xp.asarray(M[:8, :2])
    divergence = sinkhorn_divergence(M[:, :2], M[:8, :2], 1.0)
    assert sinkhorn_divergence(x, y, 1.0) == pytest.approx(divergence)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"a": [0.5, 0.6]}, "a"),
        ({"a": [1.5, -0.5]}, "a"),
        ({"b": [0.0, 0.0], "reg_m": 1.0}, "b"),
        ({"b": [-1.0, 1.0], "reg_m": 1.0}, "b"),
        ({"b": [1e200, 1.0], "reg_m": 1.0}, "b holds masses so large"),
        ({"b": [1.0]}, "b"),
        ({"M": np.ones((2, 3))}, "b"),
        ({"M": [[1.0, np.nan], [0.0, 0.0]]}, "M"),
        ({"M": np.full((2, 2), 1e300)}, "M"),
        ({"reg": 0.0}, "reg"),
        ({"reg": 1e-14}, "reg"),
        ({"reg": np.inf}, "reg"),
        ({"reg_m": 0.0}, "reg_m"),
        ({"reg_m": (1.0, 2.0, 3.0)}, "reg_m"),
        ({"tol": 0.0}, "tol"),
        ({"max_iter": 0}, "max_iter"),
        ({"warm_start": np.zeros(3)}, "warm_start"),
        ({"warm_start": (np.zeros(3), np.zeros(2))}, "warm_start"),
    ],
)
def test_bad_input(change, name):
    good = {"a": [0.5, 0.5], "b": [0.2, 0.8], "M": np.ones((2, 2)), "reg": 1.0}
    with warnings.catch_warnings(), pytest.raises(ValueError, match=f"^{name} "):
        warnings.simplefilter("error")
        sinkhorn(**(good | change))


def test_a_source_without_mass_leaves_the_dual_value_alone():
    M = np.array([[-1e5], [0.0]])
    with_it = sinkhorn([0.0, 1.0], [1.0], M, 1e-3, reg_m=1e-3)
    without = sinkhorn([1.0], [1.0], M[1:], 1e-3, reg_m=1e-3)
    np.testing.assert_allclose(with_it.value, without.value, rtol=1e-9, atol=1e-15)
