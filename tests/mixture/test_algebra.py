"""Marginals, conditionals and products of mixtures against densities and samples."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, norm

from gaussbook.arrays import generator, to_host
from gaussbook.mixture import (
    Mixture,
    conditional,
    marginal,
    moments,
    posterior,
    product,
    sample_conditional,
)

KINDS = pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])


def mixture(seed, n_components, d, full):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_components, d, d + 2)) / np.sqrt(d)
    covariances = root @ root.transpose(0, 2, 1)
    if not full:
        covariances = np.diagonal(covariances, axis1=1, axis2=2).copy()
    log_weights = np.log(rng.dirichlet(np.ones(n_components)))
    return Mixture(log_weights, rng.normal(size=(n_components, d)) * 2, covariances)


def log_density(law, x):
    return posterior(x, *law)[0]


@KINDS
def test_marginal_integrates_the_other_coordinate_out(full):
    law = mixture(0, 3, 2, full)
    grid = np.linspace(-30, 30, 6001)
    ours = np.exp(log_density(marginal(*law, [1]), np.array([[0.7]])))[0]
    line = np.stack([grid, np.full_like(grid, 0.7)], axis=1)
    assert ours == pytest.approx(np.trapezoid(np.exp(log_density(law, line)), grid), rel=1e-10)


@KINDS
def test_marginal_keeps_the_order_asked_for(full):
    law = mixture(1, 2, 4, full)
    once = marginal(*law, [2, 0])
    np.testing.assert_array_equal(once.means, law.means[:, [2, 0]])
    twice = marginal(*marginal(*law, [3, 2, 0]), [1, 2])
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_array_equal(a, b)


@KINDS
def test_joint_is_conditional_times_marginal(full):
    law, rng = mixture(2, 4, 5, full), np.random.default_rng(0)
    x = rng.normal(size=(50, 5)) * 2
    given, rest = [3, 1], [0, 2, 4]
    of_rest = conditional(*law, given, x[:, given])
    np.testing.assert_allclose(logsumexp(of_rest.log_weights, axis=1), 0, atol=1e-12)
    of_given = log_density(marginal(*law, given), x[:, given])
    for i in range(50):
        row = Mixture(of_rest.log_weights[i], of_rest.means[i], of_rest.covariances)
        ours = log_density(row, x[i : i + 1, rest])[0] + of_given[i]
        assert ours == pytest.approx(log_density(law, x[i : i + 1])[0], rel=1e-10)


def test_conditional_of_one_gaussian_is_the_textbooks():
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    law = conditional([0.0], [[1.0, -1.0]], covariance[None], [1], [[0.3]])
    assert law.means[0, 0, 0] == pytest.approx(1 + 0.6 / 0.5 * 1.3)
    assert law.covariances[0, 0, 0] == pytest.approx(2 - 0.36 / 0.5)


@KINDS
def test_product_of_densities(full):
    a, b = mixture(3, 2, 3, full), mixture(4, 3, 3, full)
    law = product(*a, *b)
    x = np.random.default_rng(1).normal(size=(40, 3)) * 3
    np.testing.assert_allclose(
        log_density(law, x), log_density(a, x) + log_density(b, x), rtol=1e-10, atol=1e-10
    )
    # The integral of a product of two Gaussians is the density of their means' difference.
    b_full = b.covariances if full else [np.diag(c) for c in b.covariances]
    a_full = a.covariances if full else [np.diag(c) for c in a.covariances]
    integral = [
        a.log_weights[j] + b.log_weights[k]
        + multivariate_normal(b.means[k], a_full[j] + b_full[k]).logpdf(a.means[j])
        for j in range(2)
        for k in range(3)
    ]  # fmt: skip
    np.testing.assert_allclose(law.log_weights, integral, rtol=1e-11)


def test_product_with_a_narrow_factor_stays_positive_definite():
    wide, narrow = np.array([[[1e8, 0.0], [0.0, 1e8]]]), np.array([[[1e-8, 0.0], [0.0, 1.0]]])
    law = product([0.0], [[1.0, 1.0]], wide, [0.0], [[0.0, 0.0]], narrow)
    assert np.linalg.eigvalsh(law.covariances[0])[0] == pytest.approx(1e-8, rel=1e-3)


@KINDS
def test_moments(full):
    law = mixture(5, 3, 2, full)
    mean, covariance = moments(law.log_weights + 3.0, law.means, law.covariances)
    rng = np.random.default_rng(2)
    weights = np.exp(law.log_weights)
    labels = rng.choice(3, size=200_000, p=weights)
    matrices = law.covariances if full else np.stack([np.diag(c) for c in law.covariances])
    noise = np.einsum(
        "nij,nj->ni", np.linalg.cholesky(matrices)[labels], rng.normal(size=(200_000, 2))
    )
    x = law.means[labels] + noise
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(covariance, np.cov(x.T), atol=0.1)


@KINDS
def test_conditional_draws_follow_the_conditional(full):
    law = mixture(6, 3, 2, full)
    draws = sample_conditional(*law, [0], np.full((20_000, 1), 0.4), generator(0))[:, 0]
    of_rest = conditional(*law, [0], [[0.4]])
    weights, means = np.exp(of_rest.log_weights[0]), of_rest.means[0, :, 0]
    sd = np.sqrt(of_rest.covariances.reshape(3))

    def cdf(x):
        return (weights * norm.cdf(np.asarray(x)[:, None], means, sd)).sum(axis=1)

    assert kstest(draws, cdf).pvalue > 1e-3
    again = sample_conditional(*law, [0], np.full((20_000, 1), 0.4), generator(0))[:, 0]
    np.testing.assert_array_equal(draws, again)


@KINDS
def test_same_in_every_namespace(full, xp):
    a, b = mixture(7, 2, 3, full), mixture(8, 2, 3, full)
    values = np.random.default_rng(3).normal(size=(6, 1))
    our_a, our_b = (Mixture(*map(xp.asarray, law)) for law in (a, b))
    our_values = xp.asarray(values)
    pairs = [
        (marginal(*our_a, [2, 0]), marginal(*a, [2, 0])),
        (conditional(*our_a, [1], our_values), conditional(*a, [1], values)),
        (product(*our_a, *our_b), product(*a, *b)),
        (moments(*our_a), moments(*a)),
        (
            [sample_conditional(*our_a, [1], our_values, generator(1))],
            [sample_conditional(*a, [1], values, generator(1))],
        ),
    ]
    for ours, theirs in pairs:
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(to_host(x), y, rtol=1e-12, atol=1e-14)


def test_draws_where_hardly_any_variance_is_left(xp):
    accepted = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(3, 8))
        factor = np.round(rng.normal(size=(d, int(rng.integers(1, d)))), 2)
        covariance = factor @ factor.T + 10.0 ** -rng.uniform(14, 16) * np.eye(d)
        value = factor[:1] @ rng.normal(size=factor.shape[1])
        law = Mixture(*map(xp.asarray, (np.zeros(1), np.zeros((1, d)), covariance[None])))
        try:
            draws = sample_conditional(*law, [0], xp.asarray(value[:, None]), generator(0))
        except ValueError as error:
            assert str(error).startswith("covariances is not positive definite")
        else:
            accepted += 1
            assert np.all(np.isfinite(to_host(draws)))
    assert accepted > 5


@KINDS
@pytest.mark.parametrize("far", [1e3, 1e160])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # of squares
def test_a_component_that_is_switched_off_is_absent(full, far):
    law, values = mixture(7, 3, 2, full), np.array([[0.3], [-1.0]])
    means = np.concatenate([law.means, [[far, -far]]])
    log_weights = np.append(law.log_weights, -np.inf)
    covariances = np.concatenate([law.covariances, law.covariances[:1]])
    more = Mixture(log_weights, means, covariances)
    for with_it, without in (
        (conditional(*more, [1], values), conditional(*law, [1], values)),
        (product(*more, *law), product(*law, *law)),
        (product(*law, *more), product(*law, *law)),
    ):
        on = with_it.log_weights > -np.inf
        if on.ndim == 2:
            assert np.all(on == on[0])
            on = on[0]
        assert np.sum(on) == without.log_weights.shape[-1]
        np.testing.assert_allclose(with_it.log_weights[..., on], without.log_weights, atol=1e-12)
        np.testing.assert_allclose(with_it.means[..., on, :], without.means, atol=1e-10)
    for with_it, without in zip(moments(*more), moments(*law), strict=True):
        np.testing.assert_allclose(with_it, without)
    draws = sample_conditional(*more, [1], values, generator(0))
    assert np.all(np.abs(draws) < 100)


LAW = mixture(9, 2, 3, True)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("keep", lambda: marginal(*LAW, [])),
        ("keep", lambda: marginal(*LAW, [0, 0])),
        ("keep", lambda: marginal(*LAW, [3])),
        ("keep", lambda: marginal(*LAW, [-1])),
        ("keep", lambda: marginal(*LAW, [0.5])),
        ("keep", lambda: marginal(*LAW, 1)),
        ("log_weights", lambda: marginal([0.0], LAW.means, LAW.covariances, [0])),
        ("covariances", lambda: marginal(LAW.log_weights, LAW.means, -LAW.covariances, [0])),
        ("given", lambda: conditional(*LAW, [0, 1, 2], np.zeros((1, 3)))),
        ("given", lambda: conditional(*LAW, np.ma.array([0], mask=[True]), np.zeros((1, 1)))),
        ("values", lambda: conditional(*LAW, [0], np.zeros((1, 2)))),
        ("values", lambda: conditional(*LAW, [0], [[np.nan]])),
        ("means_b", lambda: product(*LAW, *mixture(0, 2, 2, True))),
        ("covariances_b", lambda: product(*LAW, *mixture(0, 2, 3, False))),
        ("means_a", lambda: product([0.0], [1.0], [[1.0]], *LAW)),
    ],
)
def test_bad_input_is_named(name, call):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        call()
