"""The benchmark of the GPU runs, small, where there is none: it then compares the array paths."""

import json

from benchmarks import gpu


def test_the_gpu_benchmark_writes_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "numpy")
    path = gpu.main(n=50, gaussians=40, folder=tmp_path)
    found = json.loads(path.read_text())
    assert not found["kernels"] and found["limits"] == {}
    assert len(found["rows"]) == 13
    for row in found["rows"]:
        assert row["kernel_s"] > 0 and row["arrays_s"] > 0 and row["fraction"] is None
