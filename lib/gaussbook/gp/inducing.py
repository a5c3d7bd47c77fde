r"""Sparse Gaussian process regression: :math:`m` inducing points stand for :math:`n` data.

The variational bound of Titsias (2009) with the best Gaussian posterior of the inducing values
already in it.  With :math:`\Phi = k(z, x)`, :math:`K = k(z, z)` and
:math:`D = K + \Phi\Phi^\top/\tau^2`,

.. math:: \log p(y) \ge \log N\!\left(y;\, 0,\, \Phi^\top K^{-1}\Phi + \tau^2 I\right)
          - \frac{1}{2\tau^2} \sum_i \left(k(x_i, x_i) - \Phi_i^\top K^{-1} \Phi_i\right).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

from gaussbook.arrays import Array, namespace
from gaussbook.gp.cholesky import (
    add_to_diagonal,
    cholesky_inverse,
    jittered_cholesky,
    log_determinant,
    solve_triangular,
)
from gaussbook.gp.covariances import Covariance, check_process
from gaussbook.gp.exact import regression_data
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["SparseRegressor", "collapsed_bound", "greedy_inducing_points"]


def greedy_inducing_points(covariance: Covariance, x: Array, m: int) -> Array:
    """Choose inducing points among the data, each where the others leave most variance.

    Parameters
    ----------
    covariance : Covariance
        The prior's covariance.
    x : array, shape (n, d) or (n,)
        The data's points.
    m : int
        How many to choose, at most n.

    Returns
    -------
    array, shape (m, d)
        The chosen points: the pivots of a partial Cholesky factorisation (Burt et al., 2020);
        ``n * m**2`` flops.  Fewer if the rest has no variance left.

    Raises
    ------
    ValueError
        If `m` is not between 1 and n.
    """
    x = _columns(check_array("x", x, ndim=(1, 2)))
    m = check_integer("m", m, at_least=1, at_most=x.shape[0])
    xp = namespace(x)
    left = check_process("covariance", covariance).diagonal(x)
    enough = 1e-12 * float(xp.max(left))
    rows = xp.zeros((0, x.shape[0]), dtype=x.dtype)
    chosen = []
    for _ in range(m):
        i = int(xp.argmax(left))
        pivot = float(left[i])
        if pivot <= enough:
            break
        chosen.append(x[i, :])
        row = covariance(x[i : i + 1, :], x)[0, :] - rows[:, i] @ rows
        row = row / math.sqrt(pivot)
        rows = xp.concat([rows, row[None, :]])
        left = left - row * row
    return xp.stack(chosen)


def _columns(x: Array) -> Array:
    return x[:, None] if x.ndim == 1 else x


class _Factors:
    """The whitened factorisation that both the bound and the prediction use."""

    def __init__(self, K: Array, Phi: Array, y: Array, noise_variance: float):
        xp = namespace(K)
        self.L, self.jitter = jittered_cholesky(K)
        self.A = solve_triangular(self.L, Phi) / math.sqrt(noise_variance)
        gram = self.A @ xp.matrix_transpose(self.A)
        self.explained = float(xp.sum(xp.linalg.diagonal(gram)))  # in units of the noise
        # D = L (I + A A') L', the middle factor of which is always well conditioned.
        self.M, _ = jittered_cholesky(add_to_diagonal(gram, 1.0))
        self.c = solve_triangular(self.M, self.A @ y) / math.sqrt(noise_variance)
        half = solve_triangular(self.M, self.c, transpose=True)
        self.u = solve_triangular(self.L, half, transpose=True)  # D^-1 Phi y / tau^2


def collapsed_bound(
    covariance: Covariance, noise_variance: float, z: Array, x: Array, y: Array
) -> tuple[float, np.ndarray]:
    r"""Return the variational bound on the log marginal likelihood and its gradient.

    Parameters
    ----------
    covariance : Covariance
        The prior's covariance.
    noise_variance : float
        The variance :math:`\tau^2` of the noise.
    z : array, shape (m, d) or (m,)
        The inducing points.
    x : array, shape (n, d) or (n,)
        Points.
    y : array, shape (n,) or (n, c)
        Targets; their columns are independent given the covariance.

    Returns
    -------
    value : float
        The bound, summed over the columns of `y`.
    gradient : numpy.ndarray, shape (p + 1,)
        Its derivatives by ``covariance.theta`` and, last, by :math:`\log\tau^2`.

    Raises
    ------
    ValueError
        If the data do not fit or `noise_variance` is not positive.

    Notes
    -----
    About :math:`6nm^2` flops and :math:`3nm` numbers of memory.
    """
    x, y, _ = regression_data(x, y)
    tau = check_scalar("noise_variance", noise_variance, above=0)
    z = _columns(check_array("z", z, ndim=(1, 2)))
    K, pull_K = check_process("covariance", covariance).vjp(z)
    Phi, pull_Phi = covariance.vjp(z, x)
    variances, pull_variances = covariance.diagonal_vjp(x)
    f = _Factors(K, Phi, y, tau)
    xp = namespace(K)
    n, outputs = y.shape
    squares = float(xp.sum(y * y)) / tau - float(xp.sum(f.c * f.c))
    logs = log_determinant(f.M) + n * math.log(2 * math.pi * tau)
    missing = float(xp.sum(variances)) / tau - f.explained
    value = -0.5 * (squares + outputs * (logs + missing))

    by_K, by_Phi, by_noise = _cotangents(f, Phi, y, tau)
    by_noise = by_noise + 0.5 * outputs * (missing - n)
    by_variances = xp.full((n,), -0.5 * outputs / tau, dtype=x.dtype)
    gradient = pull_K(by_K) + pull_Phi(by_Phi) + pull_variances(by_variances)
    return value, np.append(gradient, by_noise)


def _cotangents(f: _Factors, Phi: Array, y: Array, tau: float) -> tuple[Array, Array, float]:
    r"""Return the bound's derivatives by K, Phi and, in part, the logarithm of the noise.

    With :math:`u = D^{-1}\Phi y/\tau^2` they are
    :math:`\tfrac12(K^{-1} - D^{-1} - uu^\top - K^{-1}\Phi\Phi^\top K^{-1}/\tau^2)` and
    :math:`(u(y - \Phi^\top u)^\top + (K^{-1} - D^{-1})\Phi)/\tau^2`.
    """
    xp = namespace(Phi)
    outputs, identity = y.shape[1], xp.eye(Phi.shape[0], dtype=Phi.dtype)
    inverse_K = cholesky_inverse(f.L)
    whitened = solve_triangular(f.M, solve_triangular(f.L, identity))
    inverse_D = xp.matrix_transpose(whitened) @ whitened
    projected = solve_triangular(f.L, f.A, transpose=True)  # K^-1 Phi / sqrt(tau)
    residual = y - xp.matrix_transpose(Phi) @ f.u
    by_K = outputs * (inverse_K - inverse_D - projected @ xp.matrix_transpose(projected))
    by_K = 0.5 * (by_K - f.u @ xp.matrix_transpose(f.u))
    by_Phi = f.u @ xp.matrix_transpose(residual) / tau
    by_Phi = by_Phi + outputs / tau * (math.sqrt(tau) * projected - inverse_D @ Phi)
    used = float(xp.sum(inverse_D * (Phi @ xp.matrix_transpose(Phi)))) / tau
    by_noise = 0.5 * (float(xp.sum(residual * residual)) / tau + outputs * used)
    return by_K, by_Phi, by_noise


class SparseRegressor:
    """Gaussian process regression through inducing points.

    Parameters
    ----------
    covariance : Covariance
        The prior's covariance; its hyper-parameters are where the search starts.
    z : array, shape (m, d) or (m,)
        The inducing points, which stay where they are.
    noise_variance : float
        The noise's variance, where its search starts.

    Attributes
    ----------
    covariance_ : Covariance
        The covariance with the hyper-parameters found.
    noise_variance_ : float
        The noise's variance found.
    bound_ : float
        The bound on the log marginal likelihood.
    """

    def __init__(self, covariance: Covariance, z: Array, noise_variance: float = 1e-2):
        self.covariance = check_process("covariance", covariance)
        self.z = _columns(check_array("z", z, ndim=(1, 2)))
        self.noise_variance = check_scalar("noise_variance", noise_variance, above=0)

    def fit(self, x: Array, y: Array, *, optimise: bool = True) -> SparseRegressor:
        """Find the hyper-parameters and the posterior of the inducing values.

        Parameters
        ----------
        x : array, shape (n, d) or (n,)
            Points.
        y : array, shape (n,) or (n, c)
            Targets, with prior mean zero.
        optimise : bool
            Search the hyper-parameters by L-BFGS-B on the bound; else keep them.

        Returns
        -------
        SparseRegressor
            This object.

        Raises
        ------
        ValueError
            If the data do not fit.
        """
        x, y, self._single = regression_data(x, y)
        parameters = np.append(self.covariance.theta, math.log(self.noise_variance))
        if optimise:

            def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
                covariance = self.covariance.with_theta(p[:-1])
                value, gradient = collapsed_bound(covariance, math.exp(p[-1]), self.z, x, y)
                return -value, -gradient

            bounds = [(v - 12, v + 12) for v in parameters]
            found = minimize(objective, parameters, jac=True, method="L-BFGS-B", bounds=bounds)
            parameters = found.x
        self.covariance_ = self.covariance.with_theta(parameters[:-1])
        self.noise_variance_ = math.exp(parameters[-1])
        self.bound_ = collapsed_bound(self.covariance_, self.noise_variance_, self.z, x, y)[0]
        Phi = self.covariance_(self.z, x)
        self._factors = _Factors(self.covariance_(self.z), Phi, y, self.noise_variance_)
        return self

    def predict(self, x: Array, *, return_std: bool = False) -> Array | tuple[Array, Array]:
        r"""Return the posterior mean, with the standard deviation if asked.

        Parameters
        ----------
        x : array, shape (n, d) or (n,)
            New points.
        return_std : bool
            Return also the standard deviation of the process, without the noise.

        Returns
        -------
        mean : array, shape (n,) or (n, c)
            :math:`k(x, z)\,u`.
        deviation : array, shape (n,)
            The root of :math:`k(x, x) - k(x, z)(K^{-1} - D^{-1})k(z, x)`.
        """
        cross = self.covariance_(self.z, x)
        xp = namespace(cross)
        mean = xp.matrix_transpose(cross) @ self._factors.u
        mean = mean[:, 0] if self._single else mean
        if not return_std:
            return mean
        known = solve_triangular(self._factors.L, cross)
        uncertain = solve_triangular(self._factors.M, known)
        variance = self.covariance_.diagonal(x) - xp.sum(known * known, axis=0)
        variance = variance + xp.sum(uncertain * uncertain, axis=0)
        return mean, xp.sqrt(xp.where(variance > 0, variance, 0.0))  # below zero only by rounding
