"""Covariances of oscillating processes: periodic, and mixtures of bumps in the spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.gp.covariances import Covariance, Pullback
from gaussbook.validation import check_array, check_choice, check_scalar

__all__ = ["Periodic", "SpectralMixture"]


class Periodic(Covariance):
    r""":math:`k = \sigma^2 \exp(-2 \sum_d \sin^2(\pi (x_d - y_d)/p)/\ell^2)` (MacKay, 1998).

    Parameters
    ----------
    variance, lengthscale, period : float
        The variance :math:`\sigma^2`, the length :math:`\ell` (in half turns) and the period.

    Raises
    ------
    ValueError
        If a parameter is not positive.
    """

    def __init__(self, variance: float = 1.0, lengthscale: float = 1.0, period: float = 1.0):
        values = {"variance": variance, "lengthscale": lengthscale, "period": period}
        values = {name: check_scalar(name, v, above=0) for name, v in values.items()}
        super().__init__([math.log(v) for v in values.values()], [f"log {n}" for n in values])

    def _evaluate(self, x: Array, y: Array | None) -> Array:
        return self._vjp(x, y)[0]

    def _variances(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.full((x.shape[0],), math.exp(self.theta[0]), dtype=x.dtype)

    def _vjp(self, x: Array, y: Array | None) -> tuple[Array, Pullback]:
        xp = namespace(x)
        other = x if y is None else y
        variance, length, period = (math.exp(v) for v in self.theta)
        squares, turning = 0.0, 0.0
        for d in range(x.shape[1]):
            phase = math.pi / period * (x[:, d][:, None] - other[:, d][None, :])
            squares = squares + xp.sin(phase) ** 2
            turning = turning + phase * xp.sin(2 * phase)
        K = variance * xp.exp(-2 / length**2 * squares)

        def pullback(M: Array) -> np.ndarray:
            W = M * K
            parts = (W, 4 / length**2 * (W * squares), 2 / length**2 * (W * turning))
            return np.array([float(xp.sum(part)) for part in parts])

        return K, pullback

    def _variances_vjp(self, x: Array) -> tuple[Array, Pullback]:
        xp = namespace(x)
        variances = self._variances(x)
        return variances, lambda m: np.array([float(xp.sum(m * variances)), 0.0, 0.0])


class SpectralMixture(Covariance):
    r"""A mixture of bumps in the spectrum of a signal on a line.

    With the lag :math:`\tau = |x - y|`,

    .. math:: k = \sum_q w_q\, m(\tau; \ell_q) \cos(2\pi\mu_q\tau),

    where a bump is Gaussian, :math:`m = e^{-\ell\tau^2}`, or Student-t (heavier tails),
    :math:`m = (1 + a\tau + a^2\tau^2/3)\,e^{-a\tau}` with :math:`a = \sqrt5\,\ell`.

    Parameters
    ----------
    weights : sequence of float
        The variances :math:`w_q` of the components.
    rates : sequence of float
        :math:`\ell_q`, the widths of the bumps: *inverse* lengths (squared for Gaussian bumps).
    frequencies : sequence of float
        :math:`\mu_q`, the centres of the bumps, in cycles per unit; kept without logarithm.
    shape : {"gaussian", "student"}
        The shape of the bumps.

    Raises
    ------
    ValueError
        If the three sequences differ in length, a weight or rate is not positive, or the points
        have more than one column (use `Covariance.on` and products).
    """

    def __init__(
        self,
        weights: Sequence[float],
        rates: Sequence[float],
        frequencies: Sequence[float],
        shape: str = "gaussian",
    ):
        self.shape = check_choice("shape", shape, ("gaussian", "student"))
        weights = to_host(check_array("weights", weights, ndim=1))
        q = len(weights)
        rates = to_host(check_array("rates", rates, shape=(q,)))
        frequencies = to_host(check_array("frequencies", frequencies, shape=(q,)))
        for name, values in (("weights", weights), ("rates", rates)):
            if np.any(values <= 0):
                raise ValueError(f"{name} must be positive")
        kinds = ("log weight", "log rate", "frequency")
        super().__init__(
            np.concatenate([np.log(weights), np.log(rates), frequencies]),
            [f"{kind}[{k}]" for kind in kinds for k in range(q)],
        )

    def _components(self, lag: Array):
        """Yield each component's weight, envelope, its log-rate derivative, and phase factor."""
        xp = namespace(lag)
        log_weights, log_rates, frequencies = np.split(self.theta, 3)
        for w, rate, mu in zip(np.exp(log_weights), np.exp(log_rates), frequencies, strict=True):
            if self.shape == "gaussian":
                envelope = xp.exp(-float(rate) * lag**2)
                widening = -float(rate) * lag**2 * envelope
            else:
                a = math.sqrt(5) * float(rate) * lag
                decay = xp.exp(-a)
                envelope, widening = (1 + a + a**2 / 3) * decay, -(a**2) * (1 + a) / 3 * decay
            yield float(w), envelope, widening, 2 * math.pi * float(mu) * lag

    def _lags(self, x: Array, y: Array | None) -> Array:
        if x.shape[1] != 1:
            raise ValueError(f"x must have one column for a spectral mixture, got {x.shape[1]}")
        other = x if y is None else y
        return namespace(x).abs(x - other[:, 0][None, :])

    def _evaluate(self, x: Array, y: Array | None) -> Array:
        lag = self._lags(x, y)
        xp = namespace(lag)
        K = xp.zeros_like(lag)
        for w, envelope, _, phase in self._components(lag):
            K = K + w * envelope * xp.cos(phase)
        return K

    def _variances(self, x: Array) -> Array:
        xp = namespace(x)
        total = float(np.sum(np.exp(np.split(self.theta, 3)[0])))
        return xp.full((x.shape[0],), total, dtype=x.dtype)

    def _vjp(self, x: Array, y: Array | None) -> tuple[Array, Pullback]:
        lag = self._lags(x, y)
        xp = namespace(lag)

        def pullback(M: Array) -> np.ndarray:
            rows = []
            for w, envelope, widening, phase in self._components(lag):
                cosine, turned = M * xp.cos(phase), M * xp.sin(phase)
                by_frequency = -2 * math.pi * w * xp.sum(turned * envelope * lag)
                rows.append([w * xp.sum(cosine * envelope), w * xp.sum(cosine * widening)])
                rows[-1].append(by_frequency)
            return np.array([[float(v) for v in row] for row in rows]).T.ravel()

        return self._evaluate(x, y), pullback

    def _variances_vjp(self, x: Array) -> tuple[Array, Pullback]:
        xp = namespace(x)
        weights = np.exp(np.split(self.theta, 3)[0])
        rest = np.zeros(2 * len(weights))
        return self._variances(x), lambda m: np.concatenate([weights * float(xp.sum(m)), rest])
