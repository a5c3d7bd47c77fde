"""Losses of images: closed forms, scikit-image as oracle, finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve1d
from skimage import metrics

from gaussbook import autodiff as ad
from gaussbook.arrays import to_host
from gaussbook.splatting.losses import (
    _window,
    photometric,
    photometric_loss,
    ssim_and_gradient,
    structural_similarity,
)


def pair(*shape, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    target = rng.random(shape)
    return target + noise * rng.normal(size=shape), target


def slope(function, x, direction, step=1e-5):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


def test_scikit_image_agrees_inside():
    image, target = pair(40, 33, 2)
    _, expected = metrics.structural_similarity(
        *(image, target),
        **{"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
        **{"data_range": 1.0, "channel_axis": 2, "full": True},
    )
    np.testing.assert_allclose(_map(image, target)[5:-5, 5:-5], expected[5:-5, 5:-5], rtol=1e-10)


def _map(x, y):
    """Return the index at each pixel, by SciPy's convolutions."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()

    def blurred(a):
        for axis in (0, 1):
            a = convolve1d(a, weights, axis=axis, mode="constant")
        return a

    mx, my = blurred(x), blurred(y)
    vx, vy, c = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    top = (2 * mx * my + 1e-4) * (2 * c + 9e-4)
    return top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))


@pytest.mark.parametrize("shape", [(40, 33, 3), (7, 12, 1), (1, 1, 2), (3, 64, 5)])
def test_mean_of_the_map(shape):
    image, target = pair(*shape)
    assert float(structural_similarity(image, target)) == pytest.approx(
        _map(image, target).mean(), rel=1e-12
    )


def test_constant_image_far_from_the_edges():
    """Without variance only the luminance factor is left."""
    x, y = np.full((31, 31, 1), 0.4), np.full((31, 31, 1), 0.5)
    assert _map(x, y)[15, 15, 0] == pytest.approx((0.4 + 1e-4) / (0.16 + 0.25 + 1e-4))
    assert float(structural_similarity(x, y)) == pytest.approx(_map(x, y).mean(), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 16),
    width=st.integers(1, 16),
    seed=st.integers(0, 10**6),
    noise=st.floats(0.01, 2),
)
def test_symmetric_below_one_and_one_for_itself(height, width, seed, noise):
    image, target = pair(height, width, 3, seed=seed, noise=noise)
    index = float(structural_similarity(image, target))
    assert float(structural_similarity(target, target)) == pytest.approx(1, abs=1e-12)
    assert index < 1
    assert index == pytest.approx(float(structural_similarity(target, image)), abs=1e-12)
    turned = structural_similarity(image[::-1, ::-1], target[::-1, ::-1])
    assert index == pytest.approx(float(turned), abs=1e-12)


@pytest.mark.parametrize("shape", [(14, 17, 3), (6, 5, 2)])
def test_gradient_against_differences(shape):
    image, target = pair(*shape)
    _, gradient = ssim_and_gradient(image, target)
    numeric = np.zeros(image.size)
    for i in range(image.size):
        unit = np.zeros(image.size)
        unit[i] = 1
        numeric[i] = slope(
            lambda x: float(structural_similarity(x, target)), image, unit.reshape(shape)
        )
    error = np.max(np.abs(gradient.ravel() - numeric)) / np.max(np.abs(numeric))
    assert error < 1e-6
    _, at_the_top = ssim_and_gradient(target, target)
    assert np.max(np.abs(at_the_top)) < 1e-12 < np.max(np.abs(gradient))


def test_both_arguments_and_second_derivatives():
    image, target = pair(8, 9, 2)
    direction = np.random.default_rng(1).normal(size=image.shape)
    by_image, by_target = ad.grad(structural_similarity, (0, 1))(image, target)
    np.testing.assert_allclose(by_image, ssim_and_gradient(image, target)[1], atol=1e-15)
    np.testing.assert_allclose(by_target, ssim_and_gradient(target, image)[1], atol=1e-15)
    product = ad.hessian_vector_product(structural_similarity)(image, target, direction)
    expected = slope(lambda x: ssim_and_gradient(x, target)[1], image, direction)
    np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-9)


def test_photometric_loss():
    image, target = pair(12, 13, 3)
    value, gradient = photometric_loss(image, target)
    index = float(structural_similarity(image, target))
    assert value == pytest.approx(0.8 * np.abs(image - target).mean() + 0.2 * (1 - index))
    direction = np.random.default_rng(1).normal(size=image.shape)
    expected = slope(lambda x: photometric_loss(x, target)[0], image, direction, 1e-7)
    assert (gradient * direction).sum() == pytest.approx(expected, rel=1e-5)
    traced_value, traced = ad.value_and_grad(photometric)(image, target)
    assert float(traced_value) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(traced, gradient, atol=1e-16)
    assert photometric_loss(image, target, weight=1)[0] == pytest.approx(1 - index)
    assert photometric_loss(target, target)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_in_every_namespace(xp, dtype):
    image, target = (a.astype(dtype) for a in pair(12, 9, 3))
    value, gradient = photometric_loss(image, target)
    arrays = [xp.asarray(a) for a in (image, target)]
    other, other_gradient = photometric_loss(*arrays)
    assert other == pytest.approx(value, rel=1e-6)
    assert other_gradient.dtype == arrays[0].dtype and gradient.dtype == dtype
    np.testing.assert_allclose(to_host(other_gradient), gradient, atol=1e-8)
    assert float(photometric(*arrays)) == pytest.approx(value, rel=1e-6)
    exact = photometric_loss(image.astype(float), target.astype(float))
    assert value == pytest.approx(exact[0], rel=1e-5)


NONSENSE = {
    "None": None,
    "text": "abc",
    "NaN": float("nan"),
    "number": 0.5,
    "empty": [],
    "empty array": np.zeros((0, 4, 3)),
    "ragged": [[1.0], [1.0, 2.0]],
    "array with NaN": np.full((6, 5, 3), np.nan),
    "another size": np.ones((6, 4, 3)),
    "matrix": np.ones((6, 5)),
    "complex": np.ones((6, 5, 3), dtype=complex),
    "single precision": np.ones((6, 5, 3), dtype=np.float32),
    "objects": np.array([object()]),
    "dictionary": {"a": 1},
}


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize("argument", ["image", "target"])
@pytest.mark.parametrize("function", [photometric_loss, ssim_and_gradient, structural_similarity])
def test_nonsense(function, argument, kind):
    good = dict(zip(("image", "target"), pair(6, 5, 3), strict=True))
    with pytest.raises(ValueError, match="^(image|target) "):
        function(**good | {argument: NONSENSE[kind]})


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), "x", None])
def test_bad_weight(weight):
    for function in (photometric, photometric_loss):
        with pytest.raises(ValueError, match="^weight "):
            function(*pair(6, 5, 3), weight=weight)


class TestNoIndexAboveOne:
    """Rounding may not lift the index above 1, in either type or for any level of grey."""

    @settings(max_examples=80, deadline=None)
    @given(
        st.integers(0, 10**6),
        st.sampled_from([np.float32, np.float64]),
        st.floats(0, 1),
        st.sampled_from([0.0, 1e-7, 1e-5, 1e-3, 0.3]),
        st.sampled_from([1.0, 255.0]),
    )
    def test_property(self, seed, dtype, level, noise, peak):
        rng = np.random.default_rng(seed)
        shape = rng.integers(1, 24, 2)
        x = np.clip(level + noise * rng.standard_normal((*shape, 1)), 0, 1)
        y = np.clip(x + noise * rng.standard_normal(x.shape), 0, 1)
        x, y = (peak * v.astype(dtype) for v in (x, y))
        assert float(structural_similarity(x, y)) <= 1
        if peak == 1:  # the constants C1 and C2 are for values in [0, 1]
            assert float(structural_similarity(x, x)) == 1

    def test_of_nearly_equal_bright_images(self, xp):
        y = np.linspace(0.6, 1, 64 * 64).reshape(64, 64, 1)
        x = y - 1e-4 * np.cos(np.arange(64))[:, None, None]
        exact = 1 - float(structural_similarity(x, y))
        single = (xp.asarray(v, dtype=xp.float32) for v in (x, y))
        value = structural_similarity(*single)
        assert float(value) <= 1
        assert 1 - float(value) == pytest.approx(exact, rel=0.05, abs=6e-8)

    def test_equal_images_have_no_slope_in_double_precision(self):
        x = np.random.default_rng(0).random((20, 20, 1))
        value, slope = ssim_and_gradient(x, x)
        assert value == 1
        assert np.max(np.abs(slope)) < 1e-12


def test_windows_stay_where_they_are_used(xp):
    like = xp.zeros((9, 9), dtype=xp.float32)
    assert _window(9, like) is _window(9, like)
    assert _window(9, like).dtype == xp.float32
    assert type(_window(9, like)) is type(like)
