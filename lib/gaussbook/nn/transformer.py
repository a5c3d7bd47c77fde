"""Multi-head attention and the transformer's block."""

from __future__ import annotations

from typing import Any

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, Generator, namespace
from gaussbook.nn.arguments import check_input, parameter
from gaussbook.nn.layers import dense, dense_init, layer_norm, norm_init
from gaussbook.validation import check_integer

__all__ = [
    "attention_init",
    "multi_head_attention",
    "transformer_block",
    "transformer_block_init",
]

Params = dict[str, Any]


def attention_init(
    rng: Generator, width: int, *, memory_width: int | None = None, dtype: str = "float32"
) -> Params:
    """Draw the parameters of `multi_head_attention`.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    width : int
        Width of queries, keys, values and output.
    memory_width : int, optional
        Width of what is looked at, if it is not `width`.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    dict
        Dense layers ``query``, ``key``, ``value`` and ``output``.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    memory_width = width if memory_width is None else memory_width
    return {
        "query": dense_init(rng, width, width, dtype=dtype),
        "key": dense_init(rng, memory_width, width, dtype=dtype),
        "value": dense_init(rng, memory_width, width, dtype=dtype),
        "output": dense_init(rng, width, width, dtype=dtype),
    }


def multi_head_attention(
    params: Params,
    x: Array,
    memory: Array | None = None,
    *,
    heads: int,
    mask: Array | None = None,
) -> Array:
    """Let every position of x look at the memory: at x itself if none is given.

    Parameters
    ----------
    params : dict
        From `attention_init`.
    x : array, shape (B, T, width)
        Where from.
    memory : array, shape (B, S, memory_width), optional
        Where to.
    heads : int
        Number of heads, a divisor of the width.
    mask : array of bool, optional
        True where a position may look, as for `gaussbook.autodiff.attention`.

    Returns
    -------
    array, shape (B, T, width)
        What was seen.

    Raises
    ------
    ValueError
        If shapes do not fit or a position may look nowhere.
    """
    layers = [parameter(params, name) for name in ("query", "key", "value", "output")]
    heads = check_integer("heads", heads, at_least=1)
    check_input("x", x, ndim=3)
    memory = x if memory is None else check_input("memory", memory, ndim=3)
    if memory.shape[1] == 1 and mask is None:
        return _only_memory(layers[2:], x, memory, heads)
    q, k, v = (
        dense(layer, source) for layer, source in zip(layers[:3], (x, memory, memory), strict=True)
    )
    return dense(layers[3], ad.attention(q, k, v, heads=heads, mask=mask))


def _only_memory(layers: list[Params], x: Array, memory: Array, heads: int) -> Array:
    """Return what all positions see in a memory of one, whose softmax is 1 whatever they ask."""
    seen = dense(layers[1], dense(layers[0], memory))
    width = seen.shape[2]
    if x.shape[0] != memory.shape[0] or x.shape[2] != width or width % heads:
        raise ValueError(
            f"x of shape {tuple(x.shape)} does not fit a memory of shape {tuple(memory.shape)}, "
            f"the width {width} and {heads} heads"
        )
    return ad.broadcast_to(seen, (x.shape[0], x.shape[1], width))


def transformer_block_init(
    rng: Generator,
    width: int,
    hidden: int | None = None,
    *,
    memory_width: int | None = None,
    identity: bool = False,
    dtype: str = "float32",
) -> Params:
    """Draw the parameters of `transformer_block`.

    Parameters
    ----------
    rng : Generator
        A seeded generator.
    width : int
        Width of the positions.
    hidden : int, optional
        Width of the dense part, four times `width` if not given.
    memory_width : int, optional
        Width of a memory that the positions look at too (a decoder's block); none if not given.
    identity : bool
        Let the weights of each part's last layer begin at zero, so that the block begins as the
        identity (up to its norms, where these come after).
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    dict
        Norms ``attention_norm`` and ``dense_norm``, ``attention``, dense layers ``up`` and
        ``down``; with a memory also ``memory_norm`` and ``memory_attention``.

    Raises
    ------
    ValueError
        If a number is outside its range, or `dtype` is unknown.
    """
    width = check_integer("width", width, at_least=1)
    hidden = 4 * width if hidden is None else hidden
    params = {
        "attention_norm": norm_init(rng, width, dtype=dtype),
        "attention": attention_init(rng, width, dtype=dtype),
        "dense_norm": norm_init(rng, width, dtype=dtype),
        "up": dense_init(rng, width, hidden, dtype=dtype),
        "down": dense_init(rng, hidden, width, dtype=dtype),
    }
    if memory_width is not None:
        looks = attention_init(rng, width, memory_width=memory_width, dtype=dtype)
        params |= {"memory_norm": norm_init(rng, width, dtype=dtype), "memory_attention": looks}
    if identity:
        parts = [params[name]["output"] for name in params if name.endswith("attention")]
        for layer in (*parts, params["down"]):
            layer["weight"] = namespace(layer["weight"]).zeros_like(layer["weight"])
    return params


def transformer_block(
    params: Params,
    x: Array,
    memory: Array | None = None,
    *,
    heads: int,
    mask: Array | None = None,
    context: int | None = None,
    pre_norm: bool = True,
    activation: str = "gelu",
) -> Array:
    r"""Return one block: attention, then a dense network for every position.

    .. math::
        x \leftarrow x + A(\mathrm{norm}(x)), \quad x \leftarrow x + D(\mathrm{norm}(x))
        \qquad\text{or}\qquad
        x \leftarrow \mathrm{norm}(x + A(x)), \quad x \leftarrow \mathrm{norm}(x + D(x))

    with the norm before (Xiong et al., 2020) or after (Vaswani et al., 2017).  A decoder's block
    lets every position look at a memory in between, in the same way.

    Parameters
    ----------
    params : dict
        From `transformer_block_init`.
    x : array, shape (B, T, width)
        Positions.
    memory : array, shape (B, S, memory_width), optional
        What the positions look at besides themselves; needs parameters with a `memory_width`.
    heads : int
        Number of heads, a divisor of the width.
    mask : array of bool, optional
        True where a position may look at another one, as for `gaussbook.autodiff.attention`; the
        memory is seen whole.
    context : int, optional
        Let all positions look at the first so many only.  What a mask of ones in those columns
        does, for less work.
    pre_norm : bool
        The norm before or after.
    activation : str
        Of the dense part, as for `dense`.

    Returns
    -------
    array, shape (B, T, width)
        The positions after the block.

    Raises
    ------
    ValueError
        If shapes do not fit, or a position may look nowhere.
    """
    seen, up, down = (parameter(params, name) for name in ("attention", "up", "down"))
    check_input("x", x, ndim=3)
    if context is not None:
        check_integer("context", context, at_least=1, at_most=x.shape[1])

    def attend(y: Array) -> Array:
        shown = None if context is None else y[:, :context, :]
        return multi_head_attention(seen, y, shown, heads=heads, mask=mask)

    def remember(y: Array) -> Array:
        return multi_head_attention(parameter(params, "memory_attention"), y, memory, heads=heads)

    parts = [("attention_norm", attend)]
    parts += [] if memory is None else [("memory_norm", remember)]
    parts += [("dense_norm", lambda y: dense(down, dense(up, y, activation)))]
    for name, part in parts:
        norm = parameter(params, name)
        if pre_norm:
            x = ad.add(x, part(layer_norm(norm, x)))
        else:
            x = layer_norm(norm, ad.add(x, part(x)))
    return x
