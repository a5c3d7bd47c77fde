"""The minibatch loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from gaussbook.arrays import Array, Generator, namespace, to_host
from gaussbook.autodiff import ravel_tree, tree_leaves, value_and_grad
from gaussbook.autodiff.tracing import refuse_masked
from gaussbook.optim import clip_by_global_norm
from gaussbook.progress import progress
from gaussbook.validation import check_integer

__all__ = ["Fitted", "fit", "minibatches"]

_LOOK_EVERY = 50  # steps between two looks at the loss: each look makes a GPU wait


class Fitted(NamedTuple):
    """What `fit` returns."""

    params: Any
    """Tree of arrays: the parameters after the last step."""
    losses: np.ndarray
    """The loss of each step's minibatch, before the step; shape (steps,)."""


def minibatches(
    data: Sequence[Array], batch_size: int, rng: Generator
) -> Iterator[tuple[Array, ...]]:
    """Iterate without end over minibatches, each epoch in a new order.

    Parameters
    ----------
    data : sequence of arrays
        Arrays of one length n.
    batch_size : int
        Rows of a minibatch, at most n; what is left at the end of an epoch is left out of it.
    rng : Generator
        Draws the orders.

    Yields
    ------
    tuple of arrays
        The same rows of every array.

    Raises
    ------
    ValueError
        If the lengths differ or `batch_size` exceeds them.
    """
    lengths = {x.shape[0] for x in data} if data else set()
    if len(lengths) != 1:
        raise ValueError(f"data must be arrays of one length, got lengths {sorted(lengths)}")
    n = lengths.pop()
    batch_size = check_integer("batch_size", batch_size, at_least=1, at_most=n)
    return _shuffled(data, n, batch_size, rng)


def _shuffled(data: Sequence[Array], n: int, batch_size: int, rng: Generator) -> Iterator[tuple]:
    xp = namespace(*data)
    while True:
        order = rng.permutation(n)
        for start in range(0, n - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield tuple(xp.take(x, rows, axis=0) for x in data)


def fit(
    loss: Callable[..., Array],
    params: Any,
    data: Sequence[Array] | Callable[[Generator], tuple],
    optimiser: Any,
    *,
    steps: int,
    rng: Generator,
    batch_size: int = 128,
    clip: float | None = None,
    description: str = "training",
) -> Fitted:
    """Train parameters on minibatches, with a progress bar.

    Parameters
    ----------
    loss : callable
        ``loss(params, *batch)`` returns one number.
    params : tree of arrays
        Where to begin.
    data : sequence of arrays, or callable
        Arrays of one length, from which `minibatches` takes rows; or ``data(rng)``, which returns
        a fresh minibatch (a tuple) for every step.
    optimiser : object
        One of `gaussbook.optim`.
    steps : int
        Number of steps.
    rng : Generator
        Draws the minibatches.
    batch_size : int
        Rows of a minibatch, where `data` is arrays.
    clip : float, optional
        Largest norm of the gradient (`gaussbook.optim.clip_by_global_norm`).
    description : str
        Shown before the bar.

    Returns
    -------
    Fitted
        The parameters and the losses of the steps.

    Raises
    ------
    ValueError
        If an argument does not fit.
    FloatingPointError
        If the loss is no longer finite.
    """
    steps = check_integer("steps", steps, at_least=1)
    if not callable(getattr(optimiser, "step", None)):
        raise ValueError(f"optimiser must have a method step, got {type(optimiser).__name__}")
    if callable(data):
        batches = iter(lambda: data(rng), None)
    else:
        batches = minibatches(data, batch_size, rng)
    evaluate, values, looked = value_and_grad(loss), [], []
    with _packed(params, optimiser) as (moving, as_tree, as_moving):
        for step in progress(range(steps), description):
            value, grads = evaluate(as_tree(moving), *next(batches))
            grads = as_moving(grads)
            if clip is not None:
                grads, _ = clip_by_global_norm(grads, clip)
            moving = optimiser.step(moving, grads)
            values.append(value)
            if len(values) == _LOOK_EVERY or step == steps - 1:
                looked.append(_look(values, step))
                values = []
        return Fitted(as_tree(moving), np.concatenate(looked))


@contextmanager
def _packed(params: Any, optimiser: Any) -> Iterator[tuple[Any, Callable, Callable]]:
    """Give the parameters as one vector, on which a step is quicker, where the rule allows it.

    With them come the functions that make a tree of them, and the same of a tree of gradients.
    """
    refuse_masked(*tree_leaves(params))
    if not (hasattr(optimiser, "packs") and optimiser.packs(params)):
        yield params, lambda same: same, lambda same: same
        return
    vector, unravel = ravel_tree(params)
    with optimiser.on_one_vector(params):
        yield vector, unravel, lambda tree: ravel_tree(tree)[0]


def _look(values: list[Array], step: int) -> np.ndarray:
    seen = np.asarray([float(to_host(value)) for value in values])
    if not np.all(np.isfinite(seen)):
        first = step + 1 - len(seen) + int(np.argmin(np.isfinite(seen)))
        raise FloatingPointError(
            f"the loss is {seen[~np.isfinite(seen)][0]} at step {first}: try a lower learning rate"
        )
    return seen
