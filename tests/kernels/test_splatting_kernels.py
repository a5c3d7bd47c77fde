"""``splatting.cu`` against the list of pairs: on the host always, on a GPU where there is one.

The host runs each kernel through the same code that would launch it on a GPU.  All of them take
part: project, project_pullback, emit_keys, tile_ranges, and blend_* with blend_pullback_*.
"""

import numpy as np
import pytest

from gaussbook import kernels
from gaussbook.splatting import (
    Analytic,
    Camera,
    Mip,
    Point,
    RenderOptions,
    launch,
    look_at,
    render_backward,
    render_forward,
)
from gaussbook.splatting.compositing import Blend

MODELS = {"point": [Point(), Mip()], "analytic": [Analytic()]}
# channels of the image besides the three colours -> the kernels that blend them
KERNELS = {
    (0, False): ("blend_point_5", "blend_pullback_point_5"),
    (0, True): ("blend_point_8", "blend_pullback_point_8"),
    (5, True): ("blend_point_16", "blend_pullback_point_16"),
}
ANALYTIC_KERNELS = {
    (0, False): ("blend_analytic_5", "blend_pullback_analytic_5"),
    (0, True): ("blend_analytic_8", "blend_pullback_analytic_8"),
    (5, True): ("blend_analytic_16", "blend_pullback_analytic_16"),
}
PER_GAUSSIAN = ("project", "emit_keys", "tile_ranges", "project_pullback")
CASES = [
    (model, extra, normals, names)
    for family, table in (("point", KERNELS), ("analytic", ANALYTIC_KERNELS))
    for (extra, normals), names in table.items()
    for model in MODELS[family]
]


def problem(n, extra=0, seed=0, opacity=1.0):
    rng = np.random.default_rng(seed)
    parameters = {
        "means": 0.4 * rng.normal(size=(n, 3)),
        "log_scales": np.log(rng.uniform(0.03, 0.2, size=(n, 3))),
        "quaternions": rng.normal(size=(n, 4)),
        "opacity_logits": rng.normal(size=n) + opacity,
        "colors": rng.uniform(size=(n, 3)),
        "background": rng.uniform(size=3),
    }
    if extra:
        parameters["extra"] = rng.normal(size=(n, extra))
    return {name: value.astype(np.float32) for name, value in parameters.items()}


def view(width=20, height=18):
    camera = look_at((1.6, 1.0, 1.0), (0.0, 0.0, 0.0))
    return Camera(camera.R, camera.t, 24.0, 22.0, 9.0, 10.0, width, height)


def run(parameters, camera, options):
    rendering, state = render_forward(parameters, camera, options)
    rng = np.random.default_rng(1)
    xp = launch.namespace(parameters["means"])
    grads = [xp.asarray(rng.normal(size=a.shape).astype(np.float32)) for a in rendering]
    return rendering, state, *render_backward(state, *grads)


def agree(ours, theirs):
    """Tolerances of the golden tests: 1e-4 for images, 1e-3 in the norm for gradients."""
    rendering, state, gradients, screen = ours
    expected, reference, expected_gradients, expected_screen = theirs
    assert isinstance(state.blend, launch.TileBlend) and isinstance(reference.blend, Blend)
    assert np.mean(expected.alpha) > 0.05
    for a, b in zip(rendering, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    pairs = [(gradients[name], expected_gradients[name], name) for name in expected_gradients]
    for a, b, name in [*pairs, (screen, expected_screen, "screen")]:
        error = np.linalg.norm(np.asarray(a, dtype=np.float64) - b) / np.linalg.norm(b)
        assert error <= 1e-3, (name, error)


class Recorder:
    """What `kernels.load` returns on a GPU, with the host in its place."""

    def __init__(self, host, reverse):
        self.host, self.reverse, self.launched = host, reverse, []

    def get_function(self, kernel):
        def launched(grid, block, arguments):
            self.launched.append(kernel)
            self.host.launch(kernel, grid, block, arguments, reverse=self.reverse)

        return launched


@pytest.fixture
def on_host(host_module, monkeypatch):
    """Return a function that renders NumPy arrays by the kernels, and tells which of them ran."""

    def call(*problem, reverse=False):
        recorder = Recorder(host_module("splatting"), reverse)
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "load", lambda name: recorder)
            patch.setattr(launch, "is_cupy_array", lambda x: True)
            return run(*problem), recorder.launched

    return call


def doubles(parameters):
    return {name: value.astype(np.float64) for name, value in parameters.items()}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("model", "extra", "normals", "names"), CASES)
def test_host_run_equals_the_pair_list(on_host, model, extra, normals, names, reverse):
    parameters, options = problem(25, extra), RenderOptions(model, normals=normals)
    ours, launched = on_host(parameters, view(), options, reverse=reverse)
    assert set(launched) == {*PER_GAUSSIAN, *names}
    agree(ours, run(doubles(parameters), view(), options))


def test_more_than_a_batch_in_a_tile(on_host):
    parameters, options = problem(300, opacity=-2.5), RenderOptions(cutoff=0.0, stop=0.0)
    camera = look_at((1.6, 1.0, 1.0), (0.0, 0.0, 0.0), width=16)
    ours, _ = on_host(parameters, camera, options)
    agree(ours, run(doubles(parameters), camera, options))


def test_opaque_splats(on_host):
    """The cap, and the stop before the transmittance is used up."""
    parameters, options = problem(120, opacity=4.0), RenderOptions()
    parameters["log_scales"] += 0.5
    ours, _ = on_host(parameters, view(16, 16), options)
    theirs = run(doubles(parameters), view(16, 16), options)
    assert theirs[1].blend.kept is not None and not np.all(theirs[1].blend.kept)
    assert np.max(theirs[1].blend.raw) > 0.99
    agree(ours, theirs)


def test_clamped_gaussians(on_host):
    parameters, camera = problem(10), view()
    beside = np.array([[1.2, 0.1, 1.0], [-0.2, 1.0, 0.9], [-1.0, -0.9, 0.8]])
    parameters["means"][:3] = (beside - camera.t) @ camera.R
    parameters["log_scales"][:3] = np.log([0.4, 0.3, 0.5])
    ours, _ = on_host(parameters, camera, RenderOptions())
    theirs = run(doubles(parameters), camera, RenderOptions())
    assert theirs[1].projection.geometry.inside[:, :3].T.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert np.all(theirs[3][:3] != 0)
    agree(ours, theirs)


def test_nothing_to_see(on_host):
    parameters = problem(5)
    parameters["means"] += 100
    (rendering, _, gradients, screen), _ = on_host(parameters, view(), RenderOptions())
    np.testing.assert_allclose(rendering.image[0, 0], parameters["background"])
    assert np.all(screen == 0) and np.all(gradients["means"] == 0)


@pytest.mark.gpu
@pytest.mark.parametrize(("model", "extra", "normals", "names"), CASES)
def test_device_run_equals_the_pair_list(gpu, model, extra, normals, names):
    parameters, options = problem(2000, extra), RenderOptions(model, normals=normals)
    parameters["log_scales"] -= 1.0
    on_device = {name: gpu.asarray(value) for name, value in parameters.items()}
    camera = look_at((1.6, 1.0, 1.0), (0.0, 0.0, 0.0), width=200)
    rendering, state, gradients, screen = run(on_device, camera, options)
    gradients = {name: gradient.get() for name, gradient in gradients.items()}
    ours = [array.get() for array in rendering], state, gradients, screen.get()
    agree(ours, run(doubles(parameters), camera, options))
