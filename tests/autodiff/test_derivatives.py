"""Trees, orders of differentiation, mixtures of plain and traced arrays, and nonsense."""

import math

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import namespace, to_host
from gaussbook.autodiff import dispatch

X = np.array([0.3, -1.2, 2.0])


class TestGrad:
    def test_tree_in_tree_out(self):
        tree = {"a": X, "b": [np.ones((2, 2)), (X[:2],)], "unused": np.ones(2, np.float32)}
        value, grads = ad.value_and_grad(
            lambda t: ad.sum(t["a"] ** 2) + ad.sum(t["b"][0] @ t["b"][1][0])
        )(tree)
        assert value == pytest.approx(np.sum(X**2) + 2 * X[:2].sum())
        np.testing.assert_allclose(grads["a"], 2 * X)
        np.testing.assert_allclose(grads["b"][0], [X[:2], X[:2]])
        np.testing.assert_allclose(grads["b"][1][0], [2, 2])
        assert grads["unused"].dtype == np.float32
        np.testing.assert_array_equal(grads["unused"], 0)

    def test_argument_numbers(self):
        def f(x, y, *, scale):
            return scale * ad.sum(x * y)

        np.testing.assert_allclose(ad.grad(f, 1)(X, 2 * X, scale=3.0), 3 * X)
        both = ad.grad(f, (0, 1))(X, 2 * X, scale=1.0)
        np.testing.assert_allclose(both[0], 2 * both[1])

    def test_fifth_derivative(self):
        f = ad.sin
        for _ in range(5):
            f = ad.grad(f)
        assert f(0.7) == pytest.approx(math.cos(0.7))

    def test_the_inner_of_two_derivatives_keeps_its_own_variable(self):
        # d/dx [x d/dy (x + y)] = 1: a derivative that confuses the two variables gives 2.
        assert ad.grad(lambda x: x * ad.grad(lambda y: x + y)(1.0))(1.0) == 1

    def test_constants_have_no_gradient(self):
        np.testing.assert_array_equal(ad.grad(lambda x: 3.0)(X), 0)
        np.testing.assert_array_equal(ad.grad(lambda x: ad.sum(ad.stop_gradient(x) * x))(X), X)

    def test_leaves_its_arguments_alone(self):
        x = X.copy()
        ad.grad(lambda x: ad.sum(x[:2] ** 2 + x[1:] * x[0]) + ad.sum(x))(x)
        np.testing.assert_array_equal(x, X)

    def test_gradient_that_arrives_by_many_ways(self):
        def f(x):
            return ad.sum(x) + ad.sum(x) + ad.sum(x[:1]) + ad.sum(x[1:]) + ad.sum(x * 2)

        np.testing.assert_array_equal(ad.grad(f)(X), 5)

    def test_mixed_precision_keeps_each_types_gradient(self):
        single = X.astype(np.float32)
        value, pull = ad.vjp(lambda x: ad.astype(x, np.float64) * X, single)
        assert value.dtype == np.float64
        assert pull(np.ones(3)).dtype == np.float32


class TestJacobian:
    def test_shapes_and_values(self):
        A = np.arange(6.0).reshape(2, 3)
        np.testing.assert_array_equal(ad.jacobian(lambda x: A @ x)(X), A)
        J = ad.jacobian(lambda t: t["x"][:, None] * t["x"])({"x": X})["x"]
        assert J.shape == (3, 3, 3)
        np.testing.assert_allclose(J[0, 1], [X[1], X[0], 0])

    def test_hessian_of_a_quadratic(self):
        A = np.array([[2.0, 1.0], [0.0, 3.0]])
        H = ad.jacobian(ad.grad(lambda x: x @ A @ x))(X[:2])
        np.testing.assert_allclose(H, A + A.T)
        product = ad.hessian_vector_product(lambda x: x @ A @ x)(X[:2], np.array([1.0, 2.0]))
        np.testing.assert_allclose(product, H @ [1, 2])


class TestArrays:
    def test_array_api_code_is_differentiable_as_it_stands(self, xp):
        to = xp.asarray

        def f(x):
            xp = namespace(x)
            K = xp.exp(-((x[:, None] - x[None, :]) ** 2)) + xp.eye(3, dtype=x.dtype)
            L = xp.linalg.cholesky(K)
            assert bool(xp.all(xp.isfinite(L)))
            return xp.sum(xp.log(xp.linalg.diagonal(L)))

        def g(x):
            return 0.5 * ad.slogdet(ad.exp(-((x[:, None] - x[None, :]) ** 2)) + to(np.eye(3)))[1]

        value, slope = ad.value_and_grad(f)(to(X))
        assert float(value) == pytest.approx(float(g(to(X))))
        np.testing.assert_allclose(to_host(slope), to_host(ad.grad(g)(to(X))), rtol=1e-10)

    def test_namespace_of_plain_and_traced(self):
        ad.grad(lambda x: namespace(X, x).sum(namespace(X, x).asarray(X) * x))(X)

    def test_a_traced_array_never_becomes_a_plain_one_silently(self):
        for leak in (np.asarray, np.sin, float, math.sin, lambda x: np.sum(x)):
            with pytest.raises(TypeError):
                ad.grad(lambda x, leak=leak: leak(x[0]))(X)

    def test_comparisons_are_plain(self):
        def f(x):
            assert isinstance(x > 0, np.ndarray)
            return ad.sum(ad.where(x > 0, x, 0.0))

        np.testing.assert_array_equal(ad.grad(f)(X), [1, 0, 1])

    def test_autograds_own_functions_still_work(self):
        np.testing.assert_allclose(
            autograd.grad(lambda x: anp.sum(anp.sin(x) * x))(X), np.cos(X) * X + np.sin(X)
        )

    def test_user_primitive(self):
        @ad.primitive
        def cube(x):
            return x**3

        ad.defvjp(cube, lambda ans, x: lambda g: g * 3 * x**2)
        np.testing.assert_allclose(ad.grad(lambda x: ad.sum(cube(x)))(X), 3 * X**2)


class TestExtremes:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=5))
    def test_softmax_family_never_overflows(self, values):
        x = np.array(values)
        for f in (
            ad.logsumexp,
            lambda x: ad.sum(ad.softmax(x) * x),
            lambda x: ad.sum(ad.softplus(x)),
            lambda x: ad.cross_entropy(x, np.array(0)),
            lambda x: ad.sum(ad.log_sigmoid(x)),
        ):
            value, slope = ad.value_and_grad(f)(x)
            assert np.isfinite(value)
            assert np.all(np.isfinite(slope))

    def test_weights_of_zero(self):
        x = np.array([[-math.inf, 1.0], [-math.inf, -math.inf]])
        with np.errstate(all="raise"):
            value, pull = ad.vjp(lambda x: ad.logsumexp(x, axis=1), x)
        np.testing.assert_array_equal(value, [1, -math.inf])
        np.testing.assert_array_equal(pull(np.ones(2)), [[0, 1], [0, 0]])

    def test_ties_share_the_gradient(self):
        np.testing.assert_array_equal(ad.grad(lambda x: ad.max(x))(np.ones(4)), 0.25)
        np.testing.assert_array_equal(
            ad.grad(lambda x: ad.sum(ad.maximum(x, 1.0)))(np.ones(2)), 0.5
        )


NONSENSE = [
    None,
    "abc",
    1,
    True,
    [],
    np.zeros((0, 2)),
    np.array(["a"]),
    np.ones(3, int),
    np.array([1j]),
    object(),
    {"a": None},
    np.ones((2, 2, 2)),
]


class TestBadInput:
    @pytest.mark.parametrize("x", NONSENSE, ids=lambda x: type(x).__name__)
    def test_nonsense_is_refused_or_harmless(self, x):
        try:
            value, slope = ad.value_and_grad(lambda x: ad.sum(x))(x)
        except ValueError:
            return
        assert np.isfinite(value)
        assert np.all(np.isfinite(slope))

    def test_messages_name_the_argument(self):
        with pytest.raises(ValueError, match="function must return one number"):
            ad.grad(lambda x: x)(X)
        with pytest.raises(ValueError, match=r"argument 0\['a/1'\]"):
            ad.grad(lambda t: ad.sum(t["a"][0]))({"a": [X, "text"]})
        with pytest.raises(ValueError, match="argnum"):
            ad.grad(lambda x: x, 2)(1.0)
        with pytest.raises(ValueError, match="g must have shape"):
            ad.vjp(lambda x: x, X)[1](np.ones(2))

    @pytest.mark.parametrize(
        ("call", "name"),
        [
            (lambda: ad.matmul(X, np.ones((2, 2))), "x and y"),
            (lambda: ad.squeeze(X, 0), "axis"),
            (lambda: ad.scatter_add(X, np.array([0, 1]), 2), "values"),
            (lambda: ad.scatter_add(X, np.array([0, 1, 9]), 2), "indices"),
            (lambda: ad.scatter_add(X, np.array([0, -1, 1]), 2), "indices"),
            (lambda: ad.take(X, np.array([3])), "indices"),
            (lambda: ad.take(X, np.array([-1])), "indices"),
            (lambda: ad.linear(X, np.ones((2, 2))), "weight"),
            (lambda: ad.linear(X, np.ones((3, 2)), X), "bias"),
            (lambda: ad.linear(X, np.ones((5, 3, 2))), "weight"),
            (lambda: ad.linear(X[None], np.ones((1, 3, 2)), np.ones(2)), "bias"),
            (lambda: ad.linear(X, np.ones((3, 2)), activation="cube"), "activation"),
            (lambda: ad.layer_norm(X, X[:2], X), "scale"),
            (lambda: ad.cross_entropy(X, np.array([0, 1])), "labels"),
            (lambda: ad.cross_entropy(X, np.array(0.5)), "labels"),
            (lambda: ad.cross_entropy(X, np.array(3)), "labels"),
            (lambda: ad.attention(X, X, X), "q, k and v"),
            (lambda: ad.attention(*[np.ones((1, 2, 3))] * 3, heads=2), "heads"),
            (
                lambda: ad.attention(*[np.ones((1, 2, 3))] * 3, mask=np.zeros((2, 2), bool)),
                "mask",
            ),
            (lambda: ad.attention(*[np.ones((1, 2, 3))] * 3, mask=np.ones((3, 2), bool)), "mask"),
            (lambda: ad.conv2d(X, np.ones((3, 3, 1, 1))), "x"),
            (lambda: ad.decayed_attention(*np.ones((2, 4, 3)), *np.ones((2, 1, 4))), "v"),
            (lambda: ad.decayed_attention(*np.ones((2, 4, 3)), X[None], X), "decay"),
            (lambda: ad.rms_norm(X, np.ones(2)), "scale"),
            (lambda: ad.decayed_attention(X, X, X, X), "q"),
            (lambda: ad.decayed_attention(X[None], X, X, X), "k"),
            (lambda: ad.causal_conv(X[None], np.ones((2, 2))), "taps"),
            (lambda: ad.causal_conv(X[None], np.ones((9, 2, 3))), "taps"),
            (lambda: ad.causal_conv(X[None], np.ones((9, 3))), "x"),
            (lambda: ad.causal_conv(X[None], np.ones((1, 3)), "cube"), "activation"),
            (lambda: ad.conv2d(np.ones((1, 2, 2, 1)), np.ones((3, 3, 1, 1))), "kernel"),
            (lambda: ad.conv2d(np.ones((1, 4, 4, 2)), np.ones((3, 3, 1, 1))), "kernel"),
            (
                lambda: ad.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)), stride=0),
                "stride",
            ),
        ],
    )
    def test_shapes(self, call, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            call()


class TestTrees:
    def test_ravel_and_back(self):
        tree = {"a": np.ones((2, 3)), "b": (X, [np.array(2.0)])}
        vector, unravel = ad.ravel_tree(tree)
        assert vector.shape == (10,)
        back = unravel(2 * vector)
        assert isinstance(back["b"], tuple)
        np.testing.assert_array_equal(back["b"][0], 2 * X)
        assert [path for path, _ in ad.tree_items(tree)] == ["a", "b/0", "b/1/0"]
        with pytest.raises(ValueError, match="^values"):
            unravel(vector[1:])

    def test_structures_must_agree(self):
        for other in ({"b": X}, [X], {"a": [X]}, {"a": X, "b": X}):
            with pytest.raises(ValueError, match="^others"):
                ad.tree_map(lambda a, b: a, {"a": X}, other)


class TestTails:
    """Both ends of the floating-point range, against SciPy."""

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_sigmoid(self, dtype):
        x = np.array([-80, -20, -1, 0, 1, 20, 80], dtype)
        np.testing.assert_allclose(ad.sigmoid(x), special.expit(x), rtol=1e-6)
        slope = ad.grad(lambda x: ad.sum(ad.softplus(x)))(x)
        np.testing.assert_allclose(slope, special.expit(x), rtol=1e-6)

    @pytest.mark.parametrize("name", ["sigmoid", "silu", "gelu", "relu", "tanh", None])
    def test_a_layer_has_the_same_value_whether_it_is_recorded_or_not(self, name):
        rng = np.random.default_rng(0)
        x, w = rng.normal(size=(1100, 5)), rng.normal(size=(5, 24))

        def layer(w):
            return ad.linear(x, w, w[0, :], activation=name)

        np.testing.assert_array_equal(layer(w), ad.vjp(layer, w)[0])

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("name", ["sigmoid", "silu", "gelu"])
    def test_fused_activations_agree_with_their_formulas(self, dtype, name):
        z = np.array([-80, -40, -20, -6, -1, 0, 1, 6, 20, 40, 80], dtype)
        x, one = z[:, None], np.ones((1, 1), dtype)
        wide = z.astype(np.longdouble)
        inner = 2 * np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3) if name == "gelu" else wide
        with np.errstate(over="ignore"):
            expected = 1 / (1 + np.exp(-inner))
        lower = expected > np.finfo(dtype).tiny
        if name != "sigmoid":
            expected = wide * expected
        for function in (getattr(ad, name), lambda x: ad.linear(x, one, activation=name)[:, 0]):
            value = np.ravel(function(x if function is not getattr(ad, name) else z))
            rounding = 1e3 * np.finfo(dtype).eps  # the exponents are up to 600 here
            np.testing.assert_allclose(value[lower], expected[lower].astype(dtype), rtol=rounding)
        slopes = [
            ad.grad(lambda x: ad.sum(getattr(ad, name)(x)))(z),
            ad.grad(lambda x: ad.sum(ad.linear(x, one, activation=name)))(x)[:, 0],
        ]
        np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-36)
        if name == "sigmoid":
            right = np.exp(-np.abs(wide)) / (1 + np.exp(-np.abs(wide))) ** 2
            np.testing.assert_allclose(slopes[0], right.astype(dtype), rtol=2e-5)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_sigmoid_beyond_the_range_of_its_exponential(self, dtype):
        x = np.array([-np.inf, -1e4, -720, -90, 90, 720, 1e4, np.inf, np.nan], dtype)
        expected = special.expit(x)
        value, pull = ad.vjp(ad.sigmoid, x)
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=np.finfo(dtype).tiny * 4)
        slope = pull(np.ones_like(x))[:-1]
        np.testing.assert_allclose(slope, 0, atol=1e-37)
        finite = x[1:-2, None]
        layer = ad.linear(finite, np.ones((1, 1), dtype), activation="silu")
        np.testing.assert_allclose(layer[:, 0], finite[:, 0] * expected[1:-2], atol=1e-33)

    def test_softmax_of_logits_far_apart(self):
        x = np.random.default_rng(0).normal(scale=900, size=(40, 300))
        x[:, ::7] = -np.inf
        np.testing.assert_allclose(ad.softmax(x), special.softmax(x, axis=1), atol=1e-300)
        assert np.all(ad.softmax(x)[:, ::7] == 0)
        total = ad.logsumexp(x, axis=1)
        np.testing.assert_allclose(total, special.logsumexp(x, axis=1), rtol=1e-15)

    def test_slope_of_log_ndtr(self):
        x = np.array([-1e8, -1e3, -5.0, 0.0, 5.0, 50.0])
        slope = ad.grad(lambda x: ad.sum(ad.log_ndtr(x)))(x)
        expected = np.sqrt(2 / np.pi) / special.erfcx(-x / np.sqrt(2))
        np.testing.assert_allclose(slope, expected, rtol=1e-12)
        single = ad.grad(lambda x: ad.sum(ad.log_ndtr(x)))(x.astype(np.float32))
        np.testing.assert_allclose(single, expected, rtol=1e-5)

    def test_log_softmax_of_large_logits_keeps_its_digits(self):
        x = np.array([[1e7, 1e7 + 1]], np.float32)
        expected = special.log_softmax(x.astype(float), axis=1)
        np.testing.assert_allclose(ad.log_softmax(x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, axis: ad.softmax(x, axis),
        lambda x, axis: ad.log_softmax(x, axis),
        lambda x, axis: ad.take(x, np.array([0]), axis),
        lambda x, axis: ad.take_along_axis(x, np.zeros((2, 3), int), axis),
        lambda x, axis: ad.mean(x, axis),
        lambda x, axis: ad.squeeze(x, axis),
    ],
)
def test_an_axis_that_is_not_there(call):
    for x, axis in ((np.ones((2, 3)), 4), (np.ones((2, 3)), -5), (np.ones(()), 2)):
        with pytest.raises(ValueError, match="^axis must"):
            call(x, axis)


def test_mean_of_nothing():
    with pytest.raises(ValueError, match="^x has no elements"):
        ad.mean(np.ones((2, 0)), axis=1)


class TestDirections:
    def test_keys_may_come_in_another_order(self):
        tree = {"a": np.ones(2), "b": np.ones(2)}
        direction = {"b": np.zeros(2), "a": np.ones(2)}
        product = ad.hessian_vector_product(lambda p: ad.sum(p["a"] ** 2 * p["b"]))(tree, direction)
        np.testing.assert_allclose(product["a"], 2)
        np.testing.assert_allclose(product["b"], 2)

    @pytest.mark.parametrize("direction", [np.ones(1), np.ones(()), {"a": np.ones(3)}])
    def test_other_shapes_are_not_broadcast(self, direction):
        with pytest.raises(ValueError, match="^direction "):
            ad.hessian_vector_product(lambda x: ad.sum(x**2))(np.ones(3), direction)


INDEXED = {
    "take": (lambda x, i: ad.take(x, i), np.array([[0, 2], [1, 1]])),
    "take along 1": (lambda x, i: ad.take(x, i, axis=1), np.array([0, 1])),
    "scatter_add": (lambda x, i: ad.scatter_add(x, i, 3), np.array([0, 2, 2])),
    "cross_entropy": (lambda x, i: ad.cross_entropy(x, i), np.array([0, 1, 1])),
    "embedding": (lambda x, i: nn.embedding({"table": x}, i), np.array([0, 2, 2])),
}


class TestWithoutALookAtValues:
    """What a GPU does, where a look makes it wait: NaN instead of an error, and nothing else."""

    @pytest.mark.parametrize("name", INDEXED)
    def test_indices(self, xp, name, monkeypatch):
        call, indices = INDEXED[name]
        x = xp.asarray(np.random.default_rng(0).standard_normal((3, 2)), dtype=xp.float32)
        good = xp.asarray(indices)
        expected = ad.value_and_grad(lambda x: ad.sum(call(x, good) ** 2))(x)
        monkeypatch.setattr(dispatch, "on_host", lambda x: False)
        for value, right in zip(
            ad.value_and_grad(lambda x: ad.sum(call(x, good) ** 2))(x), expected, strict=True
        ):
            assert value.dtype == xp.float32
            np.testing.assert_array_equal(to_host(value), to_host(right))
        for bad in (-1, 3):
            wrong = indices.copy()
            wrong.flat[0] = bad
            found = to_host(call(x, xp.asarray(wrong)))
            right = to_host(call(x, good))
            assert np.isnan(found).any()
            np.testing.assert_array_equal(found[~np.isnan(found)], right[~np.isnan(found)])

    def test_mask(self, xp, monkeypatch):
        monkeypatch.setattr(dispatch, "on_host", lambda x: False)
        x = xp.ones((1, 2, 2))
        mask = xp.asarray([[True, False], [False, False]])
        with np.errstate(invalid="ignore"):
            found = to_host(ad.attention(x, x, x, mask=mask))
        np.testing.assert_array_equal(found[0], [[1, 1], [math.nan, math.nan]])
