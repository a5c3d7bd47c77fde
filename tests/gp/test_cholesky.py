"""Cholesky factors with jitter, triangular solves and inverses."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.arrays import namespace, to_host
from gaussbook.gp.cholesky import (
    add_to_diagonal,
    cholesky_inverse,
    jittered_cholesky,
    log_determinant,
    solve_triangular,
)


def _positive(n, seed=0, dtype=np.float64):
    a = np.random.default_rng(seed).normal(size=(n, n))
    return (a @ a.T + np.eye(n)).astype(dtype)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 20), seed=st.integers(0, 1000))
def test_factor_solve_inverse_and_determinant(n, seed):
    K = _positive(n, seed)
    b = np.random.default_rng(seed).normal(size=(n, 3))
    L, jitter = jittered_cholesky(K)
    assert jitter == 0
    np.testing.assert_allclose(L @ L.T, K, atol=1e-12 * np.trace(K))
    solution = solve_triangular(L, solve_triangular(L, b), transpose=True)
    np.testing.assert_allclose(K @ solution, b, atol=1e-9)
    np.testing.assert_allclose(solve_triangular(L, b[:, 0]), solve_triangular(L, b)[:, 0])
    np.testing.assert_allclose(K @ cholesky_inverse(L), np.eye(n), atol=1e-9)
    assert log_determinant(L) == pytest.approx(np.linalg.slogdet(K)[1], abs=1e-9)


@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_in_memory_does_not_matter(order, dtype):
    K = _positive(5, dtype=dtype)
    other = np.repeat(np.repeat(K, 2, 0), 2, 1)[::2, ::2] if order == "strided" else K.copy(order)
    shifted = add_to_diagonal(other, 2.0)
    np.testing.assert_array_equal(shifted, K + 2 * np.eye(5, dtype=dtype))
    np.testing.assert_array_equal(other, K)  # a copy was changed
    for matrix in (other, shifted if order == "C" else np.asarray(shifted, order="F")):
        L, _ = jittered_cholesky(matrix)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(L @ L.T, matrix, atol=tolerance * 5, rtol=tolerance)
        copy = np.asarray(L, order="F") if order == "F" else L
        inverse = cholesky_inverse(copy)
        np.testing.assert_allclose(inverse @ matrix, np.eye(5), atol=100 * tolerance)
        right = solve_triangular(copy, np.asarray(matrix, order="F"))
        np.testing.assert_allclose(np.tril(L) @ right, matrix, atol=10 * tolerance * 5)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("types", [("f8", "f8"), ("f4", "f4"), ("f8", "f4")])
@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 0)])
@pytest.mark.parametrize("transpose", [False, True])
def test_triangular_solves_are_scipys_to_the_last_bit(order, types, shape, transpose):
    L = np.asarray(np.linalg.cholesky(_positive(6)), dtype=types[0], order=order)
    b = np.random.default_rng(1).normal(size=shape).astype(types[1])
    peer = scipy.linalg.solve_triangular(L, b, lower=True, trans=int(transpose))
    np.testing.assert_array_equal(solve_triangular(L, b, transpose=transpose), peer)


def test_a_zero_on_the_diagonal_is_an_error():
    with pytest.raises(np.linalg.LinAlgError):
        solve_triangular(np.diag([1.0, 0.0, 2.0]), np.ones(3))


def test_the_jitter_is_relative_to_the_scale_that_was_rounded():
    K = 1e-13 * (np.eye(3) - 1.001 * np.ones((3, 3)) / 3)  # below zero by 1e-16 of a prior 1
    with pytest.raises(ValueError, match="^covariance is not positive definite"):
        jittered_cholesky(K)
    L, jitter = jittered_cholesky(K, scale=1.0)
    assert jitter == pytest.approx(1e-12)
    np.testing.assert_allclose(L @ L.T, K + jitter * np.eye(3), atol=1e-26)


def test_jitter_escalates_and_is_reported():
    x = np.linspace(0, 1, 200)[:, None]
    K = 3.0 * np.exp(-((x - x.T) ** 2) / 2)  # of numerical rank about 12
    L, jitter = jittered_cholesky(K)
    assert 0 < jitter <= 3e-9
    np.testing.assert_allclose(L @ L.T, K + jitter * np.eye(200), atol=1e-13)


def test_single_precision_starts_higher():
    x = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    L, jitter = jittered_cholesky(np.exp(-((x - x.T) ** 2) / 2))
    assert L.dtype == np.float32
    assert 1e-6 <= jitter <= 1e-4


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_matrices_of_a_batch_are_jittered_each_by_its_own_scale(unit, xp):
    K = np.stack([_positive(4), unit * np.ones((4, 4))])
    scales = np.mean(np.diagonal(K, axis1=1, axis2=2), axis=1)
    L, jitter = jittered_cholesky(xp.asarray(K))
    L, epsilon = to_host(L), jitter / np.max(scales)
    assert 1e-13 < epsilon < 1e-10
    for factor, matrix, scale in zip(L, K, scales, strict=True):
        expected = matrix + epsilon * scale * np.eye(4)
        np.testing.assert_allclose(factor @ factor.T, expected, rtol=0, atol=1e-14 * scale)
    with pytest.raises(ValueError, match="^covariance is not positive definite"):
        jittered_cholesky(xp.asarray(np.stack([np.eye(4), np.zeros((4, 4))])))


def test_same_in_every_namespace(xp):
    K = _positive(6)
    shifted = add_to_diagonal(xp.asarray(K), 0.5)
    np.testing.assert_array_equal(to_host(shifted), K + 0.5 * np.eye(6))
    L, _ = jittered_cholesky(xp.asarray(K))
    assert namespace(L) is namespace(shifted)
    host = to_host(L)
    b = np.arange(12.0).reshape(6, 2)
    for transpose in (False, True):
        ours = solve_triangular(L, xp.asarray(b), transpose=transpose)
        expected = solve_triangular(host, b, transpose=transpose)
        np.testing.assert_allclose(to_host(ours), expected, rtol=1e-10)
    np.testing.assert_allclose(to_host(cholesky_inverse(L)), np.linalg.inv(K), atol=1e-10)
    assert log_determinant(L) == pytest.approx(log_determinant(host))


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.ones(3), {}, "covariance must be square"),
        (np.ones((2, 3)), {}, "covariance must be square"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), {}, "covariance holds NaN"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), {}, "covariance is not positive definite"),
        (-np.eye(2), {}, "covariance is not positive definite"),
        (np.ones((3, 3)), {"largest": 0}, "covariance is not positive definite"),
        (np.eye(2), {"largest": -1}, "largest must be at least 0"),
    ],
)
def test_bad_inputs(matrix, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        jittered_cholesky(matrix, **options)


@pytest.mark.parametrize("n", [1, 5, 23, 24, 40])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("left", "right"), [((3,), (3,)), ((2, 3), (2, 3)), ((3,), (2, 3))])
def test_batches_of_any_size(xp, n, transpose, left, right):
    rng = np.random.default_rng(n)
    L = np.tril(rng.standard_normal((*left, n, n))) + n * np.eye(n)
    b = rng.standard_normal((*right, n, 2))
    x = to_host(solve_triangular(xp.asarray(L), xp.asarray(b), transpose=transpose))
    back = np.swapaxes(L, -1, -2) @ x if transpose else L @ x
    np.testing.assert_allclose(back, np.broadcast_to(b, back.shape), atol=1e-12)


def test_a_batch_of_none():
    assert solve_triangular(np.zeros((0, 30, 30)), np.zeros((0, 30, 2))).shape == (0, 30, 2)


@pytest.mark.parametrize("shape", [(3, 5, 5), (2, 3, 30, 30), (4, 24, 24), (0, 30, 30), (0, 5, 5)])
def test_inverses_of_a_batch(xp, shape):
    A = np.random.default_rng(0).standard_normal(shape)
    A = A @ np.swapaxes(A, -1, -2) + np.eye(shape[-1])
    inverse = to_host(cholesky_inverse(xp.asarray(np.linalg.cholesky(A))))
    np.testing.assert_allclose(inverse, np.linalg.inv(A), atol=1e-10)


@pytest.mark.parametrize("n", [1, 127, 128, 300])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_inverse_is_whole_and_may_take_the_factors_place(n, overwrite):
    K = _positive(n) + n * np.eye(n)
    L = np.linalg.cholesky(K)
    kept = L.copy()
    inverse = cholesky_inverse(L, overwrite=overwrite)
    np.testing.assert_array_equal(inverse, inverse.T)
    np.testing.assert_allclose(inverse @ K, np.eye(n), atol=1e-12)
    if not overwrite:
        np.testing.assert_array_equal(L, kept)
