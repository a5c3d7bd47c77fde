"""Types and shapes: values promote as NumPy's do, gradients have those of their parameter."""

import itertools

import autograd.core
import numpy as np
import pytest

from gaussbook import autodiff as ad
from gaussbook.arrays import to_host
from gaussbook.autodiff import dispatch

from .cases import CASES, arguments

BOOLS, BYTES, INTS = np.array([True, True, True, False]), np.full(4, 200, np.uint8), np.arange(1, 5)
SMALL = np.array([-128, 127, 5], np.int8)
TYPES = (np.float32, np.float64)


def pull_of_ones(function, arrays):
    value, pull = ad.vjp(lambda args: function(*args), list(arrays))
    return value, pull(np.ones(value.shape))


@pytest.mark.parametrize("name", CASES)
def test_gradients_have_type_and_shape_of_their_parameter(name):
    function, shapes = CASES[name]
    arrays = arguments(shapes)
    _, expected = pull_of_ones(function, arrays)
    for types in itertools.product(TYPES, repeat=len(arrays)):
        given = [x.astype(t) for x, t in zip(arrays, types, strict=True)]
        value, slopes = pull_of_ones(function, given)
        assert value.dtype == np.result_type(*types)
        for slope, x, right in zip(slopes, given, expected, strict=True):
            assert slope.dtype == x.dtype
            assert slope.shape == x.shape
            np.testing.assert_allclose(slope, right, rtol=2e-3, atol=2e-3 * np.max(np.abs(right)))


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_have_type_and_shape_of_their_parameter(name):
    function, shapes = CASES[name]
    for types in itertools.product(TYPES, repeat=len(shapes)):
        given = [x.astype(t) for x, t in zip(arguments(shapes), types, strict=True)]
        along = [x.astype(t) for x, t in zip(arguments(shapes, 1), reversed(types), strict=True)]
        products = ad.hessian_vector_product(lambda args: ad.sum(function(*args) ** 2))(
            given, along
        )
        for product, x in zip(products, given, strict=True):
            assert product.dtype == x.dtype
            assert product.shape == x.shape


def test_the_cases_use_every_primitive(monkeypatch):
    registered, used = autograd.core.primitive_vjps, set()
    ours = {f: m for f, m in registered.items() if f.__module__.startswith("gaussbook.autodiff")}
    assert len(ours) > 50
    for function, maker in ours.items():

        def spy(*args, function=function, maker=maker):
            used.add(function)
            return maker(*args)

        monkeypatch.setitem(registered, function, spy)
    for function, shapes in CASES.values():
        given = [x.astype(np.float32) for x in arguments(shapes)]
        along = [np.ones(shape) for shape in shapes]
        ad.hessian_vector_product(lambda args, f=function: ad.sum(f(*args) ** 2))(given, along)
        pull_of_ones(lambda x, *rest, f=function: f(ad.astype(x, np.float64), *rest), given)
    assert {f.__qualname__ for f in set(ours) - used} == set()


@pytest.mark.parametrize(
    ("function", "peer"),
    [
        (ad.sum, np.sum),
        (ad.mean, np.mean),
        (ad.var, np.var),
        (ad.std, np.std),
        (ad.max, np.max),
        (ad.min, np.min),
        (ad.cumsum, np.cumsum),
        (ad.exp, np.exp),
        (ad.log1p, np.log1p),
        (ad.sqrt, np.sqrt),
        (ad.tanh, np.tanh),
        (ad.square, np.square),
        (ad.abs, np.abs),
        (ad.sigmoid, lambda x: 1 / (1 + np.exp(-np.asarray(x, float)))),
        (ad.silu, lambda x: x / (1 + np.exp(-np.asarray(x, float)))),
        (ad.softplus, lambda x: np.logaddexp(np.asarray(x, float), 0)),
        (ad.log_sigmoid, lambda x: -np.logaddexp(-np.asarray(x, float), 0)),
        (ad.logsumexp, lambda x: np.log(np.sum(np.exp(np.asarray(x, float) - 200))) + 200),
        (
            ad.softmax,
            lambda x: (lambda e: e / e.sum())(np.exp(np.asarray(x, float) - np.max(x))),
        ),
        (lambda x: ad.maximum(x, 1.5), lambda x: np.maximum(x, 1.5)),
        (lambda x: ad.maximum(1, x), lambda x: np.maximum(1, x)),
        (lambda x: ad.minimum(x, INTS[: np.size(x)]), lambda x: np.minimum(x, INTS[: np.size(x)])),
        (lambda x: ad.clip(x, 0.5, 100), lambda x: np.minimum(np.maximum(x, 0.5), 100)),
        (lambda x: ad.where(np.asarray(x) > 1, x, 0.5),
         lambda x: np.where(np.asarray(x) > 1, x, 0.5)),
        (lambda x: ad.add(x, 0.5), lambda x: np.add(x, 0.5)),
        (lambda x: ad.multiply(x, x), lambda x: np.multiply(x, x)),
        (lambda x: ad.divide(x, 2), lambda x: np.divide(x, 2)),
        (lambda x: ad.concat([x, np.ones(2, np.float32)]),
         lambda x: np.concatenate([x, np.ones(2, np.float32)])),
        (lambda x: ad.stack([x, np.ones(np.size(x))]),
         lambda x: np.stack([x, np.ones(np.size(x))])),
        (lambda x: ad.matmul(x, x), lambda x: np.matmul(x, x)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("x", [BOOLS, BYTES, INTS, SMALL[1:], INTS.astype(np.float32)], ids=str)
@pytest.mark.parametrize("to", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
def test_promotion_is_numpys(function, peer, x, to):
    x = to(x)
    with np.errstate(all="ignore"):
        expected = peer(x)
        got = function(x)
    assert np.asarray(got).dtype.kind == np.asarray(expected).dtype.kind
    np.testing.assert_allclose(
        got, expected, rtol=1e-3 if np.result_type(got).itemsize < 4 else 1e-6
    )


def test_promotion_of_the_smallest_types():
    assert ad.mean([True, True, True, False]) == 0.75
    assert ad.sum([True, True]) == 2
    assert ad.mean(BYTES) == 200
    assert ad.sum(SMALL).dtype == np.sum(SMALL).dtype
    np.testing.assert_array_equal(ad.where([True, False], [1, 2], 0.5), [1, 0.5])
    np.testing.assert_array_equal(ad.maximum([1, 2], 1.5), [1.5, 2])
    np.testing.assert_array_equal(ad.maximum(1.5, np.array([1, 2])), [1.5, 2])
    np.testing.assert_allclose(ad.mean(np.full(70_000, 1, np.float16)), 1)
    with pytest.raises(OverflowError):
        ad.maximum(SMALL, 300)


@pytest.mark.parametrize("condition", [[1, 0], np.array([1.0, 0.0]), np.array([2, -1]), 1])
def test_a_condition_that_is_not_boolean(condition):
    with pytest.raises(ValueError, match="^condition must hold booleans"):
        ad.where(condition, np.ones(2), np.zeros(2))
    with pytest.raises(ValueError, match="^condition must hold booleans"):
        ad.grad(lambda x: ad.sum(ad.where(x, x, 0.0)))(np.ones(2))


def test_gradient_of_where_with_a_list_as_condition():
    slopes = ad.grad(lambda x, y: ad.sum(ad.where([True, False], x, y)), (0, 1))(
        np.ones(2), np.ones(2, np.float32)
    )
    np.testing.assert_array_equal(slopes[0], [1, 0])
    np.testing.assert_array_equal(slopes[1], [0, 1])
    assert slopes[1].dtype == np.float32


def test_numbers_beside_arrays(xp):
    x = xp.asarray([1, 2], dtype=xp.float32)
    for value in (ad.maximum(x, 1.5), ad.where(x > 1, x, 1.5), ad.clip(x, 1.5, 9)):
        assert value.dtype == xp.float32
        np.testing.assert_array_equal(to_host(value), [1.5, 2])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ad.sum(ad.abs(x * 1j)),
        lambda x: ad.sum(ad.abs(x + np.array([1j, 2, 3]))),
        lambda x: ad.abs(x[0] * 1j),
        lambda x: ad.sum(ad.astype(x, np.complex128)),
        lambda x: x @ np.array([1j, 2, 3]),
        lambda x: ad.sum(ad.concat([x, np.ones(2, complex)])),
        lambda x: ad.sum(ad.linear(x, np.ones((3, 2), complex))),
        lambda x: ad.sum(ad.solve(np.eye(3) * 1j, x)),
        lambda x: ad.sum(x ** (1 + 0j)),
    ],
)
def test_complex_numbers_are_refused(function):
    with pytest.raises(ValueError, match="floating numbers|real numbers"):
        ad.grad(function)(np.array([1.0, 2.0, 4.0]))


def test_complex_gradients_are_refused():
    _, pull = ad.vjp(lambda x: x**2, np.ones(2))
    with pytest.raises(ValueError, match="^g must be real"):
        pull(np.array([1j, 1]))
    np.testing.assert_array_equal(pull(np.array([1, 2])), [2, 4])  # of whole numbers they are not


def test_whole_numbers_of_a_traced_array_are_constants():
    slope = ad.grad(lambda x: ad.sum(x * ad.astype(x, np.int64)))(np.array([1.5, 2.5]))
    np.testing.assert_array_equal(slope, [1, 2])


class TestBroadcastSolutions:
    STACK = np.stack([np.eye(2), 2 * np.eye(2), 4 * np.eye(2)])

    @pytest.mark.parametrize("solve", [ad.solve, ad.solve_triangular])
    def test_one_vector_for_a_batch(self, solve):
        value, slopes = pull_of_ones(solve, [self.STACK, np.array([1.0, 2.0])])
        np.testing.assert_allclose(value, [[1, 2], [0.5, 1], [0.25, 0.5]])
        assert slopes[0].shape == (3, 2, 2)
        np.testing.assert_allclose(slopes[1], [1.75, 1.75])

    @pytest.mark.parametrize("solve", [ad.solve, ad.solve_triangular])
    @pytest.mark.parametrize(
        ("a", "b"), [((3, 2, 2), (2, 4)), ((2, 2), (3, 2, 4)), ((3, 1, 2, 2), (1, 4, 2, 1))]
    )
    def test_leading_axes(self, solve, a, b):
        rng = np.random.default_rng(0)
        A, B = np.tril(rng.uniform(1, 2, a)), rng.standard_normal(b).astype(np.float32)
        value, slopes = pull_of_ones(solve, [A, B])
        np.testing.assert_allclose(value, np.linalg.solve(A, B), rtol=1e-6)
        assert [s.shape for s in slopes] == [a, b]
        assert [s.dtype for s in slopes] == [np.float64, np.float32]
        lead = np.broadcast_shapes(a[:-2], b[:-2])
        full = np.broadcast_to(A, (*lead, 2, 2))
        right = np.linalg.solve(np.swapaxes(full, -1, -2), np.ones(value.shape))
        lengths = (1,) * (len(lead) + 2 - len(b)) + b[:-2]
        axes = tuple(i for i, n in enumerate(lengths) if n == 1 and lead[i] != 1)
        np.testing.assert_allclose(slopes[1], right.sum(axis=axes).reshape(b), rtol=1e-5)

    @pytest.mark.parametrize("solve", [ad.solve, ad.solve_triangular])
    def test_shapes_that_do_not_fit(self, solve):
        with pytest.raises(ValueError, match="^b must have 2 rows"):
            solve(self.STACK, np.ones(3))
        with pytest.raises(ValueError, match="^a must hold square"):
            solve(np.ones((2, 3)), np.ones(3))


@pytest.mark.parametrize(
    ("x", "y"),
    [((0,), (0,)), ((2, 0), (0, 3)), ((0, 3), (3, 2)), ((2, 0, 3), (3, 2)), ((0, 2, 3), (3,)),
     ((4, 2, 0), (0, 3)), ((0,), (0, 2)), ((2, 3), (3, 0))],
)  # fmt: skip
@pytest.mark.parametrize("product", [ad.matmul, lambda x, y: x @ y])
def test_products_of_nothing(x, y, product):
    arrays = [np.ones(x), np.ones(y)]
    value, slopes = pull_of_ones(product, arrays)
    np.testing.assert_array_equal(value, arrays[0] @ arrays[1])
    assert [s.shape for s in slopes] == [x, y]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_layers_of_no_rows(shape):
    x, w, b = np.ones(shape), np.ones((3, 2)), np.ones(2)
    for function in (
        lambda x, w, b: ad.linear(x, w, b, "gelu"),
        lambda x, w, b: ad.layer_norm(x, w[:, 0], w[:, 1]) @ w + b,
        lambda x, w, b: ad.softmax(x @ w + b),
    ):
        value, slopes = pull_of_ones(function, [x, w, b])
        assert value.shape == (*shape[:-1], 2)
        assert [s.shape for s in slopes] == [shape, (3, 2), (2,)]


def test_a_pull_of_the_users_is_brought_into_the_parameters_space():
    @ad.primitive
    def twice(x, y):
        return 2 * x + y

    ad.defvjp(twice, lambda ans, x, y: lambda g: 2 * g, lambda ans, x, y: lambda g: 1.0)
    _, slopes = pull_of_ones(twice, [np.ones((1, 3), np.float32), np.ones(())])
    assert slopes[0].dtype == np.float32
    assert slopes[1] == 1
    ad.defvjp(twice, lambda ans, x, y: lambda g: np.ones((2, 2)), lambda ans, x, y: lambda g: g)
    with pytest.raises(ValueError, match="^g has shape"):
        pull_of_ones(twice, [np.ones((1, 3)), np.ones(())])


def test_variance_with_nothing_left_to_divide_by():
    with pytest.raises(ValueError, match="^correction must be below"):
        ad.var(np.ones(2), correction=2)


MASKED = np.ma.array([1.0, 2.0, 900.0], mask=[False, False, True])


@pytest.mark.parametrize(
    "call",
    [
        lambda: ad.mean(MASKED),
        lambda: ad.softmax(MASKED),
        lambda: ad.exp(MASKED),
        lambda: ad.maximum(MASKED, 0.0),
        lambda: ad.grad(lambda x: ad.sum(x**2))(MASKED),
        lambda: ad.grad(lambda x: ad.sum(x * MASKED))(np.ones(3)),
        lambda: ad.grad(lambda x: ad.sum(ad.where(MASKED > 1, x, MASKED)))(np.ones(3)),
        lambda: ad.grad(lambda x: ad.sum(ad.linear(MASKED[None], x)))(np.ones((3, 1))),
        lambda: ad.grad(lambda x: ad.sum(x @ MASKED))(np.ones(3)),
        lambda: ad.grad(lambda x: ad.sum(ad.concat([x, MASKED])))(np.ones(3)),
        lambda: ad.maximum(np.ones(3), MASKED),
        lambda: ad.clip(np.ones(3), MASKED),
        lambda: ad.where(np.array([True, False, True]), 1.0, MASKED),
        lambda: ad.stack([np.ones(3), MASKED]),
        lambda: ad.add(1.0, MASKED),
        lambda: ad.power(np.ones(3), MASKED),
        lambda: ad.sum([MASKED, MASKED]),
        lambda: ad.negative(MASKED),
        lambda: ad.linear(np.ones((2, 3)), np.ones((3, 3)), MASKED),
        lambda: ad.layer_norm(np.ones((2, 3)), np.ones(3), MASKED),
        lambda: ad.attention(*[np.ones((1, 3, 1))] * 2, MASKED[None, :, None]),
        lambda: ad.conv2d(np.ones((1, 4, 4, 3)), np.ones((1, 1, 3, 3)), MASKED),
        lambda: ad.take_along_axis(MASKED, np.array([0])),
        lambda: ad.take(np.ones(1000), MASKED.astype(int)),
        lambda: ad.grad(lambda x: ad.sum(x[MASKED.astype(int)]))(np.ones(1000)),
        lambda: ad.vjp(lambda x: 2 * x, np.ones(3))[1](MASKED),
    ],
)
def test_masked_values_are_refused(call):
    with pytest.raises(ValueError, match="masked values"):
        call()


def test_lists_where_arrays_are_taken():
    rows = [[1, 2], [3, 4]]
    for got, right in (
        (ad.take(rows, [1, 0]), np.take(rows, [1, 0], 0)),
        (ad.take_along_axis(rows, [[1], [0]], 1), [[2], [3]]),
        (ad.scatter_add([True, True, False], [0, 0, 1], 2), [2, 0]),
        (ad.scatter_add(BYTES, np.array([0, 0, 1, 0]), 2), [600, 200]),
        (ad.tril(rows), np.tril(rows)),
        (ad.flip(rows), np.flip(rows)),
        (ad.matrix_transpose(rows), np.transpose(rows)),
        (ad.solve(np.diag([2.0, 4.0]).tolist(), [1, 2]), [0.5, 0.5]),
        (ad.cholesky([[4, 0], [0, 9]]), [[2, 0], [0, 3]]),
        (ad.inv([[4, 0], [0, 8]]), [[0.25, 0], [0, 0.125]]),
    ):  # fmt: skip
        np.testing.assert_array_equal(got, right)
    with pytest.raises(ValueError, match="^indices"):
        ad.take(rows, [0.5])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of matrices
def test_subclasses_of_arrays_follow_the_rules_of_arrays():
    x = np.array([[1.0, 2.0]])
    for given in (np.matrix(x), np.ma.array(x), x.view(np.recarray)):
        slope = ad.grad(lambda x: ad.sum(x * x))(given)
        assert type(slope) is np.ndarray
        np.testing.assert_array_equal(slope, 2 * x)


def test_types_by_their_python_names():
    slope = ad.grad(lambda x: ad.sum(ad.astype(x, float) ** 2))(np.ones(2, np.float32))
    assert slope.dtype == np.float32


@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((2, 0), 1), ((0, 3), 0)])
def test_logarithm_of_an_empty_sum(shape, axis):
    value, pull = ad.vjp(lambda x: ad.logsumexp(x, axis=axis), np.ones(shape))
    assert np.all(value == -np.inf)
    assert pull(np.ones(value.shape)).shape == shape


class TestWhereLookingAtValuesWouldWait:
    """As on a GPU: what a wrong index or mask leads to is NaN, and the rest the same."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch):
        monkeypatch.setattr(dispatch, "on_host", lambda x: False)

    def test_rows_of_no_such_index(self, xp):
        x, index = xp.reshape(xp.arange(6.0), (3, 2)), xp.asarray([2, 3, 0, -1])
        rows = to_host(ad.take(x, index))
        np.testing.assert_array_equal(rows[[0, 2]], [[4, 5], [0, 1]])
        assert np.all(np.isnan(rows[[1, 3]]))
        slope = to_host(ad.grad(lambda x: ad.sum(ad.take(x, index[::2]) ** 2))(x))
        np.testing.assert_array_equal(slope, [[0, 2], [0, 0], [8, 10]])

    def test_sums_of_no_such_index(self, xp):
        right = ad.scatter_add(xp.ones(3), xp.asarray([0, 0, 1]), 2)
        np.testing.assert_array_equal(to_host(right), [2, 1])
        assert np.all(np.isnan(to_host(ad.scatter_add(xp.ones(3), xp.asarray([0, 2, 1]), 2))))

    def test_losses_of_no_such_label(self, xp):
        logits = xp.asarray([[0.0, 1.0], [2.0, -1.0]])
        wrong = to_host(ad.cross_entropy(logits, xp.asarray([2, 0])))
        right = to_host(ad.cross_entropy(logits, xp.asarray([1, 0])))
        assert np.isnan(wrong[0]) and wrong[1] == right[1]
        np.testing.assert_allclose(right, np.log1p(np.exp([-1.0, -3.0])))

    def test_queries_without_a_key(self, xp):
        x = xp.asarray(np.random.default_rng(0).normal(size=(1, 2, 3)))
        mask = xp.asarray(np.array([[True, False], [False, False]]))
        with np.errstate(invalid="ignore"):
            out = to_host(ad.attention(x, x, x, mask=mask))
        np.testing.assert_allclose(out[0, 0], to_host(x)[0, 0])
        assert np.all(np.isnan(out[0, 1]))


def test_pulls_and_types_in_every_namespace(xp):
    x = xp.asarray(np.arange(3.0, dtype=np.float32))
    value, pull = ad.vjp(lambda x: ad.astype(x, xp.float64) ** 2, x)
    assert value.dtype == xp.float64
    slope = pull(ad.stop_gradient(value))
    assert slope.dtype == xp.float32
    np.testing.assert_array_equal(to_host(slope), [0, 2, 16])
    for got, right in (
        (ad.subtract(x, 1.0), [-1, 0, 1]),
        (ad.divide(x, 2.0), [0, 0.5, 1]),
        (ad.power(x, 2), [0, 1, 4]),
        (ad.negative(x), [0, -1, -2]),
        (ad.matmul(x, x), 5),
    ):
        assert got.dtype == xp.float32
        np.testing.assert_array_equal(to_host(got), right)
