"""Nonsense in any argument gives a ValueError or finite numbers: never a NaN, never a crash."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gaussbook import transport

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 2)), RNG.standard_normal((5, 2))
A, B = np.full(6, 1 / 6), np.full(5, 1 / 5)
THETA = transport.random_directions(4, 2, np.random.default_rng(1))
M = transport.cost_matrix(X, Y)
C = np.array([[2.0, 0.3], [0.3, 1.0]])
NONSENSE = {
    "None": None,
    "text": "abc",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative": -3.0,
    "zero": 0,
    "huge": 1e308,
    "tiny": 1e-308,
    "empty": [],
    "empty array": np.zeros((0, 2)),
    "ragged": [[1.0], [1.0, 2.0]],
    "array with NaN": np.array([1.0, np.nan, 2.0]),
    "huge matrix": np.full((6, 2), -1e308),
    "huge costs": np.full((6, 5), 1e149),
    "three dimensions": np.ones((2, 2, 2)),
    "complex": np.array([1.0 + 2.0j]),
    "objects": np.array([object()]),
    "dictionary": {"a": 1},
    "boolean": True,
    "wrong length": np.ones(7),
}
CALLS = {
    "wasserstein_1d": {"x": X.T, "y": Y.T, "p": 2, "a": A, "b": B, "axis": -1},
    "sliced_wasserstein_terms": {"x": X, "y": Y, "theta": THETA, "p": 2},
    "projected_moments": {"x": X, "theta": THETA},
    "cost_matrix": {"x": X, "y": Y, "p": 2},
    "exact_plan": {"a": A, "b": B, "M": M, "max_iter": 1000},
    "wasserstein": {"x": X, "y": Y, "p": 2, "a": A, "b": B},
    "sinkhorn": {"a": A, "b": B, "M": M, "reg": 0.1, "tol": 1e-6, "max_iter": 50},
    "sinkhorn_divergence": {"x": X, "y": Y, "reg": 0.1, "p": 2, "a": A, "b": B, "max_iter": 50},
    "energy_distance": {"x": X, "y": Y},
}
UNBALANCED = {"a": A, "b": B, "M": M, "reg": 0.1, "reg_m": 1.0, "max_iter": 50}
UNBALANCED |= {"warm_start": (np.zeros(6), np.zeros(5))}


def finite(result) -> bool:
    if dataclasses.is_dataclass(result):
        result = dataclasses.astuple(result)
    if isinstance(result, tuple):
        return all(map(finite, result))
    return bool(np.all(np.isfinite(np.asarray(result, dtype=float))))


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("function", [*CALLS, "unbalanced"])
def test_an_error_that_names_an_argument_or_finite_numbers(function, nonsense):
    good = CALLS.get(function, UNBALANCED)
    call = getattr(transport, function if function in CALLS else "sinkhorn")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert finite(call(**good))
        for name in good:
            try:
                result = call(**(good | {name: NONSENSE[nonsense]}))
            except ValueError as error:
                assert str(error).split()[0].rstrip(":,") in good, (name, str(error))
            else:
                assert finite(result), name
