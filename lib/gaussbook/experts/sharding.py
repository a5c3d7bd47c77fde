r"""Training a stack of mixture-of-experts layers whose experts live on different devices.

Layer :math:`l` maps each token :math:`x` to

.. math::
    x + \sum_{e\in\text{top 2}} g_e(x)\,\max(0, xA_e)B_e,

where the gate :math:`g` is the softmax of the two largest entries of :math:`xW_l`.  A linear head
and the cross-entropy follow, and Adam updates all.  Each expert's parameters and running means live
on one device, its owner.  Before a layer is computed other devices may be given copies
(`Communicator.sparse_allgather`), and after its backward pass the copies' gradients are added up at
the owner (`Communicator.sparse_reduce_scatter`); what moves besides are tokens.

``python -m gaussbook.experts FOLDER`` is what each of the processes of `train_with_mpi`
runs.  All arrays are NumPy's: a device is a process here, not a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from gaussbook.experts.communicator import Communicator, MpiCommunicator, Vectors
from gaussbook.optim import Adam
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = [
    "History",
    "Job",
    "MpiUnavailableError",
    "destinations",
    "train",
    "train_with_mpi",
]

LABELS = ("gather", "reduce", "dispatch")
"""What is counted layer by layer: parameters of copies, their gradients, tokens."""

Plan = Callable[[list[np.ndarray]], np.ndarray]


class MpiUnavailableError(RuntimeError):
    """Four processes cannot be started here; the message says what is missing."""


@dataclass(frozen=True)
class Job:
    """What is to be trained, on what, and where the experts are.

    Attributes
    ----------
    inputs : array, shape (iterations, tokens, d)
        The minibatches.
    labels : int array, shape (iterations, tokens)
        Their classes.
    gates : array, shape (L, d, E)
        Initial gates.
    experts : array, shape (L, E, 2 d h)
        Initial experts, each a vector: first A (d, h), then B (h, d).
    head : array, shape (d, classes)
        Initial linear head.
    owners : bool array, shape (L, E, D)
        One owner for each expert of each layer.
    placements : bool array, shape (iterations, L, E, D), or callable
        Who holds copies in each iteration.  A function gets the list of the loads (L, E) of all
        iterations so far and returns the placement (L, E, D) of the next.
    node : int array, shape (D,)
        The node of each device.
    learning_rate : float
        Adam's.
    rematerialise : bool
        Free a layer's copies after its forward pass, and fetch them again for the backward pass.
    """

    inputs: np.ndarray
    labels: np.ndarray
    gates: np.ndarray
    experts: np.ndarray
    head: np.ndarray
    owners: np.ndarray
    placements: np.ndarray | Plan
    node: np.ndarray
    learning_rate: float = 0.01
    rematerialise: bool = False

    def check(self, size: int) -> None:
        """Refuse a job that does not fit `size` devices.

        Raises
        ------
        ValueError
            Naming the argument that does not fit.
        """
        inputs = check_array("inputs", self.inputs, ndim=3)
        iterations, tokens, d = inputs.shape
        if tokens % size:
            raise ValueError(f"inputs must have a multiple of {size} tokens, got {tokens}")
        check_array("labels", self.labels, shape=(iterations, tokens), integers=True)
        layers, _, experts = check_array("gates", self.gates, shape=(None, d, None)).shape
        if experts < 2:
            raise ValueError(f"gates must choose among 2 experts or more, got {experts}")
        width = check_array("experts", self.experts, shape=(layers, experts, None)).shape[2]
        if width % (2 * d):
            raise ValueError(f"experts must be vectors of 2 d h numbers, got {width} for d = {d}")
        check_array("head", self.head, shape=(d, None))
        check_array("node", self.node, shape=(size,), integers=True)
        check_scalar("learning_rate", self.learning_rate, above=0)
        shape = (layers, experts, size)
        if np.shape(self.owners) != shape or np.any(np.sum(self.owners, axis=2) != 1):
            raise ValueError(f"owners must have shape {shape} and one owner for each expert")
        if not callable(self.placements) and np.shape(self.placements) != (iterations, *shape):
            raise ValueError(f"placements must have shape {(iterations, *shape)}")


@dataclass(frozen=True)
class History:
    """What `train` returns; all arrays are complete on every process.

    Attributes
    ----------
    gates, experts, head : arrays
        The trained parameters, shaped as in `Job`.
    losses : array, shape (iterations,)
        Mean cross-entropy of each minibatch, before its step (nats).
    loads : int array, shape (iterations, L, E)
        Tokens that chose each expert.
    worked : int array, shape (iterations, L, D)
        Tokens that each device computed.
    placements : bool array, shape (iterations, L, E, D)
        Who held copies.
    sent, received : int arrays, shape (3, iterations, L, D)
        Bytes of parameters gathered, gradients reduced and tokens dispatched (there and back,
        forward and backward) on each device.
    peak : int array, shape (D,)
        The most copies of other devices' experts that a device ever held, over all layers.
    """

    gates: np.ndarray
    experts: np.ndarray
    head: np.ndarray
    losses: np.ndarray
    loads: np.ndarray
    worked: np.ndarray
    placements: np.ndarray
    sent: np.ndarray
    received: np.ndarray
    peak: np.ndarray

    def distance(self, other: History) -> float:
        """Return the largest absolute difference between two runs' parameters."""
        pairs = ((getattr(self, n), getattr(other, n)) for n in ("gates", "experts", "head"))
        return max(float(np.max(np.abs(a - b))) for a, b in pairs)


def destinations(
    experts: np.ndarray, source: int, placement: np.ndarray, node: np.ndarray
) -> np.ndarray:
    """Choose the device that computes each token of one device.

    A token goes to a copy on its own device, else to one in its node, else to any; several
    candidates share the tokens evenly, in turn.

    Parameters
    ----------
    experts : int array, shape (n,)
        The expert of each token.
    source : int
        The device that the tokens are on.
    placement : bool array, shape (E, D)
        Who holds copies.
    node : int array, shape (D,)
        The node of each device.

    Returns
    -------
    int array, shape (n,)
        The device for each token.

    Raises
    ------
    ValueError
        If `source` is no device, or an expert is nowhere.
    """
    source = check_integer("source", source, at_least=0, at_most=placement.shape[1] - 1)
    if not np.all(np.any(placement, axis=1)):
        raise ValueError("placement must hold every expert somewhere")
    near = placement & (node == node[source])
    here = placement & (np.arange(placement.shape[1]) == source)
    candidates = np.where(near.any(axis=1, keepdims=True), near, placement)
    candidates = np.where(here.any(axis=1, keepdims=True), here, candidates)
    count = candidates.sum(axis=1)
    devices = np.argsort(~candidates, axis=1, kind="stable")
    order = np.argsort(experts, kind="stable")
    starts = np.searchsorted(experts[order], np.arange(len(placement)))
    turn = np.empty(len(experts), dtype=np.int64)
    turn[order] = np.arange(len(experts)) - starts[experts[order]]
    return devices[experts, (turn + source) % count[experts]]


# ------------------------------------------------------------------------------------- one layer


class _Layer:
    """The tokens of one layer on the local devices, from the forward to the backward pass."""

    def __init__(self, comm: Communicator, gate: np.ndarray, placement: np.ndarray, node):
        self.comm, self.gate, self.placement, self.node = comm, gate, placement, node

    def forward(self, x: dict[int, np.ndarray], copies: dict[int, Vectors]) -> dict:
        """Return the layer's output on the local devices."""
        comm, self.x = self.comm, x
        self.chosen, self.weight, self.order, self.counts = {}, {}, {}, {}
        size, n_experts = comm.size, len(self.placement)
        for r in comm.local:
            logits = x[r] @ self.gate
            top = np.argsort(-logits, axis=1, kind="stable")[:, :2]
            z = np.take_along_axis(logits, top, axis=1)
            z = np.exp(z - z.max(axis=1, keepdims=True))
            self.chosen[r], self.weight[r] = top, z / z.sum(axis=1, keepdims=True)
            to = destinations(top.ravel(), r, self.placement, self.node)
            key = to * n_experts + top.ravel()
            self.order[r] = np.argsort(key, kind="stable")
            counts = np.bincount(key, minlength=size * n_experts)
            self.counts[r] = counts.reshape(size, n_experts)
        self.arriving = comm.alltoall(self.counts)
        self.sorting = {r: _by_expert(self.arriving[r]) for r in comm.local}
        rows = self._dispatch({r: x[r][self.order[r] // 2] for r in comm.local})
        self.rows, self.hidden, result = rows, {}, {}
        for r in comm.local:
            self.hidden[r], result[r] = {}, np.empty_like(rows[r])
            for e, (a, b), (first, second) in self._matrices(r, copies):
                self.hidden[r][e] = np.maximum(rows[r][a:b] @ first, 0)
                result[r][a:b] = self.hidden[r][e] @ second
        back = self._return(result)
        self.outputs = {r: back[r].reshape(*self.chosen[r].shape, -1) for r in comm.local}
        return {
            r: x[r] + np.sum(self.weight[r][:, :, None] * self.outputs[r], axis=1)
            for r in comm.local
        }

    def backward(self, slope: dict[int, np.ndarray], copies: dict[int, Vectors]):
        """Return the slopes of the inputs, the copies' gradients, and those of the gate."""
        comm = self.comm
        to_expert = {
            r: (self.weight[r][:, :, None] * slope[r][:, None, :]).reshape(-1, slope[r].shape[1])
            for r in comm.local
        }
        rows = self._dispatch({r: to_expert[r][self.order[r]] for r in comm.local})
        gradients, result = {}, {}
        for r in comm.local:
            gradients[r] = {e: np.zeros_like(v) for e, v in copies[r].items()}
            result[r] = np.empty_like(rows[r])
            for e, (a, b), (first, second) in self._matrices(r, copies):
                hidden = self.hidden[r][e]
                inner = (rows[r][a:b] @ second.T) * (hidden > 0)
                parts = (self.rows[r][a:b].T @ inner, hidden.T @ rows[r][a:b])
                gradients[r][e] = np.concatenate([p.ravel() for p in parts])
                result[r][a:b] = inner @ first.T
        back, below, of_gate = self._return(result), {}, {}
        for r in comm.local:
            weight = self.weight[r]
            of_weight = np.sum(self.outputs[r] * slope[r][:, None, :], axis=2)
            of_logit = weight * (of_weight - np.sum(weight * of_weight, axis=1, keepdims=True))
            logits = np.zeros((len(weight), self.gate.shape[1]))
            np.put_along_axis(logits, self.chosen[r], of_logit, axis=1)
            of_gate[r] = self.x[r].T @ logits
            through = back[r].reshape(*weight.shape, -1).sum(axis=1)
            below[r] = slope[r] + through + logits @ self.gate.T
        return below, gradients, of_gate

    def _dispatch(self, rows: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Send sorted rows away, and sort what arrives by expert, then by source."""
        comm = self.comm
        ends = {r: np.cumsum(self.counts[r].sum(axis=1))[:-1] for r in comm.local}
        got = comm.alltoallv(
            {r: np.split(rows[r], ends[r]) for r in comm.local},
            {r: self.arriving[r].sum(axis=1) for r in comm.local},
        )
        return {r: np.concatenate(got[r])[self.sorting[r]] for r in comm.local}

    def _return(self, rows: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Send rows back to where their tokens came from, in the tokens' order."""
        comm, parts = self.comm, {}
        for r in comm.local:
            by_source = np.empty_like(rows[r])
            by_source[self.sorting[r]] = rows[r]
            parts[r] = np.split(by_source, np.cumsum(self.arriving[r].sum(axis=1))[:-1])
        got = comm.alltoallv(parts, {r: self.counts[r].sum(axis=1) for r in comm.local})
        back = {}
        for r in comm.local:
            sorted_rows = np.concatenate(got[r])
            back[r] = np.empty_like(sorted_rows)
            back[r][self.order[r]] = sorted_rows
        return back

    def _matrices(self, r: int, copies: dict[int, Vectors]):
        """Yield each expert with tokens here, the range of its rows, and its two matrices."""
        ends, d = np.cumsum(self.arriving[r].sum(axis=0)), self.gate.shape[0]
        for e in np.flatnonzero(self.arriving[r].sum(axis=0)):
            vector = copies[r][int(e)]
            half = vector.size // 2
            matrices = vector[:half].reshape(d, -1), vector[half:].reshape(-1, d)
            yield int(e), (ends[e - 1] if e else 0, ends[e]), matrices


def _by_expert(arriving: np.ndarray) -> np.ndarray:
    """Return the order by expert, then source, of rows that come by source, then expert."""
    size, n_experts = arriving.shape
    experts = np.repeat(np.tile(np.arange(n_experts), size), arriving.ravel())
    return np.argsort(experts, kind="stable")


# -------------------------------------------------------------------------------------- training


def train(comm: Communicator, job: Job) -> History:
    """Train a stack of layers over the devices of a communicator.

    Parameters
    ----------
    comm : Communicator
        The devices; each works on its share of every minibatch, in the order of the devices.
    job : Job
        What is trained.

    Returns
    -------
    History
        Parameters, losses, loads, and the bytes counted.

    Raises
    ------
    ValueError
        If the job does not fit the communicator, or a placement leaves an owner out.
    """
    job.check(comm.size)
    n_layers, n_experts, _ = job.experts.shape
    layers, iterations = range(n_layers), len(job.inputs)
    params = {r: {"gates": job.gates, "head": job.head} for r in comm.local}
    for r in comm.local:
        for layer, e in np.argwhere(job.owners[:, :, r]):
            params[r][f"{layer}.{e}"] = job.experts[layer, e]
    optimisers = {r: Adam(job.learning_rate) for r in comm.local}
    loads: list[np.ndarray] = []
    losses = np.zeros(iterations)
    placements = np.zeros((iterations, n_layers, n_experts, comm.size), dtype=bool)
    counted = np.zeros((2, len(LABELS), iterations, n_layers, comm.size), dtype=np.int64)
    worked = np.zeros((iterations, n_layers, comm.size), dtype=np.int64)
    peak = np.zeros(comm.size, dtype=np.int64)
    held: dict[int, dict[int, Vectors]] = {}

    def gather(layer: int) -> dict[int, Vectors]:
        """Fetch a layer's copies, and note how many copies each device has now."""
        owned = {
            r: {int(e): params[r][f"{layer}.{e}"] for e in np.flatnonzero(job.owners[layer, :, r])}
            for r in comm.local
        }
        held[layer] = comm.sparse_allgather(owned, job.owners[layer], placements[t, layer])
        counted[:, 0, t, layer] += comm.take(LABELS[0])
        for r in comm.local:
            own = sum(int(np.sum(job.owners[k, :, r])) for k in held)
            peak[r] = max(peak[r], sum(len(copies[r]) for copies in held.values()) - own)
        return held[layer]

    for t in range(iterations):
        placements[t] = job.placements(loads) if callable(job.placements) else job.placements[t]
        x = dict(enumerate(np.split(job.inputs[t], comm.size)))
        y = dict(enumerate(np.split(job.labels[t], comm.size)))
        x, tokens, stack = {r: x[r] for r in comm.local}, job.inputs.shape[1], []
        for k in layers:
            gate = params[comm.local[0]]["gates"][k]
            stack.append(_Layer(comm, gate, placements[t, k], job.node))
            x = stack[k].forward(x, gather(k))
            counted[:, 2, t, k] += comm.take(LABELS[2])
            if job.rematerialise:
                del held[k]
        slope, gradients, sums = {}, {r: {} for r in comm.local}, {}
        for r in comm.local:
            logits = x[r] @ params[r]["head"]
            logits = logits - logits.max(axis=1, keepdims=True)
            log_p = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
            hit = np.eye(log_p.shape[1])[y[r]]
            of_logits = (np.exp(log_p) - hit) / tokens
            slope[r] = of_logits @ params[r]["head"].T
            gradients[r]["head"] = x[r].T @ of_logits
            chosen = [np.bincount(s.chosen[r].ravel(), minlength=n_experts) for s in stack]
            sums[r] = np.concatenate([[-np.sum(hit * log_p) / tokens], np.concatenate(chosen)])
        of_gates = {r: [np.zeros(0)] * n_layers for r in comm.local}
        for k in reversed(layers):
            copies = gather(k) if job.rematerialise else held[k]
            slope, of_copies, of_gate = stack[k].backward(slope, copies)
            del held[k]
            owned = comm.sparse_reduce_scatter(of_copies, placements[t, k], job.owners[k])
            for r in comm.local:
                of_gates[r][k] = of_gate[r]
                gradients[r] |= {f"{k}.{e}": vector for e, vector in owned[r].items()}
                worked[t, k, r] = stack[k].arriving[r].sum()
            for j in (1, 2):
                counted[:, j, t, k] += comm.take(LABELS[j])
        dense = {
            r: np.concatenate([np.stack(of_gates[r]).ravel(), gradients[r]["head"].ravel()])
            for r in comm.local
        }
        dense, sums = comm.allreduce(dense), comm.allreduce(sums, "loads")
        for r in comm.local:
            n = job.gates.size
            gradients[r]["gates"] = dense[r][:n].reshape(job.gates.shape)
            gradients[r]["head"] = dense[r][n:].reshape(job.head.shape)
            params[r] = optimisers[r].step(params[r], gradients[r])
        total = sums[comm.local[0]]
        losses[t] = total[0]
        loads.append(np.rint(total[1:]).astype(np.int64).reshape(n_layers, n_experts))
    return _collected(comm, job, params, losses, loads, worked, placements, counted, peak)


def _collected(comm, job, params, losses, loads, worked, placements, counted, peak) -> History:
    """Put what each device has together, the same on every process."""
    experts = {r: np.zeros(job.experts.shape) for r in comm.local}
    for r in comm.local:
        for k, e in np.argwhere(job.owners[:, :, r]):
            experts[r][k, e] = params[r][f"{k}.{e}"]
    first = comm.local[0]
    counts = {r: np.zeros(counted.size + worked.size + peak.size) for r in comm.local}
    counts[first] = np.concatenate([counted.ravel(), worked.ravel(), peak.ravel()])
    counts = comm.allreduce(counts, "report")[first].astype(np.int64)
    counted, worked, peak = (
        part.reshape(like.shape)
        for part, like in zip(
            np.split(counts, np.cumsum([counted.size, worked.size])),
            (counted, worked, peak),
            strict=True,
        )
    )
    return History(
        gates=params[first]["gates"],
        experts=comm.allreduce(experts, "report")[first],
        head=params[first]["head"],
        losses=losses,
        loads=np.stack(loads),
        worked=worked,
        placements=placements,
        sent=counted[0],
        received=counted[1],
        peak=peak,
    )


# ------------------------------------------------------------------------------- under mpiexec


def train_with_mpi(jobs: Sequence[Job], size: int, *, seconds: float = 120.0) -> list[History]:
    """Run `train` for several jobs in `size` processes that talk by MPI.

    Every process computes with one thread and sees nothing of this one's test run or network.

    Parameters
    ----------
    jobs : sequence of Job
        What is trained, one after the other; the placements must be arrays.
    size : int
        Number of processes.
    seconds : float
        After this time the processes are ended.

    Returns
    -------
    list of History
        One for each job.

    Raises
    ------
    ValueError
        If there is no job, or one does not fit or has a function for its placements.
    MpiUnavailableError
        If mpi4py, an MPI library or mpiexec is missing, or the processes do not start.
    RuntimeError
        If they stop with an error of the program, or take too long.
    """
    size = check_integer("size", size, at_least=1)
    seconds = check_scalar("seconds", seconds, above=0)
    if not jobs:
        raise ValueError("jobs must hold at least one job")
    for job in jobs:
        job.check(size)
        if callable(job.placements):
            raise ValueError("jobs must have arrays for placements: functions stay in a process")
    # mpi4py as the outer module ends all processes if one of them meets an error.
    python = [sys.executable, "-m", "mpi4py", "-m", "gaussbook.experts"]
    command = [_launcher(), "-n", str(size), *python]
    with tempfile.TemporaryDirectory(prefix="gaussbook-mpi-") as folder:
        for k, job in enumerate(jobs):
            _store(Path(folder, f"job{k}.npz"), job)
        done = _run([*command, folder], _environment(), seconds)
        results = [Path(folder, f"history{k}.npz") for k in range(len(jobs))]
        if done.returncode == _NO_MPI or not Path(folder, "started").exists():
            raise MpiUnavailableError(f"MPI does not start here: {_last_line(done)}")
        if done.returncode or not all(path.exists() for path in results):
            raise RuntimeError(f"training under mpiexec failed: {_last_line(done)}")
        return [_load(path, History) for path in results]


_NO_MPI = 77  # a process could not load MPI, or is alone in its world


def _launcher() -> str:
    """Return mpiexec: the one beside this Python, else the one on the path."""
    if importlib.util.find_spec("mpi4py") is None:
        raise MpiUnavailableError("mpi4py is not installed; install the 'book' extra")
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise MpiUnavailableError("there is no mpiexec beside Python or on the path")
    return found


def _environment() -> dict[str, str]:
    """Return an environment with one thread, the loopback interface, and no trace of a test run."""
    hidden = ("PYTEST_", "COV_", "PMI_", "PMIX_", "OMPI_", "HYDRA_", "MPIEXEC_", "SLURM_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
    )
    loopback = "lo" if sys.platform == "linux" else "lo0"
    own = {"HYDRA_LAUNCHER": "fork", "HYDRA_IFACE": loopback, "GAUSSBOOK_BACKEND": "numpy"}
    return kept | threads | own


def _run(command, environment, seconds) -> subprocess.CompletedProcess:
    """Run a command in a session of its own, all of which ends when its time is up."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"training under mpiexec took more than {seconds:g} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output)


def _last_line(done: subprocess.CompletedProcess) -> str:
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"it ended with status {done.returncode}"


def _store(path: Path, record: Job | History) -> None:
    np.savez(path, **{f.name: getattr(record, f.name) for f in fields(record)})


def _load(path: Path, kind):
    """Read a job or a history; numbers come back as Python's."""
    with np.load(path) as stored:
        values = {name: stored[name] for name in stored.files}
    return kind(**{n: v.item() if v.ndim == 0 else v for n, v in values.items()})


def _process(folder: str) -> int:
    """Be one of the processes of `train_with_mpi`: do the jobs in a folder."""
    try:
        comm = MpiCommunicator()
    except (ImportError, RuntimeError) as error:
        print(error)
        return _NO_MPI
    (rank,) = comm.local
    Path(folder, "started").touch()
    for k in range(len(list(Path(folder).glob("job*.npz")))):
        history = train(comm, _load(Path(folder, f"job{k}.npz"), Job))
        if rank == 0:
            _store(Path(folder, f"history{k}.npz"), history)
    return 0
