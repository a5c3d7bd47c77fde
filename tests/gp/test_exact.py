"""Exact Gaussian process regression against scikit-learn and the textbook formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor as Peer
from sklearn.gaussian_process import kernels as peer

from gaussbook.arrays import generator, namespace, to_host
from gaussbook.gp.covariances import Matern12, Matern32, Matern52, SquaredExponential
from gaussbook.gp.exact import (
    GaussianProcessRegressor,
    condition_on_data,
    log_marginal_likelihood,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * RNG.normal(size=40)
NEW = RNG.normal(size=(7, 3))
LENGTHS = [0.8, 1.5, 2.5]


def test_likelihood_and_gradient_agree_with_scikit_learn():
    kernel = 1.3 * peer.RBF(LENGTHS) + peer.WhiteKernel(0.05)
    theirs = Peer(kernel, optimizer=None).fit(X, Y)
    value, gradient = theirs.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    ours, by_theta = log_marginal_likelihood(SquaredExponential(1.3, LENGTHS), 0.05, X, Y)
    assert ours == pytest.approx(value, rel=1e-8)  # scikit-learn adds 1e-10 to the diagonal
    np.testing.assert_allclose(by_theta, gradient, rtol=1e-6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_likelihood_is_the_normal_density_and_its_gradient_a_difference(outputs):
    k = Matern52(0.7, LENGTHS)
    y = RNG.normal(size=(40, outputs))
    value, gradient = log_marginal_likelihood(k, 0.3, X, y)
    exact = multivariate_normal(cov=k(X) + 0.3 * np.eye(40)).logpdf(y.T).sum()
    assert value == pytest.approx(exact, rel=1e-10)
    parameters = np.append(k.theta, np.log(0.3))

    def at(p):
        return log_marginal_likelihood(k.with_theta(p[:-1]), np.exp(p[-1]), X, y)[0]

    steps = 1e-5 * np.eye(len(parameters))
    differences = [(at(parameters + s) - at(parameters - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-7)


def test_prediction_agrees_with_scikit_learn():
    theirs = Peer(1.3 * peer.RBF(LENGTHS), alpha=0.05, optimizer=None).fit(X, Y)
    mean, covariance = theirs.predict(NEW, return_cov=True)
    ours = GaussianProcessRegressor(SquaredExponential(1.3, LENGTHS), 0.05)
    ours.fit(X, Y, optimise=False)
    np.testing.assert_allclose(ours.predict(NEW), mean, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(NEW, return_cov=True)[1], covariance, atol=1e-10)
    deviation = ours.predict(NEW, return_std=True)[1]
    np.testing.assert_allclose(deviation**2, np.diag(covariance), rtol=1e-8)
    assert ours.jitter_ == 0


def test_hyper_parameters_reach_scikit_learns_optimum():
    kernel = 1.0 * peer.RBF([1.0] * 3, (1e-4, 1e4)) + peer.WhiteKernel(0.1, (1e-6, 10))
    theirs = Peer(kernel).fit(X, Y).log_marginal_likelihood_value_
    ours = GaussianProcessRegressor(SquaredExponential(1.0, [1.0] * 3), 0.1).fit(X, Y)
    assert ours.log_marginal_likelihood_ >= theirs - 1e-3
    again = log_marginal_likelihood(ours.covariance_, ours.noise_variance_, X, Y)
    assert ours.log_marginal_likelihood_ == pytest.approx(again[0], rel=1e-10)
    assert np.abs(again[1]).max() < 0.02


def test_one_search_where_the_lengths_given_are_those_of_the_data():
    spread = np.sqrt(np.mean(np.var(X, axis=0)))
    for length, searches in ((spread, 1), (2 * spread, 2)):
        gp = GaussianProcessRegressor(SquaredExponential(1.0, length), 0.1)
        starts = []
        search = gp._search
        gp._search = lambda start, search=search, starts=starts: starts.append(0) or search(start)
        gp.fit(X, Y)
        assert len(starts) == searches


def test_a_start_is_judged_by_the_likelihood():
    gp = GaussianProcessRegressor(SquaredExponential(2.0, 0.7), 0.1).fit(X, Y, optimise=False)
    parameters = np.append(gp.covariance_.theta, np.log(gp.noise_variance_))
    expected = log_marginal_likelihood(gp.covariance_, gp.noise_variance_, X, Y)[0]
    assert gp._likelihood(parameters) == pytest.approx(expected, rel=1e-12)
    assert gp.log_marginal_likelihood_ == pytest.approx(expected, rel=1e-12)


def test_restarts_never_do_worse_and_fixed_noise_stays():
    start = SquaredExponential(1.0, [30.0] * 3)
    one = GaussianProcessRegressor(start, 0.5, fixed_noise=True).fit(X, Y)
    many = GaussianProcessRegressor(start, 0.5, fixed_noise=True)
    many.fit(X, Y, restarts=3, rng=generator(0))
    assert many.log_marginal_likelihood_ >= one.log_marginal_likelihood_ - 1e-9
    assert one.noise_variance_ == pytest.approx(0.5)


def test_outputs_are_predicted_one_by_one():
    y = np.stack([Y, X[:, 0]], axis=1)
    k = Matern52(1.0, LENGTHS)
    both = GaussianProcessRegressor(k, 0.05).fit(X, y, optimise=False).predict(NEW)
    for c in range(2):
        alone = GaussianProcessRegressor(k, 0.05).fit(X, y[:, c], optimise=False).predict(NEW)
        np.testing.assert_allclose(both[:, c], alone, rtol=1e-10)


def test_samples_have_the_posterior_moments():
    model = GaussianProcessRegressor(Matern52(1.0, LENGTHS), 0.05).fit(X, Y, optimise=False)
    mean, covariance = model.predict(NEW, return_cov=True)
    draws = model.sample(NEW, 100_000, generator(0))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.02)


@pytest.mark.parametrize("kind", [Matern12, Matern32, Matern52, SquaredExponential])
@pytest.mark.parametrize("d", [1, 3, 4, 9])
@pytest.mark.parametrize("spread", [1e3, 1e6])
def test_pairs_of_neighbours_far_apart_are_known(kind, d, spread, xp):
    rng = np.random.default_rng(0)
    x = np.repeat(spread * rng.standard_normal((5, d)), 2, axis=0)
    x[1::2, 0] += 0.3
    x, y = xp.asarray(x), xp.asarray(np.arange(10.0))
    model = GaussianProcessRegressor(kind(1.0, 1.0), 1e-8).fit(x, y, optimise=False)
    mean, deviation = model.predict(x, return_std=True)
    np.testing.assert_allclose(to_host(deviation), 1e-4, rtol=2e-3)
    np.testing.assert_allclose(to_host(mean), np.arange(10.0), atol=1e-5)


@pytest.mark.parametrize("kind", [Matern12, Matern32, SquaredExponential])
@pytest.mark.parametrize("x_unit", [1e-6, 1.0, 1e5])
@pytest.mark.parametrize("y_unit", [1e-8, 1.0, 1e4])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_units_do_not_change_the_process_found(kind, x_unit, y_unit):
    x = np.linspace(0, 5, 30)
    y = np.sin(2 * x) + 0.1 * np.random.default_rng(0).standard_normal(30)
    usual = GaussianProcessRegressor(kind()).fit(x, y)
    model = GaussianProcessRegressor(kind()).fit(x_unit * x, y_unit * y)
    corrected = model.log_marginal_likelihood_ + 30 * np.log(y_unit)
    assert corrected == pytest.approx(usual.log_marginal_likelihood_, abs=1e-5)
    if kind is SquaredExponential:
        assert corrected == pytest.approx(14.267152, abs=1e-5)


def test_the_end_of_a_range_is_reported():
    x = np.linspace(0, 5, 30)
    with pytest.warns(ConvergenceWarning, match="^log noise variance has gone to"):
        GaussianProcessRegressor(SquaredExponential()).fit(x, np.sin(x))


@pytest.mark.parametrize("variance", [1.0, 1e-9, 1e6])
@pytest.mark.parametrize("noise", [1e-14, 1e-12, 1e-8])
@pytest.mark.parametrize("kind", [SquaredExponential, Matern52])
def test_draws_where_hardly_any_variance_is_left(variance, noise, kind):
    x, new = np.linspace(0, 1, 15), np.linspace(0, 1, 31)
    y = np.sqrt(variance) * np.sin(3 * x)
    model = GaussianProcessRegressor(kind(variance, 0.5), noise * variance)
    draws = model.fit(x, y, optimise=False).sample(new, 2000, generator(0))
    mean, deviation = model.predict(new, return_std=True)
    bound = 6 * deviation + 1e-4 * np.sqrt(variance)
    assert np.all(np.abs(draws - mean) < bound)


def test_data_may_change_after_the_fit():
    x, y = X.copy(), Y.copy()
    model = GaussianProcessRegressor(Matern52(1.0, LENGTHS), 0.05).fit(x, y, optimise=False)
    before = model.predict(NEW, return_std=True)
    x[:], y[:] = 0, 0
    np.testing.assert_array_equal(model.predict(NEW, return_std=True), before)


def test_many_regressions_at_once(xp):
    x = RNG.uniform(0, 3, (5, 6))
    y, new = RNG.normal(size=(5, 6)), np.linspace(0, 3, 4)
    ks = [Matern52(1.0 + b, 0.5 + 0.2 * b) for b in range(5)]
    K = np.stack([k(row) for k, row in zip(ks, x, strict=True)])
    cross = np.stack([k(new, row) for k, row in zip(ks, x, strict=True)])
    variances = np.stack([k.diagonal(new) for k in ks])
    mean, variance = condition_on_data(K, cross, variances, y, 0.1)
    ours = condition_on_data(*map(xp.asarray, (K, cross, variances, y)), 0.1)
    np.testing.assert_allclose(to_host(ours[0]), mean, rtol=1e-9)
    np.testing.assert_allclose(to_host(ours[1]), variance, rtol=1e-9, atol=1e-13)
    for b, k in enumerate(ks):
        model = GaussianProcessRegressor(k, 0.1).fit(x[b], y[b], optimise=False)
        expected, deviation = model.predict(new, return_std=True)
        np.testing.assert_allclose(mean[b], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(variance[b], deviation**2, rtol=1e-8, atol=1e-12)
        alone = condition_on_data(K[b], cross[b], variances[b], y[b], 0.1)
        np.testing.assert_allclose(alone[0], mean[b], rtol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-15, 1e-8])
def test_no_variance_below_zero_is_left(noise, xp):
    x = np.linspace(0, 1, 8)
    K = SquaredExponential(1.0, 0.3)(x)
    data = map(xp.asarray, (K, K, np.ones(8), np.sin(3 * x)))
    mean, variance = condition_on_data(*data, noise)
    assert np.all((to_host(variance) >= 0) & (to_host(variance) < 1e-6))
    np.testing.assert_allclose(to_host(mean), np.sin(3 * x), atol=1e-4)


def test_same_in_every_namespace(xp, draws):
    x, y, new = map(xp.asarray, (X, Y, NEW))
    k = SquaredExponential(1.3, LENGTHS)
    value, gradient = log_marginal_likelihood(k, 0.05, x, y)
    expected = log_marginal_likelihood(k, 0.05, X, Y)
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-8)
    ours = GaussianProcessRegressor(k, 0.05).fit(x, y, optimise=False)
    plain = GaussianProcessRegressor(k, 0.05).fit(X, Y, optimise=False)
    mean, deviation = ours.predict(new, return_std=True)
    assert namespace(mean) is namespace(x)
    np.testing.assert_allclose(to_host(mean), plain.predict(NEW), rtol=1e-9)
    np.testing.assert_allclose(to_host(deviation), plain.predict(NEW, return_std=True)[1])
    paths = ours.sample(new, 2, draws(0))
    np.testing.assert_allclose(to_host(paths), plain.sample(NEW, 2, generator(0)), rtol=1e-6)


K1 = SquaredExponential()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: GaussianProcessRegressor("rbf"), "covariance must be a Covariance"),
        (lambda: GaussianProcessRegressor(K1, 0.0), "noise_variance must be above 0"),
        (lambda: GaussianProcessRegressor(K1).fit(X, Y[:5]), "y must have 40 rows"),
        (lambda: GaussianProcessRegressor(K1).fit(X, Y * np.inf), "y holds NaN"),
        (lambda: GaussianProcessRegressor(K1).fit(X, Y, restarts=1), "rng is needed"),
        (lambda: GaussianProcessRegressor(K1).fit(X, Y, restarts=-1), "restarts must be at least"),
        (lambda: log_marginal_likelihood(K1, -1.0, X, Y), "noise_variance must be at least 0"),
        (
            lambda: (
                GaussianProcessRegressor(K1)
                .fit(X, Y, optimise=False)
                .predict(NEW, return_std=True, return_cov=True)
            ),
            "return_std and return_cov exclude",
        ),
        (
            lambda: GaussianProcessRegressor(K1).fit(X, Y, optimise=False).predict(NEW[:, :2]),
            "y must have 2 column",
        ),
        (
            lambda: condition_on_data(np.eye(2), np.ones((3, 2)), np.ones(2), np.ones(2), 0.1),
            "variances must have shape",
        ),
        (
            lambda: condition_on_data(np.eye(2), np.ones((3, 3)), np.ones(3), np.ones(2), 0.1),
            "cross must have shape",
        ),
    ],
)
def test_bad_inputs(act, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        act()
