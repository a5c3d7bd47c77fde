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

from gaussbook.autodiff import ravel_tree, tree_items, tree_leaves, tree_map
from gaussbook.nn.initialisers import glorot, he, lecun, normal, orthogonal
from gaussbook.nn.layers import (
    conv,
    conv_init,
    conv_transpose,
    conv_transpose_init,
    dense,
    dense_init,
    embedding,
    embedding_init,
    group_norm,
    layer_norm,
    mlp,
    mlp_init,
    norm_init,
    rms_norm,
)
from gaussbook.nn.recurrent import gru, gru_init
from gaussbook.nn.storage import load, save
from gaussbook.nn.training import Fitted, count_parameters, fit, minibatches
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
    "conv_transpose",
    "conv_transpose_init",
    "count_parameters",
    "dense",
    "dense_init",
    "embedding",
    "embedding_init",
    "fit",
    "glorot",
    "group_norm",
    "gru",
    "gru_init",
    "he",
    "layer_norm",
    "lecun",
    "load",
    "minibatches",
    "mlp",
    "mlp_init",
    "multi_head_attention",
    "norm_init",
    "normal",
    "orthogonal",
    "ravel_tree",
    "rms_norm",
    "save",
    "transformer_block",
    "transformer_block_init",
    "tree_items",
    "tree_leaves",
    "tree_map",
]
