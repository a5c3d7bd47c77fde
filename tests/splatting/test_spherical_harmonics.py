"""Spherical harmonics: SciPy's, orthonormality, and finite differences."""

import numpy as np
import pytest
from scipy.special import sph_harm_y

from gaussbook.arrays import to_host
from gaussbook.splatting.spherical_harmonics import (
    colors_from_sh,
    colors_from_sh_pullback,
    rgb_to_sh,
    sh_basis,
)


def directions(n=50, seed=0):
    r = np.random.default_rng(seed).normal(size=(n, 3))
    return r / np.linalg.norm(r, axis=1, keepdims=True)


def test_against_scipy():
    r = directions()
    values, _ = sh_basis(r, 3)
    theta, phi = np.arccos(r[:, 2]), np.arctan2(r[:, 1], r[:, 0])
    k = 0
    for degree in range(4):
        for order in range(-degree, degree + 1):
            complex_one = sph_harm_y(degree, abs(order), theta, phi)
            part = complex_one.imag if order < 0 else complex_one.real
            expected = part * (np.sqrt(2) if order else 1)
            np.testing.assert_allclose(values[:, k], expected, atol=1e-12)
            k += 1


def test_gradients_of_the_basis():
    r = np.random.default_rng(1).normal(size=(20, 3))  # the polynomials, off the sphere too
    _, gradients = sh_basis(r, 3)
    for i, step in enumerate(1e-6 * np.eye(3)):
        numeric = (sh_basis(r + step, 3)[0] - sh_basis(r - step, 3)[0]) / 2e-6
        np.testing.assert_allclose(gradients[:, :, i], numeric, atol=1e-7)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_pullback(degree):
    rng = np.random.default_rng(2)
    k, r, g = 2 * rng.normal(size=(9, 16, 3)), rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    colors, cache = colors_from_sh(k, r, degree)
    assert np.any(colors == 0) and np.any(colors > 0)
    grad_k, grad_r = colors_from_sh_pullback(cache, g)

    def loss(k, r):
        return (colors_from_sh(k, r, degree)[0] * g).sum()

    dk, dr = 1e-6 * rng.normal(size=k.shape), 1e-6 * rng.normal(size=r.shape)
    assert (grad_k * dk).sum() == pytest.approx((loss(k + dk, r) - loss(k - dk, r)) / 2, rel=1e-6)
    change = (loss(k, r + dr) - loss(k, r - dr)) / 2
    assert (grad_r * dr).sum() == pytest.approx(change, rel=1e-6, abs=1e-15)
    np.testing.assert_allclose((grad_r * r).sum(axis=1), 0, atol=1e-12)  # only the direction counts


def test_a_colour_from_all_sides():
    rgb = np.random.default_rng(3).uniform(size=(5, 3))
    colors, _ = colors_from_sh(rgb_to_sh(rgb)[:, None, :], directions(5), 0)
    np.testing.assert_allclose(colors, rgb, atol=1e-15)


def test_same_in_every_namespace(xp):
    rng = np.random.default_rng(4)
    arrays = rng.normal(size=(7, 16, 3)), rng.normal(size=(7, 3)), rng.normal(size=(7, 3))
    k, r, g = map(xp.asarray, arrays)
    colors, cache = colors_from_sh(k, r, 2)
    ours = (colors, *colors_from_sh_pullback(cache, g))
    colors, cache = colors_from_sh(*arrays[:2], 2)
    for a, b in zip(ours, (colors, *colors_from_sh_pullback(cache, arrays[2])), strict=True):
        np.testing.assert_allclose(to_host(a), b, atol=1e-14)
