r"""What a pixel sees of a projected Gaussian: the plug-ins of the renderer.

An alpha model turns a projected Gaussian (mean :math:`m`, covariance :math:`\Sigma'`, opacity
:math:`o`) into the opacity :math:`\alpha` of each pixel.  It has three methods: `prepare` computes
what all pixels of a Gaussian share, and the ellipse outside which :math:`\alpha` is below the
cut-off; `evaluate` computes :math:`\alpha` for all pairs; `sums` and `finish` the gradients.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from gaussbook.arrays import Array, namespace
from gaussbook.autodiff.activations import sigmoid, sigmoid_and_slope
from gaussbook.splatting.pairs import Pairs
from gaussbook.validation import check_scalar

__all__ = [
    "AlphaModel",
    "Analytic",
    "Footprints",
    "Mip",
    "Point",
    "logistic_cdf",
]


@dataclass(frozen=True, eq=False)
class Footprints:
    """What a model knows of each Gaussian before it sees a pixel.

    Attributes
    ----------
    reach : array, shape (N, 3) or None
        Entries xx, xy, yy of the matrix K, in square pixels: where ``d @ inv(K) @ d > 1`` the
        opacity is below the cut-off.  None if there is no cut-off.
    drawn : array of bool, shape (N,)
        Whether the Gaussian reaches the cut-off anywhere.
    parameters : tuple of array
        The model's own numbers; the first axis of each is that of the Gaussians.
    """

    reach: Array | None
    drawn: Array
    parameters: tuple[Array, ...]

    def take(self, index: Array) -> Footprints:
        """Return the footprints of the Gaussians `index`, in that order."""
        xp = namespace(index)
        pick = [xp.take(a, index, axis=0) for a in (self.drawn, *self.parameters)]
        reach = None if self.reach is None else xp.take(self.reach, index, axis=0)
        return Footprints(reach, pick[0], tuple(pick[1:]))


class AlphaModel(ABC):
    """The interface of all models.  Models are immutable and know nothing of a view.

    Attributes
    ----------
    kernel : str or None
        Name of the model in ``kernels/splatting.cu``; None if it has no kernel there.
    """

    kernel: ClassVar[str | None] = None

    @abstractmethod
    def prepare(self, covariances: Array, opacities: Array, cutoff: float) -> Footprints:
        """Return the footprints of Gaussians.

        Parameters
        ----------
        covariances : array, shape (N, 3)
            Entries xx, xy, yy of the projected covariance, in square pixels.
        opacities : array, shape (N,)
            In [0, 1].
        cutoff : float
            Smallest opacity that counts; 0 for none.

        Returns
        -------
        Footprints
        """

    @abstractmethod
    def evaluate(self, footprints: Footprints, pairs: Pairs) -> Array:
        """Return the opacity, before it is capped, of each pair: shape (M,)."""

    @abstractmethod
    def sums(self, footprints: Footprints, pairs: Pairs, alpha: Array, grad: Array) -> Array:
        """Return the sums over pixels that the gradients of a Gaussian are made of.

        Parameters
        ----------
        footprints, pairs
            As in `evaluate`.
        alpha : array, shape (M,)
            What `evaluate` returned.
        grad : array, shape (M,)
            Gradient with respect to it.

        Returns
        -------
        array, shape (V, 6)
        """

    @abstractmethod
    def finish(self, footprints: Footprints, sums: Array) -> tuple[Array, Array, Array]:
        """Return the gradients with respect to means (V, 2), covariances (V, 3), opacities (V,).

        Parameters
        ----------
        footprints : Footprints
            Of the V Gaussians.
        sums : array, shape (V, 6)
            From `sums`, or from the model's kernel.
        """

    def record(self, footprints: Footprints) -> Array:
        """Return what the model's kernel reads of each Gaussian: at most five numbers."""
        raise NotImplementedError


@dataclass(frozen=True)
class Point(AlphaModel):
    r"""The Gaussian at the pixel's centre, after a dilation by :math:`\epsilon`.

    .. math::
        \alpha = o\,e^{-\frac12 d^T Q d}, \qquad Q = (\Sigma' + \epsilon I)^{-1}

    (Kerbl et al., 2023, with :math:`\epsilon = 0.3`).  With `compensate`, :math:`o` is multiplied
    by :math:`\sqrt{\max(0, \det\Sigma')/\det(\Sigma'+\epsilon I)}`, which keeps the mass.

    Parameters
    ----------
    dilation : float
        :math:`\epsilon`, in square pixels.
    compensate : bool
        Whether to keep the mass.
    """

    dilation: float = 0.3
    compensate: bool = False
    kernel: ClassVar[str] = "point"

    def __post_init__(self):
        object.__setattr__(self, "dilation", check_scalar("dilation", self.dilation, at_least=0))

    def prepare(self, covariances: Array, opacities: Array, cutoff: float) -> Footprints:
        """See `AlphaModel.prepare`."""
        xp = namespace(covariances)
        A, B, D = (covariances[:, i] for i in range(3))
        dilated_A, dilated_D = A + self.dilation, D + self.dilation
        determinant = dilated_A * dilated_D - B * B
        proper = determinant > 0
        determinant = xp.where(proper, determinant, xp.ones_like(determinant))
        conic = xp.stack([dilated_D, -B, dilated_A], axis=-1) / determinant[:, None]
        factor = xp.ones_like(A)
        if self.compensate:
            factor = xp.sqrt(xp.maximum(A * D - B * B, 0.0) / determinant)
        strength = opacities * factor
        drawn, reach = proper & (strength > 0), None
        if cutoff > 0:
            drawn = proper & (strength >= cutoff)
            level = 2 * xp.log(xp.where(drawn, strength, xp.ones_like(strength)) / cutoff)
            reach = xp.stack([dilated_A, B, dilated_D], axis=-1) * level[:, None]
        undilated = (A, B, D) if self.compensate else ()
        return Footprints(reach, drawn, (conic, strength, opacities, *undilated))

    def evaluate(self, footprints: Footprints, pairs: Pairs) -> Array:
        """See `AlphaModel.evaluate`."""
        conic, strength = footprints.parameters[:2]
        xp = namespace(conic)
        # On a row, log alpha is a quadratic function of the column.
        a, b, c = (pairs.on_rows(conic[:, i]) for i in range(3))
        level = pairs.on_rows(xp.log(strength)) - 0.5 * c * pairs.dy**2
        power = pairs.spread(-0.5 * a)
        power *= pairs.dx
        power -= pairs.spread(b * pairs.dy)
        power *= pairs.dx
        power += pairs.spread(level)
        return xp.exp(power)

    def sums(self, footprints: Footprints, pairs: Pairs, alpha: Array, grad: Array) -> Array:
        r"""See `AlphaModel.sums`: the moments of :math:`h = \alpha\gamma` about the mean."""
        xp = namespace(grad)
        h = alpha * grad
        row = [pairs.sum_rows(h)]
        for _ in range(2):
            h *= pairs.dx
            row.append(pairs.sum_rows(h))
        dy = pairs.dy
        moments = xp.stack([*row, row[0] * dy, row[1] * dy, row[0] * dy**2], axis=-1)
        return pairs.sum_gaussians(moments)

    def record(self, footprints: Footprints) -> Array:
        """See `AlphaModel.record`."""
        conic, strength = footprints.parameters[:2]
        return namespace(conic).concat([conic, strength[:, None]], axis=1)

    def finish(self, footprints: Footprints, sums: Array) -> tuple[Array, Array, Array]:
        r"""See `AlphaModel.finish`.

        With :math:`d = p - m`, they are :math:`Q\sum h d`, :math:`\frac12 Q \sum h dd^T Q`
        and :math:`\sum h / o`.
        """
        conic, _, opacities, *undilated = footprints.parameters
        xp = namespace(sums)
        S, Sx, Sxx, Sy, Sxy, Syy = (sums[:, i] for i in range(6))
        a, b, c = (conic[:, i] for i in range(3))
        grad_points = xp.stack([a * Sx + b * Sy, b * Sx + c * Sy], axis=-1)
        # rows of S Q, then Q S Q
        p, q, r, s = a * Sxx + b * Sxy, b * Sxx + c * Sxy, a * Sxy + b * Syy, b * Sxy + c * Syy
        xx, xy, yy = 0.5 * (a * p + b * r), a * q + b * s, 0.5 * (b * q + c * s)
        if self.compensate:
            # d factor = factor/2 tr((Sigma'^-1 - Q) dSigma')
            A, B, D = undilated
            determinant = A * D - B * B
            regular = determinant > 0
            scale = 0.5 * S * xp.astype(regular, S.dtype)
            determinant = xp.where(regular, determinant, xp.ones_like(determinant))
            xx = xx + scale * (D / determinant - a)
            xy = xy + 2 * scale * (-B / determinant - b)
            yy = yy + scale * (A / determinant - c)
        return grad_points, xp.stack([xx, xy, yy], axis=-1), S / opacities


def Mip(dilation: float = 0.1) -> Point:
    r"""Return the screen filter of Mip-Splatting: a dilation that keeps the mass.

    Parameters
    ----------
    dilation : float
        Variance of the filter, in square pixels.

    Returns
    -------
    Point
        ``Point(dilation, compensate=True)`` (Yu et al., 2024).
    """
    return Point(dilation, compensate=True)


def logistic_cdf(x: Array) -> Array:
    r"""Return :math:`S(x) = 1/(1+e^{-1.6x-0.07x^3})`, which nearly is the normal distribution."""
    return sigmoid(x * (1.6 + 0.07 * x * x))


# S'(x) <= 1.011 times the normal density, so that with the mean value theorem
# alpha <= _PEAK * o * exp(-r^2 / 2), r being the distance, in standard deviations, of the window.
_PEAK = 1.011**2
_HALF_DIAGONAL = math.sqrt(0.5)
_SMALLEST_EIGENVALUE = 1e-8


@dataclass(frozen=True)
class Analytic(AlphaModel):
    r"""The integral of the Gaussian over a pixel-sized window turned into its eigenframe.

    .. math::
        \alpha = o\,I, \quad I = 2\pi I_1 I_2, \quad
        I_1 = \sigma_1\Bigl[S\bigl(\tfrac{u+1/2}{\sigma_1}\bigr)
              - S\bigl(\tfrac{u-1/2}{\sigma_1}\bigr)\Bigr], \quad
        S(x) = \frac{1}{1+e^{-1.6x-0.07x^3}}

    with :math:`u = v_1\cdot(p - m)`, and :math:`I_2` likewise along :math:`v_2` (Liang et al.,
    2024).  There is no dilation.

    Parameters
    ----------
    damping : float
        The value of the turned window depends a little on the frame, which a nearly isotropic
        Gaussian does not have: the gradient of the angle, which contains
        :math:`1/\Delta` with :math:`\Delta = \lambda_1-\lambda_2`, uses
        :math:`\Delta/(\Delta^2+\delta^2)` instead, where :math:`\delta` is `damping` times
        :math:`\lambda_1`.
    """

    damping: float = 0.02
    kernel: ClassVar[str] = "analytic"

    def __post_init__(self):
        object.__setattr__(self, "damping", check_scalar("damping", self.damping, at_least=0))

    def prepare(self, covariances: Array, opacities: Array, cutoff: float) -> Footprints:
        """See `AlphaModel.prepare`."""
        xp = namespace(covariances)
        A, B, D = (covariances[:, i] for i in range(3))
        radius = xp.sqrt((A - D) ** 2 / 4 + B * B)
        larger, smaller = (A + D) / 2 + radius, (A + D) / 2 - radius
        eigenvalues = xp.stack([larger, smaller], axis=-1)
        free = xp.astype(eigenvalues > _SMALLEST_EIGENVALUE, A.dtype)  # where it is not clamped
        larger = xp.maximum(larger, _SMALLEST_EIGENVALUE)
        smaller = xp.maximum(smaller, _SMALLEST_EIGENVALUE)
        angle = 0.5 * xp.atan2(2 * B, A - D)  # branch-free: no eigenvector vanishes
        mass = 2 * math.pi * xp.sqrt(larger * smaller)
        peak = opacities * xp.minimum(mass, _PEAK)
        drawn, reach = peak > 0, None
        if cutoff > 0:
            drawn = peak >= cutoff
            level = 2 * xp.log(xp.where(drawn, _PEAK * opacities, xp.ones_like(peak)) / cutoff)
            reach = _widened(covariances, xp.maximum(level, 0.0))
        parameters = (xp.cos(angle), xp.sin(angle), xp.sqrt(larger), xp.sqrt(smaller))
        return Footprints(reach, drawn, (*parameters, opacities, free))

    def _frame(self, footprints: Footprints, pairs: Pairs) -> tuple[Array, ...]:
        """Return u, v and the scaled edges of the window of each pair."""
        cos, sin, sigma1, sigma2 = footprints.parameters[:4]
        dx = pairs.dx
        cos_r, sin_r = pairs.on_rows(cos), pairs.on_rows(sin)
        u = pairs.spread(cos_r) * dx + pairs.spread(sin_r * pairs.dy)
        v = pairs.spread(cos_r * pairs.dy) - pairs.spread(sin_r) * dx
        inverse1, inverse2 = pairs.spread_gaussians(1 / sigma1), pairs.spread_gaussians(1 / sigma2)
        edges = ((u + 0.5) * inverse1, (u - 0.5) * inverse1)
        return u, v, *edges, (v + 0.5) * inverse2, (v - 0.5) * inverse2

    def evaluate(self, footprints: Footprints, pairs: Pairs) -> Array:
        """See `AlphaModel.evaluate`."""
        _, _, sigma1, sigma2, opacities, _ = footprints.parameters
        _, _, right, left, top, bottom = self._frame(footprints, pairs)
        alpha = logistic_cdf(right) - logistic_cdf(left)
        alpha *= logistic_cdf(top) - logistic_cdf(bottom)
        return alpha * pairs.spread_gaussians(2 * math.pi * opacities * sigma1 * sigma2)

    def sums(self, footprints: Footprints, pairs: Pairs, alpha: Array, grad: Array) -> Array:
        """See `AlphaModel.sums`."""
        _, _, sigma1, sigma2, opacities, _ = footprints.parameters
        xp = namespace(grad)
        u, v, right, left, top, bottom = self._frame(footprints, pairs)
        (across, sr, sl), (along, st, sb) = _window(right, left), _window(top, bottom)
        gu = grad * along * (sr - sl)
        gv = grad * across * (st - sb)
        g1 = grad * along * (across - right * sr + left * sl)
        g2 = grad * across * (along - top * st + bottom * sb)
        scale1, scale2 = (2 * math.pi * opacities * s for s in (sigma2, sigma1))
        turn = v * gu * pairs.spread_gaussians(scale1) - u * gv * pairs.spread_gaussians(scale2)
        rows = [pairs.sum_rows(x) for x in (gu, gv, g1, g2, turn, grad * alpha)]
        return pairs.sum_gaussians(xp.stack(rows, axis=-1))

    def record(self, footprints: Footprints) -> Array:
        """See `AlphaModel.record`."""
        return namespace(footprints.drawn).stack(list(footprints.parameters[:5]), axis=-1)

    def finish(self, footprints: Footprints, sums: Array) -> tuple[Array, Array, Array]:
        r"""See `AlphaModel.finish`.

        In the eigenframe :math:`dI = \mathrm{tr}(V E V^T d\Sigma')` with
        :math:`E_{kk} = I_{\sigma_k}/2\sigma_k` and
        :math:`E_{12} = (v I_u - u I_v)/2(\lambda_1-\lambda_2)`.
        """
        cos, sin, sigma1, sigma2, opacities, free = footprints.parameters
        xp = namespace(sums)
        scale1, scale2 = (2 * math.pi * opacities * s for s in (sigma2, sigma1))
        gu, gv, g1, g2, turn, total = (sums[:, i] for i in range(6))
        gu, gv, g1, g2 = gu * scale1, gv * scale2, g1 * scale1, g2 * scale2
        grad_points = xp.stack([sin * gv - cos * gu, -sin * gu - cos * gv], axis=-1)
        E11, E22 = free[:, 0] * g1 / (2 * sigma1), free[:, 1] * g2 / (2 * sigma2)
        gap = sigma1**2 - sigma2**2
        damped = gap**2 + (self.damping * sigma1**2) ** 2
        E12 = 0.5 * turn * gap / xp.where(damped > 0, damped, xp.ones_like(damped))
        cc, ss, cs = cos * cos, sin * sin, cos * sin
        xx = cc * E11 + ss * E22 - 2 * cs * E12
        yy = ss * E11 + cc * E22 + 2 * cs * E12
        xy = 2 * (cs * (E11 - E22) + (cc - ss) * E12)
        return grad_points, xp.stack([xx, xy, yy], axis=-1), total / opacities


def _window(upper: Array, lower: Array) -> tuple[Array, Array, Array]:
    """Return S(upper) - S(lower), S'(upper) and S'(lower)."""
    values, densities = [], []
    for x in (upper, lower):
        squares = x * x
        value, slope = sigmoid_and_slope(x * (1.6 + 0.07 * squares))
        values.append(value)
        densities.append((1.6 + 0.21 * squares) * slope)
    return values[0] - values[1], *densities


def _widened(covariances: Array, level: Array) -> Array:
    r"""Return an ellipse around the level set and all windows that touch it.

    The sum of the ellipse :math:`\tau\Sigma'` and a disc of radius :math:`r` lies in the ellipse
    :math:`(1+1/s)\tau\Sigma' + (1+s) r^2 I` for every :math:`s > 0`.
    """
    xp = namespace(covariances)
    trace = level * (covariances[:, 0] + covariances[:, 2])
    ratio = xp.sqrt(trace / (2 * _HALF_DIAGONAL**2) + 1e-12)
    disc = (1 + ratio) * _HALF_DIAGONAL**2
    factor = level * (1 + 1 / ratio)
    A, B, D = (covariances[:, i] * factor for i in range(3))
    return xp.stack([A + disc, B, D + disc], axis=-1)
