r"""Sufficient statistics of a Gaussian mixture, summed over blocks of rows in one pass.

An EM iteration needs of the data only, for each component, :math:`\sum_i r_{ik}`,
:math:`\sum_i r_{ik}u_i` and :math:`\sum_i r_{ik}u_iu_i^\top`.  They are taken about a reference
point near the data (:math:`u=x-c`), are added up block by block, and add up over machines too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from gaussbook.arrays import Array, namespace
from gaussbook.distances import SquaredDistances
from gaussbook.mixture.densities import (
    Gaussians,
    block_columns,
    can_be_expanded,
    column_posterior,
    feature_blocks,
    feature_count,
    quadratic_features,
)
from gaussbook.mixture.kmeans import nearest

__all__ = ["Assignment", "Expectation", "RandomShares", "Rows", "Statistics", "Step"]


@dataclass
class Statistics:
    r"""Weighted sums over points, about reference points.

    Attributes
    ----------
    reference : array, shape (d,) or (K, d)
        The point :math:`c` in :math:`u = x - c`: one for all components, or one for each.
    weight : array, shape ()
        :math:`\sum_i w_i`, with the sample weights.
    log_likelihood : array, shape ()
        :math:`\sum_i w_i L_i`.
    counts : array, shape (K,)
        :math:`\sum_i w_ir_{ik}`.
    first : array, shape (K, d)
        :math:`\sum_i w_ir_{ik}u_i`.
    second : array, shape (K, d) or (K, d, d)
        :math:`\sum_i w_ir_{ik}u_i^2` or :math:`\sum_i w_ir_{ik}u_iu_i^\top`.
    """

    reference: Array
    weight: Array
    log_likelihood: Array
    counts: Array
    first: Array
    second: Array

    def __add__(self, other: Statistics) -> Statistics:
        """Return the statistics of both sets of points (about the same reference)."""
        return Statistics(
            self.reference,
            self.weight + other.weight,
            self.log_likelihood + other.log_likelihood,
            self.counts + other.counts,
            self.first + other.first,
            self.second + other.second,
        )

    @property
    def mean_log_likelihood(self) -> float:
        """Weighted mean log-likelihood of a point."""
        return float(self.log_likelihood) / float(self.weight)

    def moments(self) -> tuple[Array, Array, Array]:
        """Return counts (K,), means (K, d) and covariances (K, d) or (K, d, d)."""
        xp = namespace(self.counts)
        # The addend keeps a component without points finite; scikit-learn's is the same.
        counts = self.counts + 10 * float(xp.finfo(self.counts.dtype).eps)
        shift = self.first / counts[:, None]
        if self.second.ndim == 2:
            covariances = self.second / counts[:, None] - shift**2
        else:
            outer = shift[:, :, None] * shift[:, None, :]
            covariances = self.second / counts[:, None, None] - outer
        return counts, self.reference + shift, covariances


@dataclass
class Step:
    """One pass over the points: how they are shared among the components, and about what.

    A step is called with any rows and returns their `Statistics`; it is pickled to other machines.

    Attributes
    ----------
    reference : array, shape (d,) or (K, d)
        Where the statistics are taken.  One point for all components lets a single matrix product
        do the work; one for each costs more and loses no digits.
    n_components : int
        K.
    diagonal : bool
        Whether to leave out the products of different coordinates.
    """

    reference: Array
    n_components: int
    diagonal: bool

    def about(self, means: Array) -> Step:
        """Return the same step with the statistics taken about the components' own means."""
        return replace(self, reference=means)

    def shares(
        self, columns: Array, features: Array | None, first_row: int
    ) -> tuple[Array | None, Array]:
        """Return the log-likelihoods (n,) if there are any, and the responsibilities (K, n)."""
        raise NotImplementedError

    def __call__(self, x: Array, sample_weight: Array | None, first_row: int = 0) -> Statistics:
        """Return the statistics of the rows `x`, the first of which has number `first_row`."""
        xp = namespace(x)
        d, dtype = x.shape[1], xp.float64
        together = self.reference.ndim == 1
        n_features = feature_count(d, self.diagonal) if together else 0
        memory = features = None
        log_likelihood, weight = xp.zeros((), dtype=dtype), xp.zeros((), dtype=dtype)
        sums = 0.0
        for rows in feature_blocks(x, max(d, self.n_components), n_features):
            columns = block_columns(x, rows, dtype)
            if together:
                features = quadratic_features(columns, self.reference, self.diagonal, memory)
                memory = features if memory is None else memory
            densities, shares = self.shares(columns, features, first_row + rows.start)
            block_weight = None if sample_weight is None else sample_weight[rows]
            if block_weight is not None:
                shares = shares * block_weight
                densities = None if densities is None else densities * block_weight
            if densities is not None:
                log_likelihood = log_likelihood + xp.sum(densities)
            own = rows.stop - rows.start if block_weight is None else xp.sum(block_weight)
            weight = weight + own
            if together:
                sums = sums + shares @ xp.matrix_transpose(features)
            else:
                sums = sums + self._separate_sums(columns, shares)
        return Statistics(self.reference, weight, log_likelihood, *self._unpack(sums, d))

    def _separate_sums(self, columns: Array, shares: Array) -> Array:
        """Return each component's (count, first, second) about its own reference, as a row."""
        xp = namespace(columns)
        d = columns.shape[0]
        sums = xp.empty((self.n_components, self._packed(d)), dtype=columns.dtype)
        sums[:, 0] = xp.sum(shares, axis=1)
        for k in range(self.n_components):
            offsets = columns - self.reference[k, :][:, None]
            weighted = offsets * shares[k, :]
            sums[k, 1 : d + 1] = xp.sum(weighted, axis=1)
            if self.diagonal:
                sums[k, d + 1 :] = xp.sum(weighted * offsets, axis=1)
            else:
                sums[k, d + 1 :] = xp.reshape(weighted @ xp.matrix_transpose(offsets), (d * d,))
        return sums

    def _packed(self, d: int) -> int:
        return 1 + 2 * d if self.diagonal else 1 + d + d * d

    def _unpack(self, sums: Array, d: int) -> tuple[Array, Array, Array]:
        xp = namespace(sums)
        counts, first, second = sums[:, 0], sums[:, 1 : d + 1], sums[:, d + 1 :]
        if self.diagonal:
            return counts, first, second
        if self.reference.ndim == 2:
            return counts, first, xp.reshape(second, (self.n_components, d, d))
        square = xp.empty((self.n_components, d, d), dtype=sums.dtype)
        column = 0
        for i in range(d):  # the rows of the upper triangle, as quadratic_features orders them
            row = second[:, column : column + d - i]
            square[:, i, i:] = row
            square[:, i:, i] = row
            column += d - i
        return counts, first, square


@dataclass
class Expectation(Step):
    """The E-step: points are shared by the responsibilities of a mixture."""

    gaussians: Gaussians

    @classmethod
    def of(cls, gaussians: Gaussians) -> Expectation:
        """Return the E-step of components that carry their log-weights."""
        together = gaussians.expanded
        reference = gaussians.centre if together else gaussians.means
        return cls(reference, gaussians.means.shape[0], gaussians.diagonal, gaussians)

    def shares(self, columns: Array, features: Array | None, first_row: int) -> tuple[Array, Array]:
        """Return log-likelihoods and responsibilities."""
        return column_posterior(self.gaussians, columns, features)


@dataclass
class Assignment(Step):
    """Every point belongs to the component with the nearest centre."""

    centres: Array

    @classmethod
    def of(cls, centres: Array, diagonal: bool) -> Assignment:
        """Return the step for given centres."""
        xp = namespace(centres)
        together = can_be_expanded(centres.shape[1], diagonal)
        reference = xp.mean(centres, axis=0) if together else centres
        return cls(reference, centres.shape[0], diagonal, centres)

    def shares(self, columns: Array, features: Array | None, first_row: int) -> tuple[None, Array]:
        """Return no log-likelihoods, and memberships 0 or 1."""
        xp = namespace(columns)
        labels, _ = nearest(xp.matrix_transpose(columns), SquaredDistances(self.centres))
        return None, xp.astype(xp.arange(self.n_components)[:, None] == labels, columns.dtype)


@dataclass
class RandomShares(Step):
    """Uniform random responsibilities, those of a row independent of the blocks it comes in."""

    state: dict[str, Any]

    @classmethod
    def of(
        cls, centre: Array, n_components: int, diagonal: bool, rng: np.random.Generator
    ) -> RandomShares:
        """Return the step, with a random stream of its own taken from `rng`."""
        xp = namespace(centre)
        together = can_be_expanded(centre.shape[0], diagonal)
        reference = centre if together else xp.broadcast_to(centre, (n_components, centre.shape[0]))
        stream = np.random.PCG64(int(rng.integers(2**63)))
        return cls(reference, n_components, diagonal, stream.state)

    def shares(self, columns: Array, features: Array | None, first_row: int) -> tuple[None, Array]:
        """Return no log-likelihoods, and random numbers that sum to one over the components."""
        xp = namespace(columns)
        stream = np.random.PCG64()
        stream.state = self.state
        stream.advance(first_row * self.n_components)
        draws = np.random.Generator(stream).random((columns.shape[1], self.n_components))
        draws /= draws.sum(axis=1, keepdims=True)
        return None, xp.matrix_transpose(xp.asarray(draws))


@dataclass
class Rows:
    """Points in memory, as a source of `Statistics`.

    Attributes
    ----------
    x : array, shape (n, d)
        The points.
    sample_weight : array, shape (n,), or None
        Their weights.
    """

    x: Array
    sample_weight: Array | None = None
    in_memory = True

    @property
    def namespace(self) -> ModuleType:
        """The points' array namespace."""
        return namespace(self.x)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of points and of coordinates."""
        return self.x.shape

    def reduce(self, step: Step) -> Statistics:
        """Return the statistics of all points."""
        return step(self.x, self.sample_weight)

    def sample(self, indices: np.ndarray | None) -> tuple[Array, Array | None]:
        """Return the given rows (all, for None) and their weights."""
        if indices is None:
            return self.x, self.sample_weight
        xp = namespace(self.x)
        indices = xp.asarray(indices)
        weight = self.sample_weight
        weight = None if weight is None else xp.take(weight, indices)
        return xp.take(self.x, indices, axis=0), weight
