"""Sliced Wasserstein distances: means of distances on the line over random projections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gaussbook.arrays import Array, Generator, namespace
from gaussbook.blocks import row_blocks
from gaussbook.transport.one_dimensional import Coupling, monotone_coupling, power
from gaussbook.transport.pairs import check_order, check_samples
from gaussbook.validation import check_array, check_integer

__all__ = [
    "projected_moments",
    "random_directions",
    "sliced_wasserstein",
    "sliced_wasserstein_pullback",
    "sliced_wasserstein_terms",
]


def random_directions(L: int, d: int, rng: Generator) -> Array:
    r"""Draw directions uniformly from the unit sphere, as normalised Gaussian vectors.

    Parameters
    ----------
    L : int
        Number of directions.
    d : int
        Dimension.
    rng : Generator
        Source of the draws (`gaussbook.arrays.generator`, or a NumPy generator).

    Returns
    -------
    array, shape (L, d)
        Unit vectors.

    Raises
    ------
    ValueError
        If a size is not a positive integer.
    """
    L, d = check_integer("L", L, at_least=1), check_integer("d", d, at_least=1)
    draws = rng.standard_normal((L, d))
    return draws / namespace(draws).linalg.vector_norm(draws, axis=1, keepdims=True)


def sliced_wasserstein_terms(x: Array, y: Array, theta: Array, p: float = 2) -> Array:
    r"""Wasserstein distances between projections of two samples, to the power p.

    .. math::
        W_l=W_p^p(\theta_l^\top X,\ \theta_l^\top Y)

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    theta : array, shape (L, d)
        Directions, taken as they are (see `random_directions` for unit vectors).
    p : float
        Order, between 1 and 16.

    Returns
    -------
    array, shape (L,)
        One term for each direction, in the p-th power of the unit of the data.

    Raises
    ------
    ValueError
        If samples or directions do not fit together, or a term overflows.

    Notes
    -----
    ``2 L (n + m) d`` operations for the projections, then a sort of each; blocks of directions
    keep the memory bounded.
    """
    x, y, theta, p = _check(x, y, theta, p)
    xp = namespace(x, y, theta)
    coupling = monotone_coupling(x.shape[0], y.shape[0], x)
    terms = []
    for block in _blocks(theta, max(x.shape[0], y.shape[0])):
        ordered = (xp.sort(_project(block, z), axis=1, stable=False) for z in (x, y))
        gaps, mass = _gaps(*ordered, coupling)
        terms.append(_mean_power(gaps, mass, p))
    return _finite(xp.concat(terms))


def sliced_wasserstein(
    x: Array,
    y: Array,
    n_projections: int = 50,
    p: float = 2,
    *,
    theta: Array | None = None,
    rng: Generator | None = None,
) -> float:
    r"""Sliced Wasserstein distance between two samples, by Monte Carlo over directions.

    .. math::
        \mathrm{SW}_p=\Bigl(\frac1L\sum_{l=1}^LW_p^p(\theta_l^\top X,\theta_l^\top Y)\Bigr)^{1/p}

    (Bonneel, Rabin, Peyré and Pfister, 2015).

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    n_projections : int
        Number L of directions to draw from `rng`.
    p : float
        Order, between 1 and 16.
    theta : array, shape (L, d), optional
        The directions themselves, in place of `n_projections` and `rng`.
    rng : Generator, optional
        Source of the directions.

    Returns
    -------
    float
        The distance, in the unit of the data.

    Raises
    ------
    ValueError
        If the samples do not fit together, or neither `theta` nor `rng` is given, or both are.
    """
    x, y = check_samples(x, y)
    if (theta is None) == (rng is None):
        raise ValueError("theta or rng must be given, and not both")
    if theta is None:
        theta = namespace(x).asarray(random_directions(n_projections, x.shape[1], rng))
    terms = sliced_wasserstein_terms(x, y, theta, p)
    return float(namespace(terms).mean(terms)) ** (1 / p)


def sliced_wasserstein_pullback(
    x: Array, y: Array, theta: Array, p: float = 2
) -> tuple[Array, Callable[[Array], Array]]:
    r"""Terms of the sliced distance, and the map of their sensitivities back to the points.

    With the ranks :math:`i\mapsto r_l(i)` of the points along :math:`\theta_l`, for n = m,

    .. math::
        \frac{\partial W_l}{\partial x_i}
        =\frac pn\,\lvert g\rvert^{p-1}\operatorname{sign}(g)\,\theta_l,\qquad
        g=\theta_l^\top x_i-(\theta_l^\top y)_{(r_l(i))}.

    Parameters
    ----------
    x, y, theta, p
        As for `sliced_wasserstein_terms`.

    Returns
    -------
    terms : array, shape (L,)
        The terms :math:`W_l`.
    pullback : callable
        Takes weights :math:`c` of shape (L,) and returns the gradient
        :math:`\sum_lc_l\,\partial W_l/\partial x` of shape (n, d).  It holds ``L n`` numbers.

    Raises
    ------
    ValueError
        As `sliced_wasserstein_terms`.

    Notes
    -----
    The terms are differentiable where no two projections coincide, which is almost everywhere;
    elsewhere each term has a gradient that is the limit of those at points nearby (and, where
    g = 0 for p = 1, zero): points that coincide may get different ones.
    """
    x, y, theta, p = _check(x, y, theta, p)
    xp = namespace(x, y, theta)
    projected = _project(theta, x)
    order = xp.argsort(projected, axis=1, stable=False)
    coupling = monotone_coupling(x.shape[0], y.shape[0], x)
    along = xp.take_along_axis(projected, order, axis=1)
    targets = xp.sort(_project(theta, y), axis=1, stable=False)
    gaps, mass = _gaps(along, targets, coupling)
    terms = _finite(_mean_power(gaps, mass, p))
    slopes = p * xp.sign(gaps) * power(gaps, p - 1) if p != 2 else 2 * gaps
    slopes = slopes / x.shape[0] if coupling is None else _sum_of_ranks(slopes * mass, coupling)
    # the inverse permutation takes the place of a scatter
    ranks = xp.argsort(order, axis=1, stable=False)
    slopes = xp.take_along_axis(slopes, ranks, axis=1)

    def pullback(weights: Array) -> Array:
        weights = check_array("weights", weights, shape=(theta.shape[0],))
        return xp.matrix_transpose(slopes) @ (weights[:, None] * theta)

    return terms, pullback


def projected_moments(x: Array, theta: Array) -> tuple[Array, Array]:
    r"""Means and variances of a sample's projections.

    .. math::
        m(\theta)=\theta^\top\bar x,\qquad
        \sigma^2(\theta)=\frac1n\sum_i\bigl(\theta^\top(x_i-\bar x)\bigr)^2

    The variance is that of the empirical distribution (divided by n), so that its mean over the
    unit sphere is :math:`\operatorname{tr}\hat\Sigma/d` exactly.

    Parameters
    ----------
    x : array, shape (n, d)
        The sample.
    theta : array, shape (L, d)
        Directions.

    Returns
    -------
    mean, variance : array, shape (L,)
        The moments, in the unit of the data and in its square.

    Raises
    ------
    ValueError
        If the arguments are not finite matrices of one width.
    """
    x, _, theta, _ = _check(x, x, theta, 2)
    xp = namespace(x, theta)
    centre = xp.mean(x, axis=0)
    centred = x - centre
    if x.shape[1] <= theta.shape[0]:  # the covariance costs n d², all projections L n d
        product = theta @ (xp.matrix_transpose(centred) @ centred)
        variance = xp.vecdot(product, theta) / x.shape[0]
        variance = xp.where(variance > 0, variance, 0.0)  # rounding, where a direction is empty
    else:
        blocks = (_project(block, centred) for block in _blocks(theta, x.shape[0]))
        variance = xp.concat([xp.vecdot(block, block) / x.shape[0] for block in blocks])
    return theta @ centre, _finite(variance)


def _check(x: Array, y: Array, theta: Array, p: float) -> tuple[Array, Array, Array, float]:
    x, y = check_samples(x, y)
    theta = check_array("theta", theta, shape=(None, x.shape[1]))
    xp = namespace(x, y, theta)
    if float(xp.max(xp.abs(theta))) > 1e150:
        raise ValueError("theta holds directions so long that projections overflow")
    return x, y, xp.astype(theta, xp.float64, copy=False), check_order(p)


def _blocks(theta: Array, n: int) -> Iterator[Array]:
    return (theta[rows, :] for rows in row_blocks(theta.shape[0], n, theta))


def _project(theta: Array, x: Array) -> Array:
    """Return the projections, one row for each direction: sorting wants them contiguous."""
    return theta @ namespace(x).matrix_transpose(x)


def _gaps(x: Array, y: Array, coupling: Coupling | None) -> tuple[Array, Array | None]:
    """Return the moves of the monotone plan between sorted rows, and their masses."""
    xp = namespace(x, y)
    if coupling is None:
        return x - y, None
    return xp.take(x, coupling.i, axis=1) - xp.take(y, coupling.j, axis=1), coupling.mass


def _mean_power(gaps: Array, mass: Array | None, p: float) -> Array:
    xp = namespace(gaps)
    if mass is None and p == 2:
        return xp.vecdot(gaps, gaps) / gaps.shape[1]
    gaps = power(gaps, p)
    return xp.mean(gaps, axis=1) if mass is None else gaps @ mass


def _sum_of_ranks(slopes: Array, coupling: Coupling) -> Array:
    """Add the slopes of each rank's steps; the ranks never fall, so that a rank is a segment."""
    xp = namespace(slopes)
    sums = xp.cumulative_sum(slopes, axis=1)
    last = xp.nonzero(xp.diff(coupling.i, append=coupling.i[-1:] + 1))[0]
    sums = xp.take(sums, last, axis=1)
    return xp.diff(sums, axis=1, prepend=xp.zeros((sums.shape[0], 1), dtype=sums.dtype))


def _finite(terms: Array) -> Array:
    if not bool(namespace(terms).all(namespace(terms).isfinite(terms))):
        raise ValueError("x and y are so far apart that the power p of their distance overflows")
    return terms
