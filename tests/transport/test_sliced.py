import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook import blocks
from gaussbook.arrays import generator, to_host
from gaussbook.transport import (
    projected_moments,
    random_directions,
    sliced_wasserstein,
    sliced_wasserstein_pullback,
    sliced_wasserstein_terms,
    wasserstein,
    wasserstein_1d,
)

SIZES = [(20, 20), (20, 14), (7, 20)]


def problem(n=20, m=14, d=3, L=11, seed=0):
    rng = np.random.default_rng(seed)
    theta = random_directions(L, d, rng)
    return rng.standard_normal((n, d)), 0.4 + 1.5 * rng.standard_normal((m, d)), theta


class TestDirections:
    def test_are_uniform_on_the_sphere(self):
        theta = random_directions(20_000, 3, generator(0))
        np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 1)
        np.testing.assert_allclose(theta.mean(axis=0), 0, atol=4 / np.sqrt(3 * 20_000))
        np.testing.assert_allclose(theta.T @ theta / 20_000, np.eye(3) / 3, atol=0.01)
        # Archimedes: each coordinate of a point on the sphere in three dimensions is uniform
        np.testing.assert_allclose(np.quantile(theta[:, 0], [0.25, 0.75]), [-0.5, 0.5], atol=0.03)

    def test_depend_on_the_generator_only(self):
        np.testing.assert_array_equal(
            random_directions(5, 2, generator(3)), random_directions(5, 2, generator(3))
        )

    @pytest.mark.parametrize(("L", "d", "name"), [(0, 2, "L"), (3, 0, "d"), (2.5, 2, "L")])
    def test_bad_input(self, L, d, name):
        with pytest.raises(ValueError, match=f"^{name} "):
            random_directions(L, d, generator(0))


class TestTerms:
    @pytest.mark.parametrize("p", [1, 1.5, 2, 3])
    @pytest.mark.parametrize(("n", "m"), SIZES)
    def test_are_the_distances_of_the_projections(self, n, m, p):
        x, y, theta = problem(n, m)
        expected = wasserstein_1d(theta @ x.T, theta @ y.T, p) ** p
        np.testing.assert_allclose(sliced_wasserstein_terms(x, y, theta, p), expected)

    def test_blocks_do_not_change_them(self, monkeypatch):
        x, y, theta = problem()
        whole = sliced_wasserstein_terms(x, y, theta)
        monkeypatch.setattr(blocks, "_HOST_ELEMENTS", 45)  # two directions at once
        np.testing.assert_allclose(sliced_wasserstein_terms(x, y, theta), whole, rtol=1e-13)

    def test_of_a_translate_are_known(self):
        x, _, theta = problem()
        shift = np.array([1.0, -2.0, 0.5])
        np.testing.assert_allclose(
            sliced_wasserstein_terms(x, x + shift, theta), (theta @ shift) ** 2
        )


class TestDistance:
    @pytest.mark.parametrize("p", [1, 2])
    @pytest.mark.parametrize(("n", "m"), SIZES)
    def test_agrees_with_pot(self, n, m, p):
        x, y, theta = problem(n, m)
        expected = ot.sliced_wasserstein_distance(x, y, projections=theta.T, p=p)
        assert sliced_wasserstein(x, y, p=p, theta=theta) == pytest.approx(expected, rel=1e-10)

    def test_draws_its_directions(self):
        x, y, _ = problem()
        theta = random_directions(30, 3, generator(5))
        drawn = sliced_wasserstein(x, y, 30, rng=generator(5))
        assert drawn == sliced_wasserstein(x, y, theta=theta)

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(1, 9),
        st.integers(1, 9),
        st.integers(1, 4),
        st.sampled_from([1, 2, 3]),
        st.integers(0, 2**31),
    )
    def test_a_metric_below_the_distance_itself(self, n, m, d, p, seed):
        x, y, theta = problem(n, m, d, 6, seed)
        z = problem(m, n, d, 1, seed + 1)[0]

        def distance(first, second):
            return sliced_wasserstein(first, second, p=p, theta=theta)

        assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-10
        assert distance(y, x) == pytest.approx(distance(x, y), abs=1e-12)
        assert distance(x, x[::-1]) == 0
        assert distance(x[::-1] + 2, y + 2) == pytest.approx(distance(x, y), abs=1e-7)
        assert distance(x, y) <= wasserstein(x, y, p) + 1e-9

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"theta": None}, "theta"),
            ({"rng": generator(0)}, "theta"),
            ({"theta": np.ones((2, 5))}, "theta"),
            ({"theta": np.full((2, 3), np.nan)}, "theta"),
            ({"x": np.full((4, 3), np.inf)}, "x"),
            ({"y": np.ones((4, 2))}, "y"),
            ({"p": 0}, "p"),
        ],
    )
    def test_bad_input(self, change, name):
        good = {"x": np.zeros((4, 3)), "y": np.ones((4, 3)), "theta": np.eye(3)}
        with pytest.raises(ValueError, match=f"^{name} "):
            sliced_wasserstein(**(good | change))


class TestGradient:
    @pytest.mark.parametrize("p", [1, 1.5, 2, 3])
    @pytest.mark.parametrize(("n", "m"), SIZES)
    def test_agrees_with_finite_differences(self, n, m, p):
        x, y, theta = problem(n, m)
        weights = np.random.default_rng(1).standard_normal(len(theta))
        terms, pullback = sliced_wasserstein_pullback(x, y, theta, p)
        np.testing.assert_allclose(terms, sliced_wasserstein_terms(x, y, theta, p), rtol=1e-12)
        step, expected = 1e-6, np.empty_like(x)
        for index in np.ndindex(*x.shape):
            moved = np.zeros_like(x)
            moved[index] = step
            ends = [sliced_wasserstein_terms(x + s * moved, y, theta, p) for s in (1, -1)]
            expected[index] = weights @ (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(pullback(weights), expected, rtol=1e-5, atol=1e-7)

    def test_of_a_translate_points_along_the_shift(self):
        x, _, theta = problem()
        shift = np.array([1.0, -2.0, 0.5])
        expected = -2 / len(x) * (theta.T @ theta / len(theta)) @ shift
        _, pullback = sliced_wasserstein_pullback(x, x + shift, theta)
        gradient = pullback(np.full(len(theta), 1 / len(theta)))
        np.testing.assert_allclose(gradient, np.tile(expected, (len(x), 1)))


class TestMoments:
    @pytest.mark.parametrize("L", [2, 11])  # by projections, and by the covariance
    def test_are_those_of_the_projections(self, L):
        x, _, theta = problem(L=L)
        mean, variance = projected_moments(x, theta)
        np.testing.assert_allclose(mean, (theta @ x.T).mean(axis=1))
        np.testing.assert_allclose(variance, (theta @ x.T).var(axis=1))

    def test_a_constant_sample_has_no_variance(self):
        _, variance = projected_moments(np.full((5, 3), 0.1), problem()[2])
        np.testing.assert_allclose(variance, 0, atol=1e-30)
        assert variance.min() >= 0


@pytest.mark.parametrize(("n", "m"), SIZES)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_same_in_every_namespace(n, m, p, xp, draws):
    x, y, theta = problem(n, m)
    directions = random_directions(5, 3, draws(0))
    np.testing.assert_allclose(to_host(directions), random_directions(5, 3, generator(0)))
    ours = tuple(map(xp.asarray, (x, y, theta)))
    expected, pullback = sliced_wasserstein_pullback(x, y, theta, p)
    np.testing.assert_allclose(to_host(sliced_wasserstein_terms(*ours, p)), expected, rtol=1e-10)
    terms, our_pullback = sliced_wasserstein_pullback(*ours, p)
    np.testing.assert_allclose(to_host(terms), expected, rtol=1e-10)
    slopes = to_host(our_pullback(terms))
    np.testing.assert_allclose(slopes, pullback(expected), rtol=1e-9, atol=1e-12)
    distance = sliced_wasserstein(*ours[:2], p=p, theta=ours[2])
    assert distance == pytest.approx(sliced_wasserstein(x, y, p=p, theta=theta))
    for L in (2, 11):
        moments = projected_moments(ours[0], ours[2][:L, :])
        for mine, expected in zip(moments, projected_moments(x, theta[:L]), strict=True):
            np.testing.assert_allclose(to_host(mine), expected)
