"""Reverse-mode differentiation to any order, of NumPy, CuPy and other standard arrays.

.. code-block:: python

    from gaussbook import autodiff as ad


    def loss(params, x, y):
        hidden = ad.linear(x, params["weight"], params["bias"], "tanh")
        return ad.mean((hidden @ params["out"] - y) ** 2)


    value, gradient = ad.value_and_grad(loss)(params, x, y)

Functions written with these names run unchanged on plain arrays, without being recorded.
"""

from gaussbook.autodiff.convolution import causal_conv, conv2d
from gaussbook.autodiff.derivatives import (
    grad,
    hessian_vector_product,
    jacobian,
    value_and_grad,
    vjp,
)
from gaussbook.autodiff.elementwise import *  # noqa: F403
from gaussbook.autodiff.elementwise import __all__ as _elementwise
from gaussbook.autodiff.fusion import fused
from gaussbook.autodiff.layers import (
    attention,
    cross_entropy,
    decayed_attention,
    layer_norm,
    linear,
    log_softmax,
    rms_norm,
    softmax,
)
from gaussbook.autodiff.linalg import *  # noqa: F403
from gaussbook.autodiff.linalg import __all__ as _linalg
from gaussbook.autodiff.memory import keep_freed_memory
from gaussbook.autodiff.shaping import *  # noqa: F403
from gaussbook.autodiff.shaping import __all__ as _shaping
from gaussbook.autodiff.spaces import defvjp, defvjp_argnums
from gaussbook.autodiff.traced import TracedArray
from gaussbook.autodiff.tracing import is_traced, plain, primitive, stop_gradient
from gaussbook.autodiff.trees import ravel_tree, tree_items, tree_leaves, tree_map

__all__ = [
    "TracedArray",
    "attention",
    "causal_conv",
    "conv2d",
    "cross_entropy",
    "decayed_attention",
    "defvjp",
    "defvjp_argnums",
    "fused",
    "grad",
    "hessian_vector_product",
    "is_traced",
    "jacobian",
    "layer_norm",
    "linear",
    "log_softmax",
    "plain",
    "primitive",
    "ravel_tree",
    "rms_norm",
    "softmax",
    "stop_gradient",
    "tree_items",
    "tree_leaves",
    "tree_map",
    "value_and_grad",
    "vjp",
    *_elementwise,
    *_linalg,
    *_shaping,
]

keep_freed_memory()
