"""Every function against finite differences, to second order, and on strict arrays."""

import numpy as np
import pytest

from gaussbook import autodiff as ad
from gaussbook.arrays import namespace, to_host

from .cases import CASES, arguments
from .finite_differences import assert_gradients


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives(name):
    function, shapes = CASES[name]
    assert_gradients(function, arguments(shapes))


@pytest.mark.parametrize("name", CASES)
def test_same_in_every_namespace(xp, name):
    function, shapes = CASES[name]
    every = tuple(range(len(shapes)))
    host = arguments(shapes)
    arrays = [xp.asarray(x) for x in host]

    def scalar(*args):
        return ad.sum(ad.sin(function(*args)))

    expected, slopes = ad.value_and_grad(scalar, every)(*host)
    value, got = ad.value_and_grad(scalar, every)(*arrays)
    assert namespace(value) is namespace(arrays[0])
    np.testing.assert_allclose(float(value), expected, rtol=1e-10)
    for g, e in zip(got, slopes, strict=True):
        assert namespace(g) is namespace(arrays[0])
        np.testing.assert_allclose(to_host(g), e, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_single_precision_stays_single(name):
    function, shapes = CASES[name]
    arrays = [x.astype(np.float32) for x in arguments(shapes)]
    value, slopes = ad.value_and_grad(
        lambda *args: ad.sum(function(*args)), tuple(range(len(shapes)))
    )(*arrays)
    assert value.dtype == np.float32
    assert all(g.dtype == np.float32 for g in slopes)


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_in_every_namespace(xp, name):
    function, shapes = CASES[name]
    host = arguments(shapes)
    directions = arguments(shapes, seed=1)

    def product(to):
        def scalar(parts):
            return ad.sum(function(*parts) ** 2)

        return ad.hessian_vector_product(scalar)(list(map(to, host)), list(map(to, directions)))

    for g, e in zip(product(xp.asarray), product(np.asarray), strict=True):
        np.testing.assert_allclose(to_host(g), e, rtol=1e-8, atol=1e-9)
