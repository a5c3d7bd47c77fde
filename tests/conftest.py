"""What all tests share: the GPU, where there is one, and the numbers of the pages at the end."""

import importlib
import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

# A machine that runs the library only, such as one with a GPU, lacks what builds the book.
_OF_THE_BOOK = [
    "bookbuild",
    *(f"test_{n}.py" for n in ("breaks", "contents", "environment", "site")),
]
collect_ignore = [] if importlib.util.find_spec("nbformat") else _OF_THE_BOOK

# The same sources give the same answer: drawn examples depend on the test alone. The weekly run
# draws fresh ones, with --hypothesis-profile=default.
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("repeatable", derandomize=True)
    settings.load_profile("repeatable")

BUILD = Path(__file__).parents[1] / "_build"
SHOTS = BUILD / "screenshots"
BEGUN = pytest.StashKey[float]()


def pytest_sessionstart(session):
    """Look at the clock."""
    session.config.stash[BEGUN] = time.perf_counter()


def pytest_terminal_summary(terminalreporter, config):
    """Print what the pages weigh; keep what each file of a whole, good run has cost."""
    _print_pages(terminalreporter)
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    chosen = config.option.keyword or config.option.markexpr
    if whole and not chosen and not terminalreporter.stats.get("failed") and not collect_ignore:
        from bookbuild import costs

        reports = (r for some in terminalreporter.stats.values() for r in some)
        files = costs.seconds_by_file(r for r in reports if isinstance(r, pytest.TestReport))
        seconds = time.perf_counter() - config.stash[BEGUN]
        costs.record(BUILD, "tests", seconds, files=files)


def _print_pages(terminalreporter):
    """Print what the pages weigh and how soon they answer, as the browser's tests measured it."""
    lines = sorted(path.read_text().strip() for path in SHOTS.glob("*.csv"))
    if lines:
        terminalreporter.section("pages: bytes without figures, in all; ms to interactive, loaded")
        for line in lines:
            name, *numbers = line.split(",")
            terminalreporter.write_line(f"{name:45}" + "".join(f"{n:>10}" for n in numbers))


@pytest.fixture(scope="session")
def gpu():
    """Return CuPy where it can compute; skip the test elsewhere."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    try:
        if cupy.cuda.runtime.getDeviceCount() == 0:
            pytest.skip("no CUDA GPU is visible")
        cupy.zeros(1) + 1
    except Exception as error:  # CuPy raises many kinds: all of them mean "no GPU here"
        pytest.skip(f"no CUDA GPU can be used ({error})")
    return cupy


@pytest.fixture(params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request):
    """Return each array namespace that the library runs on; CuPy's where there is a GPU.

    The strict one refuses what the standard does not promise, silent transfers to NumPy included.
    `gaussbook.arrays.to_host` takes the arrays of any of them to NumPy, to be compared.
    """
    if request.param == "cupy":
        request.getfixturevalue("gpu")
    names = {"numpy": "array_api_compat.numpy", "cupy": "array_api_compat.cupy"}
    return importlib.import_module(names.get(request.param, "array_api_strict"))


class Draws:
    """A seeded generator whose draws are arrays of a namespace."""

    def __init__(self, xp, seed):
        self.xp, self.host = xp, np.random.default_rng(seed)

    def __getattr__(self, name):
        def draw(*args, **kwargs):
            return self.xp.asarray(getattr(self.host, name)(*args, **kwargs))

        return draw


@pytest.fixture
def draws(xp):
    """Return what `gaussbook.arrays.generator` is, for arrays of the namespace `xp`."""
    return lambda seed: Draws(xp, seed)
