import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from gaussbook import blocks
from gaussbook.transport import energy_distance


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
        monkeypatch.setattr(blocks, "_HOST_ELEMENTS", 170)  # two or three rows at once
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

    def test_same_in_every_namespace(self, xp):
        x, y = samples()
        result = energy_distance(*map(xp.asarray, (x, y)), unbiased=True)
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
