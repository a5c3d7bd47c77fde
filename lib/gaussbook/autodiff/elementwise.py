"""Arithmetic and functions of single elements, with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch
from gaussbook.autodiff.engine import (
    TracedArray,
    defvjp,
    plain,
    plain_namespace,
    primitive,
)

__all__ = [
    "abs",
    "add",
    "clip",
    "cos",
    "divide",
    "erf",
    "erfc",
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
    "unbroadcast",
    "where",
]

_GELU_SCALE = math.sqrt(2 / math.pi)


def _shape(x: Any) -> tuple[int, ...]:
    return tuple(getattr(x, "shape", ()))


def _as_array(x: Any) -> Array:
    return x if hasattr(x, "dtype") else plain_namespace().asarray(x)


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which an array of the given shape was repeated."""
    if tuple(g.shape) == shape:
        return g
    from gaussbook.autodiff.shaping import reshape
    from gaussbook.autodiff.shaping import sum as total

    lead = g.ndim - len(shape)
    axes = (
        *range(lead),
        *(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1),
    )
    return reshape(total(g, axis=axes), shape) if axes else reshape(g, shape)


_COMPLEX: dict[tuple, bool] = {}


def _is_complex(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return isinstance(x, complex)
    key = type(dtype), dtype  # types of different libraries are not to be compared
    found = _COMPLEX.get(key)
    if found is None:
        found = _COMPLEX[key] = plain_namespace(x).isdtype(dtype, "complex floating")
    return found


def _conj(x: Any) -> Any:
    if not _is_complex(x):
        return x
    from gaussbook.autodiff.fourier import conj

    return x.conjugate() if isinstance(x, complex) else conj(x)


def _fit(g: Array, x: Any) -> Array:
    """Bring a gradient to the shape of x, and to real numbers where x is real."""
    if _is_complex(g) and not _is_complex(x):
        from gaussbook.autodiff.fourier import real

        g = real(g)
    return unbroadcast(g, _shape(x))


# ---------------------------------------------------------------------------------- arithmetic


@primitive
def add(x: Array, y: Array) -> Array:
    """Return x + y, broadcast."""
    return x + y


@primitive
def subtract(x: Array, y: Array) -> Array:
    """Return x - y, broadcast."""
    return x - y


@primitive
def multiply(x: Array, y: Array) -> Array:
    """Return x y, broadcast."""
    return x * y


@primitive
def divide(x: Array, y: Array) -> Array:
    """Return x / y, broadcast."""
    return x / y


@primitive
def negative(x: Array) -> Array:
    """Return -x."""
    return -x


@primitive
def power(x: Array, y: Array) -> Array:
    """Return x to the power y, broadcast; x is positive where the derivative by y is wanted."""
    return x**y


def _power_slope(x: Array, y: Array) -> Array:
    if not hasattr(y, "shape"):  # a Python number: the usual case, without a second power
        if y == 2:
            return 2 * x
        return y * power(x, y - 1) if y != 0 else 0 * x
    return multiply(y, power(x, where(plain(y) == 0, 1.0, y - 1)))


def _log_of_base(x: Array) -> Array:
    if not hasattr(x, "shape"):
        return math.log(x) if x > 0 else 0.0
    return log(where(plain(x) > 0, x, 1.0))


defvjp(
    add,
    lambda ans, x, y: lambda g: _fit(g, x),
    lambda ans, x, y: lambda g: _fit(g, y),
)
defvjp(
    subtract,
    lambda ans, x, y: lambda g: _fit(g, x),
    lambda ans, x, y: lambda g: _fit(-g, y),
)
defvjp(
    multiply,
    lambda ans, x, y: lambda g: _fit(multiply(g, _conj(y)), x),
    lambda ans, x, y: lambda g: _fit(multiply(g, _conj(x)), y),
)
defvjp(
    divide,
    lambda ans, x, y: lambda g: _fit(divide(g, _conj(y)), x),
    lambda ans, x, y: lambda g: _fit(multiply(-g, _conj(divide(ans, y))), y),
)
defvjp(negative, lambda ans, x: lambda g: -g)
defvjp(
    power,
    lambda ans, x, y: lambda g: unbroadcast(multiply(g, _power_slope(x, y)), _shape(x)),
    lambda ans, x, y: lambda g: unbroadcast(multiply(multiply(g, ans), _log_of_base(x)), _shape(y)),
)


# ------------------------------------------------------------------------ functions of one array


def _elementwise(
    name: str, formula: str, value: Callable[[Any, Array], Array], slope: Callable
) -> Callable[[Array], Array]:
    """Make the function ``value(xp, x)`` with the derivative ``slope(ans, x)`` a primitive."""

    def function(x: Array) -> Array:
        x = _as_array(x)
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
square = _elementwise("square", "the square", lambda xp, x: x * x, lambda ans, x: 2 * x)
sin = _elementwise("sin", "the sine", lambda xp, x: xp.sin(x), lambda ans, x: cos(x))
cos = _elementwise("cos", "the cosine", lambda xp, x: xp.cos(x), lambda ans, x: -sin(x))
tanh = _elementwise(
    "tanh", "the hyperbolic tangent", lambda xp, x: xp.tanh(x), lambda ans, x: 1 - ans * ans
)
abs = _elementwise(
    "abs", "the absolute value", lambda xp, x: xp.abs(x), lambda ans, x: _sign(plain(x))
)


def _sigmoid_value(xp: Any, x: Array) -> Array:
    """Return the sigmoid with all its digits in both tails, as 1/2 + tanh(x/2)/2 has not."""
    small = xp.exp(-xp.abs(x))
    return xp.where(x < 0, small, xp.ones_like(small)) / (1 + small)


relu = _elementwise(
    "relu",
    "max(x, 0)",
    lambda xp, x: xp.maximum(x, xp.zeros((), dtype=x.dtype)),
    lambda ans, x: _step(plain(x)),
)
sigmoid = _elementwise(
    "sigmoid",
    "1 / (1 + exp(-x))",
    lambda xp, x: _sigmoid_value(xp, x),
    lambda ans, x: ans * (1 - ans),
)
softplus = _elementwise(
    "softplus",
    "log(1 + exp(x)), without overflow,",
    lambda xp, x: xp.logaddexp(x, xp.zeros((), dtype=x.dtype)),
    lambda ans, x: sigmoid(x),
)
erf = _elementwise(
    "erf",
    "the error function",
    lambda xp, x: dispatch.special("erf", x),
    lambda ans, x: 2 / math.sqrt(math.pi) * exp(-x * x),
)
erfc = _elementwise(
    "erfc",
    "1 - erf(x)",
    lambda xp, x: dispatch.special("erfc", x),
    lambda ans, x: -2 / math.sqrt(math.pi) * exp(-x * x),
)
log_ndtr = _elementwise(
    "log_ndtr",
    "the logarithm of the normal distribution function",
    lambda xp, x: dispatch.special("log_ndtr", x),
    lambda ans, x: _inverse_mills(x),
)
# The ratio of the normal density to its distribution function, which grows as -x on the left:
# there both underflow, and the difference of their logarithms has no digits left.
_inverse_mills = _elementwise(
    "_inverse_mills",
    "the inverse Mills ratio of -x",
    lambda xp, x: math.sqrt(2 / math.pi) / dispatch.special("erfcx", x * -math.sqrt(0.5)),
    lambda ans, x: -ans * (x + ans),
)


def _gelu_value(xp: Any, x: Array) -> Array:
    inner = x * x
    inner *= 0.044715
    inner += 1
    inner *= x
    inner *= _GELU_SCALE
    inner = dispatch.apply_in_place("tanh", inner)
    inner += 1
    inner *= 0.5 * x
    return inner


def _gelu_slope(ans: Array, x: Array) -> Array:
    squared = x * x
    t = tanh(_GELU_SCALE * x * (1 + 0.044715 * squared))
    bend = _GELU_SCALE * (1 + 3 * 0.044715 * squared)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * bend


gelu = _elementwise(
    "gelu",
    "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2, nearly x times the normal distribution "
    "function (Hendrycks and Gimpel, 2016),",
    _gelu_value,
    _gelu_slope,
)


def silu(x: Array) -> Array:
    """Return x times its sigmoid, for every element."""
    return multiply(x, sigmoid(x))


def log_sigmoid(x: Array) -> Array:
    """Return the logarithm of the sigmoid, -log(1 + exp(-x)), for every element."""
    return -softplus(-x)


def _sign(x: Array) -> Array:
    return plain_namespace(x).sign(x)


def _step(x: Array) -> Array:
    return plain_namespace(x).astype(x > 0, x.dtype)


# ----------------------------------------------------------------------- choices between arrays


def _pair(x: Array, y: Array) -> tuple[Array, Array]:
    """Make a Python number an array of the other's type."""
    xp = plain_namespace(x, y)
    if not hasattr(x, "dtype"):
        x = xp.asarray(x, dtype=getattr(y, "dtype", None))
    if not hasattr(y, "dtype"):
        y = xp.asarray(y, dtype=x.dtype)
    return x, y


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
        lambda ans, x, y: lambda g: unbroadcast(g * _share(x, y, ans), _shape(x)),
        lambda ans, x, y: lambda g: unbroadcast(g * _share(y, x, ans), _shape(y)),
    )


@primitive
def where(condition: Array, x: Array, y: Array) -> Array:
    """Return x where the condition holds and y elsewhere, broadcast.

    Parameters
    ----------
    condition : array of bool
        A constant.
    x, y : array or float
        The choices; a choice that is infinite or NaN must not be reached by a gradient.
    """
    x, y = _pair(x, y)
    return plain_namespace(x).where(condition, x, y)


def _masked(condition: Array, g: Array) -> Array:
    return where(condition, g, 0.0)


defvjp(
    where,
    None,
    lambda ans, c, x, y: lambda g: unbroadcast(_masked(plain(c), g), _shape(x)),
    lambda ans, c, x, y: lambda g: unbroadcast(_masked(~plain(c), g), _shape(y)),
)


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


# --------------------------------------------------------------------------------- the operators


for _name, _function in (
    ("add", add),
    ("sub", subtract),
    ("mul", multiply),
    ("truediv", divide),
    ("pow", power),
):
    setattr(TracedArray, f"__{_name}__", lambda x, y, f=_function: f(x, y))
    setattr(TracedArray, f"__r{_name}__", lambda x, y, f=_function: f(y, x))
TracedArray.__neg__ = lambda x: negative(x)
TracedArray.__pos__ = lambda x: x
TracedArray.__abs__ = lambda x: abs(x)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(
        TracedArray,
        f"__{_name}__",
        lambda x, y, name=f"__{_name}__": getattr(plain(x), name)(plain(y)),
    )
