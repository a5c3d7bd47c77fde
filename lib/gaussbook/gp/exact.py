r"""Exact Gaussian process regression by one Cholesky factorisation.

The model is :math:`y = f(x) + \varepsilon`, :math:`f \sim GP(0, k)`,
:math:`\varepsilon \sim N(0, \tau^2)`; several outputs share one covariance (Rasmussen and
Williams, 2006, algorithm 2.1).
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning

from gaussbook.arrays import Array, Generator, namespace, to_host
from gaussbook.blocks import row_blocks
from gaussbook.distances import remember_squares
from gaussbook.gp.cholesky import (
    add_to_diagonal,
    cholesky_inverse,
    jittered_cholesky,
    log_determinant,
    solve_triangular,
)
from gaussbook.gp.covariances import Covariance, check_process
from gaussbook.gp.sampling import sample_gaussian
from gaussbook.validation import check_array, check_integer, check_scalar, try_cholesky

__all__ = [
    "GaussianProcessRegressor",
    "condition_on_data",
    "log_marginal_likelihood",
    "regression_data",
]


def regression_data(x: Array, y: Array) -> tuple[Array, Array, bool]:
    """Return checked points and targets of a regression.

    Parameters
    ----------
    x : array, shape (n, d) or (n,)
        Points.
    y : array, shape (n,) or (n, c)
        Targets.

    Returns
    -------
    x : array, shape (n, d)
        The points.
    y : array, shape (n, c)
        The targets.
    single : bool
        Whether the targets were a vector.

    Raises
    ------
    ValueError
        If either is not finite or their lengths differ.
    """
    x = check_array("x", x, ndim=(1, 2))
    x = x[:, None] if x.ndim == 1 else x
    y = check_array("y", y, ndim=(1, 2))
    if y.shape[0] != x.shape[0]:
        raise ValueError(f"y must have {x.shape[0]} rows like x, got shape {tuple(y.shape)}")
    return (x, y[:, None], True) if y.ndim == 1 else (x, y, False)


def log_marginal_likelihood(
    covariance: Covariance, noise_variance: float, x: Array, y: Array
) -> tuple[float, np.ndarray]:
    r"""Return the log marginal likelihood of the data and its gradient.

    With :math:`K = k(x, x) + \tau^2 I` and :math:`\alpha = K^{-1}y`,

    .. math:: \log p(y) = -\tfrac12 y^\top\alpha - \tfrac12\log\det K - \tfrac n2\log 2\pi,
              \qquad \frac{\partial \log p}{\partial K}
              = \tfrac12\left(\alpha\alpha^\top - K^{-1}\right),

    and one pullback takes that matrix to all hyper-parameters.

    Parameters
    ----------
    covariance : Covariance
        The prior's covariance :math:`k`.
    noise_variance : float
        The variance :math:`\tau^2` of the noise.
    x : array, shape (n, d) or (n,)
        Points.
    y : array, shape (n,) or (n, c)
        Targets; their columns are independent given the covariance.

    Returns
    -------
    value : float
        The log marginal likelihood, summed over the columns of `y`.
    gradient : numpy.ndarray, shape (p + 1,)
        Its derivatives by ``covariance.theta`` and, last, by :math:`\log\tau^2`.

    Raises
    ------
    ValueError
        If the data do not fit, `noise_variance` is negative, or the covariance matrix is not
        positive definite (see `jittered_cholesky`).

    Notes
    -----
    :math:`n^3` flops (factor and inverse) and a few passes over matrices of :math:`n^2`.
    """
    x, y, _ = regression_data(x, y)
    noise_variance = check_scalar("noise_variance", noise_variance, at_least=0)
    K, pullback = check_process("covariance", covariance).vjp(x)
    L = try_cholesky(add_to_diagonal(K, noise_variance), overwrite=True)
    if L is None:
        L, _ = jittered_cholesky(add_to_diagonal(K, noise_variance))
    xp = namespace(L)
    n, outputs = y.shape
    alpha = solve_triangular(L, solve_triangular(L, y), transpose=True)
    value = -0.5 * (
        float(xp.sum(y * alpha)) + outputs * (log_determinant(L) + n * math.log(2 * math.pi))
    )
    by_K = cholesky_inverse(L, overwrite=True)
    for rows in row_blocks(n, n, by_K):
        by_K[rows, :] *= -0.5 * outputs
        by_K[rows, :] += (0.5 * alpha[rows, :]) @ xp.matrix_transpose(alpha)
    by_noise = noise_variance * float(xp.sum(xp.linalg.diagonal(by_K)))
    return value, np.append(pullback(by_K), by_noise)


class GaussianProcessRegressor:
    r"""Gaussian process regression with hyper-parameters by maximum marginal likelihood.

    Parameters
    ----------
    covariance : Covariance
        The prior's covariance; its hyper-parameters are where the search starts, beside the data's
        own scales (see `fit`).
    noise_variance : float
        The noise's variance, likewise.
    fixed_noise : bool
        Keep the noise as it is.

    Attributes
    ----------
    covariance_ : Covariance
        The covariance with the hyper-parameters found.
    noise_variance_ : float
        The noise's variance found.
    log_marginal_likelihood_ : float
        The value reached.
    jitter_ : float
        What the Cholesky factorisation added to the diagonal (0: nothing).
    """

    def __init__(
        self, covariance: Covariance, noise_variance: float = 1e-2, *, fixed_noise: bool = False
    ):
        self.covariance = check_process("covariance", covariance)
        self.noise_variance = check_scalar("noise_variance", noise_variance, above=0)
        self.fixed_noise = fixed_noise

    def fit(
        self,
        x: Array,
        y: Array,
        *,
        optimise: bool = True,
        restarts: int = 0,
        rng: Generator | None = None,
    ) -> GaussianProcessRegressor:
        r"""Find the hyper-parameters and factor the covariance of the data.

        Parameters
        ----------
        x : array, shape (n, d) or (n,)
            Points.
        y : array, shape (n,) or (n, c)
            Targets, with prior mean zero.
        optimise : bool
            Search the hyper-parameters by L-BFGS-B; else keep them.  So that a fit finds the same
            process in any units, there are two searches, from the lengths given and from the
            spread of `x`, each with the variances given or, if that is likelier, multiplied so
            that they explain the mean square of `y`; the better end is kept.  A search goes as far
            as :math:`e^{\pm12}` from its start.
        restarts : int
            Further searches, from starts whose parameters are shifted by normal numbers of
            standard deviation 1.5 (in the logarithm); the best one is kept.
        rng : Generator, optional
            Source of the shifts; needed if `restarts` is not 0.

        Returns
        -------
        GaussianProcessRegressor
            This object.

        Raises
        ------
        ValueError
            If the data do not fit or `rng` is missing.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a hyper-parameter ends at the end of its range: the likelihood has no maximum within.
        """
        x, y, self._single = regression_data(x, y)
        xp = namespace(x, y)
        self._x, self._y = xp.asarray(x, copy=True), xp.asarray(y, copy=True)
        restarts = check_integer("restarts", restarts, at_least=0)
        if restarts and rng is None:
            raise ValueError("rng is needed to draw the restarts")
        start = np.append(self.covariance.theta, math.log(self.noise_variance))
        if optimise:
            with remember_squares():
                starts = self._starts(start)
                for _ in range(restarts):
                    starts.append(starts[0] + 1.5 * to_host(rng.standard_normal(len(start))))
                found = min((self._search(s) for s in starts), key=lambda found: found.fun)
            self._warn_at_bounds(found)
            start = found.x
        self.covariance_ = self.covariance.with_theta(start[:-1])
        self.noise_variance_ = math.exp(start[-1])
        factored = self._factored(start)
        self._cholesky, self.jitter_, half, self.log_marginal_likelihood_ = factored
        self._alpha = solve_triangular(self._cholesky, half, transpose=True)
        return self

    def _factored(self, parameters: np.ndarray) -> tuple[Array, float, Array, float]:
        r"""Return :math:`L`, the jitter, :math:`L^{-1}y` and the log marginal likelihood."""
        K = self.covariance.with_theta(parameters[:-1])(self._x)
        L, jitter = jittered_cholesky(add_to_diagonal(K, math.exp(parameters[-1])))
        half = solve_triangular(L, self._y)
        n, outputs = self._y.shape
        logs = log_determinant(L) + n * math.log(2 * math.pi)
        squares = float(namespace(half).sum(half * half))
        return L, jitter, half, -0.5 * (squares + outputs * logs)

    def _starts(self, given: np.ndarray) -> list[np.ndarray]:
        """Return where to search: from the lengths given, and from the data's."""
        names = (*self.covariance.names, "log variance of the noise")
        variances = np.array([name.startswith("log variance") for name in names])
        lengths = np.array([name.startswith("log lengthscale") for name in names])
        variances[-1] &= not self.fixed_noise
        xp = namespace(self._x)
        noise = self.noise_variance
        explained = float(xp.mean(self.covariance.diagonal(self._x)))
        seen = float(xp.mean(self._y**2))
        factor = (seen - noise) / explained if self.fixed_noise else seen / (explained + noise)
        spread = to_host(xp.std(self._x, axis=0))
        if np.sum(lengths) == 1:
            spread = np.sqrt(np.mean(spread**2, keepdims=True))
        of_y, of_x = given.copy(), given.copy()
        if factor > 0 and math.isfinite(factor):
            of_y[variances] += math.log(factor)
        if np.any(lengths) and np.all(spread > 0):
            of_x[lengths] = np.log(spread)
        pairs = [(given, of_y), (of_x, np.where(lengths, of_x, of_y))]
        if np.allclose(of_x, given, rtol=0, atol=1e-9):
            pairs.pop()
        return [max(pair, key=self._likelihood) for pair in pairs]

    def _likelihood(self, parameters: np.ndarray) -> float:
        """Return the log-likelihood alone, which takes a fraction of the time of its gradient."""
        try:
            return self._factored(parameters)[-1]
        except ValueError:  # not positive definite
            return -1e25

    def _objective(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return minus the log-likelihood and its gradient."""
        try:
            value, gradient = log_marginal_likelihood(
                self.covariance.with_theta(parameters[:-1]),
                math.exp(parameters[-1]),
                self._x,
                self._y,
            )
        except ValueError:  # not positive definite: the line search turns back
            return 1e25, np.zeros_like(parameters)
        return -value, -gradient

    def _search(self, start: np.ndarray) -> OptimizeResult:
        """Return SciPy's account of a search from one start, with the ``bounds`` it had."""
        wide = np.stack([start - 12, start + 12], axis=1)
        if self.fixed_noise:
            wide[-1] = start[-1] = math.log(self.noise_variance)
        found = minimize(self._objective, start, jac=True, method="L-BFGS-B", bounds=wide)
        return OptimizeResult(found, bounds=wide)

    def _warn_at_bounds(self, found: OptimizeResult) -> None:
        names = (*self.covariance.names, "log noise variance")
        for name, value, ends in zip(names, found.x, found.bounds, strict=True):
            if ends[0] < ends[1] and np.min(np.abs(value - ends)) < 1e-6:
                warnings.warn(
                    f"{name} has gone to {value:.3g}, the end of the range of the search: the data "
                    "do not determine it, or the search needs another start",
                    ConvergenceWarning,
                    stacklevel=3,
                )

    def predict(
        self, x: Array, *, return_std: bool = False, return_cov: bool = False
    ) -> Array | tuple[Array, Array]:
        r"""Return the posterior mean of :math:`f`, with its deviation or covariance if asked.

        Parameters
        ----------
        x : array, shape (m, d) or (m,)
            New points.
        return_std, return_cov : bool
            Return also the posterior standard deviation (m,) or covariance (m, m) of :math:`f`,
            without the noise.

        Returns
        -------
        mean : array, shape (m,) or (m, c)
            :math:`k(x, X)\,\alpha`.
        deviation or covariance : array
            As asked; the same for every output.

        Raises
        ------
        ValueError
            If both are asked for, or the points do not fit.
        """
        if return_std and return_cov:
            raise ValueError("return_std and return_cov exclude each other")
        cross = self.covariance_(x, self._x)
        mean = cross @ self._alpha
        mean = mean[:, 0] if self._single else mean
        if not (return_std or return_cov):
            return mean
        xp = namespace(cross)
        half = solve_triangular(self._cholesky, xp.matrix_transpose(cross))
        if return_cov:
            return mean, self.covariance_(x) - xp.matrix_transpose(half) @ half
        variance = self.covariance_.diagonal(x) - xp.sum(half * half, axis=0)
        return mean, xp.sqrt(xp.where(variance > 0, variance, 0.0))  # below zero only by rounding

    def sample(self, x: Array, n: int, rng: Generator) -> Array:
        """Draw `n` functions from the posterior at `m` points, of the first output; (n, m)."""
        mean, covariance = self.predict(x, return_cov=True)
        prior = float(namespace(mean).max(self.covariance_.diagonal(x)))
        mean = mean if self._single else mean[:, 0]
        return sample_gaussian(mean, covariance, n, rng, scale=prior)


def condition_on_data(
    covariance: Array, cross: Array, variances: Array, y: Array, noise_variance: float
) -> tuple[Array, Array]:
    r"""Return posterior means and variances of many small regressions at once.

    .. math:: m = C (K + \tau^2 I)^{-1} y, \qquad
              v = \mathrm{diag}\left(V - C (K + \tau^2 I)^{-1} C^\top\right).

    Parameters
    ----------
    covariance : array, shape (..., n, n)
        Prior covariances :math:`K` of the data's values, one for each regression.
    cross : array, shape (..., m, n)
        Prior covariances :math:`C` of new values and the data's.
    variances : array, shape (..., m)
        Prior variances of the new values.
    y : array, shape (..., n)
        The data, with prior mean zero.
    noise_variance : float
        The variance :math:`\tau^2` of the noise.

    Returns
    -------
    mean, variance : array, shape (..., m)
        The posterior of the new values, without the noise.

    Raises
    ------
    ValueError
        If the shapes do not fit or a matrix is not positive definite.
    """
    K = check_array("covariance", covariance)
    noise_variance = check_scalar("noise_variance", noise_variance, at_least=0)
    *batch, n, _ = K.shape if K.ndim > 1 else (0, 0)
    cross = check_array("cross", cross, shape=(*batch, None, n))
    variances = check_array("variances", variances, shape=tuple(cross.shape[:-1]))
    y = check_array("y", y, shape=(*batch, n))
    xp = namespace(K, cross, variances, y)
    L, _ = jittered_cholesky(K + noise_variance * xp.eye(n, dtype=K.dtype))
    targets = xp.concat([xp.matrix_transpose(cross), y[..., None]], axis=-1)
    whitened = solve_triangular(L, targets)
    half, z = whitened[..., :-1], whitened[..., -1:]
    left = variances - xp.sum(half * half, axis=-2)
    return xp.sum(half * z, axis=-2), xp.where(left > 0, left, 0.0)  # below only by rounding
