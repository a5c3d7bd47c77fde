r"""Covariance functions and their gradients.

A covariance holds its hyper-parameters as one flat vector ``theta`` on the host: positive ones as
logarithms, frequencies as they are.  Its gradient is offered as a *pullback*: from a matrix
:math:`M` it computes all :math:`\sum_{ij} M_{ij}\,\partial K_{ij}/\partial\theta_p` at once,
without ever forming the matrices :math:`\partial K/\partial\theta_p`.

>>> k = SquaredExponential(variance=2.0, lengthscale=[1.0, 3.0])
>>> K, pullback = k.vjp(x)  # doctest: +SKIP
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import is_numpy_array

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.distances import contract_squares, squared_distances
from gaussbook.validation import check_array, check_scalar

__all__ = [
    "Covariance",
    "Matern12",
    "Matern32",
    "Matern52",
    "SquaredExponential",
    "as_points",
    "check_process",
]

Pullback = Callable[[Array], np.ndarray]

_FARTHEST = 1e30  # squared, in lengthscales


class Covariance(ABC):
    """A covariance function.

    Attributes
    ----------
    theta : numpy.ndarray, shape (p,)
        The hyper-parameters, positive ones as logarithms.
    names : tuple of str
        Their names, in the same order.
    """

    def __init__(self, theta: Sequence[float], names: Sequence[str]):
        self.names = tuple(names)
        self.theta = self._in_range(np.array(theta, dtype=np.float64))

    def _in_range(self, theta: np.ndarray) -> np.ndarray:
        """Refuse values whose exponentials, or squares of these, would overflow."""
        for name, value in zip(self.names, theta, strict=True):
            if name.startswith("log ") and abs(value) > 300:
                name = name.removeprefix("log ").replace(" ", "_")
                raise ValueError(f"{name} is out of range: its logarithm is {value:g}")
        return theta

    def with_theta(self, theta: Any) -> Covariance:
        """Return a copy with other hyper-parameters.

        Parameters
        ----------
        theta : array_like, shape (p,)
            The new values, in the order of `names`.

        Raises
        ------
        ValueError
            If `theta` has another length or is not finite.
        """
        other = copy.copy(self)
        theta = to_host(check_array("theta", theta, shape=self.theta.shape))
        other.theta = self._in_range(np.array(theta))
        return other

    def __call__(self, x: Array, y: Array | None = None) -> Array:
        """Return the covariance matrix of two sets of points.

        Parameters
        ----------
        x : array, shape (n, d) or (n,)
            Points.
        y : array, shape (m, d) or (m,), optional
            Other points; `x` itself if not given.

        Returns
        -------
        array, shape (n, m)
            The covariances.

        Raises
        ------
        ValueError
            If the points are not finite or their dimensions do not fit.
        """
        return self._evaluate(*as_points(x, y))

    def diagonal(self, x: Array) -> Array:
        """Return the variances ``k(x_i, x_i)``, shape (n,), without the matrix."""
        return self._variances(as_points(x, None)[0])

    def vjp(self, x: Array, y: Array | None = None) -> tuple[Array, Pullback]:
        r"""Return the covariance matrix and the pullback of its hyper-parameters.

        Parameters
        ----------
        x, y : array
            As for calling the covariance.

        Returns
        -------
        covariance : array, shape (n, m)
            The matrix :math:`K`.
        pullback : callable
            Maps a matrix :math:`M` (n, m) to the numpy vector
            :math:`\sum_{ij} M_{ij}\,\partial K_{ij}/\partial\theta_p`, shape (p,).
        """
        K, pullback = self._vjp(*as_points(x, y))
        return K, _checked("M", pullback, K)

    def diagonal_vjp(self, x: Array) -> tuple[Array, Pullback]:
        """Return the variances and the pullback of a vector (n,) to the hyper-parameters."""
        variances, pullback = self._variances_vjp(as_points(x, None)[0])
        return variances, _checked("m", pullback, variances)

    @abstractmethod
    def _evaluate(self, x: Array, y: Array | None) -> Array: ...

    @abstractmethod
    def _variances(self, x: Array) -> Array: ...

    @abstractmethod
    def _vjp(self, x: Array, y: Array | None) -> tuple[Array, Pullback]: ...

    @abstractmethod
    def _variances_vjp(self, x: Array) -> tuple[Array, Pullback]: ...


def _checked(name: str, pullback: Pullback, values: Array) -> Pullback:
    """Let a pullback take arrays of the values' shape only, none of them masked."""
    shape = tuple(values.shape)
    return lambda weights: pullback(check_array(name, weights, shape=shape, finite=False))


def check_process(name: str, covariance: Any) -> Covariance:
    """Return `covariance` if it is a `Covariance`.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    covariance : object
        What was passed for it.

    Returns
    -------
    Covariance
        The same object.

    Raises
    ------
    ValueError
        If it is something else; the message begins with `name`.
    """
    if not isinstance(covariance, Covariance):
        raise ValueError(f"{name} must be a Covariance, got {type(covariance).__name__}")
    return covariance


def as_points(x: Array, y: Array | None) -> tuple[Array, Array | None]:
    """Return two sets of points as arrays with one row for each point.

    Parameters
    ----------
    x : array, shape (n, d) or (n,)
        Points; a vector stands for points on a line.
    y : array, shape (m, d) or (m,), optional
        Other points of the same dimension.

    Returns
    -------
    x : array, shape (n, d)
        The points.
    y : array, shape (m, d), or None
        The other points.

    Raises
    ------
    ValueError
        If the points are not finite or their dimensions differ.
    """
    x = check_array("x", x, ndim=(1, 2))
    x = x[:, None] if x.ndim == 1 else x
    if y is None:
        return x, None
    y = check_array("y", y, ndim=(1, 2))
    y = y[:, None] if y.ndim == 1 else y
    if y.shape[1] != x.shape[1]:
        raise ValueError(f"y must have {x.shape[1]} column(s) like x, got shape {tuple(y.shape)}")
    return x, y


class _Stationary(Covariance):
    r"""A variance times a profile of :math:`s = \sum_d (x_d - y_d)^2 / \ell_d^2`.

    Parameters
    ----------
    variance : float
        The variance.
    lengthscale : float or sequence of float
        One length for all columns, or one for each (automatic relevance determination).
    """

    def __init__(self, variance: float = 1.0, lengthscale: float | Sequence[float] = 1.0):
        variance = check_scalar("variance", variance, above=0)
        lengths = to_host(check_array("lengthscale", lengthscale, ndim=(0, 1)))
        if np.any(lengths <= 0):
            raise ValueError("lengthscale must be positive")
        self.ard = lengths.ndim == 1
        names = ("log variance",) + (
            tuple(f"log lengthscale[{d}]" for d in range(len(lengths)))
            if self.ard
            else ("log lengthscale",)
        )
        super().__init__(np.log([variance, *np.atleast_1d(lengths)]), names)

    @property
    def variance(self) -> float:
        """The variance."""
        return math.exp(self.theta[0])

    @property
    def lengthscale(self) -> np.ndarray:
        """The lengths: one, or one for each column."""
        return np.exp(self.theta[1:])

    def _units(self, x: Array) -> Array:
        """Return the length of each column of `x`, in its type."""
        lengths = self.lengthscale
        if self.ard and x.shape[1] != len(lengths):
            raise ValueError(f"x has {x.shape[1]} columns but lengthscale has {len(lengths)}")
        xp = namespace(x)
        lengths = np.broadcast_to(lengths, (x.shape[1],)).tolist()
        return xp.asarray(lengths, dtype=x.dtype)

    def _squares(self, x: Array, y: Array, units: Array) -> Array:
        """Return s, cut off where all profiles are zero: beyond, products with it may be NaN."""
        s, xp = squared_distances(x, y, units), namespace(x)
        if float(xp.max(s)) <= _FARTHEST:
            return s
        return xp.minimum(s, xp.asarray(_FARTHEST, dtype=s.dtype))

    def _evaluate(self, x: Array, y: Array | None) -> Array:
        s = self._squares(x, x if y is None else y, self._units(x))
        return self.variance * self._profile(s)[0]

    def _variances(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.full((x.shape[0],), self.variance, dtype=x.dtype)

    def _vjp(self, x: Array, y: Array | None) -> tuple[Array, Pullback]:
        xp = namespace(x)
        other, units = x if y is None else y, self._units(x)
        s = self._squares(x, other, units)
        profile, slope = self._profile(s)
        if slope is profile:  # nobody else needs it
            K = profile
            K *= self.variance
        else:
            K = self.variance * profile

        def pullback(M: Array) -> np.ndarray:
            by_variance = xp.sum(xp.vecdot(M, K))
            by_square, factor = (K, 1.0) if slope is profile else (slope, self.variance)
            if self.ard:
                lengths = contract_squares(M, x, other, units, times=by_square)
            else:
                lengths = xp.reshape(xp.sum(xp.vecdot(M * by_square, s)), (1,))
            return to_host(xp.concat([xp.reshape(by_variance, (1,)), factor * lengths]))

        return K, pullback

    def _variances_vjp(self, x: Array) -> tuple[Array, Pullback]:
        xp = namespace(x)

        def pullback(m: Array) -> np.ndarray:
            gradient = np.zeros(len(self.theta))
            gradient[0] = self.variance * float(xp.sum(m))
            return gradient

        return self._variances(x), pullback

    @abstractmethod
    def _profile(self, s: Array) -> tuple[Array, Array]:
        r"""Return :math:`f(s)` and :math:`-2 f'(s)`; where they are equal, the same array twice."""


class SquaredExponential(_Stationary):
    r""":math:`k = \sigma^2 e^{-s/2}`, :math:`s = \sum_d (x_d - y_d)^2/\ell_d^2`.

    Parameters
    ----------
    variance : float
        The variance :math:`\sigma^2`.
    lengthscale : float or sequence of float
        One :math:`\ell` for all columns, or one for each.

    Raises
    ------
    ValueError
        If a parameter is not positive.
    """

    def _profile(self, s: Array) -> tuple[Array, Array]:
        f = -0.5 * s
        f = np.exp(f, out=f) if is_numpy_array(f) else namespace(f).exp(f)
        return f, f


class Matern12(_Stationary):
    r""":math:`k = \sigma^2 e^{-r}` with :math:`r = \sqrt s`: continuous, nowhere smooth paths.

    Parameters
    ----------
    variance, lengthscale
        As for `SquaredExponential`.
    """

    def _profile(self, s: Array) -> tuple[Array, Array]:
        xp = namespace(s)
        r = xp.sqrt(s)
        f = xp.exp(-r)
        # At r = 0 the slope is infinite but only ever multiplies a distance of zero.
        return f, xp.where(r > 0, f / xp.where(r > 0, r, 1.0), 0.0)


class Matern32(_Stationary):
    r""":math:`k = \sigma^2 (1 + a) e^{-a}` with :math:`a = \sqrt{3 s}`: once differentiable paths.

    Parameters
    ----------
    variance, lengthscale
        As for `SquaredExponential`.
    """

    def _profile(self, s: Array) -> tuple[Array, Array]:
        xp = namespace(s)
        a = xp.sqrt(3 * s)
        decay = xp.exp(-a)
        return (1 + a) * decay, 3 * decay


class Matern52(_Stationary):
    r""":math:`k = \sigma^2 (1 + a + a^2/3) e^{-a}`, :math:`a = \sqrt{5 s}`: twice differentiable.

    Parameters
    ----------
    variance, lengthscale
        As for `SquaredExponential`.
    """

    def _profile(self, s: Array) -> tuple[Array, Array]:
        xp = namespace(s)
        a = xp.sqrt(5 * s)
        linear = (1 + a) * xp.exp(-a)
        return linear + 5 / 3 * s * xp.exp(-a), 5 / 3 * linear
