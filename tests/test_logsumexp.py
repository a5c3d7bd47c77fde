"""Log-sum-exp and softmax: SciPy, ends of the range, types."""

import numpy as np
import pytest
from scipy import special

from gaussbook.arrays import to_host
from gaussbook.logsumexp import log_sum_exp, normalise

VALUES = np.random.default_rng(0).normal(scale=30, size=(5, 7))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_scipy_agrees(xp, axis, shift):
    a = VALUES + shift
    got = log_sum_exp(xp.asarray(a), axis=axis)
    np.testing.assert_allclose(to_host(got), special.logsumexp(a, axis=axis), rtol=1e-14)
    log_sum, shares = normalise(xp.asarray(a), axis=axis)
    np.testing.assert_allclose(to_host(log_sum), special.logsumexp(a, axis=axis), rtol=1e-14)
    np.testing.assert_allclose(to_host(shares), special.softmax(a, axis=axis), rtol=1e-11)


def test_absent_terms(xp):
    a = xp.asarray([[-np.inf, 2.0], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(to_host(log_sum_exp(a)), [2.0, -np.inf])
    log_sum, shares = normalise(a[:1, :])
    assert to_host(log_sum)[0] == 2.0
    np.testing.assert_array_equal(to_host(shares), [[0.0, 1.0]])


def test_single_precision_stays(xp):
    a = xp.asarray(VALUES, dtype=xp.float32)
    got = log_sum_exp(a)
    assert got.dtype == xp.float32
    np.testing.assert_allclose(to_host(got), special.logsumexp(VALUES, axis=-1), rtol=3e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_shares_that_change_no_digit_are_zero(xp, dtype, axis):
    low = -81.0 if dtype == "float32" else -601.0
    a = np.asarray([[0.0, low], [low + 2, -3.0], [-np.inf, 2 * low]], dtype=dtype)
    shares = to_host(normalise(xp.asarray(a), axis=axis)[1])
    expected = special.softmax(a, axis=axis)
    expected[expected < np.exp(low + 1)] = 0
    assert shares.dtype == dtype
    np.testing.assert_array_equal(shares == 0, expected == 0)
    np.testing.assert_allclose(shares, expected, rtol=1e-5 if dtype == "float32" else 1e-13)


def test_what_is_not_a_number_stays_so(xp):
    a = xp.asarray([[1.0, np.nan, -700.0], [1.0, 2.0, -700.0]])
    log_sum, shares = normalise(a)
    np.testing.assert_array_equal(np.isnan(to_host(log_sum)), [True, False])
    assert np.all(np.isnan(to_host(shares)[0, :])) and to_host(shares)[1, 2] == 0


def test_exponents_are_left_as_they_are(xp):
    a = xp.asarray(VALUES * 30)
    normalise(a)
    log_sum_exp(a, axis=0)
    np.testing.assert_array_equal(to_host(a), VALUES * 30)
