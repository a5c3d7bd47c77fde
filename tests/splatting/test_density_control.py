"""Density control: what is cloned, split and dropped, and that the optimiser follows."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from gaussbook.arrays import generator, to_host
from gaussbook.optim import Adam
from gaussbook.splatting import DensityControl, fibonacci_hemisphere, initialise
from gaussbook.splatting.density_control import scene_extent
from gaussbook.splatting.projection import covariances
from gaussbook.splatting.render import render_forward

from .problems import camera, gaussians


class HostGenerator:
    def __init__(self, xp):
        self.xp, self.host = xp, np.random.default_rng(0)

    def standard_normal(self, shape):
        return self.xp.asarray(self.host.standard_normal(shape))


def control(xp=np, **options):
    return DensityControl(30_000, 10.0, HostGenerator(xp), **options)


def watched(xp, gradients, radii=None, visible=None):
    """Return screen gradients of given length in normalised coordinates, and a state."""
    n = len(gradients)
    screen = np.stack([np.array(gradients) / 32, np.zeros(n)], axis=1)
    radii = np.ones(n) if radii is None else np.array(radii)
    visible = np.ones(n, dtype=bool) if visible is None else np.array(visible)
    view = SimpleNamespace(width=64, height=20)
    state = SimpleNamespace(
        camera=view, visible=xp.asarray(visible), radii=xp.asarray(radii, dtype=xp.float64)
    )
    return xp.asarray(screen), state


def scene(xp=np, n=4):
    p = gaussians(n, seed=3) | {"background": np.zeros(3)}
    p["log_scales"] = np.log(np.full((n, 3), 0.05))  # 0.005 of the extent: small
    p["log_scales"][1] = np.log([0.5, 0.2, 0.1])  # large
    p["opacity_logits"] = np.zeros(n)
    return {name: xp.asarray(value) for name, value in p.items()}


def stepped(xp, p):
    """Return Adam after one step whose gradients tell the rows apart."""
    adam = Adam(1e-12)
    n = p["means"].shape[0]
    rows = {k: v for k, v in p.items() if k != "background"}
    gradients = {
        name: xp.ones_like(value)
        * xp.reshape(xp.arange(1.0, n + 1, dtype=value.dtype), (n,) + (1,) * (value.ndim - 1))
        for name, value in rows.items()
    }
    adam.step(rows, gradients)
    return adam


def first_moments(adam, name="means"):
    return to_host(adam._means[name][0])[:, 0] / (1 - adam.beta1)


def test_clone_split_and_drop(xp):
    p = scene(xp)
    p["opacity_logits"] = xp.asarray(np.array([0.0, 0.0, -6.0, 0.0]))  # the third is transparent
    adam, c = stepped(xp, p), control(xp)
    c.observe(*watched(xp, [3e-4, 3e-4, 0.0, 1e-4]))
    assert c.step(598, p, adam) is not p
    assert c.history == []  # not yet
    q = c.step(599, p, adam)
    event = c.history[0]
    assert (event.cloned, event.split, event.pruned, event.total) == (1, 1, 1, 5)
    # kept: 0 and 3; then the clone of 0, then two halves of 1
    for name in ("quaternions", "colors", "opacity_logits"):
        np.testing.assert_array_equal(to_host(q[name]), to_host(p[name])[[0, 3, 0, 1, 1]])
    means, old = to_host(q["means"]), to_host(p["means"])
    np.testing.assert_array_equal(means[:3], old[[0, 3, 0]])
    assert np.all(means[3] != old[1]) and np.all(means[3] != means[4])
    halved = to_host(p["log_scales"])[[1, 1]] - math.log(1.6)
    np.testing.assert_allclose(to_host(q["log_scales"])[3:], halved)
    np.testing.assert_allclose(first_moments(adam), [1, 4, 0, 0, 0])
    np.testing.assert_array_equal(to_host(q["background"]), 0)


def test_halves_are_samples_of_the_whole():
    p, n = scene(n=2), 4000
    p = {k: v if k == "background" else np.repeat(v[1:2], n, axis=0) for k, v in p.items()}
    adam, c = stepped(np, p), control(threshold=lambda iteration: 1e-3)
    c.observe(*watched(np, [2e-3] * n))
    q = c.step(999, p, adam)
    assert q["means"].shape == (2 * n, 3)
    expected = covariances(p["log_scales"][:1], p["quaternions"][:1])[0]
    sampled = np.cov((q["means"] - p["means"][0]).T)
    np.testing.assert_allclose(sampled, expected, atol=0.05 * np.max(expected))


def test_mean_over_the_views_that_saw_it():
    p = scene()
    adam, c = stepped(np, p), control()
    c.observe(*watched(np, [3e-4, 0, 3e-4, 0], visible=[1, 1, 1, 0]))
    c.observe(*watched(np, [9.0, 0, 0, 9.0], visible=[0, 1, 1, 0]))
    q = c.step(599, p, adam)
    assert c.history[0].cloned == 1  # 0: mean 3e-4 of one view; 2: 1.5e-4; 3 was never seen
    np.testing.assert_array_equal(q["means"][-1], p["means"][0])


def test_capacity():
    p = scene(n=6)
    adam, c = stepped(np, p), control(capacity=8)
    c.observe(*watched(np, [3e-4, 9e-4, 1e-5, 5e-4, 8e-4, 7e-4]))
    q = c.step(599, p, adam)
    assert q["means"].shape[0] == 8
    np.testing.assert_array_equal(q["means"][-3], p["means"][4])  # the clone; halves of 1 follow


def test_reset_and_large_ones(xp):
    p = scene(xp)
    adam, c = stepped(xp, p), control(xp, every=3000)
    radii = [1.0, 1.0, 25.0, 1.0]
    p["log_scales"] = xp.asarray(np.log([[0.05] * 3, [1.1, 0.1, 0.1], [0.05] * 3, [0.05] * 3]))
    c.observe(*watched(xp, [0.0] * 4, radii))
    q = c.step(2999, p, adam)
    assert c.history[0].total == 4  # large ones are dropped after a reset only
    opacity = 1 / (1 + np.exp(-to_host(q["opacity_logits"])))
    np.testing.assert_allclose(opacity, 0.01)
    assert np.all(to_host(adam._means["opacity_logits"][0]) == 0)
    np.testing.assert_allclose(first_moments(adam), [1, 2, 3, 4])
    c.observe(*watched(xp, [0.0] * 4, radii))
    q = c.step(5999, q, adam)
    assert (c.history[1].pruned, c.history[1].total) == (2, 2)
    np.testing.assert_allclose(first_moments(adam), [1, 4])


def test_after_the_last_iteration():
    p = scene()
    c = control()
    c.observe(*watched(np, [1.0] * 4))
    assert c.step(15_099, p, None)["means"].shape[0] == 4


def test_intervals_of_a_short_run():
    c = DensityControl(3000, 1.0, generator(0))
    assert (c.every, c.first, c.last, c.reset_every) == (10, 50, 1500, 300)
    c = DensityControl(300, 1.0, generator(0))
    assert (c.every, c.first, c.last, c.reset_every) == (10, 5, 150, 200)
    assert DensityControl(300, 1.0, generator(0), reset_every=50).reset_every == 50


def test_observing_a_rendering():
    p, view = gaussians(20), camera()
    _, state = render_forward(p, view)
    largest = [
        3 * np.sqrt(np.linalg.eigvalsh([[a, b], [b, d]])[1])
        for a, b, d in state.projection.covariances
    ]
    np.testing.assert_allclose(state.radii, np.where(state.visible, largest, 0))
    c = DensityControl(100, 1.0, generator(0))
    c.observe(np.ones((20, 2)), state)
    with pytest.raises(ValueError, match="^screen must have 20 rows"):
        c.observe(np.ones((10, 2)), render_forward(gaussians(10), view)[1])


def test_initialise(xp):
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)
    rgb = np.random.default_rng(0).uniform(size=grid.shape)
    p = initialise(xp.asarray(grid), xp.asarray(rgb), opacity=0.2)
    np.testing.assert_allclose(to_host(p["log_scales"]), 0)  # three neighbours at distance 1
    np.testing.assert_allclose(1 / (1 + np.exp(-to_host(p["opacity_logits"]))), 0.2)
    np.testing.assert_array_equal(to_host(p["colors"]), rgb)
    sh = to_host(initialise(xp.asarray(grid), xp.asarray(rgb), sh_degree=2)["sh"])
    assert sh.shape == (64, 9, 3)
    assert np.all(sh[:, 1:] == 0)
    two = initialise(xp.asarray(grid[:2]), xp.asarray(rgb[:2]))
    assert np.all(np.isfinite(to_host(two["log_scales"])))


def test_coincident_points():
    p = initialise(np.zeros((5, 3)), np.zeros((5, 3)))
    assert np.all(np.isfinite(p["log_scales"]))


def test_scene_extent():
    cameras = fibonacci_hemisphere(50, radius=3.0, elevation=(0, 0))
    assert scene_extent(cameras) == pytest.approx(3.3, rel=0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", 0),
        ("extent", 0),
        ("threshold", -1),
        ("every", 0),
        ("reset_every", 0),
        ("first", -1),
        ("last", 1.5),
        ("dense", np.nan),
        ("smallest_opacity", -1),
        ("smallest_opacity", 1.0),
        ("largest_radius", 0),
        ("largest_scale", "x"),
        ("capacity", 0),
    ],
)
def test_bad_options(name, value):
    good = {"iterations": 100, "extent": 1.0, "rng": generator(0)}
    with pytest.raises(ValueError, match=f"^{name} "):
        DensityControl(**good | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points", np.zeros((1, 3))),
        ("points", np.full((4, 3), np.nan)),
        ("points", "x"),
        ("colors", np.zeros((3, 3))),
        ("opacity", 1.0),
        ("sh_degree", 4),
    ],
)
def test_bad_points(name, value):
    good = {"points": np.random.default_rng(0).normal(size=(4, 3)), "colors": np.zeros((4, 3))}
    with pytest.raises(ValueError, match=f"^{name} "):
        initialise(**good | {name: value})


@pytest.mark.parametrize("cameras", [[], [fibonacci_hemisphere(1)[0]] * 3])
def test_bad_cameras(cameras):
    with pytest.raises(ValueError, match="^cameras "):
        scene_extent(cameras)
