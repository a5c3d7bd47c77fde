"""Parameters in ``.npz`` files: arrays and their paths, nothing that could run code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gaussbook.arrays import backend, to_host
from gaussbook.autodiff import tree_items

__all__ = ["load", "save"]

_STRUCTURE = "__structure__"


def save(path: str | os.PathLike, params: Any) -> None:
    """Write a tree of arrays.

    Parameters
    ----------
    path : path
        Of the file, ending in ``.npz``.
    params : tree of arrays
        Nested dictionaries (with text keys), lists and tuples.

    Raises
    ------
    ValueError
        If the path has another ending, a key is not text or has a slash, or a leaf is no array of
        numbers.
    """
    path = _checked(path)
    structure = _structure(params)
    arrays = {}
    for name, leaf in tree_items(params):
        array = to_host(leaf) if hasattr(leaf, "shape") else None
        if array is None or array.dtype.kind not in "biufc":
            raise ValueError(f"params[{name!r}] must be an array of numbers, got {type(leaf)}")
        arrays[f"/{name}"] = array
    np.savez(
        path, **{_STRUCTURE: np.frombuffer(json.dumps(structure).encode(), np.uint8)}, **arrays
    )


def load(path: str | os.PathLike) -> Any:
    """Read a tree of arrays that `save` wrote, onto the default backend.

    Parameters
    ----------
    path : path
        Of the file, ending in ``.npz``.

    Returns
    -------
    tree of arrays
        As it was saved; other mappings have become dictionaries, and named tuples tuples.

    Raises
    ------
    ValueError
        If the file is not one that `save` wrote.
    FileNotFoundError
        If there is no file.
    """
    path = _checked(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            structure = json.loads(bytes(file[_STRUCTURE]).decode())
            return _restored(structure, "", file, backend())
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, JSON, NumPy: each has its own word for a broken file
        raise ValueError(f"path {str(path)!r} holds no saved parameters: {error}") from error


def _checked(path: str | os.PathLike) -> Path:
    try:
        path = Path(path)
    except TypeError as error:
        raise ValueError(f"path must be a path, got {type(path).__name__}") from error
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {str(path)!r}")
    return path


def _structure(tree: Any) -> Any:
    """Return the tree as JSON, with null for every array."""
    if isinstance(tree, Mapping):
        for key in tree:
            if not isinstance(key, str) or "/" in key:
                raise ValueError(f"params has the key {key!r}, which must be text without a slash")
        return {"dict": {key: _structure(child) for key, child in tree.items()}}
    if isinstance(tree, list | tuple):
        return {"list" if isinstance(tree, list) else "tuple": [_structure(c) for c in tree]}
    return None


def _restored(structure: Any, path: str, file: Any, xp: Any) -> Any:
    if structure is None:
        return xp.asarray(file[path or "/"])
    ((kind, children),) = structure.items()
    if kind == "dict":
        return {k: _restored(child, f"{path}/{k}", file, xp) for k, child in children.items()}
    parts = [_restored(child, f"{path}/{i}", file, xp) for i, child in enumerate(children)]
    return parts if kind == "list" else tuple(parts)
