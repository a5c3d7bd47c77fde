"""Component log-densities and responsibilities against SciPy and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from gaussbook.arrays import to_host
from gaussbook.mixture import component_log_densities, posterior
from gaussbook.mixture.densities import Gaussians


def mixture(rng, n, d, n_components, *, full, scale=1.0, shift=0.0):
    """Draw points and a mixture; `scale` may be one number for each coordinate."""
    means = rng.normal(size=(n_components, d)) * 3
    x = means[rng.integers(0, n_components, n)] + rng.normal(size=(n, d))
    root = rng.normal(size=(n_components, d, 2 * d)) / math.sqrt(2 * d)
    covariances = root @ root.transpose(0, 2, 1)
    if full:
        scaled = covariances * np.multiply.outer(scale, scale) if np.ndim(scale) else (
            covariances * scale**2)  # fmt: skip
    else:
        scaled = np.diagonal(covariances, axis1=1, axis2=2) * np.asarray(scale) ** 2
    return x * scale + shift, means * scale + shift, scaled


def scipy_log_densities(x, means, covariances):
    full = [np.diag(c) if c.ndim == 1 else c for c in covariances]
    columns = [
        multivariate_normal(m, c, allow_singular=False).logpdf(x)
        for m, c in zip(means, full, strict=True)
    ]
    return np.stack([np.atleast_1d(column) for column in columns], axis=1)


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
@pytest.mark.parametrize(
    ("n", "d", "n_components"), [(1, 1, 1), (7, 1, 3), (3001, 5, 4), (600, 33, 2)]
)
def test_log_densities_equal_scipys(n, d, n_components, full):
    x, means, covariances = mixture(np.random.default_rng(0), n, d, n_components, full=full)
    ours = component_log_densities(x, means, covariances)
    np.testing.assert_allclose(
        ours, scipy_log_densities(x, means, covariances), rtol=1e-12, atol=1e-10
    )


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_badly_scaled_coordinates(full, shift):
    # Scaling coordinates exactly (powers of two) changes the log-densities by -log|scale| only.
    rng = np.random.default_rng(1)
    scale = 2.0 ** np.array([-20, 0, 14, 3])
    x, means, covariances = mixture(rng, 500, 4, 3, full=full, shift=shift)
    expected = scipy_log_densities(x, means, covariances) - np.log(scale).sum()
    scaled = covariances * (np.multiply.outer(scale, scale) if full else scale**2)
    ours = component_log_densities(x * scale, means * scale, scaled)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
def test_narrow_components_far_apart_are_not_expanded(full):
    rng = np.random.default_rng(2)
    means = np.array([[-1e6, 0.0], [1e6, 5.0], [3.0, 2e6]])
    x = means[rng.integers(0, 3, 200)] + rng.normal(size=(200, 2))
    covariances = np.tile(np.eye(2), (3, 1, 1)) if full else np.ones((3, 2))
    assert not Gaussians(means, covariances).expanded
    ours = component_log_densities(x, means, covariances)
    theirs = -0.5 * ((x[:, None] - means) ** 2).sum(-1) - math.log(2 * math.pi)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-11)


def test_ill_conditioned_covariance():
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    white = rng.normal(size=(100, 3))
    scales = np.array([1e-3, 1.0, 1e3])
    covariance = (rotation * scales**2) @ rotation.T
    x = white * scales @ rotation.T
    expected = -0.5 * (white**2).sum(1) - 1.5 * math.log(2 * math.pi)
    ours = component_log_densities(x, np.zeros((1, 3)), covariance[None])[:, 0]
    # Forming the covariance alone costs its condition number, 1e12, times the rounding unit.
    np.testing.assert_allclose(ours, expected, rtol=1e-3)


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
def test_posterior(full):
    x, means, covariances = mixture(np.random.default_rng(4), 2000, 3, 5, full=full)
    log_weights = np.array([0.3, -2.0, 1.0, -np.inf, 0.0])
    log_joint = scipy_log_densities(x, means, covariances) + log_weights
    log_likelihood, responsibilities = posterior(x, log_weights, means, covariances)
    np.testing.assert_allclose(log_likelihood, logsumexp(log_joint, axis=1), rtol=1e-12)
    expected = np.exp(log_joint - logsumexp(log_joint, axis=1)[:, None])
    np.testing.assert_allclose(responsibilities, expected, atol=1e-12)
    assert np.all(responsibilities[:, 3] == 0)


def test_far_points_stay_in_the_log_domain():
    log_likelihood, responsibilities = posterior(
        np.array([[1e8]]), np.log([0.5, 0.5]), np.array([[0.0], [1.0]]), np.ones((2, 1))
    )
    assert log_likelihood[0] == pytest.approx(-0.5 * (1e8 - 1) ** 2, rel=1e-12)
    np.testing.assert_allclose(responsibilities, [[0.0, 1.0]], atol=1e-15)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"^x "):
        posterior(np.array([[1e200]]), np.zeros(1), np.zeros((1, 1)), np.ones((1, 1)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.floats(-1e3, 1e3))
def test_permutation_and_shift_invariance(seed, full, shift):
    rng = np.random.default_rng(seed)
    n_components = int(rng.integers(1, 5))
    x, means, covariances = mixture(rng, 40, int(rng.integers(1, 4)), n_components, full=full)
    log_weights = rng.normal(size=n_components)
    expected, shares = posterior(x, log_weights, means, covariances)
    order, rows = rng.permutation(n_components), rng.permutation(40)
    ours, ours_shares = posterior(
        x[rows] + shift, log_weights[order], means[order] + shift, covariances[order]
    )
    np.testing.assert_allclose(ours, expected[rows], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours_shares, shares[rows][:, order], atol=1e-8)


@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
@pytest.mark.parametrize("spread", [1.0, 1e6], ids=["expanded", "direct"])
def test_same_in_every_namespace(full, spread, xp):
    x, means, covariances = mixture(np.random.default_rng(5), 300, 2, 3, full=full)
    arguments = (x * spread, np.zeros(3), means * spread, covariances)
    expected = posterior(*arguments)
    x, log_weights, *components = map(xp.asarray, arguments)
    for ours, theirs in zip(posterior(x, log_weights, *components), expected, strict=True):
        np.testing.assert_allclose(to_host(ours), theirs, rtol=1e-10, atol=1e-11)
    ours = component_log_densities(x, *components)
    theirs = component_log_densities(arguments[0], *arguments[2:])
    np.testing.assert_allclose(to_host(ours), theirs, rtol=1e-12, atol=1e-10)


def test_float32():
    x, means, covariances = mixture(np.random.default_rng(6), 100, 3, 2, full=True)
    single = component_log_densities(*(a.astype(np.float32) for a in (x, means, covariances)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, component_log_densities(x, means, covariances), rtol=1e-3)


GOOD = {
    "x": np.zeros((4, 2)),
    "log_weights": np.zeros(3),
    "means": np.zeros((3, 2)),
    "covariances": np.ones((3, 2)),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", np.zeros(4)),
        ("x", [[np.nan, 0.0]]),
        ("x", np.zeros((0, 2))),
        ("x", "points"),
        ("x", np.zeros((4, 2), complex)),
        ("log_weights", np.zeros(2)),
        ("log_weights", [np.nan, 0, 0]),
        ("log_weights", [np.inf, 0, 0]),
        ("log_weights", np.full(3, -np.inf)),
        ("means", np.zeros((3, 3))),
        ("means", np.full((3, 2), np.inf)),
        ("covariances", np.zeros((3, 2))),
        ("covariances", -np.ones((3, 2))),
        ("covariances", np.ones((2, 2))),
        ("covariances", np.ones((3, 2, 2))),
        ("covariances", np.tile([[1.0, 0.5], [0.0, 1.0]], (3, 1, 1))),
    ],
)
def test_bad_input_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        posterior(**{**GOOD, name: value})
