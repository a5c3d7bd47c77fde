"""Derivatives of functions of parameter trees: gradients, products with Jacobians and Hessians."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from autograd.extend import Box

from gaussbook.arrays import Array, to_host
from gaussbook.autodiff.shaping import stack
from gaussbook.autodiff.spaces import into_space, reshape
from gaussbook.autodiff.spaces import sum as total
from gaussbook.autodiff.traced import TracedArray
from gaussbook.autodiff.tracing import (
    is_traced,
    plain,
    plain_namespace,
    pull_back,
    record,
    refuse_masked,
    register,
)
from gaussbook.autodiff.trees import Tree, tree_items, tree_leaves, tree_map

__all__ = [
    "grad",
    "hessian_vector_product",
    "jacobian",
    "value_and_grad",
    "vjp",
]


_USUAL = (np.dtype(np.float64), np.dtype(np.float32))


def _as_leaves(name: str, tree: Tree) -> Tree:
    """Check that all leaves are floating arrays; numbers become arrays beside them."""
    leaves = tree_leaves(tree)
    if not leaves:
        raise ValueError(f"{name} holds no arrays to differentiate by")
    if all(type(value) is np.ndarray and value.dtype in _USUAL for value in leaves):
        return tree
    xp = plain_namespace(*leaves)

    def leaf(item: tuple[str, Any]) -> Array:
        path, value = item
        where = f"{name}[{path!r}]" if path else name
        if isinstance(value, float):
            value = xp.asarray(value)
        if is_traced(value):
            return value
        if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
            value = to_host(value).view(np.ndarray)  # subclasses have other rules
        try:
            kind = array_namespace(value)
        except TypeError as error:
            raise ValueError(
                f"{where} must be an array of floating numbers, got {type(value).__name__}"
            ) from error
        if not kind.isdtype(value.dtype, "real floating"):
            raise ValueError(f"{where} must hold floating numbers, got {value.dtype}")
        if type(value) not in Box.type_mappings:
            register(type(value), TracedArray)
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
    value, end, roots = record(function, tree)
    leaves = tree_leaves(tree)
    shape = tuple(getattr(value, "shape", ()))

    def pull(g: Array) -> Tree:
        if tuple(getattr(g, "shape", ())) != shape:
            raise ValueError(f"g must have shape {shape}, got {tuple(getattr(g, 'shape', ()))}")
        refuse_masked(g)
        start = g if end is None else into_space(g, value)
        found = iter(pull_back(start, end, roots, leaves))
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
        value, end, roots = record(_with_selected(function, args, kwargs, argnum), chosen)
        if isinstance(value, tuple | list | dict) or tuple(getattr(value, "shape", ())) != ():
            raise ValueError(
                "function must return one number to have a gradient, got "
                f"{getattr(value, 'shape', type(value).__name__)}"
            )
        one = 1.0
        if end is not None:
            one = plain_namespace(value).ones_like(plain(value))
        found = iter(pull_back(one, end, roots, tree_leaves(chosen)))
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
