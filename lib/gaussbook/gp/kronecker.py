r"""Gaussian process regression on a full grid, where the covariance is a Kronecker product.

On a grid with axes of lengths :math:`n_1, \ldots, n_D` a product of covariances, one for each
axis, has the matrix :math:`K_1 \otimes \cdots \otimes K_D`.  Its eigenvectors are the products of
those of the factors, so the posterior takes :math:`O(\sum_d n_d^3 + N\sum_d n_d)` operations for
:math:`N = \prod_d n_d` points (Saatçi, 2012).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gaussbook.arrays import Array, namespace
from gaussbook.gp.covariances import Covariance, check_process
from gaussbook.validation import check_array, check_scalar

__all__ = ["GridRegressor", "grid_log_marginal_likelihood", "kronecker_multiply"]


def kronecker_multiply(factors: Sequence[Array], tensor: Array) -> Array:
    r"""Return :math:`(A_1 \otimes \cdots \otimes A_D)\,\mathrm{vec}(T)` as a tensor.

    Parameters
    ----------
    factors : sequence of array, shapes (m_d, n_d)
        The matrices :math:`A_d`.
    tensor : array, shape (n_1, ..., n_D)
        The tensor :math:`T`, in C order.

    Returns
    -------
    array, shape (m_1, ..., m_D)
        The product, by one matrix multiplication for each axis.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    tensor = check_array("tensor", tensor)
    if not isinstance(factors, Sequence) or len(factors) != tensor.ndim:
        raise ValueError(f"factors must be {tensor.ndim} matrices, one for each axis")
    xp = namespace(tensor)
    for d, factor in enumerate(factors):
        factor = check_array(f"factors[{d}]", factor, shape=(None, tensor.shape[d]))
        tensor = xp.moveaxis(xp.tensordot(factor, tensor, axes=([1], [d])), 0, d)
    return tensor


class _Grid:
    """The spectrum of a grid's covariance and the solution of one system with it."""

    def __init__(self, matrices: Sequence[Array], noise_variance: float, y: Array):
        xp = namespace(y)
        self.matrices = list(matrices)
        decompositions = [xp.linalg.eigh(K) for K in matrices]
        self.values = [values for values, _ in decompositions]
        self.vectors = [vectors for _, vectors in decompositions]
        self.spectrum = _outer(self.values) + noise_variance
        if not bool(xp.all(self.spectrum > 0)):
            raise ValueError("noise_variance is too small: the covariance is singular to rounding")
        rotated = kronecker_multiply([xp.matrix_transpose(Q) for Q in self.vectors], y)
        self.alpha = kronecker_multiply(self.vectors, rotated / self.spectrum)
        squares = float(xp.sum(rotated**2 / self.spectrum))
        logs = float(xp.sum(xp.log(self.spectrum))) + y.size * math.log(2 * math.pi)
        self.log_marginal_likelihood = -0.5 * (squares + logs)

    def by_matrix(self, d: int) -> Array:
        r"""Return the derivative of the log-likelihood by :math:`K_d`."""
        xp = namespace(self.alpha)
        axes = [e for e in range(self.alpha.ndim) if e != d]
        others = [xp.eye(K.shape[0]) if e == d else K for e, K in enumerate(self.matrices)]
        weighted = kronecker_multiply(others, self.alpha)
        data = xp.tensordot(self.alpha, weighted, axes=(axes, axes))
        ones = xp.ones_like(self.values[d])
        products = _outer([ones if e == d else v for e, v in enumerate(self.values)])
        trace = xp.sum(products / self.spectrum, axis=tuple(axes)) if axes else 1 / self.spectrum
        Q = self.vectors[d]
        return 0.5 * (data - (Q * trace) @ xp.matrix_transpose(Q))


def _outer(vectors: Sequence[Array]) -> Array:
    """Return the tensor of all products of one entry of each vector."""
    product = vectors[0]
    for vector in vectors[1:]:
        product = product[..., None] * vector
    return product


def _check_grid(
    covariances: Sequence[Covariance], axes: Sequence[Array], y: Array
) -> tuple[list[Array], Array]:
    for d, covariance in enumerate(covariances):
        check_process(f"covariances[{d}]", covariance)
    if len(axes) != len(covariances) or not len(axes):
        raise ValueError(f"axes must be {len(covariances)}, one for each covariance")
    axes = [check_array(f"axes[{d}]", axis, ndim=(1, 2)) for d, axis in enumerate(axes)]
    return axes, check_array("y", y, shape=tuple(axis.shape[0] for axis in axes))


def grid_log_marginal_likelihood(
    covariances: Sequence[Covariance], noise_variance: float, axes: Sequence[Array], y: Array
) -> tuple[float, np.ndarray]:
    r"""Return the log marginal likelihood of values on a grid and its gradient.

    Parameters
    ----------
    covariances : sequence of Covariance
        One for each axis; the prior's covariance is their product.
    noise_variance : float
        The variance of the noise.
    axes : sequence of array, shapes (n_d,) or (n_d, columns)
        The points of each axis.
    y : array, shape (n_1, ..., n_D)
        The values.

    Returns
    -------
    value : float
        The log marginal likelihood.
    gradient : numpy.ndarray
        Its derivatives by the ``theta`` of each covariance in turn and, last, by the logarithm of
        the noise's variance.

    Raises
    ------
    ValueError
        If the shapes do not fit or the covariance is singular.
    """
    axes, y = _check_grid(covariances, axes, y)
    noise_variance = check_scalar("noise_variance", noise_variance, above=0)
    pairs = [k.vjp(axis) for k, axis in zip(covariances, axes, strict=True)]
    grid = _Grid([K for K, _ in pairs], noise_variance, y)
    xp = namespace(y)
    by_noise = 0.5 * noise_variance * float(xp.sum(grid.alpha**2) - xp.sum(1 / grid.spectrum))
    parts = [pullback(grid.by_matrix(d)) for d, (_, pullback) in enumerate(pairs)]
    return grid.log_marginal_likelihood, np.concatenate([*parts, [by_noise]])


class GridRegressor:
    """Gaussian process regression on a full grid.

    Parameters
    ----------
    covariances : sequence of Covariance
        One for each axis; the prior's covariance is their product.
    noise_variance : float
        The variance of the noise.

    Attributes
    ----------
    log_marginal_likelihood_ : float
        The log marginal likelihood of the data.
    """

    def __init__(self, covariances: Sequence[Covariance], noise_variance: float = 1e-2):
        self.covariances = tuple(covariances)
        if not self.covariances:
            raise ValueError("covariances is empty")
        for d, covariance in enumerate(self.covariances):
            check_process(f"covariances[{d}]", covariance)
        self.noise_variance = check_scalar("noise_variance", noise_variance, above=0)

    def fit(self, axes: Sequence[Array], y: Array) -> GridRegressor:
        """Take in the values `y` (n_1, ..., n_D) on the grid of the axes, prior mean zero.

        Parameters
        ----------
        axes : sequence of array, shapes (n_d,) or (n_d, columns)
            The points of each axis.
        y : array, shape (n_1, ..., n_D)
            The values.

        Returns
        -------
        GridRegressor
            This object.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        self._axes, y = _check_grid(self.covariances, axes, y)
        matrices = [k(axis) for k, axis in zip(self.covariances, self._axes, strict=True)]
        self._grid = _Grid(matrices, self.noise_variance, y)
        self.log_marginal_likelihood_ = self._grid.log_marginal_likelihood
        return self

    def predict(
        self, axes: Sequence[Array], *, return_std: bool = False
    ) -> Array | tuple[Array, Array]:
        """Return the posterior mean on another grid, with the deviation if asked.

        Parameters
        ----------
        axes : sequence of array, shapes (m_d,) or (m_d, columns)
            The points of each axis.
        return_std : bool
            Return also the posterior standard deviation of the process, without the noise.

        Returns
        -------
        mean, deviation : array, shape (m_1, ..., m_D)
            The posterior on the grid.

        Raises
        ------
        ValueError
            If the axes do not fit.
        """
        if len(axes) != len(self.covariances):
            raise ValueError(f"axes must be {len(self.covariances)}, one for each covariance")
        triples = list(zip(self.covariances, axes, self._axes, strict=True))
        crosses = [k(new, old) for k, new, old in triples]
        mean = kronecker_multiply(crosses, self._grid.alpha)
        if not return_std:
            return mean
        xp = namespace(mean)
        squares = [(K @ Q) ** 2 for K, Q in zip(crosses, self._grid.vectors, strict=True)]
        prior = _outer([k.diagonal(new) for k, new, _ in triples])
        variance = prior - kronecker_multiply(squares, 1 / self._grid.spectrum)
        return mean, xp.sqrt(xp.where(variance > 0, variance, 0.0))  # below zero only by rounding
