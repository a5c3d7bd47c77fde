"""Numbers that say how good a result is: clusterings, probabilities, coded images, rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gaussbook.arrays import Array, generator, namespace, to_host
from gaussbook.validation import (
    check_array,
    check_choice,
    check_integer,
    check_probabilities,
    check_scalar,
)

__all__ = [
    "Slope",
    "bd_rate",
    "clustering_error",
    "crps_gaussian",
    "crps_samples",
    "expected_calibration_error",
    "hellinger_1d",
    "hf_psnr",
    "loglog_slope",
    "psnr",
    "ssim",
]

_SSIM_SIGMA = 1.5  # the Gaussian window of Wang et al. (2004), pixels
_SSIM_RADIUS = 5  # scikit-image cuts that window at 3.5 sigma, which makes it 11 pixels wide


def clustering_error(labels: Array, truth: Array) -> float:
    """Return the fraction of points that are misclustered under the best naming of the clusters.

    Parameters
    ----------
    labels, truth : integer array, shape (n,)
        Found and true clusters; only which points share a label matters, not its value.  The
        numbers of clusters may differ.

    Returns
    -------
    float
        min over one-to-one maps pi of #{i : pi(labels_i) != truth_i} / n, in [0, 1).  A cluster
        that the map leaves over counts as wrong.

    Raises
    ------
    ValueError
        If the arguments are not integer vectors of one length.

    Notes
    -----
    The best map solves a linear assignment on the contingency table (Kuhn 1955, "The Hungarian
    method for the assignment problem").
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    labels = check_array("labels", labels, ndim=1, integers=True)
    truth = check_array("truth", truth, shape=(labels.shape[0],), integers=True)
    counts = contingency_matrix(to_host(truth), to_host(labels))
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    # One subtraction of integers, so that a perfect clustering gives 0 and not a rounding error.
    return float(labels.shape[0] - matched) / labels.shape[0]


def crps_gaussian(y: Array, mu: Array | float, sigma: Array | float) -> Array:
    r"""Return the continuous ranked probability score of Gaussian forecasts, in the unit of y.

    Parameters
    ----------
    y : array
        What happened.
    mu, sigma : array or float
        Means and deviations of the forecasts, of shapes that broadcast with `y`.

    Returns
    -------
    array
        :math:`\sigma[\zeta(2\Phi(\zeta)-1)+2\varphi(\zeta)-\pi^{-1/2}]` with
        :math:`\zeta=(y-\mu)/\sigma` (Gneiting and Raftery 2007, equation 21).

    Raises
    ------
    ValueError
        If a value is not finite, or a deviation not positive.
    """
    from scipy.special import ndtr

    y = check_array("y", y)
    xp = namespace(y)
    mu, sigma = (check_array(n, xp.asarray(v)) for n, v in (("mu", mu), ("sigma", sigma)))
    if not bool(xp.all(sigma > 0)):
        raise ValueError("sigma must be positive")
    zeta = (y - mu) / sigma
    below = xp.asarray(ndtr(to_host(zeta)), dtype=zeta.dtype)
    density = xp.exp(-(zeta**2) / 2) / math.sqrt(2 * math.pi)
    return sigma * (zeta * (2 * below - 1) + 2 * density - math.pi**-0.5)


def crps_samples(samples: Array, y: Array) -> Array:
    r"""Estimate the continuous ranked probability score from draws of the forecasts, without bias.

    Parameters
    ----------
    samples : array, shape (M, ...)
        At least two draws of each forecast; an axis may have length 1 where forecasts are equal.
    y : array, shape (...)
        What happened.

    Returns
    -------
    array, shape (...)
        :math:`\frac1M\sum_i|x_i-y|-\frac1{2M(M-1)}\sum_{i,j}|x_i-x_j|`, in the unit of
        `y`; the second sum by sorting, in :math:`O(M\log M)`.

    Raises
    ------
    ValueError
        If a value is not finite, the shapes disagree, or there are fewer than two draws.
    """
    y = check_array("y", y)
    samples = check_array("samples", samples, ndim=y.ndim + 1)
    M = samples.shape[0]
    if any(n not in (1, m) for n, m in zip(samples.shape[1:], y.shape, strict=True)):
        raise ValueError(f"samples must have shape (M, {y.shape}), got {tuple(samples.shape)}")
    if M < 2:
        raise ValueError(f"samples must hold at least two draws, got {M}")
    xp = namespace(samples)
    weight = 2 * xp.arange(1, M + 1, dtype=samples.dtype) - (M + 1)
    weight = xp.reshape(weight, (M,) + (1,) * y.ndim)
    spread = xp.sum(weight * xp.sort(samples, axis=0), axis=0) / (M * (M - 1))
    return xp.mean(xp.abs(samples - y), axis=0) - spread


def expected_calibration_error(probabilities: Array, labels: Array, bins: int = 15) -> float:
    """Return the mean distance between confidence and accuracy over bins of equal width.

    Parameters
    ----------
    probabilities : array, shape (n, K)
        Predicted class probabilities; each row sums to one.
    labels : integer array, shape (n,)
        True classes in 0..K-1.
    bins : int
        Number of bins of the confidence max_k p_ik on (0, 1], closed on the right.

    Returns
    -------
    float
        The sum over bins b of ``(n_b / n) abs(accuracy_b - confidence_b)``, in [0, 1].

    Raises
    ------
    ValueError
        If a row is no probability distribution, a label is not in 0..K-1, the lengths differ, or
        `bins` is below one.

    Notes
    -----
    Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks", eq. 3.
    """
    probabilities = check_array("probabilities", probabilities, ndim=2)
    n, K = probabilities.shape
    probabilities = check_probabilities("probabilities", probabilities, tolerance=1e-5)
    labels = check_array("labels", labels, shape=(n,), integers=True)
    bins = check_integer("bins", bins, at_least=1)
    xp = namespace(probabilities, labels)
    if int(xp.min(labels)) < 0 or int(xp.max(labels)) >= K:
        raise ValueError(f"labels must lie in 0..{K - 1}")
    confidence = xp.astype(xp.max(probabilities, axis=1), xp.float64)
    correct = xp.astype(xp.argmax(probabilities, axis=1) == labels, xp.float64)
    # A row may exceed one by rounding; it belongs to the last bin all the same.
    bin_of = xp.minimum(xp.astype(xp.ceil(confidence * bins), xp.int64) - 1, xp.asarray(bins - 1))
    members = xp.astype(bin_of[:, None] == xp.arange(bins)[None, :], xp.float64)
    # n_b (accuracy_b - confidence_b) is a plain sum over the bin: no empty bin is divided by.
    return float(xp.sum(xp.abs((correct - confidence) @ members))) / n


def bd_rate(rate_a: Array, psnr_a: Array, rate_b: Array, psnr_b: Array) -> float:
    """Return the Bjontegaard rate difference: the bits that code b needs beyond code a.

    Parameters
    ----------
    rate_a, rate_b : array, shape (m,) and (k,)
        Rates of the anchor a and of the tested code b, at least two each, in one unit (bits per
        pixel, say), in any order.
    psnr_a, psnr_b : array, shapes as the rates
        Quality at those rates in dB, strictly increasing with the rate.

    Returns
    -------
    float
        Mean relative rate difference in per cent over the common interval of quality, negative
        where b needs fewer bits.

    Raises
    ------
    ValueError
        If a curve is too short, holds rates that are not positive or does not increase, or if the
        curves share no interval of quality.

    Notes
    -----
    Bjontegaard (2001), VCEG-M33: the mean of log r_b(q) - log r_a(q) over quality q; log-rates are
    interpolated by the monotone cubic of Fritsch and Carlson, which does not overshoot.
    """
    curve_a, low_a, high_a = _log_rate_curve("a", rate_a, psnr_a)
    curve_b, low_b, high_b = _log_rate_curve("b", rate_b, psnr_b)
    low, high = max(low_a, low_b), min(high_a, high_b)
    if not low < high:
        raise ValueError(
            f"psnr_b spans {low_b:g}..{high_b:g} dB, which shares no interval with psnr_a "
            f"({low_a:g}..{high_a:g} dB)"
        )
    mean = float(curve_b(low, high) - curve_a(low, high)) / (high - low)
    return 100 * math.expm1(mean)


def _log_rate_curve(
    name: str, rate: Array, psnr: Array
) -> tuple[Callable[[float, float], float], float, float]:
    """Return the integral of log-rate over quality as a function of its ends, and the range."""
    from scipy.interpolate import PchipInterpolator

    rate = to_host(check_array(f"rate_{name}", rate, ndim=1))
    psnr = to_host(check_array(f"psnr_{name}", psnr, shape=rate.shape))
    if rate.size < 2:
        raise ValueError(f"rate_{name} must hold at least two rates, got {rate.size}")
    if not np.all(rate > 0):
        raise ValueError(f"rate_{name} must be positive")
    order = np.argsort(rate)
    rate, psnr = rate[order].astype(np.float64), psnr[order].astype(np.float64)
    if not np.all(np.diff(rate) > 0):
        raise ValueError(f"rate_{name} holds one rate twice")
    if not np.all(np.diff(psnr) > 0):
        raise ValueError(f"psnr_{name} must increase strictly with the rate")
    curve = PchipInterpolator(psnr, np.log(rate), extrapolate=False)
    return curve.integrate, float(psnr[0]), float(psnr[-1])


def psnr(image: Array, reference: Array, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio of an image in dB.

    Parameters
    ----------
    image, reference : array, one shape
        The image to judge and the true one, whose values lie in [0, `peak`].
    peak : float
        The largest value that a pixel can take.

    Returns
    -------
    float
        10 log10(peak^2 / mean squared error); infinity for equal images.

    Raises
    ------
    ValueError
        If the shapes differ, or the reference leaves [0, `peak`].
    """
    from skimage.metrics import peak_signal_noise_ratio

    image, reference, peak = _check_images(image, reference, peak)
    if np.array_equal(image, reference):
        return math.inf
    return float(peak_signal_noise_ratio(reference, image, data_range=peak))


def hf_psnr(image: Array, reference: Array, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio of the fine detail of an image in dB.

    Parameters
    ----------
    image, reference : array, shape (height, width, channels)
        The image to judge and the true one, whose values lie in [0, `peak`].
    peak : float
        The largest value that a pixel can take.

    Returns
    -------
    float
        `psnr` of what is left of both when their Gaussian blur (standard deviation 1 pixel, 5 x 5
        pixels, mirrored at the edges) is subtracted; infinity for equal details.

    Raises
    ------
    ValueError
        If the shapes differ or are not of three axes, or the reference leaves [0, `peak`].
    """
    from scipy.ndimage import gaussian_filter

    image, reference, peak = _check_images(image, reference, peak)
    if reference.ndim != 3:
        raise ValueError(f"reference must have 3 axes, got shape {reference.shape}")
    error = image - reference  # the filter is linear: the detail of the error is enough
    error = error - gaussian_filter(error, sigma=1.0, radius=2, axes=(0, 1))
    mean_square = float(np.mean(error**2))
    return 10 * math.log10(peak**2 / mean_square) if mean_square > 0 else math.inf


def ssim(
    image: Array, reference: Array, peak: float = 1.0, channel_axis: int | None = None
) -> float:
    """Return the mean structural similarity of an image to the true one.

    Parameters
    ----------
    image, reference : array, shape (height, width), or with one more axis of channels
        The image to judge and the true one, whose values lie in [0, `peak`]; both sides at least
        11 pixels.
    peak : float
        The largest value that a pixel can take.
    channel_axis : int, optional
        Which axis holds the channels (the index is averaged over them); None for grey images.

    Returns
    -------
    float
        The index, at most 1, which is reached by equal images only.

    Raises
    ------
    ValueError
        If the shapes differ, do not fit `channel_axis` or are below 11 pixels, or if the reference
        leaves [0, `peak`].

    Notes
    -----
    Wang, Bovik, Sheikh and Simoncelli (2004), "Image quality assessment": Gaussian window of
    standard deviation 1.5 pixels, K1 = 0.01, K2 = 0.03.
    """
    from skimage.metrics import structural_similarity

    image, reference, peak = _check_images(image, reference, peak)
    axes = 2 if channel_axis is None else 3
    if reference.ndim != axes:
        raise ValueError(f"image must have {axes} axes, got shape {reference.shape}")
    sides = list(reference.shape)
    if channel_axis is not None:
        sides.pop(check_integer("channel_axis", channel_axis, at_least=-3, at_most=2))
    if min(sides) < 2 * _SSIM_RADIUS + 1:
        raise ValueError(f"image must be at least 11 pixels wide and high, got {reference.shape}")
    return float(
        structural_similarity(
            reference,
            image,
            data_range=peak,
            channel_axis=channel_axis,
            gaussian_weights=True,
            sigma=_SSIM_SIGMA,
            use_sample_covariance=False,
        )
    )


def _check_images(image: Array, reference: Array, peak: float) -> tuple[np.ndarray, ...]:
    """Return both images as float64 on the host and the checked peak."""
    reference = check_array("reference", reference)
    image = check_array("image", image, shape=tuple(reference.shape))
    peak = check_scalar("peak", peak, above=0)
    reference = to_host(reference).astype(np.float64)
    if reference.min() < 0 or reference.max() > peak:
        raise ValueError(
            f"reference must lie in [0, {peak:g}], spans {reference.min():g}..{reference.max():g}"
        )
    return to_host(image).astype(np.float64), reference, peak


def hellinger_1d(p: Array, q: Array, grid: Array) -> Array:
    r"""Return the Hellinger distance of densities on the line, by the trapezoidal rule.

    .. math:: h^2=\tfrac12\int\bigl(\sqrt{p}-\sqrt{q}\bigr)^2dy=1-\int\sqrt{pq}\,dy

    The first form has no cancellation: near densities keep all their digits.

    Parameters
    ----------
    p, q : array, shape (..., m)
        Values of the two densities on the grid; the leading axes are broadcast.
    grid : array, shape (m,)
        Increasing points of the line, at least two.

    Returns
    -------
    array, shape (...)
        Distances in [0, 1], up to the error of the quadrature and the mass outside the grid.

    Raises
    ------
    ValueError
        If a density is negative or does not fit the grid, or the grid does not increase.
    """
    grid = check_array("grid", grid, ndim=1)
    xp = namespace(grid)
    if grid.shape[0] < 2 or not bool(xp.all(grid[1:] > grid[:-1])):
        raise ValueError("grid must hold at least two increasing points")
    roots = []
    for name, density in (("p", p), ("q", q)):
        density = check_array(name, density)
        if density.ndim < 1 or density.shape[-1] != grid.shape[0]:
            raise ValueError(
                f"{name} has shape {tuple(density.shape)}, grid {grid.shape[0]} points"
            )
        if bool(xp.any(density < 0)):
            raise ValueError(f"{name} holds negative values")
        roots.append(xp.sqrt(density))
    half = (grid[1:] - grid[:-1]) / 2
    zero = xp.zeros((1,), dtype=half.dtype)
    weights = xp.concat([half, zero]) + xp.concat([zero, half])
    return xp.sqrt(xp.sum(weights * (roots[0] - roots[1]) ** 2, axis=-1) / 2)


_SUMMARIES = {
    "mean": lambda error: np.mean(error, axis=-1),
    "median": lambda error: np.median(error, axis=-1),
    "rms": lambda error: np.sqrt(np.mean(error**2, axis=-1)),
}


class Slope(NamedTuple):
    """A slope in log-log coordinates, with the ends of a bootstrap interval."""

    slope: float
    low: float
    high: float


def loglog_slope(
    n: Array,
    error: Array,
    *,
    statistic: str = "mean",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Slope:
    r"""Fit :math:`\text{error}\approx c\,n^s` to replicated errors and say how sure s is.

    The slope is that of least squares through :math:`(\log n_j,\log e_j)`, where :math:`e_j` is
    the mean, the median or the root mean square of the errors at :math:`n_j`.  The interval
    comes from the bootstrap (Efron, 1979): the replications are redrawn, at each n apart.

    Parameters
    ----------
    n : array, shape (m,)
        Positive sizes, at least two different ones.
    error : array, shape (m, B)
        Non-negative errors of B replications at each size.
    statistic : {'mean', 'median', 'rms'}
        What is taken of the replications.
    level : float
        Probability of the interval between two percentiles, in (0, 1).
    resamples : int
        Number of bootstrap samples.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Slope
        The slope s and the ends of its interval.

    Raises
    ------
    ValueError
        If shapes do not fit, a size or the statistic of the errors at some size is not positive,
        or an option is out of range.
    """
    n = check_array("n", n, ndim=1)
    error = check_array("error", error, shape=(n.shape[0], None))
    check_choice("statistic", statistic, tuple(_SUMMARIES))
    level = check_scalar("level", level, above=0, below=1)
    resamples = check_integer("resamples", resamples, at_least=1)
    log_n, error = np.log(_positive("n", to_host(n))), to_host(error)
    if np.any(error < 0):
        raise ValueError("error holds negative values")
    centred = log_n - log_n.mean()
    if not np.any(centred):
        raise ValueError("n must hold at least two different sizes")
    B = error.shape[1]
    picks = generator(seed).host.integers(0, B, (resamples, *error.shape))
    redrawn = np.concatenate([error[None], np.take_along_axis(error[None], picks, axis=2)])
    slopes = (
        np.log(_positive("error", _SUMMARIES[statistic](redrawn))) @ centred / (centred @ centred)
    )
    tail = (1 - level) / 2
    low, high = np.quantile(slopes[1:], [tail, 1 - tail])
    return Slope(float(slopes[0]), float(low), float(high))


def _positive(name: str, values: np.ndarray) -> np.ndarray:
    if not np.all(values > 0):
        raise ValueError(f"{name} must be positive at every size")
    return values
