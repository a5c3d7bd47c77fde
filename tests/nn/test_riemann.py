"""The Riemann head: integrals, SciPy's half-normal, NumPy's quantiles, gradients, bad input."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax

from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import to_host

B = np.array([-2.0, -0.5, 0.0, 0.25, 3.0])
LOGITS = np.array([0.3, -1.0, 0.7, 0.1])


def density(y):
    logits = np.broadcast_to(LOGITS, (*y.shape, 4))
    return np.exp(nn.riemann_log_density(logits, y, B))


def test_it_integrates_to_one_and_each_bucket_to_its_probability():
    y = np.linspace(-40, 60, 1_000_001)
    y = (y[1:] + y[:-1]) / 2
    mass = density(y) * 1e-4
    p = np.exp(log_softmax(LOGITS))
    bucket = np.searchsorted(B[1:-1], y)
    np.testing.assert_allclose(np.bincount(bucket, mass), p, rtol=1e-3)


def test_inner_buckets_are_flat_and_outer_ones_half_normal():
    p = np.exp(log_softmax(LOGITS))
    np.testing.assert_allclose(density(np.array([-0.3, 0.1])), p[1:3] / [0.5, 0.25])
    scale = np.array([1.5, 2.75]) / stats.halfnorm.median()
    away = np.array([7.0, 4.0])
    expected = p[[0, 3]] * stats.halfnorm.pdf(away, scale=scale)
    np.testing.assert_allclose(density(np.array([-0.5 - 7, 0.25 + 4])), expected)


def test_half_of_an_outer_bucket_lies_within_its_width():
    y = np.linspace(-2.0, -0.5, 100_001)
    y = (y[1:] + y[:-1]) / 2
    p = np.exp(log_softmax(LOGITS))
    assert density(y).sum() * 1.5e-5 == pytest.approx(p[0] / 2, rel=1e-6)


def test_the_gradient_is_one_hot_minus_softmax():
    grad = ad.grad(lambda logits: ad.sum(nn.riemann_log_density(logits, np.array([0.1]), B)))
    got = grad(LOGITS[None, :])
    np.testing.assert_allclose(got[0], [0, 0, 1, 0] - np.exp(log_softmax(LOGITS)), atol=1e-12)


def test_borders_are_quantiles(xp):
    y = np.random.default_rng(0).standard_normal((37, 11))
    got = nn.riemann_borders(xp.asarray(y), 15)
    np.testing.assert_allclose(to_host(got), np.quantile(y, np.linspace(0, 1, 16)), rtol=1e-12)


def test_same_in_every_namespace(xp):
    rng = np.random.default_rng(2)
    y, logits = 2 * rng.standard_normal((3, 5)), rng.standard_normal((3, 5, 4))
    got = nn.riemann_log_density(xp.asarray(logits), xp.asarray(y), xp.asarray(B))
    expected = nn.riemann_log_density(logits, y, B)
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (nn.riemann_borders, (np.arange(9.0), 2), "buckets"),
        (nn.riemann_borders, (np.ones(9), 3), "y has too few"),
        (nn.riemann_borders, (np.array([0.0, np.nan]), 3), "y "),
        (nn.riemann_log_density, (np.zeros((2, 4)), np.zeros(3), B), "logits must have shape"),
        (nn.riemann_log_density, (np.zeros((3, 5)), np.zeros(3), B), "logits must have shape"),
        (nn.riemann_log_density, (np.zeros((3, 4)), np.full(3, np.nan), B), "y "),
        (nn.riemann_log_density, (np.zeros((3, 4)), np.zeros(3), B[::-1]), "borders must be"),
    ],
)
def test_bad_input(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
