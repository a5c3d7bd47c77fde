"""Exact optimal transport by the network simplex of POT, on the host."""

from __future__ import annotations

import math
import warnings

import numpy as np
import ot
from scipy.spatial.distance import cdist

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.transport.pairs import check_order, check_samples, check_weights
from gaussbook.validation import check_array, check_integer

__all__ = ["exact_plan", "wasserstein"]

_LARGEST_GAP = 1e-7  # of a plan's cost above the dual's, as a share of it


def exact_plan(
    a: Array | None, b: Array | None, M: Array, *, max_iter: int = 1_000_000
) -> tuple[Array, float]:
    r"""Optimal transport plan between two weighted sets of points.

    .. math::
        \min_{P\ge0}\ \sum_{ij}P_{ij}M_{ij}\quad\text{with}\quad
        \sum_jP_{ij}=a_i,\quad\sum_iP_{ij}=b_j

    Parameters
    ----------
    a : array, shape (n,), or None
        Weights of the sources, which sum to one; None for equal ones.
    b : array, shape (m,), or None
        Weights of the targets.
    M : array, shape (n, m)
        Costs.
    max_iter : int
        Largest number of pivots.

    Returns
    -------
    plan : array, shape (n, m)
        The plan, beside `M`.
    cost : float
        Its cost, in the unit of `M`.

    Raises
    ------
    ValueError
        If the weights are not probabilities, shapes disagree, or a cost is not finite.
    RuntimeError
        If the simplex does not reach the optimum: the plan's cost is checked against that of a
        dual solution.

    Notes
    -----
    A cost so large that no sensible plan pays it forbids a pair, whatever its size.  The
    computation is on the host, O(n³) at worst and some seconds for n = 5000.
    """
    M = check_array("M", M, ndim=2)
    xp = namespace(M)
    a = to_host(check_weights("a", a, M, M.shape[0]))
    b = to_host(check_weights("b", b, M, M.shape[1]))
    plan, cost = _simplex(a, b, to_host(xp.astype(M, xp.float64)), max_iter)
    return xp.asarray(plan), cost


def wasserstein(
    x: Array,
    y: Array,
    p: float = 2,
    *,
    a: Array | None = None,
    b: Array | None = None,
    max_iter: int = 1_000_000,
) -> float:
    r"""Wasserstein distance between two samples.

    .. math::
        W_p=\Bigl(\min_P\sum_{ij}P_{ij}\lVert x_i-y_j\rVert^p\Bigr)^{1/p}

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    p : float
        Order, between 1 and 16.
    a, b : array, shapes (n,) and (m,), optional
        Weights of the points; equal ones if not given.
    max_iter : int
        Largest number of pivots.

    Returns
    -------
    float
        The distance, in the unit of the data.

    Raises
    ------
    ValueError
        If samples or weights do not fit together.
    RuntimeError
        If the simplex does not reach the optimum.
    """
    x, y = check_samples(x, y)
    p = check_order(p)
    a = to_host(check_weights("a", a, x, x.shape[0]))
    b = to_host(check_weights("b", b, y, y.shape[0]))
    x, y = to_host(x), to_host(y)
    # in a unit in which squares do not underflow: a power of two, so that no digit changes
    exponent = math.frexp(max(float(np.max(np.abs(z))) for z in (x, y)))[1]
    distances = cdist(np.ldexp(x, -exponent), np.ldexp(y, -exponent))
    scale = float(np.max(distances))
    if scale == 0:
        return 0.0
    _, cost = _simplex(a, b, (distances / scale) ** p, max_iter)
    return math.ldexp(scale * max(cost, 0.0) ** (1 / p), exponent)


def _simplex(
    a: np.ndarray, b: np.ndarray, M: np.ndarray, max_iter: int
) -> tuple[np.ndarray, float]:
    """Return an optimal plan and its cost, checked against a dual solution.

    The simplex compares costs with tolerances relative to the largest one, so one forbidden pair
    can hide the differences of all others.  Where the check finds that, costs are cut off at a cap,
    which rises until no mass lies where it has cut: a plan that is optimal for the lowered costs,
    and pays the true ones, is optimal.
    """
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    # Constants of rows and columns add the same to the cost of every plan.
    costs = M - np.min(M, axis=1, keepdims=True)
    costs = costs - np.min(costs, axis=0)
    largest = cap = float(np.max(costs))
    if not math.isfinite(largest):
        raise ValueError("M holds costs whose difference overflows")
    plan, gap = _checked_plan(a, b, costs, cap, max_iter)
    if gap > _LARGEST_GAP:
        cap = 0.0
    while gap > _LARGEST_GAP:
        if cap >= largest:
            raise RuntimeError(f"no optimal plan was found: {gap:.1g} of its cost are too much")
        cap = min(largest, 1e3 * float(np.min(costs[costs > cap])))
        plan, gap = _checked_plan(a, b, costs, cap, max_iter)
    scale = float(np.max(np.abs(M))) or 1.0
    cost = scale * float(np.sum(plan * (M / scale)))
    if not math.isfinite(cost):
        raise ValueError("M holds costs whose sum overflows")
    return plan, cost


def _checked_plan(
    a: np.ndarray, b: np.ndarray, costs: np.ndarray, cap: float, max_iter: int
) -> tuple[np.ndarray, float]:
    """Return POT's plan for costs cut off at a cap, and by which share it may be too dear."""
    scale = cap or 1.0
    lowered = np.minimum(costs, cap) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the log says the same, and is turned into an error
        plan, log = ot.emd(a, b, lowered, numItermax=max_iter, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"no optimal plan was found: {log['warning']}")
    plan[plan < 1e-15] = 0.0  # what rounding of the weights has left
    # The largest potentials that respect all costs, given those of the sources: always a bound.
    g = np.min(lowered[a > 0] - log["u"][a > 0, None], axis=0)
    f = np.min(lowered[:, b > 0] - g[b > 0], axis=1)
    paid, bound = float(np.sum(plan * (costs / scale))), float(f @ a + g @ b)
    return plan, (paid - bound) / paid if paid > 0 else 0.0
