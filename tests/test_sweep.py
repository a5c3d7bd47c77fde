"""The functions are made inside the tests: worker processes need not import the test module."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid

from gaussbook.sweep import SweepError, sweep

GRID = [{"x": x, "power": p} for x in (3, 1, 2) for p in (1, 2)]
ANSWERS = [3, 9, 1, 1, 2, 4]


def make_power(log=None):
    def power(x, power):
        if log is not None:
            with open(log, "a") as file:
                file.write(f"{x} {power}\n")
        return x**power

    return power


def make_draw():
    def draw(n, rng):
        return rng.host.standard_normal(n)

    return draw


def make_failing(log, bad):
    def failing(x):
        with open(log, "a") as file:
            file.write(f"{x}\n")
        if x in bad:
            raise KeyError(f"no {x}")
        return 10 * x

    return failing


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}
    with distributed.LocalCluster(processes=False, protocol="tcp", **options) as cluster:
        yield cluster


@pytest.fixture(params=["in this process", "processes", "cluster by address", "running client"])
def place(request, monkeypatch):
    """Run the test in each of the places where configurations can run."""
    monkeypatch.delenv("GAUSSBOOK_DASK", raising=False)
    if request.param == "cluster by address":
        cluster = request.getfixturevalue("cluster")
        monkeypatch.setenv("GAUSSBOOK_DASK", cluster.scheduler_address)
    if request.param == "running client":
        distributed = pytest.importorskip("distributed")
        with distributed.Client(request.getfixturevalue("cluster")):
            yield {}
        return
    yield {"workers": 1 if request.param == "in this process" else 2}


class TestEverywhere:
    def test_results_are_in_order(self, place):
        assert sweep(make_power(), GRID, **place) == ANSWERS
        assert sweep(make_power(), iter(GRID), show_progress=False, **place) == ANSWERS
        assert sweep(make_power(), [], **place) == []

    def test_streams_depend_on_seed_and_configuration_only(self, place):
        configurations = [{"n": 3}, {"n": 4}, {"n": 5}]
        draws = sweep(make_draw(), configurations, seed=1, **place)
        backwards = sweep(make_draw(), configurations[::-1], seed=1, workers=1)[::-1]
        for first, second in zip(draws, backwards, strict=True):
            np.testing.assert_array_equal(first, second)
        assert draws[0][0] != draws[1][0]
        assert sweep(make_draw(), configurations, seed=2, **place)[0][0] != draws[0][0]

    def test_failures_are_named_after_the_rest_is_done_and_only_they_run_again(
        self, place, tmp_path
    ):
        log, store = tmp_path / "log", tmp_path / "store"
        configurations = [{"x": x} for x in range(6)]
        with pytest.raises(SweepError, match="2 of 6 configurations failed") as caught:
            sweep(make_failing(str(log), [1, 4]), configurations, store=store, **place)
        assert [configuration for configuration, _ in caught.value.failures] == [
            {"x": 1},
            {"x": 4},
        ]
        assert "KeyError: 'no 1'" in str(caught.value)
        assert "{'x': 4}" in str(caught.value)
        assert sorted(log.read_text().split()) == list("012345")
        with pytest.raises(SweepError, match="2 of 6"):
            sweep(make_failing(str(log), [1, 4]), configurations, store=store, **place)
        assert sorted(log.read_text().split()) == sorted("01234514")


class TestStore:
    def test_what_is_stored_is_not_run_again(self, tmp_path):
        log, store = tmp_path / "log", tmp_path / "a" / "store"
        assert sweep(make_power(str(log)), GRID[:2], store=store, workers=1) == ANSWERS[:2]
        assert sweep(make_power(str(log)), GRID, store=str(store), workers=1) == ANSWERS
        assert sweep(make_power(str(log)), GRID[::-1], store=store, workers=1) == ANSWERS[::-1]
        assert len(log.read_text().splitlines()) == len(GRID)
        contents = [json.loads(path.read_text()) for path in store.iterdir()]
        assert sorted(c["result"] for c in contents) == sorted(ANSWERS)

    def test_another_function_or_seed_is_another_record(self, tmp_path):
        def double(x):
            return 2 * x

        def triple(x):
            return 3 * x

        configuration = [{"x": 5}]
        assert sweep(double, configuration, store=tmp_path, workers=1) == [10]
        assert sweep(triple, configuration, store=tmp_path, workers=1) == [15]
        draws = [
            sweep(make_draw(), [{"n": 2}], seed=s, store=tmp_path, workers=1)[0] for s in (1, 2, 1)
        ]
        np.testing.assert_array_equal(draws[0], draws[2])
        assert draws[0][0] != draws[1][0]

    def test_arrays_in_configurations_and_results(self, tmp_path):
        def shift(x, by):
            return {"moved": x + by, "pair": (x.shape[0], [by])}

        configurations = list(ParameterGrid({"x": [np.arange(3.0), np.ones(2)], "by": [0.5]}))
        fresh = sweep(shift, configurations, store=tmp_path, workers=1)
        again = sweep(shift, configurations, store=tmp_path, workers=1)
        for results in (fresh, again):
            np.testing.assert_array_equal(results[0]["moved"], [0.5, 1.5, 2.5])
            assert results[1]["pair"] == (2, [0.5])

    def test_a_damaged_record_is_computed_again(self, tmp_path):
        sweep(make_power(), GRID[:1], store=tmp_path, workers=1)
        (path,) = tmp_path.iterdir()
        path.write_text('{"resu')
        with pytest.warns(UserWarning, match="is damaged"):
            assert sweep(make_power(), GRID[:1], store=tmp_path, workers=1) == [3]
        assert sweep(make_power(), GRID[:1], store=tmp_path, workers=1) == [3]

    def test_a_result_that_cannot_be_stored_is_a_failure(self, tmp_path):
        def opens(x):
            return {x}

        with pytest.raises(SweepError, match="the result cannot be stored: set"):
            sweep(opens, [{"x": 1}], store=tmp_path, workers=1)

    def test_killed_in_the_middle_it_resumes(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent("""
            import os, sys
            from gaussbook.sweep import sweep

            def work(x):
                with open(sys.argv[2], "a") as file:
                    file.write(f"{x} ")
                if x == 3 and not os.path.exists(sys.argv[2] + ".second"):
                    os._exit(9)
                return x * x

            print(sweep(work, [{"x": x} for x in range(5)], store=sys.argv[1], workers=1))
            """)
        )
        command = [sys.executable, str(script), str(tmp_path / "store"), str(tmp_path / "log")]
        assert subprocess.run(command, capture_output=True).returncode == 9
        assert (tmp_path / "log").read_text().split() == list("0123")
        (tmp_path / "log.second").touch()
        second = subprocess.run(command, capture_output=True, text=True, check=True)
        assert second.stdout.strip() == "[0, 1, 4, 9, 16]"
        assert (tmp_path / "log").read_text().split() == list("012334")


def test_a_configuration_that_kills_its_process_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("GAUSSBOOK_DASK", raising=False)

    def kills(x):
        if x == 2:
            os._exit(1)
        return x

    with pytest.raises(SweepError, match="1 of 5") as caught:
        sweep(kills, [{"x": x} for x in range(5)], store=tmp_path, workers=2)
    assert caught.value.failures[0][0] == {"x": 2}
    assert len(list(tmp_path.iterdir())) == 4


def test_no_scheduler_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setenv("GAUSSBOOK_DASK", "tcp://127.0.0.1:1")
    monkeypatch.setattr("gaussbook.sweep._PATIENCE", "0.5s")
    with pytest.raises(ConnectionError, match="GAUSSBOOK_DASK is 'tcp://127.0.0.1:1'"):
        sweep(make_power(), GRID)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delenv("GAUSSBOOK_DASK", raising=False)
    assert sweep(make_power(), GRID, workers=1) == ANSWERS
    monkeypatch.setenv("GAUSSBOOK_DASK", "tcp://127.0.0.1:1")
    with pytest.raises(ImportError, match="install the 'dask' extra"):
        sweep(make_power(), GRID)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"function": 3}, "function"),
        ({"function": len, "store": "unused"}, "function"),
        ({"configurations": 3}, "configurations"),
        ({"configurations": [3]}, r"configurations\[0\]"),
        ({"configurations": [{"x": 1}, {1: 2}]}, r"configurations\[1\]"),
        ({"configurations": [{"rng": 1}], "seed": 0}, r"configurations\[0\]"),
        ({"configurations": [{"x": object()}], "seed": 0}, "configurations"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers"),
        ({"store": 3}, "store"),
        ({"store": __file__}, "store"),
    ],
)
def test_bad_input(change, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"function": make_power(), "configurations": GRID}
    with pytest.raises(ValueError, match=f"^{name} "):
        sweep(**(good | change))
