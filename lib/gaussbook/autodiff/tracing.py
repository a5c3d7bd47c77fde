"""What happens to traced arrays: recording operations, and pulling gradients back through them.

The recording is HIPS autograd's (Maclaurin, Duvenaud and Adams, 2015): it notes every `primitive`
that meets a traced array and keeps, for each, the function that pulls a gradient back through it.
Those functions are themselves made of primitives, so gradients can be differentiated again.
Nothing here depends on the kind of array, nor on any operation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import array_api_compat.numpy as host
import numpy as np
from array_api_compat import array_namespace
from autograd.core import VJPNode, VSpace, toposort
from autograd.extend import Box
from autograd.tracer import getval, isbox, new_box, trace_stack

from gaussbook.arrays import Array, has_masked_values
from gaussbook.autodiff.trees import Tree, tree_map

__all__ = [
    "SliceGradient",
    "as_array",
    "as_floating",
    "is_floating",
    "is_traced",
    "plain",
    "plain_namespace",
    "primitive",
    "pull_back",
    "record",
    "refuse_masked",
    "register",
    "same_type",
    "stop_gradient",
]

_NAMESPACES: dict[type, Any] = {}
_FLOATING: dict[tuple, bool] = {}
_MAY_HIDE = (np.ma.MaskedArray, list, tuple)
_NUMBERS = (bool, int, float, complex, type(None))
is_traced = isbox


def primitive(function: Callable) -> Callable:
    """Make an operation that is recorded where it meets a traced array.

    It does what autograd's own does, for reverse mode only, in half the time: operations on small
    arrays take little longer than their recording.

    Parameters
    ----------
    function : callable
        Computes the operation on plain arrays.  Keyword arguments are not differentiated by.

    Returns
    -------
    callable
        The same for plain and traced arrays; its pulls are given by `defvjp`.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        trace = -1
        for i, value in enumerate(args):
            if isbox(value) and value._trace >= trace:
                if value._trace > trace:
                    trace, argnums = value._trace, []  # only the innermost level is recorded here
                argnums.append(i)
        if trace < 0:
            return function(*args, **kwargs)
        inner, parents = list(args), []
        for i in argnums:
            inner[i], node = args[i]._value, args[i]._node
            parents.append(node)
        inner = tuple(inner)
        ans = run(*inner, **kwargs)
        return new_box(ans, trace, VJPNode(ans, run, inner, kwargs, tuple(argnums), tuple(parents)))

    return run


def plain_namespace(*values: Any) -> Any:
    """Return the namespace of the first argument that is an array, traced or not (else NumPy)."""
    for value in values:
        kind = type(value)
        found = _NAMESPACES.get(kind)
        if found is not None:
            return found
        if isbox(value):
            return plain_namespace(getval(value))
        refuse_masked(value)
        if kind not in _NUMBERS and not isinstance(value, np.generic | np.ma.MaskedArray):
            try:
                _NAMESPACES[kind] = found = array_namespace(value)
            except TypeError:
                continue
            return found
    return host


def plain(x: Any) -> Any:
    """Return the plain array inside a traced one, through all levels of tracing."""
    return getval(x)


def stop_gradient(x: Tree) -> Tree:
    """Return the plain arrays of a traced array or tree: constants for every derivative."""
    return tree_map(plain, x)


def as_array(x: Any) -> Array:
    """Return arrays as they are, and make NumPy arrays of numbers and lists.

    Raises
    ------
    ValueError
        If an array has masked values.
    """
    if isinstance(x, _MAY_HIDE):
        refuse_masked(x)
    return x if hasattr(x, "dtype") else host.asarray(x)


def refuse_masked(*values: Any) -> None:
    """Raise ``ValueError`` if an array, or one in a list, has masked values."""
    for value in values:
        if isinstance(value, _MAY_HIDE) and has_masked_values(value):
            raise ValueError("an array has masked values: leave them out, or fill them in")


def is_floating(x: Array) -> bool:
    """Say whether an array holds real floating numbers."""
    key = type(x.dtype), x.dtype  # types of different libraries are not to be compared
    found = _FLOATING.get(key)
    if found is None:
        found = _FLOATING[key] = plain_namespace(x).isdtype(x.dtype, "real floating")
    return found


def same_type(x: Array, y: Array) -> bool:
    """Say whether two arrays hold numbers of one type."""
    a, b = x.dtype, y.dtype
    return a is b or a == b  # most types are one object each, which saves the comparison


def as_floating(x: Any) -> Array:
    """Return an array of real floating numbers: whole numbers and booleans in double precision.

    Raises
    ------
    ValueError
        If the array holds anything else.
    """
    x = as_array(x)
    if is_floating(x):
        return x
    xp = plain_namespace(x)
    if not xp.isdtype(x.dtype, ("bool", "integral")):
        raise ValueError(f"x must hold real numbers, got {x.dtype}")
    return xp.astype(x, xp.float64)


class ArraySpace(VSpace):
    """The zero of the vector space that an array lives in, for the engine."""

    def __init__(self, value: Array):
        self.value = value

    def zeros(self) -> Array:
        return plain_namespace(self.value).zeros_like(self.value)


def register(kind: type, box: type[Box]) -> None:
    """Let arrays of this type be traced by boxes of that one."""
    box.register(kind)
    if kind not in VSpace.mappings:
        ArraySpace.register(kind)


class SliceGradient:
    """A gradient that is zero outside one basic index: added in place, never filled with zeros.

    Without it, the gradient of a loop over the T slices of an array would cost T times its size.
    """

    __slots__ = ("index", "like", "values")

    def __init__(self, like: Array, index: Any, values: Array):
        self.like, self.index, self.values = like, index, values

    def add_to(self, total: Array | None) -> Array:
        """Add to a sum in place, or begin one."""
        if total is None:
            total = plain_namespace(self.like).zeros_like(self.like)
        total[self.index] += self.values
        return total


def _accumulate(total: tuple[Array, bool] | None, new: Any) -> tuple[Array, bool]:
    """Add a gradient to what has arrived; the flag says that the sum is ours to overwrite."""
    if type(new) is SliceGradient:
        if total is None or total[1]:
            return new.add_to(total and total[0]), True
        new = new.add_to(None)
        if isbox(total[0]):
            return total[0] + new, False
        new += total[0]
        return new, True
    if total is None:
        return new, False
    value, ours = total
    if isbox(value) or isbox(new):
        return value + new, False
    if ours:
        value += new
        return value, True
    return value + new, True


def record(function: Callable, tree: Tree) -> tuple[Any, Any, list[VJPNode]]:
    """Run a function on a tree of traced leaves; return value, end node (or None) and roots."""
    roots = []
    with trace_stack.new_trace() as trace:

        def begin(leaf: Array) -> Box:
            roots.append(VJPNode.new_root())
            return new_box(leaf, trace, roots[-1])

        end = function(tree_map(begin, tree))
        if isbox(end) and end._trace == trace:
            return end._value, end._node, roots
    return end, None, roots


def pull_back(
    g: Array, end: VJPNode | None, roots: list[VJPNode], leaves: list[Array]
) -> list[Array]:
    """Carry the gradient `g` of the end back to every root."""
    arrived: dict[VJPNode, tuple[Array, bool]] = {}
    wanted = dict.fromkeys(roots)
    if end is not None:
        arrived[end] = (g, False)
        for node in toposort(end):
            total = arrived.pop(node)[0]
            if node in wanted:
                wanted[node] = total
                continue
            for parent, part in zip(node.parents, node.vjp(total), strict=True):
                arrived[parent] = _accumulate(arrived.get(parent), part)
    return [
        plain_namespace(leaf).zeros_like(plain(leaf)) if wanted[root] is None else wanted[root]
        for root, leaf in zip(roots, leaves, strict=True)
    ]
