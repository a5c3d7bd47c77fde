"""Estimation from data that do not fit into memory, on two local Dask workers."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.cpu import Row
from gaussbook.mixture import GaussianMixture

_ROWS, _IN_MEMORY, _WIDTH, _K, _STEPS = 20_000_000, 1_000_000, 8, 8, 2


def _expectation_maximisation():
    import dask.array as da
    from distributed import Client

    client = Client(n_workers=2, threads_per_worker=1, memory_limit="2GiB", dashboard_address=None)
    random = da.random.default_rng(0)
    X = random.standard_normal((_ROWS, _WIDTH), chunks=(250_000, _WIDTH))
    part = np.random.default_rng(0).standard_normal((_IN_MEMORY, _WIDTH))
    start = {
        "n_components": _K,
        "tol": 0.0,
        "max_iter": _STEPS,
        "means_init": part[:_K],
        "weights_init": np.full(_K, 1 / _K),
        "precisions_init": np.tile(np.eye(_WIDTH), (_K, 1, 1)),
    }

    def ours():
        return GaussianMixture(**start).fit(X).lower_bound_

    def peer():
        return GaussianMixture(**start).fit(part).lower_bound_

    def check(a, b):
        assert client.status == "running"  # no worker has died of its 2 GiB
        np.testing.assert_allclose(a, b, rtol=1e-2)  # other draws of the same law

    return ours, peer, check


ROWS = (
    Row(
        "out-of-core EM, 20 M x 8, two Dask workers of 2 GiB",
        "itself in memory",
        1 / 1.5,
        _expectation_maximisation,
        "time on the clock, data generated on the way; the peer has 1 M rows in memory and one "
        "thread, its time multiplied by 20 and divided by two workers",
        peer_factor=_ROWS / _IN_MEMORY / 2,
        clock=time.perf_counter,
    ),
)
