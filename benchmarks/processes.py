"""The rows of Gaussian processes against GPyTorch."""

from __future__ import annotations

import numpy as np

from benchmarks.cpu import LIKELIHOOD, Row
from gaussbook.gp import covariances, exact
from gaussbook.gp.statespace import StateSpaceRegressor


def _peer_model(X: np.ndarray, y: np.ndarray, kernel, noise: float):
    """Return an exact GPyTorch model and its likelihood, in double precision, zero mean."""
    import gpytorch
    import torch

    torch.set_num_threads(1)

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            likelihood = gpytorch.likelihoods.GaussianLikelihood()
            super().__init__(torch.from_numpy(X), torch.from_numpy(y), likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = kernel

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    model = Model().double()
    model.likelihood.noise = noise
    return model


def _likelihood():
    import gpytorch
    import torch

    rng = np.random.default_rng(0)
    n, d = 1500, 8
    X = rng.uniform(size=(n, d))
    y = np.sin(X @ rng.standard_normal(d)) + 0.1 * rng.standard_normal(n)
    lengthscale = np.linspace(0.5, 2, d)
    kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel(ard_num_dims=d))
    model = _peer_model(X, y, kernel, 0.01)
    kernel.outputscale, kernel.base_kernel.lengthscale = 1.3, torch.from_numpy(lengthscale)
    model.train()
    marginal = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    k = covariances.SquaredExponential(1.3, lengthscale)

    def ours():
        value, gradient = exact.log_marginal_likelihood(k, 0.01, X, y)
        return value, gradient

    def peer():
        model.zero_grad()
        with gpytorch.settings.fast_computations(False, False, False):
            value = n * marginal(model(torch.from_numpy(X)), torch.from_numpy(y))
            value.backward()
        return value.item(), kernel.base_kernel.raw_lengthscale.grad.numpy().ravel()

    def check(a, b):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-6)
        slope = 1 / (1 + np.exp(-kernel.base_kernel.raw_lengthscale.detach().numpy().ravel()))
        np.testing.assert_allclose(a[1][1 : d + 1], b[1] / slope * lengthscale, rtol=1e-4)

    return ours, peer, check


_LINE, _DENSE = 100_000, 5_000


def _on_a_line():
    import gpytorch
    import torch

    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0, 1000, _LINE))
    y = np.sin(t) + 0.3 * rng.standard_normal(_LINE)
    kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=2.5))
    model = _peer_model(t[:_DENSE, None], y[:_DENSE], kernel, 0.09)
    kernel.outputscale, kernel.base_kernel.lengthscale = 1.0, 1.5
    model.eval()

    def smoothed(n: int) -> np.ndarray:
        line = StateSpaceRegressor(covariances.Matern52(1.0, 1.5), 0.09)
        return line.fit(t[:n], y[:n]).predict(t[:n])

    def peer():
        model.train()
        model.eval()  # forget what the last call has kept
        exactly = gpytorch.settings.fast_computations(False, False, False)
        with torch.no_grad(), exactly, gpytorch.settings.skip_posterior_variances():
            return model(torch.from_numpy(t[:_DENSE, None])).mean.numpy()

    def check(_ours, mean):
        np.testing.assert_allclose(smoothed(_DENSE), mean, atol=1e-5)

    return lambda: smoothed(_LINE), peer, check


ROWS = (
    Row(
        "GP likelihood + gradient, n=1500, ARD d=8",
        "GPyTorch",
        1.0,
        _likelihood,
        demand=LIKELIHOOD,
    ),
    Row(
        "Matérn-5/2 GP on a line, n=100 000",
        "GPyTorch",
        1.0,
        _on_a_line,
        "at most 2 s; the peer is exact at n=5 000, its time multiplied by 20 cubed",
        limit=2.0,
        peer_factor=(_LINE / _DENSE) ** 3,
    ),
)
