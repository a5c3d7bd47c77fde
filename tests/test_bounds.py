"""A bound on every element is NumPy's maximum, whatever the array's size, order and type."""

import numpy as np
import pytest

from gaussbook.arrays import to_host
from gaussbook.bounds import at_least


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (7, 5), (2**14,), (130, 300), (3, 41, 1000)])
def test_numpys_maximum_in_every_namespace(xp, dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x = np.asarray(x)
    for lower in (-0.5, 0.0, -np.inf):
        found = at_least(xp.asarray(x), lower)
        assert to_host(found).dtype == dtype
        np.testing.assert_array_equal(to_host(found), np.maximum(x, np.asarray(lower, dtype)))


def test_the_argument_is_kept_or_written_over():
    x = np.random.default_rng(0).standard_normal((200, 300))
    before = x.copy()
    assert not np.shares_memory(at_least(x, 0.0), x)
    np.testing.assert_array_equal(x, before)
    assert at_least(x, 0.0, overwrite=True) is x
    np.testing.assert_array_equal(x, np.maximum(before, 0))


def test_views_and_what_is_not_a_number():
    x = np.random.default_rng(0).standard_normal((200, 300))
    x[3, 4], x[5, 6] = np.nan, np.inf
    for view in (x, x.T, x[::2], x[:, ::-1]):
        np.testing.assert_array_equal(at_least(view, 0.25), np.maximum(view, 0.25))
