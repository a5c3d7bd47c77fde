"""Every differentiable function once or more: name, function, and the shapes of its arguments."""

from __future__ import annotations

import numpy as np

from gaussbook import autodiff as ad
from gaussbook.arrays import namespace

ROWS = np.array([2, 0, 2, 1])
LABELS = np.array([[0, 2], [3, 3], [1, 0]])
TABLE = np.array([[0, 2, 1], [3, 3, 0]])
MASK = np.tril(np.ones((4, 4), dtype=bool))
CHOICE = np.array([[True, False, True], [False, True, True]])


def like(x, constant):
    """A constant in the namespace of x, and if it is not of integers or booleans in its type."""
    dtype = x.dtype if np.asarray(constant).dtype.kind == "f" else None
    return namespace(ad.plain(x)).asarray(constant, dtype=dtype)


def spd(x):
    """A positive definite matrix made of any square one."""
    n = x.shape[-1]
    return x @ ad.matrix_transpose(x) + n * like(x, np.eye(n))


def positive(x):
    return ad.softplus(x) + 0.3


def spread(x):
    """Elements at least 0.1 apart and away from zero: no ties or kinks within a difference."""
    return x + like(
        x, 3.0 * np.arange(1, x.size + 1).reshape(x.shape) * (-1) ** np.arange(x.shape[-1])
    )


UNARY = ["exp", "expm1", "square", "sin", "cos", "tanh", "sigmoid", "softplus",
         "log_ndtr", "gelu", "silu", "log_sigmoid"]  # fmt: skip
CASES = {
    **{name: (getattr(ad, name), [(2, 3)]) for name in UNARY},
    "log": (lambda x: ad.log(positive(x)), [(2, 3)]),
    "log1p": (lambda x: ad.log1p(positive(x)), [(2, 3)]),
    "sqrt": (lambda x: ad.sqrt(positive(x)), [(2, 3)]),
    "abs": (lambda x: ad.abs(spread(x)) ** 2, [(2, 3)]),
    "relu": (lambda x: ad.relu(spread(x)) ** 2, [(2, 3)]),
    "clip": (lambda x: ad.clip(spread(x), -5.0, 7.5) ** 2, [(2, 3)]),
    "arithmetic": (lambda x, y: (x + y) * (x - 2 * y) / (3 + y * y) - (-x), [(2, 3), (3,)]),
    "scalars": (lambda x: 1 / (2 + x * x) + 3 - x / 2 + (1 - x) * 2, [(2, 3)]),
    "powers": (lambda x: x**3 + x**2 + x**1 + x**0 + positive(x) ** -1.5, [(2, 3)]),
    "power of arrays": (lambda x, y: positive(x) ** y, [(2, 3), (3,)]),
    "number to a power": (lambda x: 2.0**x, [(2, 3)]),
    "maximum": (lambda x, y: ad.maximum(spread(x), 2 * y) ** 2, [(2, 3), (3,)]),
    "minimum": (lambda x, y: ad.minimum(spread(x), 2 * y) ** 2, [(2, 3), (3,)]),
    "where": (lambda x, y: ad.where(like(x, CHOICE), x * x, y**3), [(2, 3), (3,)]),
    "sum": (lambda x: ad.sum(x**2, axis=1) * ad.sum(x, axis=-1), [(2, 3)]),
    "sum kept": (lambda x: x * ad.sum(x**2, axis=(0, 2), keepdims=True), [(2, 3, 2)]),
    "mean": (lambda x: ad.mean(x**2, axis=0) + ad.mean(x**3), [(2, 3)]),
    "var": (lambda x: ad.var(x, axis=0, correction=1) + ad.std(x), [(3, 2)]),
    "max": (lambda x: ad.max(spread(x), axis=1) ** 2, [(2, 3)]),
    "min": (lambda x: ad.min(spread(x), axis=0, keepdims=True) ** 2, [(2, 3)]),
    "logsumexp": (lambda x: ad.logsumexp(x, axis=1) * ad.logsumexp(x), [(2, 3)]),
    "logsumexp of two axes": (
        lambda x: x * ad.logsumexp(x, axis=(0, 2), keepdims=True),
        [(2, 2, 2)],
    ),
    "softmax": (lambda x: ad.softmax(x) ** 2, [(2, 3)]),
    "softmax down": (lambda x: ad.softmax(x, axis=0) ** 2, [(3, 2)]),
    "log_softmax": (lambda x: ad.log_softmax(x, axis=0) ** 2, [(3, 2)]),
    "cumsum": (lambda x: ad.cumsum(x**2, axis=0) ** 2, [(3, 2)]),
    "reshape": (lambda x: ad.reshape(x**2, (3, -1)), [(2, 3)]),
    "permute_dims": (lambda x: ad.permute_dims(x, (2, 0, 1)) ** 3, [(2, 3, 2)]),
    "squeeze": (
        lambda x: ad.squeeze(x[:, None, :] ** 2, 1) * ad.squeeze(x[..., None], -1),
        [(2, 3)],
    ),
    "broadcast_to": (lambda x: ad.broadcast_to(x, (2, 3, 3)) ** 2, [(3, 1)]),
    "flip": (lambda x: ad.flip(x, axis=1) * x, [(2, 3)]),
    "concat": (lambda x, y: ad.concat([x**2, y, x], axis=-1) ** 2, [(2, 3), (2, 1)]),
    "stack": (lambda x, y: ad.stack([x * y, y], axis=1) ** 2, [(2, 3), (2, 3)]),
    "slices": (lambda x: x[1:, ::2] ** 2 * x[0, 1] + x[..., 1:, -1:] ** 3, [(3, 4)]),
    "slices of one array": (lambda x: x[0, :] * x[1, :] + x[0, :] ** 2 + x[2, :], [(3, 4)]),
    "new axis": (lambda x: x[:, None, :] * x[None, :, :], [(2, 3)]),
    "take": (lambda x: ad.take(x, like(x, ROWS)) ** 2, [(3, 2)]),
    "take along 1": (lambda x: ad.take(x, like(x, TABLE), axis=1) ** 2, [(2, 4, 2)]),
    "integer index": (lambda x: x[like(x, ROWS), like(x, ROWS)] ** 2, [(3, 3)]),
    "take_along_axis": (
        lambda x: ad.take_along_axis(x, like(x, TABLE[:, :2]), axis=1) ** 2,
        [(2, 4)],
    ),
    "scatter_add": (lambda x: ad.scatter_add(x**2, like(x, ROWS), 5) ** 2, [(4, 2)]),
    "tril and triu": (lambda x: ad.tril(x) @ ad.triu(x, k=1), [(3, 3)]),
    "matmul": (lambda x, y: x @ y, [(2, 3), (3, 4)]),
    "matmul of vectors": (lambda x, y: (x @ y) * (x @ x) * y, [(3,), (3,)]),
    "vector by matrix": (lambda x, y: (x @ y) * (y @ x), [(3,), (3, 3)]),
    "batched matmul": (lambda x, y: x @ y, [(2, 1, 2, 3), (2, 3, 2)]),
    "matmul by one matrix": (lambda x, y: x @ y, [(2, 2, 3), (3, 2)]),
    "cholesky": (lambda x: ad.cholesky(spd(x)), [(3, 3)]),
    "cholesky of a batch": (lambda x: ad.cholesky(spd(x)), [(2, 2, 2)]),
    "solve_triangular": (
        lambda x, b: ad.solve_triangular(ad.cholesky(spd(x)), b),
        [(3, 3), (3, 2)],
    ),
    "solve_triangular, transpose": (
        lambda x, b: ad.solve_triangular(ad.cholesky(spd(x)), b, transpose=True),
        [(3, 3), (3,)],
    ),
    "solve_triangular of a batch": (
        lambda x, b: ad.solve_triangular(ad.cholesky(spd(x)), b),
        [(2, 2, 2), (2, 2, 3)],
    ),
    "solve": (lambda x, b: ad.solve(spd(x) + x, b), [(3, 3), (3, 2)]),
    "solve for a vector": (lambda x, b: ad.solve(spd(x) + x, b), [(3, 3), (3,)]),
    "inv": (lambda x: ad.inv(spd(x) + x), [(3, 3)]),
    "slogdet": (lambda x: ad.slogdet(spd(x) + x)[1], [(2, 3, 3)]),
    "diagonal and trace": (lambda x: ad.diagonal(x) ** 2 * ad.trace(x @ x), [(3, 3)]),
    "conv2d": (lambda x, k: ad.conv2d(x, k, pad=1), [(2, 4, 3, 2), (3, 3, 2, 2)]),
    "conv2d with stride": (
        lambda x, k: ad.conv2d(x, k, stride=2, pad=1) ** 2,
        [(1, 5, 4, 1), (3, 2, 1, 2)],
    ),
    "conv2d with bias": (
        lambda x, k, b: ad.conv2d(x, k, b, pad=1, activation="gelu"),
        [(2, 3, 3, 2), (2, 3, 2, 2), (2,)],
    ),
    "rms_norm": (lambda x, w: ad.rms_norm(x, w) ** 2, [(2, 3, 4), (4,)]),
    "rms_norm without scale": (lambda x: ad.rms_norm(x, eps=0.1) ** 3, [(2, 3)]),
    "decayed_attention": (
        lambda q, k, v, a: ad.decayed_attention(q, k, v, ad.cumsum(-positive(a))),
        [(2, 4, 3), (2, 4, 3), (2, 2, 4, 2), (2, 2, 4)],
    ),
    "causal_conv": (lambda x, w: ad.causal_conv(x, w, "silu"), [(2, 5, 3), (3, 3)]),
    "causal_conv, a stack": (lambda x, w: ad.causal_conv(x, w) ** 2, [(2, 2, 4, 3), (2, 2, 3)]),
    "conv2d 1 x 1": (lambda x, k: ad.conv2d(x, k), [(2, 2, 2, 2), (1, 1, 2, 3)]),
    **{
        f"linear, {name}": (
            lambda x, w, b, name=name: ad.linear(x, w, b, name),
            [(2, 2, 3), (3, 2), (2,)],
        )
        for name in [None, "gelu", "silu", "sigmoid", "tanh"]
    },
    "linear, relu": (
        lambda x, w, b: ad.linear(x, w, b + like(b, [9.0, -9.0]), "relu") ** 2,
        [(2, 3), (3, 2), (2,)],
    ),
    "linear, a stack": (
        lambda x, w, b: ad.linear(x, w, b, "gelu") ** 2,
        [(2, 2, 3, 4), (2, 4, 3), (2, 3)],
    ),
    "linear, a stack without bias": (
        lambda x, w: ad.linear(x, w, None, "tanh") ** 2,
        [(2, 3, 4), (2, 4, 2)],
    ),
    "linear without bias": (lambda x, w: ad.linear(x, w) ** 2, [(2, 3), (3, 2)]),
    "layer_norm": (lambda x, s, t: ad.layer_norm(x, s, t), [(2, 2, 4), (4,), (4,)]),
    "cross_entropy": (lambda x: ad.cross_entropy(x, like(x, LABELS)), [(3, 2, 4)]),
    "attention": (
        lambda q, k, v: ad.attention(q, k, v, heads=2),
        [(2, 2, 4), (2, 3, 4), (2, 3, 2)],
    ),
    "attention with a mask": (
        lambda q, k, v: ad.attention(q, k, v, mask=like(q, MASK)),
        [(1, 4, 2), (1, 4, 2), (1, 4, 3)],
    ),
}  # fmt: skip


def arguments(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [0.6 * rng.standard_normal(shape) for shape in shapes]
