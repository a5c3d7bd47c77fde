r"""Gaussian mixtures fitted by expectation-maximisation, with scikit-learn's interface.

E- and M-step are one pass over the points (`gaussbook.mixture.statistics`): for each block of rows
the log-densities, the responsibilities and the sums that the M-step needs, so that nothing of size
n × K is kept, and the data may be larger than the memory (`gaussbook.mixture.out_of_core`).
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_dask_array
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from gaussbook.arrays import Array, Generator, generator, namespace, to_host
from gaussbook.mixture.densities import (
    Gaussians,
    column_blocks,
    column_posterior,
)
from gaussbook.mixture.kmeans import check_sample_weight, k_means, kmeans_plus_plus, present
from gaussbook.mixture.parameters import (
    COVARIANCE_TYPES,
    Parameters,
    estimate,
    lost_digits,
    split_heaviest,
)
from gaussbook.mixture.statistics import Assignment, Expectation, RandomShares, Rows, Step
from gaussbook.validation import (
    check_array,
    check_choice,
    check_covariance,
    check_integer,
    check_probabilities,
    check_scalar,
)

__all__ = ["GaussianMixture"]

_INIT_PARAMS = ("kmeans", "k-means++", "random")
_ROWS_FOR_STARTING_OUT_OF_CORE = 100_000


class _Run(NamedTuple):
    """The outcome of EM from one start."""

    parameters: Parameters
    lower_bounds: list[float]
    converged: bool
    reseeded: list[tuple[int, int]]
    n_floored: int


def _by_chunks_of_dask(method: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
    """Let a method that works row by row take a Dask array, and return one."""

    @functools.wraps(method)
    def on_any_array(self: Any, X: Array) -> Array:
        if not is_dask_array(X):
            return method(self, X)
        from gaussbook.mixture.out_of_core import map_rows

        return map_rows(functools.partial(method, self), X)

    return on_any_array


class GaussianMixture(DensityMixin, BaseEstimator):
    r"""Gaussian mixture by maximum likelihood (EM), with scikit-learn's interface.

    .. math::
        p(x)=\sum_k w_k N(x\mid\mu_k,\Sigma_k),\qquad
        r_{ik}=\frac{w_kN(x_i\mid\mu_k,\Sigma_k)}{p(x_i)},\qquad
        w_k=\tfrac1n\sum_i r_{ik},\quad
        \mu_k=\frac{\sum_i r_{ik}x_i}{\sum_i r_{ik}},\quad
        \Sigma_k=\frac{\sum_i r_{ik}(x_i-\mu_k)(x_i-\mu_k)^\top}{\sum_i r_{ik}}+\lambda I

    Parameters
    ----------
    n_components : int
        Number of components K.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}
        One covariance matrix for each component, one for all, variances of each coordinate, or one
        variance for each component.
    tol : float
        EM ends when the mean log-likelihood of a point changes by less.
    reg_covar : float
        :math:`\lambda`, *added* to every variance in each M-step, as in scikit-learn; in squared
        units of the data.  EM is then not exactly monotone; 0 makes it so.
    max_iter : int
        Most iterations of one start.
    n_init : int
        Number of starts, of which the likeliest result is kept.
    init_params : {'kmeans', 'k-means++', 'random'}
        Start from the clusters of k-means, from the points nearest to each of K spread-out points
        (scikit-learn starts from those K points alone, with next to no variance), or from random
        responsibilities.
    weights_init : array, shape (K,), optional
        First weights, in place of the start's.
    means_init : array, shape (K, d), optional
        First means.
    precisions_init : array, optional
        Inverses of the first covariances, in the shape of `covariances_`.
    random_state : int or Generator
        Source of the draws.  A fit is always reproducible: there is no unseeded default.
    warm_start : bool
        Go on from the last fit's result.
    min_covariance : float, optional
        A floor, besides `reg_covar`: eigenvalues of the covariances below it are raised to it (the
        likelihood's maximum under that constraint); `n_floored_` tells how many.
    reseed_below : float, optional
        A component whose weight falls below this is dead: it is given half of the heaviest
        component.  `reseeded_` lists what happened.  By default nothing is reseeded.
    init_size : int, optional
        Find the start from that many random rows.  All rows by default; 100 000 on Dask arrays.

    Attributes
    ----------
    weights_, means_, covariances_ : array
        The mixture, in scikit-learn's shapes (`Parameters`); float64.
    precisions_cholesky_, precisions_ : array
        Upper triangular factors :math:`P_k` with :math:`P_kP_k^\top=\Sigma_k^{-1}`, and the
        inverses (:math:`1/\sigma` and :math:`1/\sigma^2` for diagonal covariances).
    converged_ : bool
        Whether the best start ended by `tol`.
    n_iter_ : int
        Iterations of the best start.
    lower_bound_, lower_bounds_ : float, list of float
        Mean log-likelihood of a point before each M-step of the best start, and the last of them.
    reseeded_ : list of (int, int)
        Iteration and component of every reseeding in the best start.
    n_floored_ : int
        Eigenvalues that `min_covariance` raised in the last M-step.

    Notes
    -----
    An iteration reads the data once.  While the components are not too narrow against their
    distances (`gaussbook.mixture.densities`), it takes ``2 n K d²`` floating-point operations for
    full and ``8 n K d`` for diagonal covariances, and twice to four times as many otherwise.

    `fit` also takes a Dask array of points.  Many small independent fits are not batched: run them
    in processes (`joblib`).
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Array | None = None,
        means_init: Array | None = None,
        precisions_init: Array | None = None,
        random_state: int | Generator = 0,
        warm_start: bool = False,
        min_covariance: float | None = None,
        reseed_below: float | None = None,
        init_size: int | None = None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.min_covariance = min_covariance
        self.reseed_below = reseed_below
        self.init_size = init_size

    # -- fitting ---------------------------------------------------------------------------------

    def fit(self, X: Array, y: None = None, sample_weight: Array | None = None) -> GaussianMixture:
        """Estimate the mixture.

        Parameters
        ----------
        X : array, shape (n, d)
            Points, at least K; NumPy, CuPy or Dask.
        y : None
            Ignored; there for scikit-learn's pipelines.
        sample_weight : array, shape (n,), optional
            Non-negative weights: a point of weight 2 counts as two points, one of weight 0 as
            none.  Weights have no unit: twice all of them is the same fit.

        Returns
        -------
        GaussianMixture
            Itself, with the attributes set.

        Raises
        ------
        ValueError
            If an argument is out of its range, or a covariance collapses.
        """
        self._check_settings()
        source = _source(X, sample_weight)
        validate_data(self, X, skip_check_array=True)  # remembers number and names of the columns
        n, d = source.shape
        if n < self.n_components:
            raise ValueError(f"X has {n} rows, fewer than n_components={self.n_components}")
        rng = _random(self.random_state).host
        warm = self.warm_start and hasattr(self, "means_")
        if warm and tuple(self.means_.shape) != (self.n_components, d):
            raise ValueError(
                f"X has {d} columns; the fit to go on from has shape {self.means_.shape}"
            )
        best = None
        for _ in range(1 if warm else self.n_init):
            start = self._parameters() if warm else self._start(source, rng)
            run = self._iterate(source, start, self.lower_bound_ if warm else -math.inf)
            if best is None or run.lower_bounds[-1] > best.lower_bounds[-1]:
                best = run
        self._store(best)
        return self

    def fit_predict(self, X: Array, y: None = None, sample_weight: Array | None = None) -> Array:
        """Fit, and return the component most responsible for each point."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def _check_settings(self) -> None:
        check_integer("n_components", self.n_components, at_least=1)
        check_choice("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        check_choice("init_params", self.init_params, _INIT_PARAMS)
        check_scalar("tol", self.tol, at_least=0)
        check_scalar("reg_covar", self.reg_covar, at_least=0)
        check_integer("max_iter", self.max_iter, at_least=1)
        check_integer("n_init", self.n_init, at_least=1)
        if self.min_covariance is not None:
            check_scalar("min_covariance", self.min_covariance, above=0)
        if self.reseed_below is not None:
            check_scalar("reseed_below", self.reseed_below, above=0, below=1 / self.n_components)
        if self.init_size is not None:
            check_integer("init_size", self.init_size, at_least=self.n_components)

    def _start(self, source: Any, rng: np.random.Generator) -> Parameters:
        """Return the first parameters: given ones, and the start's for those that are not."""
        given = (self.weights_init, self.means_init, self.precisions_init)
        xp, d = source.namespace, source.shape[1]
        if any(part is None for part in given):
            parameters, _ = self._maximise(source, self._first_step(source, rng))[:2]
        else:
            parameters = Parameters(self.covariance_type, None, None, None)
        if self.weights_init is not None:
            weights = check_array("weights_init", self.weights_init, shape=(self.n_components,))
            weights = check_probabilities("weights_init", weights)
            parameters = parameters._replace(weights=weights)
        if self.means_init is not None:
            means = check_array("means_init", self.means_init, shape=(self.n_components, d))
            parameters = parameters._replace(means=means)
        if self.precisions_init is not None:
            covariances = _invert(self.precisions_init, self.covariance_type, self.n_components, d)
            parameters = parameters._replace(covariances=covariances)
        return parameters._replace(
            **{
                name: xp.astype(xp.asarray(getattr(parameters, name)), xp.float64)
                for name in ("weights", "means", "covariances")
            }
        )

    def _first_step(self, source: Any, rng: np.random.Generator) -> Step:
        n, _ = source.shape
        size = self.init_size or (n if source.in_memory else _ROWS_FOR_STARTING_OUT_OF_CORE)
        indices = np.sort(rng.choice(n, size, replace=False)) if size < n else None
        x, weight = source.sample(indices)
        xp = namespace(x)
        diagonal = self.covariance_type in ("diag", "spherical")
        if self.init_params == "random":
            centre = xp.mean(xp.astype(x, xp.float64), axis=0)
            return RandomShares.of(centre, self.n_components, diagonal, rng)
        seed = Generator(int(rng.integers(2**63)))
        centres = kmeans_plus_plus(x, self.n_components, seed=seed, sample_weight=weight)
        if self.init_params == "kmeans":
            centres = k_means(x, self.n_components, init=centres, sample_weight=weight).centres
        return Assignment.of(centres, diagonal)

    def _maximise(self, source: Any, step: Step) -> tuple[Parameters, Gaussians, float, int]:
        """Return parameters, components, mean log-likelihood and floored eigenvalues of a pass."""
        statistics = source.reduce(step)
        floors = (self.covariance_type, self.reg_covar, self.min_covariance)
        parameters, n_floored = estimate(statistics, *floors)
        try:
            gaussians = parameters.gaussians()
        except ValueError:  # perhaps for want of digits alone
            gaussians = None
        together = statistics.reference.ndim == 1
        if (
            gaussians is None
            or (together and not gaussians.expanded)
            or lost_digits(statistics, parameters)
        ):
            # The components are narrow against the distance to the reference point: take the
            # moments once more, about the new means.
            statistics = source.reduce(step.about(parameters.means))
            parameters, n_floored = estimate(statistics, *floors)
            gaussians = parameters.gaussians()
        return parameters, gaussians, statistics.mean_log_likelihood, n_floored

    def _iterate(self, source: Any, parameters: Parameters, bound: float) -> _Run:
        """Alternate E- and M-steps until the likelihood rests."""
        gaussians = parameters.gaussians()
        bounds, reseeded, converged, n_floored = [], [], False, 0
        for iteration in range(1, self.max_iter + 1):
            parameters, gaussians, new_bound, n_floored = self._maximise(
                source, Expectation.of(gaussians)
            )
            bounds.append(new_bound)
            dead = self._dead(parameters)
            if len(dead):
                reseeded += [(iteration, int(k)) for k in dead]
                parameters = split_heaviest(parameters, dead)
                gaussians = parameters.gaussians()
            elif abs(new_bound - bound) < self.tol:
                converged = True
                break
            bound = new_bound
        return _Run(parameters, bounds, converged, reseeded, n_floored)

    def _dead(self, parameters: Parameters) -> np.ndarray:
        if self.reseed_below is None:
            return np.empty(0, dtype=int)
        return np.flatnonzero(to_host(parameters.weights) < self.reseed_below)

    def _store(self, run: _Run) -> None:
        if not run.converged and self.tol > 0:
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn(
                f"EM has not converged in {self.max_iter} iterations: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        self._set_parameters(run.parameters)
        self.converged_, self.n_iter_ = run.converged, len(run.lower_bounds)
        self.lower_bounds_, self.lower_bound_ = run.lower_bounds, run.lower_bounds[-1]
        self.reseeded_, self.n_floored_ = run.reseeded, run.n_floored

    # -- the fitted mixture ----------------------------------------------------------------------

    def _set_parameters(self, parameters: Parameters) -> None:
        _, self.weights_, self.means_, self.covariances_ = parameters
        factors = parameters.gaussians().precision_factors
        xp = namespace(factors)
        pick = {"spherical": lambda a: a[:, 0], "tied": lambda a: a[0, :, :]}
        factors = pick.get(self.covariance_type, lambda a: a)(factors)
        self.precisions_cholesky_ = factors
        if self.covariance_type in ("full", "tied"):
            self.precisions_ = factors @ xp.matrix_transpose(factors)
        else:
            self.precisions_ = factors**2

    def _parameters(self) -> Parameters:
        check_is_fitted(self)
        return Parameters(self.covariance_type, self.weights_, self.means_, self.covariances_)

    def _by_blocks(self, X: Array, of_block: Callable[..., Array]) -> Array:
        """Return a function of components, columns and features, applied to all rows of X."""
        gaussians = self._parameters().gaussians()
        points = check_array("X", X, ndim=2)
        validate_data(self, X, reset=False, skip_check_array=True)
        X = check_array("X", points, shape=(None, self.means_.shape[1]))
        xp = namespace(X, self.means_)
        blocks = column_blocks(X, gaussians, xp.float64)
        return xp.concat([of_block(gaussians, *block) for _, *block in blocks], axis=0)

    @_by_chunks_of_dask
    def predict(self, X: Array) -> Array:
        """Return the component most responsible for each point, int64 of shape (n,)."""

        def labels(gaussians: Gaussians, *block: Array) -> Array:
            densities = gaussians.log_densities(*block)
            return namespace(densities).argmax(densities, axis=0)

        return self._by_blocks(X, labels)

    @_by_chunks_of_dask
    def predict_proba(self, X: Array) -> Array:
        """Return the responsibilities, shape (n, K)."""

        def shares(*block: Any) -> Array:
            shares = column_posterior(*block)[1]
            return namespace(shares).matrix_transpose(shares)

        return self._by_blocks(X, shares)

    @_by_chunks_of_dask
    def score_samples(self, X: Array) -> Array:
        """Return the log-density of the mixture at each point, shape (n,)."""
        return self._by_blocks(X, lambda *block: column_posterior(*block)[0])

    def score(self, X: Array, y: None = None) -> float:
        """Return the mean log-density of the points."""
        n, log_likelihood = self._log_likelihood(X)
        return log_likelihood / n

    def _log_likelihood(self, X: Array) -> tuple[int, float]:
        """Return the number of points and the sum of their log-densities."""
        log_densities = self.score_samples(X)
        if is_dask_array(log_densities):
            log_densities = log_densities.compute()
        xp = namespace(log_densities)
        return log_densities.shape[0], float(xp.sum(log_densities))

    def bic(self, X: Array) -> float:
        r"""Return Schwarz's criterion, :math:`-2\log L + p\log n` (lower is better)."""
        n, log_likelihood = self._log_likelihood(X)
        return -2 * log_likelihood + self._n_parameters() * math.log(n)

    def aic(self, X: Array) -> float:
        r"""Return Akaike's criterion, :math:`-2\log L + 2p` (lower is better)."""
        return -2 * self._log_likelihood(X)[1] + 2 * self._n_parameters()

    def _n_parameters(self) -> int:
        n_components, d = self._parameters().means.shape
        of_covariances = {
            "full": n_components * d * (d + 1) // 2,
            "tied": d * (d + 1) // 2,
            "diag": n_components * d,
            "spherical": n_components,
        }[self.covariance_type]
        return of_covariances + n_components * d + n_components - 1

    def sample(
        self, n_samples: int = 1, random_state: int | Generator | None = None
    ) -> tuple[Array, Array]:
        """Draw points from the mixture.

        Parameters
        ----------
        n_samples : int
            How many.
        random_state : int or Generator, optional
            Source of the draws; that of the constructor if not given (so that two calls with an
            integer give the same points).

        Returns
        -------
        X : array, shape (n_samples, d)
            The points, those of one component together, as in scikit-learn.
        y : array of int64, shape (n_samples,)
            Their components.

        Raises
        ------
        ValueError
            If the mixture has not been fitted or an argument is out of its range.
        """
        n_samples = check_integer("n_samples", n_samples, at_least=1)
        parameters = self._parameters()
        rng = _random(self.random_state if random_state is None else random_state).host
        weights, means = to_host(parameters.weights), to_host(parameters.means)
        covariances = to_host(parameters.component_covariances())
        labels = np.repeat(
            np.arange(self.n_components), rng.multinomial(n_samples, weights / weights.sum())
        )
        noise = rng.standard_normal((n_samples, means.shape[1]))
        if covariances.ndim == 2:
            noise *= np.sqrt(covariances)[labels]
        else:
            roots = np.linalg.cholesky(covariances)
            for k in range(self.n_components):
                noise[labels == k] = noise[labels == k] @ roots[k].T
        xp = namespace(parameters.means)
        return xp.asarray(means[labels] + noise), xp.asarray(labels)


def _random(random_state: int | Generator) -> Generator:
    if isinstance(random_state, Generator):
        return random_state
    try:
        return generator(random_state)
    except ValueError as error:
        raise ValueError(f"random_state: {error}") from error


def _source(X: Array, sample_weight: Array | None) -> Any:
    """Return checked points as a source of statistics."""
    if is_dask_array(X):
        from gaussbook.mixture.out_of_core import Chunks

        return Chunks.of(X, sample_weight)
    X = check_array("X", X, ndim=2)
    if is_dask_array(sample_weight):
        sample_weight = sample_weight.compute()
    return Rows(*present(X, check_sample_weight(sample_weight, X)))


def _invert(precisions: Array, covariance_type: str, n_components: int, d: int) -> Array:
    """Return the covariances of given precisions."""
    shape = {
        "full": (n_components, d, d),
        "tied": (d, d),
        "diag": (n_components, d),
        "spherical": (n_components,),
    }[covariance_type]
    precisions = check_array("precisions_init", precisions, shape=shape)
    xp = namespace(precisions)
    if covariance_type in ("full", "tied"):
        check_covariance("precisions_init", precisions)
        inverse = xp.linalg.inv(precisions)
        return 0.5 * (inverse + xp.matrix_transpose(inverse))
    if bool(xp.any(precisions <= 0)):
        raise ValueError("precisions_init holds values that are not positive")
    return 1 / precisions
