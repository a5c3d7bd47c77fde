"""Estimation from data that do not fit into memory, on two local Dask workers."""

from __future__ import annotations

import atexit
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.cpu import Prepared, Row, start_of_em
from gaussbook.mixture import GaussianMixture

_ROWS, _IN_MEMORY, _CHUNK, _WIDTH, _K, _STEPS = 20_000_000, 1_000_000, 250_000, 8, 8, 10


def _fit(points: object, start: dict) -> float:
    return GaussianMixture(**start).fit(points).lower_bound_


@cache
def _client():
    from distributed import Client

    return Client(n_workers=2, threads_per_worker=1, memory_limit="2GiB", dashboard_address=None)


@cache
def _points() -> tuple[np.ndarray, Path]:
    """Return what fits into memory, and a file that holds it twenty times."""
    part = np.random.default_rng(0).standard_normal((_IN_MEMORY, _WIDTH))
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "points.npy"
    points = np.lib.format.open_memmap(file, mode="w+", dtype=float, shape=(_ROWS, _WIDTH))
    for k in range(0, _ROWS, _IN_MEMORY):
        points[k : k + _IN_MEMORY] = part
    points.flush()
    return part, file


def _expectation_maximisation(together: bool):
    def prepare() -> Prepared:
        import dask
        import dask.array as da

        client, (part, file) = _client(), _points()

        def chunk(k: int) -> np.ndarray:
            return np.load(file, mmap_mode="r")[k : k + _CHUNK]

        parts = [dask.delayed(chunk)(k) for k in range(0, _ROWS, _CHUNK)]
        X = da.concatenate([da.from_delayed(each, (_CHUNK, _WIDTH), dtype=float) for each in parts])
        start = start_of_em(part, _K, _STEPS)
        workers = list(client.scheduler_info()["workers"])
        there = client.scatter(part, broadcast=True) if together else None

        def peer():
            if not together:
                return _fit(part, start)
            at_once = [client.submit(_fit, there, start, workers=[w], pure=False) for w in workers]
            return client.gather(at_once)[0]

        def check(a, b):
            assert client.status == "running"  # no worker has died of its 2 GiB
            np.testing.assert_allclose(a, b, rtol=1e-10)  # the same points, twenty times

        return (lambda: _fit(X, start)), peer, check

    return prepare


_NOTE = (
    "time on the clock, ten steps, points read from a file; the peer has 1 M rows in memory and "
)
ROWS = tuple(
    Row(
        "out-of-core EM, 20 M x 8, two Dask workers of 2 GiB",
        peer,
        1 / 1.5,
        _expectation_maximisation(together),
        _NOTE + words,
        peer_factor=_ROWS / _IN_MEMORY / 2,
        clock=time.perf_counter,
    )
    for peer, together, words in (
        (
            "itself in memory, alone",
            False,
            "one thread, its time multiplied by 20 and divided by two workers, which supposes that "
            "two busy cores compute as fast as one alone",
        ),
        (
            "itself in memory, two at once",
            True,
            "each of the two workers fits them at the same time; its time is multiplied by 10",
        ),
    )
)
