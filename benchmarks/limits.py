"""What one core of this machine can do at most, and which share of that a row reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Demand:
    """What a piece of work cannot do without: flops, exponentials, bytes."""

    flops: float = 0.0
    exps: float = 0.0
    moved: float = 0.0  # bytes that must come from memory or go there, once
    dtype: type = np.float64

    def least_seconds(self, peaks: dict[str, dict[str, float]]) -> float:
        """Return the time of the resource that takes longest; they may overlap."""
        peak = peaks[np.dtype(self.dtype).name]
        return max(self.flops / peak["flops"], self.exps / peak["exps"], self.moved / peak["bytes"])


def fastest(work: Callable[[], object], repeats: int = 7) -> float:
    """Return the least processor time of several runs, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def measure() -> dict[str, dict[str, float]]:
    """Return flops, exponentials and bytes per second of one core, for both precisions.

    The matrix product has the shape at which it is fastest, the exponentials stay in the cache,
    and the copy does not fit there.
    """
    peaks = {}
    for dtype in (np.float32, np.float64):
        rng = np.random.default_rng(0)
        A = rng.standard_normal((1024, 1024)).astype(dtype)
        x, out = -rng.uniform(0, 5, 4_000).astype(dtype), np.empty(4_000, dtype)
        big = np.ones(32_000_000, dtype)
        target = np.empty_like(big)

        def exponentials(x=x, out=out):
            for _ in range(200):
                np.exp(x, out=out)

        peaks[np.dtype(dtype).name] = {
            "flops": 2 * 1024**3 / fastest(lambda A=A: A @ A),
            "exps": 200 * len(x) / fastest(exponentials),
            "bytes": 2 * big.nbytes / fastest(lambda a=target, b=big: np.copyto(a, b), 3),
        }
    return peaks
