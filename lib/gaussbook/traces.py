"""Traces of many indicators over time: a made-up cloud service, windows, a linear forecast."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter

from gaussbook.arrays import Array, Generator, backend, namespace, to_device
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["DAY", "INDICATORS", "clock", "lagged", "ridge_forecast", "service_trace"]

DAY = 144
"""Steps of a day: a step is ten minutes."""

INDICATORS = {
    "rate A": 1,
    "rate B": 1,
    "CPU A": 2,
    "CPU B": 2,
    "network": 2,
    "disk": 2,
    "memory": 2,
    "constant": 2,
    "load A": 3,
    "latency": 3,
    "utilisation": 3,
    "load B": 3,
}
"""The columns of a trace, and the level of each: requests, machines, queues."""


def _smooth(x: np.ndarray, keep: float) -> np.ndarray:
    """Return y with y_t = keep y_{t-1} + x_t."""
    return lfilter([1.0], [1.0, -keep], x, axis=0)


def service_trace(rng: Generator, steps: int, shift: int | None = None) -> Array:
    r"""Draw the indicators of two services that share a machine.

    The request rates are :math:`\exp(\text{day} + \text{week} + a_t) + b_t` with an autoregression
    a of deviation 0.15 and memory 0.9, and bursts b that begin in one step of a hundred, have a
    Gamma(2, 0.8) size and decay by 0.7 a step.  The processors do
    :math:`c_t = (0.6 r_t + 0.3 r_{t-1}) e^{\text{noise}}` with noise of deviation 0.25.  The loads
    are the average, with weight 0.3 for the newest step, of :math:`\rho/(1-\rho)` with the
    utilisation :math:`\rho = \min(0.95, c/5)`.

    Parameters
    ----------
    rng : Generator
        Source of the draws.
    steps : int
        How many steps of ten minutes.
    shift : int, optional
        The step from which bursts are four times as frequent and the processors' noise has twice
        the deviation.  What comes before it is as without it.

    Returns
    -------
    array, shape (steps, 12)
        The indicators in the order of `INDICATORS`; loads in waiting requests, the rates, the
        processors, the network, disk, memory and latency in units of their own.

    Raises
    ------
    ValueError
        If `steps` is no positive integer or `shift` no integer of at least 0.
    """
    steps = check_integer("steps", steps, at_least=1)
    shift = steps if shift is None else check_integer("shift", shift, at_least=0)
    draw, t = rng.host, np.arange(steps)[:, None]
    later = t >= shift
    a = _smooth(0.15 * math.sqrt(1 - 0.9**2) * draw.standard_normal((steps, 2)), 0.9)
    starts = draw.uniform(size=(steps, 2)) < np.where(later, 0.04, 0.01)
    bursts = _smooth(starts * draw.gamma(2, 0.8, (steps, 2)), 0.7)
    day = 0.6 * np.sin(2 * np.pi * t / DAY - np.array([0, 0.5]))
    rate = np.exp(day + 0.25 * np.sin(2 * np.pi * t / (7 * DAY)) + a) + bursts
    noise = np.where(later, 0.5, 0.25) * draw.standard_normal((steps, 2))
    cpu = (0.6 * rate + 0.3 * np.concatenate([rate[:1], rate[:-1]])) * np.exp(noise)
    rho = np.minimum(0.95, cpu / 5)
    load = _smooth(0.3 * rho / (1 - rho), 0.7)
    wobble = np.exp([0.1, 0.3, 0.1, 0.1] * draw.standard_normal((steps, 4)))
    memory, constant = draw.standard_normal((2, steps))
    columns = {
        "rate A": rate[:, 0],
        "rate B": rate[:, 1],
        "CPU A": cpu[:, 0],
        "CPU B": cpu[:, 1],
        "network": rate.sum(axis=1) * wobble[:, 0],
        "disk": wobble[:, 1],
        "memory": 0.02 * memory.cumsum(),
        "constant": 1 + 1e-3 * constant,
        "load A": load[:, 0],
        "latency": wobble[:, 2] / (1 - rho[:, 0]),
        "utilisation": wobble[:, 3] * rho[:, 0],
        "load B": load[:, 1],
    }
    return to_device(np.stack([columns[name] for name in INDICATORS], axis=1))


def clock(steps: int, period: int = DAY) -> Array:
    """Return the sine and the cosine of the time of day of each step, shape (steps, 2).

    Parameters
    ----------
    steps, period : int
        How many steps, from midnight, and how many a day has.

    Raises
    ------
    ValueError
        If an argument is no positive integer.
    """
    steps = check_integer("steps", steps, at_least=1)
    period = check_integer("period", period, at_least=1)
    xp = backend()
    angle = 2 * math.pi / period * xp.arange(steps, dtype=xp.float64)[:, None]
    return xp.concat([xp.sin(angle), xp.cos(angle)], axis=1)


def lagged(X: Array, width: int, first: int) -> Array:
    """Return the windows X[t-width:t] for t = first, first + 1, ..., up to the end.

    Parameters
    ----------
    X : array, shape (n, N)
        A trace.
    width : int
        Steps of a window.
    first : int
        The step that follows the first window, from `width` to n - 1.

    Returns
    -------
    array, shape (n - first, N, width)
        A window for each step from `first` on, which it does not contain.

    Raises
    ------
    ValueError
        If X is no finite matrix, or an integer is out of its range.
    """
    X = check_array("X", X, ndim=2)
    width = check_integer("width", width, at_least=1)
    n, xp = X.shape[0], namespace(X)
    first = check_integer("first", first, at_least=width)
    if first >= n:
        raise ValueError(f"first must be below the number of steps, {n}, got {first}")
    return xp.stack([X[first - width + k : n - width + k, :] for k in range(width)], axis=2)


def ridge_forecast(X: Array, n_train: int, lags: int = 6, ridge: float = 0.1) -> Array:
    """Forecast each step of a trace from the steps before and the time of day, by ridge regression.

    Parameters
    ----------
    X : array, shape (n, N)
        A trace that begins at midnight, with `DAY` steps a day.
    n_train : int
        The regression is fitted to the first so many steps.
    lags : int
        How many steps before each it sees, of all indicators.
    ridge : float
        Weight of the squared coefficients, the intercept's among them; positive.

    Returns
    -------
    array, shape (n, N)
        The forecasts one step ahead.  The first `lags` steps have none and are returned as they
        are.

    Raises
    ------
    ValueError
        If X is no finite matrix, or a number is out of its range.
    """
    X = check_array("X", X, ndim=2)
    n, xp = X.shape[0], namespace(X)
    lags = check_integer("lags", lags, at_least=1)
    n_train = check_integer("n_train", n_train, at_least=lags + 1)
    if n_train >= n:
        raise ValueError(f"n_train must be below the number of steps, {n}, got {n_train}")
    ridge = check_scalar("ridge", ridge, above=0)
    past = xp.reshape(lagged(X, lags, lags), (n - lags, -1))
    hour = xp.asarray(clock(n)[lags:, :], dtype=X.dtype)
    A = xp.concat([past, hour, xp.ones((n - lags, 1), dtype=X.dtype)], axis=1)
    known, target = A[: n_train - lags, :], X[lags:n_train, :]
    gram = xp.matrix_transpose(known) @ known + ridge * xp.eye(A.shape[1], dtype=X.dtype)
    weights = xp.linalg.solve(gram, xp.matrix_transpose(known) @ target)
    return xp.concat([X[:lags, :], A @ weights])
