"""The parameters of a Gaussian mixture, and their estimates from sufficient statistics (M-step)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.mixture.densities import Gaussians
from gaussbook.mixture.statistics import Statistics
from gaussbook.validation import try_cholesky

__all__ = ["COVARIANCE_TYPES", "Parameters", "estimate", "lost_digits", "split_heaviest"]

_LARGEST_ERROR = 1e-11  # relative, of a variance, that is accepted

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


class Parameters(NamedTuple):
    """The parameters of a mixture, in scikit-learn's shapes.

    Attributes
    ----------
    covariance_type : str
        ``full``, ``tied``, ``diag`` or ``spherical``.
    weights : array, shape (K,)
        Weights, which sum to one.
    means : array, shape (K, d)
        Means.
    covariances : array
        Shape (K, d, d) for ``full``, (d, d) for ``tied``, (K, d) for ``diag``, (K,) for
        ``spherical``.
    """

    covariance_type: str
    weights: Array
    means: Array
    covariances: Array

    def component_covariances(self) -> Array:
        """Return the covariances, one for each component: shape (K, d) or (K, d, d)."""
        xp = namespace(self.means)
        n_components, d = self.means.shape
        if self.covariance_type == "spherical":
            return xp.broadcast_to(self.covariances[:, None], (n_components, d))
        if self.covariance_type == "tied":
            return xp.broadcast_to(self.covariances, (n_components, d, d))
        return self.covariances

    def gaussians(self) -> Gaussians:
        """Return the weighted components, ready for evaluation.

        Raises
        ------
        ValueError
            If a covariance is not positive definite, or so small that its inverse overflows.
        """
        xp = namespace(self.means)
        covariances, cholesky = self.component_covariances(), None
        tiny = float(xp.finfo(self.weights.dtype).smallest_normal)
        variances = self.covariances
        if self.covariance_type in ("full", "tied"):
            cholesky = try_cholesky(self.covariances)
            if cholesky is None:
                raise ValueError(_COLLAPSED)
            variances = xp.linalg.diagonal(cholesky) ** 2  # of each coordinate given those before
            cholesky = xp.broadcast_to(cholesky, covariances.shape)
        if not bool(xp.all(variances >= tiny)):  # below it, the inverse may be no number
            raise ValueError(_COLLAPSED)
        log_weights = xp.log(xp.maximum(self.weights, xp.asarray(tiny, dtype=self.weights.dtype)))
        return Gaussians(self.means, covariances, cholesky, log_weights)


_COLLAPSED = (
    "reg_covar is too small for these data: a component has collapsed to a covariance that is not "
    "positive definite; raise reg_covar or min_covariance, or take fewer components"
)


def estimate(
    statistics: Statistics, covariance_type: str, reg_covar: float, min_covariance: float | None
) -> tuple[Parameters, int]:
    r"""Return the parameters of highest expected likelihood (the M-step).

    Parameters
    ----------
    statistics : Statistics
        Of full covariances for ``full`` and ``tied``, of diagonal ones otherwise.
    covariance_type : str
        ``full``, ``tied``, ``diag`` or ``spherical``.
    reg_covar : float
        Added to all variances (the diagonal of a covariance).
    min_covariance : float or None
        Eigenvalues of the covariances below it are raised to it.

    Returns
    -------
    parameters : Parameters
        The estimates.
    raised : int
        How many eigenvalues were raised.
    """
    counts, means, covariances = statistics.moments()
    xp = namespace(counts)
    if covariance_type == "tied":
        covariances = xp.sum(counts[:, None, None] * covariances, axis=0) / xp.sum(counts)
    elif covariance_type == "spherical":
        covariances = xp.mean(covariances, axis=1)
    if covariance_type in ("full", "tied"):
        covariances = covariances + reg_covar * xp.eye(means.shape[1], dtype=means.dtype)
    else:
        covariances = covariances + reg_covar
    raised = 0
    if min_covariance is not None:
        covariances, raised = _raise_eigenvalues(covariances, covariance_type, min_covariance)
    return Parameters(covariance_type, counts / xp.sum(counts), means, covariances), raised


def _raise_eigenvalues(covariances: Array, covariance_type: str, floor: float) -> tuple[Array, int]:
    xp = namespace(covariances)
    if covariance_type in ("diag", "spherical"):
        low = covariances < floor
        return xp.where(low, floor, covariances), int(xp.sum(xp.astype(low, xp.int64)))
    values, vectors = xp.linalg.eigh(covariances)
    raised = int(xp.sum(xp.astype(values < floor, xp.int64)))
    if raised == 0:
        return covariances, 0
    values = xp.maximum(values, xp.asarray(floor, dtype=values.dtype))
    return (vectors * values[..., None, :]) @ xp.matrix_transpose(vectors), raised


def lost_digits(statistics: Statistics, parameters: Parameters) -> bool:
    """Return whether a mean lies too far from its reference point for an accurate variance."""
    xp = namespace(parameters.means)
    covariances = parameters.component_covariances()
    variances = covariances if covariances.ndim == 2 else xp.linalg.diagonal(covariances)
    shift = parameters.means - statistics.reference
    error = float(xp.finfo(shift.dtype).eps) * shift**2
    return bool(xp.any(error > _LARGEST_ERROR * variances))


def split_heaviest(parameters: Parameters, dead: Array) -> Parameters:
    """Give every dead component half of the component that is heaviest at the time.

    Both get half of its weight and all of its covariance; their means lie half a standard
    deviation either way along its longest axis.

    Parameters
    ----------
    parameters : Parameters
        The mixture.
    dead : array of int
        The components to be reseeded.

    Returns
    -------
    mixture : Parameters
        The mixture without dead components.
    """
    xp = namespace(parameters.means)
    weights = np.array(to_host(parameters.weights))
    means = np.array(to_host(parameters.means))
    covariances = np.array(to_host(parameters.component_covariances()))
    for k in dead:
        heaviest = int(weights.argmax())
        if covariances.ndim == 2:
            axis = int(covariances[heaviest].argmax())
            step = np.zeros(means.shape[1])
            step[axis] = 0.5 * np.sqrt(covariances[heaviest, axis])
        else:
            values, vectors = np.linalg.eigh(covariances[heaviest])
            step = 0.5 * np.sqrt(values[-1]) * vectors[:, -1]
        weights[[k, heaviest]] = weights[heaviest] / 2
        means[k], means[heaviest] = means[heaviest] + step, means[heaviest] - step
        covariances[k] = covariances[heaviest]
    kept = parameters.covariances
    if parameters.covariance_type in ("full", "diag"):
        kept = xp.asarray(covariances)
    elif parameters.covariance_type == "spherical":
        kept = xp.asarray(np.ascontiguousarray(covariances[:, 0]))
    return Parameters(
        parameters.covariance_type, xp.asarray(weights / weights.sum()), xp.asarray(means), kept
    )
