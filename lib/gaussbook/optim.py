"""First-order optimisation of named parameters by their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_integer, check_scalar

__all__ = ["Adam", "cosine_decay"]


def cosine_decay(initial: float, steps: int, final: float = 0.0) -> Callable[[int], float]:
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
        If a rate is negative or not finite, or `steps` is not positive.
    """
    initial = check_scalar("initial", initial, above=0)
    final = check_scalar("final", final, at_least=0)
    steps = check_integer("steps", steps, at_least=1)

    def rate(step: int) -> float:
        return final + (initial - final) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2

    return rate


class Adam:
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
        Factor on the rate of each parameter named here; 1 for all others.
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
        learning_rate: float | Callable[[int], float] = 1e-3,
        *,
        multipliers: Mapping[str, float] | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ):
        if not callable(learning_rate):
            learning_rate = check_scalar("learning_rate", learning_rate, above=0)
        self.learning_rate = learning_rate
        self.multipliers = {
            name: check_scalar(f"multipliers[{name!r}]", factor, at_least=0)
            for name, factor in (multipliers or {}).items()
        }
        self.beta1 = check_scalar("beta1", beta1, at_least=0, below=1)
        self.beta2 = check_scalar("beta2", beta2, at_least=0, below=1)
        self.epsilon = check_scalar("epsilon", epsilon, above=0)
        self.steps = 0
        self._means: dict[str, tuple[Array, Array]] = {}

    def step(self, params: Mapping[str, Array], grads: Mapping[str, Array]) -> dict[str, Array]:
        """Return the parameters after one step down the gradients.

        Parameters
        ----------
        params : mapping of str to array
            The parameters; they are left as they are.
        grads : mapping of str to array
            The gradient of each parameter, of the same shape.

        Returns
        -------
        dict of str to array
            The new parameters.

        Raises
        ------
        ValueError
            If the names or the shapes of parameters and gradients differ, or a name in
            `multipliers` is not a parameter.  Values are not checked: on a GPU looking at them
            would make every step wait.
        """
        if params.keys() != grads.keys():
            raise ValueError(f"grads must hold {sorted(params)}, got {sorted(grads)}")
        if not self.multipliers.keys() <= params.keys():
            unknown = sorted(self.multipliers.keys() - params.keys())
            raise ValueError(f"multipliers names {unknown}, which are not parameters")
        rate = self.learning_rate
        rate = rate(self.steps) if callable(rate) else rate
        self.steps += 1
        return {
            name: self._updated(name, value, grads[name], rate * self.multipliers.get(name, 1.0))
            for name, value in params.items()
        }

    def _updated(self, name: str, value: Array, gradient: Array, rate: float) -> Array:
        if value.shape != gradient.shape:
            raise ValueError(
                f"grads[{name!r}] must have shape {tuple(value.shape)}, got {tuple(gradient.shape)}"
            )
        xp = namespace(value, gradient)
        first, second = self._means.get(name, (0.0, 0.0))
        first = self.beta1 * first + (1 - self.beta1) * gradient
        second = self.beta2 * second + (1 - self.beta2) * gradient**2
        self._means[name] = first, second
        first_correction = 1 - self.beta1**self.steps
        second_correction = 1 - self.beta2**self.steps
        # The corrections are scalars: applied to the rate, they cost no pass over the arrays.
        size = xp.sqrt(second) + self.epsilon * math.sqrt(second_correction)
        return value - (rate * math.sqrt(second_correction) / first_correction) * (first / size)
