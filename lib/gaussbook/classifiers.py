r"""Linear classifiers for many data sets at once: naive Bayes and softmax regression.

Every function takes a leading axis (or several) of independent data sets, the replications of an
experiment, and fits them side by side.  Both models end as the same thing, a `LinearClassifier`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from gaussbook.arrays import Array, namespace
from gaussbook.rows import row_maxima, row_sums
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["LinearClassifier", "NaiveBayes", "naive_bayes_fit", "softmax_regression"]

_NEVER = 1e30  # taken off the logit of a class that is missing: its probability is zero


class LinearClassifier(NamedTuple):
    r"""The rule :math:`\hat y(x)=\arg\max_k\,(w_k^\top x+b_k)`.

    Attributes
    ----------
    weights : array, shape (..., K, n)
        One vector :math:`w_k` for each class.
    intercepts : array, shape (..., K)
        The numbers :math:`b_k`.
    """

    weights: Array
    intercepts: Array

    def scores(self, X: Array) -> Array:
        r"""Return :math:`w_k^\top x_i+b_k`, shape (..., m, K), of points `X`, shape (..., m, n)."""
        xp = namespace(self.weights, X)
        return X @ xp.matrix_transpose(self.weights) + self.intercepts[..., None, :]

    def predict(self, X: Array) -> Array:
        """Return the class with the largest score, shape (..., m); the first one of a tie."""
        scores = self.scores(X)
        return namespace(scores).argmax(scores, axis=-1)


class NaiveBayes(NamedTuple):
    r"""Gaussian classes with independent coordinates and one variance for each coordinate.

    Attributes
    ----------
    priors : array, shape (..., K)
        Class frequencies :math:`\hat\pi_k`.
    means : array, shape (..., K, n)
        Class means :math:`\hat\mu_k`.
    variances : array, shape (..., n)
        Variances :math:`\hat\sigma_j^2` within the classes, shared by them.
    """

    priors: Array
    means: Array
    variances: Array

    def classifier(self) -> LinearClassifier:
        r"""Return Bayes' rule, which is linear because the classes share their variances.

        .. math::
            \log\hat\pi_k-\tfrac12\sum_j\frac{(x_j-\hat\mu_{kj})^2}{\hat\sigma_j^2}
            =w_k^\top x+b_k+\text{what all classes share}

        Raises
        ------
        ValueError
            If a variance is not positive.
        """
        xp = namespace(self.means)
        if bool(xp.any(self.variances <= 0)):
            raise ValueError("variances must be positive; give naive_bayes_fit a smoothing")
        # Measured from one of them, the means of a constant feature are exactly zero, and a tiny
        # variance cannot turn a rounding into a preference for a class.
        centre = self.means[..., :1, :]
        offsets = self.means - centre
        weights = offsets / self.variances[..., None, :]
        square = xp.sum(weights * (offsets / 2 + centre), axis=-1)
        return LinearClassifier(weights, xp.log(self.priors) - square)


def naive_bayes_fit(
    X: Array, y: Array, n_classes: int, *, unbiased: bool = False, smoothing: float = 0.0
) -> NaiveBayes:
    r"""Fit Gaussian naive Bayes with variances that the classes share.

    .. math::
        \hat\pi_k=\frac{m_k}m,\qquad \hat\mu_k=\frac1{m_k}\sum_{y_i=k}x_i,\qquad
        \hat\sigma_j^2=\sum_k\frac{\hat\pi_k}{m_k}\sum_{y_i=k}(x_{ij}-\hat\mu_{kj})^2

    (scikit-learn's ``GaussianNB`` has a variance for each class and is quadratic in :math:`x`).

    Parameters
    ----------
    X : array, shape (..., m, n)
        Points of one or several data sets.
    y : array of int, shape (..., m)
        Their classes, 0 to ``n_classes - 1``; each must occur in each data set.
    n_classes : int
        The number of classes :math:`K`.
    unbiased : bool
        Divide the squares of class :math:`k` by :math:`m_k-1` instead of :math:`m_k`.
    smoothing : float
        Added to each variance.

    Returns
    -------
    NaiveBayes
        The estimates; `NaiveBayes.classifier` is the rule.

    Raises
    ------
    ValueError
        If an argument has a wrong shape or value, a class is missing, or a class has one point
        and `unbiased` is asked for.
    """
    X, Y = _checked(X, y, n_classes)
    smoothing = check_scalar("smoothing", smoothing, at_least=0)
    xp = namespace(X)
    counts = xp.sum(Y, axis=-2)
    divisor = counts - 1 if unbiased else counts
    if bool(xp.any(divisor <= 0)):
        raise ValueError("y must hold two points of each class for an unbiased variance")
    priors = counts / X.shape[-2]
    # Measured from a point of its class, a feature that is constant in each class is exactly zero.
    first = xp.argmax(xp.matrix_transpose(Y), axis=-1)[..., None]
    reference = xp.take_along_axis(X, first, axis=-2)
    offsets = X - Y @ reference
    shift = xp.matrix_transpose(Y) @ offsets / counts[..., None]
    square = (offsets - Y @ shift) ** 2
    share = xp.matrix_transpose(Y @ (priors / divisor)[..., None])
    return NaiveBayes(priors, reference + shift, (share @ square)[..., 0, :] + smoothing)


def softmax_regression(
    X: Array,
    y: Array,
    n_classes: int,
    *,
    C: float = 1.0,
    tol: float = 1e-6,
    max_iter: int = 100,
    allow_missing: bool = False,
) -> LinearClassifier:
    r"""Minimise the logistic loss with an :math:`\ell_2` penalty on the weights.

    .. math::
        \min_{W,b}\ \sum_i\Big(\log\sum_ke^{w_k^\top x_i+b_k}-w_{y_i}^\top x_i-b_{y_i}\Big)
        +\frac1{2C}\sum_k\|w_k\|^2

    For more than two classes that is ``sklearn.linear_model.LogisticRegression(C=C)``.  For two
    classes scikit-learn penalises :math:`\tfrac12\|w\|^2` with :math:`w=w_1-w_0`, and
    :math:`\|w_0\|^2+\|w_1\|^2=\tfrac12\|w\|^2`: its `C` is twice the one here.

    Parameters
    ----------
    X : array, shape (..., m, n)
        Points of one or several data sets.
    y : array of int, shape (..., m)
        Their classes, 0 to ``n_classes - 1``; each must occur in each data set, unless
        `allow_missing` is set.
    n_classes : int
        The number of classes :math:`K`.
    C : float
        Weight of the summed loss against the penalty.
    tol : float
        A fit ends when the gradient, in the metric of the method, is this fraction of its norm at
        the start (all weights zero).
    max_iter : int
        Largest number of Newton steps.
    allow_missing : bool
        Fit each data set on the classes that it holds, and never predict another.

    Returns
    -------
    LinearClassifier
        Weights and intercepts; both sum to zero over the classes.  A class that is missing has
        zero weights and the intercept minus infinity, and counts in no sum.

    Raises
    ------
    ValueError
        If an argument has a wrong shape or value, or a class is missing.
    RuntimeError
        If `max_iter` steps are not enough.

    Notes
    -----
    Newton's method, whose steps are found by conjugate gradients (Nocedal and Wright, 2006,
    algorithm 7.1) in coordinates in which the Hessian is at most the identity.  The classes'
    Hessian :math:`\operatorname{diag}p-pp^\top` is at most :math:`\frac12(I-\frac1K11^\top)`
    (Böhning, 1992), so the whole one is at most :math:`\frac12X^\top X+\frac1CI` for each
    contrast of the classes.  One decomposition makes that diagonal: of :math:`X^\top X`, or of
    :math:`X` itself where it has no more rows than columns.  Points that are classified with
    confidence weigh next to nothing; the Hessian's own diagonal, as preconditioner, follows that.
    Each step of the conjugate gradients costs :math:`4m\min(m,n)K` flops for each data set.
    """
    X, Y = _checked(X, y, n_classes, allow_missing)
    C = check_scalar("C", C, above=0)
    tol = check_scalar("tol", tol, above=0)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    xp = namespace(X)
    centre = xp.mean(X, axis=-2, keepdims=True)
    Z, basis, penalty = _whitened(X - centre, C)
    contrasts = _contrasts(Y)
    spread = xp.matrix_transpose(contrasts)
    squares, least = xp.matrix_transpose(Z * Z), float(xp.finfo(X.dtype).eps)
    # A class that is missing gets no probability: its weights stay where the penalty wants them.
    present = xp.any(Y > 0, axis=-2)
    absence = xp.where(present, xp.zeros_like(Y[..., 0, :]), -_NEVER)[..., None, :]

    def loss(V: Array) -> _Expansion:
        logits = Z @ V @ contrasts
        if allow_missing:
            logits = logits + absence
        logits = logits - row_maxima(logits)
        weights = xp.exp(logits)
        total = row_sums(weights)
        p = weights / total

        def hessian(D: Array) -> Array:
            change = (Z @ D @ contrasts) * p
            change = change - p * row_sums(change)
            return xp.matrix_transpose(Z) @ (change @ spread) + penalty * D

        value = _dot(Y, xp.log(total) - logits) + _dot(penalty * V, V) / 2
        gradient = xp.matrix_transpose(Z) @ ((p - Y) @ spread) + penalty * V
        diagonal = squares @ (p @ spread**2 - (p @ spread) ** 2) + penalty
        return value, gradient, xp.where(diagonal > least, diagonal, least), hessian

    start = xp.zeros((*X.shape[:-2], Z.shape[-1], n_classes - 1), dtype=X.dtype)
    V = _newton(loss, start, tol, max_iter) @ contrasts
    W = xp.matrix_transpose(basis @ V[..., :-1, :])
    shift = xp.sum(W * centre, axis=-1)
    intercepts = V[..., -1, :] * math.sqrt(2 / X.shape[-2]) - shift
    if allow_missing:
        seen = xp.astype(present, X.dtype)
        mean = xp.sum(intercepts * seen, axis=-1) / xp.sum(seen, axis=-1)
        intercepts = xp.where(present, intercepts - mean[..., None], -math.inf)
        W = W * seen[..., None]
    return LinearClassifier(W, intercepts)


def _checked(
    X: Array, y: Array, n_classes: int, allow_missing: bool = False
) -> tuple[Array, Array]:
    """Return the points and their classes as indicators (..., m, K)."""
    X = check_array("X", X)
    n_classes = check_integer("n_classes", n_classes, at_least=2)
    if X.ndim < 2:
        raise ValueError(f"X must have shape (..., m, n), got {tuple(X.shape)}")
    y = check_array("y", y, integers=True, shape=tuple(X.shape[:-1]))
    xp = namespace(X, y)
    if bool(xp.any((y < 0) | (y >= n_classes))):
        raise ValueError(f"y must hold classes from 0 to {n_classes - 1}")
    Y = xp.astype(y[..., None] == xp.arange(n_classes, dtype=y.dtype), X.dtype)
    if not allow_missing and not bool(xp.all(xp.any(Y > 0, axis=-2))):
        raise ValueError("y must hold each class at least once in each data set")
    return X, Y


def _contrasts(Y: Array) -> Array:
    """Return an orthonormal basis (K - 1, K) of the vectors that sum to zero (Helmert's)."""
    xp = namespace(Y)
    j = xp.arange(Y.shape[-1], dtype=Y.dtype)
    k = j[1:, None]
    rows = xp.astype(j < k, Y.dtype) - k * xp.astype(j == k, Y.dtype)
    return rows / xp.sqrt(k * (k + 1))


def _whitened(X: Array, C: float) -> tuple[Array, Array, Array]:
    r"""Return coordinates in which :math:`\frac12X^\top X+\frac1CI` is the identity.

    Returns
    -------
    Z : array, shape (..., m, r + 1)
        The centred points in the new coordinates, and the intercept's constant column.
    basis : array, shape (..., n, r)
        Takes new coefficients to old ones.
    penalty : array, shape (..., r + 1, 1)
        The penalty of each new coefficient; the intercept has none.
    """
    xp = namespace(X)
    *batch, m, n = X.shape
    # Any orthonormal basis of the rows' span will do, and the nearer to the principal axes the
    # better the coordinates; so the lengths are taken from the points themselves.
    if m > n:
        basis = xp.linalg.eigh(xp.matrix_transpose(X) @ X)[1]
    else:
        basis = xp.matrix_transpose(xp.linalg.svd(X, full_matrices=False)[2])
    Z = X @ basis
    bound = xp.sum(Z**2, axis=-2) / 2 + 1 / C
    factor = 1 / xp.sqrt(bound)[..., None, :]
    constant = xp.full((*batch, m, 1), math.sqrt(2 / m), dtype=X.dtype)
    penalty = xp.concat([1 / (C * bound), xp.zeros_like(bound[..., :1])], axis=-1)
    return xp.concat([Z * factor, constant], axis=-1), basis * factor, penalty[..., None]


def _dot(a: Array, b: Array) -> Array:
    """Return the inner products of the matrices of two batches, shape (..., 1, 1)."""
    return namespace(a).sum(a * b, axis=(-2, -1), keepdims=True)


# Value, gradient, diagonal of the Hessian, and the product of the Hessian with a matrix.
_Expansion = tuple[Array, Array, Array, Callable[[Array], Array]]


def _newton(function: Callable[[Array], _Expansion], V: Array, tol: float, max_iter: int) -> Array:
    """Minimise convex functions side by side, each with its own steps."""
    xp = namespace(V)
    value, gradient, diagonal, hessian = function(V)
    norm = xp.sqrt(_dot(gradient, gradient))
    goal, first = tol * norm, xp.where(norm > 0, norm, xp.ones_like(norm))
    for _ in range(max_iter):
        if not bool(xp.any(norm > goal)):
            return V
        # rough steps while far away; superlinear convergence needs this to fall with the gradient
        close = xp.minimum(xp.sqrt(norm / first), 0.3 * xp.ones_like(norm)) * norm
        close = xp.maximum(close, goal / 2)
        active = xp.astype(norm > goal, V.dtype)
        direction = _conjugate_gradients(hessian, -gradient * active, diagonal, close)
        V, (value, gradient, diagonal, hessian) = _backtrack(
            function, V, value, _dot(gradient, direction), direction
        )
        norm = xp.sqrt(_dot(gradient, gradient))
    if bool(xp.any(norm > goal)):
        raise RuntimeError(f"softmax regression has not converged in {max_iter} steps")
    return V


def _conjugate_gradients(
    product: Callable[[Array], Array], residual: Array, diagonal: Array, close: Array
) -> Array:
    """Solve positive definite systems side by side until each residual is below its bound."""
    xp = namespace(residual)
    x, d, size = xp.zeros_like(residual), residual / diagonal, _dot(residual, residual / diagonal)
    one = xp.ones_like(size)
    for _ in range(10 * residual.shape[-2] * residual.shape[-1]):
        going = xp.sqrt(_dot(residual, residual)) > close
        if not bool(xp.any(going)):
            break
        Hd = product(d)
        curvature = xp.where(going, _dot(d, Hd), one)
        alpha = xp.where(going, size, 0 * one) / curvature
        x, residual = x + alpha * d, residual - alpha * Hd
        scaled = residual / diagonal
        new = _dot(residual, scaled)
        d, size = scaled + new / xp.where(going, size, one) * d, new
    return x


def _backtrack(
    function: Callable[[Array], _Expansion],
    V: Array,
    value: Array,
    slope: Array,
    direction: Array,
) -> tuple[Array, _Expansion]:
    """Halve the steps of the problems in which the function does not fall enough (Armijo)."""
    xp = namespace(V)
    rounding = 8 * float(xp.finfo(V.dtype).eps) * xp.abs(value)
    length = xp.ones_like(value)
    for _ in range(40):
        V_new = V + length * direction
        new = function(V_new)
        enough = new[0] <= value + 1e-4 * length * slope + rounding
        if bool(xp.all(enough)):
            break
        length = xp.where(enough, length, length / 2)
    return V_new, new
