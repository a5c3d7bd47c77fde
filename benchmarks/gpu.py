"""Each kernel beside its array path, and beside PyTorch where it is installed, on one GPU.

``python -m benchmarks.gpu`` writes ``results/<gpu>.json``.  Both ways of ours start from the same
arrays on the device; a row says how long each takes, and which fraction of the card's limit, memory
or arithmetic, the kernel reaches with the operations and bytes that its docstring counts.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gaussbook.arrays import backend, device_name, to_host
from gaussbook.mixture import densities
from gaussbook.splatting import RenderOptions, look_at, render_backward, render_forward
from gaussbook.tables import text_table

RESULTS = Path(__file__).parent / "results"
REPEATS = 7
_CORES = {60: 64, 70: 64, 80: 64}  # float32 units of a multiprocessor, 128 elsewhere
_DOUBLES = {60: 2, 70: 2, 80: 2, 90: 2}  # how many of them make one for float64, 64 elsewhere


@dataclass
class Case:
    """One kernel at one size.

    Attributes
    ----------
    name : str
        What is computed.
    arrays, kernel : callable
        The array path, and the public function that reaches the kernel; they return arrays alike.
    peer : callable or None
        The same by PyTorch, if it is installed.
    flops, bytes : float or None
        What the kernel has to do and to move, where that does not depend on the data.
    dtype : str
        The type of the arithmetic.
    tolerance : float
        Largest difference of the results, relative to the largest entry.
    """

    name: str
    arrays: Callable[[], list]
    kernel: Callable[[], list]
    peer: Callable[[], Any] | None
    flops: float | None
    bytes: float | None
    dtype: str
    tolerance: float


def _posteriors(xp: ModuleType, n: int) -> Iterator[Case]:
    """Responsibilities of a mixture whose components are too narrow for an expanded square."""
    rng = np.random.default_rng(0)
    for d, K in ((3, 16), (16, 64), (64, 64)):
        for dtype in ("float32", "float64"):
            for shape in ("full", "diagonal"):
                means = 1e3 * rng.standard_normal((K, d))
                x = means[rng.integers(0, K, n)] + rng.standard_normal((n, d))
                variances = rng.uniform(1, 2, (K, d))
                full = np.eye(d) * variances[:, None, :]
                host = x, np.zeros(K), means, full if shape == "full" else variances
                x, log_weights, means, covariances = (
                    xp.asarray(a, dtype=getattr(xp, dtype)) for a in host
                )
                gaussians = densities.Gaussians(means, covariances, None, log_weights)
                size = np.dtype(dtype).itemsize
                yield Case(
                    f"posterior, {shape}, n={n}, d={d}, K={K}, {dtype}",
                    lambda x=x, g=gaussians: list(densities._posterior_arrays(x, g)),
                    lambda a=(x, log_weights, means, covariances): list(densities.posterior(*a)),
                    _torch_posterior(x, means, covariances),
                    n * K * (d * d + 2 * d) if shape == "full" else 3 * n * K * d,
                    size * n * (d + 3 * K + 1),
                    dtype,
                    1e-2 if dtype == "float32" else 1e-7,
                )


def _torch_posterior(x: Any, means: Any, covariances: Any) -> Callable[[], Any] | None:
    try:
        import torch
    except ImportError:
        return None
    device = "cpu" if isinstance(x, np.ndarray) else "cuda"
    x, means, covariances = (
        torch.as_tensor(to_host(a)).to(device) for a in (x, means, covariances)
    )
    if covariances.ndim == 2:
        factors = covariances.rsqrt()
        white = lambda k: (x - means[k]) * factors[k]  # noqa: E731
    else:
        factors = torch.linalg.inv(torch.linalg.cholesky(covariances)).mT
        white = lambda k: (x - means[k]) @ factors[k]  # noqa: E731

    def run() -> Any:
        square = torch.stack([white(k).square().sum(1) for k in range(len(means))], 1)
        return torch.log_softmax(-0.5 * square, 1).exp()

    return run


def _renders(xp: ModuleType, n: int) -> Iterator[Case]:
    """One rendering with its pullback; the array path is the list of pairs, on the host."""
    rng = np.random.default_rng(0)
    host = {
        "means": rng.uniform(-1, 1, (n, 3)),
        "log_scales": rng.uniform(-4.5, -3.5, (n, 3)),
        "quaternions": rng.standard_normal((n, 4)),
        "opacity_logits": rng.standard_normal(n),
        "colors": rng.uniform(0, 1, (n, 3)),
        "background": np.ones(3),
    }
    host = {name: value.astype(np.float32) for name, value in host.items()}
    camera = look_at((2.5, 1.0, 1.0), (0.0, 0.0, 0.0), width=200)
    ones = np.ones((camera.height, camera.width, 3), dtype=np.float32)

    def step(parameters: dict, one: Any) -> list:
        rendering, state = render_forward(parameters, camera, RenderOptions())
        return [rendering.image, render_backward(state, one)[0]["means"]]

    there = {name: xp.asarray(value) for name, value in host.items()}
    on_device = xp.asarray(ones)
    yield Case(
        f"render and pullback, {n} Gaussians, {camera.width}×{camera.height}",
        lambda: step(host, ones),
        lambda: step(there, on_device),
        None,
        None,
        None,
        "float32",
        1e-2,
    )


def _limits(xp: ModuleType) -> dict[str, float]:
    """Return bytes and operations per second that the card cannot exceed; none on a CPU."""
    if "cupy" not in xp.__name__:
        return {}
    import cupy

    device = cupy.cuda.Device()
    about = cupy.cuda.runtime.getDeviceProperties(device.id)
    generation = int(device.compute_capability)
    clock = 1e3 * device.attributes["ClockRate"]
    single = 2 * clock * about["multiProcessorCount"] * _CORES.get(generation, 128)
    memory = 2 * 1e3 * device.attributes["MemoryClockRate"]
    return {
        "bytes": memory * device.attributes["GlobalMemoryBusWidth"] / 8,
        "float32": single,
        "float64": single / _DOUBLES.get(generation, 64),
    }


def _seconds(work: Callable[[], Any], wait: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEATS + 1):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])  # the first one compiles


def measure(case: Case, limits: dict[str, float], wait: Callable[[], Any]) -> dict[str, Any]:
    """Return the record of one case; results that differ are an error."""
    for ours, expected in zip(case.kernel(), case.arrays(), strict=True):
        ours, expected = to_host(ours), to_host(expected)
        np.testing.assert_allclose(ours, expected, atol=case.tolerance * np.max(np.abs(expected)))
    record = {"name": case.name, "dtype": case.dtype, "peer_s": None, "fraction": None}
    record["kernel_s"], record["arrays_s"] = (_seconds(f, wait) for f in (case.kernel, case.arrays))
    if case.peer is not None:
        record["peer_s"] = _seconds(case.peer, wait)
    if limits and case.flops:
        arithmetic = case.flops / limits[case.dtype]
        least = {"memory": case.bytes / limits["bytes"], "arithmetic": arithmetic}
        record["limit"] = max(least, key=least.get)
        record["fraction"] = max(least.values()) / record["kernel_s"]
    return record


def main(n: int = 1_000_000, gaussians: int = 100_000, folder: Path = RESULTS) -> Path:
    """Measure all cases on the default backend and write the file; return its path."""
    xp = backend()
    on_gpu = "cupy" in xp.__name__
    wait = _synchronise if on_gpu else lambda: None
    cases = (*_posteriors(xp, n), *_renders(xp, gaussians))
    limits = _limits(xp)
    records = [measure(case, limits, wait) for case in cases]
    name = device_name(xp)
    heads = ["work", "kernel ms", "arrays / kernel", "PyTorch / kernel", "of the limit"]
    rows = [
        [
            r["name"],
            f"{1e3 * r['kernel_s']:.3f}",
            f"{r['arrays_s'] / r['kernel_s']:.2f}",
            f"{r['peer_s'] / r['kernel_s']:.2f}" if r["peer_s"] else "-",
            f"{r['fraction']:.0%} of {r['limit']}" if r["fraction"] else "-",
        ]
        for r in records
    ]
    print(text_table(heads, rows))
    path = folder / (re.sub(r"\W+", "_", name).strip("_").lower() + ".json")
    about = {"device": name, "kernels": on_gpu, "date": date.today().isoformat()}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about | {"limits": limits, "rows": records}, indent=1) + "\n")
    return path


def _synchronise() -> None:
    import cupy

    cupy.cuda.Device().synchronize()


if __name__ == "__main__":
    print(main())
