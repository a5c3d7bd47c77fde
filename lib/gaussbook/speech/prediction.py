r"""Linear prediction: all-pole models of a spectrum, and their line spectral frequencies.

A frame of speech is modelled as an excitation through the filter :math:`1/A(z)` with
:math:`A(z)=1+a_1z^{-1}+\dots+a_pz^{-p}`.  A polynomial is the row
:math:`(1,a_1,\dots,a_p)`; arrays hold one row for each frame.
"""

from __future__ import annotations

import math

import numpy as np

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = [
    "formants",
    "inverse_filter",
    "line_spectral_frequencies",
    "linear_prediction",
    "polynomials_of_frequencies",
    "power_spectra",
    "resonators",
]

_GRID = 512  # steps of the phase between 0 and pi
_NEWTON_STEPS = 6


def linear_prediction(frames: Array, order: int) -> Array:
    r"""Polynomials that predict each sample of a frame from those before it.

    They minimise :math:`\sum_t(x_t+a_1x_{t-1}+\dots+a_px_{t-p})^2` with the frame continued by
    zeros (the autocorrelation method), by the recursion of Levinson and Durbin.  Their roots lie
    inside the unit circle.

    Parameters
    ----------
    frames : array, shape (n, length)
        Windowed frames, none of them silent.
    order : int
        :math:`p`, below the length of a frame.

    Returns
    -------
    array, shape (n, p + 1)
        The polynomials.

    Raises
    ------
    ValueError
        If a frame is silent or an argument is out of its range.
    """
    frames = check_array("frames", frames, ndim=2)
    order = check_integer("order", order, at_least=1, at_most=frames.shape[1] - 1)
    xp = namespace(frames)
    length = frames.shape[1]
    r = xp.stack(
        [xp.sum(frames[:, : length - lag] * frames[:, lag:], axis=1) for lag in range(order + 1)],
        axis=1,
    )
    if not bool(xp.all(r[:, 0] > 0)):
        raise ValueError("frames holds a frame that is silent")
    a = xp.ones((frames.shape[0], 1), dtype=frames.dtype)
    error = r[:, 0] * (1 + 1e-12)  # a pure tone is predicted without error
    zero = xp.zeros_like(a)
    for lag in range(1, order + 1):
        reflection = -xp.sum(a * xp.flip(r[:, 1 : lag + 1], axis=1), axis=1) / error
        longer = xp.concat([a, zero], axis=1)
        a = longer + reflection[:, None] * xp.flip(longer, axis=1)
        error = error * (1 - reflection**2)
    return a


def resonators(frequencies: Array, bandwidths: Array, rate: float) -> Array:
    r"""Polynomials of resonators in a row.

    .. math::
        A(z)=\prod_k\bigl(1-2\rho_k\cos\theta_k\,z^{-1}+\rho_k^2z^{-2}\bigr),\qquad
        \rho_k=e^{-\pi B_k/f_s},\quad\theta_k=2\pi F_k/f_s

    Parameters
    ----------
    frequencies, bandwidths : array, shape (n, K)
        :math:`F_k` and :math:`B_k`, Hz.
    rate : float
        Sampling rate :math:`f_s`, Hz.

    Returns
    -------
    array, shape (n, 2 K + 1)
        The polynomials.

    Raises
    ------
    ValueError
        If a frequency lies outside 0 to half the rate, or a bandwidth is not positive.
    """
    frequencies = check_array("frequencies", frequencies, ndim=2)
    bandwidths = check_array("bandwidths", bandwidths, shape=tuple(frequencies.shape))
    rate = check_scalar("rate", rate, above=0)
    xp = namespace(frequencies, bandwidths)
    if not bool(xp.all((frequencies > 0) & (frequencies < rate / 2))):
        raise ValueError("frequencies must lie between 0 and half the rate")
    if not bool(xp.all(bandwidths > 0)):
        raise ValueError("bandwidths must be positive")
    radius = xp.exp(-math.pi * bandwidths / rate)
    middle = -2 * radius * xp.cos(2 * math.pi * frequencies / rate)
    return _product_of_quadratics(middle, radius**2)


def _product_of_quadratics(middle: Array, last: Array) -> Array:
    """Return the rows of prod_k (1 + middle_k z^-1 + last_k z^-2)."""
    xp = namespace(middle)
    a = xp.ones((middle.shape[0], 1), dtype=middle.dtype)
    for k in range(middle.shape[1]):
        zeros = xp.zeros((a.shape[0], 2), dtype=a.dtype)
        once = xp.concat([zeros[:, :1], a, zeros[:, :1]], axis=1)
        twice = xp.concat([zeros, a], axis=1)
        a = xp.concat([a, zeros], axis=1) + middle[:, k : k + 1] * once
        a = a + last[:, k : k + 1] * twice
    return a


def inverse_filter(frames: Array, polynomials: Array) -> Array:
    r"""Apply :math:`A(z)` to frames: what is left is the excitation.

    Parameters
    ----------
    frames : array, shape (n, length)
        The frames; before its start a frame is taken to be zero.
    polynomials : array, shape (n, p + 1) or (1, p + 1)
        One for each frame, or one for all.

    Returns
    -------
    array, shape (n, length)
        :math:`e_t=\sum_ja_jx_{t-j}`.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.
    """
    frames = check_array("frames", frames, ndim=2)
    polynomials = _check_polynomials(polynomials)
    if polynomials.shape[0] not in (1, frames.shape[0]):
        raise ValueError(
            f"polynomials must have 1 or {frames.shape[0]} rows, got {polynomials.shape[0]}"
        )
    xp = namespace(frames, polynomials)
    n, length = frames.shape
    order = polynomials.shape[1] - 1
    padded = xp.concat([xp.zeros((n, order), dtype=frames.dtype), frames], axis=1)
    filtered = xp.zeros_like(frames)
    for lag in range(order + 1):
        start = order - lag
        filtered = filtered + polynomials[:, lag : lag + 1] * padded[:, start : start + length]
    return filtered


def _check_polynomials(polynomials: Array) -> Array:
    polynomials = check_array("polynomials", polynomials, ndim=2)
    xp = namespace(polynomials)
    if polynomials.shape[1] < 2 or not bool(xp.all(polynomials[:, 0] == 1)):
        raise ValueError("polynomials must have an order of at least 1 and begin with 1")
    return polynomials


def power_spectra(polynomials: Array, n_bins: int) -> Array:
    r"""Power spectra of the filters :math:`1/A`.

    Parameters
    ----------
    polynomials : array, shape (n, p + 1)
        The polynomials.
    n_bins : int
        Number of frequencies, at the middles of as many equal bins from 0 to half the rate.

    Returns
    -------
    array, shape (n, n_bins)
        :math:`|A(e^{i\omega})|^{-2}`.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    polynomials = _check_polynomials(polynomials)
    n_bins = check_integer("n_bins", n_bins, at_least=1)
    xp = namespace(polynomials)
    omega = math.pi * (np.arange(n_bins) + 0.5) / n_bins
    phase = np.arange(polynomials.shape[1])[:, None] * omega
    real = polynomials @ xp.asarray(np.cos(phase))
    imaginary = polynomials @ xp.asarray(np.sin(phase))
    return 1 / (real**2 + imaginary**2)


def line_spectral_frequencies(polynomials: Array) -> Array:
    r"""Line spectral frequencies: ``p`` angles between 0 and pi, in ascending order.

    They are the angles of the roots, on the unit circle, of
    :math:`P(z)=A(z)+z^{-(p+1)}A(z^{-1})` and :math:`Q(z)=A(z)-z^{-(p+1)}A(z^{-1})`, without those
    at :math:`\pm1`.  There the phase
    :math:`\varphi(\omega)=\frac{p+1}2\omega+\arg A(e^{i\omega})` is a multiple of
    :math:`\pi/2`.  It rises from 0 to :math:`(p+1)\pi/2` if all roots of A lie inside
    the unit circle, so that each multiple is met once (Itakura 1975; Soong and Juang 1984).

    Parameters
    ----------
    polynomials : array, shape (n, p + 1)
        Of an even order, with all roots inside the unit circle.

    Returns
    -------
    array, shape (n, p)
        The frequencies, radians.

    Raises
    ------
    ValueError
        If the order is odd, or a root lies outside the circle or on it.
    """
    polynomials = _check_polynomials(polynomials)
    xp = namespace(polynomials)
    n, order = polynomials.shape[0], polynomials.shape[1] - 1
    if order % 2:
        raise ValueError(f"polynomials must have an even order, got {order}")
    step = math.pi / _GRID
    on_grid = xp.fft.rfft(xp.astype(polynomials, xp.float64), n=2 * _GRID, axis=1)
    turn = on_grid[:, 1:] * xp.conj(on_grid[:, :-1])
    rise = xp.atan2(xp.imag(turn), xp.real(turn)) + (order + 1) / 2 * step
    phase = xp.cumulative_sum(rise, axis=1)
    whole = (order + 1) * math.pi / 2
    if not bool(xp.all(rise > 0)) or not bool(xp.all(xp.abs(phase[:, -1] - whole) < 1e-6)):
        raise ValueError("polynomials has roots outside the unit circle, or on it")
    # The bin in which the phase passes each multiple, a multiple at a time: n x grid numbers.
    low = xp.stack(
        [
            xp.sum(xp.astype(phase < k * math.pi / 2, xp.float64), axis=1) * step
            for k in range(1, order + 1)
        ],
        axis=1,
    )
    target = xp.arange(1, order + 1, dtype=xp.float64) * (math.pi / 2)
    return _polish(polynomials, low, low + step, xp.broadcast_to(target, (n, order)))


def _polish(polynomials: Array, low: Array, high: Array, target: Array) -> Array:
    """Solve phase(omega) = target within brackets: Newton's steps, or halvings where they leave."""
    xp = namespace(polynomials)
    order = polynomials.shape[1] - 1
    omega = (low + high) / 2
    half = (order + 1) / 2
    for _ in range(_NEWTON_STEPS):
        # A(e^{iw}) and the sum of lag a_lag e^{-i lag w}, its derivative times i, by Horner's rule
        z = xp.exp(-1j * xp.astype(omega, xp.complex128))
        value, weighted = xp.zeros_like(z), xp.zeros_like(z)
        for lag in range(order, -1, -1):
            value = value * z + polynomials[:, lag : lag + 1]
            weighted = weighted * z + lag * polynomials[:, lag : lag + 1]
        turned = value * xp.exp(1j * xp.astype(half * omega - target, xp.complex128))
        missing = xp.atan2(xp.imag(turned), xp.real(turned))
        slope = half - xp.real(weighted / value)
        above = missing > 0
        low, high = xp.where(above, low, omega), xp.where(above, omega, high)
        newton = omega - missing / slope
        inside = (newton >= low) & (newton <= high)
        omega = xp.where(inside, newton, (low + high) / 2)
    return omega


def polynomials_of_frequencies(frequencies: Array) -> Array:
    r"""Polynomials with given line spectral frequencies: the inverse of the above.

    .. math::
        A=\tfrac12(P+Q),\qquad
        P=(1+z^{-1})\prod_{k\text{ odd}}(1-2\cos\omega_kz^{-1}+z^{-2}),\quad
        Q=(1-z^{-1})\prod_{k\text{ even}}(1-2\cos\omega_kz^{-1}+z^{-2})

    Parameters
    ----------
    frequencies : array, shape (n, p)
        Ascending, strictly between 0 and pi, radians; p even.  Any such frequencies give a filter
        :math:`1/A` that is stable.

    Returns
    -------
    array, shape (n, p + 1)
        The polynomials.

    Raises
    ------
    ValueError
        If the frequencies are not ascending, leave the range, or their number is odd.
    """
    frequencies = check_array("frequencies", frequencies, ndim=2)
    xp = namespace(frequencies)
    order = frequencies.shape[1]
    if order % 2:
        raise ValueError(f"frequencies must be even in number, got {order}")
    ascending = bool(xp.all(frequencies[:, 1:] > frequencies[:, :-1]))
    if not ascending or not bool(xp.all((frequencies > 0) & (frequencies < math.pi))):
        raise ValueError("frequencies must ascend strictly between 0 and pi")
    middle = -2 * xp.cos(frequencies)
    parts = []
    for start, sign in ((0, 1.0), (1, -1.0)):
        own = middle[:, start::2]
        part = _product_of_quadratics(own, xp.ones_like(own))
        zero = xp.zeros((part.shape[0], 1), dtype=part.dtype)
        later = xp.concat([zero, part], axis=1)
        parts.append(xp.concat([part, zero], axis=1) + sign * later)
    return (0.5 * (parts[0] + parts[1]))[:, : order + 1]


def formants(polynomials: Array, rate: float, count: int, widest: float = 600.0) -> np.ndarray:
    """Frequencies of the first resonances of the filters 1/A, from the roots of A.

    Parameters
    ----------
    polynomials : array, shape (n, p + 1)
        The polynomials (their roots are found on the host).
    rate : float
        Sampling rate, Hz.
    count : int
        How many resonances.
    widest : float
        A root whose bandwidth (Hz) is larger is no resonance.

    Returns
    -------
    numpy.ndarray, shape (n, count)
        Ascending frequencies, Hz; NaN where there are fewer.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    polynomials = _check_polynomials(polynomials)
    rate = check_scalar("rate", rate, above=0)
    count = check_integer("count", count, at_least=1)
    widest = check_scalar("widest", widest, above=0)
    a = to_host(polynomials)
    order = a.shape[1] - 1
    companion = np.zeros((len(a), order, order))
    companion[:, 0] = -a[:, 1:]
    companion[:, np.arange(1, order), np.arange(order - 1)] = 1
    roots = np.linalg.eigvals(companion)
    frequency = np.angle(roots) * rate / (2 * math.pi)
    with np.errstate(divide="ignore"):
        bandwidth = -np.log(np.abs(roots)) * rate / math.pi
    is_one = (frequency > 0) & (frequency < rate / 2) & (bandwidth < widest)
    found = np.sort(np.where(is_one, frequency, np.nan), axis=1)[:, :count]
    missing = max(0, count - order)
    return np.pad(found, ((0, 0), (0, missing)), constant_values=np.nan)
