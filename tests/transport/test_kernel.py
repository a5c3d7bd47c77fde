import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from gaussbook.transport import energy_distance, maximum_mean_discrepancy, pairs

KERNELS = {
    "gaussian": lambda r, s: np.exp(-((r / s) ** 2) / 2),
    "laplace": lambda r, s: np.exp(-r / s),
    "inverse multiquadric": lambda r, s: 1 / np.sqrt(1 + (r / s) ** 2),
}


def samples(n=70, m=50, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 0.5 + 1.3 * rng.standard_normal((m, d))


class TestEnergyDistance:
    def test_one_dimension_is_the_square_of_scipys(self):
        x, y = samples(d=1)
        expected = stats.energy_distance(x[:, 0], y[:, 0]) ** 2
        assert energy_distance(x, y) == pytest.approx(expected, rel=1e-10)

    @pytest.mark.parametrize("unbiased", [False, True])
    def test_equals_the_means_over_pairs(self, unbiased):
        x, y = samples()
        shrink = (lambda n: n / (n - 1)) if unbiased else (lambda n: 1.0)
        within = [cdist(s, s).mean() * shrink(len(s)) for s in (x, y)]
        expected = 2 * cdist(x, y).mean() - sum(within)
        assert energy_distance(x, y, unbiased=unbiased) == pytest.approx(expected, rel=1e-10)

    def test_blocks_do_not_change_the_result(self, monkeypatch):
        x, y = samples()
        whole = energy_distance(x, y)
        monkeypatch.setattr(pairs, "_BLOCK_ELEMENTS", 170)  # two or three rows at once
        assert energy_distance(x, y) == pytest.approx(whole, rel=1e-12)

    def test_v_statistic_of_a_sample_with_itself_is_zero(self):
        x, _ = samples()
        assert energy_distance(x, x) == pytest.approx(0, abs=1e-7)

    def test_the_two_statistics_differ_by_the_stated_bias(self):
        x, y = samples()
        bias = pdist(x).mean() / len(x) + pdist(y).mean() / len(y)
        difference = energy_distance(x, y) - energy_distance(x, y, unbiased=True)
        assert difference == pytest.approx(bias, rel=1e-10)

    def test_u_statistic_is_centred_for_equal_distributions(self):
        rng = np.random.default_rng(0)
        values = [
            energy_distance(*rng.standard_normal((2, 40, 2)), unbiased=True) for _ in range(200)
        ]
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
        assert min(values) < 0

    def test_far_from_the_origin_nothing_is_lost(self):
        x, y = samples()
        moved = energy_distance(x + 1e6, y + 1e6)
        assert moved == pytest.approx(energy_distance(x, y), rel=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(2, 12),
        st.integers(2, 12),
        st.integers(1, 4),
        st.floats(0.01, 100),
        st.integers(0, 2**31),
    )
    def test_symmetric_homogeneous_and_not_negative(self, n, m, d, factor, seed):
        x, y = samples(n, m, d, seed)
        value = energy_distance(x, y)
        assert value >= -1e-7
        assert energy_distance(y, x) == pytest.approx(value, rel=1e-9, abs=1e-7)
        scaled = energy_distance(factor * x, factor * y)
        assert scaled == pytest.approx(factor * value, rel=1e-9, abs=1e-7 * factor)

    def test_runs_on_the_strict_standard(self):
        x, y = samples()
        result = energy_distance(*map(array_api_strict.asarray, (x, y)), unbiased=True)
        assert result == pytest.approx(energy_distance(x, y, unbiased=True), rel=1e-12)

    @pytest.mark.parametrize(
        ("x", "y", "unbiased", "name"),
        [
            (np.zeros(3), np.zeros((3, 1)), False, "x"),
            (np.zeros((3, 2)), np.zeros((3, 1)), False, "y"),
            (np.zeros((0, 2)), np.zeros((3, 2)), False, "x"),
            (np.full((3, 2), np.nan), np.zeros((3, 2)), False, "x"),
            (np.zeros((3, 2)), np.zeros((1, 2)), True, "y"),
        ],
    )
    def test_bad_input(self, x, y, unbiased, name):
        with pytest.raises(ValueError, match=f"^{name} "):
            energy_distance(x, y, unbiased=unbiased)


class TestMaximumMeanDiscrepancy:
    @pytest.mark.parametrize("kernel", KERNELS)
    def test_v_statistic_equals_the_means_over_pairs(self, kernel):
        x, y = samples()
        k = KERNELS[kernel]
        expected = k(cdist(x, x), 0.7).mean() + k(cdist(y, y), 0.7).mean()
        expected -= 2 * k(cdist(x, y), 0.7).mean()
        assert maximum_mean_discrepancy(x, y, 0.7, kernel=kernel) == pytest.approx(
            expected, rel=1e-9
        )

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_u_statistic_leaves_out_a_point_and_itself(self, kernel):
        x, y = samples()
        k = KERNELS[kernel]
        expected = (
            k(pdist(x), 0.7).mean() + k(pdist(y), 0.7).mean() - 2 * k(cdist(x, y), 0.7).mean()
        )
        result = maximum_mean_discrepancy(x, y, 0.7, kernel=kernel, unbiased=True)
        assert result == pytest.approx(expected, rel=1e-9)

    def test_gaussians_in_closed_form(self):
        # E k(X, Y) for X ~ N(0, I), Y ~ N(m, I): (1 + 2/s²)^(-d/2) exp(-|m|²/(2 (s² + 2)))
        rng = np.random.default_rng(3)
        d, s, m = 2, 1.0, 1.0
        x, y = rng.standard_normal((4000, d)), m + rng.standard_normal((4000, d))
        scale = (1 + 2 / s**2) ** (-d / 2)
        expected = 2 * scale * (1 - np.exp(-d * m**2 / (2 * (s**2 + 2))))
        result = maximum_mean_discrepancy(x, y, s, unbiased=True)
        assert result == pytest.approx(expected, rel=0.05)

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(1, 9),
        st.integers(1, 9),
        st.floats(0.05, 20),
        st.sampled_from(sorted(KERNELS)),
        st.integers(0, 2**31),
    )
    def test_a_symmetric_distance_that_moving_both_leaves_alone(self, n, m, s, kernel, seed):
        x, y = samples(n, m, 2, seed)
        value = maximum_mean_discrepancy(x, y, s, kernel=kernel)
        assert -1e-7 <= value <= 2
        assert maximum_mean_discrepancy(y, x, s, kernel=kernel) == pytest.approx(value, abs=1e-6)
        moved = maximum_mean_discrepancy(x[::-1] + 3, y + 3, s, kernel=kernel)
        assert moved == pytest.approx(value, abs=1e-6)
        same = maximum_mean_discrepancy(x, x, s, kernel=kernel)
        assert same == pytest.approx(0, abs=1e-6)

    def test_blocks_do_not_change_the_result(self, monkeypatch):
        x, y = samples()
        whole = maximum_mean_discrepancy(x, y, 1.0)
        monkeypatch.setattr(pairs, "_BLOCK_ELEMENTS", 170)
        assert maximum_mean_discrepancy(x, y, 1.0) == pytest.approx(whole, rel=1e-12)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_runs_on_the_strict_standard(self, kernel):
        x, y = samples()
        strict = map(array_api_strict.asarray, (x, y))
        result = maximum_mean_discrepancy(*strict, 0.7, kernel=kernel)
        assert result == pytest.approx(maximum_mean_discrepancy(x, y, 0.7, kernel=kernel))

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"lengthscale": 0.0}, "lengthscale"),
            ({"kernel": "linear"}, "kernel"),
            ({"y": np.zeros((3, 5))}, "y"),
            ({"x": np.full((3, 2), 1e200)}, "x"),
            ({"x": np.zeros((1, 2)), "unbiased": True}, "x"),
        ],
    )
    def test_bad_input(self, change, name):
        good = {"x": np.zeros((3, 2)), "y": np.ones((4, 2)), "lengthscale": 1.0}
        with pytest.raises(ValueError, match=f"^{name} "):
            maximum_mean_discrepancy(**(good | change))
