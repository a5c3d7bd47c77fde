"""One environment: what pyproject asks for, what is pinned, what is installed, what conda makes."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {
    canonicalize_name(line.split("==")[0]): line.split("==")[1].strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
}
EXTRAS = ("book", "test")  # those that the two commands install
REQUIREMENTS = [
    Requirement(text)
    for text in PROJECT["dependencies"]
    + [r for e in EXTRAS for r in PROJECT["optional-dependencies"][e]]
]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_what_is_asked_for_is_pinned(requirement):
    name = canonicalize_name(requirement.name)
    assert name in PINS, f"{name} is not in constraints.txt; write it there with: make lock"
    assert PINS[name] in requirement.specifier


def test_what_is_pinned_is_what_is_installed():
    wrong = {}
    for name, pin in PINS.items():
        try:
            installed = distribution(name).version
        except PackageNotFoundError:
            installed = "absent"
        if installed != pin:
            wrong[name] = f"pinned {pin}, installed {installed}"
    assert not wrong, f"mend with: rm .venv/ready && make book ({wrong})"


def test_pins_are_exact_versions_and_name_no_host():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line), line


def test_the_conda_environment_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    *conda, pip = environment["dependencies"]
    versions = dict(item.split("=") for item in conda if "=" in item)
    assert versions["python"] in SpecifierSet(PROJECT["requires-python"])
    assert pip["pip"] == ["--constraint constraints.txt", "--editable .[book]"]


@pytest.mark.parametrize("name", ["book", "weekly"])
def test_workflows_run_the_oldest_and_a_newer_python(name):
    workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    versions = workflow["jobs"]["build"]["strategy"]["matrix"]["python"]
    assert len(versions) > 1
    assert f">={versions[0]}" == PROJECT["requires-python"]
    assert all(version in SpecifierSet(PROJECT["requires-python"]) for version in versions)
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert f"python={versions[0]}" in conda


def test_the_press_runs_without_the_tests_tools(tmp_path):
    """What Binder does with the `book` extra: pair the notebooks, and open them."""
    tools = [Requirement(text) for text in PROJECT["optional-dependencies"]["test"]]
    modules = {name for each in tools for name in _modules(each.name)}
    assert {"hypothesis", "playwright", "cupy"} <= modules
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(modules)}))\n"
        "from bookbuild import __main__, extension, lab\n"
        "sys.exit(__main__.main(['pair']))"
    )
    for name in ("book", "lib", "_toc.yml", "_config.yml", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("*.ipynb"))
        else:
            shutil.copyfile(source, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _modules(name):
    """Return the top-level modules that a distribution installs."""
    files = distribution(name).files or []
    return {path.parts[0].removesuffix(".py") for path in files if path.suffix == ".py"} - {".."}


def test_pre_commit_runs_the_pinned_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    ours, *others = config["repos"]
    (pair,) = ours["hooks"]
    assert ours["repo"] == "local" and pair["entry"] == ".venv/bin/python -m bookbuild pair"
    revisions = {repo["repo"].rsplit("/", 1)[1]: repo["rev"] for repo in others}
    assert revisions == {
        "ruff-pre-commit": f"v{PINS['ruff']}",
    }


def test_the_workflow_and_ci_run_the_commands_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    workflow = (ROOT / ".github/workflows/book.yml").read_text()
    for command in ("make book", "make test"):
        assert re.search(rf"^{command}$", readme, re.MULTILINE)
        assert f"- run: {command}\n" in workflow
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("\nmake test")
