"""Arithmetic and functions of single elements, with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff import activations, dispatch
from gaussbook.autodiff.activations import GELU_CUBIC, GELU_LINEAR
from gaussbook.autodiff.spaces import defvjp
from gaussbook.autodiff.tracing import (
    as_array,
    as_floating,
    plain,
    plain_namespace,
    primitive,
)
from gaussbook.bounds import at_least

__all__ = [
    "abs",
    "add",
    "clip",
    "cos",
    "divide",
    "exp",
    "expm1",
    "gelu",
    "log",
    "log1p",
    "log_ndtr",
    "log_sigmoid",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "relu",
    "sigmoid",
    "silu",
    "sin",
    "softplus",
    "sqrt",
    "square",
    "subtract",
    "tanh",
    "where",
]


def _operand(x: Any) -> Any:
    """Return arrays and Python's numbers (which take the other operand's type) as they are."""
    return x if isinstance(x, int | float | complex) else as_array(x)


# ---------------------------------------------------------------------------------- arithmetic


@primitive
def add(x: Array, y: Array) -> Array:
    """Return x + y, broadcast."""
    return _operand(x) + _operand(y)


@primitive
def subtract(x: Array, y: Array) -> Array:
    """Return x - y, broadcast."""
    return _operand(x) - _operand(y)


@primitive
def multiply(x: Array, y: Array) -> Array:
    """Return x y, broadcast."""
    return _operand(x) * _operand(y)


@primitive
def divide(x: Array, y: Array) -> Array:
    """Return x / y, broadcast."""
    return _operand(x) / _operand(y)


@primitive
def negative(x: Array) -> Array:
    """Return -x."""
    return -as_array(x)


@primitive
def power(x: Array, y: Array) -> Array:
    """Return x to the power y, broadcast; x is positive where the derivative by y is wanted."""
    return _operand(x) ** _operand(y)


def _power_slope(x: Array, y: Array) -> Array:
    if not hasattr(y, "shape"):  # a Python number: the usual case, without a second power
        if y == 2:
            return 2 * x
        return y * power(x, y - 1) if y != 0 else 0 * x
    return multiply(y, power(x, where(plain(y) == 0, 1, y - 1)))


def _log_of_base(x: Array) -> Array:
    if not hasattr(x, "shape"):
        return math.log(x) if x > 0 else 0.0
    return log(where(plain(x) > 0, x, 1))


defvjp(add, lambda ans, x, y: lambda g: g, lambda ans, x, y: lambda g: g)
defvjp(subtract, lambda ans, x, y: lambda g: g, lambda ans, x, y: lambda g: -g)
defvjp(
    multiply,
    lambda ans, x, y: lambda g: multiply(g, y),
    lambda ans, x, y: lambda g: multiply(g, x),
)
defvjp(
    divide,
    lambda ans, x, y: lambda g: divide(g, y),
    lambda ans, x, y: lambda g: multiply(-g, divide(ans, y)),
)
defvjp(negative, lambda ans, x: lambda g: -g)
defvjp(
    power,
    lambda ans, x, y: lambda g: multiply(g, _power_slope(x, y)),
    lambda ans, x, y: lambda g: multiply(multiply(g, ans), _log_of_base(x)),
)


# ------------------------------------------------------------------------ functions of one array


def _elementwise(
    name: str,
    formula: str,
    value: Callable[[Any, Array], Array],
    slope: Callable,
    convert: Callable[[Any], Array] = as_array,
) -> Callable[[Array], Array]:
    """Make the function ``value(xp, x)`` with the derivative ``slope(ans, x)`` a primitive."""

    def function(x: Array) -> Array:
        x = convert(x)
        return value(plain_namespace(x), x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""Return {formula} of every element.

    Parameters
    ----------
    x : array
        Of any shape.

    Returns
    -------
    array, shape of `x`
        The values.
    """
    made = primitive(function)
    defvjp(made, lambda ans, x: lambda g: multiply(g, slope(ans, x)))
    return made


exp = _elementwise("exp", "the exponential", lambda xp, x: xp.exp(x), lambda ans, x: ans)
expm1 = _elementwise("expm1", "exp(x) - 1", lambda xp, x: xp.expm1(x), lambda ans, x: ans + 1)
log = _elementwise("log", "the natural logarithm", lambda xp, x: xp.log(x), lambda ans, x: 1 / x)
log1p = _elementwise("log1p", "log(1 + x)", lambda xp, x: xp.log1p(x), lambda ans, x: 1 / (1 + x))
sqrt = _elementwise("sqrt", "the root", lambda xp, x: xp.sqrt(x), lambda ans, x: 0.5 / ans)
square = _elementwise("square", "the square", lambda xp, x: xp.square(x), lambda ans, x: 2 * x)
sin = _elementwise("sin", "the sine", lambda xp, x: xp.sin(x), lambda ans, x: cos(x))
cos = _elementwise("cos", "the cosine", lambda xp, x: xp.cos(x), lambda ans, x: -sin(x))
tanh = _elementwise(
    "tanh", "the hyperbolic tangent", lambda xp, x: xp.tanh(x), lambda ans, x: 1 - ans * ans
)
abs = _elementwise(
    "abs", "the absolute value", lambda xp, x: xp.abs(x), lambda ans, x: _sign(plain(x))
)


relu = _elementwise(
    "relu",
    "max(x, 0)",
    lambda xp, x: at_least(x, 0.0),
    lambda ans, x: _step(plain(x)),
)
sigmoid = _elementwise(
    "sigmoid",
    "1 / (1 + exp(-x))",
    lambda xp, x: activations.sigmoid(x),
    lambda ans, x: ans * sigmoid(-x),
    as_floating,
)
softplus = _elementwise(
    "softplus",
    "log(1 + exp(x)), without overflow,",
    lambda xp, x: activations.softplus(x),
    lambda ans, x: sigmoid(x),
    as_floating,
)
log_ndtr = _elementwise(
    "log_ndtr",
    "the logarithm of the normal distribution function",
    lambda xp, x: dispatch.special("log_ndtr", x),
    lambda ans, x: _inverse_mills(x),
    as_floating,
)
# The ratio of the normal density to its distribution function, which grows as -x on the left:
# there both underflow, and the difference of their logarithms has no digits left.
_inverse_mills = _elementwise(
    "_inverse_mills",
    "the inverse Mills ratio of -x",
    lambda xp, x: math.sqrt(2 / math.pi) / dispatch.special("erfcx", x * -math.sqrt(0.5)),
    lambda ans, x: -ans * (x + ans),
    as_floating,
)


def gelu(x: Array) -> Array:
    r"""Return :math:`x\,\sigma(2\sqrt{2/\pi}\,(x+0.044715\,x^3))` for every element.

    That is :math:`\frac x2(1+\tanh\sqrt{2/\pi}(x+0.044715\,x^3))`, nearly x times the normal
    distribution function (Hendrycks and Gimpel, 2016), with the digits of its lower tail.
    """
    x = as_floating(x)
    return multiply(x, sigmoid(multiply(x, GELU_LINEAR + GELU_CUBIC * square(x))))


def silu(x: Array) -> Array:
    """Return x times its sigmoid, for every element."""
    x = as_floating(x)
    return multiply(x, sigmoid(x))


def log_sigmoid(x: Array) -> Array:
    """Return the logarithm of the sigmoid, -log(1 + exp(-x)), for every element."""
    return -softplus(-as_floating(x))


ACTIVATIONS = {
    None: lambda x: x,
    "gelu": gelu,
    "relu": relu,
    "sigmoid": sigmoid,
    "silu": silu,
    "tanh": tanh,
}


def check_activation(name: str | None) -> None:
    """Raise ``ValueError`` unless this is the name of an activation (None is the identity)."""
    if name is not None and (not isinstance(name, str) or name not in ACTIVATIONS):
        raise ValueError(f"activation must be one of {list(ACTIVATIONS)}, got {name!r}")


def _sign(x: Array) -> Array:
    return plain_namespace(x).sign(x)


def _step(x: Array) -> Array:
    return plain_namespace(x).astype(x > 0, x.dtype)


# ----------------------------------------------------------------------- choices between arrays


def _pair(x: Any, y: Any) -> tuple[Array, Array]:
    """Return arrays: a Python number has the type that both promote to."""
    x, y = _operand(x), _operand(y)
    xp = plain_namespace(x, y)
    if hasattr(x, "dtype") and hasattr(y, "dtype"):
        return x, y
    if not (hasattr(x, "dtype") or hasattr(y, "dtype")):
        return xp.asarray(x), xp.asarray(y)
    dtype = xp.result_type(x, y)
    return xp.asarray(x, dtype=dtype), xp.asarray(y, dtype=dtype)


@primitive
def maximum(x: Array, y: Array) -> Array:
    """Return the larger of x and y, broadcast; where they are equal each gets half the gradient."""
    x, y = _pair(x, y)
    return plain_namespace(x).maximum(x, y)


@primitive
def minimum(x: Array, y: Array) -> Array:
    """Return the smaller of x and y, broadcast; equal ones get half the gradient each."""
    x, y = _pair(x, y)
    return plain_namespace(x).minimum(x, y)


def _share(x: Array, y: Array, ans: Array) -> Array:
    """Return the part of the gradient for x: 1 where it was chosen, 1/2 where y is equal."""
    x, y, ans = plain(x), plain(y), plain(ans)
    xp = plain_namespace(ans)
    chosen = xp.astype(ans == x, ans.dtype)
    return chosen - 0.5 * chosen * xp.astype(ans == y, ans.dtype)


for _choice in (maximum, minimum):
    defvjp(
        _choice,
        lambda ans, x, y: lambda g: g * _share(x, y, ans),
        lambda ans, x, y: lambda g: g * _share(y, x, ans),
    )


@primitive
def _where(condition: Array, x: Array, y: Array) -> Array:
    x, y = _pair(x, y)
    return plain_namespace(x).where(condition, x, y)


defvjp(
    _where,
    None,
    lambda ans, c, x, y: lambda g: _where(c, g, 0.0),
    lambda ans, c, x, y: lambda g: _where(~c, g, 0.0),
)


def where(condition: Array, x: Array, y: Array) -> Array:
    """Return x where the condition holds and y elsewhere, broadcast.

    Parameters
    ----------
    condition : array of bool
        A constant.
    x, y : array or float
        The choices; a choice that is infinite or NaN must not be reached by a gradient.

    Raises
    ------
    ValueError
        If the condition does not hold booleans.
    """
    x, y = _operand(x), _operand(y)
    xp = plain_namespace(condition, x, y)
    condition = plain(condition)
    if not hasattr(condition, "dtype"):
        condition = xp.asarray(condition)
    if not xp.isdtype(condition.dtype, "bool"):
        raise ValueError(f"condition must hold booleans, got {condition.dtype}")
    return _where(condition, x, y)


def clip(x: Array, min: Array | float | None = None, max: Array | float | None = None) -> Array:
    """Return x moved into [min, max]; the gradient is zero outside, and half of it on a bound.

    Parameters
    ----------
    x : array
        Any shape.
    min, max : array or float, optional
        Bounds, broadcast.
    """
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)
