"""Made-up traces of a cloud service, for what is decided under a forecast."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter

from gaussbook.arrays import Array, Generator, to_device
from gaussbook.validation import check_integer

__all__ = ["DAY", "INDICATORS", "service_trace"]

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
