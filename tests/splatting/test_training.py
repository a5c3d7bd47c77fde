"""Fitting: a photograph, a small scene, and arguments that do not fit."""

import numpy as np
import pytest
from skimage import data, transform

from gaussbook.arrays import generator, to_host
from gaussbook.splatting import (
    Camera,
    DensityControl,
    RenderOptions,
    fibonacci_hemisphere,
    fit,
    initialise,
    photometric_loss,
    render,
)
from gaussbook.splatting.training import mean_absolute_error

from .problems import gaussians


def psnr(image, target):
    return -10 * np.log10(np.mean((np.clip(image, 0, 1) - target) ** 2))


def test_photograph():
    photograph = transform.resize(data.camera() / 255.0, (64, 64), anti_aliasing=True)
    photograph = np.repeat(photograph[:, :, None], 3, axis=2)
    camera = Camera(np.eye(3), np.zeros(3), 64, 64, 32, 32, 64, 64)
    rng = generator(0)
    x = (np.arange(20) + 0.5) / 20 - 0.5
    points = np.stack([*(a.ravel() for a in np.meshgrid(x, x)), np.ones(400)], axis=1)
    points[:, 2] += 1e-3 * rng.standard_normal(400)
    first = initialise(points, np.full((400, 3), 0.5), opacity=0.5)
    fitted = fit(
        *(first, [camera], [photograph]),
        **{"iterations": 300, "rng": rng, "extent": 1.0, "rates": {"colors": 0.02}},
    )
    assert psnr(render(first, camera).image, photograph) < 15
    assert psnr(render(fitted.parameters, camera).image, photograph) >= 20
    assert len(fitted.losses) == 300


@pytest.fixture(scope="module")
def views():
    truth = gaussians(60, seed=1, spread=0.25, scales=(0.04, 0.12))
    cameras = fibonacci_hemisphere(6, width=24)
    return cameras, [render(truth, camera).image for camera in cameras]


def start(n=30, sh_degree=None):
    rng = np.random.default_rng(0)
    return initialise(0.3 * rng.normal(size=(n, 3)), np.full((n, 3), 0.5), sh_degree=sh_degree)


def test_same_in_every_namespace(views, xp):
    cameras, images = views
    parameters = gaussians(5, seed=2, sh=1, spread=0.25)
    arrays = {name: xp.asarray(value) for name, value in parameters.items()}
    seen = [xp.asarray(image) for image in images]
    for loss in (mean_absolute_error, photometric_loss):
        rule = {"iterations": 2, "loss": loss}
        ours = fit(arrays, cameras, seen, rng=generator(0), **rule)
        theirs = fit(parameters, cameras, images, rng=generator(0), **rule)
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-10)
        for name, value in theirs.parameters.items():
            np.testing.assert_allclose(to_host(ours.parameters[name]), value, atol=1e-8)


def test_a_scene_that_grows(views):
    cameras, images = views
    density = DensityControl(120, 3.0, generator(1), threshold=1e-4, last=100, capacity=80)
    first = start()
    fitted = fit(first, cameras, images, iterations=120, rng=generator(0), density=density)
    assert np.mean(fitted.losses[-6:]) < 0.5 * np.mean(fitted.losses[:6])
    assert fitted.counts[-1] == density.history[-1].total
    assert max(fitted.counts) > 30
    assert max(fitted.counts) <= 80
    again = DensityControl(120, 3.0, generator(1), threshold=1e-4, last=100, capacity=80)
    twin = fit(first, cameras, images, iterations=120, rng=generator(0), density=again)
    assert twin.losses == fitted.losses


def test_harmonics_wait_for_their_turn(views):
    cameras, images = views
    fitted = fit(
        *(start(sh_degree=2), cameras, images),
        **{"iterations": 12, "rng": generator(0), "sh_interval": 6},
    )
    sh = fitted.parameters["sh"]
    assert np.all(sh[:, 4:] == 0)
    assert (
        0 < np.max(np.abs(sh[:, 1:4])) < 0.1 * np.max(np.abs(sh[:, 0] - start(sh_degree=0)["sh"]))
    )


def test_reparametrised(views):
    """Scales times a learned factor: the same first step as that of the scales themselves."""
    cameras, images = views
    seen = []

    def reparametrise(p):
        seen.append(p["shape"])
        drawn = {name: value for name, value in p.items() if name != "shape"}
        drawn["log_scales"] = drawn["log_scales"] + p["shape"][:, None]
        return drawn, lambda g: g | {"shape": g["log_scales"].sum(axis=1)}

    first = start() | {"shape": np.zeros(30)}
    fitted = fit(
        *(first, cameras, images),
        **{"iterations": 3, "rng": generator(0), "order": [2, 2, 0], "rates": {"shape": 0.01}},
        reparametrise=reparametrise,
    )
    assert len(seen) == 3 and np.all(seen[0] == 0)
    np.testing.assert_allclose(np.abs(seen[1]), 0.01, rtol=1e-3)  # Adam's first step
    rendered, _ = reparametrise(first)
    value, _ = mean_absolute_error(render(rendered, cameras[2]).image, images[2])
    assert fitted.losses[0] == value


def test_loss():
    rng = np.random.default_rng(0)
    x, y, d = rng.normal(size=(3, 4, 5, 3))
    value, gradient = mean_absolute_error(x, y)
    assert value == np.mean(np.abs(x - y))
    change = mean_absolute_error(x + 1e-9 * d, y)[0] - value
    assert (gradient * d).sum() == pytest.approx(change / 1e-9, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", 0),
        ("images", []),
        ("order", [0]),
        ("order", [0, 6]),
        ("order", [0, "x"]),
        ("extent", -1.0),
        ("rates", {"color": 1.0}),
        ("sh_interval", 0),
        ("parameters", {"means": 1, "weights": 2}),
        ("options", "x"),
    ],
)
def test_bad_arguments(views, name, value):
    good = {"parameters": start(), "cameras": views[0], "images": views[1]}
    good |= {"iterations": 2, "rng": generator(0), "options": RenderOptions()}
    with pytest.raises(ValueError, match=f"^{name} "):
        fit(**good | {name: value})


def test_images_of_another_shape_are_not_broadcast():
    with pytest.raises(ValueError, match="^target must have shape"):
        mean_absolute_error(np.ones((2, 2, 3)), np.ones((2, 2, 1)))
