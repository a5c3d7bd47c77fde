"""Optimisation of parameter trees by their gradients: steps, schedules, and L-BFGS to the end.

Parameters and gradients are trees of one structure (`gaussbook.autodiff.trees`): a dictionary of
arrays, or dictionaries and lists nested in it.  The path of an array, such as ``"layers/0/bias"``,
is its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.autodiff import ravel_tree, tree_items, tree_leaves, tree_map, value_and_grad
from gaussbook.autodiff.tracing import is_floating, refuse_masked, same_type
from gaussbook.validation import check_integer, check_scalar

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Minimum",
    "clip_by_global_norm",
    "cosine_decay",
    "minimize_lbfgs",
    "warm_up",
]

Tree = Any
Schedule = Callable[[int], float]


def cosine_decay(initial: float, steps: int, final: float = 0.0) -> Schedule:
    r"""Learning rate that falls from `initial` to `final` along half a cosine.

    .. math::
        \eta_t = \eta_\mathrm{final} + \tfrac12 (\eta_0-\eta_\mathrm{final})
        \bigl(1+\cos(\pi t/T)\bigr), \qquad t \le T

    (Loshchilov and Hutter, 2017); it stays at `final` afterwards.

    Parameters
    ----------
    initial : float
        Rate :math:`\eta_0` of the first step.
    steps : int
        Length T of the decay.
    final : float
        Rate at its end.

    Returns
    -------
    callable
        The rate as a function of the step, counted from 0.

    Raises
    ------
    ValueError
        If `initial` is not positive, `final` is negative, one of them is not finite, or `steps` is
        not positive.
    """
    initial = check_scalar("initial", initial, above=0)
    final = check_scalar("final", final, at_least=0)
    steps = check_integer("steps", steps, at_least=1)

    def rate(step: int) -> float:
        return final + (initial - final) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2

    return rate


def warm_up(schedule: float | Schedule, steps: int) -> Schedule:
    """Begin a schedule with a rise: rates (1, 2, ..., steps) / steps of its first, then itself.

    Parameters
    ----------
    schedule : callable or float
        What follows: ``warm_up(cosine_decay(1e-3, 900), 100)`` lasts 1000 steps.
    steps : int
        Length of the rise.

    Returns
    -------
    callable
        The rate as a function of the step, counted from 0.

    Raises
    ------
    ValueError
        If `schedule` is a number that is not positive, or `steps` is not positive.
    """
    steps = check_integer("steps", steps, at_least=1)
    after = _as_schedule("schedule", schedule)
    return lambda step: after(step - steps) if step >= steps else after(0) * (step + 1) / steps


def _as_schedule(name: str, rate: float | Schedule) -> Schedule:
    if callable(rate):
        return rate
    value = check_scalar(name, rate, above=0)
    return lambda step: value


def clip_by_global_norm(grads: Tree, limit: float) -> tuple[Tree, Array]:
    """Shorten gradients whose joint Euclidean norm exceeds a limit (Pascanu et al., 2013).

    Parameters
    ----------
    grads : tree of arrays
        The gradients.
    limit : float
        The largest norm that is left as it is.

    Returns
    -------
    grads : tree of arrays
        The gradients, all multiplied by ``min(1, limit / norm)``.
    norm : array, shape ()
        The norm before; infinite where it is too large for the gradients' type.

    Raises
    ------
    ValueError
        If `limit` is not positive, there are no gradients, or one does not hold floating numbers.
    """
    limit = check_scalar("limit", limit, above=0)
    leaves = tree_leaves(grads)
    if not leaves:
        raise ValueError("grads holds no arrays")
    xp = namespace(*leaves)
    for g in leaves:
        if not xp.isdtype(g.dtype, "real floating"):
            raise ValueError(f"grads must hold floating numbers, got {g.dtype}")
    # In units of the largest element: squares, and even the norm, may be too large for the type.
    peaks = [xp.max(xp.abs(g)) for g in leaves if math.prod(g.shape)]
    unit = xp.max(xp.stack(peaks)) if peaks else xp.zeros(())
    unit = xp.where((unit > 0) & xp.isfinite(unit), unit, xp.ones_like(unit))
    length = xp.sqrt(sum(xp.sum((g / unit) ** 2) for g in leaves))
    unit64, length64 = (xp.astype(x, xp.float64) for x in (unit, length))
    norm = unit64 * length64
    exceeds = norm > limit
    ratio = xp.astype(limit / xp.where(exceeds, length64, limit), length.dtype)

    def shortened(g: Array) -> Array:
        return xp.where(exceeds, xp.astype(g / unit * ratio, g.dtype), g)

    return tree_map(shortened, grads), xp.astype(norm, length.dtype)


def _in_type_of(name: str, value: Array, slope: Array) -> Array:
    """Return the gradient of a parameter in the parameter's own type, which a step may not change.

    Raises
    ------
    ValueError
        If one of them does not hold floating numbers, or has masked values.
    """
    refuse_masked(value, slope)
    for what, x in (("params", value), ("grads", slope)):
        if not is_floating(x):
            raise ValueError(f"{what}[{name!r}] must hold floating numbers, got {x.dtype}")
    if same_type(slope, value):
        return slope
    return namespace(value, slope).astype(slope, value.dtype)


class _Optimiser:
    """What all rules share: the rate, the names, the running means and their rows."""

    def __init__(
        self, learning_rate: float | Schedule, multipliers: Mapping[str, float] | None = None
    ):
        self.learning_rate = learning_rate
        self._rate = _as_schedule("learning_rate", learning_rate)
        self.multipliers = {
            name: check_scalar(f"multipliers[{name!r}]", factor, at_least=0)
            for name, factor in (multipliers or {}).items()
        }
        self.steps = 0
        self._means: dict[str, tuple[Array, ...]] = {}

    def step(self, params: Tree, grads: Tree) -> Tree:
        """Return the parameters after one step down the gradients.

        Parameters
        ----------
        params : tree of arrays
            The parameters, e.g. a dictionary; they are left as they are.
        grads : tree of arrays
            The gradient of each parameter, of the same shape; taken in the parameter's type.

        Returns
        -------
        tree of arrays
            The new parameters.

        Raises
        ------
        ValueError
            If the names or the shapes of parameters and gradients differ, one of them does not hold
            floating numbers, two parameters have one name (a key may hold a slash), or a name in
            `multipliers` is not a parameter.  Values are not checked: on a GPU looking at them
            would make every step wait.
        """
        values, slopes = dict(tree_items(params)), dict(tree_items(grads))
        if len(values) < len(tree_leaves(params)):
            raise ValueError(f"params has two arrays of one name: {sorted(values)}")
        if values.keys() != slopes.keys():
            raise ValueError(f"grads must hold {sorted(values)}, got {sorted(slopes)}")
        rates = self._rates(values, self._rate(self.steps))
        for name, value in values.items():
            shape = tuple(getattr(slopes[name], "shape", ()))
            if tuple(getattr(value, "shape", ())) != shape:
                raise ValueError(
                    f"grads[{name!r}] must have shape {tuple(value.shape)}, got {shape}"
                )
            slopes[name] = _in_type_of(name, value, slopes[name])
            means = self._means.get(name, ())
            if any(mean.shape != value.shape for mean in means):
                raise ValueError(
                    f"params[{name!r}] had shape {tuple(means[0].shape)} and now has "
                    f"{shape}: say with reindex where its rows come from"
                )
        self.steps += 1  # only now: a refused step leaves the running means as they were
        moved = iter(
            [self._moved(name, value, slopes[name], rates[name]) for name, value in values.items()]
        )
        return tree_map(lambda _: next(moved), params)

    def _rates(self, names: Mapping[str, Array], rate: float) -> dict[str, float]:
        """Apply each multiplier to the array of its name, or to all within a branch of it."""
        rates = dict.fromkeys(names, rate)
        unknown = []
        for prefix, factor in self.multipliers.items():
            inside = [n for n in names if n == prefix or n.startswith(f"{prefix}/")]
            unknown += [] if inside else [prefix]
            rates.update({name: rates[name] * factor for name in inside})
        if unknown:
            raise ValueError(f"multipliers names {sorted(unknown)}, which are not parameters")
        return rates

    def _moved(self, name: str, value: Array, gradient: Array, rate: float) -> Array:
        raise NotImplementedError

    def _looks_at_arrays(self) -> bool:
        """Say whether the rule differs from array to array, so that their borders matter."""
        return bool(self.multipliers)

    def packs(self, params: Tree) -> bool:
        """Say whether a step on all arrays end to end, `on_one_vector`, is the step on each."""
        items = dict(tree_items(params))
        return (
            len(items) > 1
            and all(hasattr(leaf, "dtype") for leaf in items.values())
            and len({leaf.dtype for leaf in items.values()}) == 1
            and not self._looks_at_arrays()
            and type(self).step is _Optimiser.step  # a step of somebody's own may want the tree
            and self._means.keys() in (set(), items.keys())
        )

    @contextmanager
    def on_one_vector(self, params: Tree) -> Iterator[None]:
        """Take steps on ``ravel_tree(params)[0]`` inside the block; the means are carried over."""
        names, unravel = [name for name, _ in tree_items(params)], ravel_tree(params)[1]
        if self._means:
            kinds = zip(*(self._means[name] for name in names), strict=True)
            self._means = {"": tuple(ravel_tree(list(kind))[0] for kind in kinds)}
        try:
            yield
        finally:
            kinds = [tree_leaves(unravel(mean)) for mean in self._means.pop("", ())]
            if kinds:
                self._means = dict(zip(names, zip(*kinds, strict=True), strict=True))

    def _running(self, name: str, value: Array, number: int) -> tuple[Array, ...]:
        """Return the running means of a parameter, zero at first, to be overwritten."""
        found = self._means.get(name)
        if found is None:
            xp = namespace(value)
            found = self._means[name] = tuple(xp.zeros_like(value) for _ in range(number))
        return found

    def reindex(self, source: Array | Mapping[str, Array]) -> None:
        """Follow rows of parameters that were moved, copied, dropped or added.

        Row i of every running mean becomes its row ``source[i]``; a new row begins with zero.

        Parameters
        ----------
        source : array of int, shape (n,), or mapping of str to such arrays
            For each row of the parameter (of all parameters, or of those named) the row it was,
            -1 for a new one.

        Raises
        ------
        ValueError
            If an index is out of range, or a name is not that of a parameter.
        """
        if not self._means:
            return  # nothing has been accumulated before the first step
        sources = source if isinstance(source, Mapping) else dict.fromkeys(self._means, source)
        unknown = sorted(set(sources) - set(self._means))
        if unknown:
            raise ValueError(f"source names {unknown}, which are not parameters")
        self._means.update(
            {
                name: tuple(_rows(name, mean, rows) for mean in self._means[name])
                for name, rows in sources.items()
            }
        )


def _rows(name: str, mean: Array, source: Array) -> Array:
    xp = namespace(mean)
    source = xp.asarray(source)
    where = f"source (for {name!r})"
    if source.ndim != 1 or not xp.isdtype(source.dtype, "integral"):
        raise ValueError(f"{where} must be a vector of integers")
    if mean.ndim == 0:
        raise ValueError(f"{where}: the parameter has no rows")
    if source.shape[0] and not bool(xp.all((source >= -1) & (source < mean.shape[0]))):
        raise ValueError(f"{where} must lie between -1 and {mean.shape[0] - 1}")
    if mean.shape[0] == 0:  # all rows are new
        return xp.zeros((source.shape[0], *mean.shape[1:]), dtype=mean.dtype)
    kept = xp.astype(source >= 0, mean.dtype)
    gathered = xp.take(mean, xp.where(source < 0, xp.zeros_like(source), source), axis=0)
    return gathered * xp.reshape(kept, (-1,) + (1,) * (mean.ndim - 1))


class Adam(_Optimiser):
    r"""Adam: each parameter moves by its mean gradient, measured in its root-mean-square.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2, \quad
        \theta_{t+1} = \theta_t
        - \eta_t \frac{m_t/(1-\beta_1^t)}{\sqrt{v_t/(1-\beta_2^t)} + \epsilon}

    (Kingma and Ba, 2015).

    Parameters
    ----------
    learning_rate : float or callable
        The rate :math:`\eta`, or a schedule: a function of the step, counted from 0, such as
        `cosine_decay`.
    multipliers : mapping of str to float, optional
        Factor on the rate of each parameter named here, or of all inside a branch of the tree
        named here; 1 for all others.
    beta1, beta2 : float
        Decay of the two running means, in [0, 1).
    epsilon : float
        Guards against division by zero where a gradient has always been zero.

    Raises
    ------
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> adam = Adam(0.1)
    >>> theta = {"x": np.asarray([1.0, -2.0])}
    >>> theta = adam.step(theta, {"x": 2 * theta["x"]})  # the gradient of the square
    >>> theta["x"]
    array([ 0.9, -1.9])
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        multipliers: Mapping[str, float] | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ):
        super().__init__(learning_rate, multipliers)
        self.beta1 = check_scalar("beta1", beta1, at_least=0, below=1)
        self.beta2 = check_scalar("beta2", beta2, at_least=0, below=1)
        self.epsilon = check_scalar("epsilon", epsilon, above=0)

    def _moved(self, name: str, value: Array, gradient: Array, rate: float) -> Array:
        first, second = self._running(name, value, 2)
        first *= self.beta1
        first += (1 - self.beta1) * gradient
        squared = gradient * gradient
        squared *= 1 - self.beta2
        second *= self.beta2
        second += squared
        first_correction = 1 - self.beta1**self.steps
        second_correction = 1 - self.beta2**self.steps
        # The corrections are scalars: applied to the rate, they cost no pass over the arrays.
        move = second**0.5
        move += self.epsilon * math.sqrt(second_correction)
        move = first / move
        move *= -rate * math.sqrt(second_correction) / first_correction
        move += self._kept(value, rate)
        return move

    def _kept(self, value: Array, rate: float) -> Array:
        """Return the part of the parameter that stays whatever the gradient says."""
        return value


class AdamW(Adam):
    r"""Adam with decoupled weight decay: each step also shrinks the parameters.

    .. math:: \theta_{t+1} = (1-\eta_t\lambda)\,\theta_t - \eta_t\,(\text{Adam's direction})

    (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    learning_rate : float or callable
        As for `Adam`.
    weight_decay : float
        The :math:`\lambda`.
    matrices_only : bool
        Leave biases, scales and all other arrays with fewer than two axes as they are.
    **settings
        As for `Adam`.

    Raises
    ------
    ValueError
        If a number is outside its range.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        weight_decay: float = 0.01,
        matrices_only: bool = True,
        **settings: Any,
    ):
        super().__init__(learning_rate, **settings)
        self.weight_decay = check_scalar("weight_decay", weight_decay, at_least=0)
        self.matrices_only = bool(matrices_only)

    def _looks_at_arrays(self) -> bool:
        return super()._looks_at_arrays() or self.matrices_only

    def _kept(self, value: Array, rate: float) -> Array:
        if self.matrices_only and value.ndim < 2:
            return value
        return (1 - rate * self.weight_decay) * value


class SGD(_Optimiser):
    r"""Gradient descent with momentum.

    .. math::
        u_t = \mu u_{t-1} + g_t, \qquad
        \theta_{t+1} = \theta_t - \eta_t u_t
        \quad\text{or, after Nesterov,}\quad \theta_t - \eta_t (g_t + \mu u_t).

    Parameters
    ----------
    learning_rate : float or callable
        The rate :math:`\eta`, or a schedule.
    momentum : float
        The :math:`\mu`, in [0, 1).
    nesterov : bool
        Look ahead along the momentum (Sutskever et al., 2013).
    multipliers : mapping of str to float, optional
        As for `Adam`.

    Raises
    ------
    ValueError
        If a number is outside its range, or Nesterov's rule is wanted without momentum.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-2,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        multipliers: Mapping[str, float] | None = None,
    ):
        super().__init__(learning_rate, multipliers)
        self.momentum = check_scalar("momentum", momentum, at_least=0, below=1)
        self.nesterov = bool(nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")

    def _moved(self, name: str, value: Array, gradient: Array, rate: float) -> Array:
        if self.momentum == 0:
            return value - rate * gradient
        (velocity,) = self._running(name, value, 1)
        velocity *= self.momentum
        velocity += gradient
        if self.nesterov:
            return value - rate * (gradient + self.momentum * velocity)
        return value - rate * velocity


class Minimum(NamedTuple):
    """Where `minimize_lbfgs` ended."""

    params: Any
    """Tree of arrays: the parameters."""
    value: float
    """The loss there."""
    steps: int
    """Iterations taken."""
    converged: bool
    """Whether it ended because the gradient was within the tolerance, or because the value no
    longer falls by more than rounding: not by `max_steps`, nor in a line search."""
    message: str
    """The reason for stopping, in SciPy's words."""


def minimize_lbfgs(
    loss: Callable[[Tree], Array],
    params: Tree,
    *,
    max_steps: int = 200,
    tolerance: float = 1e-6,
    memory: int = 10,
    has_gradient: bool = False,
) -> Minimum:
    """Minimise a smooth loss with all data at once, by SciPy's L-BFGS (Zhu et al., 1997).

    Parameters
    ----------
    loss : callable
        Takes the parameters, returns one number; with `has_gradient`, the number and the tree of
        its gradients.
    params : tree of arrays
        Where to begin.  The iteration itself runs on the host in float64; the loss sees arrays of
        the types and the backend given here.
    max_steps : int
        Largest number of iterations.
    tolerance : float
        Stop when no element of the gradient is larger.
    memory : int
        Number of past steps that stand in for the Hessian.
    has_gradient : bool
        Take the gradient from `loss` instead of differentiating it.

    Returns
    -------
    Minimum
        Parameters, value, number of steps, whether it converged, and why it stopped.

    Raises
    ------
    ValueError
        If a setting is outside its range, `params` holds other than floating numbers, or loss or
        gradient are not finite at the beginning.
    """
    from scipy.optimize import minimize

    max_steps = check_integer("max_steps", max_steps, at_least=1)
    memory = check_integer("memory", memory, at_least=1)
    tolerance = check_scalar("tolerance", tolerance, above=0)
    start, unravel = ravel_tree(params)
    xp = namespace(start)
    types = [leaf.dtype for leaf in tree_leaves(params)]
    if not all(xp.isdtype(dtype, "real floating") for dtype in types):
        raise ValueError(f"params must hold floating numbers, got {types}")
    evaluate = loss if has_gradient else value_and_grad(loss)

    def on_host(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, grads = evaluate(unravel(xp.asarray(vector, dtype=start.dtype)))
        return float(value), to_host(ravel_tree(grads)[0]).astype(np.float64)

    begin = to_host(start).astype(np.float64)
    first, slope = on_host(begin)
    if not (math.isfinite(first) and np.all(np.isfinite(slope))):
        raise ValueError("params: the loss or its gradient is not finite where it begins")
    rounding = max(float(xp.finfo(dtype).eps) for dtype in types)
    wall = 1e6 * (1 + abs(first))

    def walled(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = on_host(vector)
        if math.isfinite(value) and np.all(np.isfinite(slope)):
            return value, slope
        return wall, np.zeros_like(slope)  # the line search turns back from here

    evaluations = max(15_000, 21 * max_steps)  # a line search takes at most 20
    options = {"maxiter": max_steps, "maxfun": evaluations, "maxcor": memory}
    options |= {"gtol": tolerance, "ftol": rounding}
    found = minimize(
        walled,
        begin,
        jac=True,
        method="L-BFGS-B",
        options=options,
    )
    return Minimum(
        unravel(xp.asarray(found.x, dtype=start.dtype)),
        float(found.fun),
        int(found.nit),
        bool(found.success),
        str(found.message),
    )
