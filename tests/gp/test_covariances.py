"""Covariance functions against scikit-learn, closed forms and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import kernels as peer

from gaussbook.arrays import namespace, to_host
from gaussbook.gp.covariances import (
    Covariance,
    Matern12,
    Matern32,
    Matern52,
    SquaredExponential,
)
from gaussbook.gp.network import NeuralNetwork

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 5)), RNG.normal(size=(6, 5))
LENGTHS = [0.7, 1.3, 2.0, 0.9, 5.0]
COVARIANCES = {
    "squared exponential": SquaredExponential(1.7, 0.8),
    "squared exponential ARD": SquaredExponential(1.7, LENGTHS),
    "Matern 1/2": Matern12(0.6, LENGTHS),
    "Matern 3/2": Matern32(0.6, LENGTHS),
    "Matern 5/2": Matern52(0.6, 1.2),
    "ReLU network": NeuralNetwork(3, "relu", 1.2, 1.6, 0.3),
    "erf network": NeuralNetwork(2, "erf", 0.8, 1.9, 0.2),
}


@pytest.fixture(params=COVARIANCES)
def covariance(request) -> Covariance:
    return COVARIANCES[request.param]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SquaredExponential, peer.RBF),
        (Matern12, lambda lengths: peer.Matern(lengths, nu=0.5)),
        (Matern32, lambda lengths: peer.Matern(lengths, nu=1.5)),
        (Matern52, lambda lengths: peer.Matern(lengths, nu=2.5)),
    ],
)
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_scikit_learn_agrees(ours, theirs, columns):
    x, y, lengths = X[:, :columns], Y[:, :columns], LENGTHS[:columns]
    expected = 2.0 * theirs(lengths)
    np.testing.assert_allclose(ours(2.0, lengths)(x, y), expected(x, y), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ours(2.0, lengths)(x), expected(x), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_networks_agree_with_wide_random_networks(activation):
    from scipy.special import erf

    rng, width = np.random.default_rng(1), 1500
    k = NeuralNetwork(2, activation, 0.7, 1.3, 0.4)
    x, d = X[:4], X.shape[1]
    phi = erf if activation == "erf" else lambda u: np.maximum(u, 0)
    total = np.zeros((4, 4))
    for _ in range(20):
        h = x @ rng.normal(size=(d, width)) * np.sqrt(1.3 / d) + rng.normal(size=width) * 0.4**0.5
        h = phi(h) @ rng.normal(size=(width, width)) * np.sqrt(1.3 / width)
        h = phi(h + rng.normal(size=width) * 0.4**0.5)
        total += 0.7 * h @ h.T / width / 20
    np.testing.assert_allclose(k(x), total, rtol=0.06)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_tangent_kernel_of_one_layer_is_the_gradient_inner_product(activation):
    from scipy.special import erf

    rng, width = np.random.default_rng(2), 400_000
    variance, weight, bias, d = 0.7, 1.3, 0.4, 5
    W, b, v = rng.normal(size=(width, d)), rng.normal(size=width), rng.normal(size=width)
    h = X[:3] @ W.T * np.sqrt(weight / d) + np.sqrt(bias) * b
    if activation == "erf":
        phi, slope = erf(h), 2 / np.sqrt(np.pi) * np.exp(-(h**2))
    else:
        phi, slope = np.maximum(h, 0), h > 0
    back = np.sqrt(variance / width) * v * slope
    exact = variance * phi @ phi.T / width
    exact += (back @ back.T) * (weight / d * X[:3] @ X[:3].T + bias)
    ours = NeuralNetwork(1, activation, variance, weight, bias).tangent(X[:3])
    np.testing.assert_allclose(ours, exact, rtol=0.03, atol=0.003)


def test_diagonal_and_symmetry(covariance):
    K = covariance(X)
    np.testing.assert_allclose(covariance.diagonal(X), np.diag(K), rtol=1e-12)
    np.testing.assert_allclose(K, K.T, rtol=1e-12)
    np.testing.assert_allclose(covariance(X, X), K, rtol=1e-7)  # sqrt of a rounded distance
    np.testing.assert_allclose(covariance(Y, X), covariance(X, Y).T, rtol=1e-12)


def _differences(f, theta, eps=1e-5):
    shifts = eps * np.eye(len(theta))
    return np.array([(f(theta + s) - f(theta - s)) / (2 * eps) for s in shifts])


@pytest.mark.parametrize("second", [None, Y])
def test_gradients_agree_with_finite_differences(covariance, second):
    M = RNG.normal(size=(9, 9 if second is None else 6))
    K, pullback = covariance.vjp(X, second)
    np.testing.assert_allclose(K, covariance(X, second), rtol=1e-13)
    expected = _differences(
        lambda theta: np.sum(M * covariance.with_theta(theta)(X, second)), covariance.theta
    )
    np.testing.assert_allclose(pullback(M), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", [SquaredExponential, Matern12, Matern32, Matern52])
@pytest.mark.parametrize("far", [1e4, 1e8, 3e12])
@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("length", [1.0, 3.0])
def test_lengthscale_gradients_of_clusters_far_apart(kind, far, d, length, xp):
    """Two equal clusters have twice the gradient of one, however far apart they are."""
    x = np.zeros((2, d))
    x[1, -1] = 1.0
    both = np.concatenate([x, x + far])
    for lengths in (length, np.full(d, length)):
        k = kind(1.0, lengths)
        one = k.vjp(x)[1](np.ones((2, 2)))
        two = k.vjp(xp.asarray(both))[1](xp.ones((4, 4)))
        np.testing.assert_allclose(two, 2 * one, rtol=1e-10, atol=1e-12)
    if kind is SquaredExponential and length == 1 and d == 1 and far == 1e8:
        assert two[1] == pytest.approx(4 * np.exp(-0.5), rel=1e-12)


def test_gradients_of_the_diagonal(covariance):
    m = RNG.normal(size=9)
    variances, pullback = covariance.diagonal_vjp(X)
    np.testing.assert_allclose(variances, covariance.diagonal(X))
    expected = _differences(
        lambda theta: np.sum(m * covariance.with_theta(theta).diagonal(X)), covariance.theta
    )
    np.testing.assert_allclose(pullback(m), expected, rtol=1e-6, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50), n=st.integers(1, 12))
def test_covariance_matrices_are_positive_and_stationary_ones_ignore_shifts(seed, shift, n):
    x = np.random.default_rng(seed).normal(size=(n, 5))
    for name, k in COVARIANCES.items():
        K = k(x)
        assert np.linalg.eigvalsh(K)[0] > -1e-9 * np.trace(K)
        if "network" not in name:
            np.testing.assert_allclose(k(x + shift), K, atol=1e-6)


def test_same_in_every_namespace(covariance, xp):
    x, y = map(xp.asarray, (X, Y))
    for second, plain in ((None, None), (y, Y)):
        K, pullback = covariance.vjp(x, second)
        assert namespace(K) is namespace(x)
        M = RNG.normal(size=K.shape)
        expected, plain_pullback = covariance.vjp(X, plain)
        np.testing.assert_allclose(to_host(K), expected, rtol=1e-12)
        np.testing.assert_allclose(to_host(covariance(x, second)), expected, rtol=1e-12)
        gradient = pullback(xp.asarray(M))
        np.testing.assert_allclose(gradient, plain_pullback(M), rtol=1e-9, atol=1e-12)
    variances, pullback = covariance.diagonal_vjp(x)
    np.testing.assert_allclose(to_host(variances), covariance.diagonal(X))
    np.testing.assert_allclose(to_host(covariance.diagonal(x)), covariance.diagonal(X))
    expected = covariance.diagonal_vjp(X)[1](X[:, 0])
    np.testing.assert_allclose(pullback(x[:, 0]), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [SquaredExponential, Matern12, Matern32, Matern52])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # squares overflow
def test_points_as_far_apart_as_can_be_do_not_know_of_each_other(kind, dtype, d, xp):
    x = np.zeros((3, d))
    x[1, 0], x[2, 0] = 1.0, {np.float32: 1e30, np.float64: 1e200}[dtype]
    points = xp.asarray(x.astype(dtype))
    for lengths in (1.0, np.ones(d)):
        K, pullback = kind(1.0, lengths).vjp(points)
        near, near_pullback = kind(1.0, lengths).vjp(points[:2, :])
        np.testing.assert_array_equal(to_host(K)[:2, :2], to_host(near))
        np.testing.assert_array_equal(to_host(K)[2], [0, 0, 1])
        gradient = near_pullback(xp.ones_like(near)) + np.eye(len(near_pullback(near)))[0]
        np.testing.assert_allclose(pullback(xp.ones_like(K)), gradient, rtol=1e-6)


def test_weights_of_a_pullback_are_checked(covariance):
    masked = np.ma.masked_greater(X[:, 0], 0)
    for pullback, name, good in (
        (covariance.vjp(X)[1], "M", np.ones((9, 9))),
        (covariance.diagonal_vjp(X)[1], "m", np.ones(9)),
    ):
        with pytest.raises(ValueError, match=f"^{name} must have shape"):
            pullback(good[:-1])
        with pytest.raises(ValueError, match=f"^{name} has masked values"):
            pullback(good * masked)


def test_parameters_are_named_and_replaced(covariance):
    assert len(covariance.names) == len(covariance.theta)
    other = covariance.with_theta(covariance.theta + 0.1)
    assert np.allclose(other.theta, covariance.theta + 0.1)
    assert not np.allclose(other(X), covariance(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SquaredExponential(0.0), "variance must be above 0"),
        (lambda: Matern12(1.0, -1.0), "lengthscale must be positive"),
        (lambda: Matern32(1.0, [[1.0]]), "lengthscale must have 0 or 1"),
        (lambda: NeuralNetwork(0), "depth must be at least 1"),
        (lambda: NeuralNetwork(1, "tanh"), "activation must be one of"),
        (lambda: NeuralNetwork(bias_variance=0), "bias_variance must be above 0"),
        (lambda: SquaredExponential(1.0, [1.0, 2.0])(X), "x has 5 columns"),
        (lambda: SquaredExponential()(X, Y[:, :2]), "y must have 5 column"),
        (lambda: SquaredExponential()(X * np.nan), "x holds NaN"),
        (lambda: SquaredExponential()(X[None]), "x must have 1 or 2"),
        (lambda: SquaredExponential().with_theta([0.0]), "theta must have shape"),
        (lambda: SquaredExponential().with_theta([0.0, np.nan]), "theta holds NaN"),
    ],
)
def test_bad_inputs(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
