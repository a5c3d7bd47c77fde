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
        If the simplex does not reach the optimum.

    Notes
    -----
    The computation is on the host, O(n³) at worst and some seconds for n = 5000.
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
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    scale = float(np.max(np.abs(M))) or 1.0  # the simplex compares costs with absolute tolerances
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the log says the same, and is turned into an error
        plan, log = ot.emd(a, b, M / scale, numItermax=max_iter, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"no optimal plan was found: {log['warning']}")
    cost = scale * float(np.sum(plan * (M / scale)))
    if not math.isfinite(cost):
        raise ValueError("M holds costs whose sum overflows")
    return plan, cost
