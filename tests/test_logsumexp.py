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
