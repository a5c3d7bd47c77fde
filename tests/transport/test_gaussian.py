import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.arrays import to_host
from gaussbook.transport import bures_wasserstein


def gaussians(batch=(4,), d=5, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((*batch, d, rank or d + 2))
    return rng.standard_normal((*batch, d)), factor @ np.swapaxes(factor, -1, -2)


class TestBuresWasserstein:
    def test_orthogonal_supports(self):
        q = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
        C0, C1 = q[:, :3] @ q[:, :3].T, q[:, 3:] @ q[:, 3:].T
        np.testing.assert_allclose(bures_wasserstein(np.zeros(6), C0, np.zeros(6), C1), 6.0)

    def test_each_covariance_is_judged_by_its_own_size(self):
        stack = np.stack([1e10 * np.eye(2), np.diag([1.0, -1.0])])
        with pytest.raises(ValueError, match="^C0 is not positive"):
            bures_wasserstein(np.zeros(2), stack, np.zeros(2), np.eye(2))
        stack[1] = [[1.0, 0.5], [0.0, 1.0]]
        with pytest.raises(ValueError, match="^C1 is not symmetric"):
            bures_wasserstein(np.zeros(2), np.eye(2), np.zeros(2), stack)

    def test_what_rounding_leaves_of_a_point_mass(self):
        rounding = np.stack([np.diag([1e-15, -4e-15]), np.eye(2)])
        distances = bures_wasserstein(np.zeros(2), rounding, np.zeros(2), np.eye(2))
        np.testing.assert_allclose(distances, [2.0, 0.0], atol=1e-6)

    def test_a_negative_direction_outside_the_other_support_is_seen(self):
        C0, C1 = np.diag([1.0, 0.0]), np.diag([1.0, -1.0])
        with pytest.raises(ValueError, match="^C1 is not positive"):
            bures_wasserstein(np.zeros(2), C0, np.zeros(2), C1)

    def test_axes_that_do_not_broadcast(self):
        with pytest.raises(ValueError, match="^m1 has leading axes"):
            bures_wasserstein(np.zeros((3, 2)), np.eye(2), np.zeros((2, 2)), np.eye(2))

    def test_single_precision_is_computed_in_double(self):
        (m0, C0), (m1, C1) = gaussians((), seed=1), gaussians((), seed=2)
        single = [x.astype(np.float32) for x in (m0, C0, m1, C1)]
        expected = bures_wasserstein(*(x.astype(np.float64) for x in single))
        np.testing.assert_allclose(bures_wasserstein(*single), expected, rtol=1e-12)

    def test_never_below_zero(self):
        m, C = gaussians((200,), rank=2, seed=3)
        assert bures_wasserstein(m, C, m, C).min() >= 0

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

    def test_same_in_every_namespace(self, xp):
        (m0, C0), (m1, C1) = gaussians(seed=1), gaussians(seed=2)
        result = bures_wasserstein(*map(xp.asarray, (m0, C0, m1, C1)))
        np.testing.assert_allclose(to_host(result), bures_wasserstein(m0, C0, m1, C1))

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
