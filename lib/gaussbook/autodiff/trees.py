"""Parameter trees: nested dictionaries, lists and tuples whose leaves are arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gaussbook.arrays import Array, namespace

__all__ = ["ravel_tree", "tree_items", "tree_leaves", "tree_map"]

Tree = Any  # dict[str, Tree] | list[Tree] | tuple[Tree, ...] | Array


def _is_mapping(tree: Tree) -> bool:
    """Say whether a tree is a dictionary or the like; what most trees are made of comes first."""
    kind = type(tree)
    return kind is dict or (kind is not np.ndarray and isinstance(tree, Mapping))


def _children(tree: Tree) -> list[tuple[str, Tree]] | None:
    if _is_mapping(tree):
        return [(str(key), tree[key]) for key in tree]
    if isinstance(tree, list | tuple):
        return [(str(i), child) for i, child in enumerate(tree)]
    return None


def tree_items(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over ``(path, leaf)``, e.g. ``("blocks/0/weight", array)``, in the tree's order.

    Parameters
    ----------
    tree : tree
        Nested dictionaries, lists and tuples; everything else is a leaf.
    prefix : str
        Put before every path.

    Yields
    ------
    path : str
        The keys and positions that lead to the leaf, joined by slashes.
    leaf : object
        What stands there.
    """
    children = _children(tree)
    if children is None:
        yield prefix, tree
        return
    for key, child in children:
        yield from tree_items(child, f"{prefix}/{key}" if prefix else key)


def tree_leaves(tree: Tree) -> list[Any]:
    """Return the leaves of a tree in its order."""
    leaves: list[Any] = []
    _collect(tree, leaves)
    return leaves


def _collect(tree: Tree, leaves: list[Any]) -> None:
    """Append the leaves of a tree, without their paths."""
    if type(tree) is np.ndarray:  # most leaves
        leaves.append(tree)
    elif _is_mapping(tree):
        for key in tree:
            _collect(tree[key], leaves)
    elif isinstance(tree, list | tuple):
        for child in tree:
            _collect(child, leaves)
    else:
        leaves.append(tree)


def tree_map(function: Callable, tree: Tree, *others: Tree) -> Tree:
    """Apply a function to the leaves of one tree, or to those of several trees of one structure.

    Parameters
    ----------
    function : callable
        Takes one leaf of each tree.
    tree, *others : tree
        Trees of the same structure.

    Returns
    -------
    tree
        The results, in the structure of `tree`.

    Raises
    ------
    ValueError
        If the structures differ.
    """
    if not others:
        return _map_one(function, tree)
    children = _children(tree)
    if children is None:
        if any(_children(other) is not None for other in others):
            raise ValueError("others must have the structure of tree: a leaf faces a branch")
        return function(tree, *others)
    for other in others:
        keys = [key for key, _ in _children(other) or []]
        if type(other) is not type(tree) or sorted(keys) != sorted(key for key, _ in children):
            raise ValueError(
                f"others must have the structure of tree: {type(tree).__name__} with "
                f"{[key for key, _ in children]} faces {type(other).__name__} with {keys}"
            )
    if _is_mapping(tree):
        return {
            key: tree_map(function, tree[key], *(other[key] for other in others)) for key in tree
        }
    return _like(tree, [tree_map(function, *parts) for parts in zip(tree, *others, strict=True)])


def _map_one(function: Callable, tree: Tree) -> Tree:
    """Apply a function to the leaves of one tree, which needs no comparison."""
    if type(tree) is np.ndarray:  # most leaves
        return function(tree)
    if _is_mapping(tree):
        return {key: _map_one(function, tree[key]) for key in tree}
    if isinstance(tree, list | tuple):
        return _like(tree, [_map_one(function, child) for child in tree])
    return function(tree)


def _like(branch: list | tuple, children: list) -> Tree:
    """Return a list, tuple or named tuple of other children."""
    return type(branch)(*children) if hasattr(branch, "_fields") else type(branch)(children)


def ravel_tree(tree: Tree) -> tuple[Array, Callable[[Array], Tree]]:
    """Return all leaves end to end in one vector, and the function that undoes this.

    Parameters
    ----------
    tree : tree
        Arrays of one backend.  Their types are promoted to the vector's.

    Returns
    -------
    vector : array, shape (n,)
        The leaves, each in C order.
    unravel : callable
        Takes a vector of this length and returns a tree of the same structure, whose floating
        arrays have their types again.

    Raises
    ------
    ValueError
        If the tree has no leaves, or the vector given to `unravel` has another length.
    """
    leaves = tree_leaves(tree)
    if not leaves:
        raise ValueError("tree has no leaves")
    xp = namespace(*leaves)
    vector = xp.concat([xp.reshape(leaf, (-1,)) for leaf in leaves])
    length = vector.shape[0]

    def unravel(values: Array) -> Tree:
        if tuple(values.shape) != (length,):
            raise ValueError(f"values must have shape ({length},), got {tuple(values.shape)}")
        start, xp_of_values = 0, namespace(values)

        def cut(leaf: Array) -> Array:
            nonlocal start
            part = values[start : start + leaf.size]
            start += leaf.size
            part = xp_of_values.reshape(part, tuple(leaf.shape))
            back = part.dtype != leaf.dtype and xp.isdtype(leaf.dtype, "real floating")
            return xp_of_values.astype(part, leaf.dtype) if back else part

        return tree_map(cut, tree)

    return vector, unravel
