r"""Covariances of infinitely wide neural networks: Gaussian process and tangent kernel."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from array_api_compat import is_cupy_array

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.gp.covariances import Covariance, Pullback, as_points
from gaussbook.validation import check_choice, check_integer, check_scalar

__all__ = ["NeuralNetwork", "erf"]

# In single precision erf x = tanh(x p(x^2)): the polynomial of least largest relative error in
# erf, 1e-7, for x from 0 to 3.95; beyond, erf differs from 1 by less than a rounding.
_SATURATED = 4.2
_SERIES = (
    1.128379225730896,
    0.10276905447244644,
    -0.00019183197582606226,
    -0.000619783706497401,
    8.763700316194445e-05,
    -5.668426638294477e-06,
    1.4184961116825434e-07,
)


def erf(x: Array) -> Array:
    r"""Return the error function :math:`\frac{2}{\sqrt\pi}\int_0^x e^{-t^2}dt` of each entry.

    The array API standard has no such function; finite networks with that activation need it.

    Parameters
    ----------
    x : array of floats
        Points, e.g. pre-activations.

    Returns
    -------
    array, shape of `x`
        Values in [-1, 1]: by CuPy on a GPU; on the host by SciPy in double precision, and in
        single precision to three roundings, by a polynomial and a hyperbolic tangent, which takes
        a fifth of SciPy's time.
    """
    xp = namespace(x)
    if is_cupy_array(x):
        from cupyx.scipy import special

        return special.erf(x)
    if x.dtype == xp.float32:
        return _erf_single(x)
    from scipy import special

    return xp.asarray(special.erf(to_host(x)))


def _erf_single(x: Array) -> Array:
    """Return erf of single precision."""
    xp = namespace(x)
    x = xp.clip(x, -_SATURATED, _SATURATED)
    y = x * x
    p = y * _SERIES[-1]
    for coefficient in _SERIES[-2:0:-1]:
        p += coefficient
        p *= y
    p += _SERIES[0]
    p *= x
    return xp.tanh(p)


class _Moments(NamedTuple):
    """Second moments of the pre-activations of one layer, or derivatives of these."""

    cross: Array  # (n, m), between the two sets of points
    left: Array  # (n, 1), of the first set
    right: Array  # (1, m), of the second set


class _Slopes(NamedTuple):
    """Derivatives of an activation's moments by the moments that enter it."""

    cross: Array  # of the cross moment by itself ...
    by_left: Array  # ... and by the two variances, (n, m)
    by_right: Array
    left: Array  # of each variance by itself, (n, 1) and (1, m)
    right: Array


class NeuralNetwork(Covariance):
    r"""The Gaussian process of a random network whose layers are infinitely wide (NNGP).

    From :math:`K = b^2 + w^2 x^\top y/d` on, each of `depth` hidden layers maps :math:`K` to
    :math:`\Psi(K) = \mathbb E\,\phi(u)\phi(v)`, :math:`(u, v) \sim N(0, K)`, and on to
    :math:`b^2 + w^2 \Psi(K)`; the read-out has no bias: :math:`k = \sigma^2\,\Psi(K)`.  For the
    error function :math:`\Psi = \frac2\pi\arcsin\frac{2K_{xy}}{\sqrt{(1+2K_{xx})(1+2K_{yy})}}`
    (Williams, 1997); for ReLU, with :math:`\cos\theta = K_{xy}/\sqrt{K_{xx}K_{yy}}`,
    :math:`\Psi = \frac{\sqrt{K_{xx}K_{yy}}}{2\pi}(\sin\theta + (\pi-\theta)\cos\theta)` (the
    arc-cosine kernel of Cho and Saul, 2009).

    Parameters
    ----------
    depth : int
        Number of hidden layers.
    activation : {"relu", "erf"}
        The nonlinearity :math:`\phi`.
    variance, weight_variance, bias_variance : float
        :math:`\sigma^2`, :math:`w^2` and :math:`b^2`.

    Raises
    ------
    ValueError
        If `depth` is less than 1 or a variance is not positive.
    """

    def __init__(
        self,
        depth: int = 1,
        activation: str = "relu",
        variance: float = 1.0,
        weight_variance: float = 1.0,
        bias_variance: float = 1.0,
    ):
        self.depth = check_integer("depth", depth, at_least=1)
        self.activation = check_choice("activation", activation, ("relu", "erf"))
        values = {
            "variance": variance,
            "weight variance": weight_variance,
            "bias variance": bias_variance,
        }
        values = {k: check_scalar(k.replace(" ", "_"), v, above=0) for k, v in values.items()}
        super().__init__([math.log(v) for v in values.values()], [f"log {k}" for k in values])

    def tangent(self, x: Array, y: Array | None = None) -> Array:
        r"""Return the neural tangent kernel: that of training all layers by gradient descent.

        .. math:: \Theta \leftarrow b^2 + w^2 \Psi(K) + w^2\,\frac{\partial\Psi}{\partial K_{xy}}
                  \Theta, \qquad \Theta = K \text{ at the input},

        and at the read-out the same with :math:`\sigma^2` for :math:`w^2` and without bias
        (Jacot, Gabriel and Hongler, 2018).

        Parameters
        ----------
        x : array, shape (n, d) or (n,)
            Points.
        y : array, shape (m, d) or (m,), optional
            Other points; `x` itself if not given.

        Returns
        -------
        array, shape (n, m)
            The tangent kernel.
        """
        variance, weight, bias = (math.exp(v) for v in self.theta)
        K = self._input(*as_points(x, y), weight, bias)
        theta = K.cross
        for layer in range(self.depth):
            last = layer == self.depth - 1
            gain, offset = (variance, 0.0) if last else (weight, bias)
            psi, slope = self._activate(K)
            K = _Moments(*(offset + gain * p for p in psi))
            theta = K.cross + gain * slope.cross * theta
        return theta

    def _evaluate(self, x: Array, y: Array | None) -> Array:
        return self._propagate(x, y, gradients=False)[0].cross

    def _variances(self, x: Array) -> Array:
        return self._variances_vjp(x)[0]

    def _vjp(self, x: Array, y: Array | None) -> tuple[Array, Pullback]:
        K, tangents = self._propagate(x, y, gradients=True)
        xp = namespace(x)
        return K.cross, lambda M: np.array([float(xp.sum(M * t.cross)) for t in tangents])

    def _variances_vjp(self, x: Array) -> tuple[Array, Pullback]:
        # A matrix of one column would do all the work: only its left moments are looked at.
        K, tangents = self._propagate(x, x[:1, :], gradients=True)
        xp = namespace(x)
        return K.left[:, 0], lambda m: np.array([float(xp.sum(m * t.left[:, 0])) for t in tangents])

    def _input(self, x: Array, y: Array | None, weight: float, bias: float) -> _Moments:
        xp = namespace(x)
        other = x if y is None else y
        scale = weight / x.shape[1]
        return _Moments(
            bias + scale * (x @ xp.matrix_transpose(other)),
            bias + scale * xp.sum(x * x, axis=1)[:, None],
            bias + scale * xp.sum(other * other, axis=1)[None, :],
        )

    def _propagate(
        self, x: Array, y: Array | None, gradients: bool
    ) -> tuple[_Moments, list[_Moments]]:
        """Carry the moments and their derivatives by the hyper-parameters through the layers."""
        variance, weight, bias = (math.exp(v) for v in self.theta)
        K = self._input(x, y, weight, bias)
        xp = namespace(x)
        by_weight = _Moments(*(k - bias for k in K))
        by_bias = _Moments(*(xp.full_like(k, bias) for k in K))
        for layer in range(self.depth):
            last = layer == self.depth - 1
            gain, offset = (variance, 0.0) if last else (weight, bias)
            psi, slope = self._activate(K)
            if gradients:
                by_weight, by_bias = (_push(slope, t, gain) for t in (by_weight, by_bias))
                if not last:
                    by_weight = _Moments(
                        *(t + gain * p for t, p in zip(by_weight, psi, strict=True))
                    )
                    by_bias = _Moments(*(t + offset for t in by_bias))
            K = _Moments(*(offset + gain * p for p in psi))
        return K, [K, by_weight, by_bias]

    def _activate(self, K: _Moments) -> tuple[_Moments, _Slopes]:
        """Return Psi(K) and its derivatives."""
        xp = namespace(K.cross)
        if self.activation == "erf":
            p, q = 1 + 2 * K.left, 1 + 2 * K.right
            root = xp.sqrt(p * q)
            u = _unit(2 * K.cross / root)
            rate = 2 / math.pi / xp.sqrt((1 - u) * (1 + u))
            psi = [2 / math.pi * xp.asin(v) for v in (u, 1 - 1 / p, 1 - 1 / q)]
            own = [4 / math.pi / (v * xp.sqrt(2 * v - 1)) for v in (p, q)]
            return _Moments(*psi), _Slopes(2 * rate / root, -rate * u / p, -rate * u / q, *own)
        product = xp.sqrt(K.left * K.right)
        cosine = _unit(K.cross / product)
        angle, sine = xp.acos(cosine), xp.sqrt((1 - cosine) * (1 + cosine))
        open_angle = (math.pi - angle) / (2 * math.pi)
        psi = product * (sine / (2 * math.pi) + open_angle * cosine)
        quarter = sine / (4 * math.pi)
        ratio = xp.sqrt(K.right / K.left)
        return (
            _Moments(psi, K.left / 2, K.right / 2),
            _Slopes(
                open_angle,
                quarter * ratio,
                quarter / ratio,
                xp.full_like(K.left, 0.5),
                xp.full_like(K.right, 0.5),
            ),
        )


def _push(slope: _Slopes, t: _Moments, gain: float) -> _Moments:
    """Apply the chain rule to a tangent, through one activation and the gain behind it."""
    cross = slope.cross * t.cross + slope.by_left * t.left + slope.by_right * t.right
    return _Moments(gain * cross, gain * slope.left * t.left, gain * slope.right * t.right)


def _unit(cosine: Array) -> Array:
    """Return a cosine without the rounding that carries it beyond one."""
    xp = namespace(cosine)
    return xp.where(cosine > 1, 1.0, xp.where(cosine < -1, -1.0, cosine))
