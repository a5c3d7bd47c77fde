"""The page of measured times is drawn from the result files."""

import json

RECORD = {
    "machine": "A machine",
    "date": "2026-01-01",
    "versions": {"numpy": "2.0"},
    "rows": [
        {"work": "sorting", "peer": "a peer", "ours_s": 0.5, "peer_s": 1.0, "ratio": 2.0,
         "target": 3.0, "meets": False, "share": 0.25, "note": "a remark"},
    ],
    "peaks": {"float64": {"flops": 2e9, "exps": 1e9, "bytes": 3e9}},
    "growth": [
        {"work": "sorting", "variable": name, "values": [1, 10, 100], "expected": 1,
         "seconds": [0.1, 1.0, 10.0], "megabytes": [1, 10, 1000]}
        for name in ("n", "d", "K")
    ],
    "scaling": {
        "rows": 1000, "chunks": 4, "memory_limit": "1GiB", "cores": 2, "latency_s": 0.5,
        "work_s": 8.0, "measured_s": {"1": 10.0, "2": 5.0, "4": 6.0},
        "model_s": {"1": 8.5, "2": 4.5, "4": 4.5, "8": 1.5},
    },
}  # fmt: skip


def test_results_become_a_table_and_curves(built):
    results = built.root / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "cpu.json").write_text(json.dumps(RECORD))
    with (built.root / "book" / "index.md").open("a") as page:
        page.write("\n```{benchmarks}\n```\n")
    result = built.build()
    assert result.returncode == 0, result.stdout
    html = (built.root / "_build/html/book/index.html").read_text()
    for text in (
        "A machine",
        "numpy 2.0",
        "sorting (1)",
        "a remark",
        "1.00",
        "2.00",
        "double precision 2",
        "off by at most 15 %",
        "<p>1.5</p>",
    ):
        assert text in html
    assert "_images/cpu.svg" in html


def test_without_results_it_says_how_to_make_some(built):
    with (built.root / "book" / "index.md").open("a") as page:
        page.write("\n```{benchmarks}\n```\n")
    result = built.build()
    assert result.returncode == 1
    assert "make bench" in result.stdout
