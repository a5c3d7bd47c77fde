"""From pitch, harmonics and filters to a waveform, and from a waveform to its pitch."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["all_pole_filter", "harmonics", "pitch"]

_NEARLY = 0.85  # of the highest peak


def all_pole_filter(excitation: Array, polynomials: Array, hop: int) -> np.ndarray:
    r"""Send an excitation through filters :math:`1/A` that change every few samples.

    The state of the filter (in its transposed form) is carried over, so that a change of the
    filter does not click.

    Parameters
    ----------
    excitation : array, shape (T,)
        The excitation; the recursion runs on the host.
    polynomials : array, shape (n, p + 1)
        The polynomials A, each for `hop` samples and the last to the end.
    hop : int
        Number of samples, with :math:`(n-1)\,\text{hop}<T`.

    Returns
    -------
    numpy.ndarray, shape (T,)
        The filtered signal.

    Raises
    ------
    ValueError
        If there are more polynomials than the excitation needs, or an argument is out of range.
    """
    signal = to_host(check_array("excitation", excitation, ndim=1))
    a = to_host(check_array("polynomials", polynomials, ndim=2))
    hop = check_integer("hop", hop, at_least=1)
    if not np.all(a[:, 0] == 1):
        raise ValueError("polynomials must begin with 1")
    if (len(a) - 1) * hop >= len(signal):
        raise ValueError(f"polynomials: {len(a)} of {hop} samples are more than {len(signal)}")
    state = np.zeros(a.shape[1] - 1)
    pieces = []
    for k, row in enumerate(a):
        stop = (k + 1) * hop if k + 1 < len(a) else len(signal)
        piece, state = lfilter([1.0], row, signal[k * hop : stop], zi=state)
        pieces.append(piece)
    return np.concatenate(pieces)


def harmonics(frequency: Array, amplitudes: Array, rate: float) -> Array:
    r"""Sum of the harmonics of a moving pitch.

    .. math::
        e_t=\sum_{h:\,hf_t<f_s/2}g_t(hf_t)\cos(h\phi_t),\qquad
        \phi_t=\frac{2\pi}{f_s}\sum_{s\le t}f_s

    Parameters
    ----------
    frequency : array, shape (T,)
        Pitch at each sample, Hz.
    amplitudes : array, shape (T, B)
        The amplitude g at the middles of B equal bins between 0 and half the rate; linear between
        them and constant before the first and after the last.
    rate : float
        Sampling rate, Hz.

    Returns
    -------
    array, shape (T,)
        The sum.

    Raises
    ------
    ValueError
        If a pitch is not between 0 and half the rate, or the arguments do not fit.
    """
    frequency = check_array("frequency", frequency, ndim=1)
    amplitudes = check_array("amplitudes", amplitudes, shape=(frequency.shape[0], None))
    rate = check_scalar("rate", rate, above=0)
    xp = namespace(frequency, amplitudes)
    lowest = float(xp.min(frequency))
    if lowest <= 0 or float(xp.max(frequency)) >= rate / 2:
        raise ValueError("frequency must lie between 0 and half the rate")
    n_bins = amplitudes.shape[1]
    phase = 2 * math.pi / rate * xp.cumulative_sum(frequency)
    total = xp.zeros_like(phase)
    for h in range(1, math.ceil(rate / 2 / lowest)):
        place = xp.clip(h * frequency * (2 * n_bins / rate) - 0.5, 0.0, n_bins - 1.0)
        left = xp.astype(xp.clip(xp.floor(place), 0.0, max(n_bins - 2.0, 0.0)), xp.int64)
        share = place - xp.astype(left, place.dtype)
        pair = [
            xp.take_along_axis(amplitudes, index[:, None], axis=1)[:, 0]
            for index in (left, xp.clip(left + 1, 0, n_bins - 1))
        ]
        heard = xp.astype(h * frequency < rate / 2, phase.dtype)
        total = total + heard * ((1 - share) * pair[0] + share * pair[1]) * xp.cos(h * phase)
    return total


def pitch(frames: Array, window: Array, rate: float, lowest: float, highest: float) -> Array:
    """Pitch of frames, from the peaks of their autocorrelation.

    Of all peaks nearly as high (85 %) as the highest, the one with the shortest period counts:
    twice a period is a period too.

    Parameters
    ----------
    frames : array, shape (n, length)
        Frames of voiced speech, not windowed, at least two periods long.
    window : array, shape (length,)
        Weights; the autocorrelation is divided by that of the window.
    rate : float
        Sampling rate, Hz.
    lowest, highest : float
        Where to look, Hz.

    Returns
    -------
    array, shape (n,)
        Pitch, Hz, refined by a parabola through the peak and its neighbours.

    Raises
    ------
    ValueError
        If the range is empty or too low for the length of a frame.
    """
    frames = check_array("frames", frames, ndim=2)
    length = frames.shape[1]
    window = check_array("window", window, shape=(length,))
    rate = check_scalar("rate", rate, above=0)
    lowest = check_scalar("lowest", lowest, above=0)
    highest = check_scalar("highest", highest, above=lowest, at_most=rate / 4)
    first, last = math.floor(rate / highest), math.ceil(rate / lowest)
    if last + 1 >= length:
        raise ValueError(f"lowest: a period of {last} samples needs frames longer than {length}")
    xp = namespace(frames, window)

    def autocorrelation(x: Array) -> Array:
        power = xp.abs(xp.fft.rfft(x, n=2 * length, axis=1)) ** 2
        return xp.fft.irfft(xp.astype(power, xp.complex128), n=2 * length, axis=1)[
            :, first - 1 : last + 2
        ]

    r = autocorrelation(frames * window) / autocorrelation(window[None, :])
    r = r / xp.max(xp.abs(r), axis=1, keepdims=True)
    middle = r[:, 1:-1]
    is_peak = (middle >= r[:, :-2]) & (middle >= r[:, 2:])
    highest_peak = xp.max(xp.where(is_peak, middle, -xp.ones_like(middle)), axis=1, keepdims=True)
    good = is_peak & (middle >= _NEARLY * highest_peak)
    best = xp.argmax(xp.astype(good, xp.int8), axis=1) + 1  # the first of them
    left, top, right = (
        xp.take_along_axis(r, (best + k)[:, None], axis=1)[:, 0] for k in (-1, 0, 1)
    )
    bend = left - 2 * top + right
    bend = xp.where(bend < 0, bend, -xp.ones_like(bend))
    shift = xp.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return rate / (xp.astype(best, r.dtype) + (first - 1) + shift)
