r"""The normal-inverse-Wishart prior of a Gaussian: evidence, posterior and predictive density.

.. math::
    \Sigma\sim\mathrm{IW}(\Psi,\nu),\qquad \mu\mid\Sigma\sim N(m,\Sigma/\kappa)

is conjugate: what a set of points says enters through its number, mean and scatter, and all
functions here take these for many sets at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, multigammaln

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.blocks import row_blocks
from gaussbook.validation import (
    check_array,
    check_covariance,
    check_integer,
    check_scalar,
    try_cholesky,
)

__all__ = [
    "ClusterStatistics",
    "NormalInverseWishart",
    "cluster_statistics",
    "niw_log_evidence",
    "niw_log_predictive",
    "niw_posterior",
]


class NormalInverseWishart(NamedTuple):
    r"""A normal-inverse-Wishart law, or a batch of them.

    Attributes
    ----------
    mean : array, shape (..., d)
        The centre :math:`m` of the mean.
    kappa : float or array, shape (...)
        How many points the centre is worth, positive.
    nu : float or array, shape (...)
        Degrees of freedom, above d - 1.
    psi : array, shape (..., d, d)
        The scale :math:`\Psi`, in squared units of the points.
    """

    mean: Array
    kappa: Array
    nu: Array
    psi: Array


class ClusterStatistics(NamedTuple):
    """What `cluster_statistics` returns: counts (K,), means (K, d) and scatters (K, d, d)."""

    counts: Array
    means: Array
    scatters: Array


def cluster_statistics(x: Array, labels: Array, n_clusters: int) -> ClusterStatistics:
    r"""Return number, mean and scatter of the points of each cluster.

    .. math::
        N_k=\#\{i:l_i=k\},\qquad \bar x_k=\frac1{N_k}\sum_{l_i=k}x_i,\qquad
        S_k=\sum_{l_i=k}(x_i-\bar x_k)(x_i-\bar x_k)^\top

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    labels : integer array, shape (n,)
        Cluster of each point, from 0 to K - 1; a negative one leaves the point out.
    n_clusters : int
        Number of clusters K.

    Returns
    -------
    ClusterStatistics
        In float64.  An empty cluster has mean and scatter zero.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    :math:`nKd^2` multiply-adds; differences are taken before they are multiplied.
    """
    x = check_array("x", x, ndim=2)
    labels = check_array("labels", labels, shape=(x.shape[0],), integers=True)
    n_clusters = check_integer("n_clusters", n_clusters, at_least=1)
    xp = namespace(x, labels)
    if bool(xp.any(labels >= n_clusters)):
        raise ValueError(f"labels must be below n_clusters = {n_clusters}")
    x = xp.astype(x, xp.float64, copy=False)
    (n, d), clusters = x.shape, xp.arange(n_clusters)[:, None]
    blocks = list(row_blocks(n, max(n_clusters, d * d), x))
    members = [xp.astype(clusters == labels[rows], xp.float64) for rows in blocks]
    centre = xp.mean(x, axis=0)  # the sums then lose no digits to a common offset
    counts = sum(xp.sum(m, axis=1) for m in members)
    sums = sum(m @ (x[rows, :] - centre) for m, rows in zip(members, blocks, strict=True))
    present = counts > 0
    means = xp.where(present[:, None], centre + sums / xp.where(present, counts, 1.0)[:, None], 0.0)
    scatters = 0.0
    for m, rows in zip(members, blocks, strict=True):
        own = xp.take(means, xp.where(labels[rows] < 0, 0, labels[rows]), axis=0)
        offsets = x[rows, :] - own
        squares = xp.reshape(offsets[:, :, None] * offsets[:, None, :], (offsets.shape[0], d * d))
        scatters = scatters + m @ squares
    return ClusterStatistics(counts, means, xp.reshape(scatters, (n_clusters, d, d)))


def _checked(prior: NormalInverseWishart) -> NormalInverseWishart:
    """Return one law, not a batch, checked."""
    if not isinstance(prior, tuple) or len(prior) != 4:
        raise ValueError("prior must be a NormalInverseWishart (mean, kappa, nu, psi)")
    try:
        mean = check_array("mean", prior[0], ndim=1)
        d = mean.shape[0]
        kappa = check_scalar("kappa", prior[1], above=0)
        nu = check_scalar("nu", prior[2], above=d - 1)
        psi, _ = check_covariance("psi", check_array("psi", prior[3], shape=(d, d)))
    except ValueError as error:
        raise ValueError(f"prior: {error}") from error
    return NormalInverseWishart(mean, kappa, nu, psi)


def niw_posterior(
    counts: Array, means: Array, scatters: Array, prior: NormalInverseWishart
) -> NormalInverseWishart:
    r"""Return the posterior of each set of points.

    .. math::
        \kappa^*=\kappa+N,\quad \nu^*=\nu+N,\quad m^*=\frac{\kappa m+N\bar x}{\kappa^*},\quad
        \Psi^*=\Psi+S+\frac{\kappa N}{\kappa^*}(\bar x-m)(\bar x-m)^\top

    Parameters
    ----------
    counts, means, scatters : array, shape (K,), (K, d), (K, d, d)
        Numbers of points, means, and scatters about these means (`cluster_statistics`).
    prior : NormalInverseWishart
        One law, with mean (d,).

    Returns
    -------
    NormalInverseWishart
        A batch of K laws.

    Raises
    ------
    ValueError
        If shapes do not fit, a count is negative, or the prior is none.
    """
    prior = _checked(prior)
    d = prior.mean.shape[0]
    counts = check_array("counts", counts, ndim=1)
    means = check_array("means", means, shape=(counts.shape[0], d))
    scatters = check_array("scatters", scatters, shape=(counts.shape[0], d, d))
    xp = namespace(counts, means, scatters, prior.mean, prior.psi)
    if bool(xp.any(counts < 0)):
        raise ValueError("counts holds negative values")
    kappa = prior.kappa + counts
    offsets = xp.where(counts[:, None] > 0, means - prior.mean, 0.0)
    shrunk = (prior.kappa * counts / kappa)[:, None, None]
    psi = prior.psi + scatters + shrunk * offsets[:, :, None] * offsets[:, None, :]
    return NormalInverseWishart(
        prior.mean + (counts / kappa)[:, None] * offsets, kappa, prior.nu + counts, psi
    )


def niw_log_evidence(
    counts: Array, means: Array, scatters: Array, prior: NormalInverseWishart
) -> Array:
    r"""Return the log marginal likelihood of each set of points under one Gaussian.

    .. math::
        \log p(X)=-\tfrac{Nd}2\log\pi+\log\frac{\Gamma_d(\nu^*/2)}{\Gamma_d(\nu/2)}
        +\tfrac\nu2\log|\Psi|-\tfrac{\nu^*}2\log|\Psi^*|+\tfrac d2\log\frac{\kappa}{\kappa^*}

    with the parameters of `niw_posterior` (Murphy, 2007, "Conjugate Bayesian analysis of the
    Gaussian distribution").

    Parameters
    ----------
    counts, means, scatters, prior
        As for `niw_posterior`.

    Returns
    -------
    array, shape (K,)
        :math:`\log p(X_k)`, in nats; 0 for an empty set.

    Raises
    ------
    ValueError
        As `niw_posterior`, or if a scatter is so far from positive semi-definite that
        :math:`\Psi^*` has no Cholesky factor.

    Notes
    -----
    One Cholesky factor for each set, :math:`d^3/3` multiply-adds.
    """
    posterior = niw_posterior(counts, means, scatters, prior)
    xp = namespace(posterior.psi)
    d = posterior.mean.shape[1]
    log_gamma = multigammaln(to_host(posterior.nu) / 2, d) - multigammaln(prior.nu / 2, d)
    of_prior, of_posterior = (_log_determinants("scatters", p) for p in (prior.psi, posterior.psi))
    return (
        xp.asarray(log_gamma)
        - 0.5 * d * math.log(math.pi) * (posterior.nu - prior.nu)
        + 0.5 * (prior.nu * of_prior - posterior.nu * of_posterior)
        + 0.5 * d * (math.log(prior.kappa) - xp.log(posterior.kappa))
    )


def _log_determinants(name: str, matrices: Array) -> Array:
    factors = try_cholesky(check_array(name, matrices))
    if factors is None:
        raise ValueError(f"{name} and the prior's psi add up to no positive definite matrix")
    xp = namespace(factors)
    return 2 * xp.sum(xp.log(xp.linalg.diagonal(factors)), axis=-1)


def niw_log_predictive(x: Array, law: NormalInverseWishart) -> Array:
    r"""Return the log density of a new point: a Student's t with :math:`\nu-d+1` degrees.

    .. math::
        x\sim t_{\nu-d+1}\Bigl(m,\ \frac{\kappa+1}{\kappa(\nu-d+1)}\Psi\Bigr)

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    law : NormalInverseWishart
        A batch of K laws (`niw_posterior`): mean (K, d), kappa (K,), nu (K,), psi (K, d, d).

    Returns
    -------
    array, shape (n, K)
        Log densities in nats.

    Raises
    ------
    ValueError
        If shapes do not fit, or a law is none.
    """
    x = check_array("x", x, ndim=2)
    d = x.shape[1]
    mean = check_array("law.mean", law.mean, shape=(None, d))
    K = mean.shape[0]
    kappa = check_array("law.kappa", law.kappa, shape=(K,))
    nu = check_array("law.nu", law.nu, shape=(K,))
    psi, factors = check_covariance("law.psi", check_array("law.psi", law.psi, shape=(K, d, d)))
    xp = namespace(x, mean, psi)
    if bool(xp.any(kappa <= 0)):
        raise ValueError("law.kappa must be positive")
    if bool(xp.any(nu <= d - 1)):
        raise ValueError(f"law.nu must be above {d - 1}")
    freedom, stretch = nu - d + 1, (kappa + 1) / kappa
    offsets = xp.matrix_transpose(x[None, :, :] - mean[:, None, :])
    whitened = xp.linalg.solve(factors, offsets)
    squares = xp.sum(whitened * whitened, axis=1) / stretch[:, None]
    host = np.asarray(to_host(freedom), dtype=float)
    log_gamma = xp.asarray(gammaln((host + d) / 2) - gammaln(host / 2))
    log_determinant = 2 * xp.sum(xp.log(xp.linalg.diagonal(factors)), axis=-1)
    at_centre = log_gamma - 0.5 * (d * xp.log(math.pi * stretch) + log_determinant)
    logs = at_centre[:, None] - 0.5 * (freedom + d)[:, None] * xp.log1p(squares)
    return xp.matrix_transpose(logs)
