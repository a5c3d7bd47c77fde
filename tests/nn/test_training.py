"""The loop, the files, and nonsense in any argument of a layer."""

import numpy as np
import pytest

from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import generator, to_host
from gaussbook.optim import SGD, Adam, AdamW

X = np.random.default_rng(0).standard_normal((64, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + 3.0


def squared_error(params, x, y):
    return ad.mean((nn.dense(params, x)[:, 0] - y) ** 2)


def linear_model(seed=0):
    return nn.dense_init(generator(seed), 3, 1, dtype="float64")


class TestFit:
    def test_finds_the_line(self):
        params, losses = nn.fit(
            squared_error,
            linear_model(),
            (X, Y),
            Adam(0.05),
            steps=600,
            rng=generator(1),
            batch_size=16,
            clip=10.0,
        )
        np.testing.assert_allclose(params["weight"][:, 0], [1, -2, 0.5], atol=1e-3)
        assert losses.shape == (600,)
        assert losses[-1] < 1e-5 < losses[0]

    def test_same_in_every_namespace(self, xp, draws):
        data = [xp.asarray(X), xp.asarray(Y)]
        rule = {"steps": 5, "batch_size": 16, "clip": 0.5}
        params = {name: xp.asarray(value) for name, value in linear_model().items()}
        ours = nn.fit(squared_error, params, data, Adam(0.05), rng=draws(1), **rule)
        theirs = nn.fit(squared_error, linear_model(), (X, Y), Adam(0.05), rng=generator(1), **rule)
        for name, value in theirs.params.items():
            np.testing.assert_allclose(to_host(ours.params[name]), value, rtol=1e-10, atol=1e-13)
        rows = next(nn.minibatches(data, 8, draws(2)))
        expected = next(nn.minibatches((X, Y), 8, generator(2)))
        for a, b in zip(rows, expected, strict=True):
            np.testing.assert_array_equal(to_host(a), b)

    @pytest.mark.parametrize(
        "optimiser",
        [
            lambda: Adam(0.05),
            lambda: SGD(0.05, momentum=0.5),
            lambda: AdamW(0.05, weight_decay=0.1),
            lambda: AdamW(0.05, weight_decay=0.1, matrices_only=False),
            lambda: Adam(0.05, multipliers={"bias": 0.1}),
        ],
    )
    def test_steps_are_those_on_each_array(self, optimiser):
        def whole_data(rng):
            return X, Y

        ours, theirs, params = optimiser(), optimiser(), linear_model()
        begun = nn.fit(squared_error, params, whole_data, ours, steps=3, rng=generator(1)).params
        ended = nn.fit(squared_error, begun, whole_data, ours, steps=2, rng=generator(1)).params
        ended = ours.step(ended, ad.grad(squared_error)(ended, X, Y))
        for _ in range(6):
            params = theirs.step(params, ad.grad(squared_error)(params, X, Y))
        for name, value in params.items():
            np.testing.assert_array_equal(ended[name], value)

    def test_a_step_of_ones_own_sees_the_tree(self):
        class Watching(Adam):
            seen = None

            def step(self, params, grads):
                self.seen = set(params), set(grads)
                return super().step(params, grads)

        rule = {"steps": 2, "batch_size": 16, "rng": generator(1)}
        watching, params = Watching(0.05), linear_model()
        found = nn.fit(squared_error, params, (X, Y), watching, **rule).params
        assert watching.seen == ({"weight", "bias"}, {"weight", "bias"})
        rule["rng"] = generator(1)
        plain = nn.fit(squared_error, params, (X, Y), Adam(0.05), **rule).params
        for name, value in plain.items():
            np.testing.assert_array_equal(found[name], value)

    def test_arrays_of_different_types_keep_them(self):
        params = linear_model()
        params["bias"] = params["bias"].astype(np.float32)
        rule = {"steps": 2, "batch_size": 16, "rng": generator(1)}
        found = nn.fit(squared_error, params, (X, Y), Adam(0.05), **rule).params
        assert {name: value.dtype for name, value in found.items()} == {
            name: value.dtype for name, value in params.items()
        }

    def test_same_seed_same_run(self):
        runs = [
            nn.fit(
                squared_error,
                linear_model(),
                (X, Y),
                SGD(0.1),
                steps=7,
                rng=generator(2),
                batch_size=8,
            ).losses
            for _ in range(2)
        ]
        np.testing.assert_array_equal(*runs)

    def test_fresh_data_every_step(self):
        def draw(rng):
            x = rng.standard_normal((8, 3))
            return x, x @ np.array([1.0, -2.0, 0.5]) + 3.0

        params, _ = nn.fit(
            squared_error, linear_model(), draw, Adam(0.05), steps=600, rng=generator(3)
        )
        np.testing.assert_allclose(params["bias"], 3, atol=1e-2)

    def test_divergence_is_an_error(self):
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="at step"):
            nn.fit(
                squared_error,
                linear_model(),
                (X, Y),
                SGD(1e3),
                steps=200,
                rng=generator(0),
                batch_size=64,
            )

    def test_every_row_once_an_epoch(self):
        batches = nn.minibatches((np.arange(10), np.arange(10) * 2), 5, generator(0))
        first, second = next(batches), next(batches)
        assert sorted([*first[0], *second[0]]) == list(range(10))
        np.testing.assert_array_equal(first[1], 2 * first[0])

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"steps": 0}, "steps"),
            ({"batch_size": 65}, "batch_size"),
            ({"data": (X, Y[:3])}, "data"),
            ({"data": ()}, "data"),
            ({"optimiser": None}, "optimiser"),
            ({"clip": -1}, "limit"),
        ],
    )
    def test_bad_input(self, change, name):
        settings = {
            "data": (X, Y),
            "optimiser": Adam(),
            "steps": 2,
            "rng": generator(0),
            "batch_size": 8,
        } | change
        with pytest.raises(ValueError, match=f"^{name}"):
            nn.fit(
                squared_error,
                linear_model(),
                settings.pop("data"),
                settings.pop("optimiser"),
                **settings,
            )


NONSENSE = [
    None,
    "abc",
    float("inf"),
    -3,
    0,
    2.5,
    [],
    [[1.0], [1.0, 2.0]],
    np.zeros((0, 3)),
    np.ones((2, 2, 2, 2, 2)),
    np.array([1j]),
    np.array([object()]),
    {"a": 1},
    True,
    {},
    np.ones(5, int),
    np.ones((2, 4)),
    np.ones((1, 2, 4)),
]
RNG = generator(0)
CALLS = {
    "dense": (nn.dense, {"params": linear_model(), "x": X, "activation": "relu"}),
    "mlp": (nn.mlp, {"params": [linear_model()], "x": X, "activation": "relu"}),
    "conv": (
        nn.conv,
        {"params": nn.conv_init(RNG, 3, 2), "x": np.ones((1, 4, 4, 3)), "stride": 1, "pad": 1},
    ),
    "embedding": (nn.embedding, {"params": nn.embedding_init(RNG, 4, 2), "indices": np.arange(3)}),
    "layer_norm": (nn.layer_norm, {"params": nn.norm_init(RNG, 3), "x": X}),
    "rms_norm": (nn.rms_norm, {"params": nn.norm_init(RNG, 3), "x": X}),
    "attention": (
        nn.multi_head_attention,
        {"params": nn.attention_init(RNG, 4), "x": np.ones((1, 2, 4)), "memory": None, "heads": 2,
         "mask": np.ones((2, 2), bool)},
    ),
    "block": (
        nn.transformer_block,
        {"params": nn.transformer_block_init(RNG, 4), "x": np.ones((1, 2, 4)), "heads": 2,
         "mask": None, "context": 1, "activation": "relu"},
    ),
    "dense_init": (nn.dense_init, {"rng": RNG, "inputs": 2, "outputs": 3, "dtype": "float32"}),
    "mlp_init": (nn.mlp_init, {"rng": RNG, "widths": [2, 3]}),
    "conv_init": (nn.conv_init, {"rng": RNG, "inputs": 2, "outputs": 3, "size": 3}),
    "attention_init": (nn.attention_init, {"rng": RNG, "width": 2, "memory_width": None}),
    "block_init": (nn.transformer_block_init, {"rng": RNG, "width": 2, "hidden": 3}),
    "embedding_init": (nn.embedding_init, {"rng": RNG, "entries": 2, "width": 3, "scale": 1.0}),
    "norm_init": (nn.norm_init, {"rng": RNG, "width": 3}),
    "orthogonal": (nn.orthogonal, {"rng": RNG, "shape": (2, 3), "gain": 1.0}),
    "normal": (nn.normal, {"rng": RNG, "shape": (2, 3), "scale": 1.0}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CALLS)
def test_nonsense_gives_a_value_error_or_finite_numbers(name):
    function, arguments = CALLS[name]
    for argument in arguments:
        if argument == "rng":
            continue
        for nonsense in NONSENSE:
            try:
                out = function(**arguments | {argument: nonsense})
            except ValueError:
                continue
            for leaf in ad.tree_leaves(out):
                assert np.all(np.isfinite(leaf)), (argument, nonsense)
