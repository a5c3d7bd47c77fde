"""Grids against the exact posterior on the same points."""

from __future__ import annotations

import itertools

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.arrays import namespace
from gaussbook.gp.covariances import Matern32, Matern52, SquaredExponential
from gaussbook.gp.exact import GaussianProcessRegressor
from gaussbook.gp.kronecker import GridRegressor, grid_log_marginal_likelihood, kronecker_multiply
from gaussbook.gp.spectral import Periodic

RNG = np.random.default_rng(0)
AXES = [np.sort(RNG.uniform(0, 3, n)) for n in (5, 4, 3)]
NEW = [RNG.uniform(0, 3, n) for n in (2, 3, 4)]
KS = [Matern52(1.3, 0.8), Periodic(0.9, 1.1, 2.0), SquaredExponential(0.7, 1.5)]
Y = RNG.normal(size=(5, 4, 3))
PRODUCT = KS[0].on([0]) * KS[1].on([1]) * KS[2].on([2])


def _points(axes):
    return np.array(list(itertools.product(*axes)))


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_the_product_is_kroneckers(shapes, seed):
    rng = np.random.default_rng(seed)
    factors = [rng.normal(size=shape) for shape in shapes]
    tensor = rng.normal(size=[n for _, n in shapes])
    full = np.ones((1, 1))
    for factor in factors:
        full = np.kron(full, factor)
    product = kronecker_multiply(factors, tensor)
    assert product.shape == tuple(m for m, _ in shapes)
    np.testing.assert_allclose(product.ravel(), full @ tensor.ravel(), atol=1e-12)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_posterior_is_the_exact_one(dimensions):
    axes, new, y = AXES[:dimensions], NEW[:dimensions], Y[(..., *[0] * (3 - dimensions))]
    covariance = KS[0].on([0])
    for d in range(1, dimensions):
        covariance = covariance * KS[d].on([d])
    exact = GaussianProcessRegressor(covariance, 0.1).fit(_points(axes), y.ravel(), optimise=False)
    ours = GridRegressor(KS[:dimensions], 0.1).fit(axes, y)
    mean, std = ours.predict(new, return_std=True)
    expected, expected_std = exact.predict(_points(new), return_std=True)
    np.testing.assert_allclose(mean.ravel(), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(std.ravel(), expected_std, rtol=1e-9)
    assert ours.log_marginal_likelihood_ == pytest.approx(exact.log_marginal_likelihood_)


def test_likelihood_gradient_agrees_with_finite_differences():
    value, gradient = grid_log_marginal_likelihood(KS, 0.2, AXES, Y)
    parameters = np.concatenate([*(k.theta for k in KS), [np.log(0.2)]])
    splits = np.cumsum([len(k.theta) for k in KS])

    def at(p):
        parts = np.split(p[:-1], splits[:-1])
        ks = [k.with_theta(part) for k, part in zip(KS, parts, strict=True)]
        return grid_log_marginal_likelihood(ks, np.exp(p[-1]), AXES, Y)[0]

    assert at(parameters) == pytest.approx(value)
    steps = 1e-5 * np.eye(len(parameters))
    differences = [(at(parameters + s) - at(parameters - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-7)


def test_strict_arrays():
    axes, new = ([array_api_strict.asarray(a) for a in group] for group in (AXES, NEW))
    y = array_api_strict.asarray(Y)
    mean, std = GridRegressor(KS, 0.1).fit(axes, y).predict(new, return_std=True)
    assert namespace(mean).__name__.startswith("array_api_strict")
    expected, expected_std = GridRegressor(KS, 0.1).fit(AXES, Y).predict(NEW, return_std=True)
    np.testing.assert_allclose(np.asarray(mean), expected, rtol=1e-9)
    np.testing.assert_allclose(np.asarray(std), expected_std, rtol=1e-9)
    strict = grid_log_marginal_likelihood(KS, 0.1, axes, y)
    plain = grid_log_marginal_likelihood(KS, 0.1, AXES, Y)
    assert strict[0] == pytest.approx(plain[0])
    np.testing.assert_allclose(strict[1], plain[1], rtol=1e-8)


K2 = [Matern32(), Matern32()]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: kronecker_multiply([np.eye(2)], np.zeros((2, 2))), "factors must be 2"),
        (lambda: kronecker_multiply([np.eye(3)], np.zeros(2)), r"factors\[0\] must have shape"),
        (lambda: GridRegressor([]), "covariances is empty"),
        (lambda: GridRegressor([3]), r"covariances\[0\] must be a Covariance"),
        (lambda: GridRegressor(K2, 0.0), "noise_variance must be above 0"),
        (lambda: GridRegressor(K2).fit(AXES, Y), "axes must be 2"),
        (lambda: GridRegressor(K2).fit(AXES[:2], Y), "y must have shape"),
        (lambda: GridRegressor(K2).fit([[0.0, np.nan], [0.0]], Y), r"axes\[0\] holds NaN"),
        (
            lambda: GridRegressor(K2).fit(AXES[:2], Y[..., 0]).predict(AXES[:1]),
            "axes must be 2",
        ),
        (
            lambda: grid_log_marginal_likelihood(K2, -1.0, AXES[:2], Y[..., 0]),
            "noise_variance must be above 0",
        ),
    ],
)
def test_bad_inputs(act, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        act()
