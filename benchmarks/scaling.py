"""Out-of-core estimation on one to four Dask workers, and what a model says of more.

The model has two numbers, measured apart from what it is to predict: the steps' latency, from a fit
to hardly any points in as many chunks, and the work, from a fit to one chunk in memory.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cpu import start_of_em
from gaussbook.mixture import GaussianMixture

_CHUNK, _CHUNKS, _WIDTH, _K, _STEPS = 250_000, 32, 8, 8, 10
_LIMIT, _MEASURED, _PREDICTED = "1GiB", (1, 2, 4), (1, 2, 4, 8, 16, 32)


def _seconds(points: Any, start: np.ndarray) -> float:
    mixture = GaussianMixture(**start_of_em(start, _K, _STEPS))
    begun = time.perf_counter()
    mixture.fit(points)
    return time.perf_counter() - begun


def _in_chunks(file: Path, rows: int) -> Any:
    """Return the file's points as a Dask array of so many rows a chunk."""
    import dask
    import dask.array as da

    def chunk(k: int) -> np.ndarray:
        return np.load(file, mmap_mode="r")[k : k + rows]

    parts = [dask.delayed(chunk)(k * rows) for k in range(_CHUNKS)]
    return da.concatenate([da.from_delayed(part, (rows, _WIDTH), dtype=float) for part in parts])


def measure() -> dict[str, Any]:
    """Return seconds on the clock for each number of workers, measured and by the model."""
    from distributed import Client

    rng = np.random.default_rng(0)
    part = rng.standard_normal((_CHUNK, _WIDTH))
    cores = len(os.sched_getaffinity(0))
    times, latency = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "points.npy"
        shape = (_CHUNK * _CHUNKS, _WIDTH)
        points = np.lib.format.open_memmap(file, mode="w+", dtype=float, shape=shape)
        for k in range(_CHUNKS):
            points[k * _CHUNK : (k + 1) * _CHUNK] = part
        points.flush()
        for workers in _MEASURED:
            with Client(
                n_workers=workers, threads_per_worker=1, memory_limit=_LIMIT, dashboard_address=None
            ):
                latency[workers] = min(_seconds(_in_chunks(file, 100), part[:_K]) for _ in range(2))
                times[workers] = _seconds(_in_chunks(file, _CHUNK), part[:_K])
    work = _CHUNKS * min(_seconds(part, part[:_K]) for _ in range(2))
    wait = min(latency.values())

    def model(workers: int, cores: float) -> float:
        return wait + work / min(workers, cores, _CHUNKS)

    return {
        "rows": _CHUNK * _CHUNKS,
        "chunks": _CHUNKS,
        "memory_limit": _LIMIT,
        "cores": cores,
        "latency_s": round(wait, 3),
        "work_s": round(work, 3),
        "measured_s": {str(w): round(t, 3) for w, t in times.items()},
        "model_s": {str(w): round(model(w, cores if w in _MEASURED else w), 3) for w in _PREDICTED},
    }
