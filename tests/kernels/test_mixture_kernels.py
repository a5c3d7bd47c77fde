"""``mixture.cu`` against the array path: on the host always, on a GPU where there is one."""

import numpy as np
import pytest

from gaussbook import kernels
from gaussbook.mixture import densities
from gaussbook.mixture.densities import Gaussians
from gaussbook.mixture.launch import posterior_launch

KERNELS = {
    "posterior_diagonal_float32": (False, np.float32),
    "posterior_diagonal_float64": (False, np.float64),
    "posterior_full_float32": (True, np.float32),
    "posterior_full_float64": (True, np.float64),
}
SHAPES = [(1, 1, 1), (5, 1, 3), (130, 3, 2), (97, 7, 5), (33, 4, 33), (65, 9, 70)]


def mixture(kernel, n, d, n_components):
    full, dtype = KERNELS[kernel]
    rng = np.random.default_rng(n)
    means = rng.normal(size=(n_components, d)) * 2
    x = means[rng.integers(0, n_components, n)] + rng.normal(size=(n, d))
    root = rng.normal(size=(n_components, d, 2 * d)) / np.sqrt(2 * d)
    covariances = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(d)
    if not full:
        covariances = np.ascontiguousarray(np.diagonal(covariances, axis1=1, axis2=2))
    log_weights = rng.normal(size=n_components)
    return [a.astype(dtype) for a in (x, means, covariances, log_weights)]


def launch_of(x, gaussians):
    return posterior_launch(
        x, gaussians.log_constants, gaussians.means, gaussians.precision_factors
    )


def close(ours, theirs, dtype):
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("n", "d", "n_components"), SHAPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_host_run_equals_the_array_path(host_module, kernel, n, d, n_components, reverse):
    x, means, covariances, log_weights = mixture(kernel, n, d, n_components)
    gaussians = Gaussians(means, covariances, log_weights=log_weights)
    gaussians.expanded = False  # the same formula, so that rounding alone is compared
    launch = launch_of(x, gaussians)
    assert launch.kernel == kernel
    for result in launch.results:
        result[...] = np.nan
    host_module("mixture").launch(
        launch.kernel, launch.grid, launch.block, launch.arguments, reverse=reverse
    )
    expected = densities._posterior_arrays(x, gaussians)
    for ours, theirs in zip(launch.results, expected, strict=True):
        close(ours, theirs, x.dtype)


def test_components_without_weight(host_module):
    x, means, covariances, log_weights = mixture("posterior_full_float64", 50, 2, 3)
    log_weights[0] = -np.inf
    gaussians = Gaussians(means, covariances, log_weights=log_weights)
    launch = launch_of(x, gaussians)
    host_module("mixture").launch(launch.kernel, launch.grid, launch.block, launch.arguments)
    assert np.all(launch.results[1][:, 0] == 0)
    close(launch.results[0], densities._posterior_arrays(x, gaussians)[0], np.float64)


class HostRawModule:
    """What `kernels.load` returns on a GPU, with the host in its place."""

    def __init__(self, host):
        self.host = host

    def get_function(self, kernel):
        return lambda grid, block, arguments: self.host.launch(kernel, grid, block, arguments)


@pytest.mark.parametrize("kernel", KERNELS)
def test_posterior_through_the_kernel(host_module, monkeypatch, kernel):
    monkeypatch.setattr(kernels, "load", lambda name: HostRawModule(host_module(name)))
    monkeypatch.setattr(densities, "is_cupy_array", lambda x: True)
    x, means, covariances, log_weights = mixture(kernel, 97, 7, 5)
    ours = densities.posterior(x, log_weights, means, covariances)
    theirs = densities._posterior_arrays(x, Gaussians(means, covariances, None, log_weights))
    for a, b in zip(ours, theirs, strict=True):
        tolerance = 1e-11 if x.dtype == np.float64 else 1e-5
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    far = np.full_like(x, 1e30 if x.dtype == np.float32 else 1e200)
    with pytest.raises(ValueError, match=r"^x holds points so far"):
        densities.posterior(far, log_weights, means, covariances)


@pytest.mark.gpu
@pytest.mark.parametrize(("n", "d", "n_components"), [*SHAPES, (100_003, 16, 16)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_device_run_equals_the_array_path(gpu, kernel, n, d, n_components):
    x, means, covariances, log_weights = mixture(kernel, n, d, n_components)
    expected = densities._posterior_arrays(
        x, Gaussians(means, covariances, log_weights=log_weights)
    )
    on_device = map(gpu.asarray, (x, log_weights, means, covariances))
    for ours, theirs in zip(densities.posterior(*on_device), expected, strict=True):
        tolerance = 1e-10 if x.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(ours.get(), theirs, rtol=tolerance, atol=tolerance)
    assert kernel in {f"posterior_{s}_float{b}" for s in ("diagonal", "full") for b in (32, 64)}
    assert kernels.load("mixture") is kernels.load("mixture")
