"""Maximum likelihood for mixtures of experts: expectation-maximisation and Newton's method."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from gaussbook.arrays import Array, namespace
from gaussbook.experts.model import Experts, Gate, Pass, check_data, one_pass
from gaussbook.gp.cholesky import solve_triangular
from gaussbook.validation import check_integer, check_scalar, try_cholesky

__all__ = ["Fit", "fit", "gradient", "refine"]

_HALVINGS = 12  # of a gate step, before it is given up


class Fit(NamedTuple):
    """The outcome of `fit` or `refine`.

    Attributes
    ----------
    experts : Experts
        The estimates.
    log_likelihood : array, shape (B,)
        Their log-likelihoods, summed over the points.
    history : array, shape (iterations + 1, B)
        The log-likelihood at the start and after each iteration.
    converged : boolean array, shape (B,)
        Whether the gain fell below the tolerance.
    """

    experts: Experts
    log_likelihood: Array
    history: Array
    converged: Array


def _covariance(weights: Array, blocks: Array, shared: Array) -> Array:
    r"""Return :math:`\sum_n\operatorname{Cov}_{i\sim w_n}(v_{in})`, shape (B, k q + 1, k q + 1).

    The vector v_i is `blocks`[:, i] (q numbers) in the place of expert i, zero in the other
    experts' places, and ends with the number `shared`[:, i].
    """
    xp = namespace(weights)
    B, k, n = weights.shape
    q = blocks.shape[2]
    weighted = weights[:, :, None, :] * blocks
    mean = xp.concat(
        [xp.reshape(weighted, (B, k * q, n)), xp.sum(weights * shared, axis=1)[:, None, :]], axis=1
    )
    own = weighted @ xp.matrix_transpose(xp.broadcast_to(blocks, weighted.shape))
    edge = xp.reshape(weighted @ shared[..., None], (B, k * q, 1))
    corner = xp.sum(weights * shared**2, axis=(1, 2))[:, None, None]
    top = xp.concat([_block_diagonal(own), edge], axis=2)
    bottom = xp.concat([xp.matrix_transpose(edge), corner], axis=2)
    return xp.concat([top, bottom], axis=1) - mean @ xp.matrix_transpose(mean)


def _block_diagonal(blocks: Array) -> Array:
    """Return (B, k, q, q) blocks as matrices (B, k q, k q) that are zero elsewhere."""
    xp = namespace(blocks)
    B, k, q, _ = blocks.shape
    spread = blocks[:, :, :, None, :] * xp.eye(k, dtype=blocks.dtype)[:, None, :, None]
    return xp.reshape(spread, (B, k * q, k * q))


def _vector(blocks: Array, last: Array) -> Array:
    """Return (B, k, q) blocks and (B,) numbers as one vector (B, k q + 1)."""
    xp = namespace(blocks)
    B = blocks.shape[0]
    return xp.concat([xp.reshape(blocks, (B, -1)), last[:, None]], axis=1)


def _free(experts: Experts, q: int, reference: int | None, learn_tau: bool) -> Array:
    """Return 1 for each free coordinate and 0 for those held: a reference gate, the temperature."""
    _, k, d = experts.shape
    xp = namespace(experts.beta1)
    ones = xp.ones((1, k, q), dtype=experts.beta1.dtype)
    if reference is not None:
        reference = check_integer("reference", reference, at_least=-k, at_most=k - 1) % k
        held = xp.arange(k)[:, None] == reference
        held = held & (xp.arange(q)[None, :] <= d)
        ones = xp.where(held[None, :, :], 0.0, ones)
    return _vector(ones, xp.full((1,), float(learn_tau), dtype=ones.dtype))


def _active_scores(p: Pass) -> Array:
    """Return -z, the derivative of z by log tau, and 0 where an expert is inactive."""
    xp = namespace(p.scores)
    return xp.where(p.weights > 0, -p.scores, xp.zeros_like(p.scores))


def _gate_step(p: Pass, experts: Experts, free: Array) -> Array:
    r"""Return the Newton step of :math:`\sum r_{in}\log w_i(x_n)`, active sets frozen.

    Its Hessian is minus the sum of the covariances of the features under the gate; a ridge of
    1e-8 of its diagonal makes up for the shift that a softmax does not see.
    """
    xp = namespace(p.shares)
    excess = p.shares - p.weights
    shared = _active_scores(p)
    slope = xp.sum(excess[:, :, None, :] * p.features, axis=3)
    slope = free * _vector(slope, xp.sum(excess * shared, axis=(1, 2)))
    information = _covariance(p.weights, p.features, shared) * free[:, :, None] * free[:, None, :]
    step = _solve(information, slope[..., None], ridge=1e-8)[..., 0]
    return _shortened(step, step.shape[1])


def _solve(matrix: Array, b: Array, ridge: float = 0.0) -> Array:
    """Solve positive semidefinite systems (..., q, q), each in units that make its diagonal one.

    A coordinate without information (nothing positive on the diagonal) makes no step, and neither
    does a direction in which rounding has left nothing: one singular system of a batch leaves the
    others as they are.
    """
    xp = namespace(matrix)
    diagonal = xp.linalg.diagonal(matrix)
    known = (diagonal > 0) & xp.isfinite(diagonal)
    unit = xp.where(known, 1 / xp.sqrt(xp.where(known, diagonal, 1.0)), 0.0)
    identity = xp.eye(matrix.shape[-1], dtype=matrix.dtype)
    scaled = _finite(unit[..., :, None] * matrix * unit[..., None, :])
    scaled = scaled + (ridge + xp.astype(~known, matrix.dtype))[..., None] * identity
    b = unit[..., None] * _finite(b)
    L = try_cholesky(scaled)
    if L is not None:
        return unit[..., None] * solve_triangular(L, solve_triangular(L, b), transpose=True)
    values, vectors = xp.linalg.eigh(scaled)
    smallest = max(ridge, matrix.shape[-1] * float(xp.finfo(matrix.dtype).eps))
    inverse = xp.where(values >= smallest, 1 / xp.where(values >= smallest, values, 1.0), 0.0)
    along = inverse[..., None] * (xp.matrix_transpose(vectors) @ b)
    return unit[..., None] * (vectors @ along)


def _finite(x: Array) -> Array:
    """Return an array in which what is infinite or NaN is zero."""
    xp = namespace(x)
    return xp.where(xp.isfinite(x), x, xp.zeros_like(x))


def _moved_gate(experts: Experts, step: Array) -> Experts:
    """Return the experts with the gate changed by a step (B, k (d + 1) + 1)."""
    xp = namespace(step)
    B, k, d = experts.shape
    blocks = xp.reshape(step[:, :-1], (B, k, d + 1))
    return replace(
        experts,
        beta1=experts.beta1 + blocks[:, :, :d],
        beta0=experts.beta0 + blocks[:, :, d],
        tau=experts.tau * xp.exp(step[:, -1]),
    )


def _expert_step(p: Pass, y: Array, experts: Experts) -> Experts:
    """Return weighted least squares for (a, b) and sigma.

    An expert with no more than d + 1 points' worth of shares keeps its line, and so does one whose
    line passes through all of its points: at an infinite likelihood.
    """
    xp = namespace(p.shares)
    d = experts.shape[2]
    total = xp.sum(p.shares, axis=2)
    alive = total > d + 1
    shares = xp.where(alive[:, :, None], p.shares, 1.0)
    total = xp.where(alive, total, float(p.shares.shape[2]))
    rows = p.columns[:, :-1, :]
    # About the means of its own points, a line's slope needs no digits for its place.
    x_mean = (shares @ xp.matrix_transpose(rows)) / total[:, :, None]
    y_mean = xp.sum(shares * y[:, None, :], axis=2) / total
    x_offsets, y_offsets = (
        rows[:, None, :, :] - x_mean[..., None],
        y[:, None, :] - y_mean[..., None],
    )
    weighted = shares[:, :, None, :] * x_offsets
    gram, moment = weighted @ xp.matrix_transpose(x_offsets), weighted @ y_offsets[..., None]
    a = _solve(gram, moment)[..., 0]
    residuals = y_offsets - (a[:, :, None, :] @ x_offsets)[:, :, 0, :]
    variance = xp.sum(shares * residuals**2, axis=2) / total
    rounding = float(xp.finfo(y.dtype).eps) * xp.max(xp.abs(y), axis=1)[:, None]
    alive = alive & (variance > rounding**2)
    return replace(
        experts,
        a=xp.where(alive[:, :, None], a, experts.a),
        b=xp.where(alive, y_mean - xp.sum(a * x_mean, axis=2), experts.b),
        sigma=xp.where(alive, xp.sqrt(variance), experts.sigma),
    )


def _select(better: Array, new: Experts, old: Experts) -> Experts:
    """Return `new` in the replications where it is better, else `old`."""
    xp = namespace(better)
    return Experts(
        **{
            name: xp.where(
                xp.reshape(better, (-1,) + (1,) * (value.ndim - 1)), value, getattr(old, name)
            )
            for name, value in vars(new).items()
        }
    )


def fit(
    x: Array,
    y: Array,
    start: Experts,
    gate: Gate | None = None,
    *,
    tol: float = 1e-10,
    max_iter: int = 2000,
    reference: int | None = None,
    learn_tau: bool = False,
) -> Fit:
    r"""Fit B mixtures of experts by expectation-maximisation, each from its own start.

    One iteration takes the responsibilities r, the experts' weighted least squares, and one Newton
    step of :math:`\sum_{in}r_{in}\log w_i(x_n)` for the gate with the active sets frozen.  Then
    the active sets are found anew, and where the log-likelihood fell the gate's step is halved, at
    last to nothing: the experts' step alone never lowers it.  Inputs are measured from their mean
    on the way, where the gate allows it.

    Parameters
    ----------
    x, y
        As for `log_likelihood`.
    start : Experts
        Where to start, B replications.
    gate : Gate, optional
        The form of the gate.
    tol : float
        A replication has converged when an iteration gains less log-likelihood per point.
    max_iter : int
        Most iterations.
    reference : int, optional
        An expert whose gate is held.  A linear gate needs none (see `Experts.relative_to`).
    learn_tau : bool
        Whether the temperatures are estimated as well.

    Returns
    -------
    Fit
        Estimates, log-likelihoods and their history.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    Jordan and Jacobs (1994), "Hierarchical mixtures of experts and the EM algorithm".  With
    K = 1 the weights are 0 and 1, the gate's Newton step is zero and the gate stays as it starts.
    """
    x, y, gate = *check_data(x, y), gate or Gate()
    if start.shape[0] != x.shape[0]:
        raise ValueError(f"start has {start.shape[0]} replications, x has {x.shape[0]}")
    tol = check_scalar("tol", tol, at_least=0)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(x, y)
    free = _free(start, start.shape[2] + 1, reference, learn_tau)
    x, experts, centre = _centred(x, start, gate)
    p = one_pass(x, y, experts, gate)
    history = [xp.sum(p.log_density, axis=1)]
    gain = xp.full_like(history[0], math.inf)
    for _ in range(max_iter):
        step = _gate_step(p, experts, free)
        moved = _expert_step(p, y, experts)
        experts, p = _line_search(x, y, moved, step, gate, experts, p)
        history.append(xp.sum(p.log_density, axis=1))
        gain = history[-1] - history[-2]
        if bool(xp.all(gain < tol * x.shape[1])):
            break
    experts = _uncentred(experts, start, centre)
    return Fit(experts, history[-1], xp.stack(history), gain < tol * x.shape[1])


def _centred(x: Array, experts: Experts, gate: Gate) -> tuple[Array, Experts, Array]:
    """Return inputs measured from their mean, the parameters that go with them, and the mean.

    Where the gate depends on where the inputs lie (see `Gate.follows_shifts`), the mean is zero.
    """
    xp = namespace(x)
    centre = xp.mean(x, axis=1)
    if not gate.follows_shifts(experts.shape[1]):
        centre = xp.zeros_like(centre)
    return x - centre[:, None, :], experts.shifted(centre), centre


def _uncentred(experts: Experts, start: Experts, centre: Array) -> Experts:
    """Return the parameters for the inputs as they came; a gate that has not moved stays as is."""
    moved = replace(
        experts,
        beta1=experts.beta1 - start.beta1,
        beta0=experts.beta0 - start.shifted(centre).beta0,
    ).shifted(-centre)
    return replace(moved, beta1=experts.beta1, beta0=start.beta0 + moved.beta0)


def _line_search(
    x: Array, y: Array, experts: Experts, step: Array, gate: Gate, old: Experts, last: Pass
) -> tuple[Experts, Pass]:
    """Halve the gate's step in the replications whose log-likelihood would fall.

    Those whose likelihood falls all the same, by rounding, stay as they were.
    """
    xp = namespace(x, y)
    before = xp.sum(last.log_density, axis=1)
    fraction = xp.ones_like(before)
    for _ in range(_HALVINGS):
        moved = _moved_gate(experts, fraction[:, None] * step)
        p = one_pass(x, y, moved, gate)
        fell = ~(xp.sum(p.log_density, axis=1) >= before)
        if not bool(xp.any(fell)):
            return moved, p
        fraction = xp.where(fell, fraction / 2, fraction)
    moved = _moved_gate(experts, xp.where(fell, 0.0, fraction)[:, None] * step)
    fell = ~(xp.sum(one_pass(x, y, moved, gate).log_density, axis=1) >= before)
    moved = _select(~fell, moved, old)
    return moved, one_pass(x, y, moved, gate)


def _slope_and_curvature(p: Pass, experts: Experts) -> tuple[Array, Array, Array]:
    r"""Return gradient, minus the Hessian, and the complete data's information (its diagonal).

    The coordinates are (beta1_i, beta0_i, a_i, b_i, log sigma_i) for each expert, then log tau.
    By Louis (1982) the observed information is what is expected of the complete data less the
    variance of their score; the part of the gate's second derivatives that a linear gate with a
    fixed temperature has not, and whose mean is zero at the truth, is left out.
    """
    xp = namespace(p.shares)
    B, k, d = experts.shape
    r, e, n = p.shares, p.residuals, p.shares.shape[2]
    shared = _active_scores(p)
    gate_features = xp.broadcast_to(p.features, (B, k, d + 1, n))
    lines = p.columns[:, None, :, :] / experts.sigma[:, :, None, None]
    scores = [gate_features, e[:, :, None, :] * lines, (e**2 - 1)[:, :, None, :]]
    weights = (r - p.weights, r, r)
    blocks = [xp.sum(w[:, :, None, :] * s, axis=3) for w, s in zip(weights, scores, strict=True)]
    slope = _vector(xp.concat(blocks, axis=2), xp.sum(weights[0] * shared, axis=(1, 2)))
    # Coordinates of the gate, the temperature among them, and of the experts.
    place = xp.arange(k * (2 * d + 3) + 1)
    of_gate = (place % (2 * d + 3) <= d) | (place == k * (2 * d + 3))
    complete = _spread(_covariance(p.weights, p.features, shared), of_gate)
    complete = complete + _spread(_block_diagonal(_expert_information(r, e, lines)), ~of_gate)
    missing = _covariance(r, xp.concat(scores, axis=2), shared)
    return slope, complete - missing, xp.linalg.diagonal(complete)


def _spread(matrix: Array, where: Array) -> Array:
    """Return a larger matrix with the given one in the rows and columns `where`, else zeros."""
    xp = namespace(matrix)
    chosen = xp.nonzero(where)[0]
    select = xp.astype(xp.arange(where.shape[0])[:, None] == chosen[None, :], matrix.dtype)
    return select @ matrix @ xp.matrix_transpose(select)


def _expert_information(r: Array, e: Array, lines: Array) -> Array:
    r"""Return minus the second derivatives of :math:`\sum r\log N` by (a, b, log sigma)."""
    xp = namespace(r)
    rows = xp.concat([lines, 2 * e[:, :, None, :]], axis=2)
    own = (r[:, :, None, :] * rows) @ xp.matrix_transpose(rows)
    # d2/ds2 of -s - e^2 / 2 is -2 e^2, while the last row above has the square of 2 e.
    corner = 2 * xp.sum(r * e**2, axis=2)
    last = xp.astype(xp.arange(rows.shape[2]) == rows.shape[2] - 1, r.dtype)
    return own - corner[:, :, None, None] * last[:, None] * last


def gradient(x: Array, y: Array, experts: Experts, gate: Gate | None = None) -> dict[str, Array]:
    r"""Return the derivatives of the log-likelihood by each parameter, active sets frozen.

    .. math::
        \partial_{\beta_{0i}}=\sum_n(r_{in}-w_{in})/\tau,\qquad
        \partial_{b_i}=\sum_n r_{in}\,(y_n-a_i^\top x_n-b_i)/\sigma_i^2,\qquad\dots

    Parameters
    ----------
    x, y, experts, gate
        As for `log_likelihood`.

    Returns
    -------
    dict of str to array
        For each attribute of `Experts` an array of its shape, with B replications.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite.
    """
    p = one_pass(*check_data(x, y), experts, gate or Gate())
    xp = namespace(p.shares)
    if experts.shape[0] != p.shares.shape[0]:  # one mixture for all replications
        experts = experts.take(xp.zeros(p.shares.shape[0], dtype=xp.int64))
    B, k, d = experts.shape
    vector = _slope_and_curvature(p, experts)[0]
    blocks = xp.reshape(vector[:, :-1], (B, k, 2 * d + 3))
    return {
        "beta1": blocks[:, :, :d],
        "beta0": blocks[:, :, d],
        "a": blocks[:, :, d + 1 : 2 * d + 1],
        "b": blocks[:, :, 2 * d + 1],
        "sigma": blocks[:, :, 2 * d + 2] / experts.sigma,
        "tau": vector[:, -1] / experts.tau,
    }


def _moved(experts: Experts, step: Array) -> Experts:
    """Return the experts changed by a step in the coordinates of `_slope_and_curvature`."""
    xp = namespace(step)
    B, k, d = experts.shape
    blocks = xp.reshape(step[:, :-1], (B, k, 2 * d + 3))
    return Experts(
        beta1=experts.beta1 + blocks[:, :, :d],
        beta0=experts.beta0 + blocks[:, :, d],
        a=experts.a + blocks[:, :, d + 1 : 2 * d + 1],
        b=experts.b + blocks[:, :, 2 * d + 1],
        sigma=experts.sigma * xp.exp(blocks[:, :, 2 * d + 2]),
        tau=experts.tau * xp.exp(step[:, -1]),
    )


def refine(
    x: Array,
    y: Array,
    start: Experts,
    gate: Gate | None = None,
    *,
    tol: float = 1e-8,
    max_iter: int = 200,
    reference: int | None = None,
    learn_tau: bool = False,
) -> Fit:
    r"""Carry B fits to their maximum by damped Newton steps on all parameters at once.

    Where EM crawls, because the missing labels carry much of the information, Newton's method
    does not: the step is
    :math:`D^{-1/2}Q(|\Lambda|+\mu)^{-1}Q^\top D^{-1/2}\nabla`, where
    :math:`Q\Lambda Q^\top=-D^{-1/2}HD^{-1/2}`, H is the Hessian, D the diagonal of the complete
    data's information, and :math:`\mu` rises until the log-likelihood does.

    Parameters
    ----------
    x, y, start, gate, reference, learn_tau
        As for `fit`.
    tol : float
        A replication has converged when a step gains, and promises, less log-likelihood (of the
        whole sample, not of a point).
    max_iter : int
        Most steps.

    Returns
    -------
    Fit
        Estimates, log-likelihoods and their history, which never falls.

    Raises
    ------
    ValueError
        If an argument does not fit.
    """
    x, y, gate = *check_data(x, y), gate or Gate()
    if start.shape[0] != x.shape[0]:
        raise ValueError(f"start has {start.shape[0]} replications, x has {x.shape[0]}")
    tol = check_scalar("tol", tol, above=0)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(x, y)
    free = _free(start, 2 * start.shape[2] + 3, reference, learn_tau)
    x, part, centre = _centred(x, start, gate)
    rows, whole = xp.arange(x.shape[0]), part
    p = one_pass(x, y, part, gate)
    value = xp.sum(p.log_density, axis=1)
    mu, history = xp.full_like(value, 1e-3), [value]
    slope_and_curvature = _slope_and_curvature(p, part)
    for _ in range(max_iter):
        step, promise = _damped_step(*slope_and_curvature, free, mu)
        moved = _moved(part, _shortened(step, 2 * part.shape[2] + 3))
        p = one_pass(x, y, moved, gate)
        new = xp.sum(p.log_density, axis=1)
        better = new >= value
        running = ~(better & (new - value < tol) & (promise < tol))
        part, value = _select(better, moved, part), xp.where(better, new, value)
        mu = xp.where(better, xp.maximum(mu / 8, xp.asarray(1e-9)), mu * 8)
        whole, total = _put_back(rows, part, value, whole, history[-1])
        history.append(total)
        if not bool(xp.any(running)):
            rows = rows[running]
            break
        # Where a step was refused, slope and curvature are what they were.
        accepted = running & better
        slope_and_curvature = _renewed(slope_and_curvature, p, part, accepted)
        if not bool(xp.all(running)):  # the finished replications leave the batch
            left = xp.nonzero(running)[0]
            rows, part, value, mu = rows[running], part.take(left), value[running], mu[running]
            x, y = xp.take(x, left, axis=0), xp.take(y, left, axis=0)
            slope_and_curvature = tuple(xp.take(a, left, axis=0) for a in slope_and_curvature)
    converged = ~xp.any(xp.arange(start.shape[0])[:, None] == rows[None, :], axis=1)
    return Fit(_uncentred(whole, start, centre), history[-1], xp.stack(history), converged)


def _renewed(
    old: tuple[Array, ...], p: Pass, experts: Experts, changed: Array
) -> tuple[Array, ...]:
    """Return slope and curvature, computed anew in the replications that have changed."""
    xp = namespace(changed)
    rows = xp.nonzero(changed)[0]
    if rows.shape[0] == changed.shape[0]:
        return _slope_and_curvature(p, experts)
    if rows.shape[0] == 0:
        return old
    p = Pass(*(xp.take(part, rows, axis=0) for part in p))
    new = _slope_and_curvature(p, experts.take(rows))
    after = changed.shape[0] - 1 + xp.cumulative_sum(xp.astype(changed, xp.int64))
    place = xp.where(changed, after, xp.arange(changed.shape[0]))
    return tuple(
        xp.take(xp.concat(pair, axis=0), place, axis=0) for pair in zip(old, new, strict=True)
    )


def _put_back(
    rows: Array, part: Experts, value: Array, whole: Experts, total: Array
) -> tuple[Experts, Array]:
    """Return all replications with new experts and values in those of the given numbers."""
    xp = namespace(value)
    member = xp.arange(total.shape[0])[:, None] == rows[None, :]
    inside = xp.any(member, axis=1)
    position = xp.argmax(xp.astype(member, xp.int8), axis=1)
    whole = _select(inside, part.take(position), whole)
    return whole, xp.where(inside, xp.take(value, position), total)


def _damped_step(
    gradient: Array, curvature: Array, scale: Array, free: Array, mu: Array
) -> tuple[Array, Array]:
    """Return the Newton step of `refine` and the gain that the quadratic model promises."""
    xp = namespace(gradient)
    root = xp.where(scale > 0, free / xp.sqrt(xp.where(scale > 0, scale, 1.0)), 0.0)
    matrix = _finite(root[:, :, None] * curvature * root[:, None, :])
    values, vectors = xp.linalg.eigh((matrix + xp.matrix_transpose(matrix)) / 2)
    along = xp.matrix_transpose(vectors) @ _finite(root * gradient)[..., None]
    damped = along[..., 0] / (xp.abs(values) + mu[:, None])
    step = root * (vectors @ damped[..., None])[..., 0]
    return step, xp.sum(along[..., 0] * damped, axis=1) / 2


def _shortened(step: Array, q: int) -> Array:
    """Return the step, shortened so that no scale (each q-th number, or the last) grows e-fold."""
    xp = namespace(step)
    scales = (xp.arange(step.shape[1]) + 1) % q == 0
    scales = scales | (xp.arange(step.shape[1]) == step.shape[1] - 1)
    change = xp.max(xp.where(scales, xp.abs(step), xp.zeros_like(step)), axis=1)
    return step / xp.maximum(change, xp.asarray(1.0))[:, None]
