"""The Riemann head: a density on the real line in buckets, as outputs of a network."""

from __future__ import annotations

import math

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array, check_integer

__all__ = ["riemann_borders", "riemann_log_density"]

_HALF = 0.6744897501960817  # half of a half-normal of scale 1 lies below


def riemann_borders(y: Array, buckets: int) -> Array:
    r"""Return borders :math:`b_0<\dots<b_B` between which a sample has equal shares.

    Parameters
    ----------
    y : array
        A large sample of what the density is about, of any shape.
    buckets : int
        The number B, at least 3.

    Returns
    -------
    array, shape (B + 1,)
        Quantiles of the sample at :math:`k/B`, linear between its points.

    Raises
    ------
    ValueError
        If `y` is not finite or has too few different values, or `buckets` is below 3.
    """
    buckets = check_integer("buckets", buckets, at_least=3)
    y = check_array("y", y)
    xp = namespace(y)
    y = xp.sort(xp.reshape(y, (-1,)))
    place = xp.linspace(0, y.shape[0] - 1, buckets + 1, dtype=y.dtype)
    below = xp.astype(xp.floor(place), xp.int64)
    above = xp.astype(xp.ceil(place), xp.int64)
    low = xp.take(y, below, axis=0)
    borders = low + (place - xp.astype(below, y.dtype)) * (xp.take(y, above, axis=0) - low)
    if not bool(xp.all(borders[1:] > borders[:-1])):
        raise ValueError(f"y has too few different values for {buckets} buckets")
    return borders


def riemann_log_density(logits: Array, y: Array, borders: Array) -> Array:
    r"""Return the log-density of the Riemann distribution (Müller et al., 2022).

    .. math:: q(y)=p_k/w_k,\qquad p=\mathrm{softmax}(\text{logits}),\quad w_k=b_k-b_{k-1}

    in bucket k, except in the first and the last one, where :math:`1/w_k` is replaced by the
    half-normal density that starts at the inner border, points outwards and has half of its mass
    within the width :math:`w_k`.

    Parameters
    ----------
    logits : array, shape (..., B)
        Logits of the buckets; may be traced.
    y : array, shape (...)
        Where.
    borders : array, shape (B + 1,)
        Increasing borders :math:`b_0,\dots,b_B`.

    Returns
    -------
    array, shape (...)
        The log-density, finite everywhere.

    Raises
    ------
    ValueError
        If shapes do not fit, or the borders do not increase.
    """
    borders = check_array("borders", borders, ndim=1)
    xp = namespace(borders)
    B = borders.shape[0] - 1
    if B < 3 or not bool(xp.all(borders[1:] > borders[:-1])):
        raise ValueError("borders must be at least four increasing numbers")
    y = check_array("y", y)
    if tuple(logits.shape) != (*y.shape, B):
        raise ValueError(
            f"logits must have shape {(*y.shape, B)} to fit y and borders, "
            f"got {tuple(logits.shape)}"
        )
    k = xp.searchsorted(borders[1:-1], y)
    return _log_density_within(y, k, borders) - ad.cross_entropy(logits, k)


def _log_density_within(y: Array, k: Array, borders: Array) -> Array:
    """Return the log-density of y given that it lies in bucket k."""
    xp = namespace(borders)
    widths, last = borders[1:] - borders[:-1], borders.shape[0] - 2
    flat = -xp.reshape(xp.log(xp.take(widths, xp.reshape(k, (-1,)), axis=0)), k.shape)
    s = xp.where(k == 0, widths[0], widths[-1]) / _HALF
    outwards = xp.where(k == 0, borders[1] - y, y - borders[-2])
    tail = 0.5 * math.log(2 / math.pi) - xp.log(s) - (outwards / s) ** 2 / 2
    return xp.where((k == 0) | (k == last), tail, flat)
