r"""Matérn Gaussian processes on a line in :math:`O(n)`: Kalman filter and smoother.

A Matérn process of smoothness :math:`p - \tfrac12` and its first :math:`p - 1` derivatives form a
Markov process (Hartikainen and Särkkä, 2010), so filtering and smoothing replace the Cholesky
factor.  Filters run step after step; here the series is cut into blocks, all of which are filtered
at once, first from an unknown start to learn what each block does to any start, then from the
right one (the idea of Särkkä and García-Fernández, 2021).  The number of array operations is
:math:`O(\sqrt n)`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gaussbook.arrays import Array, namespace
from gaussbook.gp.covariances import Matern12, Matern32, Matern52
from gaussbook.validation import check_array, check_scalar

__all__ = [
    "StateSpaceRegressor",
    "information_smoother",
    "kalman_log_likelihood",
    "kalman_smoother",
    "matern_transitions",
]

_FORGOTTEN = 1e3  # in units of 1/lambda: exp(-1000) is zero, nothing is left of a state
_ORDER = {Matern12: 1, Matern32: 2, Matern52: 3}
# In units of 1/lambda: response of the state (f, f', ...) to a unit impulse on its last entry,
# as polynomials in time (lowest power first) times exp(-time), and the impulses' intensity.
_RESPONSE = {
    1: [[1.0]],
    2: [[0.0, 1.0], [1.0, -1.0]],
    3: [[0.0, 0.0, 0.5], [0.0, 1.0, -0.5], [1.0, -2.0, 0.5]],
}
_INTENSITY = {1: 2.0, 2: 4.0, 3: 16 / 3}
_STATIONARY = {
    1: [[1.0]],
    2: [[1.0, 0.0], [0.0, 1.0]],
    3: [[1.0, 0.0, -1 / 3], [0.0, 1 / 3, 0.0], [-1 / 3, 0.0, 1.0]],
}
# The transition matrix in the same form: entry (i, j) as a polynomial.
_TRANSITION = {
    1: [[[1.0]]],
    2: [[[1.0, 1.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, -1.0]]],
    3: [
        [[1.0, 1.0, 0.5], [0.0, 1.0, 1.0], [0.0, 0.0, 0.5]],
        [[0.0, 0.0, -0.5], [1.0, 1.0, -1.0], [0.0, 1.0, -0.5]],
        [[0.0, -1.0, 0.5], [0.0, -3.0, 1.0], [1.0, -2.0, 0.5]],
    ],
}


def matern_transitions(
    covariance: Matern12 | Matern32 | Matern52, gaps: Array
) -> tuple[Array, Array, Array]:
    r"""Return how the Markov state of a Matérn process moves over given gaps of time.

    The state is :math:`(f, f'/\lambda, f''/\lambda^2)` up to its order :math:`p`, with
    :math:`\lambda = \sqrt{2p-1}/\ell`, and
    :math:`s(t+\Delta) = A(\Delta)\,s(t) + N(0, Q(\Delta))`.

    Parameters
    ----------
    covariance : Matern12, Matern32 or Matern52
        The process.
    gaps : array, shape (n,)
        Non-negative time differences :math:`\Delta`.

    Returns
    -------
    transitions, noises : array, shape (n, p, p)
        The matrices :math:`A` and :math:`Q`.
    stationary : array, shape (p, p)
        The covariance of the state at any single time.

    Raises
    ------
    ValueError
        If the covariance is of another kind or has several lengths, or a gap is negative.

    Notes
    -----
    :math:`Q = q\int_0^\Delta g(s)g(s)^\top ds` is integrated term by term with the incomplete gamma
    function.  The difference :math:`P_\infty - AP_\infty A^\top` is the same, but for Matérn 5/2
    it is :math:`O(\Delta^5)` and would drown in rounding on fine grids.
    """
    p = _order(covariance)
    gaps = check_array("gaps", gaps, ndim=1)
    xp = namespace(gaps)
    if bool(xp.any(gaps < 0)):
        raise ValueError("gaps holds negative values")
    u = gaps * (math.sqrt(2 * p - 1) / float(covariance.lengthscale[0]))
    u = xp.minimum(u, xp.asarray(_FORGOTTEN, dtype=u.dtype))
    decay = xp.exp(-u)
    powers = [xp.ones_like(u), u, u * u]
    A = [
        decay * sum(c * power for c, power in zip(entry, powers, strict=False))
        for row in _TRANSITION[p]
        for entry in row
    ]
    moments = _damped_moments(2 * p - 1, u)
    scale = covariance.variance * _INTENSITY[p]
    Q = [
        scale * sum(float(c) * m for c, m in zip(np.convolve(a, b), moments, strict=True))
        for a in _RESPONSE[p]
        for b in _RESPONSE[p]
    ]
    shape = (u.shape[0], p, p)
    return (
        xp.reshape(xp.stack(A, axis=1), shape),
        xp.reshape(xp.stack(Q, axis=1), shape),
        covariance.variance * xp.asarray(_STATIONARY[p], dtype=u.dtype),
    )


def _order(covariance: Matern12 | Matern32 | Matern52) -> int:
    if type(covariance) not in _ORDER:
        names = ", ".join(kind.__name__ for kind in _ORDER)
        raise ValueError(f"covariance must be one of {names}, got {type(covariance).__name__}")
    if len(covariance.lengthscale) != 1:
        raise ValueError("covariance must have one lengthscale")
    return _ORDER[type(covariance)]


def _damped_moments(count: int, u: Array) -> list[Array]:
    r"""Return :math:`\int_0^u s^k e^{-2s} ds` for k < count, to full relative accuracy.

    They are :math:`k!/2^{k+1}` times the regularised incomplete gamma function of k + 1 at
    :math:`x = 2u`, that is :math:`e^{-x}\sum_{m>k}x^m/m!` where x is small and
    :math:`1 - e^{-x}\sum_{m\le k}x^m/m!` where it is not.
    """
    xp = namespace(u)
    x = 2 * u
    small = xp.where(x < 3, x, 3.0)
    term = small**count / math.factorial(count)
    series, largest, m = xp.asarray(term, copy=True), float(xp.max(small)), count
    share = 1.0  # of the last term in the first, where it is largest
    while share > 1e-17:  # for 3 after some 30 terms, for small steps much earlier
        m += 1
        share *= largest / m
        term *= small
        term /= m
        series += term
    sums = [series]  # of the powers above k; adding the next lower one loses nothing
    for k in range(count - 1, 0, -1):
        sums.append(sums[-1] + small**k / math.factorial(k))
    near, far, below = xp.exp(-small), xp.exp(-x), xp.zeros_like(x)
    moments = []
    for k, above in enumerate(reversed(sums)):
        below = below + x**k / math.factorial(k)
        gamma = xp.where(x < 3, near * above, 1 - far * below)
        moments.append(math.factorial(k) / 2 ** (k + 1) * gamma)
    return moments


class _Pass(NamedTuple):
    """What one forward pass over all blocks leaves behind."""

    mean: Array  # filtered means, (steps, blocks, p)
    covariance: Array  # filtered covariances, (steps, blocks, p, p)
    gain: Array  # Kalman gains, (steps, blocks, p)
    score: Array  # weight * innovation / its variance, (steps, blocks)
    precision: Array  # weight / innovation variance, (steps, blocks)
    log_likelihood: float
    sensitivity: Array  # of a block's last mean to its start, (blocks, p, p)
    information: Array  # about a block's start in its data, (blocks, p, p) ...
    evidence: Array  # ... and the vector that goes with it, (blocks, p)


def _outer(a: Array, b: Array) -> Array:
    return a[..., :, None] * b[..., None, :]


def _forward(
    A: Array,
    Q: Array,
    y: Array,
    weight: Array,
    noise: float,
    m: Array,
    P: Array,
    keep: bool = True,
) -> _Pass:
    """Run the Kalman filter through all blocks at once, from the means m and covariances P.

    What a step leaves is kept where asked; that of the last step always.
    """
    xp = namespace(A)
    blocks, p = m.shape
    Phi = xp.zeros_like(P) + xp.eye(p, dtype=P.dtype)
    J, eta = xp.zeros_like(P), xp.zeros_like(m)
    total = xp.zeros((blocks,), dtype=m.dtype)
    kept: list[tuple[Array, ...]] = []
    for k in range(A.shape[0]):
        moved = A[k, ...] @ xp.concat([P, Phi, m[..., None]], axis=2)  # one product of three
        P = moved[..., :p] @ xp.matrix_transpose(A[k, ...]) + Q[k, ...]
        Phi, m = moved[..., p:-1], moved[..., -1]
        S = P[:, 0, 0] + noise
        innovation = y[k, :] - m[:, 0]
        precision = weight[k, :] / S  # zero where nothing was observed
        score = precision * innovation
        gain = P[:, :, 0] * precision[:, None]
        seen = Phi[:, 0, :]  # how the predicted value moves with the block's start
        eta = eta + seen * score[:, None]
        J = J + _outer(seen, seen * precision[:, None])
        m = m + gain * innovation[:, None]
        P = P - _outer(gain, P[:, 0, :])
        Phi = Phi - _outer(gain, seen)
        total = total - 0.5 * (weight[k, :] * xp.log(2 * math.pi * S) + score * innovation)
        if keep or k == A.shape[0] - 1:
            kept.append((m, P, gain, score, precision))
    stacked = (xp.stack(list(parts)) for parts in zip(*kept, strict=True))
    return _Pass(*stacked, float(xp.sum(total)), Phi, J, eta)


def _starts(blocks: _Pass, P: Array) -> tuple[Array, Array, float]:
    """Carry the state from block to block: filtered mean and covariance before each of them.

    And the log-likelihood: a block's data have the density exp(l + eta's - s'Js / 2) given its
    start s, where l is what they have from zero, and s ~ N(m, P) gives the rest.
    """
    xp = namespace(P)
    m = xp.zeros((P.shape[0],), dtype=P.dtype)
    identity = xp.eye(P.shape[0], dtype=P.dtype)
    means, covariances, mixing, gains = [], [], [], []
    for b in range(blocks.sensitivity.shape[0]):
        means.append(m)
        covariances.append(P)
        J, eta, Phi = (
            part[b, ...] for part in (blocks.information, blocks.evidence, blocks.sensitivity)
        )
        mixing.append(identity + P @ J)
        inverse = xp.linalg.inv(mixing[-1])
        surprise = eta - J @ m
        gains.append(m @ (eta + surprise) + surprise @ (inverse @ (P @ surprise)))
        onward = Phi @ inverse
        m = onward @ (m + P @ eta) + blocks.mean[-1, b, :]
        P = onward @ P @ xp.matrix_transpose(Phi) + blocks.covariance[-1, b, ...]
    log_determinants = xp.linalg.slogdet(xp.stack(mixing))[1]
    gain = 0.5 * float(xp.sum(xp.stack(gains) - log_determinants))
    return xp.stack(means), xp.stack(covariances), blocks.log_likelihood + gain


def _adjoints(blocks: _Pass) -> tuple[Array, Array]:
    """Carry the smoother's adjoints back from block to block: their values behind each of them."""
    xp = namespace(blocks.mean)
    r = xp.zeros_like(blocks.evidence[0, :])
    N = xp.zeros_like(blocks.information[0, ...])
    vectors, matrices = [], []
    for b in reversed(range(blocks.sensitivity.shape[0])):
        vectors.append(r)
        matrices.append(N)
        Phi = blocks.sensitivity[b, ...]
        back = xp.matrix_transpose(Phi)
        r = blocks.evidence[b, :] + back @ r
        N = blocks.information[b, ...] + back @ N @ Phi
    return xp.stack(vectors[::-1]), xp.stack(matrices[::-1])


def _backward(A: Array, forward: _Pass, r: Array, N: Array) -> tuple[Array, Array]:
    """Return smoothed means and variances of the first entry, (steps, blocks) each."""
    xp = namespace(A)
    means, variances = [], []
    for k in reversed(range(A.shape[0])):
        row = forward.covariance[k, :, 0, :]
        means.append(forward.mean[k, :, 0] + xp.sum(row * r, axis=-1))
        through = (N @ row[..., None])[..., 0]
        variances.append(row[:, 0] - xp.sum(row * through, axis=-1))
        gain = forward.gain[k, ...]
        # Back through the update, I - gain e_1', which changes the first entry only ...
        first = xp.eye(r.shape[1], dtype=r.dtype)[0, :]
        r = r + first * (forward.score[k, :] - xp.sum(gain * r, axis=-1))[:, None]
        Ng = (N @ gain[..., None])[..., 0]
        corner = forward.precision[k, :] + xp.sum(gain * Ng, axis=-1)
        N = N - _outer(Ng, xp.zeros_like(Ng) + first) - _outer(xp.zeros_like(Ng) + first, Ng)
        N = N + corner[:, None, None] * _outer(first, first)
        # ... and through the transition.
        back = xp.matrix_transpose(A[k, ...])
        r = (back @ r[..., None])[..., 0]
        N = back @ N @ A[k, ...]
    return xp.stack(means[::-1]), xp.stack(variances[::-1])


def kalman_smoother(
    transitions: Array,
    noises: Array,
    start: Array,
    y: Array,
    noise_variance: float,
    observed: Array | None = None,
) -> tuple[Array, Array, float]:
    r"""Smooth noisy observations of the first entry of a linear Gaussian state.

    :math:`s_k = A_k s_{k-1} + N(0, Q_k)`, :math:`s_{-1} \sim N(0, P)`,
    :math:`y_k = s_{k,0} + N(0, \tau^2)`.  The smoother is that of Bryson and Frazier, which
    inverts no covariance and so does not mind singular ones.

    Parameters
    ----------
    transitions, noises : array, shape (n, p, p)
        The matrices :math:`A_k` and :math:`Q_k`.
    start : array, shape (p, p)
        The covariance :math:`P` of the state before the first step.
    y : array, shape (n,)
        The observations.
    noise_variance : float
        The variance :math:`\tau^2 > 0`.
    observed : array of bool, shape (n,), optional
        Which observations there are; all if not given.

    Returns
    -------
    mean, variance : array, shape (n,)
        Posterior mean and variance of :math:`s_{k,0}` given all observations.
    log_likelihood : float
        The log marginal likelihood of the observations.

    Raises
    ------
    ValueError
        If shapes do not fit or `noise_variance` is not positive.

    Notes
    -----
    About :math:`60 n p^3` flops in some :math:`75\sqrt n` batched array operations.
    """
    y = check_array("y", y, ndim=1)
    model = transitions, noises, start, y, noise_variance, observed
    series, *starts, _ = _joined_blocks(*model, ratio=3.0)
    xp, n = namespace(*series[:3]), y.shape[0]
    forward = _forward(*series, *starts)
    mean, variance = _backward(series[0], forward, *_adjoints(forward))
    mean, variance = (xp.reshape(xp.matrix_transpose(v), (-1,))[:n] for v in (mean, variance))
    return mean, variance, forward.log_likelihood


def kalman_log_likelihood(
    transitions: Array,
    noises: Array,
    start: Array,
    y: Array,
    noise_variance: float,
    observed: Array | None = None,
) -> float:
    r"""Return the log marginal likelihood that `kalman_smoother` returns, and nothing else.

    Each block of the series is filtered once, from a start at zero; what its data say about the
    true start is a Gaussian, so that the joining of the blocks gives the rest in closed form.

    Parameters
    ----------
    transitions, noises, start, y, noise_variance, observed
        As for `kalman_smoother`.

    Returns
    -------
    float
        The log marginal likelihood of the observations.

    Raises
    ------
    ValueError
        As `kalman_smoother`.

    Notes
    -----
    About :math:`20 n p^3` flops in some :math:`40\sqrt n` batched array operations.
    """
    # Fewer, longer blocks than for the smoother: they are run through once.
    return _joined_blocks(transitions, noises, start, y, noise_variance, observed, ratio=1.5)[-1]


def _joined_blocks(
    transitions: Array,
    noises: Array,
    start: Array,
    y: Array,
    noise_variance: float,
    observed: Array | None,
    ratio: float,
) -> tuple[tuple, Array, Array, float]:
    """Check and cut a series; return it, the state before each block, and the log-likelihood.

    Blocks of sqrt(n) / `ratio` steps are cheap to run side by side and dear to join one by one.
    """
    A = check_array("transitions", transitions, ndim=3)
    n, p = A.shape[:2]
    Q = check_array("noises", noises, shape=tuple(A.shape))
    P = check_array("start", start, shape=(p, p))
    y = check_array("y", y, shape=(n,))
    noise_variance = check_scalar("noise_variance", noise_variance, above=0)
    xp = namespace(A, Q, P, y)
    weight = xp.ones_like(y) if observed is None else _weights(observed, y)
    steps = max(1, round(math.sqrt(n) / ratio))
    series = *(_cut(part, steps) for part in (A, Q, y, weight)), noise_variance
    blocks = series[0].shape[1]
    m, zero = xp.zeros((blocks, p), dtype=A.dtype), xp.zeros((blocks, p, p), dtype=A.dtype)
    return series, *_starts(_forward(*series, m, zero, keep=False), P)


def information_smoother(
    transitions: Array, noises: Array, start: Array, information: Array, shift: Array
) -> tuple[Array, Array]:
    r"""Smooth several alike processes that are observed jointly, with Gaussian evidence per step.

    Process :math:`j` has the state :math:`s_k^j = A_k s_{k-1}^j + N(0, Q_k)`,
    :math:`s_{-1}^j \sim N(0, P)`, and the value :math:`u_k^j = s_{k,0}^j`.  At each step the
    evidence multiplies the density of the values :math:`u_k \in \mathbb{R}^r` by
    :math:`\exp(\eta_k^\top u_k - \tfrac12 u_k^\top \Lambda_k u_k)`; zero says nothing.

    Parameters
    ----------
    transitions, noises : array, shape (n, ..., p, p)
        The matrices :math:`A_k` and :math:`Q_k`; further axes are series of their own.
    start : array, shape (p, p) or (..., p, p)
        The covariance :math:`P` of a process's state before the first step.
    information : array, shape (n, ..., r, r)
        The symmetric, positive semi-definite matrices :math:`\Lambda_k`.
    shift : array, shape (n, ..., r)
        The vectors :math:`\eta_k`.

    Returns
    -------
    mean : array, shape (n, ..., r)
        Posterior means of the values :math:`u_k` given all evidence.
    covariance : array, shape (n, ..., r, r)
        Their posterior covariances.

    Raises
    ------
    ValueError
        If shapes do not fit, or a matrix of `information` is not symmetric or has a negative
        diagonal.

    Notes
    -----
    About :math:`15 n (pr)^3` flops for each series, in :math:`30 n` array operations over all of
    them.  No covariance and no :math:`\Lambda_k` is inverted: the smoother is that of Bryson and
    Frazier, with :math:`(\Lambda^{-1} + P_{11})^{-1} = (I + \Lambda P_{11})^{-1} \Lambda`.
    Rounding grows with :math:`\Lambda_k P_{11}`: where evidence is :math:`10^6` times as strong as
    the prior, the covariances in float64 are off by some :math:`10^{-11}` of the prior's variance;
    beyond :math:`10^{12}` nothing is left of them.
    """
    A = check_array("transitions", transitions)
    if A.ndim < 3 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"transitions must have shape (n, ..., p, p), got {tuple(A.shape)}")
    n, *series, p, _ = A.shape
    Q = check_array("noises", noises, shape=tuple(A.shape))
    P = check_array("start", start)
    if tuple(P.shape) not in ((p, p), (*series, p, p)):
        wanted = " or ".join(map(str, dict.fromkeys([(p, p), (*series, p, p)])))
        raise ValueError(f"start must have shape {wanted}, got {tuple(P.shape)}")
    eta = check_array("shift", shift, shape=(n, *series, None))
    r = eta.shape[-1]
    Lambda = _check_information(information, (n, *series, r, r))
    xp = namespace(A, Q, P, Lambda, eta)
    dtype = xp.result_type(A, Q, P, Lambda, eta)
    A, Q, P, Lambda, eta = (xp.astype(v, dtype, copy=False) for v in (A, Q, P, Lambda, eta))
    P = _alike(P, r) + xp.zeros((*series, p * r, p * r), dtype=dtype)
    A, Q = _alike(A, r), _alike(Q, r)
    m, identity = xp.zeros((*series, p * r, 1), dtype=A.dtype), xp.eye(r, dtype=A.dtype)
    predicted: list[tuple[Array, ...]] = []
    for k in range(n):
        moved = A[k, ...] @ xp.concat([P, m], axis=-1)
        P = moved[..., :-1] @ xp.matrix_transpose(A[k, ...]) + Q[k, ...]
        m = moved[..., -1:]
        rows = xp.concat([P[..., :r, :], m[..., :r, :]], axis=-1)  # of the values
        pulled = Lambda[k, ...] @ xp.concat([rows[..., :r], rows[..., -1:]], axis=-1)
        right = xp.concat([Lambda[k, ...], eta[k, ..., None] - pulled[..., -1:]], axis=-1)
        weight = xp.linalg.solve(identity + pulled[..., :r], right)  # precision and score
        change = P[..., :r] @ weight
        P = P - change[..., :r] @ rows[..., :-1]
        m = m + change[..., r:]
        predicted.append((rows, weight))
    adjoint = xp.zeros((*series, p * r, p * r + 1), dtype=A.dtype)  # N and r of the method
    means, covariances = [], []
    for k in reversed(range(n)):
        rows, weight = predicted[k]
        P1, precision = rows[..., :-1], weight[..., :r]
        across = xp.matrix_transpose(P1)
        # Back through the update, I - P1' precision [I, 0], and its own evidence ...
        adjoint[..., :r, :] = adjoint[..., :r, :] - precision @ (P1 @ adjoint)
        adjoint[..., :r] = adjoint[..., :r] - (adjoint[..., :-1] @ across) @ precision
        adjoint[..., :r, :r] = adjoint[..., :r, :r] + precision
        adjoint[..., :r, -1:] = adjoint[..., :r, -1:] + weight[..., r:]
        # ... to the smoothed values at this step, then through the transition.
        through = P1 @ adjoint
        means.append((rows[..., -1:] + through[..., -1:])[..., 0])
        covariances.append(P1[..., :r] - through[..., :-1] @ across)
        back = xp.matrix_transpose(A[k, ...]) @ adjoint
        adjoint = xp.concat([back[..., :-1] @ A[k, ...], back[..., -1:]], axis=-1)
    covariance = xp.stack(covariances[::-1])
    return xp.stack(means[::-1]), (covariance + xp.matrix_transpose(covariance)) / 2


def _check_information(information: Array, shape: tuple[int, ...]) -> Array:
    """Return the matrices, which must be symmetric to half the type's digits, as exactly so."""
    Lambda = check_array("information", information, shape=shape)
    xp = namespace(Lambda)
    mirrored = xp.matrix_transpose(Lambda)
    size = xp.max(xp.abs(Lambda), axis=(-2, -1))
    tolerance = float(xp.finfo(Lambda.dtype).eps) ** 0.5 * size
    asymmetry = xp.max(xp.abs(Lambda - mirrored), axis=(-2, -1))
    if bool(xp.any(asymmetry > tolerance)):
        worst = float(xp.max(asymmetry))
        raise ValueError(f"information is not symmetric (entries differ by {worst:.3g})")
    if bool(xp.any(xp.linalg.diagonal(Lambda) < -tolerance[..., None])):
        raise ValueError("information has negative diagonal entries")
    return (Lambda + mirrored) / 2


def _alike(matrix: Array, r: int) -> Array:
    """Return the matrices (..., p, p) of one process as those of r, the values of all first."""
    xp = namespace(matrix)
    p = matrix.shape[-1]
    blocks = matrix[..., :, None, :, None] * xp.eye(r, dtype=matrix.dtype)[:, None, :]
    return xp.reshape(blocks, (*matrix.shape[:-2], p * r, p * r))


def _weights(observed: Array, y: Array) -> Array:
    """Return one for each observation there is and zero for the others."""
    if tuple(observed.shape) != tuple(y.shape):
        raise ValueError(f"observed must have shape {tuple(y.shape)}, got {tuple(observed.shape)}")
    return namespace(observed, y).astype(observed, y.dtype)


def _cut(series: Array, steps: int) -> Array:
    """Return a series (n, ...), zeros appended, as (steps, n / steps, ...): blocks side by side.

    Appended steps reset the state to zero and are not observed: nothing follows them.
    """
    xp = namespace(series)
    fill = xp.zeros((-series.shape[0] % steps, *series.shape[1:]), dtype=series.dtype)
    blocks = xp.reshape(xp.concat([series, fill]), (-1, steps, *series.shape[1:]))
    return xp.permute_dims(blocks, (1, 0, *range(2, blocks.ndim)))


class StateSpaceRegressor:
    """Gaussian process regression on a line with a Matérn covariance, in linear time.

    Parameters
    ----------
    covariance : Matern12, Matern32 or Matern52
        The prior's covariance.
    noise_variance : float
        The variance of the noise.

    Attributes
    ----------
    log_marginal_likelihood_ : float
        The log marginal likelihood of the data.
    """

    def __init__(self, covariance: Matern12 | Matern32 | Matern52, noise_variance: float = 1e-2):
        self.covariance = covariance
        self.noise_variance = check_scalar("noise_variance", noise_variance, above=0)
        _order(covariance)

    def fit(self, t: Array, y: Array) -> StateSpaceRegressor:
        """Take in the data.

        Parameters
        ----------
        t : array, shape (n,)
            Times, in any order.
        y : array, shape (n,)
            Targets, with prior mean zero.

        Returns
        -------
        StateSpaceRegressor
            This object.

        Raises
        ------
        ValueError
            If the data do not fit.
        """
        t = check_array("t", t, ndim=1)
        y = check_array("y", y, shape=tuple(t.shape))
        xp = namespace(t, y)
        self._t, self._y = xp.asarray(t, copy=True), xp.asarray(y, copy=True)
        order, steps = self._sorted_steps(self._t)
        self.log_marginal_likelihood_ = kalman_log_likelihood(
            *steps, xp.take(self._y, order), self.noise_variance
        )
        return self

    def predict(
        self, t: Array | None = None, *, return_std: bool = False
    ) -> Array | tuple[Array, Array]:
        """Return the posterior mean, and the standard deviation if asked.

        Parameters
        ----------
        t : array, shape (m,), optional
            New times; those of the data if not given.
        return_std : bool
            Return also the posterior standard deviation of the process, without the noise.

        Returns
        -------
        mean, deviation : array, shape (m,)
            The posterior at the times.
        """
        if t is None:
            xp = namespace(self._t)
            mean, variance = self._smooth(self._t, self._y, None)
        else:
            t = check_array("t", t, ndim=1)
            xp = namespace(t)
            n, m = self._t.shape[0], t.shape[0]
            there = xp.concat([xp.ones((n,), dtype=xp.bool), xp.zeros((m,), dtype=xp.bool)])
            targets = xp.concat([self._y, xp.zeros((m,), dtype=self._y.dtype)])
            mean, variance = self._smooth(xp.concat([self._t, t]), targets, there)
            mean, variance = mean[n:], variance[n:]
        if not return_std:
            return mean
        return mean, xp.sqrt(xp.where(variance > 0, variance, 0.0))  # below zero only by rounding

    def _sorted_steps(self, t: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        """Return the order of the times, and how the state moves from one to the next."""
        xp = namespace(t)
        order = xp.argsort(t)
        sorted_t = xp.take(t, order)
        gaps = xp.concat([xp.zeros((1,), dtype=t.dtype), sorted_t[1:] - sorted_t[:-1]])
        return order, matern_transitions(self.covariance, gaps)

    def _smooth(self, t: Array, y: Array, observed: Array | None) -> tuple[Array, Array]:
        """Sort by time, smooth, and put the results back in the order given."""
        xp = namespace(t)
        order, steps = self._sorted_steps(t)
        there = None if observed is None else xp.take(observed, order)
        mean, variance, _ = kalman_smoother(*steps, xp.take(y, order), self.noise_variance, there)
        back = xp.argsort(order)
        return xp.take(mean, back), xp.take(variance, back)
