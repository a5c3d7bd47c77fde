"""Neural networks as plain functions of dictionaries of arrays.

.. code-block:: python

    from gaussbook import autodiff as ad
    from gaussbook import nn
    from gaussbook.optim import Adam

    params = nn.mlp_init(rng, [2, 64, 64, 1])


    def loss(params, x, y):
        return ad.mean((nn.mlp(params, x)[:, 0] - y) ** 2)


    params, losses = nn.fit(loss, params, (x, y), Adam(1e-3), steps=1000, rng=rng)
"""

from gaussbook.autodiff import ravel_tree, tree_map
from gaussbook.nn.initialisers import glorot, he, normal, orthogonal
from gaussbook.nn.layers import (
    conv,
    conv_init,
    dense,
    dense_init,
    embedding,
    embedding_init,
    layer_norm,
    mlp,
    mlp_init,
    norm_init,
    rms_norm,
)
from gaussbook.nn.riemann import riemann_borders, riemann_log_density
from gaussbook.nn.training import Fitted, fit, minibatches
from gaussbook.nn.transformer import (
    attention_init,
    multi_head_attention,
    transformer_block,
    transformer_block_init,
)

__all__ = [
    "Fitted",
    "attention_init",
    "conv",
    "conv_init",
    "dense",
    "dense_init",
    "embedding",
    "embedding_init",
    "fit",
    "glorot",
    "he",
    "layer_norm",
    "minibatches",
    "mlp",
    "mlp_init",
    "multi_head_attention",
    "norm_init",
    "normal",
    "orthogonal",
    "ravel_tree",
    "riemann_borders",
    "riemann_log_density",
    "rms_norm",
    "transformer_block",
    "transformer_block_init",
    "tree_map",
]
