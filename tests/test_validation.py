"""Bad input is refused with the argument's name; good input passes unchanged."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gaussbook import arrays, density, distances, metrics, mixture, transport
from gaussbook import validation as v
from gaussbook.classifiers import softmax_regression
from gaussbook.gp.covariances import Matern52
from gaussbook.gp.exact import GaussianProcessRegressor
from gaussbook.optim import SGD, Adam, clip_by_global_norm
from gaussbook.splatting import rgb_to_sh


def test_good_arrays_pass_untouched():
    x = np.ones((3, 2), dtype=np.float32)
    assert v.check_array("x", x, ndim=2, shape=(None, 2)) is x
    s = strict.ones((2,))
    assert v.check_array("s", s) is s


def test_lists_and_integers_become_float64():
    for x in ([1, 2], np.array([1, 2]), [True, False], 3):
        assert v.check_array("x", x).dtype == np.float64


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        ([], {}, "is empty"),
        (np.zeros((0, 3)), {}, "is empty"),
        ([1.0, np.nan], {}, "NaN or infinite"),
        ([np.inf], {}, "NaN or infinite"),
        ([[1.0]], {"ndim": 1}, r"1 dimension\(s\), got shape \(1, 1\)"),
        ([[1.0]], {"ndim": (1, 3)}, "1 or 3 dimension"),
        ([[1.0, 2.0]], {"shape": (None, 3)}, r"shape \(any, 3\), got \(1, 2\)"),
        ([1.0], {"shape": (1, 1)}, "must have shape"),
        (["a"], {}, "not an array of numbers|real numbers"),
        ([[1, 2], [3]], {}, "not an array of numbers"),
        (None, {}, "real numbers|NaN"),
        ([1j], {}, "real numbers|not an array of numbers"),
        ([0.5], {"integers": True}, "must hold integers"),
        (object(), {}, "real numbers"),
    ],
)
def test_bad_arrays(x, options, words):
    with pytest.raises(ValueError, match=f"^x .*({words})"):
        v.check_array("x", x, **options)


@given(hnp.arrays(st.sampled_from([np.float64, np.int64, bool]), hnp.array_shapes(max_dims=3)))
def test_arrays_pass_finite_or_not_at_all(x):
    if np.all(np.isfinite(x)):
        np.testing.assert_array_equal(v.check_array("x", x), x.astype(np.float64))
    else:
        with pytest.raises(ValueError, match="^x "):
            v.check_array("x", x)


@pytest.mark.parametrize(
    ("value", "bounds", "words"),
    [
        (0, {"above": 0}, "above 0, got 0"),
        (-1, {"at_least": 0}, "at least 0"),
        (1, {"below": 1}, "below 1"),
        (2, {"at_most": 1}, "at most 1"),
        (float("nan"), {}, "finite"),
        ("x", {}, "must be a number"),
        (None, {}, "must be a number"),
    ],
)
def test_bad_scalars(value, bounds, words):
    with pytest.raises(ValueError, match=f"^lengthscale .*{words}"):
        v.check_scalar("lengthscale", value, **bounds)


@pytest.mark.parametrize("value", ["1", b"1", bytearray(b"1"), np.str_("1"), True, np.bool_(True)])
def test_what_float_makes_a_number_of_is_none(value):
    with pytest.raises(ValueError, match="^lengthscale must be a number"):
        v.check_scalar("lengthscale", value)


def test_good_scalars_and_integers():
    assert v.check_scalar("x", np.float32(0.5), above=0, below=1) == 0.5
    assert v.check_integer("k", np.int64(3), at_least=3, at_most=3) == 3


@pytest.mark.parametrize("value", [1.0, "1", True, None, 0, 9])
def test_bad_integers(value):
    with pytest.raises(ValueError, match="^k must be"):
        v.check_integer("k", value, at_least=1, at_most=8)


def test_choices_are_listed():
    assert v.check_choice("kind", "full", ("full", "diag")) == "full"
    with pytest.raises(ValueError, match="^kind must be one of full, diag; got 'ful'"):
        v.check_choice("kind", "ful", ("full", "diag"))


def test_probabilities():
    v.check_probabilities("weights", np.array([[0.25, 0.75], [1.0, 0.0]]))
    with pytest.raises(ValueError, match=r"^weights must sum to 1, off by 0\.1"):
        v.check_probabilities("weights", [0.5, 0.4])
    with pytest.raises(ValueError, match="^weights holds negative"):
        v.check_probabilities("weights", [1.5, -0.5])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 1000])
def test_probabilities_of_any_type_are_judged_by_its_digits(dtype, n):
    logits = np.random.default_rng(0).normal(size=(200, n)).astype(dtype)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True, dtype=dtype)
    assert v.check_probabilities("weights", shares) is shares
    with pytest.raises(ValueError, match="^weights must sum to 1"):
        v.check_probabilities("weights", shares * dtype(1.1))


MASKED = np.ma.array([[1.0, 2.0], [900.0, 4.0]], mask=[[0, 0], [1, 0]])


@pytest.mark.parametrize("x", [MASKED, [MASKED[0], MASKED[1]], MASKED[:, 0], (1.0, MASKED[1, 0])])
def test_masked_values_are_refused_by_name(x):
    with pytest.raises(ValueError, match="^x (has masked values|holds NaN)"):
        v.check_array("x", x)


@pytest.mark.parametrize(
    "x", [np.ma.array([[1.0, 2.0]]), np.ma.array([[1.0, 2.0]], mask=False), np.matrix([[1.0, 2.0]])]
)
def test_other_subclasses_become_arrays(x):
    checked = v.check_array("x", x)
    assert type(checked) is np.ndarray
    np.testing.assert_array_equal(checked, [[1.0, 2.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: GaussianProcessRegressor(Matern52()).fit(x, np.ones(2)),
        lambda x: GaussianProcessRegressor(Matern52()).fit(np.ones(2), x[:, 0]),
        lambda x: mixture.GaussianMixture().fit(x),
        lambda x: mixture.GaussianMixture().fit(np.eye(2)).score_samples(x),
        lambda x: mixture.k_means(np.eye(2), 1, sample_weight=x[:, 0]),
        lambda x: density.log_density(np.eye(2), x, 1.0),
        lambda x: transport.cost_matrix(x, np.eye(2)),
        lambda x: transport.sinkhorn(None, None, x, 1.0),
        lambda x: transport.exact_plan(None, None, x),
        lambda x: softmax_regression(x, np.array([0, 1]), 2),
        lambda x: softmax_regression(np.eye(2), np.array([0, 1]), 2).predict(x),
        lambda x: metrics.psnr(x, np.eye(2)),
        lambda x: arrays.namespace(x),
        lambda x: arrays.to_device(x),
        lambda x: arrays.to_host(x),
        lambda x: v.check_probabilities("x", x),
        lambda x: v.check_covariance("x", x),
        lambda x: v.check_array("x", x.astype(int), integers=True),
        lambda x: distances.squared_distances(np.eye(2), np.eye(2), x[1]),
        lambda x: distances.contract_squares(x, np.eye(2), np.eye(2)),
        lambda x: rgb_to_sh(x),
        lambda x: SGD(0.1).step({"a": np.ones(2)}, {"a": x[:, 0]}),
        lambda x: Adam(0.1).step({"a": np.ones(2)}, {"a": x[:, 0]}),
        lambda x: clip_by_global_norm({"a": x}, 1.0),
        lambda x: mixture.marginal(np.zeros(1), x[:1], np.ones((1, 2)), np.ma.array([0], mask=[1])),
    ],
)
def test_no_function_looks_behind_a_mask(call):
    with pytest.raises(ValueError, match="masked values"):
        call(MASKED)


def test_arrays_that_are_not_there_yet_are_refused_by_name():
    lazy = pytest.importorskip("dask.array").ones((4, 2))
    for call in (
        lambda: v.check_array("x", lazy),
        lambda: mixture.k_means(lazy, 2),
        lambda: density.log_density(lazy, np.ones((2, 2)), 1.0),
        lambda: transport.wasserstein(lazy, np.ones((2, 2))),
    ):
        with pytest.raises(ValueError, match=r"^x is a Dask array, .* pass x\.compute\(\)"):
            call()


def test_the_symmetry_of_each_matrix_of_a_batch_is_its_own():
    batch = np.stack([1e12 * np.eye(2), np.array([[2.0, 1.0], [0.0, 2.0]])])
    with pytest.raises(ValueError, match="^covariance is not symmetric"):
        v.check_covariance("covariance", batch)


def test_covariances_come_back_with_their_cholesky_factors():
    a = np.random.default_rng(0).normal(size=(4, 3, 3))
    covariance = a @ a.transpose(0, 2, 1) + np.eye(3)
    same, factor = v.check_covariance("covariance", covariance)
    assert same is covariance
    np.testing.assert_allclose(factor @ factor.transpose(0, 2, 1), covariance, rtol=1e-12)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((2, 3)), "square"),
        (np.ones(3), "square"),
        ([[1.0, 0.5], [0.4, 1.0]], "not symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "not positive definite"),
        ([[0.0]], "not positive definite"),
        ([[np.nan]], "NaN"),
    ],
)
def test_bad_covariances(matrix, words):
    with pytest.raises(ValueError, match=f"^covariance .*{words}"):
        v.check_covariance("covariance", matrix)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [5, 300])
@pytest.mark.parametrize("place", [(-1, 0), (3, 1), (2, 2), (-1, -1)])
@pytest.mark.parametrize("overwrite", [False, True])
def test_no_factor_of_a_matrix_that_is_not_finite(value, n, place, overwrite):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, n))
    A = A @ A.T + np.eye(n)
    A[place] = A[place[::-1]] = value
    assert v.try_cholesky(A, overwrite=overwrite) is None


@pytest.mark.parametrize("n", [1, 40, 300])
def test_a_factor_may_take_the_matrix_place(n):
    A = np.random.default_rng(0).standard_normal((n, n))
    A = A @ A.T + np.eye(n)
    plain = v.try_cholesky(A.copy())
    np.testing.assert_array_equal(v.try_cholesky(A.copy(), overwrite=True), plain)
    np.testing.assert_allclose(plain @ plain.T, A, atol=1e-10)
    assert np.all(np.triu(plain, 1) == 0)
    kept = A.copy()
    v.try_cholesky(A)
    np.testing.assert_array_equal(A, kept)
