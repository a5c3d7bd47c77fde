"""Kernel density estimates: sums written out, SciPy, integrals and finite differences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp, softmax
from scipy.stats import gaussian_kde

from gaussbook import blocks, density
from gaussbook.arrays import to_host
from gaussbook.density import estimate, log_density, participation_ratio, score


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(density, "_TILE", (7, 11))
    monkeypatch.setattr(blocks, "_HOST_ELEMENTS", 64)


def sample(n, d, seed=0, spread=1.0, middle=0.0):
    return middle + spread * np.random.default_rng(seed).standard_normal((n, d))


def written_out(x, data, h, weights=None, leave_one_out=False):
    """Log-density, score and participation ratio from all differences and SciPy's softmax."""
    energies = np.sum((x[:, None, :] - data) ** 2, axis=-1) / 2
    a = np.ones(len(data)) if weights is None else weights
    logits = np.log(a) - energies / h**2
    mass = np.sum(a)
    if leave_one_out:
        np.fill_diagonal(logits, -np.inf)
        mass = mass - a
    w = softmax(logits, axis=1)
    log_norm = np.log(mass) + x.shape[1] / 2 * np.log(2 * np.pi * h**2)
    mean_shift = np.einsum("ij,ijk->ik", w, data - x[:, None, :])
    return logsumexp(logits, axis=1) - log_norm, mean_shift / h**2, np.sum(w**2, axis=1)


def agree(got, expected, rel=1e-9):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=rel, atol=rel * np.max(np.abs(b)))


class TestEstimate:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("leave_one_out", [False, True])
    @pytest.mark.parametrize("h", [1e-7, 0.05, 0.7, 30.0])
    def test_is_the_sum_written_out(self, xp, small_tiles, weighted, leave_one_out, h):
        data = sample(40, 3, middle=5.0)
        x = data if leave_one_out else sample(25, 3, seed=1, middle=5.0)
        a = np.random.default_rng(2).uniform(0.1, 3, 40) if weighted else None
        got = estimate(
            xp.asarray(x),
            xp.asarray(data),
            h,
            weights=None if a is None else xp.asarray(a),
            leave_one_out=leave_one_out,
            with_score=True,
            with_participation=True,
        )
        agree(got, written_out(x, data, h, a, leave_one_out))

    @pytest.mark.parametrize("farthest", [5.0, 24.0, 60.0, 1e3])
    @pytest.mark.parametrize("d", [2, 5])
    def test_nearer_points_may_come_late(self, xp, small_tiles, farthest, d):
        distances = np.linspace(farthest, 0.5, 40)
        directions = sample(40, d, seed=2)
        data = distances[:, None] * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        x = sample(9, d, spread=0.1, seed=3)
        found = estimate(
            xp.asarray(x), xp.asarray(data), 1.0, with_score=True, with_participation=True
        )
        expected = written_out(x, data, 1.0)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(to_host(ours), theirs, rtol=1e-9, atol=1e-9)

    def test_several_bandwidths_share_the_pass(self, xp, small_tiles):
        x, data, widths = sample(15, 4, seed=1), sample(33, 4), [0.9, 1e-6, 0.2]
        several = estimate(
            xp.asarray(x),
            xp.asarray(data),
            xp.asarray(widths),
            with_score=True,
            with_participation=True,
        )
        assert several.score.shape == (3, 15, 4)
        for k, h in enumerate(widths):
            agree((field[k, ...] for field in several), written_out(x, data, h))

    def test_only_what_is_asked_for(self):
        result = estimate(sample(3, 2), sample(5, 2), 1.0)
        assert result.log_density.shape == (3,)
        assert result.score is None and result.participation is None

    def test_wrappers_return_their_field(self, xp):
        x, data = sample(4, 2, seed=1), sample(9, 2)
        expected = written_out(x, data, 0.4)
        functions = (log_density, score, participation_ratio)
        agree((to_host(f(xp.asarray(x), xp.asarray(data), 0.4)) for f in functions), expected)

    @settings(max_examples=30, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(2, 30),
        d=st.integers(1, 6),
        log_h=st.floats(-9, 3),
        log_distance=st.floats(0, 7),
        weighted=st.booleans(),
    )
    def test_far_from_the_origin_and_in_clusters(self, seed, n, d, log_h, log_distance, weighted):
        # Two tight clusters far apart: the case in which the expanded square has no digits left.
        rng = np.random.default_rng(seed)
        h = 10**log_h
        data = h * rng.standard_normal((n, d))
        data[::2] += 10**log_distance * h
        x = data[rng.integers(0, n, 8)] + h * rng.standard_normal((8, d))
        weights = rng.uniform(1e-3, 1, n) if weighted else None
        got = estimate(x, data, h, weights=weights, with_participation=True)
        log_rho, _, participation = written_out(x, data, h, weights)
        np.testing.assert_allclose(got.log_density - log_rho, 0, atol=1e-7)
        np.testing.assert_allclose(got.participation, participation, rtol=1e-7)

    def test_near_neighbours_are_computed_again(self, monkeypatch):
        data = sample(30, 5, spread=1e-6)
        data[15:] += 1.0
        expected = written_out(data, data, 1e-6, leave_one_out=True)[0]
        got = log_density(data, data, 1e-6, leave_one_out=True)
        assert np.max(np.abs(got - expected)) < 1e-8
        monkeypatch.setattr(density, "_TOLERANCE", math.inf)
        got = log_density(data, data, 1e-6, leave_one_out=True)
        assert np.max(np.abs(got - expected)) > 1e-5

    @pytest.mark.parametrize("h", [0.2, 1.0, 3.0])
    def test_has_mass_one_in_one_dimension(self, h):
        data = sample(12, 1)
        weights = np.arange(1.0, 13.0)

        def rho(t):
            return math.exp(log_density(np.asarray([[t]]), data, h, weights=weights)[0])

        assert quad(rho, -40, 40, points=list(data[:, 0]), limit=400)[0] == pytest.approx(1)

    def test_agrees_with_scipy(self):
        data, x = sample(300, 3), sample(50, 3, seed=1)
        peer = gaussian_kde(data.T, bw_method=0.3)
        whiten = np.linalg.inv(np.linalg.cholesky(np.cov(data.T)))
        ours = log_density(x @ whiten.T, data @ whiten.T, 0.3)
        ours = ours + np.linalg.slogdet(whiten)[1]
        np.testing.assert_allclose(ours, peer.logpdf(x.T), rtol=1e-12)

    def test_leaving_one_out_is_deleting_it(self):
        data, a = sample(20, 2), np.linspace(1, 2, 20)
        got = log_density(data, data, 0.5, weights=a, leave_one_out=True)
        for i in (0, 7, 19):
            rest = np.arange(20) != i
            alone = log_density(data[i : i + 1], data[rest], 0.5, weights=a[rest])
            assert got[i] == pytest.approx(float(alone[0]), rel=1e-12)

    def test_whole_weights_are_repetitions(self):
        data, x = sample(6, 2), sample(5, 2, seed=1)
        counts = np.asarray([1, 2, 3, 1, 2, 4])
        repeated = log_density(x, np.repeat(data, counts, axis=0), 0.4)
        np.testing.assert_allclose(log_density(x, data, 0.4, weights=counts), repeated, rtol=1e-12)

    def test_single_precision_is_computed_in_double(self):
        data = sample(50, 3).astype(np.float32)
        result = log_density(data, data, 0.3)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, log_density(data.astype(float), data, 0.3))

    def test_very_far_queries_neither_underflow_nor_overflow(self):
        result = estimate(np.full((1, 2), 1e6), sample(10, 2), 1e-3, with_participation=True)
        assert result.log_density[0] == pytest.approx(-1e18, rel=1e-4)
        assert 0 < result.participation[0] <= 1


@pytest.mark.parametrize("d", [1, 3, 4, 6])
@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("h", [0.01, 0.1])
def test_clusters_far_apart_keep_all_digits(xp, d, far, h):
    """A cluster that no kernel reaches only adds to the number of data points."""
    rng = np.random.default_rng(0)
    data = np.round(h * rng.standard_normal((6, d)) * 2**30) / 2**30
    x = np.round(h * rng.standard_normal((3, d)) * 2**30) / 2**30
    both = np.concatenate([data, np.round(far) + data[:2]])
    alone = estimate(x, data, h, with_score=True, with_participation=True)
    got = estimate(*map(xp.asarray, (x, both)), h, with_score=True, with_participation=True)
    expected = alone.log_density + np.log(6 / 8)
    np.testing.assert_allclose(to_host(got.log_density), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(to_host(got.score), alone.score, rtol=1e-8, atol=1e-9 / h)
    np.testing.assert_allclose(to_host(got.participation), alone.participation, rtol=1e-9)


def test_three_points_of_which_one_is_far():
    got = log_density(np.array([[0.3]]), np.array([[0.1], [0.6], [1e6]]), 0.01)
    E = np.array([0.2, 0.3]) ** 2 / 2 / 1e-4
    expected = logsumexp(-E) - np.log(3) - np.log(0.01 * np.sqrt(2 * np.pi))
    assert got[0] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("weights", [[1e-17, 1, 2e-17], [1, 1e17, 2], [1e-300, 1, 2e-300]])
def test_leaving_out_nearly_all_of_the_weight(xp, weights):
    points = xp.asarray([[0.0], [1.0], [2.0]])
    left = log_density(points, points, 1.0, weights=xp.asarray(weights), leave_one_out=True)
    # at the middle two points at distance one remain, at the ends nearly only the middle
    assert float(left[1]) == pytest.approx(-1.418939, abs=1e-6)
    assert float(left[0]) == pytest.approx(-1.418939, abs=1e-6)


class TestScore:
    @pytest.mark.parametrize("h", [0.15, 0.6, 4.0])
    def test_is_the_gradient(self, h):
        x, data, step = sample(6, 3, seed=1), sample(40, 3), 1e-5
        weights = np.random.default_rng(3).uniform(0.2, 1, 40)
        numerical = np.empty_like(x)
        for k in range(3):
            e = step * np.eye(3)[k]
            up, down = (log_density(x + s * e, data, h, weights=weights) for s in (1, -1))
            numerical[:, k] = (up - down) / (2 * step)
        got = score(x, data, h, weights=weights)
        np.testing.assert_allclose(got, numerical, rtol=1e-6, atol=1e-6)

    def test_of_one_point_is_that_of_its_gaussian(self):
        x = sample(5, 2)
        np.testing.assert_allclose(score(x, np.zeros((1, 2)), 2.0), -x / 4, rtol=1e-12)


class TestParticipationRatio:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(-6, 4))
    def test_lies_between_one_in_n_and_one(self, seed, n, log_h):
        y2 = participation_ratio(sample(9, 3, seed), sample(n, 3, seed + 1), 10**log_h)
        assert np.all(y2 >= 1 / n * (1 - 1e-12)) and np.all(y2 <= 1 + 1e-12)

    def test_extreme_bandwidths(self):
        x, data = sample(5, 2), sample(16, 2, seed=1)
        np.testing.assert_allclose(participation_ratio(x, data, 1e-4), 1)
        np.testing.assert_allclose(participation_ratio(x, data, 1e4), 1 / 16)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"x": np.zeros(3)}, "x"),
        ({"x": [[0.0, math.nan]]}, "x"),
        ({"x": np.zeros((4, 3))}, "data"),
        ({"data": np.zeros((0, 2))}, "data"),
        ({"x": np.full((1, 2), 1e200)}, "x"),
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"bandwidth": [1.0, -1.0]}, "bandwidth"),
        ({"bandwidth": np.ones((2, 2))}, "bandwidth"),
        ({"bandwidth": []}, "bandwidth"),
        ({"weights": np.ones(4)}, "weights"),
        ({"weights": [1.0, 1.0, 0.0]}, "weights"),
        ({"weights": [1e300, 1.0, 1e-300]}, "weights"),
        ({"leave_one_out": True}, "x"),
        ({"x": np.ones((1, 2)), "data": np.ones((1, 2)), "leave_one_out": True}, "data"),
    ],
)
def test_bad_input_is_named(change, name):
    arguments = {"x": np.zeros((4, 2)), "data": np.ones((3, 2)), "bandwidth": 1.0} | change
    with pytest.raises(ValueError, match=f"^{name}"):
        estimate(**arguments)
