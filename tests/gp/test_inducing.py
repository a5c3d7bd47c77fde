"""Inducing points: a bound below the exact likelihood, tight where they are the data."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from gaussbook.arrays import namespace
from gaussbook.gp.covariances import Matern52, SquaredExponential
from gaussbook.gp.exact import GaussianProcessRegressor, log_marginal_likelihood
from gaussbook.gp.inducing import SparseRegressor, collapsed_bound, greedy_inducing_points
from gaussbook.gp.network import NeuralNetwork

RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(60, 2)), RNG.normal(size=(8, 2))
Y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.2 * RNG.normal(size=60)
K = Matern52(1.2, [0.9, 1.6])


def test_bound_is_the_textbook_formula():
    z = X[:9]
    Q = K(X, z) @ np.linalg.solve(K(z), K(z, X))
    expected = multivariate_normal(cov=Q + 0.1 * np.eye(60)).logpdf(Y)
    expected -= (np.sum(K.diagonal(X)) - np.trace(Q)) / 0.2
    assert collapsed_bound(K, 0.1, z, X, Y)[0] == pytest.approx(expected, rel=1e-9)


def test_inducing_points_at_the_data_are_exact():
    assert collapsed_bound(K, 0.1, X, X, Y)[0] == pytest.approx(
        log_marginal_likelihood(K, 0.1, X, Y)[0], rel=1e-9
    )
    ours = SparseRegressor(K, X, 0.1).fit(X, Y, optimise=False)
    exact = GaussianProcessRegressor(K, 0.1).fit(X, Y, optimise=False)
    for mine, theirs in zip(
        ours.predict(NEW, return_std=True), exact.predict(NEW, return_std=True), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-7)


@settings(max_examples=25, deadline=None)
@given(m=st.integers(1, 40), noise=st.floats(1e-3, 10), seed=st.integers(0, 1000))
def test_it_is_a_bound_that_rises_with_more_points(m, noise, seed):
    order = np.random.default_rng(seed).permutation(60)
    fewer, more = (collapsed_bound(K, noise, X[order[:k]], X, Y)[0] for k in (m, m + 10))
    exact = log_marginal_likelihood(K, noise, X, Y)[0]
    assert fewer <= more + 1e-6 * abs(more) <= exact + 2e-6 * abs(more) + 1e-6


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("covariance", [K, K + NeuralNetwork(2, "erf", 0.5, 1.5, 0.2)])
def test_gradient_agrees_with_finite_differences(covariance, outputs):
    y, z = RNG.normal(size=(60, outputs)), RNG.normal(size=(7, 2))
    gradient = collapsed_bound(covariance, 0.3, z, X, y)[1]
    parameters = np.append(covariance.theta, np.log(0.3))

    def at(p):
        return collapsed_bound(covariance.with_theta(p[:-1]), np.exp(p[-1]), z, X, y)[0]

    steps = 1e-5 * np.eye(len(parameters))
    differences = [(at(parameters + s) - at(parameters - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6)


def test_greedy_points_beat_random_ones_and_are_distinct():
    k, rng = SquaredExponential(), np.random.default_rng(1)
    x = rng.uniform(0, 10, (400, 1))
    z = greedy_inducing_points(k, x, 12)
    assert len(np.unique(z)) == len(z)

    def variance_left(z):
        return np.sum(1 - np.sum(k(x, z) * np.linalg.solve(k(z) + 1e-9 * np.eye(12), k(z, x)).T, 1))

    random = [variance_left(rng.choice(x, 12, replace=False)) for _ in range(10)]
    assert variance_left(z) < 0.3 * min(random)
    assert len(greedy_inducing_points(k, np.zeros((5, 1)), 3)) == 1


def test_fitting_recovers_the_exact_hyper_parameters():
    exact = GaussianProcessRegressor(K, 0.1).fit(X, Y)
    ours = SparseRegressor(K, X, 0.1).fit(X, Y)
    assert ours.bound_ == pytest.approx(exact.log_marginal_likelihood_, abs=1e-3)
    sparse = SparseRegressor(K, greedy_inducing_points(K, X, 25), 0.1).fit(X, Y)
    assert sparse.bound_ <= exact.log_marginal_likelihood_ + 1e-6
    assert np.mean((sparse.predict(NEW) - exact.predict(NEW)) ** 2) < 0.02


def test_outputs_are_predicted_one_by_one():
    y = np.stack([Y, X[:, 0]], axis=1)
    both = SparseRegressor(K, X[:20], 0.1).fit(X, y, optimise=False).predict(NEW)
    alone = SparseRegressor(K, X[:20], 0.1).fit(X, y[:, 1], optimise=False).predict(NEW)
    np.testing.assert_allclose(both[:, 1], alone, rtol=1e-9)


def test_strict_arrays():
    x, y, z, new = map(array_api_strict.asarray, (X, Y, X[:9], NEW))
    strict, plain = collapsed_bound(K, 0.1, z, x, y), collapsed_bound(K, 0.1, X[:9], X, Y)
    assert strict[0] == pytest.approx(plain[0])
    np.testing.assert_allclose(strict[1], plain[1], rtol=1e-7)
    model = SparseRegressor(K, z, 0.1).fit(x, y, optimise=False)
    mean, std = model.predict(new, return_std=True)
    assert namespace(std).__name__.startswith("array_api_strict")
    expected = SparseRegressor(K, X[:9], 0.1).fit(X, Y, optimise=False)
    np.testing.assert_allclose(np.asarray(mean), expected.predict(NEW), rtol=1e-9)
    chosen = greedy_inducing_points(K, x, 5)
    np.testing.assert_allclose(np.asarray(chosen), greedy_inducing_points(K, X, 5))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: greedy_inducing_points(K, X, 61), "m must be at most 60"),
        (lambda: greedy_inducing_points(K, X, 0), "m must be at least 1"),
        (lambda: SparseRegressor(3, X), "covariance must be a Covariance"),
        (lambda: SparseRegressor(K, X * np.nan), "z holds NaN"),
        (lambda: SparseRegressor(K, X, -1), "noise_variance must be above 0"),
        (lambda: SparseRegressor(K, X).fit(X, Y[:3]), "y must have 60 rows"),
        (lambda: collapsed_bound(K, 0.0, X, X, Y), "noise_variance must be above 0"),
        (lambda: collapsed_bound(K, 0.1, X[:, :1], X, Y), "x has 1 columns"),
    ],
)
def test_bad_inputs(act, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        act()
