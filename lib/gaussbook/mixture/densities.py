r"""Log-densities of Gaussian components and posterior responsibilities, in the log domain.

A Gaussian log-density is linear in the features :math:`(1, u_i, u_i u_j)` of :math:`u = x - c`,
so that those of all components are one matrix product.  Expanding the square like this loses
digits when a component is narrow against the distance between the components; such mixtures are
recognised beforehand and evaluated as :math:`-\tfrac12\lVert P_k^\top(x-\mu_k)\rVert^2` instead,
with :math:`P_k P_k^\top=\Sigma_k^{-1}`.  Rows are taken in blocks that stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from array_api_compat import is_cupy_array

from gaussbook import kernels
from gaussbook.arrays import Array, namespace
from gaussbook.blocks import row_blocks
from gaussbook.logsumexp import normalise
from gaussbook.mixture.launch import LARGEST_KERNEL_DIMENSION, posterior_launch
from gaussbook.validation import check_array, check_covariance

__all__ = ["component_log_densities", "posterior"]

_LOG_2PI = math.log(2 * math.pi)
_EXPANSION_ERROR = 1e-11  # largest rounding error accepted for the expanded square
# Numbers in a temporary of a block.  In float64 it is just below the 128 KiB from which on the C
# library may ask the system for fresh pages every time, as it does in Dask's workers: three times
# slower.
_CACHE_ELEMENTS = 2**14 - 64
_FEWEST_ROWS = 256
_OVERFLOW = "x holds points so far from the components that their log-density overflows"
_LARGEST_EXPANDED_DIMENSION = 32  # beyond it the d(d+1)/2 features no longer pay


class Gaussians:
    r"""K Gaussian components, prepared for fast evaluation.

    Parameters
    ----------
    means : array, shape (K, d)
        Means :math:`\mu_k`.
    covariances : array, shape (K, d) or (K, d, d)
        Variances of diagonal components, or full covariance matrices.
    cholesky : array, shape (K, d, d), optional
        Lower Cholesky factors of full covariances where the caller has them already.
    log_weights : array, shape (K,), optional
        Added to the log-densities.

    Attributes
    ----------
    precision_factors : array, shape (K, d) or (K, d, d)
        :math:`1/\sigma_k`, or the upper triangular :math:`P_k` with
        :math:`P_kP_k^\top=\Sigma_k^{-1}`.
    log_constants : array, shape (K,)
        :math:`\log w_k+\log\det P_k-\tfrac d2\log 2\pi`.
    expanded : bool
        Whether the expanded square is accurate enough and used.
    """

    def __init__(
        self,
        means: Array,
        covariances: Array,
        cholesky: Array | None = None,
        log_weights: Array | None = None,
    ):
        xp = namespace(means)
        d = means.shape[1]
        self.means, self.diagonal = means, covariances.ndim == 2
        if self.diagonal:
            variances = covariances
            self.precision_factors = 1 / xp.sqrt(covariances)
            scales = self.precision_factors
        else:
            if cholesky is None:
                cholesky = xp.linalg.cholesky(covariances)
            variances = xp.linalg.diagonal(covariances)
            # The transpose is upper triangular: the solver's elimination finds nothing to do or to
            # pivot, so this is plain back substitution, accurate whatever the scales.
            self.precision_factors = xp.linalg.solve(
                xp.matrix_transpose(cholesky),
                xp.broadcast_to(xp.eye(d, dtype=means.dtype), covariances.shape),
            )
            scales = xp.linalg.diagonal(self.precision_factors)
        self.log_constants = xp.sum(xp.log(scales), axis=1) - d * _LOG_2PI / 2
        if log_weights is not None:
            self.log_constants = self.log_constants + log_weights
        self.centre = xp.mean(means, axis=0)
        self.expanded = False
        if can_be_expanded(d, self.diagonal):
            self._expand(variances)

    def _expand(self, variances: Array) -> None:
        """Find the coefficients of the features, and whether they are accurate enough."""
        xp = namespace(variances)
        offsets, factors = self.means - self.centre, self.precision_factors
        # Every point that matters lies within about `reach` of the centre in each coordinate, so
        # the terms of the expanded square add up to at most `size`.
        reach = xp.max(xp.abs(offsets) + xp.sqrt(variances), axis=0)
        if self.diagonal:
            precisions = factors**2
            linear = precisions * offsets
            size = xp.max(xp.sum(precisions * reach**2, axis=1))
            quadratic = [-0.5 * precisions]
        else:
            precisions = factors @ xp.matrix_transpose(factors)
            linear = (precisions @ offsets[:, :, None])[:, :, 0]
            size = xp.max(xp.sum(xp.abs(precisions) * reach[:, None] * reach, axis=(1, 2)))
            quadratic = []
            for i in range(reach.shape[0]):
                quadratic += [-0.5 * precisions[:, i, i : i + 1], -precisions[:, i, i + 1 :]]
        constant = self.log_constants - 0.5 * xp.sum(linear * offsets, axis=1)
        self.coefficients = xp.concat([constant[:, None], linear, *quadratic], axis=1)
        self.expanded = float(size) * float(xp.finfo(reach.dtype).eps) <= _EXPANSION_ERROR

    def log_densities(self, columns: Array, features: Array | None = None) -> Array:
        r"""Return :math:`\log w_k + \log N(x_i\mid\mu_k,\Sigma_k)`.

        Parameters
        ----------
        columns : array, shape (d, n)
            The points, one a column.
        features : array, shape (p, n), optional
            `quadratic_features` of the columns about the centre where the caller has them.

        Returns
        -------
        array, shape (K, n)
            The log-densities.
        """
        xp = namespace(columns)
        if self.expanded:
            if features is None:
                features = quadratic_features(columns, self.centre, self.diagonal)
            return self.coefficients @ features
        n_components = self.means.shape[0]
        result = xp.empty((n_components, columns.shape[1]), dtype=columns.dtype)
        factors = self.precision_factors
        for k in range(n_components):
            white = columns - self.means[k, :][:, None]
            if self.diagonal:
                white *= factors[k, :][:, None]
            else:
                white = xp.matrix_transpose(factors[k, :, :]) @ white
            white *= white
            result[k, :] = self.log_constants[k] - 0.5 * xp.sum(white, axis=0)
        return result


def quadratic_features(
    columns: Array, centre: Array, diagonal: bool, out: Array | None = None
) -> Array:
    r"""Return :math:`(1, u_i, u_i^2)`, or :math:`(1, u_i, u_iu_j)_{i\le j}`, of each column.

    Parameters
    ----------
    columns : array, shape (d, n)
        Points, one a column.
    centre : array, shape (d,)
        The point :math:`c` in :math:`u = x - c`.
    diagonal : bool
        Whether to leave out the products of different coordinates.
    out : array, shape (features, n or more), optional
        Memory for the result: that of the last block, as fresh memory costs more than the products.

    Returns
    -------
    array, shape (1 + 2 d, n) or (1 + d + d (d + 1) / 2, n)
        The features, products in the order of the rows of the upper triangle.
    """
    xp = namespace(columns)
    d, n = columns.shape
    if out is None:
        out = xp.empty((feature_count(d, diagonal), n), dtype=columns.dtype)
    features = out[:, :n]
    features[0, :] = 1.0
    features[1 : d + 1, :] = columns - centre[:, None]
    columns = features[1 : d + 1, :]
    if diagonal:
        features[d + 1 :, :] = columns * columns
        return features
    row = d + 1
    for i in range(d):
        features[row : row + d - i, :] = columns[i, :] * columns[i:, :]
        row += d - i
    return features


def can_be_expanded(d: int, diagonal: bool) -> bool:
    """Return whether there are few enough `quadratic_features` for them to pay."""
    return diagonal or d <= _LARGEST_EXPANDED_DIMENSION


def feature_count(d: int, diagonal: bool) -> int:
    """Return the number of `quadratic_features` in `d` dimensions."""
    return 1 + 2 * d if diagonal else 1 + d + d * (d + 1) // 2


def feature_blocks(x: Array, width: int, n_features: int = 0) -> Iterator[slice]:
    """Iterate over row blocks of `x` that stay in the cache.

    Parameters
    ----------
    x : array, shape (n, d)
        The points.
    width : int
        Numbers that a row's temporaries hold.
    n_features : int
        Numbers that a row has in the memory kept from block to block, of which eight times as many
        may be held.
    """
    width = max(width, n_features // 8)
    return row_blocks(x.shape[0], width, x, elements=_CACHE_ELEMENTS, fewest=_FEWEST_ROWS)


def block_columns(x: Array, rows: slice, dtype: Any = None) -> Array:
    """Return some rows as columns, each coordinate side by side in memory."""
    xp = namespace(x)
    columns = xp.empty((x.shape[1], rows.stop - rows.start), dtype=dtype or x.dtype)
    columns[:, :] = xp.astype(xp.matrix_transpose(x[rows, :]), columns.dtype, copy=False)
    return columns


def column_blocks(
    x: Array, gaussians: Gaussians, dtype: Any = None
) -> Iterator[tuple[slice, Array, Array | None]]:
    """Yield row blocks, their points in columns, and the features of these where they are used."""
    n_components, d = gaussians.means.shape
    n_features = feature_count(d, gaussians.diagonal) if gaussians.expanded else 0
    memory = features = None
    for rows in feature_blocks(x, max(n_components, d), n_features):
        columns = block_columns(x, rows, dtype)
        if gaussians.expanded:
            features = quadratic_features(columns, gaussians.centre, gaussians.diagonal, memory)
            memory = features if memory is None else memory
        yield rows, columns, features


def check_components(
    means: Array, covariances: Array, d: int | None = None
) -> tuple[Array, Array, Array | None]:
    """Return checked means and covariances, and the Cholesky factors of full covariances."""
    means = check_array("means", means, shape=(None, d))
    covariances = check_array("covariances", covariances, ndim=(2, 3))
    n_components, d = means.shape
    if tuple(covariances.shape) != (n_components,) + (d,) * (covariances.ndim - 1):
        raise ValueError(
            f"covariances must have shape ({n_components}, {d}) or ({n_components}, {d}, {d}) to "
            f"fit the means, got {tuple(covariances.shape)}"
        )
    xp = namespace(means, covariances)
    if covariances.ndim == 3:
        return means, *check_covariance("covariances", covariances)
    if bool(xp.any(covariances <= 0)):
        raise ValueError("covariances holds variances that are not positive")
    return means, covariances, None


def _prepare(
    x: Array, means: Array, covariances: Array, log_weights: Array | None = None
) -> tuple[Array, Gaussians]:
    x = check_array("x", x, ndim=2)
    means, covariances, cholesky = check_components(means, covariances, x.shape[1])
    xp = namespace(x, means, covariances, log_weights)
    dtype = xp.result_type(x, means, covariances)
    cast = [None if a is None else xp.astype(a, dtype, copy=False)
            for a in (x, means, covariances, cholesky, log_weights)]  # fmt: skip
    return cast[0], Gaussians(*cast[1:])


def component_log_densities(x: Array, means: Array, covariances: Array) -> Array:
    r"""Log-densities of all points under all Gaussian components.

    .. math::
        \ell_{ik} = \log N(x_i\mid\mu_k,\Sigma_k)
        = -\tfrac12 (x_i-\mu_k)^\top\Sigma_k^{-1}(x_i-\mu_k)
          -\tfrac12\log\det\Sigma_k-\tfrac d2\log 2\pi

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    means : array, shape (K, d)
        Means :math:`\mu_k`.
    covariances : array, shape (K, d) or (K, d, d)
        Variances of diagonal components, or full covariance matrices :math:`\Sigma_k`.

    Returns
    -------
    array, shape (n, K)
        The log-densities, with an absolute error near 1e-11 or, where they are large, a relative
        one near 1e-13 (float64).

    Raises
    ------
    ValueError
        If an argument is not finite, the shapes disagree, a covariance is not positive definite, or
        a point is so far from a component that the square of the distance overflows.

    Notes
    -----
    About ``n K d**2`` multiply-adds for full and ``2 n K d`` for diagonal covariances (twice the
    former where the expanded square would lose digits); ``n (d + K)`` numbers moved.
    """
    result = log_joint_densities(x, None, means, covariances)
    if not bool(namespace(result).all(namespace(result).isfinite(result))):
        raise ValueError(_OVERFLOW)
    return result


def log_joint_densities(
    x: Array, log_weights: Array | None, means: Array, covariances: Array
) -> Array:
    """Return `component_log_densities` plus log-weights (K,), where minus infinity is allowed."""
    x, gaussians = _prepare(x, means, covariances, log_weights)
    xp = namespace(x)
    result = xp.empty((x.shape[0], gaussians.means.shape[0]), dtype=x.dtype)
    for rows, columns, features in column_blocks(x, gaussians):
        result[rows, :] = xp.matrix_transpose(gaussians.log_densities(columns, features))
    return result


def normalise_columns(log_joint: Array) -> tuple[Array, Array]:
    """Return the log-sum-exp of each column (K, n), and the columns' softmax.

    Raises
    ------
    ValueError
        If a column is -inf throughout: the density of that point underflows even as a logarithm.
    """
    log_sum, shares = normalise(log_joint, axis=0)
    xp = namespace(log_sum)
    if not bool(xp.all(xp.isfinite(log_sum))):
        raise ValueError(_OVERFLOW)
    return log_sum, shares


def column_posterior(
    gaussians: Gaussians, columns: Array, features: Array | None = None
) -> tuple[Array, Array]:
    """Return log-likelihoods (n,) and responsibilities (K, n) of points in columns (d, n).

    On a GPU one kernel serves where the square cannot be expanded: it takes the place of several
    operations for each component.  An expanded square is one product of matrices there, too.
    """
    kernel = is_cupy_array(columns) and columns.shape[0] <= LARGEST_KERNEL_DIMENSION
    if kernel and not gaussians.expanded:
        xp = namespace(columns)
        log_likelihood, shares = _posterior_kernel(xp.matrix_transpose(columns), gaussians)
        return log_likelihood, xp.matrix_transpose(shares)
    return normalise_columns(gaussians.log_densities(columns, features))


def posterior(
    x: Array, log_weights: Array, means: Array, covariances: Array
) -> tuple[Array, Array]:
    r"""Log-likelihood of each point and responsibilities of the components for it.

    .. math::
        L_i = \log\sum_k w_k N(x_i\mid\mu_k,\Sigma_k),\qquad
        r_{ik} = w_k N(x_i\mid\mu_k,\Sigma_k)\,e^{-L_i}

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    log_weights : array, shape (K,)
        :math:`\log w_k`; -inf switches a component off.  The weights need not sum to one: `L` is
        then the logarithm of the unnormalised mixture, and `r` sums to one all the same.
    means : array, shape (K, d)
        Means :math:`\mu_k`.
    covariances : array, shape (K, d) or (K, d, d)
        Variances of diagonal components, or full covariance matrices :math:`\Sigma_k`.

    Returns
    -------
    log_likelihood : array, shape (n,)
        :math:`L`.
    responsibilities : array, shape (n, K)
        :math:`r`; every row sums to one.

    Raises
    ------
    ValueError
        If an argument is not finite (a log-weight may be -inf, but not all of them), the shapes
        disagree or a covariance is not positive definite.

    Notes
    -----
    The cost of `component_log_densities` and ``n K`` exponentials.  On a GPU up to 64 dimensions
    one kernel does it all: :math:`nK(d^2+2d)` floating-point operations for full and
    :math:`3nKd` for diagonal covariances, ``n (d + 3 K + 1)`` numbers moved.
    """
    means = check_array("means", means, ndim=2)
    log_weights = check_array("log_weights", log_weights, shape=(means.shape[0],), finite=False)
    xp = namespace(log_weights)
    if not float(xp.max(log_weights)) < math.inf or not bool(xp.any(xp.isfinite(log_weights))):
        raise ValueError("log_weights must be below inf, not NaN, and not all -inf")
    x, gaussians = _prepare(x, means, covariances, log_weights)
    if is_cupy_array(x) and x.shape[1] <= LARGEST_KERNEL_DIMENSION:
        return _posterior_kernel(x, gaussians)
    return _posterior_arrays(x, gaussians)


def _posterior_arrays(x: Array, gaussians: Gaussians) -> tuple[Array, Array]:
    xp = namespace(x)
    log_likelihood = xp.empty(x.shape[0], dtype=x.dtype)
    responsibilities = xp.empty((x.shape[0], gaussians.means.shape[0]), dtype=x.dtype)
    for rows, *block in column_blocks(x, gaussians):
        log_likelihood[rows], shares = normalise_columns(gaussians.log_densities(*block))
        responsibilities[rows, :] = xp.matrix_transpose(shares)
    return log_likelihood, responsibilities


def _posterior_kernel(x: Array, gaussians: Gaussians) -> tuple[Array, Array]:
    xp = namespace(x)
    launch = posterior_launch(
        x, gaussians.log_constants, gaussians.means, gaussians.precision_factors
    )
    kernels.load("mixture").get_function(launch.kernel)(launch.grid, launch.block, launch.arguments)
    log_likelihood, responsibilities = launch.results
    if not bool(xp.all(xp.isfinite(log_likelihood))):
        raise ValueError(_OVERFLOW)
    return log_likelihood, responsibilities
