"""Layers: closed forms, gradients by finite differences, strict arrays, bad input."""

import numpy as np
import pytest

from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import generator, namespace, to_host

X = np.random.default_rng(5).standard_normal((2, 4, 6))
IMAGES = np.random.default_rng(6).standard_normal((2, 5, 4, 3))
IDS = np.array([[0, 3, 3], [1, 0, 2]])
D = "float64"
CAUSAL = np.tril(np.ones((4, 4), dtype=bool))
LAYERS = {
    "dense": (
        lambda rng: nn.dense_init(rng, 6, 3, dtype=D),
        lambda p, x: nn.dense(p, x, "tanh"),
        X,
    ),
    "mlp": (lambda rng: nn.mlp_init(rng, [6, 5, 2], dtype=D), lambda p, x: nn.mlp(p, x, "gelu"), X),
    "conv": (
        lambda rng: nn.conv_init(rng, 3, 2, dtype=D),
        lambda p, x: nn.conv(p, x, stride=2, pad=1, activation="silu"),
        IMAGES,
    ),
    "layer_norm": (lambda rng: nn.norm_init(rng, 6, dtype=D), nn.layer_norm, X),
    "rms_norm": (lambda rng: nn.norm_init(rng, 6, dtype=D), nn.rms_norm, X),
    "attention": (
        lambda rng: nn.attention_init(rng, 6, dtype=D),
        lambda p, x: nn.multi_head_attention(p, x, heads=2),
        X,
    ),
    "cross-attention": (
        lambda rng: nn.attention_init(rng, 6, memory_width=3, dtype=D),
        lambda p, x: nn.multi_head_attention(p, x, x[:, 1:, :3], heads=3),
        X,
    ),
    "attention to one position": (
        lambda rng: nn.attention_init(rng, 6, memory_width=3, dtype=D),
        lambda p, x: nn.multi_head_attention(p, x, x[:, :1, :3], heads=2),
        X,
    ),
    "decoder's block": (
        lambda rng: nn.transformer_block_init(rng, 6, 5, memory_width=3, dtype=D),
        lambda p, x: nn.transformer_block(p, x, x[:, 1:3, :3], heads=2),
        X,
    ),
    "post-norm decoder's block": (
        lambda rng: nn.transformer_block_init(rng, 6, 5, memory_width=6, dtype=D),
        lambda p, x: nn.transformer_block(p, x, x[:, :1, :], heads=2, pre_norm=False),
        X,
    ),
    "block": (
        lambda rng: nn.transformer_block_init(rng, 6, 5, dtype=D),
        lambda p, x: nn.transformer_block(p, x, heads=2, mask=as_like(x, CAUSAL)),
        X,
    ),
    "post-norm block on a context": (
        lambda rng: nn.transformer_block_init(rng, 6, 5, dtype=D),
        lambda p, x: nn.transformer_block(p, x, heads=2, context=2, pre_norm=False),
        X,
    ),
}


def derivative(f, h=1e-3):
    """The derivative at 0 of a function of one number, of fourth order in h."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def as_like(x, constant):
    return namespace(ad.plain(x)).asarray(constant)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_to_second_order(name):
    init, layer, x = LAYERS[name]
    rng = np.random.default_rng(1)
    tree = {"p": init(generator(0)), "x": x}

    def loss(tree):
        return ad.sum(ad.sin(layer(tree["p"], tree["x"])))

    direction = ad.tree_map(lambda leaf: rng.standard_normal(leaf.shape), tree)

    def moved(t):
        return ad.tree_map(lambda leaf, v: leaf + t * v, tree, direction)

    gradient = ad.grad(loss)(tree)
    slope = sum(
        np.sum(g * v)
        for g, v in zip(ad.tree_leaves(gradient), ad.tree_leaves(direction), strict=True)
    )
    assert slope == pytest.approx(derivative(lambda t: loss(moved(t))), rel=1e-6)
    product = ad.ravel_tree(ad.hessian_vector_product(loss)(tree, direction))[0]
    expected = derivative(lambda t: ad.ravel_tree(ad.grad(loss)(moved(t)))[0])
    np.testing.assert_allclose(product, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", LAYERS)
def test_same_in_every_namespace(xp, name):
    init, layer, x = LAYERS[name]
    params = init(generator(0))
    other = ad.tree_map(xp.asarray, params)

    def loss(p, x):
        return ad.sum(layer(p, x) ** 2)

    value, grads = ad.value_and_grad(loss)(params, x)
    got, others = ad.value_and_grad(loss)(other, xp.asarray(x))
    assert float(got) == pytest.approx(float(value), rel=1e-10)
    for a, b in zip(ad.tree_leaves(others), ad.tree_leaves(grads), strict=True):
        np.testing.assert_allclose(to_host(a), b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_single_precision(name):
    init, layer, x = LAYERS[name]
    params = ad.tree_map(lambda leaf: leaf.astype(np.float32), init(generator(0)))
    value, grads = ad.value_and_grad(lambda p, x: ad.sum(layer(p, x)))(params, x.astype("float32"))
    assert value.dtype == np.float32
    assert {leaf.dtype for leaf in ad.tree_leaves(grads)} == {np.dtype("float32")}


def test_embedding_takes_rows_and_adds_up_their_gradients():
    params = nn.embedding_init(generator(0), 4, 2, dtype=D)
    out = nn.embedding(params, IDS)
    np.testing.assert_array_equal(out, params["table"][IDS])
    grads = ad.grad(lambda p: ad.sum(nn.embedding(p, IDS)))(params)
    np.testing.assert_array_equal(grads["table"][:, 0], [2, 1, 1, 2])


def test_a_context_is_a_mask_of_columns():
    params = nn.transformer_block_init(generator(0), 6, dtype=D)
    mask = np.zeros((4, 4), dtype=bool)
    mask[:, :3] = True
    np.testing.assert_allclose(
        nn.transformer_block(params, X, heads=2, context=3),
        nn.transformer_block(params, X, heads=2, mask=mask),
    )


def test_attention_to_one_position_is_attention_to_its_copies():
    params = nn.attention_init(generator(0), 6, memory_width=3, dtype=D)
    one = X[:, :1, :3]
    seen = nn.multi_head_attention(params, X, one, heads=2)
    twice = nn.multi_head_attention(params, X, np.concatenate([one, one], axis=1), heads=2)
    np.testing.assert_allclose(seen, twice, rtol=1e-12)
    with pytest.raises(ValueError, match="does not fit"):
        nn.multi_head_attention(params, X[:1], one, heads=2)
    with pytest.raises(ValueError, match="heads"):
        nn.multi_head_attention(params, X, one, heads=4)


def test_a_decoders_block_is_its_three_parts():
    params = nn.transformer_block_init(generator(0), 6, memory_width=3, dtype=D)
    memory, heads = X[:, 1:3, :3], 2

    def after(name, part, x):
        return x + part(nn.layer_norm(params[name], x))

    x = after(
        "attention_norm", lambda y: nn.multi_head_attention(params["attention"], y, heads=heads), X
    )
    x = after(
        "memory_norm",
        lambda y: nn.multi_head_attention(params["memory_attention"], y, memory, heads=heads),
        x,
    )
    x = after("dense_norm", lambda y: nn.mlp([params["up"], params["down"]], y, "gelu"), x)
    np.testing.assert_allclose(nn.transformer_block(params, X, memory, heads=heads), x, rtol=1e-12)


@pytest.mark.parametrize("memory_width", [None, 3])
def test_a_block_may_begin_as_the_identity(memory_width):
    params = nn.transformer_block_init(
        generator(0), 6, memory_width=memory_width, identity=True, dtype=D
    )
    memory = None if memory_width is None else X[:, 1:3, :3]
    np.testing.assert_array_equal(nn.transformer_block(params, X, memory, heads=2), X)
    drawn = nn.transformer_block_init(generator(0), 6, memory_width=memory_width, dtype=D)
    np.testing.assert_array_equal(params["up"]["weight"], drawn["up"]["weight"])


def test_a_block_without_parameters_for_a_memory_refuses_one():
    params = nn.transformer_block_init(generator(0), 6, dtype=D)
    with pytest.raises(ValueError, match="memory_attention|memory_norm"):
        nn.transformer_block(params, X, X, heads=2)


def test_a_causal_block_does_not_see_the_future():
    params = nn.transformer_block_init(generator(0), 6, dtype=D)
    changed = X.copy()
    changed[:, 3] += 1
    one, other = (nn.transformer_block(params, x, heads=2, mask=CAUSAL) for x in (X, changed))
    np.testing.assert_array_equal(one[:, :3], other[:, :3])
    assert np.all(np.abs(one[:, 3] - other[:, 3]).max(axis=-1) > 1e-3)


def test_norms_have_mean_zero_and_size_one():
    norm = nn.norm_init(generator(0), 6, dtype=D)
    out = nn.layer_norm(norm, X, 0.0)
    np.testing.assert_allclose(out.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=-1), 1)
    np.testing.assert_allclose(np.mean(nn.rms_norm(norm, X, 0.0) ** 2, axis=-1), 1)


class TestInitialisers:
    @pytest.mark.parametrize(
        ("init", "variance"),
        [(nn.he, 2 / 90), (nn.glorot, 2 / (90 + 270)), (nn.normal, 0.02**2)],
    )
    def test_variance(self, init, variance):
        draws = init(generator(0), (3, 3, 10, 30), dtype=D)
        assert np.var(draws) == pytest.approx(variance, rel=0.1)
        assert abs(np.mean(draws)) < 4 * (variance / draws.size) ** 0.5

    @pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
    def test_orthogonal(self, shape):
        q = nn.orthogonal(generator(0), shape, gain=2.0, dtype=D)
        assert q.shape == shape
        gram = q @ q.T if shape[0] < shape[1] else q.T @ q
        np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-12)

    def test_same_seed_same_weights(self):
        one, other = (nn.mlp_init(generator(3), [2, 4, 1]) for _ in range(2))
        for a, b in zip(ad.tree_leaves(one), ad.tree_leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda params: nn.rms_norm(params, np.ones((2, 1))), "scale"),
    ],
)
def test_parameters_of_another_width_are_not_broadcast(call, name):
    params = {"scale": np.ones(3), "shift": np.zeros(3)}
    with pytest.raises(ValueError, match=rf"^params\['{name}'\] must have shape"):
        call(params)
