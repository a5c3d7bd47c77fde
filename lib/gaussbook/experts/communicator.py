r"""Devices that exchange arrays, and the bytes that they exchange.

A `Communicator` runs the devices in `Communicator.local`: all of them in one process
(`InProcessCommunicator`) or, under ``mpiexec``, one in each process (`MpiCommunicator`).  A program
is written once for both: it loops over the local devices for what each of them computes, and calls
every collective once, with a dictionary of what the local devices put in.

A *placement* is a boolean array (experts, devices): who holds a copy of what.  `sparse_allgather`
brings a placement to a larger one, `sparse_reduce_scatter` adds the copies' gradients up where they
belong.  Bytes are those of the buffers handed over and received; a device's message to itself
is none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gaussbook.validation import check_integer

__all__ = ["Communicator", "InProcessCommunicator", "MpiCommunicator"]

Vectors = dict[int, np.ndarray]


class Communicator:
    """Collectives over `size` devices, with a count of the bytes of each.

    Parameters
    ----------
    size : int
        Number of devices.
    local : sequence of int
        The devices that this process runs.

    Attributes
    ----------
    size : int
        Number of devices.
    local : tuple of int
        The devices that this process runs.

    Raises
    ------
    ValueError
        If `size` is not positive or `local` names a device that is not there.
    """

    def __init__(self, size: int, local: Sequence[int]):
        self.size = check_integer("size", size, at_least=1)
        self.local = tuple(
            check_integer("local", rank, at_least=0, at_most=self.size - 1) for rank in local
        )
        self._bytes: dict[str, np.ndarray] = {}

    # ------------------------------------------------------------------ what a backend provides

    def _alltoallv(
        self, parts: Mapping[int, Sequence[np.ndarray]], rows: Mapping[int, Sequence[int]]
    ) -> dict[int, list[np.ndarray]]:
        raise NotImplementedError

    def _send(
        self,
        messages: Mapping[tuple[int, int, int], np.ndarray],
        expected: Sequence[tuple[int, int, int]],
    ) -> dict[tuple[int, int, int], np.ndarray]:
        raise NotImplementedError

    # ------------------------------------------------------------------------------- collectives

    def alltoall(
        self, values: Mapping[int, np.ndarray], label: str = "counts"
    ) -> dict[int, np.ndarray]:
        """Send row j of every device's array to device j.

        Parameters
        ----------
        values : dict of arrays, shape (size, k)
            What each local device sends; k is the same everywhere.
        label : str
            Under which the bytes are counted.

        Returns
        -------
        dict of arrays, shape (size, k)
            For each local device the rows sent to it, by source.

        Raises
        ------
        ValueError
            If a local device is missing or an array has another number of rows than `size`.
        """
        self._check_local("values", values)
        for rank, value in values.items():
            if value.ndim != 2 or value.shape[0] != self.size:
                raise ValueError(f"values[{rank}] must have shape ({self.size}, k)")
        parts = {
            rank: [value[j : j + 1] for j in range(self.size)] for rank, value in values.items()
        }
        rows = {rank: [1] * self.size for rank in self.local}
        received = self.alltoallv(parts, rows, label)
        return {rank: np.concatenate(blocks) for rank, blocks in received.items()}

    def alltoallv(
        self,
        parts: Mapping[int, Sequence[np.ndarray]],
        rows: Mapping[int, Sequence[int]],
        label: str = "dispatch",
    ) -> dict[int, list[np.ndarray]]:
        """Send one block of rows from every device to every device.

        Parameters
        ----------
        parts : dict of lists of arrays, shape (n_j, width)
            For each local device its blocks, by destination.
        rows : dict of sequences of int
            For each local device the number of rows that it gets, by source.
        label : str
            Under which the bytes are counted.

        Returns
        -------
        dict of lists of arrays
            For each local device the blocks sent to it, by source.

        Raises
        ------
        ValueError
            If a local device or a block is missing, or blocks differ in width.
        """
        self._check_local("parts", parts)
        self._check_local("rows", rows)
        widths = set()
        for rank in self.local:
            if len(parts[rank]) != self.size or len(rows[rank]) != self.size:
                raise ValueError(f"parts and rows of device {rank} must have {self.size} entries")
            widths |= {block.shape[1:] for block in parts[rank]}
        if len(widths) != 1:
            raise ValueError(f"parts must agree in the shape of a row, got {sorted(widths)}")
        for rank in self.local:
            for j, block in enumerate(parts[rank]):
                self._count(label, 0, rank, 0 if j == rank else block.nbytes)
        received = self._alltoallv(parts, rows)
        for rank in self.local:
            for j, block in enumerate(received[rank]):
                self._count(label, 1, rank, 0 if j == rank else block.nbytes)
        return received

    def sparse_allgather(
        self,
        values: Mapping[int, Vectors],
        before: np.ndarray,
        after: np.ndarray,
        label: str = "gather",
    ) -> dict[int, Vectors]:
        """Bring vectors from the devices that own them to those that are to have a copy.

        Parameters
        ----------
        values : dict of dict of arrays, shape (length,)
            For each local device the vectors of the experts that it owns.
        before, after : bool arrays, shape (experts, devices)
            The placement with one owner for each expert, and the one to reach, which contains it.
        label : str
            Under which the bytes are counted.

        Returns
        -------
        dict of dict of arrays
            For each local device the vectors of all experts that `after` gives it.

        Raises
        ------
        ValueError
            If the placements do not fit, or a device does not have what it owns.
        """
        self._check_local("values", values)
        owner = self._owners(before, after)
        held = {rank: {} for rank in self.local}
        for rank in self.local:
            for e in np.flatnonzero(before[:, rank]):
                if int(e) not in values[rank]:
                    raise ValueError(f"values[{rank}] lacks expert {e}, which device {rank} owns")
                held[rank][int(e)] = values[rank][int(e)]
        moves = [(int(owner[e]), int(d), int(e)) for e, d in np.argwhere(after & ~before)]
        messages = {m: values[m[0]][m[2]] for m in moves if m[0] in self.local}
        for (_, rank, e), vector in self._move(messages, moves, label).items():
            held[rank][e] = vector
        return held

    def sparse_reduce_scatter(
        self,
        gradients: Mapping[int, Vectors],
        after: np.ndarray,
        before: np.ndarray,
        label: str = "reduce",
    ) -> dict[int, Vectors]:
        """Add the vectors of all copies up at the owner, always in the order of the devices.

        Parameters
        ----------
        gradients : dict of dict of arrays, shape (length,)
            For each local device one vector for each copy that it holds.
        after, before : bool arrays, shape (experts, devices)
            The placement of the copies, and the one with one owner for each expert.
        label : str
            Under which the bytes are counted.

        Returns
        -------
        dict of dict of arrays
            For each local device the sums of the experts that it owns.

        Raises
        ------
        ValueError
            If the placements do not fit, or a device lacks a vector.
        """
        self._check_local("gradients", gradients)
        owner = self._owners(before, after)
        for rank in self.local:
            if lacking := set(map(int, np.flatnonzero(after[:, rank]))) - set(gradients[rank]):
                raise ValueError(f"gradients[{rank}] lacks experts {sorted(lacking)}")
        moves = [(int(d), int(owner[e]), int(e)) for e, d in np.argwhere(after & ~before)]
        messages = {m: gradients[m[0]][m[2]] for m in moves if m[0] in self.local}
        arrived = self._move(messages, moves, label)
        sums: dict[int, Vectors] = {rank: {} for rank in self.local}
        for rank in self.local:
            for e in map(int, np.flatnonzero(before[:, rank])):
                sources = map(int, np.flatnonzero(after[e]))
                terms = [gradients[rank][e] if s == rank else arrived[s, rank, e] for s in sources]
                sums[rank][e] = np.sum(terms, axis=0)
        return sums

    def allreduce(
        self, values: Mapping[int, np.ndarray], label: str = "dense"
    ) -> dict[int, np.ndarray]:
        """Add one array of each device up, in the order of the devices, and give all the sum.

        Every device gets every array and adds them itself, so that the sum is the same to the last
        bit on every device and with every backend.

        Parameters
        ----------
        values : dict of arrays of one shape
            What each local device puts in.
        label : str
            Under which the bytes are counted.

        Returns
        -------
        dict of arrays
            The sum, for each local device.

        Raises
        ------
        ValueError
            If a local device is missing or the shapes differ.
        """
        self._check_local("values", values)
        shapes = {value.shape for value in values.values()}
        if len(shapes) != 1:
            raise ValueError(f"values must have one shape, got {sorted(shapes)}")
        (shape,) = shapes
        rows = {rank: value.reshape(1, -1) for rank, value in values.items()}
        blocks = self.alltoallv(
            {rank: [row] * self.size for rank, row in rows.items()},
            {rank: [1] * self.size for rank in self.local},
            label,
        )
        return {rank: np.sum(got, axis=0).reshape(shape) for rank, got in blocks.items()}

    # --------------------------------------------------------------------------------- the count

    def take(self, label: str) -> np.ndarray:
        """Return the bytes counted under a label since the last call, and begin anew.

        Parameters
        ----------
        label : str
            The label of a collective.

        Returns
        -------
        int array, shape (2, size)
            Bytes sent (first row) and received by each device; zero for those of other processes.
        """
        return self._bytes.pop(label, np.zeros((2, self.size), dtype=np.int64))

    def _count(self, label: str, direction: int, rank: int, nbytes: int) -> None:
        counts = self._bytes.setdefault(label, np.zeros((2, self.size), dtype=np.int64))
        counts[direction, rank] += nbytes

    def _move(self, messages, moves, label):
        """Send the messages, count them, and return those that arrive here."""
        for (source, _, _), vector in messages.items():
            self._count(label, 0, source, vector.nbytes)
        expected = [m for m in moves if m[1] in self.local]
        arrived = self._send(messages, expected)
        for (_, rank, _), vector in arrived.items():
            self._count(label, 1, rank, vector.nbytes)
        return arrived

    def _check_local(self, name: str, values: Mapping[int, Any]) -> None:
        if set(values) != set(self.local):
            raise ValueError(f"{name} must have the devices {self.local}, got {sorted(values)}")

    def _owners(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return the owner of each expert, or refuse placements that do not fit."""
        for name, placement in (("before", before), ("after", after)):
            if placement.dtype != bool or placement.ndim != 2 or placement.shape[1] != self.size:
                raise ValueError(f"{name} must be a boolean array (experts, {self.size})")
        if before.shape != after.shape or np.any(before & ~after):
            raise ValueError("after must contain before")
        if np.any(before.sum(axis=1) != 1):
            raise ValueError("before must give every expert one owner")
        return np.argmax(before, axis=1)


class InProcessCommunicator(Communicator):
    """All devices in this process: the same calls, the same buffers, nothing else installed.

    Parameters
    ----------
    size : int
        Number of devices.

    Examples
    --------
    >>> comm = InProcessCommunicator(2)
    >>> owned = {0: {0: np.ones(3)}, 1: {1: np.zeros(3)}}
    >>> before, after = np.eye(2, dtype=bool), np.ones((2, 2), dtype=bool)
    >>> held = comm.sparse_allgather(owned, before, after)
    >>> held[1][0]
    array([1., 1., 1.])
    >>> comm.take("gather").tolist()
    [[24, 24], [24, 24]]
    """

    def __init__(self, size: int):
        super().__init__(size, range(size))

    def _alltoallv(self, parts, rows):
        received = {
            rank: [np.array(parts[source][rank]) for source in range(self.size)]
            for rank in self.local
        }
        for rank, blocks in received.items():
            if [len(block) for block in blocks] != list(map(int, rows[rank])):
                raise ValueError(f"rows[{rank}] is not what the others send")
        return received

    def _send(self, messages, expected):
        return {key: np.array(messages[key]) for key in expected}


class MpiCommunicator(Communicator):
    """One device in each process of an MPI program.

    Vectors and rows hold doubles, or integers in `alltoall`.  Waiting gives the processor away, so
    that more processes than cores do no harm.

    Raises
    ------
    ImportError
        If mpi4py, or the MPI library that it loads, is not installed.
    """

    def __init__(self):
        from mpi4py import MPI

        self._mpi, self._world = MPI, MPI.COMM_WORLD
        super().__init__(self._world.size, [self._world.rank])

    def _wait(self, requests: list[Any]) -> None:
        while not self._mpi.Request.Testall(requests):
            time.sleep(0)

    def _alltoallv(self, parts, rows):
        (rank,) = self.local
        blocks = [np.ascontiguousarray(block) for block in parts[rank]]
        width = blocks[0].shape[1:]
        out = np.concatenate(blocks)
        into = np.empty((int(sum(rows[rank])), *width), dtype=out.dtype)
        bytes_of_row = int(np.prod(width)) * out.itemsize
        counts = [len(block) * bytes_of_row for block in blocks]
        counts_in = [int(n) * bytes_of_row for n in rows[rank]]
        byte = self._mpi.BYTE
        self._wait(
            [self._world.Ialltoallv([out, (counts, None), byte], [into, (counts_in, None), byte])]
        )
        return {rank: np.split(into, np.cumsum(rows[rank])[:-1])}

    def _send(self, messages, expected):
        sends = [
            self._world.Isend(np.ascontiguousarray(vector), dest=key[1], tag=key[2])
            for key, vector in messages.items()
        ]
        arrived, receives, status = {}, [], self._mpi.Status()
        while len(arrived) < len(expected):
            for key in expected:
                if key in arrived:
                    continue
                found = self._world.Improbe(source=key[0], tag=key[2], status=status)
                if found is not None:  # a device without vectors of its own learns their length
                    arrived[key] = np.empty(status.Get_count(self._mpi.DOUBLE))
                    receives.append(found.Irecv(arrived[key]))
            time.sleep(0)
        self._wait(sends + receives)
        return {key: arrived[key] for key in expected}
