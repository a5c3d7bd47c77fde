"""What finite networks need beside the covariances, which `test_covariances` tests."""

import array_api_strict
import numpy as np
import pytest
from scipy import special

from gaussbook.arrays import namespace, to_host
from gaussbook.gp.network import erf


def test_erf_is_that_of_scipy_on_any_array():
    x = np.linspace(-4, 4, 41).reshape(1, 41)
    values = erf(array_api_strict.asarray(x))
    assert namespace(values).__name__.startswith("array_api_strict")
    assert to_host(values) == pytest.approx(special.erf(x), abs=0)
    assert erf(x) == pytest.approx(-erf(-x), abs=0)
