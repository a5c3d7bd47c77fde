"""Layers of networks, each fused into one primitive: few passes over the arrays.

A chain of small operations on arrays that fit into the cache is bound by the passes over memory
and by Python; the fused forms write over their own intermediate results and leave the sums over
rows and columns to BLAS.  Where a gradient is differentiated again, the same chain is taken out of
other primitives (`gaussbook.autodiff.engine.fused`).
"""

from __future__ import annotations

import math
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch
from gaussbook.autodiff.activations import activate, activation_pull
from gaussbook.autodiff.elementwise import (
    ACTIVATIONS,
    add,
    check_activation,
    exp,
    multiply,
    subtract,
)
from gaussbook.autodiff.fusion import fused
from gaussbook.autodiff.linalg import matmul
from gaussbook.autodiff.shaping import (
    logsumexp,
    matrix_transpose,
    mean,
    permute_dims,
    take_along_axis,
)
from gaussbook.autodiff.spaces import checked_axis, reshape
from gaussbook.autodiff.tracing import as_floating, plain, plain_namespace
from gaussbook.rows import row_maxima, row_sums

__all__ = [
    "attention",
    "cross_entropy",
    "decayed_attention",
    "layer_norm",
    "linear",
    "log_softmax",
    "rms_norm",
    "softmax",
]


# ------------------------------------------------------------------------------------- softmax


def _as_rows(x: Array) -> Array:
    """View (..., d) as a matrix (n, d)."""
    if x.ndim == 2:
        return x
    return plain_namespace(x).reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _exponentials(x: Array) -> Array:
    """Return the exponentials over the largest one of the last axis; x may be overwritten."""
    x -= row_maxima(x)
    return dispatch.exponentials(x)


def _softmax_forward(saved: dict, x: Array) -> Array:
    xp = plain_namespace(x)
    y = _exponentials(xp.asarray(x, copy=True))
    y /= row_sums(y)
    saved["y"] = y
    return y


def _softmax_backward(saved: dict, needed: tuple, g: Array, x: Array) -> list[Array]:
    y = saved["y"]
    out = g * y
    out -= y * plain_namespace(x).sum(out, axis=-1, keepdims=True)
    return [out]


def _last(function: Any, x: Array, axis: int) -> Array:
    """Apply a function of the last axis along another one."""
    axis = checked_axis(axis, x.ndim)
    if axis == x.ndim - 1:
        return function(x)
    order = list(range(x.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return permute_dims(function(permute_dims(x, tuple(order))), tuple(order))


def _softmax_composite(x: Array) -> Array:
    return exp(log_softmax(x))


_softmax = fused(_softmax_forward, _softmax_backward, _softmax_composite)


def softmax(x: Array, axis: int = -1) -> Array:
    r"""Return :math:`e^{x_i}/\sum_j e^{x_j}` along an axis.

    Parameters
    ----------
    x : array
        Logits; minus infinity gives weight zero (not all along the axis).
    axis : int
        The axis.

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    return _last(_softmax, as_floating(x), axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    r"""Return :math:`x_i-\log\sum_j e^{x_j}` along an axis; arguments and errors as `softmax`'s."""
    x = as_floating(x)
    axis = checked_axis(axis, x.ndim)
    value = plain(x)  # taking off a constant changes no derivative, and keeps the digits
    x = subtract(x, plain_namespace(value).max(value, axis=axis, keepdims=True))
    return subtract(x, logsumexp(x, axis=axis, keepdims=True))


# ------------------------------------------------------------------------- cross-entropy of classes


def _cross_entropy_forward(saved: dict, logits: Array, *, labels: Array) -> Array:
    xp = plain_namespace(logits)
    shifted = logits - row_maxima(logits)
    picked = xp.take_along_axis(shifted, labels[..., None], axis=-1)
    shifted = dispatch.exponentials(shifted)
    sums = row_sums(shifted)
    saved["exp"], saved["sums"] = shifted, sums
    return (xp.log(sums) - picked)[..., 0]


def _cross_entropy_backward(
    saved: dict, needed: tuple, g: Array, logits: Array, *, labels: Array
) -> list[Array]:
    xp = plain_namespace(logits)
    out = saved["exp"] * (g[..., None] / saved["sums"])
    classes = xp.arange(logits.shape[-1], dtype=labels.dtype)
    out -= g[..., None] * xp.astype(labels[..., None] == classes, out.dtype)
    return [out]


def _cross_entropy_composite(logits: Array, *, labels: Array) -> Array:
    picked = take_along_axis(log_softmax(logits), labels[..., None], axis=-1)
    return -reshape(picked, tuple(labels.shape))


_cross_entropy = fused(_cross_entropy_forward, _cross_entropy_backward, _cross_entropy_composite)


def cross_entropy(logits: Array, labels: Array) -> Array:
    r"""Return :math:`-\log\mathrm{softmax}(\mathrm{logits})_{\mathrm{label}}` for every point.

    Parameters
    ----------
    logits : array, shape (..., K)
        Unnormalised log-probabilities of the classes.
    labels : array of int, shape (...)
        Classes from 0 to K - 1.

    Returns
    -------
    array, shape (...)
        The losses, of which the caller takes the mean or a weighted sum.

    Raises
    ------
    ValueError
        If the labels are not integers in range, or their shape is not that of the logits without
        the last axis.  On a GPU the loss of a label out of range is NaN.
    """
    logits, labels = as_floating(logits), plain(labels)
    labels, guard = dispatch.checked_indices("labels", labels, logits.shape[-1], logits)
    if tuple(labels.shape) != tuple(logits.shape[:-1]):
        raise ValueError(
            f"labels must have shape {tuple(logits.shape[:-1])}, got {tuple(labels.shape)}"
        )
    losses = _cross_entropy(logits, labels=labels)
    return losses if guard is None else losses + guard


# -------------------------------------------------------------------------------- layer norm


def _layer_norm_forward(saved: dict, x: Array, scale: Array, shift: Array, eps: float) -> Array:
    d = x.shape[-1]
    xp = plain_namespace(x)
    rows = _as_rows(x)
    centred = rows - row_sums(rows) * (1 / d)
    squares = centred * centred
    inverse = (row_sums(squares) * (1 / d) + eps) ** -0.5
    centred *= inverse
    saved["normal"], saved["inverse"] = centred, inverse
    out = centred * scale
    out += shift
    return xp.reshape(out, x.shape)


def _layer_norm_backward(
    saved: dict, needed: tuple, g: Array, x: Array, scale: Array, shift: Array, eps: float
) -> list[Array]:
    normal, inverse, d = saved["normal"], saved["inverse"], x.shape[-1]
    xp = plain_namespace(x)
    g = _as_rows(g)
    product = g * normal
    by_scale = dispatch.column_sums(product) if 1 in needed else None
    by_shift = dispatch.column_sums(g) if 2 in needed else None
    if 0 not in needed:
        return [None, by_scale, by_shift]
    weights = xp.reshape(scale, (-1, 1)) * (1 / d)
    out = g * scale
    out -= g @ weights
    out -= normal * (product @ weights)
    out *= inverse
    return [xp.reshape(out, x.shape), by_scale, by_shift]


def _layer_norm_composite(x: Array, scale: Array, shift: Array, eps: float) -> Array:
    centred = x - mean(x, axis=-1, keepdims=True)
    inverse = (mean(centred * centred, axis=-1, keepdims=True) + eps) ** -0.5
    return add(multiply(centred * inverse, scale), shift)


_layer_norm = fused(_layer_norm_forward, _layer_norm_backward, _layer_norm_composite)


def layer_norm(x: Array, scale: Array, shift: Array, eps: float = 1e-5) -> Array:
    r"""Return x with mean zero and variance one along its last axis, scaled and shifted.

    .. math:: y = \gamma\,\frac{x-\bar x}{\sqrt{\overline{(x-\bar x)^2}+\epsilon}}+\beta

    (Ba, Kiros and Hinton, 2016).

    Parameters
    ----------
    x : array, shape (..., d)
        What to normalise.
    scale, shift : array, shape (d,)
        The :math:`\gamma` and :math:`\beta`.
    eps : float
        Added to the variance.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if tuple(scale.shape) != (x.shape[-1],) or tuple(shift.shape) != (x.shape[-1],):
        raise ValueError(
            f"scale and shift must have shape ({x.shape[-1]},), "
            f"got {tuple(scale.shape)} and {tuple(shift.shape)}"
        )
    return _layer_norm(x, scale, shift, eps=eps)


# ---------------------------------------------------------------------------------- RMS norm


def _rms_norm_forward(saved: dict, x: Array, scale: Array | None, eps: float) -> Array:
    rows = _as_rows(x)
    inverse = (row_sums(rows * rows) * (1 / x.shape[-1]) + eps) ** -0.5
    normal = rows * inverse
    saved["normal"], saved["inverse"] = normal, inverse
    out = normal if scale is None else normal * scale
    return plain_namespace(x).reshape(out, x.shape)


def _rms_norm_backward(
    saved: dict, needed: tuple, g: Array, x: Array, scale: Array | None, eps: float
) -> list[Array | None]:
    xp, normal, g = plain_namespace(x), saved["normal"], _as_rows(g)
    by_scale = dispatch.column_sums(g * normal) if 1 in needed else None
    g = g if scale is None else g * scale
    out = g - normal * (row_sums(g * normal) * (1 / x.shape[-1]))
    out *= saved["inverse"]
    return [xp.reshape(out, x.shape), by_scale]


def _rms_norm_composite(x: Array, scale: Array | None, eps: float) -> Array:
    normal = x * (mean(x * x, axis=-1, keepdims=True) + eps) ** -0.5
    return normal if scale is None else multiply(normal, scale)


_rms_norm = fused(_rms_norm_forward, _rms_norm_backward, _rms_norm_composite)


def rms_norm(x: Array, scale: Array | None = None, eps: float = 1e-5) -> Array:
    r"""Return x over the root of its mean square along the last axis, scaled.

    .. math:: y = \gamma\,\frac{x}{\sqrt{\overline{x^2}+\epsilon}}

    (Zhang and Sennrich, 2019).

    Parameters
    ----------
    x : array, shape (..., d)
        What to normalise.
    scale : array, shape (d,), optional
        The :math:`\gamma`, one if not given.
    eps : float
        Added to the mean square.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if scale is not None and tuple(scale.shape) != (x.shape[-1],):
        raise ValueError(f"scale must have shape ({x.shape[-1]},), got {tuple(scale.shape)}")
    return _rms_norm(x, scale, eps=eps)


# ------------------------------------------------------------------ affine map and activation


def _as_stack(x: Array, weight: Array) -> Array:
    """View (..., d) as the matrix (n, d), or (M, ..., d) as the matrices (M, n, d) of M maps."""
    if weight.ndim == 2:
        return _as_rows(x)
    return plain_namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]))


def _linear_forward(
    saved: dict, x: Array, weight: Array, bias: Array | None, activation: str | None
) -> Array:
    z = _as_stack(x, weight) @ weight
    if bias is not None and bias.ndim == 1:
        dispatch.add_to_rows(z, bias)
    elif bias is not None:
        z += bias[:, None, :]
    z = activate(saved, _as_rows(z), activation)
    if x.ndim == 2:
        return z
    return plain_namespace(x).reshape(z, (*x.shape[:-1], weight.shape[-1]))


def _linear_backward(
    saved: dict,
    needed: tuple,
    g: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    activation: str | None,
) -> list[Array]:
    xp = plain_namespace(x)
    slope = activation_pull(saved, _as_rows(g), activation)
    by_x = by_weight = by_bias = None
    if weight.ndim == 3:
        slope = xp.reshape(slope, (x.shape[0], math.prod(x.shape[1:-1]), weight.shape[2]))
    if 0 in needed:
        turned = xp.matrix_transpose(weight)
        # The product with a single row has nothing to sum; BLAS takes three times as long for it.
        by_x = slope * turned if weight.shape[-1] == 1 else slope @ turned
        by_x = by_x if x.ndim == 2 else xp.reshape(by_x, x.shape)
    if 1 in needed:
        by_weight = xp.matrix_transpose(_as_stack(x, weight)) @ slope
    if 2 in needed:
        by_bias = dispatch.column_sums(slope)
    return [by_x, by_weight, by_bias]


def _linear_composite(x: Array, weight: Array, bias: Array | None, activation: str | None) -> Array:
    if weight.ndim == 2:
        z = matmul(x, weight)
        return ACTIVATIONS[activation](z if bias is None else add(z, bias))
    rows = reshape(x, (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]))
    z = matmul(rows, weight)
    z = z if bias is None else add(z, reshape(bias, (bias.shape[0], 1, bias.shape[1])))
    return reshape(ACTIVATIONS[activation](z), (*x.shape[:-1], weight.shape[2]))


_linear = fused(_linear_forward, _linear_backward, _linear_composite)


def linear(
    x: Array, weight: Array, bias: Array | None = None, activation: str | None = None
) -> Array:
    r"""Return :math:`\phi(x W+b)` for every row.

    Parameters
    ----------
    x : array, shape (..., n) or (M, ..., n)
        Rows; with a stack of maps, those of each map.
    weight : array, shape (n, m) or (M, n, m)
        W, or a stack of M of them, each for its own rows.
    bias : array, shape (m,) or (M, m), optional
        b.
    activation : {None, "relu", "gelu", "silu", "sigmoid", "tanh"}
        The function :math:`\phi` of every element.

    Returns
    -------
    array, shape (..., m)
        The images.

    Raises
    ------
    ValueError
        If the shapes do not fit or the activation is not known.
    """
    check_activation(activation)
    stack = tuple(weight.shape[:-2])
    fits = weight.ndim in (2, 3) and x.ndim > len(stack) and x.shape[-1] == weight.shape[-2]
    if not fits or tuple(x.shape[: len(stack)]) != stack:
        raise ValueError(
            f"weight must have shape ({x.shape[-1] if x.ndim else '?'}, m) to fit x of shape "
            f"{tuple(x.shape)}, got {tuple(weight.shape)}"
        )
    if bias is not None and tuple(bias.shape) != (*stack, weight.shape[-1]):
        wanted = (*stack, weight.shape[-1])
        raise ValueError(f"bias must have shape {wanted}, got {tuple(bias.shape)}")
    return _linear(x, weight, bias, activation=activation)


# ---------------------------------------------------------------------------------- attention


def _by_head(x: Array, heads: int) -> Array:
    """View (B, T, d) as (B, heads, T, d / heads)."""
    xp = plain_namespace(x)
    split = xp.reshape(x, (x.shape[0], x.shape[1], heads, x.shape[2] // heads))
    return xp.permute_dims(split, (0, 2, 1, 3))


def _merged(x: Array) -> Array:
    xp = plain_namespace(x)
    x = xp.permute_dims(x, (0, 2, 1, 3))
    return xp.reshape(x, (x.shape[0], x.shape[1], x.shape[2] * x.shape[3]))


def _attention_forward(
    saved: dict, q: Array, k: Array, v: Array, *, bias: Array | None, heads: int
) -> Array:
    xp = plain_namespace(q)
    q4, k4, v4 = (_by_head(x, heads) for x in (q, k, v))
    scores = (q4 * (1 / math.sqrt(q4.shape[-1]))) @ xp.matrix_transpose(k4)
    if bias is not None:
        scores += bias
    weights = _exponentials(scores)
    inverse = 1 / row_sums(weights)
    # Dividing the mean of the values is cheaper than dividing the weights.
    out = weights @ v4
    out *= inverse
    saved["weights"], saved["inverse"], saved["out"] = weights, inverse, out
    return _merged(out)


def _attention_backward(
    saved: dict,
    needed: tuple,
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    *,
    bias: Array | None,
    heads: int,
) -> list[Array]:
    xp = plain_namespace(q)
    weights, inverse, out = saved["weights"], saved["inverse"], saved["out"]
    q4, k4, v4 = (_by_head(x, heads) for x in (q, k, v))
    g4 = _by_head(g, heads) * inverse
    by_v = xp.matrix_transpose(weights) @ g4
    # The softmax's pull takes off the mean slope, which is the slope along the output itself.
    slope = g4 @ xp.matrix_transpose(v4)
    slope -= row_sums(g4 * out)
    slope *= weights
    factor = 1 / math.sqrt(q4.shape[-1])
    by_q = slope @ k4
    by_q *= factor
    by_k = xp.matrix_transpose(slope) @ (q4 * factor)
    return [_merged(by_q), _merged(by_k), _merged(by_v)]


def _attention_composite(q: Array, k: Array, v: Array, *, bias: Array | None, heads: int) -> Array:
    def by_head(x: Array) -> Array:
        split = reshape(x, (x.shape[0], x.shape[1], heads, x.shape[2] // heads))
        return permute_dims(split, (0, 2, 1, 3))

    q4, k4, v4 = by_head(q), by_head(k), by_head(v)
    scores = matmul(q4, matrix_transpose(k4)) * (1 / math.sqrt(q4.shape[-1]))
    if bias is not None:
        scores = add(scores, bias)
    out = permute_dims(matmul(_softmax_composite(scores), v4), (0, 2, 1, 3))
    return reshape(out, (*q.shape[:2], v.shape[2]))


_attention = fused(_attention_forward, _attention_backward, _attention_composite)


def attention(q: Array, k: Array, v: Array, *, heads: int = 1, mask: Array | None = None) -> Array:
    r"""Return scaled dot-product attention, head by head.

    .. math:: \mathrm{softmax}\bigl(QK^\top/\sqrt{d_h}+M\bigr)\,V

    (Vaswani et al., 2017), where M is 0 where a query may look and minus infinity elsewhere.

    Parameters
    ----------
    q : array, shape (B, T, d)
        Queries; head h owns the h-th part of the last axis.
    k : array, shape (B, S, d)
        Keys.
    v : array, shape (B, S, e)
        Values.
    heads : int
        Number of heads, a divisor of d and e.
    mask : array of bool, optional
        Shape (T, S), (B, 1 or T, S) or any that broadcasts to (B, heads, T, S): true where a
        query may look.  Every query must be allowed one key.

    Returns
    -------
    array, shape (B, T, e)
        The weighted means of the values.

    Raises
    ------
    ValueError
        If shapes do not fit, or a query is allowed no key.  On a GPU such a query's values are NaN.
    """
    if q.ndim != 3 or k.ndim != 3 or v.ndim != 3:
        raise ValueError(f"q, k and v must have 3 dimensions, got {q.ndim}, {k.ndim} and {v.ndim}")
    if not (k.shape[0] == v.shape[0] == q.shape[0]) or k.shape[1] != v.shape[1]:
        raise ValueError(
            "q, k and v must share their batch, k and v their length; got shapes "
            f"{tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    if q.shape[2] != k.shape[2] or heads < 1 or q.shape[2] % heads or v.shape[2] % heads:
        raise ValueError(
            f"heads is {heads}; it must divide the common width of q and k and that of v, got "
            f"{q.shape[2]}, {k.shape[2]} and {v.shape[2]}"
        )
    bias = None if mask is None else _mask_bias(plain(mask), q, k, heads)
    return _attention(q, k, v, bias=bias, heads=heads)


def _mask_bias(mask: Array, q: Array, k: Array, heads: int) -> Array:
    xp = plain_namespace(mask)
    if not hasattr(mask, "dtype") or not xp.isdtype(mask.dtype, "bool"):
        raise ValueError(f"mask must hold booleans, got {getattr(mask, 'dtype', type(mask))}")
    if mask.ndim == 3:
        mask = mask[:, None, :, :]
    full = (q.shape[0], heads, q.shape[1], k.shape[1])
    if mask.ndim > 4 or any(
        m not in (1, n) for m, n in zip(reversed(mask.shape), reversed(full), strict=False)
    ):
        raise ValueError(f"mask must broadcast to {full}, got {tuple(mask.shape)}")
    if dispatch.on_host(mask) and not bool(xp.all(xp.any(mask, axis=-1))):
        raise ValueError("mask forbids some query every key")
    zero = xp.zeros((), dtype=plain(q).dtype)
    return xp.where(mask, zero, zero - math.inf)


# -------------------------------------------------------------------- attention without a softmax


def _decayed_forward(saved: dict, q: Array, k: Array, v: Array, decay: Array) -> Array:
    xp = plain_namespace(q)
    weights = decay[..., :, None] - decay[..., None, :]
    weights += _not_yet(decay)
    weights = dispatch.exponentials(weights)
    scores = (q @ xp.matrix_transpose(k))[..., None, :, :]
    saved["scores"], saved["decays"], saved["weights"] = scores, weights, scores * weights
    return saved["weights"] @ v


def _not_yet(decay: Array) -> Array:
    """Return 0 where a position may be seen, and minus infinity where it comes later."""
    xp, T = plain_namespace(decay), decay.shape[-1]
    at = xp.arange(T)
    zero = xp.zeros((), dtype=decay.dtype)
    return xp.where(at[:, None] >= at, zero, zero - math.inf)


def _decayed_backward(
    saved: dict, needed: tuple, g: Array, q: Array, k: Array, v: Array, decay: Array
) -> list[Array]:
    xp = plain_namespace(q)
    by_v = xp.matrix_transpose(saved["weights"]) @ g
    slope = g @ xp.matrix_transpose(v)
    by_scores = xp.sum(slope * saved["decays"], axis=-3)
    slope *= saved["weights"]
    by_decay = xp.sum(slope, axis=-1) - xp.sum(slope, axis=-2)
    return [by_scores @ k, xp.matrix_transpose(by_scores) @ q, by_v, by_decay]


def _decayed_composite(q: Array, k: Array, v: Array, decay: Array) -> Array:
    rows = reshape(decay, (*decay.shape, 1))
    columns = reshape(decay, (*decay.shape[:-1], 1, decay.shape[-1]))
    weights = exp(add(subtract(rows, columns), _not_yet(plain(decay))))
    scores = matmul(q, matrix_transpose(k))
    scores = reshape(scores, (*q.shape[:-2], 1, q.shape[-2], q.shape[-2]))
    return matmul(multiply(scores, weights), v)


_decayed = fused(_decayed_forward, _decayed_backward, _decayed_composite)


def decayed_attention(q: Array, k: Array, v: Array, decay: Array) -> Array:
    r"""Return causal attention without a softmax, in which what was seen decays.

    .. math:: y_i = \sum_{j\le i} e^{a_i-a_j}\,(q_i^\top k_j)\, v_j

    The matrix form of a state-space layer with one decay for each head (Dao and Gu, 2024).

    Parameters
    ----------
    q, k : array, shape (..., T, N)
        Queries and keys, which all heads share.
    v : array, shape (..., H, T, P)
        Values.
    decay : array, shape (..., H, T)
        The a: running sums of the logarithms of the decays, so that they fall.

    Returns
    -------
    array, shape (..., H, T, P)
        y.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if q.ndim < 2:
        raise ValueError(f"q must have shape (..., T, N), got {tuple(q.shape)}")
    shape = (*q.shape[:-2], decay.shape[-2] if decay.ndim > 1 else 0, q.shape[-2])
    if tuple(k.shape) != tuple(q.shape):
        raise ValueError(f"k must have the shape of q, {tuple(q.shape)}, got {tuple(k.shape)}")
    if tuple(decay.shape) != shape:
        raise ValueError(f"decay must have shape {shape}, got {tuple(decay.shape)}")
    if tuple(v.shape[:-1]) != shape:
        raise ValueError(f"v must have shape {shape} and values, got {tuple(v.shape)}")
    return _decayed(q, k, v, decay)
