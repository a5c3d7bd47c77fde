"""The normal-inverse-Wishart law against sequential prediction, quadrature and SciPy."""

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import invgamma, multivariate_t, norm

from gaussbook.arrays import to_host
from gaussbook.mixture import (
    NormalInverseWishart,
    cluster_statistics,
    niw_log_evidence,
    niw_log_predictive,
    niw_posterior,
)

LINE = NormalInverseWishart(np.zeros(1), 0.1, 3.0, np.eye(1))


def prior_of(d, seed=0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d + 2))
    return NormalInverseWishart(rng.normal(size=d), 0.7, d + 1.5, root @ root.T)


def evidence(x, prior):
    x = np.asarray(x, dtype=float)
    labels = np.zeros(len(x), dtype=int)
    return niw_log_evidence(*cluster_statistics(x, labels, 1), prior)[0]


@pytest.mark.parametrize("d", [1, 2, 5])
def test_evidence_is_the_product_of_predictives(d):
    prior, x = prior_of(d), np.random.default_rng(1).normal(size=(12, d)) * 3
    total = 0.0
    for i in range(12):
        labels = np.where(np.arange(12) < i, 0, -1)
        law = niw_posterior(*cluster_statistics(x, labels, 1), prior)
        ours = niw_log_predictive(x[i : i + 1], law)[0, 0]
        # The Student density by SciPy, from moments taken here.
        freedom = prior.nu + i - d + 1
        shape = law.psi[0] * (prior.kappa + i + 1) / ((prior.kappa + i) * freedom)
        assert ours == pytest.approx(multivariate_t(law.mean[0], shape, freedom).logpdf(x[i]))
        total += ours
    assert evidence(x, prior) == pytest.approx(total, rel=1e-12)


def test_evidence_on_the_line_by_quadrature():
    points = np.array([0.0, 1.0, 2.0])

    def integrand(mean, variance):
        of_points = np.prod(norm.pdf(points, mean, np.sqrt(variance)))
        of_mean = norm.pdf(mean, 0, np.sqrt(variance / 0.1))
        return of_points * of_mean * invgamma.pdf(variance, 1.5, scale=0.5)

    total, _ = dblquad(integrand, 0, 60, -30, 30, epsabs=1e-12, epsrel=1e-8)
    assert evidence(points[:, None], LINE) == pytest.approx(np.log(total), abs=1e-4)
    assert evidence(points[:, None], LINE) == pytest.approx(-6.011242, abs=1e-6)
    assert evidence([[6.0], [7.0]], LINE) == pytest.approx(-6.534195, abs=1e-6)
    union = [[0.0], [1.0], [2.0], [6.0], [7.0]]
    assert evidence(union, LINE) == pytest.approx(-17.750309, abs=1e-6)


def test_empty_sets_say_nothing():
    prior = prior_of(3)
    stats = cluster_statistics(np.ones((4, 3)), np.array([2, 2, -1, 2]), 4)
    np.testing.assert_array_equal(stats.counts, [0, 0, 3, 0])
    found = niw_log_evidence(*stats, prior)
    np.testing.assert_allclose(found[[0, 1, 3]], 0, atol=1e-12)
    law = niw_posterior(*stats, prior)
    np.testing.assert_array_equal(law.mean[0], prior.mean)
    np.testing.assert_allclose(law.psi[1], prior.psi)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_statistics_are_those_of_the_members(shift):
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(70_000, 2)) + shift, rng.integers(-1, 3, 70_000)
    counts, means, scatters = cluster_statistics(x, labels, 3)
    for k in range(3):
        own = x[labels == k]
        assert counts[k] == len(own)
        np.testing.assert_allclose(means[k], own.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(scatters[k], np.cov(own.T, ddof=0) * len(own), rtol=1e-7)


def test_same_in_every_namespace(xp):
    x, labels = np.random.default_rng(3).normal(size=(30, 3)), np.arange(30) % 4 - 1
    prior = prior_of(3)
    ours = NormalInverseWishart(xp.asarray(prior.mean), 0.7, 4.5, xp.asarray(prior.psi))
    stats = cluster_statistics(xp.asarray(x), xp.asarray(labels), 3)
    theirs = cluster_statistics(x, labels, 3)
    pairs = [
        (stats, theirs),
        (niw_posterior(*stats, ours), niw_posterior(*theirs, prior)),
        ([niw_log_evidence(*stats, ours)], [niw_log_evidence(*theirs, prior)]),
        (
            [niw_log_predictive(xp.asarray(x), niw_posterior(*stats, ours))],
            [niw_log_predictive(x, niw_posterior(*theirs, prior))],
        ),
    ]
    for a, b in pairs:
        for found, wanted in zip(a, b, strict=True):
            np.testing.assert_allclose(to_host(found), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kappa": 0.0}, "^prior: kappa must be above 0"),
        ({"nu": 1.0}, "^prior: nu must be above 1"),
        ({"psi": np.eye(3)}, "^prior: psi must have shape"),
        ({"psi": -np.eye(2)}, "^prior: psi is not positive definite"),
        ({"mean": np.zeros((2, 2))}, "^prior: mean must have 1 dimension"),
    ],
)
def test_refuses_a_prior_that_is_none(change, message):
    prior = NormalInverseWishart(np.zeros(2), 1.0, 3.0, np.eye(2))._replace(**change)
    stats = cluster_statistics(np.ones((4, 2)), np.zeros(4, dtype=int), 1)
    with pytest.raises(ValueError, match=message):
        niw_log_evidence(*stats, prior)


def test_refuses_what_does_not_fit():
    x, labels, prior = np.ones((4, 2)), np.zeros(4, dtype=int), prior_of(2)
    with pytest.raises(ValueError, match="^labels must be below n_clusters"):
        cluster_statistics(x, labels + 1, 1)
    with pytest.raises(ValueError, match="^labels must hold integers"):
        cluster_statistics(x, labels + 0.5, 1)
    with pytest.raises(ValueError, match="^n_clusters must be at least 1"):
        cluster_statistics(x, labels, 0)
    counts, means, scatters = cluster_statistics(x, labels, 1)
    with pytest.raises(ValueError, match="^counts holds negative"):
        niw_posterior(-counts, means, scatters, prior)
    with pytest.raises(ValueError, match="^means must have shape"):
        niw_posterior(counts, means[:, :1], scatters, prior)
    with pytest.raises(ValueError, match="^scatters and the prior's psi"):
        niw_log_evidence(counts, means, scatters - 1e3 * np.eye(2), prior)
    with pytest.raises(ValueError, match="^prior must be"):
        niw_log_evidence(counts, means, scatters, 3)
    law = niw_posterior(counts, means, scatters, prior)
    with pytest.raises(ValueError, match=r"^law\.mean must have shape"):
        niw_log_predictive(np.ones((4, 3)), law)
    with pytest.raises(ValueError, match=r"^law\.nu must be above 1"):
        niw_log_predictive(x, law._replace(nu=np.ones(1)))
    with pytest.raises(ValueError, match=r"^law\.kappa must be positive"):
        niw_log_predictive(x, law._replace(kappa=np.zeros(1)))
