"""What the last runs took is written down, read again, and shown."""

import json
import os
import time
from types import SimpleNamespace

import pytest

from bookbuild import costs


def report(name, seconds):
    return SimpleNamespace(nodeid=name, duration=seconds)


def test_all_phases_of_a_test_count_for_its_file():
    reports = [
        *(report("tests/test_a.py::test_x[1]", s) for s in (0.5, 1.0, 0.25)),
        report("tests/test_a.py::test_y", 2.0),
        report("tests/b/test_b.py::Class::test_z", 1.0),
    ]
    expected = {"tests/test_a.py": (2, 3.75), "tests/b/test_b.py": (1, 1.0)}
    assert costs.seconds_by_file(reports) == expected


def test_a_record_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "machine_factor", lambda: 1.5)
    costs.record(tmp_path / "_build", "tests", 90.0, files={"tests/test_a.py": (2, 3.5)})
    (stage,) = costs.read(tmp_path).values()
    assert stage.seconds == 90
    assert stage.facts["factor"] == 1.5
    assert stage.facts["files"] == {"tests/test_a.py": [2, 3.5]}
    assert stage.facts["processors"] >= 1


@pytest.mark.parametrize("text", ["", "[", "[1]", "3", "{}", '{"seconds": "long"}'])
def test_a_damaged_record_is_none(tmp_path, text):
    for path in costs.files(tmp_path / "_build"):
        path.write_text(text)
    assert costs.read(tmp_path) == {}


def test_the_environment_took_the_time_between_its_first_and_its_last_file(tmp_path):
    (tmp_path / ".venv").mkdir()
    now = time.time()
    for name, age in (("pyvenv.cfg", 60), ("ready", 0)):
        path = tmp_path / ".venv" / name
        path.touch()
        os.utime(path, (now - age, now - age))
    assert costs.read(tmp_path)["environment"].seconds == pytest.approx(60)


def test_files_keep_a_record(tmp_path):
    path = costs.files(tmp_path)[0]
    path.write_text("{}")
    assert costs.files(tmp_path)[0].read_text() == "{}"


def test_the_factor_is_a_time_over_that_of_the_reference(monkeypatch):
    monkeypatch.setattr(costs, "_work", lambda a: 1.4)
    assert costs.machine_factor() == pytest.approx(2)


def test_the_fixed_work_takes_time():
    assert costs._work(costs.np.ones((10, 10))) > 0


def test_the_page_shows_the_way_and_each_file(built, monkeypatch):
    monkeypatch.setattr(costs, "machine_factor", lambda: 0.5)
    costs.record(built.root / "_build", "site", 120.0)
    costs.record(built.root / "_build", "tests", 60.0, files={"tests/test_a.py": (2, 3.5)})
    with (built.root / "book" / "index.md").open("a") as page:
        page.write("\n```{way-costs}\n```\n")
    assert built.build().returncode == 0
    html = (built.root / "_build/html/book/index.html").read_text()
    for text in ("the site, all chapters executed", ">4.0<", "tests/test_a.py", ">2.0<"):
        assert text in html, text
    costs.record(built.root / "_build", "tests", 240.0, files={"tests/test_a.py": (2, 3.5)})
    assert built.build().returncode == 0
    assert ">8.0<" in (built.root / "_build/html/book/index.html").read_text()


def test_a_run_of_all_chapters_leaves_a_record(built):
    assert json.loads((built.root / "_build/performance/site.json").read_text())["seconds"] > 0
