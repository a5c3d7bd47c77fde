r"""Losses of images: mean absolute difference and structural similarity, with gradients.

With :math:`F` the filter by an 11 x 11 Gaussian window, structural similarity (Wang et al., 2004)
is a function of five moments, :math:`F[x], F[y], F[x^2], F[y^2], F[xy]`, at each pixel.  Its
gradient passes each partial derivative through the same filter once more, as :math:`F` is
self-adjoint.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from array_api_compat import device
from scipy.linalg import toeplitz

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, namespace
from gaussbook.splatting.training import mean_absolute_error
from gaussbook.validation import check_array, check_scalar

__all__ = ["photometric", "photometric_loss", "ssim_and_gradient", "structural_similarity"]

_SIGMA = 1.5  # of the window, in pixels
_RADIUS = 5
_C1, _C2 = 0.01**2, 0.03**2  # for values in [0, 1]
_WEIGHT = 0.2  # of structural similarity in the loss of Kerbl et al. (2023)


class _Moments(NamedTuple):
    """Filtered maps, each of shape (C, H, W): of the images, their product and their difference."""

    x: Array
    y: Array
    xy: Array
    d: Array
    dd: Array

    def swapped(self) -> _Moments:
        return _Moments(self.y, self.x, self.xy, -self.d, self.dd)


_WINDOWS: dict[tuple, Array] = {}


def _window(size: int, like: Array) -> Array:
    """Return the matrix that filters a line of `size` pixels, zeros beyond its ends.

    It stays on the device of `like` and in its type, as every step of a training needs it.
    """
    xp, where = namespace(like), device(like)
    key = size, xp.__name__, str(like.dtype), str(where)
    if key not in _WINDOWS:
        weights = np.exp(-0.5 * (np.arange(_RADIUS + 1) / _SIGMA) ** 2)
        weights /= weights[0] + 2 * weights[1:].sum()
        column = np.zeros(size)
        column[: _RADIUS + 1] = weights[:size]
        _WINDOWS[key] = xp.asarray(toeplitz(column), dtype=like.dtype, device=where)
    return _WINDOWS[key]


def _filtered(maps: Array) -> Array:
    """Filter maps (..., H, W); symmetric matrices, so that this is its own adjoint."""
    xp = namespace(maps)
    rows, columns = (_window(n, ad.plain(maps)) for n in maps.shape[-2:])
    return xp.matmul(xp.matmul(rows, maps), columns)


def _moments(x: Array, y: Array) -> _Moments:
    d = x - y
    return _Moments(*(_filtered(values) for values in (x, y, x * y, d, d * d)))


def _factors(m: _Moments) -> tuple[Array, Array, Array, Array]:
    r"""Return luminance and structure, the numerators and then the denominators of both.

    The denominators exceed them by :math:`F[d]^2` and by the variance of the difference
    :math:`d=x-y`; where rounding would have it otherwise, a constant is added.  So no index is
    above 1, and that of equal images with values in [0, 1] is 1, in every type.
    """
    luminance = 2 * m.x * m.y + _C1
    structure = 2 * (m.xy - m.x * m.y) + _C2
    variances = structure + (m.dd - m.d * m.d)
    least, found = ad.plain(structure), ad.plain(variances)
    xp = namespace(found)
    variances = variances + xp.maximum(xp.abs(least) - found, 0.0)
    return luminance, structure, luminance + m.d * m.d, variances


def _planes(image: Array) -> Array:
    return namespace(image).permute_dims(image, (2, 0, 1))


def _mean_index(x: Array, y: Array) -> Array:
    """Return the mean index of two images (H, W, C), in differentiable operations."""
    luminance, structure, squares, variances = _factors(_moments(_planes(x), _planes(y)))
    index = (luminance * structure) / (squares * variances)
    return namespace(index).mean(index)


def _forward(saved: dict, image: Array, target: Array) -> Array:
    xp = namespace(image, target)
    x, y = _planes(image), _planes(target)
    m = _moments(x, y)
    luminance, structure, squares, variances = _factors(m)
    saved["images"], saved["moments"] = (x, y), m
    saved["factors"] = luminance, structure, squares, variances
    return xp.mean((luminance * structure) / (squares * variances))


def _gradient(x: Array, y: Array, m: _Moments, factors: tuple[Array, ...]) -> Array:
    r"""Return :math:`F[p_1]+2xF[p_2]+yF[p_3]` for each pixel's index, shape (H, W, C).

    The p are the partial derivatives by F[x], F[x^2] and F[xy].
    """
    luminance, structure, squares, variances = factors
    index = (luminance * structure) / (squares * variances)
    p2 = -index / variances
    p3 = 2 * luminance / (squares * variances)
    p1 = 2 * m.y * structure / (squares * variances) - 2 * m.x * index / squares
    p1 = p1 - 2 * m.x * p2 - m.y * p3  # variance and covariance have F[x] in them as well
    gradient = _filtered(p1) + 2 * x * _filtered(p2) + y * _filtered(p3)
    return namespace(gradient).permute_dims(gradient, (1, 2, 0))


def _backward(saved: dict, needed: tuple[int, ...], g: Array, *images: Array) -> list:
    x, y = saved["images"]
    share = g / math.prod(x.shape)
    gradients: list = [None, None]
    if 0 in needed:
        gradients[0] = share * _gradient(x, y, saved["moments"], saved["factors"])
    if 1 in needed:
        gradients[1] = share * _gradient(y, x, saved["moments"].swapped(), saved["factors"])
    return gradients


def _checked(image: Array, target: Array) -> tuple[Array, Array]:
    image = check_array("image", image, ndim=3)
    target = check_array("target", target, shape=tuple(image.shape))
    if target.dtype != image.dtype:
        raise ValueError(f"target must be {image.dtype} like image, got {target.dtype}")
    return image, target


_similarity = ad.fused(_forward, _backward, _mean_index)


def structural_similarity(image: Array, target: Array) -> Array:
    r"""Return the mean structural similarity of two images; differentiable, to any order.

    .. math:: \frac{(2\mu_x\mu_y+C_1)(2\sigma_{xy}+C_2)}
              {(\mu_x^2+\mu_y^2+C_1)(\sigma_x^2+\sigma_y^2+C_2)}

    at each pixel and channel, with the weighted means, variances and covariance of the Gaussian
    window around it: 11 pixels wide, of standard deviation 1.5 pixels, zeros beyond the edges,
    :math:`C_1=10^{-4}`, :math:`C_2=9\cdot10^{-4}`.

    Parameters
    ----------
    image, target : array, shape (H, W, C)
        Values of ordinary images are in [0, 1].  Both may be traced by `gaussbook.autodiff`.

    Returns
    -------
    array, shape ()
        At most 1, which is reached by equal images only.

    Raises
    ------
    ValueError
        If the shapes or types differ, or a value is not finite.

    Notes
    -----
    This is the index that is trained with; to report one, `gaussbook.metrics.ssim` is the usual
    choice, which leaves out the pixels near the edges.
    """
    _checked(ad.plain(image), ad.plain(target))
    return _similarity(image, target)


def ssim_and_gradient(image: Array, target: Array) -> tuple[float, Array]:
    """Return the mean structural similarity of two images, and its gradient by the first.

    Parameters
    ----------
    image, target : array, shape (H, W, C)
        As in `structural_similarity`, not traced.

    Returns
    -------
    value : float
    gradient : array, shape (H, W, C)

    Raises
    ------
    ValueError
        As `structural_similarity`.
    """
    saved: dict = {}
    value = _forward(saved, *_checked(image, target))
    gradient, _ = _backward(saved, (0,), 1.0)
    return float(value), gradient


def photometric_loss(
    image: Array, target: Array, *, weight: float = _WEIGHT
) -> tuple[float, Array]:
    r"""Return :math:`(1-w)\,\overline{|x-y|}+w\,(1-\mathrm{SSIM})` and its gradient by the image.

    The loss of Kerbl et al. (2023), as `fit` takes it.

    Parameters
    ----------
    image, target : array, shape (H, W, C)
        As in `structural_similarity`, not traced.
    weight : float
        Weight w of structural similarity, in [0, 1].

    Returns
    -------
    value : float
    gradient : array, shape (H, W, C)

    Raises
    ------
    ValueError
        As `structural_similarity`, or if `weight` is out of range.
    """
    weight = check_scalar("weight", weight, at_least=0, at_most=1)
    similarity, to_similarity = ssim_and_gradient(image, target)
    error, to_error = mean_absolute_error(*_checked(image, target))
    value = (1 - weight) * error + weight * (1 - similarity)
    return value, (1 - weight) * to_error - weight * to_similarity


def photometric(image: Array, target: Array, *, weight: float = _WEIGHT) -> Array:
    """Return the loss of `photometric_loss` for images that `gaussbook.autodiff` traces.

    Parameters
    ----------
    image, target : array, shape (H, W, C)
        As in `structural_similarity`.
    weight : float
        As in `photometric_loss`.

    Returns
    -------
    array, shape ()

    Raises
    ------
    ValueError
        As `photometric_loss`.
    """
    weight = check_scalar("weight", weight, at_least=0, at_most=1)
    similarity = structural_similarity(image, target)
    return (1 - weight) * ad.mean(ad.abs(image - target)) + weight * (1 - similarity)
