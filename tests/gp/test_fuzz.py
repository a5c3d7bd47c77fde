"""Nonsense in any argument gives a ValueError or finite numbers: never a NaN, never a crash."""

from __future__ import annotations

import numpy as np
import pytest

from gaussbook.arrays import generator
from gaussbook.gp import (
    covariances,
    exact,
    network,
    sampling,
    statespace,
)
from gaussbook.gp.cholesky import jittered_cholesky

K = covariances.Matern52(1.2, 0.7)
X, Y = np.linspace(0, 3, 12), np.sin(np.arange(12.0))
NONSENSE = {
    "None": None,
    "text": "abc",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative": -3.0,
    "zero": 0,
    "huge": 1e308,
    "empty": [],
    "empty array": np.zeros((0, 2)),
    "ragged": [[1.0], [1.0, 2.0]],
    "array with NaN": np.array([1.0, np.nan, 2.0]),
    "three dimensions": np.ones((2, 2, 2)),
    "complex": np.array([1.0 + 2.0j]),
    "objects": np.array([object()]),
    "text array": np.array(["a", "b"]),
    "dictionary": {"a": 1},
    "boolean": True,
    "wrong length": np.ones(5),
    "matrix": np.ones((4, 4)),
}


def _fit_exact(covariance, noise_variance, x, y, new):
    model = exact.GaussianProcessRegressor(covariance, noise_variance)
    return model.fit(x, y, optimise=False).predict(new, return_std=True)


def _fit_line(covariance, noise_variance, t, y, new):
    return statespace.StateSpaceRegressor(covariance, noise_variance).fit(t, y).predict(new)


def _kernel(kind):
    return lambda x, y, **parameters: kind(**parameters)(x, y)


STATIONARY = {"x": X, "y": X[:3], "variance": 1.0, "lengthscale": 0.5}
CALLS = {
    "Matern12": (_kernel(covariances.Matern12), STATIONARY),
    "NeuralNetwork": (
        _kernel(network.NeuralNetwork),
        {"x": X, "y": X, "depth": 2, "activation": "erf", "variance": 1.0, "bias_variance": 0.1},
    ),
    "with_theta": (lambda theta: K.with_theta(theta)(X), {"theta": [0.0, 0.0]}),
    "jittered_cholesky": (jittered_cholesky, {"covariance": K(X), "largest": 1e-4}),
    "log_marginal_likelihood": (
        exact.log_marginal_likelihood,
        {"covariance": K, "noise_variance": 0.1, "x": X, "y": Y},
    ),
    "exact": (
        _fit_exact,
        {"covariance": K, "noise_variance": 0.1, "x": X, "y": Y, "new": X[:2]},
    ),
    "condition_on_data": (
        exact.condition_on_data,
        {
            "covariance": K(X),
            "cross": K(X[:2], X),
            "variances": np.ones(2),
            "y": Y,
            "noise_variance": 0.1,
        },
    ),
    "line": (_fit_line, {"covariance": K, "noise_variance": 0.1, "t": X, "y": Y, "new": X[:2]}),
    "matern_transitions": (statespace.matern_transitions, {"covariance": K, "gaps": X}),
    "circulant_embedding": (
        sampling.circulant_embedding,
        {
            "covariance": lambda lags: np.exp(-lags),
            "n": 8,
            "step": 0.1,
            "paths": 2,
            "rng": generator(0),
            "length": 32,
            "tolerance": 1e-8,
        },
    ),
    "sample_gaussian": (
        sampling.sample_gaussian,
        {"mean": Y, "covariance": K(X), "n": 2, "rng": generator(0)},
    ),
}
CASES = [
    pytest.param(name, argument, kind, id=f"{name}-{argument}-{kind}")
    for name, (_, arguments) in CALLS.items()
    for argument in arguments
    for kind in NONSENSE
]


def _arrays(result):
    if isinstance(result, tuple | list):
        return [array for part in result for array in _arrays(part)]
    return [np.asarray(result)]


@pytest.mark.parametrize(("name", "argument", "kind"), CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nonsense(name, argument, kind):
    call, arguments = CALLS[name]
    try:
        result = call(**arguments | {argument: NONSENSE[kind]})
    except ValueError:
        return
    assert all(np.all(np.isfinite(array)) for array in _arrays(result))
