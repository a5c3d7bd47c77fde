"""Reverse-mode differentiation of functions of parameter trees, on HIPS autograd's engine.

The engine (Maclaurin, Duvenaud and Adams, 2015) records every `primitive` that meets a traced
array and keeps, for each, the function that pulls a gradient back through it.  Those functions are
themselves made of primitives, so gradients can be differentiated again.  Nothing here depends on
the kind of array: a type is registered when it is first seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import array_api_compat.numpy as host
import numpy as np
from array_api_compat import array_namespace
from autograd.core import VJPNode, toposort
from autograd.extend import Box, VSpace, defvjp, defvjp_argnums, primitive
from autograd.tracer import getval, isbox, new_box, trace_stack

from gaussbook.arrays import Array
from gaussbook.autodiff.trees import Tree, tree_items, tree_leaves, tree_map

__all__ = [
    "SliceGradient",
    "TracedArray",
    "defvjp",
    "defvjp_argnums",
    "fused",
    "grad",
    "hessian_vector_product",
    "is_traced",
    "jacobian",
    "jvp",
    "plain",
    "plain_namespace",
    "primitive",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

_NAMESPACES: dict[type, Any] = {}
_NUMBERS = (bool, int, float, complex, type(None))
is_traced = isbox


def plain_namespace(*values: Any) -> Any:
    """Return the namespace of the first argument that is an array, traced or not (else NumPy)."""
    for value in values:
        kind = type(value)
        found = _NAMESPACES.get(kind)
        if found is not None:
            return found
        if isbox(value):
            return plain_namespace(getval(value))
        if kind not in _NUMBERS and not isinstance(value, np.generic):
            try:
                _NAMESPACES[kind] = found = array_namespace(value)
            except TypeError:
                continue
            return found
    return host


def plain(x: Any) -> Any:
    """Return the plain array inside a traced one, through all levels of tracing."""
    return getval(x)


class ArraySpace(VSpace):
    """The zero of the vector space that an array lives in, for the engine."""

    def __init__(self, value: Array):
        self.value = value

    def zeros(self) -> Array:
        return plain_namespace(self.value).zeros_like(self.value)


class TracedArray(Box):
    """An array whose operations are being recorded; `gaussbook.autodiff` defines its operators."""

    __slots__ = ()
    is_traced = True  # for `gaussbook.arrays.namespace`, which must not import this package
    __array_ufunc__ = None  # NumPy arrays then leave mixed arithmetic to this class

    def __array__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(
            "a traced array cannot become a NumPy array: use the functions of gaussbook.autodiff, "
            "or stop_gradient where no gradient is wanted"
        )

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        from gaussbook.autodiff.names import traced_namespace

        return traced_namespace(plain_namespace(self))

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        return len(self._value)

    def __float__(self) -> float:
        raise TypeError("a traced array has no float: use stop_gradient to look at its value")

    __int__ = __index__ = __float__

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._value.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._value.size

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self._value.dtype

    @property
    def device(self) -> Any:
        """Where the values are."""
        return self._value.device


def _register(kind: type) -> None:
    """Let the engine trace arrays of this type."""
    TracedArray.register(kind)
    if kind not in VSpace.mappings:
        ArraySpace.register(kind)


for _kind in (np.ndarray, np.float32, np.float64):
    _register(_kind)


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
            # In the gradient's type, which may differ from the array's where types are mixed.
            total = plain_namespace(self.values).zeros(self.like.shape, dtype=self.values.dtype)
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
    if ours and value.dtype == new.dtype:
        value += new
        return value, True
    return value + new, True


def _trace(function: Callable, tree: Tree) -> tuple[Any, Any, list[VJPNode]]:
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


def _pull(g: Array, end: VJPNode | None, roots: list[VJPNode], leaves: list[Array]) -> list[Array]:
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


def _as_leaves(name: str, tree: Tree) -> Tree:
    """Check that all leaves are floating arrays; numbers become arrays beside them."""
    leaves = tree_leaves(tree)
    if not leaves:
        raise ValueError(f"{name} holds no arrays to differentiate by")
    xp = plain_namespace(*leaves)

    def leaf(item: tuple[str, Any]) -> Array:
        path, value = item
        where = f"{name}[{path!r}]" if path else name
        if isinstance(value, float):
            value = xp.asarray(value)
        if isbox(value):
            return value
        try:
            kind = array_namespace(value)
        except TypeError as error:
            raise ValueError(
                f"{where} must be an array of floating numbers, got {type(value).__name__}"
            ) from error
        if not kind.isdtype(value.dtype, "real floating"):
            raise ValueError(f"{where} must hold floating numbers, got {value.dtype}")
        if type(value) not in Box.type_mappings:
            _register(type(value))
        return value

    items = iter(tree_items(tree))
    return tree_map(lambda _: leaf(next(items)), tree)


def _selected(args: tuple, argnum: int | tuple[int, ...]) -> Tree:
    numbers = (argnum,) if isinstance(argnum, int) else tuple(argnum)
    if any(not -len(args) <= i < len(args) for i in numbers):
        raise ValueError(f"argnum is {argnum}, but there are {len(args)} positional arguments")
    chosen = tuple(_as_leaves(f"argument {i}", args[i]) for i in numbers)
    return chosen[0] if isinstance(argnum, int) else chosen


def _with_selected(function: Callable, args: tuple, kwargs: dict, argnum: int | tuple) -> Callable:
    def call(chosen: Tree) -> Any:
        replaced = list(args)
        numbers = (argnum,) if isinstance(argnum, int) else argnum
        for i, value in zip(numbers, (chosen,) if isinstance(argnum, int) else chosen, strict=True):
            replaced[i] = value
        return function(*replaced, **kwargs)

    return call


def vjp(function: Callable, tree: Tree) -> tuple[Any, Callable[[Array], Tree]]:
    r"""Return the value of a function and the map that pulls its gradients back to its argument.

    Parameters
    ----------
    function : callable
        Takes the tree, returns one array.
    tree : tree
        Arrays of floating numbers, nested in dictionaries, lists and tuples.

    Returns
    -------
    value : array
        ``function(tree)``.
    pull : callable
        Maps an array g of the value's shape to the tree of :math:`J^\top g`.

    Raises
    ------
    ValueError
        If a leaf is not an array of floating numbers, or g has another shape than the value.
    """
    tree = _as_leaves("tree", tree)
    value, end, roots = _trace(function, tree)
    leaves = tree_leaves(tree)
    shape = tuple(getattr(value, "shape", ()))

    def pull(g: Array) -> Tree:
        if tuple(getattr(g, "shape", ())) != shape:
            raise ValueError(f"g must have shape {shape}, got {tuple(getattr(g, 'shape', ()))}")
        found = iter(_pull(g, end, roots, leaves))
        return tree_map(lambda _: next(found), tree)

    return value, pull


def value_and_grad(function: Callable, argnum: int | tuple[int, ...] = 0) -> Callable:
    """Return a function that gives the value of a scalar function and its gradient.

    Parameters
    ----------
    function : callable
        Returns one number (a zero-dimensional array).
    argnum : int or tuple of int
        The positional argument to differentiate by: an array or a tree of arrays.  A tuple of
        positions gives a tuple of gradients.

    Returns
    -------
    callable
        Takes the arguments of `function` and returns ``(value, gradient)``; the gradient has the
        structure, shapes and types of the argument, zeros where the value does not depend on it.

    Raises
    ------
    ValueError
        When called: if the value is not a single number, or a leaf is not a floating array.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussbook import autodiff as ad
    >>> value, gradient = ad.value_and_grad(lambda p: ad.sum(p["w"] ** 2))({"w": np.ones(2)})
    >>> gradient
    {'w': array([2., 2.])}
    """

    @wraps(function)
    def evaluate(*args: Any, **kwargs: Any) -> tuple[Array, Tree]:
        chosen = _selected(args, argnum)
        value, end, roots = _trace(_with_selected(function, args, kwargs, argnum), chosen)
        if isinstance(value, tuple | list | dict) or tuple(getattr(value, "shape", ())) != ():
            raise ValueError(
                "function must return one number to have a gradient, got "
                f"{getattr(value, 'shape', type(value).__name__)}"
            )
        one = 1.0
        if end is not None:
            one = plain_namespace(value).ones_like(plain(value))
        found = iter(_pull(one, end, roots, tree_leaves(chosen)))
        return value, tree_map(lambda _: next(found), chosen)

    return evaluate


def grad(function: Callable, argnum: int | tuple[int, ...] = 0) -> Callable:
    """Return the gradient of a scalar function, as `value_and_grad` without the value."""
    evaluate = value_and_grad(function, argnum)

    @wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Tree:
        return evaluate(*args, **kwargs)[1]

    return gradient


def jacobian(function: Callable, argnum: int = 0) -> Callable:
    """Return a function that gives all derivatives of an array by one array or tree of arrays.

    Parameters
    ----------
    function : callable
        Returns one array, of shape S.
    argnum : int
        The positional argument to differentiate by.

    Returns
    -------
    callable
        Takes the arguments of `function`; every leaf of shape D becomes an array of shape S + D.
        One pull per element of the value.
    """

    @wraps(function)
    def evaluate(*args: Any, **kwargs: Any) -> Tree:
        from gaussbook.autodiff.shaping import reshape, stack

        chosen = _selected(args, argnum)
        value, pull = vjp(_with_selected(function, args, kwargs, argnum), chosen)
        xp = plain_namespace(value)
        shape = tuple(value.shape)
        basis = xp.eye(max(1, plain(value).size), dtype=value.dtype)
        rows = [pull(xp.reshape(basis[i, :], shape)) for i in range(basis.shape[0])]
        return tree_map(lambda *parts: reshape(stack(parts), shape + tuple(parts[0].shape)), *rows)

    return evaluate


def _along(tree: Tree, direction: Tree) -> list[Array]:
    """Return the leaves of a direction in the order of the tree's, of the same shapes."""

    def check(leaf: Array, step: Array) -> Array:
        shape = tuple(getattr(step, "shape", ()))
        if shape != tuple(leaf.shape):
            raise ValueError(f"direction must have shape {tuple(leaf.shape)}, got {shape}")
        return step

    try:
        return tree_leaves(tree_map(check, tree, direction))
    except ValueError as error:
        if str(error).startswith("direction"):
            raise
        raise ValueError(
            f"direction does not have the structure of the argument: {error}"
        ) from error


def jvp(function: Callable, tree: Tree, direction: Tree) -> tuple[Array, Array]:
    r"""Return a function's value and its derivative :math:`J v` along a direction of its argument.

    The pull :math:`g\mapsto J^\top g` is linear, so that pulling back through it gives :math:`J v`.

    Parameters
    ----------
    function : callable
        Takes the tree, returns one array.
    tree, direction : tree
        The argument and v, of one structure and the same shapes.

    Returns
    -------
    value, derivative : array
        ``function(tree)`` and J v, of one shape.

    Raises
    ------
    ValueError
        If a leaf is not an array of floating numbers, or structures or shapes differ.
    """
    tree = _as_leaves("tree", tree)
    leaves, steps = tree_leaves(tree), _along(tree, direction)
    value, end, roots = _trace(function, tree)
    if end is None:
        return value, plain_namespace(value).zeros_like(plain(value))

    from gaussbook.autodiff.shaping import sum as total

    def along(g: Array) -> Array:
        parts = _pull(g, end, roots, leaves)
        products = [total(p * v) for p, v in zip(parts, steps, strict=True)]
        result = products[0]
        for product in products[1:]:
            result = result + product
        return result

    return value, grad(along)(plain_namespace(value).zeros_like(plain(value)))


def hessian_vector_product(function: Callable, argnum: int = 0) -> Callable:
    """Return a function that multiplies the Hessian of a scalar function with a direction.

    Parameters
    ----------
    function : callable
        Returns one number.
    argnum : int
        The positional argument to differentiate by.

    Returns
    -------
    callable
        Takes the arguments of `function` and then the direction (of the structure of the
        argument); returns Hessian times direction, at the cost of a few gradients.

    Raises
    ------
    ValueError
        When called: as `value_and_grad`, or if the direction has other shapes than the argument.
    """
    gradient = grad(function, argnum)

    @wraps(function)
    def product(*args: Any, **kwargs: Any) -> Tree:
        from gaussbook.autodiff.shaping import sum as total

        *args, direction = args
        _along(_selected(args, argnum), direction)

        def slope(*inner: Any) -> Array:
            parts = tree_map(lambda g, v: total(g * v), gradient(*inner, **kwargs), direction)
            first, *others = tree_leaves(parts)
            for part in others:
                first = first + part
            return first

        return grad(slope, argnum)(*args)

    return product


def stop_gradient(x: Tree) -> Tree:
    """Return the plain arrays of a traced array or tree: constants for every derivative."""
    return tree_map(plain, x)


def fused(forward: Callable, backward: Callable, composite: Callable) -> Callable:
    """Make one primitive of a chain of operations, with a hand-written pull.

    Parameters
    ----------
    forward : callable
        ``forward(saved, *arrays, **options)`` computes the result of plain arrays and may leave
        in the dictionary `saved` what the pull needs.
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
        The function of ``(*arrays, **options)``.
    """

    @primitive
    def run(*args: Any, saved: dict, options: dict) -> Array:
        return forward(saved, *args, **options)

    def pullback(argnums: tuple, ans: Array, args: tuple, kwargs: dict) -> Callable:
        saved, options = kwargs["saved"], kwargs["options"]

        def pull(g: Array) -> Iterable[Array]:
            if not isbox(g) and not any(map(isbox, args)):
                parts = backward(saved, argnums, g, *args, **options)
                return [parts[i] for i in argnums]

            def again(chosen: list) -> Array:
                replaced = list(args)
                for i, value in zip(argnums, chosen, strict=True):
                    replaced[i] = value
                return composite(*replaced, **options)

            return vjp(again, [args[i] for i in argnums])[1](g)

        return pull

    defvjp_argnums(run, pullback)

    @wraps(composite)
    def call(*args: Any, **options: Any) -> Array:
        return run(*args, saved={}, options=options)

    return call
