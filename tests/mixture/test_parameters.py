"""The M-step's estimates from given sums, and the splitting of components."""

import pickle

import numpy as np
import pytest

from gaussbook.arrays import to_host
from gaussbook.mixture.parameters import Parameters, estimate, split_heaviest
from gaussbook.mixture.statistics import Assignment, Expectation, RandomShares


@pytest.mark.parametrize("together", [False, True])
def test_estimates_of_a_partition(together):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [50.0, 0.0]])
    x = np.repeat(centres, [30, 70], axis=0) + rng.normal(size=(100, 2))
    step = Assignment.of(centres, diagonal=False)
    statistics = (step if together else step.about(centres + 1))(x, None)
    within = np.stack([np.cov(x[:30].T, bias=True), np.cov(x[30:].T, bias=True)])
    full, _ = estimate(statistics, "full", 0.25, None)
    np.testing.assert_allclose(full.weights, [0.3, 0.7])
    np.testing.assert_allclose(full.means, [x[:30].mean(axis=0), x[30:].mean(axis=0)])
    np.testing.assert_allclose(full.covariances, within + 0.25 * np.eye(2), atol=1e-11)
    tied, _ = estimate(statistics, "tied", 0, None)
    np.testing.assert_allclose(tied.covariances, 0.3 * within[0] + 0.7 * within[1], atol=1e-11)
    assert tied.component_covariances().shape == (2, 2, 2)


def test_sums_of_parts_are_the_sum():
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(50, 3)), rng.exponential(size=50)
    step = Assignment.of(x[:4], diagonal=True)
    whole = step(x, weight)
    parts = step(x[:20], weight[:20]) + step(x[20:], weight[20:], 20)
    for name in ("weight", "counts", "first", "second"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-12)


@pytest.mark.parametrize("kind", ["expectation", "assignment", "random"])
def test_steps_travel_to_other_machines(kind):
    x = np.random.default_rng(2).normal(size=(40, 2))
    parameters = Parameters("full", np.array([0.5, 0.5]), x[:2], np.tile(np.eye(2), (2, 1, 1)))
    step = {
        "expectation": lambda: Expectation.of(parameters.gaussians()),
        "assignment": lambda: Assignment.of(x[:2], diagonal=True),
        "random": lambda: RandomShares.of(x[0], 2, False, np.random.default_rng(0)),
    }[kind]()
    here, there = step(x, None), pickle.loads(pickle.dumps(step))(x, None)
    for name in ("log_likelihood", "counts", "first", "second"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


def test_eigenvalues_are_raised_and_counted():
    x = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 0.2], [2.0, -0.2]])
    statistics = Assignment.of(np.array([[2.0, 0.0]]), diagonal=False)(x, None)
    parameters, raised = estimate(statistics, "full", 0, 0.5)
    assert raised == 1
    np.testing.assert_allclose(parameters.covariances[0], np.diag([2.0, 0.5]), atol=1e-13)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_splitting_keeps_weight_and_mean(covariance_type, xp):
    covariances = {
        "full": np.stack([np.diag([4.0, 1.0]), np.eye(2), np.eye(2)]),
        "tied": np.diag([4.0, 1.0]),
        "diag": np.array([[4.0, 1.0], [1.0, 1.0], [1.0, 1.0]]),
        "spherical": np.array([4.0, 1.0, 1.0]),
    }[covariance_type]
    means = np.array([[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]])
    before = Parameters(covariance_type, np.array([0.7, 0.3, 0.0]), means, covariances)
    after = split_heaviest(Parameters(covariance_type, *map(xp.asarray, before[1:])), [2])
    after = Parameters(covariance_type, *map(to_host, after[1:]))
    np.testing.assert_allclose(after.weights, [0.35, 0.3, 0.35])
    np.testing.assert_allclose(np.sort(after.means[[0, 2], 0]), [0.0, 2.0])
    np.testing.assert_allclose(after.means[[0, 2], 1], 1.0)
    np.testing.assert_allclose(after.means[1], 5.0)
    spread = after.component_covariances()
    np.testing.assert_allclose(spread[2], spread[0])
    np.testing.assert_allclose(spread[0], before.component_covariances()[0])
