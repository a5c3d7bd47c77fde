r"""Entropic optimal transport by Sinkhorn's algorithm, robust for any regularisation.

The iteration updates potentials in the log domain, but computes most of its log-sum-exps as
products of a matrix with vectors.  For nearby reference potentials :math:`(f_0,g_0)` and the kernel
:math:`K_{ij}=e^{(f_{0,i}+g_{0,j}-M_{ij})/\varepsilon}`,

.. math::
    \log\sum_jb_je^{(g_j-M_{ij})/\varepsilon}
    =\log\sum_jK_{ij}\,b_je^{(g_j-g_{0,j})/\varepsilon}-f_{0,i}/\varepsilon,

which costs two operations for each pair of points, not an exponential.  Where the result is out of
the range in which this is exact, the sum is taken term by term instead; where the potentials have
moved away from the reference, they become the new one (Schmitzer's absorption, SIAM J. Sci. Comput.
41, 2019).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from array_api_compat import is_numpy_array
from sklearn.exceptions import ConvergenceWarning

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.blocks import row_blocks
from gaussbook.logsumexp import log_sum_exp
from gaussbook.transport.pairs import check_samples, check_weights, cost_matrix
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["SinkhornResult", "sinkhorn", "sinkhorn_divergence"]

_RANGE = 100.0  # logarithm of the scalings that a kernel serves
_FLOOR = -600.0  # of the kernel's exponents: e^(-600 + 2·100) changes no digit of a sum, and the
# products of smaller ones are subnormal numbers, which take many times as long
_CEILING = 700.0  # above, exp overflows; a sum with such a term is refused
_STAGE_FACTOR = 0.25  # of the regularisation from one stage of the annealing to the next
_STAGE_TOLERANCE = 0.01  # relative error of the marginals where a stage ends
_STAGE_ITERATIONS = 50


@dataclass(frozen=True)
class SinkhornResult:
    r"""What `sinkhorn` returns.

    Attributes
    ----------
    plan : array, shape (n, m)
        The plan :math:`P_{ij}=a_ib_je^{(f_i+g_j-M_{ij})/\varepsilon}`.
    cost : float
        Cost of transport :math:`\sum P_{ij}M_{ij}`, in the unit of `M`.
    value : float
        The optimum of the regularised problem, from the dual: a lower bound of it.
    f, g : array, shapes (n,) and (m,)
        Potentials, in the unit of `M`.
    iterations : int
        Updates of both potentials, all stages of the annealing together.
    marginal_error : float
        Euclidean norm of the difference between the plan's marginals and those that hold at the
        solution: `a` and `b` themselves in the balanced problem.
    converged : bool
        Whether `marginal_error` is within the tolerance.
    """

    plan: Array
    cost: float
    value: float
    f: Array
    g: Array
    iterations: int
    marginal_error: float
    converged: bool


def sinkhorn(
    a: Array | None,
    b: Array | None,
    M: Array,
    reg: float,
    *,
    reg_m: float | tuple[float, float] | None = None,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    warm_start: tuple[Array, Array] | None = None,
) -> SinkhornResult:
    r"""Solve the optimal transport problem with entropic regularisation.

    .. math::
        \min_{P\ge0}\ \langle P,M\rangle+\varepsilon\,\mathrm{KL}(P\,|\,ab^\top)
        \quad\text{with}\quad P\mathbf 1=a,\ P^\top\mathbf 1=b

    (Cuturi, 2013), or, where the penalties :math:`\rho` are given, without the constraints and
    with :math:`\rho_1\mathrm{KL}(P\mathbf 1|a)+\rho_2\mathrm{KL}(P^\top\mathbf 1|b)` added (Chizat,
    Peyré, Schmitzer and Vialard, 2018); :math:`\mathrm{KL}(p|q)=\sum p\log(p/q)-p+q`.

    Parameters
    ----------
    a : array, shape (n,), or None
        Weights of the sources: probabilities, or in the unbalanced problem any masses; None for
        equal ones.  Points of weight zero are allowed.
    b : array, shape (m,), or None
        Weights of the targets.
    M : array, shape (n, m)
        Costs.
    reg : float
        :math:`\varepsilon>0`, in the unit of `M`.
    reg_m : float or pair of floats, optional
        Penalties :math:`\rho_1,\rho_2` of the unbalanced problem, in the unit of `M`.
    tol : float
        Largest error of the marginals, in the Euclidean norm (POT's ``stopThr``).
    max_iter : int
        Largest number of iterations.
    warm_start : pair of arrays, shapes (n,) and (m,), optional
        Potentials to start from.  Without them, `reg` is lowered in stages from the range of `M`.

    Returns
    -------
    SinkhornResult
        Plan, cost, potentials and how well the marginals hold.

    Raises
    ------
    ValueError
        If an argument is out of its range, shapes disagree, or `reg` is below 1e-12 of the largest
        cost, where the exponents would have no digits left.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the tolerance is not met within `max_iter` iterations; ``converged`` is then false.

    Notes
    -----
    An iteration reads the kernel twice (16 n m bytes, 4 n m operations).  Memory for two matrices
    of the size of `M` is needed beside it.
    """
    M, a, b, reg, rho = _check_problem(a, b, M, reg, reg_m)
    tol = check_scalar("tol", tol, above=0)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(M)
    rows, columns = (xp.nonzero(w > 0)[0] for w in (a, b))
    all_positive = rows.shape[0] == a.shape[0] and columns.shape[0] == b.shape[0]
    start = _check_start(warm_start, M)
    if all_positive:
        problem = _Problem(M, a, b, rho, *start)
    else:  # the points of weight zero take no part
        inner = xp.take(xp.take(M, rows, axis=0), columns, axis=1)
        parts = (a, rows), (b, columns), (start[0], rows), (start[1], columns)
        weights_and_start = [xp.take(vector, indices) for vector, indices in parts]
        problem = _Problem(inner, *weights_and_start[:2], rho, *weights_and_start[2:])
    annealed = warm_start is None
    iterations, change = problem.anneal(reg, tol, max_iter, _Problem.iterate, annealed)
    f, g = problem.f, problem.g
    if not all_positive:  # extend the potentials: one more update of each
        f = rho[0].factor(reg) * _softmin(xp.take(M, columns, axis=1), g, problem.b, reg)
        g = xp.take(M, rows, axis=0)
        g = rho[1].factor(reg) * _softmin(xp.matrix_transpose(g), xp.take(f, rows), problem.a, reg)
    return _result(problem, M, a, b, reg, f, g, iterations, change, tol, max_iter)


def sinkhorn_divergence(
    x: Array,
    y: Array,
    reg: float,
    *,
    p: float = 2,
    a: Array | None = None,
    b: Array | None = None,
    tol: float = 1e-7,
    max_iter: int = 10_000,
) -> float:
    r"""Debiased entropic transport cost between two samples.

    .. math::
        S_\varepsilon=\mathrm{OT}_\varepsilon(x,y)-\tfrac12\mathrm{OT}_\varepsilon(x,x)
        -\tfrac12\mathrm{OT}_\varepsilon(y,y)\ge0

    for the costs :math:`\lVert x-y\rVert^p`, p = 1 or 2; zero only for equal distributions (Feydy
    et al., 2019).  It goes from :math:`W_p^p` at :math:`\varepsilon=0` to half the energy distance
    (p = 1) or the squared distance of the means (p = 2) at infinity.

    Parameters
    ----------
    x : array, shape (n, d)
        Sample of the first distribution.
    y : array, shape (m, d)
        Sample of the second distribution.
    reg : float
        :math:`\varepsilon`, in the p-th power of the unit of the data.
    p : {1, 2}
        Power of the distance.
    a, b : array, shapes (n,) and (m,), optional
        Weights of the points; equal ones if not given.
    tol, max_iter
        As for `sinkhorn`.

    Returns
    -------
    float
        The divergence, in the p-th power of the unit of the data; below zero by rounding and
        tolerance only.

    Raises
    ------
    ValueError
        If the samples do not fit together or an argument is out of its range.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        As `sinkhorn`.
    """
    x, y = check_samples(x, y)
    tol = check_scalar("tol", tol, above=0)
    p = check_scalar("p", p)
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, where the divergence is positive; got {p:g}")
    a = check_weights("a", a, x, x.shape[0])
    b = check_weights("b", b, y, y.shape[0])
    reg = check_scalar("reg", reg, above=0)
    between = sinkhorn(a, b, cost_matrix(x, y, p), reg, tol=tol, max_iter=max_iter).value
    within_x = _self_transport(a, x, p, reg, tol, max_iter)
    within_y = _self_transport(b, y, p, reg, tol, max_iter)
    return between - (within_x + within_y) / 2


def _self_transport(a: Array, x: Array, p: float, reg: float, tol: float, max_iter: int) -> float:
    """Return the optimum of the regularised problem between a distribution and itself."""
    xp = namespace(x)
    support = xp.nonzero(a > 0)[0]
    a, x = xp.take(a, support), xp.take(x, support, axis=0)
    M, a, _, reg, rho = _check_problem(a, a, cost_matrix(x, x, p), reg, None)
    problem = _Problem(M, a, a, rho, xp.zeros_like(a), xp.zeros_like(a))
    error = problem.anneal(reg, tol, max_iter, _Problem.iterate_symmetric)[1]
    if error > tol:
        _warn(max_iter, error, tol, problem.rounding(reg))
    updated = _softmin(M, problem.f, a, reg)  # with it, the mass of the plan is one
    return rho[0].dual(problem.f, a) + rho[1].dual(updated, a)


@dataclass(frozen=True)
class _Penalty:
    """How a marginal is held: ρ KL(·|a), or exactly for ρ = ∞."""

    rho: float

    def factor(self, reg: float) -> float:
        """Return ρ/(ρ + ε), by which an update of the exact problem is shrunk."""
        return 1.0 if math.isinf(self.rho) else self.rho / (self.rho + reg)

    def dual(self, potential: Array, weights: Array) -> float:
        """Return the potential's part of the dual value."""
        xp = namespace(potential)
        if math.isinf(self.rho):
            return float(xp.sum(potential * weights))
        # points of weight zero take no part, however far their potential has been extended
        potential = xp.where(weights > 0, potential, 0.0)
        return -self.rho * float(xp.sum(xp.expm1(-potential / self.rho) * weights))


class _Problem:
    """Weights, all positive, and costs; the current potentials, and the kernel of a reference."""

    def __init__(
        self, M: Array, a: Array, b: Array, rho: tuple[_Penalty, _Penalty], f: Array, g: Array
    ):
        self.M, self.a, self.b, self.rho, self.f, self.g = M, a, b, rho, f, g
        xp = namespace(M)
        self.size = float(xp.linalg.vector_norm(a))
        self.kernel = xp.empty_like(M)
        self.reference = None  # the potentials of the kernel, None where it is out of date

    def anneal(
        self, reg: float, tol: float, max_iter: int, iterate: Callable, stages: bool = True
    ) -> tuple[int, float]:
        """Iterate with falling regularisation; return the iterations and the last error."""
        used = 0
        for stage in _stages(self.M, reg) if stages else ():
            # The last iteration is kept for `reg` itself, to which the plan has to belong.
            limit = min(_STAGE_ITERATIONS, max_iter - 1 - used)
            used += iterate(self, stage, max(tol, _STAGE_TOLERANCE * self.size), limit)[0]
        last, error = iterate(self, reg, tol, max_iter - used)
        return used + last, error

    def iterate(self, reg: float, tol: float, max_iter: int) -> tuple[int, float]:
        """Update the potentials in turn; return the number of iterations and the last error."""
        return self._repeat(self._both, reg, tol, max_iter)

    def iterate_symmetric(self, reg: float, tol: float, max_iter: int) -> tuple[int, float]:
        """Do the same for f = g, where the mean of a potential and its update converges fast."""
        return self._repeat(self._mean, reg, tol, max_iter)

    def _repeat(self, update: Callable, reg: float, tol: float, max_iter: int) -> tuple[int, float]:
        # The potentials of the last stage mostly serve; if they do not, its sums say so.
        self.reference, near, error = None, True, math.inf
        for k in range(max_iter):
            if near and self.reference is None:
                self._absorb(reg)
            exact = self.reference is None
            new, change, in_range = update(reg, exact)
            moves = self._moves(new)
            # All that an iteration asks of the device is asked at once.
            error, in_range, move, drift = _numbers(change, in_range, *moves)
            if not (exact or in_range):
                self.reference = None
                new, change, _ = update(reg, True)
                error, move = _numbers(change, self._moves(new)[0])
            if error <= tol:
                return k, error
            self.f, self.g = new
            near = move <= _RANGE * reg
            if drift > _RANGE * reg:
                self.reference = None
        return max_iter, error

    def _both(self, reg: float, exact: bool) -> tuple[tuple[Array, Array], Array, Array]:
        """Return new potentials, the change of the row sums, and whether the kernel served."""
        softmin, rows_served = self._softmin(self.g, reg, exact, of_rows=True)
        f = self.rho[0].factor(reg) * softmin
        change = _change_of_marginal(self.a, self.f, f, softmin, reg)
        softmin, columns_served = self._softmin(f, reg, exact, of_rows=False)
        g = self.rho[1].factor(reg) * softmin
        if not math.isinf(self.rho[0].rho):  # rows may rest while the columns still move
            of_columns = _change_of_marginal(self.b, self.g, g, softmin, reg)
            change = namespace(change).hypot(change, of_columns)
        return self._shifted(f, g), change, rows_served & columns_served

    def _mean(self, reg: float, exact: bool) -> tuple[tuple[Array, Array], Array, Array]:
        softmin, served = self._softmin(self.f, reg, exact, of_rows=True)
        mean = (self.f + softmin) / 2
        return (mean, mean), _change_of_marginal(self.a, self.f, softmin, softmin, reg), served

    def _moves(self, new: tuple[Array, Array]) -> tuple[Array, Array]:
        """Return the largest differences of potentials from the current ones and the kernel's."""
        old = self.f, self.g
        reference = self.reference or new
        xp = namespace(*new)
        return tuple(
            xp.maximum(*(xp.max(xp.abs(p - q)) for p, q in zip(new, others, strict=True)))
            for others in (old, reference)
        )

    def _shifted(self, f: Array, g: Array) -> tuple[Array, Array]:
        """Add the best constant to f and take it from g.

        The plan stays; without this step, large penalties settle the plan's mass very slowly
        (Séjourné, Vialard and Peyré, 2022).
        """
        rho, sigma = self.rho[0].rho, self.rho[1].rho
        if math.isinf(rho):
            return f, g
        xp = namespace(f)
        log_a, log_b = xp.log(self.a), xp.log(self.b)
        gap = log_sum_exp(log_a - f / rho) - log_sum_exp(log_b - g / sigma)
        constant = rho * sigma / (rho + sigma) * gap
        return f + constant, g - constant

    def rounding(self, reg: float) -> float:
        """Return the error of the marginals which the digits of costs and potentials leave."""
        xp = namespace(self.M)
        largest = max(_numbers(*(xp.max(xp.abs(v)) for v in (self.M, self.f, self.g))))
        return float(xp.finfo(self.M.dtype).eps) * largest / reg * self.size

    def _softmin(
        self, potential: Array, reg: float, exact: bool, *, of_rows: bool
    ) -> tuple[Array, Array]:
        """Return −ε log Σ_j b_j exp((g_j − M_ij)/ε), or the same over the rows, and if it is right.

        The sums are those of the kernel, or, for `exact`, taken term by term.
        """
        xp = namespace(self.M)
        weights = self.b if of_rows else self.a
        if exact:
            costs = self.M if of_rows else xp.matrix_transpose(self.M)
            return _softmin(costs, potential, weights, reg), xp.asarray(True)
        f0, g0 = self.reference
        here, there = (f0, g0) if of_rows else (g0, f0)
        kernel = self.kernel if of_rows else xp.matrix_transpose(self.kernel)
        # Where potentials have left the kernel's range, or a sum overflows, it is refused.
        scaling = xp.exp(xp.minimum((potential - there) / reg, xp.asarray(2 * _RANGE)))
        with np.errstate(over="ignore"):
            sums = kernel @ (weights * scaling)
        least, most = math.exp(-_RANGE), math.exp(_RANGE)
        served = xp.all((sums > least) & (sums < most))
        return here - reg * xp.log(xp.clip(sums, least, most)), served

    def _absorb(self, reg: float) -> None:
        """Make the current potentials the reference of the kernel."""
        self.reference = self.f, self.g
        for rows in row_blocks(*self.M.shape, self.M):
            self.kernel[rows, :] = _shares(self.M[rows, :], self.f[rows], self.g, reg)


def _softmin(M: Array, g: Array, b: Array, reg: float) -> Array:
    """Return −ε log Σ_j b_j exp((g_j − M_ij)/ε), term by term in blocks of rows."""
    xp = namespace(M)
    shift = g / reg + xp.log(b)
    parts = []
    for rows in row_blocks(*M.shape, M):
        parts.append(-reg * log_sum_exp(shift - M[rows, :] / reg))
    return xp.concat(parts)


def _shares(M: Array, f: Array, g: Array, reg: float) -> Array:
    """Return exp((f_i + g_j − M_ij)/ε), between the floor and the ceiling."""
    xp = namespace(M)
    exponents = g - M
    exponents += f[:, None]
    exponents /= reg
    if is_numpy_array(exponents):
        np.clip(exponents, _FLOOR, _CEILING, out=exponents)
        return np.exp(exponents, out=exponents)
    return xp.exp(xp.clip(exponents, _FLOOR, _CEILING))


def _numbers(*scalars: Array) -> list[float]:
    """Return arrays of shape () as numbers, by one transfer to the host."""
    xp = namespace(*scalars)
    return to_host(xp.stack([xp.astype(v, xp.float64) for v in scalars])).tolist()


def _change_of_marginal(a: Array, f: Array, updated: Array, softmin: Array, reg: float) -> Array:
    """Return how far an update of f moves the row sums of the plan, in the Euclidean norm.

    For the columns, read b and g.

    For a constraint, the update makes them equal to `a`.  What is beyond all bounds is cut off
    where its square does not overflow.
    """
    xp = namespace(a)
    ceiling = xp.asarray(_CEILING / 2 - 20)
    size = xp.maximum(xp.max(a), xp.asarray(1.0, dtype=a.dtype))  # 1 for probabilities
    before, after = (xp.exp(xp.minimum((p - softmin) / reg, ceiling)) for p in (f, updated))
    return size * xp.linalg.vector_norm(a / size * (before - after))


def _stages(M: Array, reg: float) -> list[float]:
    """Return the falling regularisations of the annealing, all above `reg`."""
    xp = namespace(M)
    widest = float(xp.max(M)) - float(xp.min(M))
    count = math.ceil(math.log(widest / reg) / -math.log(_STAGE_FACTOR)) if widest > reg else 0
    return [widest * _STAGE_FACTOR**k for k in range(count)]


def _result(problem, M, a, b, reg, f, g, iterations, change, tol, max_iter) -> SinkhornResult:
    xp, rho = namespace(M), problem.rho
    plan = xp.empty_like(M)
    cost = 0.0
    for rows in row_blocks(*M.shape, M):
        # weights of zero have potentials that are never used: their exponents may overflow
        block = _shares(M[rows, :], f[rows], g, reg)
        block *= b
        block *= a[rows, None]
        plan[rows, :] = block
        cost = cost + xp.sum(xp.vecdot(block, M[rows, :]))
    cost, total = _numbers(cost, xp.sum(plan))
    if not (math.isfinite(total) and math.isfinite(cost)):
        raise ValueError("reg_m or M make the masses of the plan overflow")
    error = change
    if math.isinf(rho[0].rho):
        error = float(xp.linalg.vector_norm(xp.sum(plan, axis=1) - a))
    if math.isinf(rho[1].rho):
        error = math.hypot(error, float(xp.linalg.vector_norm(xp.sum(plan, axis=0) - b)))
    mass = float(xp.sum(a)) * float(xp.sum(b))
    value = rho[0].dual(f, a) + rho[1].dual(g, b) - reg * (total - mass)
    converged = error <= tol
    if not converged:
        # The updates have come to rest, and yet the plan's own sums are off.
        rested = error if iterations < max_iter else 0.0
        _warn(iterations, error, tol, max(rested, problem.rounding(reg)))
    return SinkhornResult(plan, cost, value, f, g, iterations, error, converged)


def _warn(iterations: int, error: float, tol: float, rounding: float) -> None:
    advice = "raise max_iter or reg"
    if rounding > tol:
        advice = f"rounding alone leaves some {rounding:.1g} at this reg, so raise reg or tol"
    warnings.warn(
        f"Sinkhorn's iteration stopped after {iterations} iterations with marginals off by "
        f"{error:.3g}, above tol = {tol:.3g}: {advice}",
        ConvergenceWarning,
        stacklevel=4,
    )


def _check_problem(a, b, M, reg, reg_m):
    M = check_array("M", M, ndim=2)
    xp = namespace(M)
    M = xp.astype(M, xp.float64, copy=False)
    check = check_weights if reg_m is None else _check_masses
    a, b = (check(*w) for w in (("a", a, M, M.shape[0]), ("b", b, M, M.shape[1])))
    largest = max(_numbers(xp.max(M), -xp.min(M)))
    if largest > 1e150:
        raise ValueError("M holds costs so large that sums of them overflow")
    if bool(xp.any(a <= 0) | xp.any(b <= 0)):  # what points without weight would cost is never paid
        largest = float(xp.max(xp.where((a > 0)[:, None] & (b > 0), xp.abs(M), 0.0)))
    reg = check_scalar("reg", reg, above=0, at_most=1e150)
    if reg < 1e-12 * largest:
        raise ValueError(
            f"reg must be at least 1e-12 of the largest cost {largest:g}, got {reg:g}: raise it, "
            "or cut off costs that only forbid a pair"
        )
    if reg_m is None:
        return M, a, b, reg, (_Penalty(math.inf), _Penalty(math.inf))
    pair = reg_m if isinstance(reg_m, tuple | list) else (reg_m, reg_m)
    if len(pair) != 2:
        raise ValueError(f"reg_m must be a number or a pair of numbers, got {len(pair)}")
    least = 1e-12 * largest
    rho = [check_scalar("reg_m", r, above=0, at_least=least, at_most=1e150) for r in pair]
    return M, a, b, reg, tuple(map(_Penalty, rho))


def _check_masses(name: str, masses: Array | None, M: Array, n: int) -> Array:
    if masses is None:
        return check_weights(name, None, M, n)
    masses = check_array(name, masses, shape=(n,))
    xp = namespace(M, masses)
    masses = xp.astype(masses, xp.float64, copy=False)
    if bool(xp.any(masses < 0)) or not bool(xp.any(masses > 0)):
        raise ValueError(f"{name} must hold masses which are not negative, one of them positive")
    if float(xp.max(masses)) >= 1e150:
        raise ValueError(f"{name} holds masses so large that products of them overflow")
    return masses


def _check_start(start: tuple[Array, Array] | None, M: Array) -> tuple[Array, Array]:
    xp = namespace(M)
    if start is None:
        return xp.zeros(M.shape[0], dtype=M.dtype), xp.zeros(M.shape[1], dtype=M.dtype)
    if not isinstance(start, tuple | list) or len(start) != 2:
        raise ValueError("warm_start must be a pair of potentials (f, g)")
    pairs = zip(start, M.shape, strict=True)
    f, g = (check_array("warm_start", p, shape=(size,)) for p, size in pairs)
    return xp.astype(f, xp.float64), xp.astype(g, xp.float64)  # copies: they may be the result's
