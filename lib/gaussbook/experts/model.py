"""Parameters, gates, densities and responsibilities of mixtures of experts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from gaussbook.arrays import Array, namespace
from gaussbook.logsumexp import log_sum_exp, normalise
from gaussbook.validation import check_array, check_choice, check_integer

__all__ = [
    "Experts",
    "Gate",
    "Pass",
    "check_data",
    "conditional_density",
    "gate_log_weights",
    "log_likelihood",
    "one_pass",
    "topk_gate",
]

Activation = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Experts:
    r"""The parameters of B mixtures of k experts on :math:`R^d`.

    Attributes
    ----------
    beta1 : array, shape (B, k, d)
        Gate slopes.
    beta0 : array, shape (B, k)
        Gate biases.
    a : array, shape (B, k, d)
        Slopes of the experts' means.
    b : array, shape (B, k)
        Their intercepts.
    sigma : array, shape (B, k)
        Standard deviations (not variances).
    tau : array, shape (B,), optional
        Temperatures; 1 if not given.

    Raises
    ------
    ValueError
        If a shape does not fit, or a standard deviation or temperature is not positive.
    """

    beta1: Array
    beta0: Array
    a: Array
    b: Array
    sigma: Array
    tau: Array | None = None

    def __post_init__(self):
        beta1 = check_array("beta1", self.beta1, ndim=3)
        xp = namespace(beta1)
        checked = {"beta1": beta1, "a": check_array("a", self.a, shape=tuple(beta1.shape))}
        for name in ("beta0", "b", "sigma"):
            checked[name] = check_array(name, getattr(self, name), shape=tuple(beta1.shape[:2]))
        tau = xp.ones(beta1.shape[0], dtype=beta1.dtype) if self.tau is None else self.tau
        checked["tau"] = check_array("tau", tau, shape=(beta1.shape[0],))
        for name in ("sigma", "tau"):
            if not bool(xp.all(checked[name] > 0)):
                raise ValueError(f"{name} must be positive")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Replications B, experts k and inputs d."""
        return tuple(self.beta1.shape)

    def take(self, indices: Array, axis: int = 0) -> Experts:
        """Return the replications (axis 0) or the experts (axis 1) of these indices."""
        xp = namespace(self.beta1)
        axis = check_integer("axis", axis, at_least=0, at_most=1)
        names = ("beta1", "beta0", "a", "b", "sigma")
        taken = {name: xp.take(getattr(self, name), indices, axis=axis) for name in names}
        return Experts(**taken, tau=self.tau if axis else xp.take(self.tau, indices))

    def shifted(self, offset: Array) -> Experts:
        r"""Return the parameters of the same mixtures for inputs :math:`x-c`.

        (With an activation, or a gate that ranks slopes, there are none: see
        `Gate.follows_shifts`.)

        Parameters
        ----------
        offset : array, shape (B, d)
            The offsets :math:`c`.
        """
        along = namespace(offset).matrix_transpose(offset[:, None, :])
        return replace(
            self,
            beta0=self.beta0 + (self.beta1 @ along)[..., 0],
            b=self.b + (self.a @ along)[..., 0],
        )

    def relative_to(self, reference: int = -1) -> Experts:
        r"""Return the same mixture with the gate of one expert at zero.

        A softmax of linear scores only sees differences, so :math:`(\beta_1,\beta_0)` of all
        experts may be shifted together.  (With an activation the slopes may not: leave them.)
        """
        k = self.shape[1]
        r = check_integer("reference", reference, at_least=-k, at_most=k - 1) % k
        return replace(
            self,
            beta1=self.beta1 - self.beta1[:, r : r + 1, :],
            beta0=self.beta0 - self.beta0[:, r : r + 1],
        )


@dataclass(frozen=True)
class Gate:
    r"""The form of a gate.

    Attributes
    ----------
    n_active : int, optional
        K, the number of experts active at each x; all if not given.
    select_on : {'logit', 'slope'}
        Whether the K largest of :math:`\alpha(\beta_{1i}^\top x)+\beta_{0i}` are active, or the K
        largest of :math:`\alpha(\beta_{1i}^\top x)`.
    activation : callable, optional
        Maps t to the pair :math:`\alpha(t),\alpha'(t)`, elementwise.

    Raises
    ------
    ValueError
        If `n_active` is no positive integer or `select_on` is unknown.
    """

    n_active: int | None = None
    select_on: str = "logit"
    activation: Activation | None = None

    def __post_init__(self):
        check_choice("select_on", self.select_on, ("logit", "slope"))
        if self.n_active is not None:
            check_integer("n_active", self.n_active, at_least=1)

    def follows_shifts(self, k: int) -> bool:
        """Return whether new biases make up for a shift of the inputs of `k` experts."""
        ranks_slopes = self.select_on == "slope" and self.n_active not in (None, k)
        return self.activation is None and not ranks_slopes


class Pass(NamedTuple):
    """What one pass over the points yields; inactive experts have score 0 and weight 0."""

    columns: Array  # (B, d + 1, n), the inputs with a row of ones
    scores: Array  # z, (B, k, n)
    features: Array  # derivatives of z_i by (beta1_i, beta0_i), (B, k, d + 1, n)
    weights: Array  # w, (B, k, n)
    residuals: Array  # (y - a'x - b) / sigma, (B, k, n)
    shares: Array  # responsibilities r, (B, k, n)
    log_density: Array  # log g(y | x), (B, n)


def topk_gate(scores: Array, bias: Array, n_active: int, select_on: str = "logit") -> Array:
    r"""Return the log-weights of a sparse softmax that only sees the K largest scores.

    .. math:: \log w_i = v_i+\beta_{0i}-\log\sum_{j\,\text{active}} e^{v_j+\beta_{0j}}

    and :math:`-\infty` for the other experts (Shazeer et al., 2017).

    Parameters
    ----------
    scores : array, shape (B, k, n)
        The scores v without bias.
    bias : array, shape (B, k)
        The biases.
    n_active : int
        K, at most k.
    select_on : {'logit', 'slope'}
        Rank the scores with or without their bias.  Of equal scores the first is taken.

    Returns
    -------
    array, shape (B, k, n)
        Log-weights.

    Raises
    ------
    ValueError
        If a shape, `n_active` or `select_on` does not fit.
    """
    scores = check_array("scores", scores, ndim=3)
    bias = check_array("bias", bias, ndim=2)
    if bias.shape[1] != scores.shape[1] or bias.shape[0] not in (1, scores.shape[0]):
        raise ValueError(f"bias has shape {tuple(bias.shape)}, scores {tuple(scores.shape)}")
    n_active = check_integer("n_active", n_active, at_least=1, at_most=scores.shape[1])
    check_choice("select_on", select_on, ("logit", "slope"))
    logits = scores + bias[:, :, None]
    active = _largest(logits if select_on == "logit" else scores, n_active)
    return _log_softmax(logits, active)


def _largest(values: Array, count: int) -> Array | None:
    """Return which of the values along axis 1 are among the `count` largest; None for all."""
    xp = namespace(values)
    k = values.shape[1]
    if count == k:
        return None
    ahead = []
    for i in range(k):  # compare each with all others: stable in ties, and quicker than sorting
        own = values[:, i : i + 1, :]
        before = xp.sum(xp.astype(values[:, :i, :] >= own, xp.int8), axis=1, dtype=xp.int64)
        after = xp.sum(xp.astype(values[:, i + 1 :, :] > own, xp.int8), axis=1, dtype=xp.int64)
        ahead.append(before + after)
    return xp.stack(ahead, axis=1) < count


def _log_softmax(logits: Array, active: Array | None) -> Array:
    xp = namespace(logits)
    if active is not None:
        logits = xp.where(active, logits, xp.asarray(-math.inf, dtype=logits.dtype))
    return logits - log_sum_exp(logits, axis=1)[:, None, :]


def _gate(x: Array, experts: Experts, gate: Gate) -> tuple[Array, Array | None, Array]:
    """Return log-weights, derivatives of the activation (None: one) and logits z."""
    _, k, d = experts.shape
    B = experts.shape[0]
    if x.ndim != 3 or x.shape[2] != d or (B != x.shape[0] and 1 not in (B, x.shape[0])):
        raise ValueError(f"x must have shape ({B}, n, {d}), got {tuple(x.shape)}")
    if gate.n_active is not None and gate.n_active > k:
        raise ValueError(f"gate activates {gate.n_active} of {k} experts")
    xp = namespace(x, experts.beta1)
    t = experts.beta1 @ xp.matrix_transpose(x)
    t, slope = (t, None) if gate.activation is None else gate.activation(t)
    logits = t + experts.beta0[:, :, None]
    K = k if gate.n_active is None else gate.n_active
    active = _largest(logits if gate.select_on == "logit" else t, K)
    z = logits / experts.tau[:, None, None]
    return _log_softmax(z, active), slope, z


def gate_log_weights(x: Array, experts: Experts, gate: Gate | None = None) -> Array:
    r"""Return :math:`\log w_i(x)`.

    Parameters
    ----------
    x : array, shape (B, n, d)
        Inputs.
    experts : Experts
        Parameters of B mixtures, or of one for all replications.
    gate : Gate, optional
        The form of the gate; dense and linear if not given.

    Returns
    -------
    array, shape (B, k, n)
        Log-weights, :math:`-\infty` for inactive experts.

    Raises
    ------
    ValueError
        If `x` does not fit the experts, or `gate` activates more experts than there are.
    """
    return _gate(check_array("x", x, ndim=3), experts, gate or Gate())[0]


def _expert_log_densities(x: Array, y: Array, experts: Experts) -> tuple[Array, Array]:
    """Return log N(y | a'x + b, sigma^2) and the standardised residuals, each (B, k, n)."""
    xp = namespace(x, y)
    sigma = experts.sigma[:, :, None]
    mean = experts.a @ xp.matrix_transpose(x) + experts.b[:, :, None]
    residuals = (y[:, None, :] - mean) / sigma
    return -0.5 * residuals**2 - xp.log(sigma) - 0.5 * math.log(2 * math.pi), residuals


def one_pass(x: Array, y: Array, experts: Experts, gate: Gate) -> Pass:
    """Return gate, residuals, responsibilities and log-densities of checked data."""
    xp = namespace(x, y)
    log_weights, slope, z = _gate(x, experts, gate)
    log_normal, residuals = _expert_log_densities(x, y, experts)
    log_density, shares = normalise(log_weights + log_normal, axis=1)
    rows = xp.matrix_transpose(x)
    columns = xp.concat([rows, xp.ones_like(rows[:, :1, :])], axis=1)
    features = columns[:, None, :, :] / experts.tau[:, None, None, None]
    if slope is not None:
        sloped = features[:, :, :-1, :] * slope[:, :, None, :]
        last = xp.broadcast_to(features[:, :, -1:, :], (*sloped.shape[:2], 1, sloped.shape[3]))
        features = xp.concat([sloped, last], axis=2)
    weights = xp.exp(log_weights)
    return Pass(columns, z, features, weights, residuals, shares, log_density)


def check_data(x: Array, y: Array) -> tuple[Array, Array]:
    """Return inputs (B, n, d) and outputs (B, n), checked."""
    x = check_array("x", x, ndim=3)
    y = check_array("y", y, shape=tuple(x.shape[:2]))
    return x, y


def log_likelihood(x: Array, y: Array, experts: Experts, gate: Gate | None = None) -> Array:
    r"""Return :math:`\sum_n\log g(y_n\mid x_n)` of each replication.

    Parameters
    ----------
    x : array, shape (B, n, d)
        Inputs.
    y : array, shape (B, n)
        Outputs.
    experts : Experts
        Parameters of B mixtures, or of one for all replications.
    gate : Gate, optional
        The form of the gate; dense and linear if not given.

    Returns
    -------
    array, shape (B,)
        Log-likelihoods.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite.
    """
    x, y = check_data(x, y)
    xp = namespace(x, y)
    log_weights = gate_log_weights(x, experts, gate)
    joint = log_weights + _expert_log_densities(x, y, experts)[0]
    return xp.sum(log_sum_exp(joint, axis=1), axis=1)


def conditional_density(x: Array, grid: Array, experts: Experts, gate: Gate | None = None) -> Array:
    r"""Return :math:`g(y\mid x)` for all pairs of an input and a value of a grid.

    Parameters
    ----------
    x : array, shape (B, n, d)
        Inputs, or one set (1, n, d) for all mixtures.
    grid : array, shape (m,)
        Values of y, the same for all.
    experts, gate
        As for `log_likelihood`.

    Returns
    -------
    array, shape (B, n, m)
        Densities.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite.
    """
    grid = check_array("grid", grid, ndim=1)
    weights = gate_log_weights(x, experts, gate)
    xp = namespace(x, grid)
    mean = experts.a @ xp.matrix_transpose(x) + experts.b[:, :, None]
    scale = xp.exp(weights) / (experts.sigma[:, :, None] * math.sqrt(2 * math.pi))
    density = 0.0
    for i in range(experts.shape[1]):  # one expert at a time: (B, k, n, m) may not fit
        residuals = (grid - mean[:, i, :, None]) / experts.sigma[:, i, None, None]
        density = density + scale[:, i, :, None] * xp.exp(-0.5 * residuals**2)
    return density
