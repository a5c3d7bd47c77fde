"""One run of a notebook in a kernel of its own, which knows nothing of the user's settings.

The kernel starts in an empty folder, with fresh folders of configuration, without the variables
that steer Python, IPython, Jupyter, matplotlib or the numerical libraries, and with the book's own
library first on its path.  What it executes are copies of the code cells without any metadata.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode, v4

CELL_LIMIT = 300.0
"""Seconds of the kernel's processor time that one cell may take at default scale."""
PAPER_CELL_LIMIT = 900.0
PATIENCE = 10
"""How many times the limit may pass on the clock, for machines that are busy with other things."""

_STARTUP = 600  # seconds until a kernel on a very busy machine must answer
_FOREIGN = (  # what steers the programs below, by the beginnings of the variables' names
    "PYTHON", "IPYTHON", "JUPYTER", "MPL", "MATPLOTLIB", "NPY_", "NUMPY", "SCIPY", "SKLEARN",
    "OPENBLAS", "MKL_", "OMP_", "BLIS_", "VECLIB", "NUMEXPR", "CUPY_", "JOBLIB", "LOKY",
)  # fmt: skip
_KEPT = ("PYTHONHOME", "CUPY_CACHE_DIR")  # where things are, not what they do
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it took of the machine.

    Parameters
    ----------
    stopped : str or None
        Why the run was ended before its last cell, if not by an error in a cell.
    processor : float
        Seconds of processor time of the kernel, and of the programs that it waited for.
    memory : int
        The most memory that the kernel held at once, in bytes.
    """

    stopped: str | None
    processor: float
    memory: int


def cell_limit() -> float:
    """Return the processor time that one cell may take, ``GAUSSBOOK_CELL_LIMIT`` if it is set."""
    paper = os.environ.get("GAUSSBOOK_SCALE") == "paper"
    return float(
        os.environ.get("GAUSSBOOK_CELL_LIMIT") or (PAPER_CELL_LIMIT if paper else CELL_LIMIT)
    )


def run(
    notebook: NotebookNode, library: Path, scratch: Path, interrupt: threading.Event | None = None
) -> Outcome:
    """Execute the code cells in order and put what they give into `notebook`.

    Parameters
    ----------
    notebook : NotebookNode
        The inputs; its code cells get the outputs, up to where the run ended.
    library : Path
        The folder of the library's packages (``lib``).
    scratch : Path
        A folder that the press may write to.
    interrupt : threading.Event, optional
        Ends the run when it is set.

    Returns
    -------
    Outcome
        How it ended, and what it took.

    Raises
    ------
    KeyboardInterrupt
        If `interrupt` was set.
    """
    copies = [v4.new_code_cell(c.source) for c in notebook.cells if c.cell_type == "code"]
    try:
        with _folder(scratch) as folder:
            return asyncio.run(_run(copies, library, folder, scratch, interrupt))
    finally:
        put_outputs(notebook, copies)


def put_outputs(notebook: NotebookNode, ran: list[NotebookNode]) -> None:
    """Give the code cells of a notebook the outputs of cells that have run.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    targets = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [cell for cell in ran if cell.cell_type == "code"]
    for target, source in zip(targets, sources, strict=True):
        target.outputs, target.execution_count = source.outputs, source.execution_count
        target.metadata.pop("execution", None)


async def _run(
    cells: list[NotebookNode],
    library: Path,
    folder: Path,
    scratch: Path,
    interrupt: threading.Event | None,
) -> Outcome:
    client = _Client(
        v4.new_notebook(cells=cells),
        timeout=None,
        startup_timeout=_STARTUP,
        force_raise_errors=True,
        record_timing=False,
        shutdown_kernel="immediate",
        kernel_name=NATIVE_KERNEL_NAME,
    )
    watch = _Watch(client, cell_limit())
    client.on_cell_execute = watch.begin
    work = asyncio.ensure_future(
        client.async_execute(
            cwd=str(folder),
            env=environment(library, scratch),
            stdout=subprocess.DEVNULL,  # of the process, not of its cells
            stderr=subprocess.DEVNULL,
        )
    )
    while not (await asyncio.wait([work], timeout=0.1))[0]:
        if interrupt is not None and interrupt.is_set():
            watch.end("interrupted")
        else:
            watch.look()
    try:
        work.result()
    except CellControlSignal:  # an error in a cell: its outputs say which
        stopped = None
    except (DeadKernelError, RuntimeError) as error:
        if interrupt is not None and interrupt.is_set():
            raise KeyboardInterrupt from error
        stopped = f"stopped in {watch.place(len(cells))}: {watch.reason or _why_dead(client)}"
    else:
        stopped = None
    return Outcome(stopped, watch.processor, watch.memory)


class _Client(NotebookClient):
    """Starts this Python's own kernel, whatever kernels the user has installed."""

    exit_code: Callable[[], int | None] = staticmethod(lambda: None)

    def create_kernel_manager(self) -> AsyncKernelManager:
        specs = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
        self.km = AsyncKernelManager(
            kernel_name=NATIVE_KERNEL_NAME, kernel_spec_manager=specs, config=self.config
        )
        start = [sys.executable, "-m", "bookbuild.kernel", "-f", "{connection_file}"]
        self.km.kernel_spec.argv = start
        return self.km

    async def async_start_new_kernel(self, **kwargs) -> None:
        await super().async_start_new_kernel(**kwargs)
        process = self.km.provisioner.process
        self.exit_code = process.poll
        self.process = psutil.Process(process.pid)


class _Watch:
    """Ends a kernel whose present cell takes too long; remembers what the kernel has taken."""

    def __init__(self, client: _Client, limit: float):
        self.client = client
        self.limit = limit
        self.reason: str | None = None
        self.cell: int | None = None
        self.processor, self.memory = 0.0, 0

    def begin(self, cell: NotebookNode, cell_index: int) -> None:
        """Note when a cell begins."""
        self.cell, self.source = cell_index, cell.source
        self.began = time.monotonic()
        self.spent = self._processor_time()

    def look(self) -> None:
        """End the kernel if its cell is over a limit."""
        if self.cell is None or self.reason is not None:
            return
        with contextlib.suppress(psutil.Error):
            self.memory = max(self.memory, self.client.process.memory_info().rss)
        if self._processor_time() - self.spent > self.limit:
            self.end(f"over {self.limit:g} seconds of processor time")
        elif time.monotonic() - self.began > self.limit * PATIENCE:
            self.end(f"no end after {self.limit * PATIENCE:g} seconds")

    def end(self, reason: str) -> None:
        """Kill the kernel and all that it has started."""
        self.reason = self.reason or reason
        if hasattr(self.client, "process"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.client.process.pid, signal.SIGKILL)

    def place(self, count: int) -> str:
        """Return where the run is, in words."""
        if self.cell is None:
            return "the start of the kernel"
        line = self.source.strip().partition("\n")[0]
        return f"code cell {self.cell + 1} of {count} ({line[:60]})"

    def _processor_time(self) -> float:
        """Return what the kernel and what it waited for have taken, also once it has ended."""
        with contextlib.suppress(psutil.Error):
            self.processor = sum(self.client.process.cpu_times()[:4])
        return self.processor


def _why_dead(client: _Client) -> str:
    if client.exit_code() == -signal.SIGKILL:
        return "the system killed the kernel; most likely it ran out of memory"
    return f"the kernel died (exit status {client.exit_code()})"


def environment(library: Path, scratch: Path) -> dict[str, str]:
    """Return a kernel's environment variables.

    Parameters
    ----------
    library : Path
        Put first on Python's path, so that what is imported is what the execution key covers.
    scratch : Path
        Holds the folders of configuration.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith(_FOREIGN)
    }
    folders = {
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter"),
        "MPLCONFIGDIR": str(scratch / "matplotlib"),  # also its cache of fonts
    }
    for folder in folders.values():
        os.makedirs(folder, exist_ok=True)
    own = {
        "PYTHONPATH": str(library),
        "PYTHONHASHSEED": "0",
        **({} if site.ENABLE_USER_SITE else {"PYTHONNOUSERSITE": "1"}),  # as the press itself
        **folders,
        "JUPYTER_NO_CONFIG": "1",
        **dict.fromkeys(THREADS, "1"),  # sums do not depend on the number of cores
    }
    return {**kept, **own}


@contextlib.contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    """Make an empty folder for one kernel to work in."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
