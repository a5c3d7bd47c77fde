r"""Marginals, conditionals and products of Gaussian mixtures, which are Gaussian mixtures again.

A mixture is the triple that `gaussbook.mixture.posterior` takes: log-weights (which need not be
those of a probability), means, and diagonal or full covariances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gaussbook.arrays import Array, Generator, has_masked_values, namespace
from gaussbook.gp.sampling import covariance_root
from gaussbook.mixture.densities import (
    Gaussians,
    check_components,
    log_joint_densities,
    normalise_columns,
)
from gaussbook.validation import check_array

__all__ = ["Mixture", "conditional", "marginal", "moments", "product", "sample_conditional"]


class Mixture(NamedTuple):
    """A Gaussian mixture.

    Attributes
    ----------
    log_weights : array, shape (K,); or (n, K) for `conditional`
        Logarithms of the weights.
    means : array, shape (K, d); or (n, K, d) for `conditional`
        Means.
    covariances : array, shape (K, d) or (K, d, d)
        Diagonal or full covariances.
    """

    log_weights: Array
    means: Array
    covariances: Array


def _check(
    log_weights: Array, means: Array, covariances: Array, suffix: str = ""
) -> tuple[Array, Array, Array, Array | None]:
    """Return the mixture and its Cholesky factors, checked."""
    try:
        means, covariances, cholesky = check_components(means, covariances)
        log_weights = check_array("log_weights", log_weights, shape=(means.shape[0],), finite=False)
        xp = namespace(log_weights)
        largest = float(xp.max(log_weights))
        if not -math.inf < largest < math.inf:
            raise ValueError("log_weights must be below inf, not NaN, and not all -inf")
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise ValueError(f"{name}{suffix} {rest}") from error
    return log_weights, means, covariances, cholesky


def _check_indices(name: str, indices: Sequence[int], d: int) -> list[int]:
    if has_masked_values(indices):
        raise ValueError(f"{name} has masked values: leave them out, or fill them in")
    try:
        result = [int(i) for i in indices if not isinstance(i, bool)]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a sequence of coordinates, got {indices!r}") from error
    if len(result) != len(set(result)) or not result or min(result) < 0 or max(result) >= d:
        raise ValueError(f"{name} must hold different coordinates from 0 to {d - 1}, got {indices}")
    if any(i != j for i, j in zip(result, indices, strict=True)):
        raise ValueError(f"{name} must hold integers, got {indices!r}")
    return result


def _select(covariances: Array, rows: list[int], columns: list[int]) -> Array:
    """Return a block of full covariance matrices."""
    xp = namespace(covariances)
    block = xp.take(covariances, xp.asarray(rows), axis=1)
    return xp.take(block, xp.asarray(columns), axis=2)


def _refuse_overflow(name: str, *results: Array) -> None:
    for result in results:
        xp = namespace(result)
        if not bool(xp.all(xp.isfinite(result))):
            raise ValueError(f"{name} holds numbers so large that the result overflows")


def marginal(log_weights: Array, means: Array, covariances: Array, keep: Sequence[int]) -> Mixture:
    r"""Marginal law of some coordinates.

    .. math::
        p(x_A)=\sum_k w_kN(x_A\mid\mu_{k,A},\Sigma_{k,AA})

    Parameters
    ----------
    log_weights, means, covariances : array, shape (K,), (K, d), (K, d) or (K, d, d)
        The mixture.
    keep : sequence of int
        The coordinates A, in the order wanted.

    Returns
    -------
    Mixture
        Over the kept coordinates.

    Raises
    ------
    ValueError
        If the mixture is not one, or `keep` is empty, repeats or leaves 0 to d - 1.
    """
    log_weights, means, covariances, _ = _check(log_weights, means, covariances)
    keep = _check_indices("keep", keep, means.shape[1])
    xp = namespace(means)
    index = xp.asarray(keep)
    if covariances.ndim == 2:
        kept = xp.take(covariances, index, axis=1)
    else:
        kept = _select(covariances, keep, keep)
    return Mixture(log_weights, xp.take(means, index, axis=1), kept)


def conditional(
    log_weights: Array, means: Array, covariances: Array, given: Sequence[int], values: Array
) -> Mixture:
    r"""Conditional laws of the other coordinates, one for each row of given values.

    .. math::
        p(x_A\mid x_B=b)=\sum_k r_k(b)\,
        N\bigl(x_A\mid\mu_{k,A}+\Sigma_{k,AB}\Sigma_{k,BB}^{-1}(b-\mu_{k,B}),\;
        \Sigma_{k,AA}-\Sigma_{k,AB}\Sigma_{k,BB}^{-1}\Sigma_{k,BA}\bigr)

    with the responsibilities :math:`r_k(b)` of the marginal mixture of :math:`x_B`.

    Parameters
    ----------
    log_weights, means, covariances : array, shape (K,), (K, d), (K, d) or (K, d, d)
        The mixture.
    given : sequence of int
        The coordinates B, fewer than d.
    values : array, shape (n, len(given))
        The values b.

    Returns
    -------
    Mixture
        Log-weights (n, K), normalised; means (n, K, d - len(given)); covariances, which do not
        depend on b, (K, d - len(given)) or a matrix for each component.  The coordinates A keep
        their order.

    Raises
    ------
    ValueError
        If the mixture is not one, `given` does not fit it or `values` does not fit `given`.
    """
    log_weights, means, covariances, _ = _check(log_weights, means, covariances)
    d = means.shape[1]
    given = _check_indices("given", given, d)
    values = check_array("values", values, shape=(None, len(given)))
    rest = [i for i in range(d) if i not in given]
    if not rest:
        raise ValueError("given must leave a coordinate over")
    xp = namespace(means, values)
    law = marginal(log_weights, means, covariances, given)
    try:
        log_joint = log_joint_densities(values, *law)
        log_density, _ = normalise_columns(xp.matrix_transpose(log_joint))
    except ValueError as error:
        raise ValueError(f"values: {error}") from error
    log_shares = log_joint - log_density[:, None]
    return Mixture(log_shares, *_regressions(means, covariances, given, rest, values))


def _regressions(
    means: Array, covariances: Array, given: list[int], rest: list[int], values: Array
) -> tuple[Array, Array]:
    """Return each component's conditional means (n, K, m) and covariances."""
    xp = namespace(means)
    index = xp.asarray(rest)
    others = xp.take(means, index, axis=1)
    if covariances.ndim == 2:
        shape = (values.shape[0], *others.shape)
        return xp.broadcast_to(others, shape), xp.take(covariances, index, axis=1)
    known = xp.take(means, xp.asarray(given), axis=1)
    # With S_BB^-1 = P P^T the gain is (S_AB P) P^T, and what it explains a symmetric square.
    factors = Gaussians(known, _select(covariances, given, given)).precision_factors
    half = _select(covariances, rest, given) @ factors
    gain = half @ xp.matrix_transpose(factors)
    offsets = xp.permute_dims(values[:, None, :] - known, (1, 2, 0))
    shifts = xp.permute_dims(gain @ offsets, (2, 0, 1))
    unexplained = _select(covariances, rest, rest) - half @ xp.matrix_transpose(half)
    _refuse_overflow("values", shifts, unexplained)
    return others + shifts, unexplained


def product(
    log_weights_a: Array,
    means_a: Array,
    covariances_a: Array,
    log_weights_b: Array,
    means_b: Array,
    covariances_b: Array,
) -> Mixture:
    r"""Pointwise product of two mixtures, exactly (not normalised).

    .. math::
        N(x\mid a,A)\,N(x\mid b,B)=N(a\mid b,A+B)\;N(x\mid c,C),\qquad
        C=A-A(A+B)^{-1}A,\quad c=a+A(A+B)^{-1}(b-a)

    Parameters
    ----------
    log_weights_a, means_a, covariances_a : array
        The first mixture, of J components.
    log_weights_b, means_b, covariances_b : array
        The second, of K components; its covariances diagonal if and only if the first's are.

    Returns
    -------
    Mixture
        Of J K components, those of the second mixture changing fastest.  The log-sum-exp of the
        log-weights is the logarithm of the product's integral.

    Raises
    ------
    ValueError
        If an argument is no mixture, dimensions or kinds of covariances differ, or two components
        are so far apart that the square of their distance overflows.
    """
    log_a, a, cov_a, _ = _check(log_weights_a, means_a, covariances_a, "_a")
    log_b, b, cov_b, _ = _check(log_weights_b, means_b, covariances_b, "_b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"means_b must have {a.shape[1]} columns like means_a, got {b.shape[1]}")
    if cov_a.ndim != cov_b.ndim:
        raise ValueError("covariances_b must be diagonal if and only if covariances_a are")
    xp = namespace(a, b)
    n_pairs = a.shape[0] * b.shape[0]

    def pairs(of_a: Array, of_b: Array) -> tuple[Array, Array]:
        both = xp.broadcast_arrays(of_a[:, None, ...], of_b[None, ...])
        return tuple(xp.reshape(x, (n_pairs, *x.shape[2:])) for x in both)

    log_a, log_b = pairs(log_a, log_b)
    overlap, means, covariances = _products(*pairs(a, b), *pairs(cov_a, cov_b))
    # Two components of which one is switched off may be any distance apart.
    overlap = xp.where(log_a + log_b > -math.inf, overlap, 0.0)
    _refuse_overflow("means_b", overlap, means, covariances)
    return Mixture(log_a + log_b + overlap, means, covariances)


def _products(a: Array, b: Array, cov_a: Array, cov_b: Array) -> tuple[Array, Array, Array]:
    """Return log-integrals, means and covariances of products of paired Gaussians."""
    xp = namespace(a)
    between = Gaussians(xp.zeros_like(a), cov_a + cov_b)
    factors, offsets = between.precision_factors, b - a
    if cov_a.ndim == 2:
        white, share = offsets * factors, cov_a * factors**2
        means, covariances = a + share * offsets, share * cov_b
    else:
        white = (offsets[:, None, :] @ factors)[:, 0, :]
        half = cov_a @ factors
        means = a + (half @ white[:, :, None])[:, :, 0]
        # (I - G) A (I - G)^T + G B G^T equals A - G A, but stays positive definite when rounded.
        gain = half @ xp.matrix_transpose(factors)
        left = xp.eye(a.shape[1], dtype=a.dtype) - gain
        covariances = left @ cov_a @ xp.matrix_transpose(left)
        covariances = covariances + gain @ cov_b @ xp.matrix_transpose(gain)
        covariances = 0.5 * (covariances + xp.matrix_transpose(covariances))
    return between.log_constants - 0.5 * xp.sum(white**2, axis=1), means, covariances


def moments(log_weights: Array, means: Array, covariances: Array) -> tuple[Array, Array]:
    r"""Mean and covariance matrix of a mixture (of its normalised weights).

    .. math::
        m=\sum_kw_k\mu_k,\qquad S=\sum_kw_k\bigl(\Sigma_k+(\mu_k-m)(\mu_k-m)^\top\bigr)

    Parameters
    ----------
    log_weights, means, covariances : array, shape (K,), (K, d), (K, d) or (K, d, d)
        The mixture.

    Returns
    -------
    mean : array, shape (d,)
        :math:`m`.
    covariance : array, shape (d, d)
        :math:`S`.

    Raises
    ------
    ValueError
        If the mixture is not one, or its moments overflow.
    """
    log_weights, means, covariances, _ = _check(log_weights, means, covariances)
    xp = namespace(means)
    weights = xp.exp(log_weights - xp.max(log_weights))
    weights = weights / xp.sum(weights)
    mean = weights @ means
    offsets = means - mean
    between = xp.matrix_transpose(offsets * weights[:, None]) @ offsets
    if covariances.ndim == 2:
        within = xp.eye(means.shape[1], dtype=means.dtype) * (weights @ covariances)
    else:
        within = xp.sum(weights[:, None, None] * covariances, axis=0)
    _refuse_overflow("means", mean, within + between)
    return mean, within + between


def sample_conditional(
    log_weights: Array,
    means: Array,
    covariances: Array,
    given: Sequence[int],
    values: Array,
    rng: Generator,
) -> Array:
    r"""Draw the other coordinates once for each row of given values.

    A component is drawn by its responsibility :math:`r_k(b)` (the largest of
    :math:`\log r_k(b)` plus Gumbel noise), then a point of its conditional Gaussian.

    Parameters
    ----------
    log_weights, means, covariances, given, values
        As in `conditional`.
    rng : Generator
        Source of the draws.

    Returns
    -------
    array, shape (n, d - len(given))
        The draws, coordinates in their order.

    Raises
    ------
    ValueError
        As `conditional`.
    """
    law = conditional(log_weights, means, covariances, given, values)
    xp = namespace(law.means)
    n, n_components, d = law.means.shape
    gumbel = xp.asarray(rng.host.gumbel(size=(n, n_components)))
    noise = xp.asarray(rng.host.standard_normal((n, d)))
    labels = xp.argmax(law.log_weights + gumbel, axis=1)
    # One number for each (row, component) pair: row i, component k is row i K + k.
    flat = xp.reshape(law.means, (n * n_components, d))
    chosen = xp.take(flat, xp.arange(n) * n_components + labels, axis=0)
    if law.covariances.ndim == 2:
        return chosen + noise * xp.take(xp.sqrt(law.covariances), labels, axis=0)
    roots = covariance_root(law.covariances, float(xp.max(xp.asarray(covariances))))
    steps = xp.zeros((n, d), dtype=flat.dtype)
    for k in range(n_components):  # a component at a time: no n × d × d array of factors
        own = xp.astype(labels == k, flat.dtype)[:, None]
        steps = steps + own * (noise @ xp.matrix_transpose(roots[k, :, :]))
    return chosen + steps
