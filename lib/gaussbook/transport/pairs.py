"""What all distances share: two checked samples, their weights and pairwise costs."""

from __future__ import annotations

import math

from gaussbook.arrays import Array, namespace
from gaussbook.distances import squared_distances
from gaussbook.validation import check_array, check_probabilities, check_scalar

__all__ = [
    "check_order",
    "check_samples",
    "check_weights",
    "cost_matrix",
]


def check_samples(x: Array, y: Array) -> tuple[Array, Array]:
    """Return two samples ``(n, d)`` and ``(m, d)`` in float64.

    Raises
    ------
    ValueError
        If a sample is empty, not finite or not two-dimensional, if the dimensions differ, or if
        the coordinates are so large that their squares overflow.
    """
    x = check_array("x", x, ndim=2)
    y = check_array("y", y, shape=(None, x.shape[1]))
    xp = namespace(x, y)
    x, y = (xp.astype(a, xp.float64, copy=False) for a in (x, y))
    for name, sample in (("x", x), ("y", y)):
        if float(xp.max(xp.abs(sample))) * math.sqrt(sample.shape[1]) > 1e150:
            raise ValueError(f"{name} holds points whose squared distances overflow")
    return x, y


def check_weights(name: str, weights: Array | None, like: Array, n: int) -> Array:
    """Return probabilities ``(n,)`` in float64, beside the array `like`; equal ones for None."""
    xp = namespace(like)
    if weights is None:
        return xp.full(n, 1 / n, dtype=xp.float64)
    weights = check_probabilities(name, check_array(name, weights, shape=(n,)))
    weights = xp.astype(weights, xp.float64, copy=False)
    return weights / xp.sum(weights)


def check_order(p: float) -> float:
    """Return the order p of a Wasserstein distance, checked to be between 1 and 16.

    Above, the powers of the smaller distances are lost in those of the largest.
    """
    return check_scalar("p", p, at_least=1, at_most=16)


def cost_matrix(x: Array, y: Array, p: float = 2) -> Array:
    r"""Costs :math:`M_{ij}=\lVert x_i-y_j\rVert^p` of transport between points.

    Parameters
    ----------
    x : array, shape (n, d)
        Sources.
    y : array, shape (m, d)
        Targets.
    p : float
        The power, between 1 and 16.

    Returns
    -------
    array, shape (n, m)
        The costs, in the p-th power of the unit of the data.

    Raises
    ------
    ValueError
        If the samples are not finite matrices of one width, or costs overflow.

    Notes
    -----
    As accurate as `gaussbook.distances.SquaredDistances`: the cost of points which coincide is 0.
    """
    x, y = check_samples(x, y)
    p = check_order(p)
    xp = namespace(x, y)
    costs = squared_distances(x, y)
    if p != 2:
        if p / 2 * math.log(max(float(xp.max(costs)), 1.0)) > 700:
            raise ValueError(f"p = {p:g} makes the largest cost overflow")
        costs = xp.sqrt(costs) if p == 1 else costs ** (p / 2)
    return costs
