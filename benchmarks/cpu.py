"""The rows: one piece of work, our code and the peer's, and a check that they agree."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.limits import Demand
from gaussbook import density
from gaussbook.gp import covariances, exact
from gaussbook.mixture import GaussianMixture

Work = Callable[[], object]
Check = Callable[[object, object], None]
Prepared = tuple[Work, Work, Check]


@dataclass(frozen=True)
class Row:
    """One comparison: `prepare` returns our work, the peer's, and a check of the two answers."""

    work: str
    peer: str
    target: float  # our code is to be at least this many times faster
    prepare: Callable[[], Prepared]
    note: str = ""
    limit: float | None = None  # seconds that our code may take, where that is the aim
    peer_factor: float = 1.0  # the peer does this share of the work; its time is extrapolated
    clock: Callable[[], float] = time.process_time
    # What our work cannot do without, or how to tell it from our answer.
    demand: Demand | Callable[[object], Demand] | None = None


def agree(tolerance: float) -> Check:
    """Return a check that two answers are the same."""

    def check(ours: object, peer: object) -> None:
        np.testing.assert_allclose(ours, peer, rtol=tolerance)

    return check


def clustered(n: int, d: int, K: int) -> np.ndarray:
    """Return n points around K centres."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((K, d))
    return centres[rng.integers(0, K, n)] + rng.standard_normal((n, d))


def start_of_em(X: np.ndarray, K: int, steps: int, kind: str = "full") -> dict[str, object]:
    """Return settings of a mixture that takes so many steps from its first K points."""
    d = X.shape[1]
    return {
        "n_components": K,
        "covariance_type": kind,
        "tol": 0.0,
        "max_iter": steps,
        "means_init": X[:K],
        "weights_init": np.full(K, 1 / K),
        "precisions_init": np.ones((K, d)) if kind == "diag" else np.tile(np.eye(d), (K, 1, 1)),
    }


def _mixture(kind: str) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        import sklearn.mixture
        from sklearn.exceptions import ConvergenceWarning

        X = clustered(200_000, 16, 16)
        start = start_of_em(X, 16, 10, kind)

        def ours():
            return GaussianMixture(**start).fit(X).lower_bound_

        def peer():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = sklearn.mixture.GaussianMixture(**start, init_params="random_from_data")
                return model.fit(X).lower_bound_

        return ours, peer, agree(1e-8)

    return prepare


def _likelihood():
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels

    rng = np.random.default_rng(0)
    n, d = 1500, 8
    X = rng.uniform(size=(n, d))
    y = np.sin(X @ rng.standard_normal(d)) + 0.1 * rng.standard_normal(n)
    lengthscale = np.linspace(0.5, 2, d)
    ours_k = covariances.SquaredExponential(1.3, lengthscale)
    peer_k = kernels.ConstantKernel(1.3) * kernels.RBF(lengthscale)
    model = GaussianProcessRegressor(peer_k, alpha=0.01, optimizer=None).fit(X, y)

    def ours():
        value, gradient = exact.log_marginal_likelihood(ours_k, 0.01, X, y)
        return np.concatenate([[value], gradient[: d + 1]])

    def peer():
        value, gradient = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
        return np.concatenate([[value], gradient])

    return ours, peer, agree(1e-6)


def _density(m: int, peer_name: str):
    def prepare():
        from scipy.stats import gaussian_kde
        from sklearn.neighbors import KernelDensity

        rng = np.random.default_rng(0)
        data, x = rng.standard_normal((100_000, 8)), rng.standard_normal((m, 8))
        scipy_model = gaussian_kde(data.T)
        whiten = np.linalg.inv(np.linalg.cholesky(scipy_model.covariance)).T
        peers = {
            "SciPy": lambda: np.log(scipy_model(x.T)),
            "scikit-learn": lambda: KernelDensity(bandwidth=0.3).fit(data).score_samples(x),
        }
        if peer_name == "scikit-learn":
            return lambda: density.log_density(x, data, 0.3), peers[peer_name], agree(5e-3)
        volume = np.log(np.abs(np.linalg.det(whiten)))

        def ours():
            return density.log_density(x @ whiten, data @ whiten, 1.0) + volume

        return ours, peers[peer_name], agree(1e-8)

    return prepare


# A factor and an inverse; the squares and what contracts them; the kernel.
LIKELIHOOD = Demand(flops=1500**3 + 4 * 8 * 1500**2, exps=1500**2)
ROWS = (
    Row(
        "EM, full, n=200 000 d=16 K=16, 10 steps",
        "scikit-learn",
        2.5,
        _mixture("full"),
        demand=Demand(flops=10 * 4 * 200_000 * 16 * 16**2, exps=10 * 200_000 * 16),
    ),
    Row(
        "EM, diagonal, n=200 000 d=16 K=16, 10 steps",
        "scikit-learn",
        2.5,
        _mixture("diag"),
        demand=Demand(flops=10 * 8 * 200_000 * 16 * 16, exps=10 * 200_000 * 16),
    ),
    Row(
        "KDE log-density, n=100 000 m=10 000 d=8",
        "SciPy",
        2.0,
        _density(10_000, "SciPy"),
        demand=Demand(flops=2 * 8 * 1e9, exps=1e9),
    ),
    Row(
        "KDE log-density, n=100 000 m=300 d=8",
        "scikit-learn",
        10.0,
        _density(300, "scikit-learn"),
        "scikit-learn's default tolerance: its values are off by up to 5e-3",
        demand=Demand(flops=2 * 8 * 300 * 100_000, exps=300 * 100_000, moved=100_000 * 8 * 8),
    ),
    Row(
        "GP likelihood + gradient, n=1500, ARD d=8",
        "scikit-learn",
        3.0,
        _likelihood,
        demand=LIKELIHOOD,
    ),
)
