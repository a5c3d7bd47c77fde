"""The renderer: closed forms, invariances, finite differences, and a loop over pixels."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gaussbook import autodiff as ad
from gaussbook.arrays import to_host
from gaussbook.splatting import (
    Analytic,
    Camera,
    Mip,
    Point,
    RenderOptions,
    render,
    render_backward,
    render_forward,
)

from .problems import (
    FULL,
    camera,
    cotangents,
    difference_errors,
    gaussians,
    naive_image,
    on_axis,
    straight,
    together,
)

MODELS = [Point(), Point(0.0), Mip(), Analytic(damping=0.0)]
EVERYTHING = {"sh": 3, "extra": 2, "background": 3}


def images(parameters, view=None, **options):
    return render(parameters, view or camera(48, 36, 60.0, 64.0, 22, 19), RenderOptions(**options))


def close(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_one_gaussian_on_the_axis():
    view = straight()
    drawn = images(on_axis(), view, **FULL)
    variance = (60 * 0.1 / 2) ** 2 + 0.3
    x = np.arange(65) + 0.5 - 32.5
    expected = 0.7 * np.exp(-(x[:, None] ** 2 + x**2) / (2 * variance))
    np.testing.assert_allclose(drawn.alpha, expected, atol=1e-14)
    np.testing.assert_allclose(drawn.depth, 2 * expected, atol=1e-14)
    np.testing.assert_allclose(drawn.image[:, :, 2], 0.9 * expected, atol=1e-14)
    assert drawn.alpha.sum() == pytest.approx(2 * np.pi * variance * 0.7, rel=1e-6)


def test_the_cut_off():
    view = straight()
    full, cut = images(on_axis(), view, **FULL).alpha, images(on_axis(), view).alpha
    np.testing.assert_allclose(cut, np.where(full >= 1 / 255, full, 0), atol=1e-14)
    assert 0 < np.mean(cut == 0) < 1


def test_two_layers_are_ordered_by_depth():
    view = straight()
    near, far = on_axis(z=2.0, color=(1.0, 0.2, 0.0)), on_axis(z=3.0, x=0.1, color=(0.0, 0.3, 1.0))
    background = (0.1, 0.2, 0.3)
    a1, a2 = images(near, view).alpha[:, :, None], images(far, view).alpha[:, :, None]
    c1, c2 = near["colors"][0], far["colors"][0]
    expected = a1 * c1 + (1 - a1) * a2 * c2 + (1 - a1) * (1 - a2) * np.array(background)
    for parts in ((near, far), (far, near)):
        drawn = images(together(*parts), view, background=background)
        np.testing.assert_allclose(drawn.image, expected, atol=1e-12)


def test_rigid_motion_of_everything():
    p, view = gaussians(60), camera(48, 36, 60.0, 64.0, 22, 19)
    motion = Rotation.from_rotvec([0.3, -1.1, 0.7])
    shift = np.array([1.0, -2.0, 0.5])
    x, y, z, w = (motion * Rotation.from_quat(p["quaternions"][:, [1, 2, 3, 0]])).as_quat().T
    moved = p | {
        "means": motion.apply(p["means"]) + shift,
        "quaternions": np.stack([w, x, y, z], axis=1),
    }
    R = view.R @ motion.as_matrix().T
    moved_view = Camera(R, view.t - R @ shift, 60.0, 64.0, 22, 19, 48, 36)
    close(images(moved, moved_view), images(p, view), 1e-10)


def test_quaternions_count_by_direction():
    p, view = gaussians(30), camera()
    plain = images(p, view)
    for factor in (-1, 3):
        close(images(p | {"quaternions": factor * p["quaternions"]}, view), plain, 1e-12)
    rendering, state = render_forward(p, view)
    gradients, _ = render_backward(state, *cotangents(rendering))
    q = p["quaternions"]
    radial = (q * gradients["quaternions"]).sum(axis=1)
    assert np.max(np.abs(radial)) < 1e-12 * np.max(np.abs(gradients["quaternions"]))


def test_the_order_of_the_parameters_does_not_count():
    p, view = gaussians(80), camera()
    index = np.random.default_rng(5).permutation(80)
    close(images({k: v[index] for k, v in p.items()}, view), images(p, view), 1e-12)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_gradients(model):
    p = gaussians(8, scales=(0.1, 0.3), **EVERYTHING) | {"screen_offsets": np.zeros((8, 2))}
    options = RenderOptions(model, normals=True, **FULL)
    for name, error in difference_errors(p, camera(), options).items():
        assert error <= 1e-6, name


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_gradients_of_a_clamped_gaussian(model):
    p = gaussians(8, scales=(0.1, 0.3))
    view = camera()
    p["means"][0] = view.R.T @ (np.array([0.9, 0.2, 1.0]) - view.t)  # far to the right
    p["log_scales"][0] = np.log([0.3, 0.5, 0.4])
    p["opacity_logits"][0] = 3.0
    _, state = render_forward(p, view)
    assert state.projection.geometry.inside[:, 0].tolist() == [False, True]
    for name, error in difference_errors(p, view, RenderOptions(model, **FULL)).items():
        assert error <= 1e-6, name


def test_gradients_with_cut_offs():
    """The cut-offs move no gradient where they are not crossed."""
    p = gaussians(8, scales=(0.1, 0.3))
    p["opacity_logits"][:4] = 8.0  # capped in the middle
    errors = difference_errors(p, camera(), RenderOptions(), step=1e-8)
    assert max(errors.values()) < 1e-5


def test_gradient_of_the_background():
    p = gaussians(30, background=3)
    rendering, state = render_forward(p, camera())
    grad = np.random.default_rng(0).normal(size=rendering.image.shape)
    gradients, _ = render_backward(state, grad)
    expected = ((1 - rendering.alpha)[:, :, None] * grad).sum(axis=(0, 1))
    np.testing.assert_allclose(gradients["background"], expected, rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_against_a_loop(seed):
    p, view = gaussians(100, seed=seed, scales=(0.05, 0.4)), camera(24, 18, 28.0, 30.0, 11.0, 9.5)
    p["opacity_logits"] += 1.5
    ours, theirs = images(p, view), naive_image(p, view)
    close(ours, theirs, 1e-10)
    unstopped = images(p, view, stop=0.0)
    assert np.max(np.abs(unstopped.alpha - ours.alpha)) > 1e-6  # the stop was met
    assert np.max(naive_image(p, view, dilation=0.0)[0] - theirs[0]) > 1e-3


def test_extra_channels_are_colours():
    p = gaussians(40)
    with_extra = images(p | {"extra": p["colors"][:, ::-1].copy()})
    np.testing.assert_allclose(with_extra.image[:, :, 3:], with_extra.image[:, :, 2::-1])
    assert images(p, normals=True).image.shape == (36, 48, 6)


def test_degree_of_the_harmonics():
    p = gaussians(20, sh=3)
    short = p | {"sh": p["sh"][:, :4]}
    close(images(p, sh_degree=1), images(short), 1e-14)
    close(images(short, sh_degree=3), images(short), 1e-14)
    _, state = render_forward(p, camera(), RenderOptions(sh_degree=1))
    gradients, _ = render_backward(state, np.ones((12, 16, 3)))
    assert np.all(gradients["sh"][:, 4:] == 0) and np.any(gradients["sh"][:, :4] != 0)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_autodiff(model):
    p, view = gaussians(12, extra=1), camera()
    options = RenderOptions(model)
    rendering, state = render_forward(p, view, options)
    expected, _ = render_backward(state, *cotangents(rendering))

    def output(k, name):
        return lambda x: render(p | {name: x}, view, options)[k]

    for name in p:
        total = 0.0
        for k, grad in enumerate(cotangents(rendering)):
            value, pullback = ad.vjp(output(k, name), p[name])
            np.testing.assert_array_equal(value, rendering[k])
            total = total + pullback(grad)
        np.testing.assert_allclose(total, expected[name], rtol=1e-9, atol=1e-12)


def test_something_in_front(xp):
    """Gradients of a loss of a rendering of parameters that are made of others."""
    p, view = gaussians(12), camera()
    target = xp.asarray(np.random.default_rng(0).uniform(size=(12, 16, 3)))
    names = ("quaternions", "opacity_logits", "colors")
    fixed = {name: xp.asarray(p[name]) for name in names}

    def loss(shared):
        made = {"means": 2.0 * ad.tanh(shared["means"]), "log_scales": shared["means"] - 2.5}
        rendering = render(made | fixed, view)
        return ad.sum((rendering.image - target) ** 2) + ad.sum(rendering.depth)

    value, gradient = ad.value_and_grad(loss)({"means": xp.asarray(p["means"])})
    step = 1e-6 * np.random.default_rng(1).normal(size=(12, 3))
    ahead, behind = (float(loss({"means": xp.asarray(p["means"] + s * step)})) for s in (1, -1))
    change = float(np.sum(to_host(gradient["means"]) * step))
    assert change == pytest.approx((ahead - behind) / 2, rel=1e-5)
    assert float(value) == pytest.approx((ahead + behind) / 2, rel=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_same_in_every_namespace(xp, model):
    p, view = gaussians(40, **EVERYTHING), camera()
    options = RenderOptions(model, normals=True)
    rendering, state = render_forward(p, view, options)
    grads = cotangents(rendering)
    gradients, screen = render_backward(state, *grads)
    arrays = {name: xp.asarray(value) for name, value in p.items()}
    ours, state = render_forward(arrays, view, options)
    close(map(to_host, ours), rendering, 1e-12)
    pulled, ours = render_backward(state, *map(xp.asarray, grads))
    np.testing.assert_allclose(to_host(ours), screen, atol=1e-9)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(to_host(pulled[name]), gradient, atol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_single_precision(model):
    p, view = gaussians(60), camera(48, 36, 60.0, 64.0, 22, 19)
    rendering, state = render_forward(p, view, RenderOptions(model))
    grads = cotangents(rendering)
    gradients, _ = render_backward(state, *grads)
    single = {name: value.astype(np.float32) for name, value in p.items()}
    ours, state = render_forward(single, view, RenderOptions(model))
    assert ours.image.dtype == np.float32
    assert np.mean(np.abs(ours.image - rendering.image)) < 1e-5
    pulled, _ = render_backward(state, *grads)
    for name, gradient in gradients.items():
        assert pulled[name].dtype == np.float32
        assert np.linalg.norm(pulled[name] - gradient) <= 1e-3 * np.linalg.norm(gradient), name


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("shift", [None, (0.0, 0.0, 0.0), (0.0, 0.0, 100.0)])
def test_nothing_to_see(model, shift):
    p, view = gaussians(5, background=3), camera()
    if shift is None:
        p = {k: v if k == "background" else v[:0] for k, v in p.items()}
    else:
        p["means"] = p["means"] * 0.01 + view.position - view.R.T @ np.array(shift)
    rendering, state = render_forward(p, view, RenderOptions(model))
    np.testing.assert_allclose(rendering.image, np.tile(p["background"], (12, 16, 1)))
    gradients, _ = render_backward(state, np.ones((12, 16, 3)))
    assert all(np.all(g == 0) for name, g in gradients.items() if name != "background")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_extremes_stay_finite(model):
    p, view = gaussians(6), camera()
    p["log_scales"][0] = -40.0
    p["log_scales"][1] = 8.0
    p["log_scales"][2] = [-30.0, 2.0, 2.0]
    p["opacity_logits"][3] = 800.0
    p["opacity_logits"][4] = -800.0
    p["means"][5] = view.position + 1e-3
    rendering, state = render_forward(p, view, RenderOptions(model))
    gradients, screen = render_backward(state, *cotangents(rendering))
    assert np.all(np.isfinite(rendering.image)) and np.all(np.isfinite(screen))
    assert all(np.all(np.isfinite(g)) for g in gradients.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("largest", [0.3, 0.6, 0.9, 0.95])
def test_a_capped_opacity_has_no_gradient_in_any_precision(largest, dtype):
    parameters = {name: a.astype(dtype) for name, a in on_axis(opacity=0.97).items()}
    rendering, state = render_forward(
        parameters, straight(1), RenderOptions(largest_alpha=largest, cutoff=0.0)
    )
    np.testing.assert_allclose(rendering.alpha, largest, rtol=1e-6)
    gradients, _ = render_backward(state, np.ones((1, 1, 3), dtype))
    np.testing.assert_array_equal(gradients["opacity_logits"], 0.0)


def test_a_cap_that_single_precision_makes_one_is_refused():
    with pytest.raises(ValueError, match="^largest_alpha must be below 1"):
        RenderOptions(largest_alpha=1 - 1e-9)


def test_no_gaussians_on_one_pixel():
    nothing = {name: a[:0] for name, a in on_axis().items()}
    rendering, state = render_forward(nothing, straight(1))
    np.testing.assert_array_equal(rendering.image, np.zeros((1, 1, 3)))
    gradients, _ = render_backward(state, np.ones((1, 1, 3)))
    assert {name: a.shape for name, a in gradients.items()} == {
        name: a.shape for name, a in nothing.items()
    }
