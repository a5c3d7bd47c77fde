"""Extremes and sums of short rows are those of NumPy, whatever the rows hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gaussbook.arrays import to_host
from gaussbook.rows import row_maxima, row_minima, row_sums

shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=70)


@given(hnp.arrays(np.float64, shapes, elements=st.floats(allow_nan=True, width=64)))
def test_extremes_are_numpys(x):
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(row_maxima(x), np.max(x, axis=-1, keepdims=True))
        np.testing.assert_array_equal(row_minima(x), np.min(x, axis=-1, keepdims=True))


@pytest.mark.parametrize("width", [1, 2, 32, 33, 255, 256, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_every_namespace(xp, width, dtype):
    x = np.random.default_rng(0).standard_normal((3, 400, width)).astype(dtype)
    y = xp.asarray(x)
    np.testing.assert_array_equal(to_host(row_maxima(y)), x.max(axis=-1, keepdims=True))
    np.testing.assert_array_equal(to_host(row_minima(y)), x.min(axis=-1, keepdims=True))
    sums = to_host(row_sums(y))
    assert sums.dtype == x.dtype
    np.testing.assert_allclose(
        sums, x.sum(axis=-1, keepdims=True), atol=1e-4 if dtype == "float32" else 1e-12
    )


def test_a_view_is_read_as_it_is_indexed():
    x = np.random.default_rng(0).standard_normal((6, 40, 30))
    for view in (x[::2], x[..., ::-1], x.transpose(2, 1, 0), x[:, :0]):
        np.testing.assert_array_equal(row_maxima(view), view.max(axis=-1, keepdims=True))


def test_a_row_of_nothing_has_no_extreme():
    with pytest.raises(ValueError, match="zero-size"):
        row_maxima(np.zeros((3, 0)))
