"""Run one function for many configurations: on all cores, on a cluster, and not twice.

The work goes to joblib's processes or, where there is one, to a Dask cluster: that of the scheduler
whose address the environment variable ``GAUSSBOOK_DASK`` holds, or that of the program's own
``distributed.Client``.  Results are the same and in the same order either way.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from gaussbook.arrays import generator
from gaussbook.progress import progress
from gaussbook.records import digest, fingerprint, read_record, write_record
from gaussbook.validation import check_integer

__all__ = ["SweepError", "sweep"]

_PATIENCE = "10s"  # for the scheduler of a cluster to answer


class SweepError(RuntimeError):
    """Some configurations of a sweep failed.

    Attributes
    ----------
    failures : list of (dict, str)
        Each failing configuration and its traceback.
    """

    def __init__(self, failures: list[tuple[dict, str]], total: int):
        self.failures = failures
        names = "\n".join(f"  {configuration!r}" for configuration, _ in failures)
        super().__init__(
            f"{len(failures)} of {total} configurations failed:\n{names}\n"
            f"The first failed with:\n{failures[0][1]}"
        )


def sweep(
    function: Callable[..., Any],
    configurations: Iterable[Mapping[str, Any]],
    *,
    store: str | os.PathLike | None = None,
    seed: int | None = None,
    workers: int | None = None,
    description: str = "sweep",
    show_progress: bool = True,
) -> list[Any]:
    """Return ``[function(**configuration) for configuration in configurations]``, in parallel.

    Parameters
    ----------
    function : callable
        Takes the entries of a configuration as keywords.  It must not rely on changes that other
        calls make to global state: each may run in a process of its own.
    configurations : iterable of mapping
        What to run; ``sklearn.model_selection.ParameterGrid`` makes one of all combinations.
    store : path, optional
        Directory which keeps each result in a file of its own (JSON, or ``.npz`` where it holds
        arrays), written as soon as the result is there.  A later call takes from it what has been
        computed for the same function, configuration and seed.  Results may then be numbers,
        strings, None, arrays, and lists, tuples and dictionaries of them; arrays come back as
        NumPy arrays.
    seed : int, optional
        If given, each call gets a keyword ``rng``, a `gaussbook.arrays.Generator` whose stream
        depends on the seed and the configuration only: not on its place in the sweep, nor on where
        it runs.  Equal configurations get equal streams; number replications in the configuration.
    workers : int, optional
        Number of processes (1 for none but this one); as many as there are cores if not given.  A
        Dask cluster has its own number.
    description : str
        Shown before the progress bar.
    show_progress : bool
        Whether to draw the bar.

    Returns
    -------
    list
        The results, in the order of the configurations.

    Raises
    ------
    SweepError
        If configurations fail: raised when all the others have finished and been stored, and
        naming each that failed.  A configuration whose process dies fails, too.
    ValueError
        If an argument is out of its range, or `function` or a configuration holds something that
        the store cannot tell apart from something else (an object, an open file).
    ImportError
        If ``GAUSSBOOK_DASK`` is set and Dask's ``distributed`` is not installed.
    ConnectionError
        If no scheduler answers at the address in ``GAUSSBOOK_DASK``.

    Notes
    -----
    The store knows `function` by its name, its source and the source of functions of the same
    module which it calls, and by the plain data that it takes from its defaults, closure and
    module.  Changes of other modules go unnoticed: use a new directory after them.

    When a process dies (killed for its memory, say), joblib loses the work of the other processes
    as well.  What had not finished is then run again, one configuration at a time.
    """
    configurations = _check_configurations(configurations, seed)
    if not callable(function):
        raise ValueError(f"function must be callable, got {function!r}")
    if seed is not None:
        seed = check_integer("seed", seed, at_least=0)
    if workers is not None:
        workers = check_integer("workers", workers, at_least=1)
    tasks = [
        _Task(index, function, configuration, _seed_sequence(seed, configuration))
        for index, configuration in enumerate(configurations)
    ]
    paths = _record_paths(function, configurations, seed, store)
    results, pending = _recall(tasks, paths)
    outcomes = _run(pending, workers)
    if show_progress:
        outcomes = progress(outcomes, description, total=len(pending))
    failures = {}
    for index, result, error in outcomes:
        if error is None and paths is not None:
            try:
                result = write_record(paths[index], configurations[index], result)
            except ValueError as problem:
                error = f"the result cannot be stored: {problem}"
        if error is None:
            results[index] = result
        else:
            failures[index] = (configurations[index], error)
    if failures:
        raise SweepError([failures[index] for index in sorted(failures)], len(tasks))
    return [results[index] for index in range(len(tasks))]


class _Task(NamedTuple):
    index: int
    function: Callable[..., Any]
    configuration: dict[str, Any]
    seed: np.random.SeedSequence | None


class _Outcome(NamedTuple):
    index: int
    result: Any
    error: str | None


def _attempt(task: _Task) -> _Outcome:
    """Run one configuration, wherever this is; an exception comes back as text.

    Exceptions themselves need not survive the way between two processes.
    """
    try:
        streams = {} if task.seed is None else {"rng": generator(task.seed)}
        return _Outcome(task.index, task.function(**task.configuration, **streams), None)
    except Exception:
        return _Outcome(task.index, None, traceback.format_exc())


def _check_configurations(
    configurations: Iterable[Mapping[str, Any]], seed: int | None
) -> list[dict[str, Any]]:
    try:
        configurations = list(configurations)
    except TypeError as error:
        raise ValueError(f"configurations must be a sequence of mappings: {error}") from error
    for k, configuration in enumerate(configurations):
        if not isinstance(configuration, Mapping):
            raise ValueError(f"configurations[{k}] must be a mapping, got {configuration!r}")
        if not all(isinstance(key, str) for key in configuration):
            raise ValueError(f"configurations[{k}] must have names as its keys")
        if seed is not None and "rng" in configuration:
            raise ValueError(f"configurations[{k}] has an entry 'rng', which the seed would give")
    return [dict(configuration) for configuration in configurations]


def _seed_sequence(
    seed: int | None, configuration: dict[str, Any]
) -> np.random.SeedSequence | None:
    if seed is None:
        return None
    key = bytes.fromhex(digest("configurations", configuration))
    words = tuple(int.from_bytes(key[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.SeedSequence(seed, spawn_key=words)


def _record_paths(
    function: Callable[..., Any],
    configurations: list[dict[str, Any]],
    seed: int | None,
    store: str | os.PathLike | None,
) -> list[Path] | None:
    if store is None:
        return None
    try:
        directory = Path(store)
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"store cannot be made a directory: {error}") from error
    identity = fingerprint(function)
    names = [digest("configurations", [identity, seed, c]) for c in configurations]
    return [directory / name for name in names]


def _recall(tasks: list[_Task], paths: list[Path] | None) -> tuple[dict[int, Any], list[_Task]]:
    """Return the stored results, and the tasks that are still to run."""
    if paths is None:
        return {}, tasks
    results, pending = {}, []
    for task in tasks:
        try:
            results[task.index] = read_record(paths[task.index])
        except FileNotFoundError:
            pending.append(task)
        except ValueError as error:
            warnings.warn(f"{error}: it is computed again", stacklevel=3)
            pending.append(task)
    return results, pending


def _run(tasks: list[_Task], workers: int | None) -> Iterator[_Outcome]:
    """Yield the outcomes as they come."""
    if not tasks:
        return
    address = os.environ.get("GAUSSBOOK_DASK")
    if address:
        with _connect(address) as client:
            yield from _on_cluster(client, tasks)
        return
    client = _running_client()
    yield from _in_processes(tasks, workers) if client is None else _on_cluster(client, tasks)


def _in_processes(tasks: list[_Task], workers: int | None) -> Iterator[_Outcome]:
    pending = {task.index: task for task in tasks}
    parallel = Parallel(n_jobs=workers or -1, return_as="generator_unordered")
    try:
        for outcome in parallel(delayed(_attempt)(task) for task in tasks):
            del pending[outcome.index]
            yield outcome
    except BrokenProcessPool:
        # which of them killed its process is known only when each runs alone
        for task in pending.values():
            try:
                yield from Parallel(n_jobs=2)([delayed(_attempt)(task)])
            except BrokenProcessPool as error:
                yield _Outcome(task.index, None, f"its process died: {error}")


def _connect(address: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            f"GAUSSBOOK_DASK is {address!r}, but Dask cannot be imported ({error}); "
            "install the 'dask' extra"
        ) from error
    try:
        return distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"GAUSSBOOK_DASK is {address!r}, where no scheduler answers: {error}"
        ) from error


def _running_client() -> Any:
    """Return the program's own Dask client, or None; Dask is not imported for that."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _on_cluster(client: Any, tasks: list[_Task]) -> Iterator[_Outcome]:
    from distributed import as_completed

    indices = {client.submit(_attempt, task, pure=False): task.index for task in tasks}
    try:
        for future in as_completed(list(indices), loop=client.loop):
            error = future.exception()  # the worker died, or could not load the function
            if error is None:
                yield future.result()
            else:
                yield _Outcome(indices[future], None, f"its worker failed: {error!r}")
    finally:
        client.cancel(list(indices))
