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


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_tangent_kernel_in_every_namespace(activation, xp):
    k = NeuralNetwork(2, activation, 1.2, 1.6, 0.3)
    x = np.random.default_rng(0).normal(size=(5, 3))
    ours = k.tangent(xp.asarray(x), xp.asarray(x[:2]))
    np.testing.assert_allclose(to_host(ours), k.tangent(x, x[:2]), rtol=1e-12)
