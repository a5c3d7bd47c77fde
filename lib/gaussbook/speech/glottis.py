r"""The voice's source: glottal pulses of Liljencrants and Fant, and how to find them in speech."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from gaussbook.arrays import Array, namespace
from gaussbook.speech.prediction import inverse_filter, linear_prediction
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["GlottalPulse", "glottal_separation"]

_LARGEST_GROWTH = 200.0  # where the search for the growth rate ends, per period
_LEAK = 0.99


class GlottalPulse:
    r"""Derivative of the air flow through the glottis in one period (the LF model).

    .. math::
        E(t)=\begin{cases}E_0e^{\alpha t}\sin\omega_gt&t\le t_e\\[2pt]
        -\frac{1}{\varepsilon T_a}\bigl(e^{-\varepsilon(t-t_e)}-e^{-\varepsilon(1-t_e)}\bigr)
        &t_e<t\le1\end{cases}

    in units of the period, and of the largest negative slope, :math:`E(t_e)=-1`.  The return
    phase is continuous at :math:`t_e`, and the flow is back at zero after a period.

    Parameters
    ----------
    shape : float
        :math:`R_d` from 0.4 (pressed) to 2.7 (breathy), which sets the three times by Fant's
        regression (1995): :math:`R_a=(-1+4.8R_d)/100`, :math:`R_k=(22.4+11.8R_d)/100` and
        :math:`R_g=R_k/\bigl[4\bigl(\frac{0.11R_d}{0.5+1.2R_k}-R_a\bigr)\bigr]`.

    Attributes
    ----------
    peak, closure, return_time : float
        :math:`t_p=1/2R_g` (largest flow), :math:`t_e=t_p(1+R_k)` and :math:`T_a=R_a`, periods.
    growth, decay, amplitude : float
        :math:`\alpha`, :math:`\varepsilon` and :math:`E_0`.

    Raises
    ------
    ValueError
        If the shape is out of its range.
    """

    def __init__(self, shape: float):
        shape = check_scalar("shape", shape, at_least=0.4, at_most=2.7)
        R_a, R_k = (-1 + 4.8 * shape) / 100, (22.4 + 11.8 * shape) / 100
        R_g = R_k / (4 * (0.11 * shape / (0.5 + 1.2 * R_k) - R_a))
        self.peak = 1 / (2 * R_g)
        self.closure = self.peak * (1 + R_k)
        self.return_time = R_a
        self.decay = self._find_decay()
        self.growth = self._find_growth()
        sine = math.sin(math.pi * self.closure / self.peak)
        self.amplitude = -math.exp(-self.growth * self.closure) / sine

    def _find_decay(self) -> float:
        """Solve eps T_a = 1 - exp(-eps (1 - t_e)), which has one root beside zero."""
        rest = 1 - self.closure

        def excess(decay: float) -> float:
            return decay * self.return_time + math.expm1(-decay * rest)

        top = 2 / self.return_time
        bottom = top / 4
        while excess(bottom) >= 0:
            bottom /= 2
        return brentq(excess, bottom, top, xtol=1e-13, rtol=1e-14)

    def _find_growth(self) -> float:
        """Solve for no net flow; both parts of the integral are in closed form, E(t_e) = -1."""
        omega, rest = math.pi / self.peak, 1 - self.closure
        angle = omega * self.closure
        share = -math.expm1(-self.decay * rest)  # epsilon T_a
        closing = (share / self.decay - rest * math.exp(-self.decay * rest)) / share

        def flow(growth: float) -> float:
            wave = growth * math.sin(angle) - omega * math.cos(angle)
            wave += omega * math.exp(-growth * self.closure)
            return -wave / (math.sin(angle) * (growth**2 + omega**2)) - closing

        # The opening phase brings the less, the faster it grows: one change of sign from 0 upward.
        return brentq(flow, 0.0, _LARGEST_GROWTH, xtol=1e-12, rtol=1e-14)

    def __call__(self, time: Array) -> Array:
        """Return the derivative of the flow at times in periods (any; the pulse repeats).

        Parameters
        ----------
        time : array
            Times.

        Returns
        -------
        array
            The pulse, in units of its largest negative value.
        """
        time = check_array("time", time)
        xp = namespace(time)
        t = time - xp.floor(time)
        opening = xp.minimum(t, xp.full_like(t, self.closure))
        growing = self.amplitude * xp.exp(self.growth * opening)
        wave = growing * xp.sin(math.pi / self.peak * opening)
        share = self.decay * self.return_time
        end = math.exp(-self.decay * (1 - self.closure))
        back = -(xp.exp(-self.decay * (t - opening)) - end) / share
        return xp.where(t <= self.closure, wave, back)


def glottal_separation(
    frames: Array, window: Array, order: int, glottal_order: int = 4
) -> tuple[Array, Array]:
    r"""Split frames of speech into vocal tract and glottal excitation.

    Iterative adaptive inverse filtering (Alku 1992) in two rounds: (1) a predictor of order 1
    stands for the tilt of the source, and is filtered out; (2) a predictor of order p of what is
    left is the first tract; the speech through its inverse, integrated, is the first flow; (3) a
    predictor of the flow is the model of the glottis, and is filtered out of the speech; (4) a
    predictor of order p of the integral of what is left is the tract.

    Parameters
    ----------
    frames : array, shape (n, length)
        Frames of speech, not windowed.
    window : array, shape (length,)
        Weights of the samples whenever a predictor is fitted.
    order : int
        Order p of the tract.
    glottal_order : int
        Order of the model of the glottis.

    Returns
    -------
    tract : array, shape (n, order + 1)
        The polynomials of the tract.
    excitation : array, shape (n, length)
        The frames through the tract's inverse: the derivative of the glottal flow.

    Raises
    ------
    ValueError
        If a frame is silent or an argument does not fit.
    """
    frames = check_array("frames", frames, ndim=2)
    length = frames.shape[1]
    window = check_array("window", window, shape=(length,))
    order = check_integer("order", order, at_least=1, at_most=length - 1)
    glottal_order = check_integer("glottal_order", glottal_order, at_least=1, at_most=length - 1)
    xp = namespace(frames, window)
    # The leaky integrator as a matrix: sums of all samples before, with weights 0.99^lag.
    lag = np.arange(length)[None, :] - np.arange(length)[:, None]
    integrator = xp.asarray(np.where(lag >= 0, _LEAK ** np.maximum(lag, 0), 0.0))

    def fit(signal: Array, order: int) -> Array:
        return linear_prediction(signal * window, order)

    tract = fit(inverse_filter(frames, fit(frames, 1)), order)
    flow = inverse_filter(frames, tract) @ integrator
    glottis = fit(flow, glottal_order)
    tract = fit(inverse_filter(frames, glottis) @ integrator, order)
    return tract, inverse_filter(frames, tract)
