import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from gaussbook.arrays import to_host
from gaussbook.transport import wasserstein_1d
from gaussbook.transport.one_dimensional import monotone_coupling

SIZES = st.integers(1, 9)
ORDERS = st.sampled_from([1, 1.5, 2, 3])


def lines(n, m, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    # rounded, so that points and levels coincide now and then
    return np.round(rng.normal(size=(*batch, n)), 1), np.round(rng.normal(size=(*batch, m)) + 1, 1)


def weights(n, seed, batch=()):
    draws = np.random.default_rng(seed).integers(0, 4, (*batch, n)).astype(float)
    draws[..., 0] += 1  # a sum above zero
    return draws


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.booleans(), st.integers(0, 2**31))
def test_order_one_is_scipys(n, m, weighted, seed):
    x, y = lines(n, m, seed)
    a, b = (weights(n, seed), weights(m, seed + 1)) if weighted else (None, None)
    expected = wasserstein_distance(x, y, a, b)
    assert wasserstein_1d(x, y, 1, a=a, b=b) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, ORDERS, st.booleans(), st.integers(0, 2**31))
def test_every_order_is_the_linear_programme_and_pots(n, m, p, weighted, seed):
    x, y = lines(n, m, seed)
    a, b = (weights(n, seed), weights(m, seed + 1)) if weighted else (np.ones(n), np.ones(m))
    result = wasserstein_1d(x, y, p, a=a if weighted else None, b=b if weighted else None) ** p
    costs = np.abs(x[:, None] - y) ** p
    assert result == pytest.approx(ot.emd2(a / a.sum(), b / b.sum(), costs), abs=1e-10)
    expected = ot.wasserstein_1d(x, y, a / a.sum(), b / b.sum(), p=p)
    assert result == pytest.approx(expected, abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES, SIZES, ORDERS, st.integers(0, 2**31))
def test_a_metric(n, m, k, p, seed):
    x, y = lines(n, m, seed)
    z = lines(k, 1, seed + 1)[0]
    xy, yz, xz = (wasserstein_1d(*pair, p) for pair in ((x, y), (y, z), (x, z)))
    assert xz <= xy + yz + 1e-12
    assert wasserstein_1d(y, x, p) == pytest.approx(xy, abs=1e-12)
    assert wasserstein_1d(x, x[::-1], p) == 0
    assert wasserstein_1d(x, np.repeat(x, 3), p) == pytest.approx(0, abs=1e-12)
    assert wasserstein_1d(3 - 2 * x, 3 - 2 * y, p) == pytest.approx(2 * xy, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES, st.integers(0, 2**31))
def test_points_of_weight_zero_do_not_count_and_whole_weights_repeat_points(n, m, seed):
    x, y = lines(n, m, seed)
    a = weights(n, seed)
    repeated = np.repeat(x, a.astype(int))
    assert wasserstein_1d(x, y, 2, a=a) == pytest.approx(wasserstein_1d(repeated, y, 2), abs=1e-9)


def test_a_shift_in_closed_form():
    x = np.random.default_rng(0).normal(size=100)
    assert wasserstein_1d(x, x + 0.3, 3) == pytest.approx(0.3)
    assert wasserstein_1d([0.0], [-2.0, 2.0, 4.0], 2) == pytest.approx(np.sqrt(8))


@pytest.mark.parametrize("sizes", [(6, 6), (6, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_leading_axes_broadcast_and_any_axis_holds_the_sample(sizes, weighted):
    x, y = lines(*sizes, batch=(3, 1))[0], lines(*sizes, batch=(5,))[1]
    a, b = (weights(sizes[0], 1, (3, 1)), weights(sizes[1], 2)) if weighted else (None, None)
    result = wasserstein_1d(x, y, 2, a=a, b=b)
    assert result.shape == (3, 5)
    one = {"a": a[2, 0], "b": b} if weighted else {}
    assert result[2, 1] == pytest.approx(wasserstein_1d(x[2, 0], y[1], 2, **one))
    if not weighted:
        across = wasserstein_1d(np.moveaxis(x, -1, 0), y.T[:, None, :], 2, axis=0)
        np.testing.assert_allclose(across, result)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_the_coupling_has_the_right_marginals_and_never_falls(n, m):
    if n == m:
        assert monotone_coupling(n, m, np.zeros(1)) is None
        return
    i, j, mass = monotone_coupling(n, m, np.zeros(1))
    np.testing.assert_allclose(np.bincount(i, mass, n), 1 / n)
    np.testing.assert_allclose(np.bincount(j, mass, m), 1 / m)
    assert np.diff(i).min(initial=0) >= 0
    assert np.diff(j).min(initial=0) >= 0


@pytest.mark.parametrize("sizes", [(6, 6), (6, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_same_in_every_namespace(sizes, weighted, xp):
    x, y = lines(*sizes, batch=(3,))
    a, b = (weights(sizes[0], 1), weights(sizes[1], 2)) if weighted else (None, None)
    ours = [None if v is None else xp.asarray(v) for v in (x, y, a, b)]
    result = wasserstein_1d(*ours[:2], 1.5, a=ours[2], b=ours[3])
    np.testing.assert_allclose(to_host(result), wasserstein_1d(x, y, 1.5, a=a, b=b))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"x": []}, "x"),
        ({"x": 1.0}, "x"),
        ({"y": [np.nan]}, "y"),
        ({"y": [[1.0]] * 5, "x": [[1.0]] * 3}, "y"),
        ({"p": 0.5}, "p"),
        ({"p": np.inf}, "p"),
        ({"axis": 3}, "axis"),
        ({"axis": "last"}, "axis"),
        ({"a": [1.0]}, "a"),
        ({"a": [1.0, -1.0, 1.0]}, "a"),
        ({"b": [0.0, 0.0]}, "b"),
        ({"x": [1.7e308, 0.0, 0.0], "y": [-1.7e308] * 2}, "x"),
    ],
)
def test_bad_input(change, name):
    good = {"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0], "p": 2}
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=f"^{name} "):
        wasserstein_1d(**(good | change))


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("p", [1, 2, 16])
def test_any_unit_of_length(scale, p):
    x, y = np.array([0.0, 1.0, 3.0]), np.array([0.5, 4.0])
    expected = wasserstein_1d(x, y, p)
    np.testing.assert_allclose(wasserstein_1d(scale * x, scale * y, p) / scale, expected)
