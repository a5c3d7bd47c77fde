"""Squared distances: the stated bound in every dimension and type, however far the clusters lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook import blocks
from gaussbook.arrays import to_host
from gaussbook.distances import (
    SquaredDistances,
    contract_squares,
    remember_squares,
    squared_distances,
)

DIMENSIONS = [1, 2, 3, 4, 5, 16, 70]


def exact(x, y, lengths=None):
    """The squares in 80 bits, of which differences of doubles need not lose any."""
    lengths = np.ones(x.shape[1]) if lengths is None else lengths
    gaps = x[:, None, :].astype(np.longdouble) - y.astype(np.longdouble)
    return np.sum((gaps / lengths.astype(np.longdouble)) ** 2, axis=-1)


def clusters(seed, n, d, spread, gap):
    """Points in pairs `gap` apart, the pairs `spread` apart."""
    rng = np.random.default_rng(seed)
    centres = spread * rng.standard_normal((n, d))
    step = rng.standard_normal((n, d))
    step *= gap / np.linalg.norm(step, axis=1, keepdims=True)
    return np.concatenate([centres, centres + step])


def bound(d):
    return 2**9 * (d + 4) * np.finfo(float).eps


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("spread", [0.0, 1.0, 1e3, 1e8, 1e14])
@pytest.mark.parametrize("gap", [1e-6, 0.3])
def test_every_square_keeps_the_stated_bound(xp, d, spread, gap):
    x, y = clusters(0, 9, d, spread, gap), clusters(0, 9, d, spread, 2 * gap)[::-1].copy()
    got = to_host(squared_distances(xp.asarray(x), xp.asarray(y)))
    np.testing.assert_allclose(got, exact(x, y).astype(float), rtol=bound(d), atol=0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 12),
    spread=st.floats(0, 1e10),
    gap=st.floats(1e-3, 1e3),
    shift=st.floats(-1e12, 1e12),
    unit=st.floats(0.3, 3e5),
)
def test_the_bound_holds_for_any_clusters_shift_and_units(seed, d, spread, gap, shift, unit):
    x = clusters(seed, 5, d, spread, gap) + shift
    lengths = unit * np.linspace(1, 7, d)
    got = squared_distances(x, x[::2], lengths)
    np.testing.assert_allclose(got, exact(x, x[::2], lengths).astype(float), rtol=bound(d))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_single_precision_is_rounded_once(xp, d):
    x = clusters(1, 6, d, 1e4, 1.0).astype(np.float32)
    got = squared_distances(xp.asarray(x), xp.asarray(x))
    assert got.dtype == xp.float32
    expected = exact(x, x).astype(float)
    np.testing.assert_allclose(to_host(got), expected, rtol=1.01 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_a_point_and_itself_are_at_distance_zero(d):
    x = clusters(2, 8, d, 1e5, 0.1)
    squares = squared_distances(x, x)
    assert np.all(np.diag(squares) == 0) and np.all(squares[~np.eye(16, dtype=bool)] > 0)


def test_overflow_is_infinite_and_its_neighbours_are_right():
    x = np.array([[1e200, 0, 0, 0], [1e200, 1, 0, 0], [0, 0, 0, 0.0]])
    with np.errstate(over="ignore", invalid="ignore"):
        squares = squared_distances(x, x)
    np.testing.assert_array_equal(squares, [[0, 1, np.inf], [1, 0, np.inf], [np.inf, np.inf, 0]])


@pytest.mark.parametrize("d", [2, 7])
def test_blocks_and_slices_do_not_change_them(monkeypatch, d):
    x, y = clusters(3, 20, d, 1e6, 1.0), clusters(3, 11, d, 1e6, 2.0)
    whole = squared_distances(x, y)
    monkeypatch.setattr(blocks, "_HOST_ELEMENTS", 50)
    np.testing.assert_allclose(squared_distances(x, y), whole, rtol=bound(d))
    part = SquaredDistances(y)(x[:3], slice(5, 9))
    np.testing.assert_allclose(part, whole[:3, 5:9], rtol=bound(d))


@pytest.mark.parametrize("d", [2, 7])
def test_remembered_squares_are_those_of_every_length(xp, d):
    rng = np.random.default_rng(0)
    x, y = (xp.asarray(rng.standard_normal((30, d))) for _ in range(2))
    several = xp.asarray(rng.uniform(1, 2, d))
    with remember_squares():
        for lengths in (xp.full(d, 0.3), xp.full(d, 7.0), several, None):
            for a, b in ((x, x), (y, y), (x, y)):
                got = squared_distances(a, b, lengths)
                expected = SquaredDistances(b, lengths)(a)
                np.testing.assert_allclose(to_host(got), to_host(expected), rtol=1e-12)


def test_what_was_remembered_is_forgotten_outside(xp):
    x = xp.ones((3, 5)) * xp.arange(3.0)[:, None]
    lengths = xp.ones(5)
    with remember_squares():
        before = to_host(squared_distances(x, x, lengths))
    x *= 2
    np.testing.assert_allclose(to_host(squared_distances(x, x, lengths)), 4 * before)


@pytest.mark.parametrize("d", [1, 3, 6])
def test_contracted_squares_are_the_sums(xp, d):
    x, y = clusters(4, 6, d, 1e7, 0.5), clusters(4, 4, d, 1e7, 0.7)
    lengths, weights = np.linspace(0.3, 3, d), np.random.default_rng(0).standard_normal((12, 8))
    weights[:, ::2] = 0.0
    gaps = (x[:, None, :].astype(np.longdouble) - y) / lengths
    expected = np.einsum("ij,ijd->d", weights, gaps**2).astype(float)
    got = contract_squares(*map(xp.asarray, (weights, x, y, lengths)))
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-10)
    factors = np.random.default_rng(1).uniform(1, 2, weights.shape)
    parts = map(xp.asarray, (weights / factors, x, y, lengths))
    got = contract_squares(*parts, times=xp.asarray(factors))
    np.testing.assert_allclose(to_host(got), expected, rtol=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 1.0, 1e3, 1e8]),
    width=st.sampled_from([0.01, 1.0, 100.0]),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_contracted_squares_lose_no_digits_to_an_offset(seed, spread, width, dtype):
    x = clusters(seed, 20, 5, spread, 0.5).astype(dtype)
    x[:, 2] *= 1000  # one coordinate may need differences where the others do not
    gaps = x[:, None, :].astype(np.longdouble) - x
    weights = np.random.default_rng(seed).standard_normal((40, 40))
    weights = (weights * np.exp(-np.sum(gaps**2, axis=2) / width**2)).astype(dtype)
    terms = weights[:, :, None] * gaps**2
    got = contract_squares(weights, x, x)
    assert got.dtype == dtype
    error = np.abs(got - terms.sum(axis=(0, 1)))
    eps = np.finfo(dtype).eps
    assert np.all(error <= 2**12 * eps * np.abs(terms).sum(axis=(0, 1)) + 1e-300)
