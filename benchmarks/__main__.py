"""Run all rows, print them and write ``benchmarks/results/cpu-<instructions>.json``.

Ours and the peer's turn alternate, so that a busy moment of the machine meets both; a row reports
medians of processor time (of time on the clock where several processes work) and their ratio.  A
row whose two answers differ is an error.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)  # no pin on other kernels than this processor's: peers heed none
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

from benchmarks import (
    compiled,
    cpu,
    growth,
    limits,
    networks,
    out_of_core,
    processes,
    scaling,
    splatting,
    transport,
)
from gaussbook.arrays import device_name
from gaussbook.tables import text_table

ROWS = (
    *cpu.ROWS,
    *compiled.ROWS,
    *processes.ROWS,
    *transport.ROWS,
    *networks.ROWS,
    *splatting.ROWS,
    *out_of_core.ROWS,
)
RESULTS = Path(__file__).parent / "results"


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _instructions() -> str:
    """Return the level of instructions that NumPy has loops for and finds here."""
    from numpy._core import _multiarray_umath as umath

    sets = [*umath.__cpu_baseline__, *umath.__cpu_dispatch__]
    levels = [n for n in sets if n.startswith("X86_V") and umath.__cpu_features__.get(n)]
    return levels[-1] if levels else platform.machine()


def _machine() -> str:
    pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    kernels = sorted({pool["architecture"] for pool in pools})
    return f"{device_name()}, NumPy for {_instructions()}, OpenBLAS for {', '.join(kernels)}"


def measure(row: cpu.Row, repeats: int, peaks: dict[str, dict[str, float]]) -> dict:
    """Run one row and return its record; `peaks` is what the machine can do (`limits`)."""
    ours, peer, check = row.prepare()
    answer = ours()
    check(answer, peer())
    demand = row.demand(answer) if callable(row.demand) else row.demand
    pairs = [(_seconds(ours, row.clock), _seconds(peer, row.clock)) for _ in range(repeats)]
    ours_s, peer_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    peer_s *= row.peer_factor
    ratio = peer_s / ours_s
    in_time = row.limit is None or ours_s <= row.limit
    return {
        "work": row.work,
        "peer": row.peer,
        "ours_s": round(ours_s, 4),
        "peer_s": round(peer_s, 4),
        "ratio": round(ratio, 2),
        "target": row.target,
        "meets": ratio >= row.target and in_time,
        "share": round(demand.least_seconds(peaks) / ours_s, 2) if demand else None,
        "note": row.note,
    }


def main() -> None:
    """Run the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose work contains this text")
    options = parser.parse_args()
    rows, peaks = [], limits.measure()
    for row in ROWS:
        if options.only in row.work:
            try:
                rows.append(measure(row, options.repeats, peaks))
            except ImportError as error:
                print(f"  peer not installed: {row.work} ({error.name})", file=sys.stderr)
                continue
            print(f"{rows[-1]['ratio']:6.2f}x  {row.work} against {row.peer}", file=sys.stderr)
    columns = ("work", "peer", "ours_s", "peer_s", "ratio", "target", "meets", "share")
    print(text_table(columns, [[str(row[name]) for name in columns] for row in rows]))
    if not options.only:
        packages = (
            *("numpy", "scipy", "scikit-learn", "POT", "torch", "gpytorch", "gsplat", "dask"),
            *("jax", "ott-jax", "tinygp", "faiss-cpu"),
        )
        record = {
            "machine": _machine(),
            "date": date.today().isoformat(),
            "versions": {name: found for name in packages if (found := _version(name))},
            "peaks": peaks,
            "rows": rows,
            "growth": growth.measure(),
        }
        try:
            record["scaling"] = scaling.measure()
        except ImportError as error:
            print(f"  not installed: scaling over workers ({error.name})", file=sys.stderr)
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"cpu-{_instructions().lower()}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
