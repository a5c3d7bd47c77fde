"""Communicators: what arrives, what is counted, what is refused; both backends have one program."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.experts import Communicator, InProcessCommunicator


def placements(rng, experts, devices):
    """An owner for each expert, and a placement with random copies besides."""
    before = np.arange(devices) == rng.integers(0, devices, experts)[:, None]
    return before, before | (rng.random((experts, devices)) < 0.4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_sparse_collectives_move_what_the_placements_say_and_count_it(seed, experts, devices):
    rng = np.random.default_rng(seed)
    before, after = placements(rng, experts, devices)
    vectors = rng.standard_normal((experts, 3))
    comm = InProcessCommunicator(devices)
    owned = {r: {e: vectors[e] for e in np.flatnonzero(before[:, r])} for r in range(devices)}
    held = comm.sparse_allgather(owned, before, after)
    for r in range(devices):
        assert set(held[r]) == set(np.flatnonzero(after[:, r]))
        assert all(np.array_equal(v, vectors[e]) for e, v in held[r].items())
    sent, received = comm.take("gather")
    assert np.array_equal(received, 24 * (after & ~before).sum(axis=0))
    assert sent.sum() == received.sum()

    copies = {r: {e: (r + 1) * v for e, v in held[r].items()} for r in range(devices)}
    sums = comm.sparse_reduce_scatter(copies, after, before)
    for r in range(devices):
        assert set(sums[r]) == set(np.flatnonzero(before[:, r]))
        for e, v in sums[r].items():
            assert np.allclose(v, vectors[e] * (np.flatnonzero(after[e]) + 1).sum())
    assert np.array_equal(comm.take("reduce")[0], received)  # the way back: sent for received
    assert not comm.take("reduce").any()  # taken once


def test_copies_are_not_the_owner_s_own_array():
    comm = InProcessCommunicator(2)
    before, after = np.array([[True, False]]), np.ones((1, 2), dtype=bool)
    vector = np.zeros(2)
    held = comm.sparse_allgather({0: {0: vector}, 1: {}}, before, after)
    held[1][0] += 1
    assert not vector.any()


def test_alltoallv_transposes_the_blocks_and_counts_no_message_to_oneself():
    comm = InProcessCommunicator(2)
    parts = {0: [np.zeros((1, 2)), np.ones((3, 2))], 1: [2 * np.ones((2, 2)), np.zeros((0, 2))]}
    received = comm.alltoallv(parts, {0: [1, 2], 1: [3, 0]})
    assert [len(block) for block in received[0]] == [1, 2]
    assert np.all(received[1][0] == 1) and np.all(received[0][1] == 2)
    assert comm.take("dispatch").tolist() == [[48, 32], [32, 48]]


def test_alltoall_and_allreduce():
    comm = InProcessCommunicator(3)
    values = {r: np.arange(3)[:, None] + 10 * r for r in range(3)}
    assert comm.alltoall(values)[1].ravel().tolist() == [1, 11, 21]
    sums = comm.allreduce({r: np.full((2, 2), float(r)) for r in range(3)})
    assert all(np.all(total == 3) for total in sums.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.allreduce({0: np.zeros(1)}), "values must have the devices"),
        (lambda c: c.allreduce({0: np.zeros(1), 1: np.zeros(2)}), "values must have one shape"),
        (lambda c: c.alltoall({0: np.zeros((2, 1)), 1: np.zeros((3, 1))}), r"values\[1\] must"),
        (
            lambda c: c.alltoallv({r: [np.zeros((1, 1))] for r in (0, 1)}, {0: [1, 1], 1: [1, 1]}),
            "parts and rows of device 0",
        ),
        (
            lambda c: c.alltoallv(
                {r: [np.zeros((1, 1 + r))] * 2 for r in (0, 1)}, {0: [1, 1], 1: [1, 1]}
            ),
            "parts must agree",
        ),
        (
            lambda c: c.alltoallv(
                {r: [np.zeros((1, 1))] * 2 for r in (0, 1)}, {0: [1, 2], 1: [1, 1]}
            ),
            r"rows\[0\] is not what",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(InProcessCommunicator(2))


def test_placements_that_do_not_fit_are_refused():
    comm = InProcessCommunicator(2)
    before = np.array([[True, False]])
    owned = {0: {0: np.zeros(2)}, 1: {}}
    with pytest.raises(ValueError, match="after must contain before"):
        comm.sparse_allgather(owned, before, ~before)
    with pytest.raises(ValueError, match="before must give every expert one owner"):
        comm.sparse_allgather(owned, np.ones((1, 2), dtype=bool), np.ones((1, 2), dtype=bool))
    with pytest.raises(ValueError, match="after must be a boolean array"):
        comm.sparse_allgather(owned, before, np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"values\[0\] lacks expert 0"):
        comm.sparse_allgather({0: {}, 1: {}}, before, before)
    with pytest.raises(ValueError, match=r"gradients\[0\] lacks experts \[0\]"):
        comm.sparse_reduce_scatter({0: {}, 1: {}}, before, before)


@pytest.mark.parametrize(("size", "local"), [(0, []), (2, [2]), (2, [-1])])
def test_devices_that_are_not_there_are_refused(size, local):
    with pytest.raises(ValueError, match="size|local"):
        Communicator(size, local)


SINGLE = """
import numpy as np
from gaussbook.experts import MpiCommunicator
comm = MpiCommunicator()
before = np.array([[True]])
assert comm.sparse_allgather({0: {0: np.ones(2)}}, before, before)[0][0].tolist() == [1, 1]
assert comm.allreduce({0: np.ones((2, 1))})[0].tolist() == [[1], [1]]
assert not comm.take("dense").any()
print(comm.size, comm.local)
"""


def test_a_single_mpi_process_is_a_world_of_its_own():
    pytest.importorskip("mpi4py")
    done = subprocess.run([sys.executable, "-c", SINGLE], capture_output=True, text=True)
    if "ImportError" in done.stderr or "cannot load MPI" in done.stderr:
        pytest.skip("MPI cannot be loaded")
    assert done.stdout.strip() == "1 (0,)", done.stderr
