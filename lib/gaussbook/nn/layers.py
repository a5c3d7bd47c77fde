"""Layers as plain functions of a dictionary of parameters and an input.

Every layer ``f(params, x)`` has an ``f_init(rng, ...)`` that draws its dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, Generator, namespace
from gaussbook.nn import initialisers
from gaussbook.nn.arguments import check_input, check_integers, dtype_of, parameter
from gaussbook.validation import check_integer

__all__ = [
    "conv",
    "conv_init",
    "dense",
    "dense_init",
    "embedding",
    "embedding_init",
    "layer_norm",
    "mlp",
    "mlp_init",
    "norm_init",
    "rms_norm",
]

Params = dict[str, Any]
Initialiser = Callable[..., Array]


def _constant(rng: Generator, n: int, value: float, dtype: str) -> Array:
    """Return n equal numbers on the generator's backend, drawing nothing that others would."""
    xp = namespace(rng.standard_normal(0))
    return xp.full(n, value, dtype=dtype_of(xp, dtype))


def _per_channel(params: Params, name: str, width: int) -> Array:
    """Return a vector of the parameters, which must not be broadcast along the last axis."""
    value = parameter(params, name)
    if tuple(value.shape) != (width,):
        raise ValueError(f"params[{name!r}] must have shape ({width},), got {tuple(value.shape)}")
    return value


def dense_init(
    rng: Generator,
    inputs: int,
    outputs: int,
    *,
    bias: bool = True,
    init: Initialiser = initialisers.glorot,
    dtype: str = "float32",
) -> Params:
    """Draw the parameters of `dense`.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    inputs, outputs : int
        Widths.
    bias : bool
        Have a bias, zero at first.
    init : callable
        One of `gaussbook.nn.initialisers`.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    dict
        ``{"weight": (inputs, outputs), "bias": (outputs,)}``.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    inputs = check_integer("inputs", inputs, at_least=1)
    outputs = check_integer("outputs", outputs, at_least=1)
    params = {"weight": init(rng, (inputs, outputs), dtype=dtype)}
    return params | ({"bias": _constant(rng, outputs, 0.0, dtype)} if bias else {})


def dense(params: Params, x: Array, activation: str | None = None) -> Array:
    r"""Return :math:`\phi(xW+b)`.

    Parameters
    ----------
    params : dict
        From `dense_init`; several of them stacked along a leading axis are layers of as many
        networks, each for its own part of `x`.
    x : array, shape (..., inputs)
        Rows.
    activation : {None, "relu", "gelu", "silu", "sigmoid", "tanh"}
        The function :math:`\phi`.

    Returns
    -------
    array, shape (..., outputs)
        The images.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    weight = parameter(params, "weight")
    check_input("x", x, at_least=1)
    return ad.linear(x, weight, params.get("bias"), activation)


def mlp_init(
    rng: Generator,
    widths: Sequence[int],
    *,
    init: Initialiser = initialisers.glorot,
    dtype: str = "float32",
) -> list[Params]:
    """Draw the parameters of `mlp`: one dense layer between consecutive widths.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    widths : sequence of int
        Input, hidden layers, output.
    init : callable
        One of `gaussbook.nn.initialisers`.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    if not isinstance(widths, list | tuple) or len(widths) < 2:
        raise ValueError(f"widths must be a list of input and output at least, got {widths!r}")
    return [dense_init(rng, n, m, init=init, dtype=dtype) for n, m in pairwise(widths)]


def mlp(params: Sequence[Params], x: Array, activation: str = "relu") -> Array:
    """Return a chain of dense layers, the last without activation.

    Parameters
    ----------
    params : list of dict
        From `mlp_init`.
    x : array, shape (..., inputs)
        Rows.
    activation : str
        As for `dense`, between the layers.

    Raises
    ------
    ValueError
        If an entry of `params` is missing, or shapes do not fit.
    """
    if not isinstance(params, list | tuple) or not params:
        raise ValueError("params must be a non-empty list of layers")
    for layer in params[:-1]:
        x = dense(layer, x, activation)
    return dense(params[-1], x)


def conv_init(
    rng: Generator,
    inputs: int,
    outputs: int,
    size: int = 3,
    *,
    init: Initialiser = initialisers.he,
    dtype: str = "float32",
) -> Params:
    """Draw the parameters of `conv`.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    inputs, outputs : int
        Channels.
    size : int
        Height and width of the kernel.
    init : callable
        One of `gaussbook.nn.initialisers`.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    dict
        ``{"weight": (size, size, inputs, outputs), "bias": (outputs,)}``.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    inputs = check_integer("inputs", inputs, at_least=1)
    outputs = check_integer("outputs", outputs, at_least=1)
    size = check_integer("size", size, at_least=1)
    weight = init(rng, (size, size, inputs, outputs), dtype=dtype)
    return {"weight": weight, "bias": _constant(rng, outputs, 0.0, dtype)}


def conv(
    params: Params, x: Array, *, stride: int = 1, pad: int = 0, activation: str | None = None
) -> Array:
    """Return the images convolved, biased and activated.

    Parameters
    ----------
    params : dict
        From `conv_init`.
    x : array, shape (B, H, W, inputs)
        Images, channels last.
    stride, pad : int
        As for `gaussbook.autodiff.conv2d`.
    activation : {None, "relu", "gelu", "silu", "sigmoid", "tanh"}
        Function of every element.

    Returns
    -------
    array, shape (B, h, w, outputs)
        The images.

    Raises
    ------
    ValueError
        If an entry of `params` is missing, or shapes do not fit.
    """
    weight, bias = parameter(params, "weight"), parameter(params, "bias")
    check_input("x", x, ndim=4)
    return ad.conv2d(x, weight, bias, stride=stride, pad=pad, activation=activation)


def embedding_init(
    rng: Generator, entries: int, width: int, *, scale: float = 0.02, dtype: str = "float32"
) -> Params:
    """Draw the table of `embedding`, ``{"table": (entries, width)}``.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    entries, width : int
        Number of vectors and their length.
    scale : float
        Standard deviation of the elements.
    dtype : {"float32", "float64"}
        Type of the table.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    shape = (
        check_integer("entries", entries, at_least=1),
        check_integer("width", width, at_least=1),
    )
    return {"table": initialisers.normal(rng, shape, scale=scale, dtype=dtype)}


def embedding(params: Params, indices: Array) -> Array:
    """Return rows of a table.

    Parameters
    ----------
    params : dict
        From `embedding_init`.
    indices : array of int, shape S
        From 0 to entries - 1.

    Returns
    -------
    array, shape (*S, width)
        The rows.

    Raises
    ------
    ValueError
        If an index is not in the table.
    """
    table = parameter(params, "table")
    check_integers("indices", indices)
    return ad.take(table, indices)


def norm_init(rng: Generator, width: int, *, dtype: str = "float32") -> Params:
    """Return the parameters of a norm, ``{"scale": ones (width,), "shift": zeros (width,)}``.

    Parameters
    ----------
    rng : Generator
        Says on which backend; nothing is drawn.
    width : int
        Length of the last axis.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    width = check_integer("width", width, at_least=1)
    return {
        "scale": _constant(rng, width, 1.0, dtype),
        "shift": _constant(rng, width, 0.0, dtype),
    }


def layer_norm(params: Params, x: Array, eps: float = 1e-5) -> Array:
    """Return `gaussbook.autodiff.layer_norm` of x (..., width)."""
    scale, shift = parameter(params, "scale"), parameter(params, "shift")
    return ad.layer_norm(check_input("x", x, at_least=1), scale, shift, eps)


def rms_norm(params: Params, x: Array, eps: float = 1e-5) -> Array:
    r"""Return :math:`\gamma x/\sqrt{\overline{x^2}+\epsilon}+\beta` over the last axis.

    (Zhang and Sennrich, 2019; the shift may be left out of `params`.)

    Parameters
    ----------
    params : dict
        From `norm_init`.
    x : array, shape (..., width)
        What to normalise.
    eps : float
        Added to the mean square.

    Raises
    ------
    ValueError
        If an entry of `params` is missing, or shapes do not fit.
    """
    check_input("x", x, at_least=1)
    scale = _per_channel(params, "scale", x.shape[-1])
    out = ad.rms_norm(x, scale, eps)
    return out + _per_channel(params, "shift", x.shape[-1]) if "shift" in params else out
