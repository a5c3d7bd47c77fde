"""How the cost grows: seconds and memory of one work while one size doubles."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np

from benchmarks.cpu import start_of_em
from benchmarks.limits import fastest
from gaussbook import density, transport
from gaussbook.gp import covariances, exact
from gaussbook.gp.statespace import StateSpaceRegressor
from gaussbook.mixture import GaussianMixture


def _em(n: int = 50_000, d: int = 8, K: int = 8) -> Callable[[], object]:
    X = np.random.default_rng(0).standard_normal((n, d))
    start = start_of_em(X, K, 3)
    return lambda: GaussianMixture(**start).fit(X)


def _line(n: int) -> Callable[[], object]:
    t = np.linspace(0, n / 100, n)
    model = StateSpaceRegressor(covariances.Matern52(1.0, 1.5), 0.1)
    return lambda: model.fit(t, np.sin(t)).predict(t)


def _process(n: int) -> Callable[[], object]:
    X = np.random.default_rng(0).uniform(size=(n, 4))
    k = covariances.SquaredExponential(1.0, np.ones(4))
    return lambda: exact.log_marginal_likelihood(k, 0.1, X, X[:, 0])


def _kde(n: int) -> Callable[[], object]:
    X = np.random.default_rng(0).standard_normal((n, 8))
    return lambda: density.log_density(X[:1000], X, 0.5)


def _sinkhorn(n: int) -> Callable[[], object]:
    X = np.random.default_rng(0).standard_normal((2, n, 3))
    M, a = transport.cost_matrix(X[0], X[1] + 0.5), np.full(n, 1 / n)
    return lambda: transport.sinkhorn(a, a, M / M.max(), 0.02, tol=1e-6)


def _sliced(n: int) -> Callable[[], object]:
    X = np.random.default_rng(0).standard_normal((2, n, 16))
    theta = transport.random_directions(100, 16, np.random.default_rng(1))
    return lambda: transport.sliced_wasserstein_terms(X[0], X[1], theta, 2)


def _doubling(first: int, steps: int) -> list[int]:
    return [first * 2**k for k in range(steps)]


# Work, the size that grows, its values, the exponent that the flops have, and the work itself.
CURVES = (
    ("EM, 3 steps, d=8 K=8", "n", _doubling(12_500, 6), 1, lambda v: _em(n=v)),
    ("EM, 3 steps, n=50 000 K=8", "d", _doubling(2, 6), 2, lambda v: _em(d=v)),
    ("EM, 3 steps, n=50 000 d=8", "K", _doubling(2, 6), 1, lambda v: _em(K=v)),
    ("kernel density at 1 000 points, d=8", "n", _doubling(12_500, 5), 1, _kde),
    ("GP likelihood + gradient", "n", _doubling(125, 5), 3, _process),
    ("state-space GP", "n", _doubling(12_500, 5), 1, _line),
    ("Sinkhorn to 1e-6", "n", _doubling(125, 5), 2, _sinkhorn),
    ("sliced Wasserstein, 100 projections", "n", _doubling(3_125, 6), 1, _sliced),
)


def _megabytes(work: Callable[[], object]) -> float:
    """Return the most memory that the work holds beside what it was given."""
    tracemalloc.start()
    work()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held / 1e6


def measure() -> list[dict]:
    """Return the curves: work, the size that grows, its values, seconds and megabytes."""
    curves = []
    for work, variable, values, expected, prepare in CURVES:
        works = [prepare(value) for value in values]
        curves.append(
            {
                "work": work,
                "variable": variable,
                "values": values,
                "expected": expected,
                "seconds": [round(fastest(each, 3), 5) for each in works],
                "megabytes": [round(_megabytes(each), 3) for each in works],
            }
        )
    return curves
