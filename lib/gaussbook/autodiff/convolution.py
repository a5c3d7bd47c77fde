r"""Convolutions of images, channels last, as products of matrices; filters of rows of channels.

The first three operations of this module are the three ways to contract the same trilinear form

.. math::
    \sum_{b,h,w}\sum_{i,j}\sum_{c,e} x_{b,\,sh+i,\,sw+j,\,c}\; K_{i,j,c,e}\; y_{b,h,w,e}

with two of its arguments, so that each one's gradients are the other two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from gaussbook.arrays import Array
from gaussbook.autodiff import dispatch
from gaussbook.autodiff.activations import activate, activation_pull
from gaussbook.autodiff.elementwise import ACTIVATIONS, add, check_activation, multiply
from gaussbook.autodiff.fusion import fused
from gaussbook.autodiff.shaping import getitem
from gaussbook.autodiff.spaces import defvjp, reshape
from gaussbook.autodiff.tracing import plain_namespace, primitive

__all__ = ["causal_conv", "conv2d"]


def _patches(x: Array, kernel: tuple[int, int], stride: int, out: tuple[int, int]) -> Array:
    """Return the windows of x (B, H, W, C) as rows (B h w, kh kw C)."""
    if kernel == (1, 1) and stride == 1:
        return plain_namespace(x).reshape(x, (math.prod(x.shape[:3]), x.shape[3]))
    return dispatch.windows(x, kernel, stride, out)


def _padded(x: Array, pad: int) -> Array:
    if pad == 0:
        return x
    xp = plain_namespace(x)
    B, H, W, C = x.shape
    out = xp.zeros((B, H + 2 * pad, W + 2 * pad, C), dtype=x.dtype)
    out[:, pad : pad + H, pad : pad + W, :] = x
    return out


def _matrix(kernel: Array) -> Array:
    kh, kw, c, e = kernel.shape
    return plain_namespace(kernel).reshape(kernel, (kh * kw * c, e))


def _out_size(n: int, k: int, stride: int, pad: int) -> int:
    return (n + 2 * pad - k) // stride + 1


@primitive
def _conv(x: Array, kernel: Array, stride: int, pad: int) -> Array:
    kh, kw, _, e = kernel.shape
    out = tuple(_out_size(n, k, stride, pad) for n, k in zip(x.shape[1:3], (kh, kw), strict=True))
    rows = _patches(_padded(x, pad), (kh, kw), stride, out)
    return plain_namespace(x).reshape(rows @ _matrix(kernel), (x.shape[0], *out, e))


@primitive
def _conv_by_input(y: Array, kernel: Array, stride: int, pad: int, size: tuple[int, int]) -> Array:
    """Return the gradient of `_conv` by its input of the given height and width."""
    # The pixels whose row and column leave the same remainders by the stride see the same part of
    # the kernel: each such lattice is an ordinary convolution, and nothing has to be added up.
    xp = plain_namespace(y)
    kh, kw, c, _ = kernel.shape
    out = xp.zeros((y.shape[0], *size, c), dtype=y.dtype)
    for a in range(min(stride, kh)):
        for b in range(min(stride, kw)):
            down = _lattice(a, kh, stride, pad, size[0])
            across = _lattice(b, kw, stride, pad, size[1])
            if down is None or across is None:
                continue
            part = xp.flip(kernel[a::stride, b::stride, :, :], axis=(0, 1))
            part = xp.permute_dims(part, (0, 1, 3, 2))
            lengths = down.count, across.count
            rows = _patches(_cut(y, down.source, across.source), part.shape[:2], 1, lengths)
            values = xp.reshape(rows @ _matrix(part), (y.shape[0], *lengths, c))
            out[:, down.first :: stride, across.first :: stride, :] = values
    return out


class _Lattice(NamedTuple):
    """Every stride-th pixel along one axis: where it begins, how long it is, what it sees."""

    first: int
    count: int
    source: tuple[int, int]  # first and last index, some of them outside the image


def _lattice(remainder: int, k: int, stride: int, pad: int, n: int) -> _Lattice | None:
    first = (remainder - pad) % stride
    if first >= n:
        return None
    count = (n - 1 - first) // stride + 1
    begin = (first + pad - remainder) // stride
    taps = (k - remainder + stride - 1) // stride
    return _Lattice(first, count, (begin - taps + 1, begin + count - 1))


def _cut(y: Array, down: tuple[int, int], across: tuple[int, int]) -> Array:
    """Return a rectangle of the images, with zeros where it exceeds them."""
    xp = plain_namespace(y)
    B, h, w, e = y.shape
    (top, bottom), (left, right) = down, across
    if top == left == 0 and bottom == h - 1 and right == w - 1:
        return y
    out = xp.zeros((B, bottom - top + 1, right - left + 1, e), dtype=y.dtype)
    r0, r1, c0, c1 = max(top, 0), min(bottom, h - 1), max(left, 0), min(right, w - 1)
    if r0 <= r1 and c0 <= c1:
        out[:, r0 - top : r1 - top + 1, c0 - left : c1 - left + 1, :] = y[
            :, r0 : r1 + 1, c0 : c1 + 1, :
        ]
    return out


@primitive
def _conv_by_kernel(
    x: Array, y: Array, stride: int, pad: int, kernel_size: tuple[int, int]
) -> Array:
    """Return the gradient of `_conv` by its kernel of the given height and width."""
    xp = plain_namespace(x)
    e = y.shape[-1]
    rows = _patches(_padded(x, pad), kernel_size, stride, tuple(y.shape[1:3]))
    product = xp.matrix_transpose(rows) @ xp.reshape(y, (math.prod(y.shape[:3]), e))
    return xp.reshape(product, (*kernel_size, x.shape[-1], e))


def _image(x: Array) -> tuple[int, int]:
    return tuple(x.shape[1:3])


defvjp(
    _conv,
    lambda ans, x, k, stride, pad: lambda g: _conv_by_input(g, k, stride, pad, _image(x)),
    lambda ans, x, k, stride, pad: lambda g: _conv_by_kernel(x, g, stride, pad, tuple(k.shape[:2])),
)
defvjp(
    _conv_by_input,
    lambda ans, y, k, stride, pad, size: lambda g: _conv(g, k, stride, pad),
    lambda ans, y, k, stride, pad, size: (
        lambda g: _conv_by_kernel(g, y, stride, pad, tuple(k.shape[:2]))
    ),
)
defvjp(
    _conv_by_kernel,
    lambda ans, x, y, stride, pad, size: lambda g: _conv_by_input(y, g, stride, pad, _image(x)),
    lambda ans, x, y, stride, pad, size: lambda g: _conv(x, g, stride, pad),
)


def _check(name: str, x: Array, kernel: Array, stride: int, pad: int, channels: int) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name} must have shape (B, H, W, C), got {tuple(x.shape)}")
    if kernel.ndim != 4 or kernel.shape[channels] != x.shape[3]:
        raise ValueError(
            f"kernel must have shape (kh, kw, C, E) with axis {channels} of length {x.shape[3]}, "
            f"got {tuple(kernel.shape)}"
        )
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"stride must be a positive integer, got {stride!r}")
    if not isinstance(pad, int) or pad < 0:
        raise ValueError(f"pad must be a non-negative integer, got {pad!r}")


def _forward(
    saved: dict,
    x: Array,
    kernel: Array,
    bias: Array | None,
    stride: int,
    pad: int,
    activation: str | None,
) -> Array:
    kh, kw, _, e = kernel.shape
    out = tuple(_out_size(n, k, stride, pad) for n, k in zip(x.shape[1:3], (kh, kw), strict=True))
    rows = _patches(_padded(x, pad), (kh, kw), stride, out)
    saved["rows"] = rows
    z = rows @ _matrix(kernel)
    if bias is not None:
        dispatch.add_to_rows(z, bias)
    return plain_namespace(x).reshape(activate(saved, z, activation), (x.shape[0], *out, e))


def _backward(
    saved: dict,
    needed: tuple,
    g: Array,
    x: Array,
    kernel: Array,
    bias: Array | None,
    stride: int,
    pad: int,
    activation: str | None,
) -> list[Array]:
    xp = plain_namespace(x)
    slope = activation_pull(saved, xp.reshape(g, (math.prod(g.shape[:3]), g.shape[3])), activation)
    by_x = by_kernel = by_bias = None
    if 0 in needed:
        by_x = _conv_by_input(xp.reshape(slope, g.shape), kernel, stride, pad, _image(x))
    if 1 in needed:
        by_kernel = xp.reshape(xp.matrix_transpose(saved["rows"]) @ slope, kernel.shape)
    if 2 in needed:
        by_bias = dispatch.column_sums(slope)
    return [by_x, by_kernel, by_bias]


def _composite(
    x: Array,
    kernel: Array,
    bias: Array | None,
    stride: int,
    pad: int,
    activation: str | None,
) -> Array:
    z = _conv(x, kernel, stride, pad)
    return ACTIVATIONS[activation](z if bias is None else add(z, bias))


_layer = fused(_forward, _backward, _composite)


def conv2d(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    stride: int = 1,
    pad: int = 0,
    activation: str | None = None,
) -> Array:
    r"""Correlate images with a bank of kernels.

    .. math::
        y_{bhwe}=\phi\Bigl(\sum_{i,j,c} x_{b,\,sh+i-p,\,sw+j-p,\,c}\,K_{ijce}+\beta_e\Bigr)

    Parameters
    ----------
    x : array, shape (B, H, W, C)
        Images, channels last.
    kernel : array, shape (kh, kw, C, E)
        K.
    bias : array, shape (E,), optional
        :math:`\beta`.
    stride : int
        s.
    pad : int
        Rows and columns of zeros p put around the images.
    activation : {None, "relu", "gelu", "silu", "sigmoid", "tanh"}
        The function :math:`\phi` of every element.

    Returns
    -------
    array, shape (B, (H + 2 p - kh) // s + 1, (W + 2 p - kw) // s + 1, E)
        y.

    Raises
    ------
    ValueError
        If shapes do not fit, the kernel is larger than the padded images, or the activation is
        not known.
    """
    _check("x", x, kernel, stride, pad, 2)
    check_activation(activation)
    if bias is not None and tuple(bias.shape) != (kernel.shape[3],):
        raise ValueError(f"bias must have shape ({kernel.shape[3]},), got {tuple(bias.shape)}")
    for axis, name in ((0, "height"), (1, "width")):
        if x.shape[1 + axis] + 2 * pad < kernel.shape[axis]:
            raise ValueError(f"kernel exceeds the {name} of the padded images x")
    return _layer(x, kernel, bias, stride=stride, pad=pad, activation=activation)


# ------------------------------------------------------------------- filters, channel by channel


def _tap(taps: Array, k: int, ndim: int) -> Array:
    """Return the k-th tap of every channel, so that it multiplies x (..., T, C)."""
    if taps.ndim == 2:
        return taps[k, :]
    shape = (taps.shape[0], *(1,) * (ndim - 2), taps.shape[2])
    return plain_namespace(taps).reshape(taps[:, k, :], shape)


def _filter_forward(saved: dict, x: Array, taps: Array, activation: str | None) -> Array:
    xp, K, C = plain_namespace(x), taps.shape[-2], x.shape[-1]
    T = x.shape[-2] - K + 1
    z = x[..., :T, :] * _tap(taps, 0, x.ndim)
    for k in range(1, K):
        z += x[..., k : k + T, :] * _tap(taps, k, x.ndim)
    rows = xp.reshape(z, (math.prod(z.shape[:-1]), C))
    return xp.reshape(activate(saved, rows, activation), z.shape)


def _filter_backward(
    saved: dict, needed: tuple, g: Array, x: Array, taps: Array, activation: str | None
) -> list[Array]:
    xp, K, T = plain_namespace(x), taps.shape[-2], g.shape[-2]
    rows = xp.reshape(g, (math.prod(g.shape[:-1]), g.shape[-1]))
    slope = xp.reshape(activation_pull(saved, rows, activation), g.shape)
    by_x, by_taps = xp.zeros_like(x), xp.zeros_like(taps)
    for k in range(K):
        if 0 in needed:
            by_x[..., k : k + T, :] += slope * _tap(taps, k, x.ndim)
        product = slope * x[..., k : k + T, :]
        by_taps[..., k, :] = xp.sum(product, axis=tuple(range(taps.ndim - 2, x.ndim - 1)))
    return [by_x, by_taps]


def _filter_composite(x: Array, taps: Array, activation: str | None) -> Array:
    K, stack = taps.shape[-2], tuple(taps.shape[:-2])
    T, shape = x.shape[-2] - K + 1, (*stack, *(1,) * (x.ndim - 1 - len(stack)), taps.shape[-1])
    z = 0.0
    for k in range(K):
        tap = reshape(getitem(taps, (..., k, slice(None))), shape)
        z = add(z, multiply(getitem(x, (..., slice(k, k + T), slice(None))), tap))
    return ACTIVATIONS[activation](z)


_filter = fused(_filter_forward, _filter_backward, _filter_composite)


def causal_conv(x: Array, taps: Array, activation: str | None = None) -> Array:
    r"""Filter every channel of a row of vectors by itself, over the last K of them.

    .. math:: y_{tc}=\phi\Bigl(\sum_{k<K} x_{t+k,\,c}\,w_{kc}\Bigr)

    Parameters
    ----------
    x : array, shape (..., K - 1 + T, C) or (M, ..., K - 1 + T, C)
        The vectors, after the K - 1 that came before: zeros at the beginning of a row.
    taps : array, shape (K, C) or (M, K, C)
        w, or a stack of M of them, each for its own part of `x`.
    activation : {None, "relu", "gelu", "silu", "sigmoid", "tanh"}
        The function :math:`\phi` of every element.

    Returns
    -------
    array, shape (..., T, C)
        y.

    Raises
    ------
    ValueError
        If the shapes do not fit, `x` holds fewer than K vectors, or the activation is not known.
    """
    check_activation(activation)
    stack = tuple(taps.shape[:-2])
    fits = taps.ndim in (2, 3) and x.ndim >= 2 + len(stack) and x.shape[-1] == taps.shape[-1]
    if not fits or tuple(x.shape[: len(stack)]) != stack:
        raise ValueError(
            f"taps must have shape (K, C) or (M, K, C) to fit x of shape {tuple(x.shape)}, "
            f"got {tuple(taps.shape)}"
        )
    if x.shape[-2] < taps.shape[-2]:
        raise ValueError(f"x must hold {taps.shape[-2]} vectors at least, got {x.shape[-2]}")
    return _filter(x, taps, activation=activation)
