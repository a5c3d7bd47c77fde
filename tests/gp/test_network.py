"""What finite networks need beside the covariances, which `test_covariances` tests."""

import numpy as np
import pytest
from scipy import special

from gaussbook.arrays import namespace, to_host
from gaussbook.gp.network import NeuralNetwork, erf


def test_erf_is_that_of_scipy_on_any_array(xp):
    x = np.linspace(-4, 4, 41).reshape(1, 41)
    values = erf(xp.asarray(x))
    assert namespace(values) is namespace(xp.asarray(x))
    assert to_host(values) == pytest.approx(special.erf(x), abs=0)
    assert erf(x) == pytest.approx(-erf(-x), abs=0)


def test_erf_of_single_precision_is_within_three_roundings(xp):
    x = np.concatenate([np.linspace(-6, 6, 100_001), 10.0 ** np.arange(-38, 5), [0.0]])
    x = x.astype(np.float32)
    values, exact = to_host(erf(xp.asarray(x))), special.erf(x.astype(float))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, exact, rtol=3 * np.finfo(np.float32).eps, atol=0)
    np.testing.assert_array_equal(to_host(erf(xp.asarray(-x))), -values)
    assert np.isnan(to_host(erf(xp.asarray(np.float32([np.nan]))))).all()
    np.testing.assert_array_equal(to_host(erf(xp.asarray(np.float32([-np.inf, np.inf])))), [-1, 1])


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_tangent_kernel_in_every_namespace(activation, xp):
    k = NeuralNetwork(2, activation, 1.2, 1.6, 0.3)
    x = np.random.default_rng(0).normal(size=(5, 3))
    ours = k.tangent(xp.asarray(x), xp.asarray(x[:2]))
    np.testing.assert_allclose(to_host(ours), k.tangent(x, x[:2]), rtol=1e-12)
