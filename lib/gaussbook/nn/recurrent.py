"""The gated recurrent unit over whole sequences, as one primitive."""

from __future__ import annotations

from typing import Any

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, Generator, namespace
from gaussbook.nn import initialisers
from gaussbook.nn.arguments import check_input, parameter
from gaussbook.nn.layers import dense, dense_init
from gaussbook.validation import check_integer

__all__ = ["gru", "gru_init"]

Params = dict[str, Any]


def gru_init(rng: Generator, inputs: int, width: int, *, dtype: str = "float32") -> Params:
    """Draw the parameters of `gru`.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    inputs, width : int
        Widths of the input and of the state.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    dict
        ``input`` and ``state``, dense layers onto the three gates side by side; the state's three
        matrices are orthogonal.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    width = check_integer("width", width, at_least=1)
    state = dense_init(rng, width, 3 * width, dtype=dtype)
    gates = [initialisers.orthogonal(rng, (width, width), dtype=dtype) for _ in range(3)]
    state["weight"] = namespace(gates[0]).concat(gates, axis=1)
    return {"input": dense_init(rng, inputs, 3 * width, dtype=dtype), "state": state}


def gru(params: Params, x: Array, state: Array | None = None) -> Array:
    r"""Run a gated recurrent unit over sequences.

    .. math::
        r &= \sigma(x_t W_r + h_{t-1} U_r + b_r), \qquad
        z = \sigma(x_t W_z + h_{t-1} U_z + b_z),\\
        n &= \tanh\bigl(x_t W_n + b_n + r \odot (h_{t-1} U_n + c_n)\bigr), \qquad
        h_t = (1-z) \odot n + z \odot h_{t-1}

    (Cho et al., 2014, with the reset after the product).

    Parameters
    ----------
    params : dict
        From `gru_init`.
    x : array, shape (B, T, inputs)
        Sequences.
    state : array, shape (B, width), optional
        The state :math:`h_0`, zero if not given.

    Returns
    -------
    array, shape (B, T, width)
        The states :math:`h_1, \dots, h_T`.

    Raises
    ------
    ValueError
        If shapes do not fit or a sequence is empty.
    """
    onto, within = parameter(params, "input"), parameter(params, "state")
    weight, bias = parameter(within, "weight"), parameter(within, "bias")
    check_input("x", x, ndim=3)
    if x.shape[1] == 0:
        raise ValueError(f"x holds sequences of length 0 (shape {tuple(x.shape)})")
    shape = (x.shape[0], weight.shape[0])
    if state is None:
        plain = ad.plain(x)
        state = namespace(plain).zeros(shape, dtype=plain.dtype)
    elif tuple(check_input("state", state).shape) != shape:
        raise ValueError(f"state must have shape {shape}, got {tuple(state.shape)}")
    return _recurrence(dense(onto, x), weight, bias, state)


def _gate(z: Array) -> Array:
    """Return the sigmoid, without overflow."""
    half = namespace(z).tanh(0.5 * z)
    half += 1
    half *= 0.5
    return half


def _forward(saved: dict, inputs: Array, weight: Array, bias: Array, state: Array) -> Array:
    xp = namespace(inputs)
    B, T, width = inputs.shape[0], inputs.shape[1], weight.shape[0]
    states = xp.empty((T + 1, B, width), dtype=inputs.dtype)
    gates = xp.empty((T, B, 3 * width), dtype=inputs.dtype)
    inner = xp.empty((T, B, width), dtype=inputs.dtype)
    states[0, ...] = state
    for t in range(T):
        h = states[t, ...]
        u = h @ weight
        u += bias
        both = _gate(inputs[:, t, : 2 * width] + u[:, : 2 * width])
        r, z = both[:, :width], both[:, width:]
        n = xp.tanh(inputs[:, t, 2 * width :] + r * u[:, 2 * width :])
        states[t + 1, ...] = n + z * (h - n)
        gates[t, :, : 2 * width] = both
        gates[t, :, 2 * width :] = n
        inner[t, ...] = u[:, 2 * width :]
    saved["states"], saved["gates"], saved["inner"] = states, gates, inner
    return xp.permute_dims(states[1:, ...], (1, 0, 2))


def _backward(
    saved: dict, needed: tuple, g: Array, inputs: Array, weight: Array, bias: Array, state: Array
) -> list[Array]:
    xp = namespace(inputs)
    states, gates, inner = saved["states"], saved["gates"], saved["inner"]
    T, B, width = inner.shape
    by_inputs = xp.empty((T, B, 3 * width), dtype=g.dtype)
    by_products = xp.empty((T, B, 3 * width), dtype=g.dtype)
    transposed = xp.matrix_transpose(weight)
    carried = xp.zeros((B, width), dtype=g.dtype)
    for t in reversed(range(T)):
        carried = carried + g[:, t, :]
        both, n = gates[t, :, : 2 * width], gates[t, :, 2 * width :]
        r, z = both[:, :width], both[:, width:]
        into = carried * (1 - z) * (1 - n * n)
        slopes = both * (1 - both)
        slopes[:, :width] *= into * inner[t, ...]
        slopes[:, width:] *= carried * (states[t, ...] - n)
        for target, last in ((by_inputs, into), (by_products, into * r)):
            target[t, :, : 2 * width] = slopes
            target[t, :, 2 * width :] = last
        carried = carried * z + by_products[t, ...] @ transposed
    flat = xp.reshape(by_products, (T * B, 3 * width))
    before = xp.reshape(states[:T, ...], (T * B, width))
    return [
        xp.permute_dims(by_inputs, (1, 0, 2)),
        xp.matrix_transpose(before) @ flat,
        xp.sum(flat, axis=0),
        carried,
    ]


def _composite(inputs: Array, weight: Array, bias: Array, state: Array) -> Array:
    width, states = weight.shape[0], []
    for t in range(inputs.shape[1]):
        u = state @ weight + bias
        both = ad.sigmoid(inputs[:, t, : 2 * width] + u[:, : 2 * width])
        r, z = both[:, :width], both[:, width:]
        n = ad.tanh(inputs[:, t, 2 * width :] + r * u[:, 2 * width :])
        state = n + z * (state - n)
        states.append(state)
    return ad.stack(states, axis=1)


_recurrence = ad.fused(_forward, _backward, _composite)
