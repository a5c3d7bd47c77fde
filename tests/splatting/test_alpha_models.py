"""Alpha models: the normal distribution, exact window integrals, and ellipses that hold all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.stats import norm

from gaussbook.splatting import Analytic, Mip, Point
from gaussbook.splatting.alpha_models import _window, logistic_cdf
from gaussbook.splatting.pairs import enumerate_pairs

MODELS = [Point(), Point(0.0), Mip(), Analytic(damping=0.0), Analytic()]


def covariance(sigma1, sigma2, degrees):
    angle = np.radians(degrees)
    V = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    S = V @ np.diag([sigma1**2, sigma2**2]) @ V.T
    return np.array([[S[0, 0], S[0, 1], S[1, 1]]])


def image(model, S, centre=(16.5, 16.5), opacity=1.0, size=33, cutoff=0.0):
    """Return the opacities of one Gaussian on a square image."""
    footprints = model.prepare(S, np.array([opacity]), cutoff)
    points = np.array([centre])
    if not footprints.drawn[0]:
        return np.zeros((size, size))
    pairs = enumerate_pairs(points, footprints.reach, size, size)
    alpha = model.evaluate(footprints, pairs)
    return np.bincount(pairs.pixel, alpha, minlength=size * size).reshape(size, size)


def test_logistic_cdf():
    x = np.linspace(-8, 8, 160_001)
    error = np.abs(logistic_cdf(x) - norm.cdf(x))
    assert error.max() == pytest.approx(3.92e-4, abs=2e-6)
    assert abs(x[error.argmax()]) == pytest.approx(0.595, abs=0.01)
    numeric = np.gradient(logistic_cdf(x), x)
    _, density, _ = _window(x, x)
    np.testing.assert_allclose(density, numeric, atol=1e-7)
    assert np.max(density / norm.pdf(x)) < 1.011  # what the footprint relies on


def test_point_is_the_density():
    S = covariance(2.0, 1.0, 30)
    x = np.arange(33) + 0.5 - 16.2
    d = np.stack(np.meshgrid(x, x), axis=-1)
    A, B, D = S[0] + [0.3, 0, 0.3]
    Q = np.linalg.inv([[A, B], [B, D]])
    expected = 0.6 * np.exp(-0.5 * np.einsum("ija,ab,ijb->ij", d, Q, d))
    np.testing.assert_allclose(image(Point(), S, (16.2, 16.2), 0.6), expected, atol=1e-14)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_mip_keeps_the_mass(sigma):
    S = covariance(sigma, 2 * sigma, 20)
    mass = image(Mip(0.5), S, size=65, centre=(32.4, 32.1)).sum()
    assert mass == pytest.approx(4 * np.pi * sigma**2, rel=0.02 if sigma == 0.5 else 1e-3)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("degrees", [0, 90])
def test_analytic_keeps_the_mass_exactly(sigma, degrees):
    S = covariance(1.5 * sigma, sigma, degrees)
    mass = image(Analytic(), S, (32.23, 31.9), size=65).sum()
    assert mass == pytest.approx(2 * np.pi * 1.5 * sigma**2, abs=1e-9)


def test_analytic_is_the_window_integral():
    sigma = (2.0, 0.5)
    pixels = image(Analytic(), covariance(*sigma, 0), (16.3, 16.6))

    def density(y, x):
        return np.exp(-((x - 16.3) ** 2) / (2 * sigma[0] ** 2) - (y - 16.6) ** 2 / 0.5)

    for i, j in [(16, 16), (15, 18), (17, 14), (16, 20)]:
        exact, _ = dblquad(density, j, j + 1, i, i + 1)
        assert pixels[i, j] == pytest.approx(exact, abs=0.003)


SIGMA = st.floats(0.02, 12.0)


@settings(max_examples=60, deadline=None)
@given(
    sigma1=SIGMA, sigma2=SIGMA, degrees=st.floats(0, 180), x=st.floats(-5, 38), y=st.floats(-5, 38),
    opacity=st.floats(0.004, 1.0),
)  # fmt: skip
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_ellipse_holds_all_that_counts(model, sigma1, sigma2, degrees, x, y, opacity):
    S = covariance(sigma1, sigma2, degrees)
    full = image(model, S, (x, y), opacity)
    cut = image(model, S, (x, y), opacity, cutoff=1 / 255)
    outside = cut == 0
    assert np.all(full[outside] < 1 / 255 * (1 + 1e-9))
    np.testing.assert_allclose(cut[~outside], full[~outside], rtol=1e-9)


def derivatives(model, S, opacity=0.8, centre=(4.3, 3.8), size=9):
    """Return gradients of a random sum of opacities, and numeric ones."""
    g = np.random.default_rng(0).normal(size=size * size)
    points = np.array([centre])

    def loss(points, S, opacity):
        footprints = model.prepare(S, opacity, 0.0)
        pairs = enumerate_pairs(points, None, size, size)
        alpha = model.evaluate(footprints, pairs)
        return (alpha * g[pairs.pixel]).sum(), (footprints, pairs, alpha, g[pairs.pixel])

    arguments = [points, S, np.array([opacity])]
    _, (footprints, pairs, alpha, grad) = loss(*arguments)
    ours = model.finish(footprints, model.sums(footprints, pairs, alpha, grad))
    theirs = []
    for k, value in enumerate(arguments):
        numeric = np.zeros(value.size)
        for i in range(value.size):
            step = np.zeros(value.size)
            step[i] = 1e-6
            moved = [
                loss(*arguments[:k], value + sign * step.reshape(value.shape), *arguments[k + 1 :])
                for sign in (1, -1)
            ]
            numeric[i] = (moved[0][0] - moved[1][0]) / 2e-6
        theirs.append(numeric.reshape(value.shape))
    return ours, theirs


SHAPES = [(2.0, 0.7, 25), (2.0, 0.7, 0), (2.0, 0.7, 90), (0.5, 0.3, -60), (0.12, 0.1, 10)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("model", MODELS[:4], ids=str)
def test_gradients(model, shape):
    if isinstance(model, Point) and model.dilation == 0 and shape[0] < 0.2:
        pytest.skip("point samples of so small a Gaussian vanish")
    for ours, theirs in zip(*derivatives(model, covariance(*shape)), strict=True):
        assert np.max(np.abs(ours - theirs)) <= 1e-6 * np.max(np.abs(theirs))


def test_damping_matters_near_isotropy_only():
    clear = covariance(2.0, 1.0, 25)
    plain, damped = (derivatives(m, clear)[0][1] for m in (Analytic(0.0), Analytic(0.02)))
    assert np.max(np.abs(plain - damped)) < 0.01 * np.max(np.abs(plain))
    for sigma in (0.05, 1.0, 20.0):
        ours, _ = derivatives(Analytic(), covariance(sigma, sigma, 0))
        assert all(np.all(np.isfinite(g)) for g in ours)


def test_vanishing_axes():
    """Below the smallest eigenvalue the opacity does not change, and has no gradient."""
    for S in ([[4.0, 0.0, 1e-10]], [[1e-10, 0.0, 1e-10]]):
        ours, _ = derivatives(Analytic(), np.array(S))
        assert np.all(ours[1][0, 2] == 0)
        assert (ours[1][0, 0] == 0) == (S[0][0] < 1)


@pytest.mark.parametrize("bad", [-1, np.nan, "x", None])
def test_bad_numbers(bad):
    with pytest.raises(ValueError, match="^dilation"):
        Point(bad)
    with pytest.raises(ValueError, match="^damping"):
        Analytic(bad)
