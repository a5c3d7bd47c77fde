"""Primitives made of a chain of operations, with a hand-written pull."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff.spaces import astype, defvjp_argnums
from gaussbook.autodiff.tracing import (
    is_floating,
    is_traced,
    plain,
    plain_namespace,
    primitive,
    pull_back,
    record,
    refuse_masked,
    same_type,
)

__all__ = ["fused"]


def _in_common_type(*arrays: Array | None) -> tuple[Array | None, ...]:
    """Return arrays in the one floating type that they promote to; None stays None.

    What is written over an array in place would otherwise be demoted to that array's type.
    """
    first, *others = given = [x for x in arrays if x is not None]
    refuse_masked(*given)
    if all([same_type(x, first) for x in others]) and is_floating(first):
        return arrays
    xp = plain_namespace(*given)
    common = xp.result_type(*map(plain, given))
    if not xp.isdtype(common, "real floating"):
        if not xp.isdtype(common, ("bool", "integral")):
            raise ValueError(f"x must hold real numbers, got {common}")
        common = xp.float64
    return tuple(x if x is None or x.dtype == common else astype(x, common) for x in arrays)


def fused(forward: Callable, backward: Callable, composite: Callable) -> Callable:
    """Make one primitive of a chain of operations, with a hand-written pull.

    Parameters
    ----------
    forward : callable
        ``forward(saved, *arrays, **options)`` computes the result of plain arrays, all of one
        floating type, and may leave in the dictionary `saved` what the pull needs; its entry
        ``saved["pull"]`` says whether there can be one.
    backward : callable
        ``backward(saved, needed, g, *arrays, **options)`` returns a sequence with the gradient by
        each array whose position is in `needed` (anything at the other positions).  It must leave
        `g` and `saved` as they are.
    composite : callable
        ``composite(*arrays, **options)`` does the same with other primitives; it is used where
        the pull is itself differentiated.

    Returns
    -------
    callable
        The function of ``(*arrays, **options)``.  Arrays of several types are promoted; None may
        stand for one that is left out.  Options are not differentiated by.
    """

    @primitive
    @wraps(forward)
    def run(*args: Any, saved: dict, options: dict) -> Array:
        return forward(saved, *args, **options)

    def pullback(argnums: tuple, ans: Array, args: tuple, kwargs: dict) -> Callable:
        saved, options = kwargs["saved"], kwargs["options"]

        def pull(g: Array) -> Iterable[Array]:
            if not is_traced(g) and not any(map(is_traced, args)):
                parts = backward(saved, argnums, g, *args, **options)
                return [parts[i] for i in argnums]

            def again(chosen: list) -> Array:
                replaced = list(args)
                for i, value in zip(argnums, chosen, strict=True):
                    replaced[i] = value
                return composite(*replaced, **options)

            chosen = [args[i] for i in argnums]
            _, end, roots = record(again, chosen)
            return pull_back(g, end, roots, chosen)

        return pull

    defvjp_argnums(run, pullback)

    @wraps(composite)
    def call(*args: Any, **options: Any) -> Array:
        args = _in_common_type(*args)
        return run(*args, saved={"pull": any(map(is_traced, args))}, options=options)

    return call
