"""Gaussian mixtures of points that do not fit into memory, or that lie on many machines (Dask).

`gaussbook.mixture.GaussianMixture` takes a Dask array where it takes a NumPy array.  A pass over
the data is then a map of its step over the row chunks, each giving the sums that the M-step needs
(a few K × d × d numbers), and a tree of additions.  The estimates are those in memory up to the
order of the additions, and a worker holds one chunk at a time.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from types import ModuleType
from typing import Any

import numpy as np
from array_api_compat import is_dask_array

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.mixture.kmeans import check_sample_weight
from gaussbook.mixture.statistics import Statistics, Step
from gaussbook.validation import check_array

try:
    import dask
    import dask.array
    import dask.optimization
    import dask.system
except ImportError as error:
    raise ImportError(
        f"mixtures of Dask arrays need Dask, which cannot be imported ({error}); "
        "install the 'dask' extra"
    ) from error

__all__ = ["Chunks", "map_rows"]

_FAN_IN = 16  # partial sums added by one task
_BATCHES = 8  # at least, for each thread, where there are so many chunks


@dataclass
class Chunks:
    """The rows of a Dask array, as a source of `Statistics`.

    Attributes
    ----------
    x : dask.array.Array, shape (n, d)
        The points, in chunks of whole rows.
    sample_weight : dask.array.Array, shape (n,), or None
        Their weights, in the same chunks.
    counts : tuple of int
        How many points of each chunk have a positive weight: the others are absent.
    largest_weight, weight_sum : float
        The largest weight, and the sum of all in that unit.
    """

    x: Any
    sample_weight: Any
    counts: tuple[int, ...]
    largest_weight: float = 1.0
    weight_sum: float = 1.0
    in_memory = False

    @classmethod
    def of(cls, X: Any, sample_weight: Any = None) -> Chunks:
        """Return checked chunks.

        Parameters
        ----------
        X : dask.array.Array, shape (n, d)
            The points; chunks that part columns are joined, and chunks of unknown length counted.
        sample_weight : array or dask.array.Array, shape (n,), optional
            Non-negative weights.

        Returns
        -------
        Chunks
            The source.

        Raises
        ------
        ValueError
            If the shape is not that of a matrix or empty, or the weights do not fit.
        """
        if X.ndim != 2:
            raise ValueError(f"X must be a matrix with rows and columns, got shape {X.shape}")
        X = _of_known_length(X)
        if 0 in X.shape:
            raise ValueError(f"X must be a matrix with rows and columns, got shape {X.shape}")
        if X.dtype.kind not in "fiub":
            raise ValueError(f"X must hold real numbers, got {X.dtype}")
        X = X.rechunk({1: -1})
        if sample_weight is None:
            return cls(X, None, X.chunks[0])
        if is_dask_array(sample_weight):
            sample_weight = _of_known_length(sample_weight)
        else:
            sample_weight = check_array("sample_weight", sample_weight)
        if tuple(sample_weight.shape) != (X.shape[0],):
            raise ValueError(
                f"sample_weight must have shape ({X.shape[0]},), got {sample_weight.shape}"
            )
        if is_dask_array(sample_weight):
            sample_weight = sample_weight.rechunk((X.chunks[0],))
        else:
            sample_weight = dask.array.from_array(sample_weight, chunks=(X.chunks[0],))
        extremes = dask.compute(sample_weight.min(), sample_weight.max())
        check_sample_weight(np.asarray(extremes), np.empty(2))
        counts, total = dask.compute(
            [(block > 0).sum() for block in sample_weight.blocks],
            (sample_weight / extremes[1]).sum(),
        )
        return cls(X, sample_weight, tuple(map(int, counts)), float(extremes[1]), float(total))

    @property
    def namespace(self) -> ModuleType:
        """The array namespace of the chunks."""
        return namespace(self.x._meta)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of points of positive weight and of coordinates."""
        return sum(self.counts), self.x.shape[1]

    def _of_mean_one(self, weight: Any) -> Any:
        """Return weights divided by the mean of the positive ones."""
        return weight / self.largest_weight * (sum(self.counts) / self.weight_sum)

    def reduce(self, step: Step) -> Statistics:
        """Return the statistics of all points: a map over the chunks and a tree of sums."""
        step = dask.delayed(step, pure=False, traverse=False)  # sent to each worker once
        of_batch, total = dask.delayed(_of_batch, pure=False), dask.delayed(_total, pure=False)
        parts = [of_batch(step, batch) for batch in self._batches]
        while len(parts) > 1:
            parts = [total(parts[i : i + _FAN_IN]) for i in range(0, len(parts), _FAN_IN)]
        return parts[0].compute()

    @cached_property
    def _batches(self) -> list[Any]:
        """The chunks in batches, each the work of one task.

        A task costs milliseconds, of a scheduler that serves one after the other.  Where chunks
        have nothing in common and do not yet lie on a worker, a task therefore makes several, one
        after the other.
        """
        chunks = self.x.to_delayed().ravel()
        weights = [None] * len(chunks)
        if self.sample_weight is not None:
            weights = self._of_mean_one(self.sample_weight).to_delayed().ravel()
        starts = np.cumsum([0, *self.counts[:-1]]).tolist()
        numbered = zip(chunks, weights, starts, strict=True)
        parts = [p for p, count in zip(numbered, self.counts, strict=True) if count > 0]
        separate = None
        if not _on_workers(self.x, self.sample_weight):
            separate = _separate_chunks(parts)
        if separate is None:
            return [[part] for part in parts]
        size = max(1, len(parts) // (_BATCHES * _threads()))
        return [_Batch(separate[i : i + size]) for i in range(0, len(parts), size)]

    def sample(self, indices: np.ndarray | None) -> tuple[Array, Array | None]:
        """Return the given ones (all, for None) of the points that count, and their weights."""
        if self.sample_weight is None:
            rows = slice(None) if indices is None else indices
            return check_array("X", self.x[rows].compute()), None
        rows = np.flatnonzero(to_host((self.sample_weight > 0).compute()))
        rows = rows if indices is None else rows[indices]
        x, weight = dask.compute(self.x[rows], self._of_mean_one(self.sample_weight)[rows])
        return check_array("X", x), weight


def _of_known_length(x: Any) -> Any:
    """Return a Dask array that knows how long its chunks are."""
    if not any(math.isnan(n) for n in x.shape):
        return x
    return x.copy().compute_chunk_sizes()  # in the copy: an argument is left as it is


def _separate_chunks(
    parts: list[tuple[Any, Any, int]],
) -> list[tuple[dict, list[Any], int]] | None:
    """Return graph, keys and first row of each chunk; None if they are better left to Dask.

    That is so where graphs share a task, which each batch would repeat.
    """
    whole = {}
    for part in parts[0][:2]:
        whole.update({} if part is None else part.__dask_graph__())  # that of all chunks
    separate = []
    for x, weight, start in parts:
        keys = [x.key] if weight is None else [x.key, weight.key]
        separate.append((dask.optimization.cull(whole, keys)[0], keys, start))
    graphs = [graph for graph, _, _ in separate]
    return separate if sum(map(len, graphs)) == len(set().union(*graphs)) else None


def _on_workers(*arrays: Any) -> bool:
    """Say whether chunks are kept on the workers of a cluster."""
    if "distributed" not in sys.modules:
        return False
    from distributed import futures_of

    return bool(futures_of([array for array in arrays if array is not None]))


def _threads() -> int:
    """Return the number of threads that work on tasks."""
    if "distributed" in sys.modules:
        from distributed import default_client

        with contextlib.suppress(ValueError):  # there is no cluster
            return max(1, sum(default_client().nthreads().values()))
    return dask.system.CPU_COUNT


class _Batch:
    """A sequence of chunks, each made when it is asked for, where its sums are taken."""

    def __init__(self, chunks: list[tuple[dict, list[Any], int]]):
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, k: int) -> tuple[Array, Array | None, int]:
        """Return points, weights and the number of the first row."""
        graph, keys, start = self._chunks[k]
        x, *weight = dask.get(graph, keys)
        return x, (weight[0] if weight else None), start


def _of_batch(step: Step, batch: Sequence[tuple[Array, Array | None, int]]) -> Statistics:
    # By number: a loop would keep one chunk while it makes the next.
    return _total([_of_chunk(step, *batch[k]) for k in range(len(batch))])


def _of_chunk(step: Step, x: Array, sample_weight: Array | None, first_row: int) -> Statistics:
    x = check_array("X", x)
    if sample_weight is not None:
        rows = namespace(x).nonzero(sample_weight > 0)[0]
        x, sample_weight = x[rows, :], sample_weight[rows]
    return step(x, sample_weight, first_row)


def _total(parts: list[Statistics]) -> Statistics:
    return reduce(add, parts)


def map_rows(function: Callable[[Array], Array], X: Any) -> Any:
    """Apply a function of row blocks to a Dask array, lazily.

    Parameters
    ----------
    function : callable
        Takes an array of shape (n, d) and returns one of shape (n,) or (n, m), row by row.
    X : dask.array.Array, shape (n, d)
        The points.

    Returns
    -------
    dask.array.Array
        The results, in the row chunks of `X`.

    Raises
    ------
    ValueError
        If `X` is not a matrix.
    """
    if X.ndim != 2:
        raise ValueError(f"X must have 2 dimension(s), got shape {X.shape}")
    X = X.rechunk({1: -1})
    probe = function(namespace(X._meta).zeros((1, X.shape[1])))

    def of_rows(block: Array) -> Array:
        return function(block) if block.shape[0] > 0 else probe[:0, ...]

    if probe.ndim == 1:
        return X.map_blocks(of_rows, dtype=probe.dtype, drop_axis=1, meta=probe[:0])
    columns = {"chunks": (X.chunks[0], (probe.shape[1],))}
    return X.map_blocks(of_rows, dtype=probe.dtype, meta=probe[:0, ...], **columns)
