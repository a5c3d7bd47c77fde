"""Draws of Gaussian processes against the covariances they must have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.arrays import generator, namespace, to_host
from gaussbook.gp.sampling import circulant_embedding, sample_gaussian


def exponential(lags):
    return namespace(lags).exp(-lags)


def squared_exponential(lags):
    return namespace(lags).exp(-(lags**2) / 2)


@pytest.mark.parametrize("covariance", [exponential, squared_exponential])
@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_paths_have_the_covariance(covariance, n):
    draws = 200_000
    paths = circulant_embedding(covariance, n, 0.3, draws, generator(0), length=64)
    assert paths.shape == (draws, n)
    lags = 0.3 * np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    # An entry of the empirical matrix has variance (r_ii r_jj + r_ij^2) / draws <= 2 / draws.
    assert np.abs(paths.T @ paths / draws - covariance(lags)).max() < 5 * np.sqrt(2 / draws)
    assert np.abs(paths.mean(axis=0)).max() < 5 / np.sqrt(draws)


def test_both_halves_of_a_pair_are_independent():
    draws = 100_000
    paths = circulant_embedding(exponential, 8, 0.5, 2 * draws, generator(1))
    cross = paths[:draws].T @ paths[draws:] / draws
    assert np.abs(cross).max() < 5 / np.sqrt(draws)


def test_a_short_circle_closes_on_itself():
    n, draws = 8, 200_000
    paths = circulant_embedding(exponential, n, 0.5, draws, generator(2), length=n)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    circular = np.exp(-0.5 * np.minimum(lag, n - lag))
    assert np.abs(paths.T @ paths / draws - circular).max() < 5 * np.sqrt(2 / draws)


def test_the_default_length_is_exact_where_the_circle_is_too_short():
    # With length n this covariance, which does not die out, has no embedding worth its name.
    paths = circulant_embedding(exponential, 33, 0.01, 50_000, generator(3))
    assert np.mean(paths[:, 0] * paths[:, -1]) == pytest.approx(np.exp(-0.32), abs=0.03)


def test_odd_numbers_of_paths_and_seeds():
    five = circulant_embedding(exponential, 10, 0.1, 5, generator(4))
    again = circulant_embedding(exponential, 10, 0.1, 5, generator(4))
    assert five.shape == (5, 10)
    assert np.array_equal(five, again)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), extra=st.integers(0, 50), scale=st.floats(0.1, 10))
def test_the_paths_scale_with_the_standard_deviation(n, extra, scale):
    length = 4 * n + extra + 60

    def scaled(lags):
        return scale**2 * exponential(lags)

    one = circulant_embedding(exponential, n, 1.0, 2, generator(5), length=length)
    other = circulant_embedding(scaled, n, 1.0, 2, generator(5), length=length)
    np.testing.assert_allclose(other, scale * one, rtol=1e-10, atol=1e-12)


def test_same_in_every_namespace(xp, draws):
    paths = circulant_embedding(exponential, 9, 0.2, 3, draws(6))
    host = circulant_embedding(exponential, 9, 0.2, 3, generator(6))
    assert namespace(paths) is namespace(xp.zeros(1))
    np.testing.assert_allclose(to_host(paths), host, rtol=1e-12, atol=1e-13)


def test_a_negative_spectrum_is_reported():
    def boxcar(lags):  # its spectrum, a sinc, is negative in places
        return np.where(lags < 1, 1.0, 0.0)

    with pytest.raises(ValueError, match=r"^covariance has no circulant embedding of length 64"):
        circulant_embedding(boxcar, 16, 0.1, 2, generator(0), length=64)
    paths = circulant_embedding(boxcar, 16, 0.1, 2, generator(0), length=64, tolerance=1.0)
    assert np.all(np.isfinite(paths))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"n": 2.5}, "n must be an integer"),
        ({"step": 0.0}, "step must be above 0"),
        ({"step": float("nan")}, "step must be finite"),
        ({"paths": 0}, "paths must be at least 1"),
        ({"length": 9}, "length must be at least 10"),
        ({"tolerance": -1}, "tolerance must be at least 0"),
        ({"rng": 3}, "rng must be a gaussbook.arrays.Generator"),
        ({"covariance": lambda t: 0 * t}, "covariance must be positive at lag 0"),
        ({"covariance": lambda t: t[1:]}, "covariance must have shape"),
        ({"covariance": lambda t: t * np.nan}, "covariance holds NaN"),
    ],
)
def test_bad_inputs(changes, message):
    arguments = {
        "covariance": exponential,
        "n": 10,
        "step": 0.1,
        "paths": 2,
        "rng": generator(0),
        "length": None,
    } | changes
    with pytest.raises(ValueError, match=f"^{message}"):
        circulant_embedding(**arguments)


def test_exact_draws_have_mean_and_covariance():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 4))
    mean, covariance = rng.normal(size=4), a @ a.T
    draws = sample_gaussian(mean, covariance, 200_000, generator(0))
    assert np.abs(draws.mean(axis=0) - mean).max() < 0.03
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.06)


def test_exact_draws_from_a_batch():
    covariances = np.stack([np.eye(2), np.array([[2.0, 1.0], [1.0, 3.0]]), 0.1 * np.eye(2)])
    mean = np.arange(6.0).reshape(3, 2)
    draws = sample_gaussian(mean, covariances, 100_000, generator(1))
    assert draws.shape == (100_000, 3, 2)
    assert np.abs(draws.mean(axis=0) - mean).max() < 0.03
    for b in range(3):
        np.testing.assert_allclose(np.cov(draws[:, b].T), covariances[b], atol=0.05)


def test_exact_draws_of_a_singular_covariance():
    draws = sample_gaussian(np.zeros(3), np.ones((3, 3)), 5, generator(0))
    np.testing.assert_allclose(draws - draws[:, :1], 0, atol=1e-4)


def test_degenerate_covariances_are_drawn_from():
    rng = generator(0)
    for covariance in (np.zeros((3, 3)), np.diag([1.0, 0.0, 2.0]), np.ones((3, 3))):
        root = np.stack([covariance, 1e-20 * covariance, np.eye(3)])
        draws = sample_gaussian(np.arange(3.0), root, 40_000, rng)
        for b in range(3):
            size = max(np.max(np.abs(root[b])), 1e-300)
            moments = np.cov(draws[:, b].T) / size
            np.testing.assert_allclose(moments, root[b] / size, atol=0.05)


def test_exact_draws_in_every_namespace(xp, draws):
    none = sample_gaussian(xp.zeros(2), xp.zeros((2, 2)), 4, draws(0))
    np.testing.assert_array_equal(to_host(none), np.zeros((4, 2)))
    for covariance in (np.eye(3), np.diag([1.0, 0.0, 2.0]), np.stack([np.eye(3), np.ones((3, 3))])):
        mean = np.arange(float(covariance[..., 0].size)).reshape(covariance.shape[:-1])
        ours = sample_gaussian(xp.asarray(mean), xp.asarray(covariance), 4, draws(0))
        expected = sample_gaussian(mean, covariance, 4, generator(0))
        assert ours.shape == (4, *mean.shape)
        np.testing.assert_allclose(np.var(to_host(ours)), np.var(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda g: sample_gaussian(np.zeros(2), np.eye(3), 1, g), "mean must have shape"),
        (lambda g: sample_gaussian(np.zeros(2), -np.eye(2), 1, g), "covariance is not positive"),
        (lambda g: sample_gaussian(np.zeros(2), np.eye(2), 0, g), "n must be at least 1"),
        (lambda g: sample_gaussian(np.zeros(2), np.eye(2), 1, None), "rng must be"),
    ],
)
def test_bad_inputs_of_draws(act, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        act(generator(0))
