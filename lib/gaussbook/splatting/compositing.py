r"""Blending along each pixel's ray, front to back, and its vector-Jacobian product.

.. math::
    C = \sum_i c_i\,\alpha_i T_i + T_\mathrm{end}\,b, \qquad
    T_1 = 1, \quad T_{i+1} = T_i (1 - \alpha_i)

All channels are blended alike: colours, the depth, anything else, and a channel of ones, whose
image is the accumulated opacity :math:`1 - T_\mathrm{end}`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gaussbook.arrays import Array, namespace
from gaussbook.splatting.alpha_models import AlphaModel, Footprints
from gaussbook.splatting.pairs import Pairs, PixelWeights, enumerate_pairs
from gaussbook.splatting.segments import offsets_of_sorted, running_sums, unsort

__all__ = ["Blend", "Limits", "composite", "composite_pullback"]


@dataclass(frozen=True)
class Limits:
    """Where blending stops.

    Attributes
    ----------
    cutoff : float
        Pairs of smaller opacity are skipped; 0 for none.
    largest : float
        Opacities are capped here; the gradient of a capped one is zero.
    stop : float
        A pixel is finished before its transmittance would fall below this; 0 for never.
    """

    cutoff: float = 1 / 255
    largest: float = 0.99
    stop: float = 1e-4


@dataclass(eq=False)
class Blend:
    """What `composite_pullback` needs.  Arrays of length M go pixel by pixel, front to back."""

    model: AlphaModel
    limits: Limits
    footprints: Footprints
    pairs: Pairs
    raw: Array  # opacities before the cap, in the order of `pairs`
    order: Array  # pixel by pixel -> the order of `pairs`
    pixel: Array
    gaussian: Array
    rest: Array  # 1 - alpha
    after: Array  # transmittance behind each pair
    weights: PixelWeights
    kept: Array | None  # None: all
    channels: Array
    left: Array  # T_end of each pixel
    background: Array


def composite(
    model: AlphaModel,
    points: Array,
    footprints: Footprints,
    channels: Array,
    background: Array,
    size: tuple[int, int],
    limits: Limits,
) -> tuple[Array, Blend]:
    """Blend Gaussians that are sorted by depth.

    Parameters
    ----------
    model : AlphaModel
        What a pixel sees of a Gaussian.
    points : array, shape (V, 2)
        Means on the image, nearest first.
    footprints : Footprints
        Of the same Gaussians.
    channels : array, shape (V, C)
        What is blended; the last channel holds ones, and becomes the accumulated opacity.
    background : array, shape (C,)
        What is seen behind all of them; the last channel holds 0.
    size : tuple of int
        Height and width.
    limits : Limits
        Cut-offs.

    Returns
    -------
    image : array, shape (H * W, C)
    blend : Blend
    """
    xp = namespace(points)
    height, width = size
    pairs = enumerate_pairs(points, footprints.reach, width, height)
    raw = model.evaluate(footprints, pairs)
    if limits.cutoff > 0:
        counts = raw >= limits.cutoff
        if not bool(xp.all(counts)):
            pairs, raw = pairs.compress(counts), raw[counts]
    # Radix sort of 16-bit numbers: linear, and stable, so that the order of depth stays.
    small = xp.uint16 if height * width <= 1 << 16 else xp.int32
    order = xp.argsort(xp.astype(pairs.pixel, small), stable=True)
    pixel = xp.take(pairs.pixel, order)
    offsets = offsets_of_sorted(pixel, height * width)
    alpha = xp.minimum(xp.take(raw, order), limits.largest)
    gaussian = xp.take(pairs.spread_gaussians(xp.arange(points.shape[0])), order)
    rest = 1 - alpha
    after, kept = _transmittance(rest, pixel, offsets, limits.stop)
    w = alpha * after
    w /= rest
    if kept is not None:
        w = xp.where(kept, w, xp.zeros_like(w))
    weights = PixelWeights(w, gaussian, offsets, order, pairs)
    sums = weights.composite(channels)
    left = 1 - sums[:, -1]
    image = sums + left[:, None] * background
    return image, Blend(
        *(model, limits, footprints, pairs, raw, order, pixel, gaussian, rest, after),
        *(weights, kept, channels, left, background),
    )


def _transmittance(
    rest: Array, pixel: Array, offsets: Array, stop: float
) -> tuple[Array, Array | None]:
    """Return the transmittance behind each pair, and which pairs come before the stop."""
    xp = namespace(rest)
    # One running sum over all pixels: in double precision, since its size is that of the image.
    running = running_sums(xp.log(xp.astype(rest, xp.float64, copy=False)), xp.float64)
    after = running[1:] - xp.take(xp.take(running, offsets[:-1]), pixel)
    after = xp.astype(xp.exp(after), rest.dtype, copy=False)
    if stop <= 0:
        return after, None
    kept = after >= stop  # falls along each ray: the pairs before the stop are a prefix
    return after, None if bool(xp.all(kept)) else kept


def composite_pullback(blend: Blend, grad: Array) -> tuple[Array, ...]:
    r"""Return the gradients of all that `composite` blended.

    .. math::
        \gamma_i = \frac{\partial L}{\partial\alpha_i}
        = T_i\,e_i - \frac{1}{1-\alpha_i}\Bigl(\sum_{j>i} e_j\alpha_j T_j
          + T_\mathrm{end}\,g\cdot b\Bigr), \qquad e_i = g\cdot c_i

    Parameters
    ----------
    blend : Blend
        From `composite`.
    grad : array, shape (H * W, C)
        Gradient :math:`g` with respect to the image.

    Returns
    -------
    grad_points : array, shape (V, 2)
    grad_covariances : array, shape (V, 3)
    grad_opacities : array, shape (V,)
    grad_channels : array, shape (V, C)
    grad_background : array, shape (C,)
    """
    xp = namespace(grad)
    w = blend.weights
    e = _products(blend, grad)
    running = running_sums(w.weights * e, xp.float64)
    total = xp.take(running, w.offsets[1:]) + blend.left * xp.matmul(grad, blend.background)
    suffix = xp.take(total, blend.pixel)
    suffix -= running[1:]
    gamma = e
    gamma *= blend.after  # T_i (1 - alpha_i)
    gamma -= xp.astype(suffix, grad.dtype, copy=False)
    gamma /= blend.rest
    # the cap as `composite` has rounded it
    free = blend.rest > 1 - xp.asarray(blend.limits.largest, dtype=blend.rest.dtype)
    if blend.kept is not None:
        free = free & blend.kept
    if not bool(xp.all(free)):
        gamma = xp.where(free, gamma, xp.zeros_like(gamma))
    gamma = unsort(gamma, blend.order)
    sums = blend.model.sums(blend.footprints, blend.pairs, blend.raw, gamma)
    return (
        *blend.model.finish(blend.footprints, sums),
        w.scatter(grad),
        xp.matmul(blend.left, grad),
    )


def _products(blend: Blend, grad: Array) -> Array:
    """Return g . c of each pair, channel by channel, without those that have no gradient."""
    xp = namespace(grad)
    e = xp.zeros_like(blend.rest)
    for k in range(grad.shape[1]):
        if bool(xp.any(grad[:, k] != 0)):
            product = xp.take(grad[:, k], blend.pixel)
            product *= xp.take(blend.channels[:, k], blend.gaussian)
            e += product
    return e
