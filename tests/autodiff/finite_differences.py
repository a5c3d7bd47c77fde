"""Gradients by differences of values, to hold those of the library against."""

from __future__ import annotations

import numpy as np

from gaussbook import autodiff as ad


def derivative(f, h=1e-3):
    """The derivative at 0 of a function of one number, of fourth order in h."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def numerical_gradient(f, arrays, h=1e-3):
    """The gradient of ``f(*arrays)``, element by element."""
    result = []
    for k, x in enumerate(arrays):
        slopes = np.empty(x.shape)
        for i in np.ndindex(x.shape):

            def along(t, k=k, i=i):
                moved = [a.copy() for a in arrays]
                moved[k][i] += t
                return float(f(*moved))

            slopes[i] = derivative(along, h)
        result.append(slopes)
    return result


def assert_gradients(f, arrays, tolerance=1e-6, h=1e-3, second=True):
    """Compare first derivatives element by element, and second ones along a random direction.

    The array that `f` returns is reduced with fixed weights, so that every element counts.
    """
    arrays = [np.asarray(a, dtype=float) for a in arrays]
    rng = np.random.default_rng(0)
    shape = np.shape(f(*arrays))
    weights = rng.uniform(0.5, 1.5, shape)

    def scalar(*args):
        return ad.sum(f(*args) * weights)

    every = tuple(range(len(arrays)))
    got = ad.grad(scalar, every)(*arrays)
    expected = numerical_gradient(scalar, arrays, h)
    size = max(np.max(np.abs(e), initial=0) for e in expected)
    for g, e, x in zip(got, expected, arrays, strict=True):
        assert g.shape == x.shape
        assert g.dtype == x.dtype
        np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance * max(size, 1e-3))
    if not second:
        return
    directions = [rng.standard_normal(a.shape) for a in arrays]

    def packed(parts):
        return scalar(*parts)

    product = ad.hessian_vector_product(packed)(list(arrays), directions)

    def gradient_at(t):
        moved = [a + t * v for a, v in zip(arrays, directions, strict=True)]
        return np.concatenate([np.ravel(g) for g in ad.grad(packed)(moved)])

    expected = derivative(gradient_at, h)
    size = max(np.max(np.abs(expected)), 1e-3)
    got = np.concatenate([np.ravel(p) for p in product])
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * size)
