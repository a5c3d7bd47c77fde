"""Sharded training: automatic differentiation as the oracle, conservation, MPI, and its absence."""

from dataclasses import replace

import numpy as np
import pytest

from gaussbook import autodiff as ad
from gaussbook.experts import (
    InProcessCommunicator,
    Job,
    MpiUnavailableError,
    destinations,
    sharding,
    train,
    train_with_mpi,
)
from gaussbook.optim import Adam

T, TOKENS, WIDTH, HIDDEN, EXPERTS, LAYERS, DEVICES = 4, 24, 5, 6, 4, 2, 4
NODE = np.array([0, 0, 1, 1])


@pytest.fixture(scope="module")
def job():
    rng = np.random.default_rng(0)
    owners = np.zeros((LAYERS, EXPERTS, DEVICES), dtype=bool)
    owners[0, range(EXPERTS), range(DEVICES)] = True
    owners[1, :, 2] = True  # device 2 owns a whole layer, the others none of it
    copies = rng.random((T, LAYERS, EXPERTS, DEVICES)) < 0.4
    return Job(
        inputs=rng.standard_normal((T, TOKENS, WIDTH)),
        labels=rng.integers(0, 3, (T, TOKENS)),
        gates=rng.standard_normal((LAYERS, WIDTH, EXPERTS)),
        experts=rng.standard_normal((LAYERS, EXPERTS, 2 * WIDTH * HIDDEN)) / 2,
        head=rng.standard_normal((WIDTH, 3)),
        owners=owners,
        placements=owners | copies,
        node=NODE,
    )


def dense_loss(params, x, y):
    half = WIDTH * HIDDEN
    for k in range(LAYERS):
        z = x @ params["gates"][k]
        order = np.argsort(np.argsort(-ad.plain(z), axis=1), axis=1)
        gate = ad.softmax(ad.where(order < 2, z, -1e300))
        first = ad.reshape(params["experts"][k][:, :half], (EXPERTS, WIDTH, HIDDEN))
        second = ad.reshape(params["experts"][k][:, half:], (EXPERTS, HIDDEN, WIDTH))
        outputs = ad.relu(x @ first) @ second
        x = x + ad.sum(ad.matrix_transpose(gate)[:, :, None] * outputs, axis=0)
    return ad.mean(ad.cross_entropy(x @ params["head"], y))


def test_training_is_that_of_automatic_differentiation(job):
    params = {"gates": job.gates, "experts": job.experts, "head": job.head}
    adam, losses = Adam(job.learning_rate), []
    for x, y in zip(job.inputs, job.labels, strict=True):
        value, slopes = ad.value_and_grad(dense_loss)(params, x, y)
        params = adam.step(params, slopes)
        losses.append(float(value))
    for run in (job, replace(job, rematerialise=True)):
        found = train(InProcessCommunicator(DEVICES), run)
        assert np.allclose(found.losses, losses, rtol=0, atol=1e-12)
        for name, value in params.items():
            assert np.allclose(getattr(found, name), value, rtol=0, atol=1e-11), name
    one = replace(job, owners=np.ones((LAYERS, EXPERTS, 1), dtype=bool), node=np.zeros(1, int))
    one = replace(one, placements=np.ones((T, LAYERS, EXPERTS, 1), dtype=bool))
    assert train(InProcessCommunicator(1), one).distance(found) < 1e-11


def test_tokens_and_bytes_are_conserved(job):
    run = train(InProcessCommunicator(DEVICES), job)
    assert np.all(run.worked.sum(axis=2) == 2 * TOKENS)
    assert np.array_equal(run.loads.sum(axis=2), run.worked.sum(axis=2))
    assert np.array_equal(run.sent.sum(axis=3), run.received.sum(axis=3))
    copies = (job.placements & ~job.owners).sum(axis=2)
    size = job.experts[0, 0].nbytes
    assert np.array_equal(run.received[0], copies * size)
    assert np.array_equal(run.sent[1], copies * size)
    assert np.array_equal(run.peak, copies.sum(axis=1).max(axis=0))
    again = train(InProcessCommunicator(DEVICES), replace(job, rematerialise=True))
    assert np.array_equal(again.received[0], 2 * copies * size)
    assert np.array_equal(again.peak, copies.max(axis=(0, 1)))


def test_a_plan_sees_the_loads_of_the_iterations_before(job):
    seen = []

    def plan(loads):
        seen.append(len(loads))
        return job.placements[len(loads)]

    run = train(InProcessCommunicator(DEVICES), replace(job, placements=plan))
    assert seen == [0, 1, 2, 3]
    assert run.distance(train(InProcessCommunicator(DEVICES), job)) == 0


def test_destinations_are_near_and_even():
    experts = np.repeat([0, 1, 2], 4)
    placement = np.array(
        [[True, True, True, False], [False, True, True, True], [False, False, True, True]]
    )
    to = destinations(experts, 0, placement, NODE)
    assert np.all(to[:4] == 0)  # here
    assert np.all(to[4:8] == 1)  # in the node
    assert sorted(to[8:]) == [2, 2, 3, 3]  # elsewhere, shared evenly
    with pytest.raises(ValueError, match="placement must hold every expert"):
        destinations(experts, 0, np.zeros((3, 4), dtype=bool), NODE)
    with pytest.raises(ValueError, match="source"):
        destinations(experts, 4, placement, NODE)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"inputs": np.zeros((T, 22, WIDTH))}, "inputs"),
        ({"inputs": np.full((T, TOKENS, WIDTH), np.nan)}, "inputs"),
        ({"labels": np.zeros((T, TOKENS))}, "labels"),
        ({"gates": np.zeros((LAYERS, WIDTH, 1))}, "gates"),
        ({"experts": np.zeros((LAYERS, EXPERTS, 7))}, "experts"),
        ({"head": np.zeros((WIDTH + 1, 3))}, "head"),
        ({"owners": np.ones((LAYERS, EXPERTS, DEVICES), dtype=bool)}, "owners"),
        ({"placements": np.ones((T, LAYERS, EXPERTS, 3), dtype=bool)}, "placements"),
        ({"placements": np.zeros((T, LAYERS, EXPERTS, DEVICES), dtype=bool)}, "after must"),
        ({"node": np.zeros(3, dtype=int)}, "node"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_jobs_that_do_not_fit_are_refused(job, changes, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        train(InProcessCommunicator(DEVICES), replace(job, **changes))


# ------------------------------------------------------------------------------- under mpiexec


def by_mpi(jobs, **options):
    try:
        return train_with_mpi(jobs, DEVICES, **options)
    except MpiUnavailableError as error:
        pytest.skip(str(error))


def test_four_processes_do_what_one_does(job, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    jobs = [job, replace(job, rematerialise=True)]
    for run, other in zip(by_mpi(jobs), jobs, strict=True):
        alone = train(InProcessCommunicator(DEVICES), other)
        assert run.distance(alone) == 0
        for name in ("losses", "loads", "worked", "placements", "sent", "received", "peak"):
            assert np.array_equal(getattr(run, name), getattr(alone, name)), name


def test_an_error_in_a_process_ends_all(job):
    broken = replace(job, placements=np.zeros_like(job.placements))
    with pytest.raises(RuntimeError, match="failed"):
        by_mpi([broken], seconds=60)


def test_what_takes_too_long_is_ended(job):
    by_mpi([job])  # so that this machine has MPI
    with pytest.raises(RuntimeError, match="more than 0.01 s"):
        by_mpi([job], seconds=0.01)


def test_jobs_for_processes_are_checked(job):
    with pytest.raises(ValueError, match="jobs must hold"):
        train_with_mpi([], DEVICES)
    with pytest.raises(ValueError, match="jobs must have arrays"):
        train_with_mpi([replace(job, placements=lambda loads: None)], DEVICES)
    with pytest.raises(ValueError, match="seconds"):
        train_with_mpi([job], DEVICES, seconds=0)


def test_without_mpiexec_or_mpi4py_the_message_says_so(job, monkeypatch, tmp_path):
    monkeypatch.setattr(sharding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MpiUnavailableError, match="mpi4py is not installed"):
        train_with_mpi([job], DEVICES)
    monkeypatch.setattr(sharding.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(sharding.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MpiUnavailableError, match="no mpiexec"):
        train_with_mpi([job], DEVICES)


def test_an_mpiexec_that_starts_nothing_is_no_mpi(job, monkeypatch):
    monkeypatch.setattr(sharding, "_launcher", lambda: "false")
    with pytest.raises(MpiUnavailableError, match="does not start"):
        train_with_mpi([job], DEVICES)


def test_processes_inherit_nothing_of_a_test_run(monkeypatch):
    for name in ("PYTEST_XDIST_WORKER", "COV_CORE_SOURCE", "PMI_RANK", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    environment = sharding._environment()
    assert not [name for name in environment if name.startswith(("PYTEST", "COV", "PMI", "OMPI"))]
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["PATH"]
