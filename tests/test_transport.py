import array_api_strict
import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from gaussbook import transport
from gaussbook.transport import bures_wasserstein, energy_distance


def samples(n=70, m=50, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 0.5 + 1.3 * rng.standard_normal((m, d))


def gaussians(batch=(4,), d=5, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((*batch, d, rank or d + 2))
    return rng.standard_normal((*batch, d)), factor @ np.swapaxes(factor, -1, -2)


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
        monkeypatch.setattr(transport, "_BLOCK_ELEMENTS", 170)  # two or three rows at once
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


class TestBuresWasserstein:
    def test_agrees_with_pot(self):
        (m0, C0), (m1, C1) = gaussians(seed=1), gaussians(seed=2)
        expected = [
            ot.gaussian.bures_wasserstein_distance(*args) ** 2
            for args in zip(m0, m1, C0, C1, strict=True)
        ]
        np.testing.assert_allclose(bures_wasserstein(m0, C0, m1, C1), expected, rtol=1e-8)

    def test_diagonal_covariances_in_closed_form(self):
        m0, m1 = np.array([1.0, 2.0]), np.array([0.0, -1.0])
        s0, s1 = np.array([1.0, 4.0]), np.array([9.0, 0.25])
        expected = np.sum((m0 - m1) ** 2) + np.sum((np.sqrt(s0) - np.sqrt(s1)) ** 2)
        assert bures_wasserstein(m0, np.diag(s0), m1, np.diag(s1)) == pytest.approx(expected)

    def test_to_a_point_it_is_variance_plus_squared_distance(self):
        m, C = gaussians()
        expected = np.sum(m**2, axis=-1) + np.trace(C, axis1=-2, axis2=-1)
        result = bures_wasserstein(m, C, np.zeros(5), np.zeros((5, 5)))
        np.testing.assert_allclose(result, expected)

    def test_singular_covariances_keep_half_the_digits(self):
        m, C = gaussians(rank=2)
        np.testing.assert_allclose(bures_wasserstein(m, C, m, C), 0, atol=1e-5)

    def test_leading_axes_broadcast(self):
        (m0, C0), (m1, C1) = gaussians((3, 1), seed=1), gaussians((4,), seed=2)
        result = bures_wasserstein(m0, C0, m1, C1)
        assert result.shape == (3, 4)
        assert result[2, 1] == pytest.approx(bures_wasserstein(m0[2, 0], C0[2, 0], m1[1], C1[1]))

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 6), st.integers(0, 2**31), st.floats(0.1, 10))
    def test_a_symmetric_squared_metric(self, d, seed, factor):
        (m0, C0), (m1, C1), (m2, C2) = (gaussians((), d, seed=seed + k) for k in range(3))
        w01, w12, w02 = (
            np.sqrt(bures_wasserstein(*a, *b))
            for a, b in (((m0, C0), (m1, C1)), ((m1, C1), (m2, C2)), ((m0, C0), (m2, C2)))
        )
        assert np.sqrt(bures_wasserstein(m1, C1, m0, C0)) == pytest.approx(w01, rel=1e-6)
        assert w02 <= w01 + w12 + 1e-6
        scaled = bures_wasserstein(factor * m0, factor**2 * C0, factor * m1, factor**2 * C1)
        assert scaled == pytest.approx((factor * w01) ** 2, rel=1e-6)

    def test_runs_on_the_strict_standard(self):
        (m0, C0), (m1, C1) = gaussians(seed=1), gaussians(seed=2)
        result = bures_wasserstein(*map(array_api_strict.asarray, (m0, C0, m1, C1)))
        np.testing.assert_allclose(np.asarray(result), bures_wasserstein(m0, C0, m1, C1))

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"m0": np.float64(1.0)}, "m0"),
            ({"m1": np.zeros(3)}, "m1"),
            ({"C0": np.eye(3)}, "C0"),
            ({"C0": np.diag([1.0, -1.0])}, "C0"),
            ({"C1": np.array([[1.0, 0.5], [0.0, 1.0]])}, "C1"),
            ({"C1": np.diag([1.0, -1.0])}, "C1"),
            ({"C1": np.full((2, 2), np.inf)}, "C1"),
        ],
    )
    def test_bad_input(self, change, name):
        good = {"m0": np.zeros(2), "C0": np.eye(2), "m1": np.ones(2), "C1": 2 * np.eye(2)}
        with pytest.raises(ValueError, match=f"^{name} "):
            bures_wasserstein(**(good | change))
