"""The rows of optimal transport, against POT."""

from __future__ import annotations

import numpy as np

from benchmarks.cpu import Row
from benchmarks.limits import Demand
from gaussbook import transport


def _clouds(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)), 0.5 + 0.7 * rng.standard_normal((m, d))


def _sinkhorn():
    import ot

    x, y = _clouds(2000, 2000, 3)
    M = transport.cost_matrix(x, y)
    M /= M.max()
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.ones(2000)), rng.dirichlet(np.ones(2000))
    reg, tolerance = 0.01, 1e-6  # POT's stopThr is the same Euclidean norm of the same marginals

    def ours():
        return transport.sinkhorn(a, b, M, reg, tol=tolerance)

    def peer():
        return ot.bregman.sinkhorn_log(a, b, M, reg, stopThr=tolerance, numItermax=10_000)

    def check(result: transport.SinkhornResult, other: np.ndarray) -> None:
        plan = result.plan
        for P in (plan, other):
            rows, columns = P.sum(axis=1) - a, P.sum(axis=0) - b
            assert np.hypot(np.linalg.norm(rows), np.linalg.norm(columns)) <= 1.01 * tolerance
        np.testing.assert_allclose(np.sum(plan * M), np.sum(other * M), rtol=1e-4)
        assert np.abs(plan - other).sum() <= 1e-3

    return ours, peer, check


def _sliced():
    import ot

    x, y = _clouds(10_000, 10_000, 64)
    theta = transport.random_directions(1000, 64, np.random.default_rng(1))

    def ours():
        return transport.sliced_wasserstein(x, y, theta=theta)

    def peer():
        return ot.sliced.sliced_wasserstein_distance(x, y, projections=theta.T)

    def check(distance: float, other: float) -> None:
        np.testing.assert_allclose(distance, other, rtol=1e-10)

    return ours, peer, check


def sinkhorn_demand(result: transport.SinkhornResult) -> Demand:
    """Return what Sinkhorn's algorithm cannot do without, given how many iterations it took.

    One kernel and the plan are made.  An iteration multiplies the kernel, which is far larger than
    a cache, from both sides: it must read it once, and ours reads it twice.
    """
    n, m = result.plan.shape
    iterations = result.iterations
    return Demand(flops=4 * n * m * iterations, exps=2 * n * m, moved=8 * n * m * (iterations + 4))


ROWS = (
    Row(
        "Sinkhorn log domain, 2 000×2 000, to marginal error 1e-6",
        "POT",
        2.0,
        _sinkhorn,
        demand=sinkhorn_demand,
    ),
    Row("sliced Wasserstein, n=10 000 d=64 1 000 projections", "POT", 1.5, _sliced),
)
