"""The O(n) form of the Matérn processes against the exact posterior."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, solve_discrete_lyapunov

from gaussbook.arrays import namespace, to_host
from gaussbook.gp.covariances import Matern12, Matern32, Matern52, SquaredExponential
from gaussbook.gp.exact import GaussianProcessRegressor
from gaussbook.gp.statespace import (
    StateSpaceRegressor,
    information_smoother,
    kalman_log_likelihood,
    kalman_smoother,
    matern_transitions,
)

KINDS = [Matern12, Matern32, Matern52]


@pytest.mark.parametrize("kind", KINDS)
def test_transitions_solve_the_differential_equation(kind):
    covariance = kind(1.7, 0.6)
    gaps = np.array([0.0, 1e-3, 0.05, 0.3, 1.0, 4.0])
    A, Q, P = matern_transitions(covariance, gaps)
    p = A.shape[1]
    rate = np.sqrt(2 * p - 1) / 0.6
    binomials = {1: [1], 2: [1, 2], 3: [1, 3, 3]}[p]
    F = rate * (np.eye(p, k=1) + np.outer(np.eye(p)[-1], -np.array(binomials)))
    for k, gap in enumerate(gaps):
        np.testing.assert_allclose(A[k], expm(F * gap), atol=1e-12)
        np.testing.assert_allclose(Q[k], P - A[k] @ P @ A[k].T, atol=1e-14)
    np.testing.assert_allclose(solve_discrete_lyapunov(A[3], Q[3]), P, atol=1e-10)
    np.testing.assert_allclose((A @ P)[:, 0, 0], covariance(gaps, np.zeros(1))[:, 0], rtol=1e-12)


def test_noise_of_a_short_gap_keeps_its_digits():
    gaps = np.array([1e-4])
    _, Q, _ = matern_transitions(Matern52(1.0, np.sqrt(5.0)), gaps)  # rate 1
    leading = 16 / 3 * 1e-4 ** np.array([[5, 4, 3], [4, 3, 2], [3, 2, 1]])
    np.testing.assert_allclose(
        Q[0], leading / np.array([[20, 8, 6], [8, 3, 2], [6, 2, 1]]), rtol=1e-3
    )
    assert np.linalg.eigvalsh(Q[0] / np.sqrt(np.outer(np.diag(Q[0]), np.diag(Q[0]))))[0] > 1e-3


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 60),
    length=st.floats(0.05, 20),
    noise=st.floats(1e-6, 10),
    seed=st.integers(0, 10**6),
)
def test_posterior_and_likelihood_are_exact(kind, n, length, noise, seed):
    rng = np.random.default_rng(seed)
    t, y, new = rng.uniform(0, 5, n), rng.normal(size=n), rng.uniform(-2, 7, 9)
    covariance = kind(1.3, length)
    ours = StateSpaceRegressor(covariance, noise).fit(t, y)
    exact = GaussianProcessRegressor(covariance, noise).fit(t, y, optimise=False)
    tolerance = {"rtol": 1e-6, "atol": 1e-8 / min(noise, 1)}
    for times in (new, None):
        ours_mean, ours_std = ours.predict(times, return_std=True)
        mean, std = exact.predict(t if times is None else times, return_std=True)
        np.testing.assert_allclose(ours_mean, mean, **tolerance)
        np.testing.assert_allclose(ours_std**2, std**2, **tolerance)
    expected = exact.log_marginal_likelihood_
    assert ours.log_marginal_likelihood_ == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_repeated_times_are_several_observations():
    t, y = np.array([1.0, 1.0, 1.0, 2.0]), np.array([0.1, 0.3, 0.2, -1.0])
    ours = StateSpaceRegressor(Matern52(1.0, 0.8), 0.1).fit(t, y)
    exact = GaussianProcessRegressor(Matern52(1.0, 0.8), 0.1).fit(t, y, optimise=False)
    np.testing.assert_allclose(ours.predict(), exact.predict(t), rtol=1e-10)
    assert ours.log_marginal_likelihood_ == pytest.approx(exact.log_marginal_likelihood_)


def test_a_fine_grid_stays_accurate():
    # With steps of 1e-5 lengths, entries of the prior's precision matrix are of order 1e25.
    t = np.linspace(0, 0.015, 1500)
    y = np.sin(30 * t) + 0.1 * np.random.default_rng(0).normal(size=t.size)
    ours = StateSpaceRegressor(Matern52(1.0, 1.0), 0.01).fit(t, y)
    exact = GaussianProcessRegressor(Matern52(1.0, 1.0), 0.01).fit(t, y, optimise=False)
    np.testing.assert_allclose(ours.predict(), exact.predict(t), atol=1e-9)
    std, expected_std = (m.predict(t, return_std=True)[1] for m in (ours, exact))
    np.testing.assert_allclose(std, expected_std, rtol=1e-7)
    expected = exact.log_marginal_likelihood_
    assert ours.log_marginal_likelihood_ == pytest.approx(expected, rel=1e-9)


def test_cost_grows_linearly():
    def seconds(n):
        t = np.linspace(0, n / 1000, n)
        start = time.process_time()
        StateSpaceRegressor(Matern52(), 0.1).fit(t, np.sin(t))
        return time.process_time() - start

    seconds(1000)
    assert seconds(80_000) < 8 * seconds(10_000) * 2  # n^1.5 would be 23 times


def test_observed_leaves_out_the_rest():
    t, y = np.linspace(0, 3, 30), np.random.default_rng(1).normal(size=30)
    seen = np.arange(30) % 3 == 0
    gaps = np.diff(t, prepend=t[0])
    transitions = matern_transitions(Matern32(1.0, 0.5), gaps)
    mean, variance, value = kalman_smoother(*transitions, y, 0.2, seen)
    exact = GaussianProcessRegressor(Matern32(1.0, 0.5), 0.2)
    exact.fit(t[seen], y[seen], optimise=False)
    np.testing.assert_allclose(mean, exact.predict(t), atol=1e-11)
    np.testing.assert_allclose(variance, exact.predict(t, return_std=True)[1] ** 2, atol=1e-11)
    assert value == pytest.approx(exact.log_marginal_likelihood_)


@pytest.mark.parametrize("kind", KINDS)
def test_same_in_every_namespace(kind, xp):
    t, y = np.linspace(0, 4, 23), np.random.default_rng(2).normal(size=23)
    ours = StateSpaceRegressor(kind(1.0, 0.7), 0.1)
    ours.fit(xp.asarray(t), xp.asarray(y))
    mean, std = ours.predict(xp.asarray(t[:5] + 0.1), return_std=True)
    assert namespace(mean) is namespace(xp.asarray(t))
    plain = StateSpaceRegressor(kind(1.0, 0.7), 0.1).fit(t, y)
    expected, expected_std = plain.predict(t[:5] + 0.1, return_std=True)
    np.testing.assert_allclose(to_host(mean), expected, rtol=1e-9)
    np.testing.assert_allclose(to_host(std), expected_std, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 37, 1000])
def test_the_likelihood_alone_is_that_of_the_smoother(kind, n, xp):
    rng = np.random.default_rng(n)
    t, y = np.sort(rng.uniform(0, n / 10, n)), 5 + rng.normal(size=n)
    steps = matern_transitions(kind(1.3, 0.7), np.diff(t, prepend=t[0]))
    seen = rng.uniform(size=n) < 0.8
    expected = kalman_smoother(*steps, y, 0.2, seen)[2]
    ours = kalman_log_likelihood(*map(xp.asarray, steps), xp.asarray(y), 0.2, xp.asarray(seen))
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gap", [1e4, 1e200, 1e300])
def test_nothing_is_left_of_a_state_after_a_long_time(kind, gap):
    A, Q, P = matern_transitions(kind(1.0, 0.7), np.array([gap]))
    np.testing.assert_array_equal(A, np.zeros_like(A))
    np.testing.assert_allclose(Q[0], P, rtol=1e-12, atol=1e-14)


def evidence(rng, n, r, rank=None):
    """Random positive semi-definite matrices, of low rank if asked, and vectors in their range."""
    factors = rng.normal(size=(n, r, rank or r))
    return factors @ np.swapaxes(factors, -1, -2), (factors @ rng.normal(size=(n, rank or r, 1)))[
        ..., 0
    ]


def dense_posterior(covariance, t, Lambda, eta):
    """Means (n, r) and covariances (n, r, r) from the whole covariance matrix."""
    n, r = eta.shape
    prior = np.kron(covariance(t), np.eye(r))
    everything = np.zeros((n, r, n, r))
    everything[np.arange(n), :, np.arange(n), :] = Lambda
    joint = prior @ np.linalg.inv(np.eye(n * r) + everything.reshape(n * r, n * r) @ prior)
    blocks = joint.reshape(n, r, n, r)[np.arange(n), :, np.arange(n), :]
    return (joint @ eta.ravel()).reshape(n, r), blocks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("r", "rank"), [(1, 1), (2, 1), (3, 3)])
def test_joint_evidence_gives_the_dense_posterior(kind, r, rank, xp):
    rng = np.random.default_rng(7)
    t = np.sort(rng.uniform(0, 3, (2, 25)), axis=1)
    covariances = [kind(1.3, 0.4), kind(0.6, 0.9)]
    cases = [evidence(rng, 25, r, rank) for _ in t]
    for Lambda, eta in cases:
        Lambda[::4], eta[::4] = 0, 0  # steps without evidence
    steps = [
        matern_transitions(c, np.diff(s, prepend=s[0])) for c, s in zip(covariances, t, strict=True)
    ]
    A, Q = (np.stack([s[k] for s in steps], axis=1) for k in (0, 1))
    start = np.stack([s[2] for s in steps])
    Lambda, eta = (np.stack([c[k] for c in cases], axis=1) for k in (0, 1))
    mean, covariance = information_smoother(*map(xp.asarray, (A, Q, start, Lambda, eta)))
    assert namespace(mean) is namespace(xp.asarray(A))
    for b in (0, 1):
        expected = dense_posterior(covariances[b], t[b], *cases[b])
        np.testing.assert_allclose(to_host(mean)[:, b], expected[0], atol=1e-9)
        np.testing.assert_allclose(to_host(covariance)[:, b], expected[1], atol=1e-9)


def test_joint_evidence_of_one_process_is_an_observation():
    t, y = np.linspace(0, 3, 30), np.random.default_rng(1).normal(size=30)
    seen = np.arange(30) % 3 == 0
    steps = matern_transitions(Matern32(1.0, 0.5), np.diff(t, prepend=t[0]))
    mean, variance, _ = kalman_smoother(*steps, y, 0.2, seen)
    weights = seen / 0.2
    ours = information_smoother(*steps, weights[:, None, None], (weights * y)[:, None])
    np.testing.assert_allclose(ours[0][:, 0], mean, atol=1e-12)
    np.testing.assert_allclose(ours[1][:, 0, 0], variance, atol=1e-12)


def test_series_of_series_are_smoothed_each_for_itself_and_exactly_symmetric(xp):
    rng = np.random.default_rng(2)
    A, Q, P = matern_transitions(Matern32(1.0, 0.5), np.array([0.0, 0.1, 40.0, 0.0, 0.3]))
    cases = {(i, j): evidence(rng, 5, 3) for i in range(2) for j in range(2)}
    Lambda, eta = (
        np.stack([np.stack([cases[i, j][k] for j in range(2)], axis=1) for i in range(2)], axis=1)
        for k in (0, 1)
    )
    A4, Q4 = (np.broadcast_to(v[:, None, None], (5, 2, 2, 2, 2)).copy() for v in (A, Q))
    mean, covariance = information_smoother(*map(xp.asarray, (A4, Q4, P, Lambda, eta)))
    V = to_host(covariance)
    np.testing.assert_array_equal(V, np.swapaxes(V, -1, -2))
    for (i, j), case in cases.items():
        alone = information_smoother(A, Q, P, *case)
        np.testing.assert_allclose(to_host(mean)[:, i, j], alone[0], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(V[:, i, j], alone[1], rtol=1e-10, atol=1e-13)


def test_no_evidence_leaves_the_prior_and_inputs_stay_as_they_are():
    A, Q, P = matern_transitions(Matern52(2.0, 0.5), np.array([0.0, 0.2, 1e6, 0.2]))
    Lambda, eta = np.zeros((4, 2, 2)), np.zeros((4, 2))
    Lambda[1], eta[1] = 3 * np.eye(2), 1.0
    copies = [v.copy() for v in (A, Q, P, Lambda, eta)]
    mean, covariance = information_smoother(A, Q, P, Lambda, eta)
    np.testing.assert_allclose(mean[2:], 0, atol=1e-12)  # nothing crosses the far gap
    np.testing.assert_allclose(covariance[2:], np.broadcast_to(2 * np.eye(2), (2, 2, 2)))
    for kept, passed in zip(copies, (A, Q, P, Lambda, eta), strict=True):
        np.testing.assert_array_equal(kept, passed)


@pytest.mark.parametrize("wide", range(-1, 5))
def test_the_widest_float_type_is_used(wide):
    steps = matern_transitions(Matern32(1.0, 0.5), np.full(6, 0.1))
    case = [*steps, *evidence(np.random.default_rng(3), 6, 2)]
    exact = information_smoother(*case)
    narrow = [np.astype(v, np.float64 if k == wide else np.float32) for k, v in enumerate(case)]
    ours = information_smoother(*narrow)
    for v, expected in zip(ours, exact, strict=True):
        assert v.dtype == (np.float32 if wide < 0 else np.float64)
        np.testing.assert_allclose(v, expected, atol=1e-5)


def test_strong_evidence_stays_accurate_over_a_long_series():
    t = np.linspace(0, 20, 2000)
    steps = matern_transitions(Matern32(1.0, 1.0), np.diff(t, prepend=t[0]))
    Lambda = np.full((2000, 1, 1), 1e8)
    mean, covariance = information_smoother(*steps, Lambda, 1e8 * np.sin(t)[:, None])
    np.testing.assert_allclose(mean[:, 0], np.sin(t), atol=1e-6)
    assert 0 < covariance.min() and covariance.max() < 1e-8


M = Matern52()
ONE, I1 = np.ones((2, 1, 1)), np.eye(1)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: StateSpaceRegressor(SquaredExponential()), "covariance must be one of Matern12"),
        (lambda: StateSpaceRegressor(Matern12(1.0, [1.0, 2.0])), "covariance must have one length"),
        (lambda: StateSpaceRegressor(M, 0.0), "noise_variance must be above 0"),
        (lambda: StateSpaceRegressor(M).fit(np.zeros((3, 1)), np.zeros(3)), "t must have 1"),
        (lambda: StateSpaceRegressor(M).fit(np.zeros(3), np.zeros(2)), "y must have shape"),
        (lambda: StateSpaceRegressor(M).fit(np.zeros(0), np.zeros(0)), "t is empty"),
        (lambda: StateSpaceRegressor(M).fit([0.0, np.nan], [0.0, 1.0]), "t holds NaN"),
        (lambda: matern_transitions(M, np.array([-1.0])), "gaps holds negative"),
        (
            lambda: kalman_smoother(np.ones((2, 1, 1)), np.ones((3, 1, 1)), np.eye(1), [0, 0], 1),
            "noises must have shape",
        ),
        (
            lambda: kalman_smoother(
                np.ones((2, 1, 1)), np.ones((2, 1, 1)), np.eye(1), [0, 0], 1, np.ones(3, bool)
            ),
            "observed must have shape",
        ),
        (
            lambda: information_smoother(np.ones((2, 1)), ONE, I1, ONE, np.ones((2, 1))),
            "transitions must have shape",
        ),
        (
            lambda: information_smoother(ONE, ONE[:1], I1, ONE, np.ones((2, 1))),
            "noises must have shape",
        ),
        (
            lambda: information_smoother(ONE, ONE, np.eye(2), ONE, np.ones((2, 1))),
            "start must have shape",
        ),
        (
            lambda: information_smoother(ONE, ONE, I1, ONE, np.ones((2, 2))),
            "information must have shape",
        ),
        (
            lambda: information_smoother(
                ONE, ONE, I1, np.broadcast_to(np.triu(np.ones((2, 2))), (2, 2, 2)), np.ones((2, 2))
            ),
            "information is not symmetric",
        ),
        (
            lambda: information_smoother(ONE, ONE, I1, -ONE, np.ones((2, 1))),
            "information has negative diagonal",
        ),
        (
            lambda: information_smoother(ONE, ONE, I1, ONE, np.ones((3, 1))),
            "shift must have shape",
        ),
    ],
)
def test_bad_inputs(act, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        act()
