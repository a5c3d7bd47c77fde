"""Results on disk: plain data and arrays in one file each, named by what they are the results of.

Nothing is ever pickled: a record is JSON text, or an ``.npz`` file of arrays and such a text.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import json
import math
import os
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaussbook.arrays import namespace, to_host

__all__ = ["digest", "fingerprint", "read_record", "write_record"]

_PLAIN = (type(None), bool, int, float, str)


def digest(name: str, value: Any) -> str:
    """Return a SHA-256 digest of plain data and arrays, equal for equal values on any machine.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    value : object
        Numbers, strings, None, arrays, and lists, tuples and dictionaries of them.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ValueError
        If there is something else in `value`.
    """
    arrays: list[np.ndarray] = []
    try:
        text = json.dumps(_encode(value, arrays), sort_keys=True)
    except ValueError as error:
        raise ValueError(f"{name} cannot be recorded: {error}") from error
    sha = hashlib.sha256(text.encode())
    for array in arrays:
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def write_record(stem: Path, configuration: Any, result: Any) -> Any:
    """Write a result and return it as `read_record` will.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    stem : Path
        The file's path without its ending.
    configuration, result : object
        Plain data and arrays, as for `digest`; the configuration is for the reader of the file.

    Returns
    -------
    object
        The result; device arrays have become NumPy arrays.

    Raises
    ------
    ValueError
        If there is something else in `result`.
    """
    arrays: list[np.ndarray] = []
    content = {"configuration": _encode(configuration, arrays), "result": _encode(result, arrays)}
    text = json.dumps(content, indent=1)
    partial = stem.with_name(f".{stem.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            if arrays:
                named = {f"array_{k}": array for k, array in enumerate(arrays)}
                np.savez(file, text=np.asarray(text), **named)
            else:
                file.write(text.encode())
        written, other = _paths(stem) if arrays else _paths(stem)[::-1]
        os.replace(partial, written)
        other.unlink(missing_ok=True)  # a damaged record of the other kind would be read first
    finally:
        partial.unlink(missing_ok=True)
    return _decode(content["result"], arrays)


def read_record(stem: Path) -> Any:
    """Read a result that `write_record` has written.

    Parameters
    ----------
    stem : Path
        The file's path without its ending.

    Returns
    -------
    object
        The result.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is damaged.
    """
    arrays_path, text_path = _paths(stem)
    path = arrays_path if arrays_path.exists() else text_path
    try:
        if path.suffix == ".json":
            return _decode(json.loads(path.read_text())["result"], [])
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_size(archive, member)
        with np.load(path, allow_pickle=False) as file:
            content = json.loads(str(file["text"]))
            arrays = [file[f"array_{k}"] for k in range(len(file.files) - 1)]
        return _decode(content["result"], arrays)
    except FileNotFoundError:
        raise
    except Exception as error:  # zlib, zipfile, NumPy and JSON each have many of their own
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def _check_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse an array whose header asks for more memory than its file can fill."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed, which no record is")
    with archive.open(member) as file:
        first = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} is shorter than its header says")


def _paths(stem: Path) -> tuple[Path, Path]:
    """Return where a record lies, with arrays and without; the stem may hold dots."""
    return stem.with_name(f"{stem.name}.npz"), stem.with_name(f"{stem.name}.json")


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return JSON data which stands for `value`; arrays are appended to `arrays`."""
    if type(value) in _PLAIN:
        return value
    if type(value) is list:
        return [_encode(v, arrays) for v in value]
    if type(value) is tuple:
        return {"tuple": [_encode(v, arrays) for v in value]}
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            raise ValueError(f"a dictionary's keys must be strings, got {list(value)!r}")
        return {"dict": {key: _encode(v, arrays) for key, v in value.items()}}
    try:
        kind = "scalar" if isinstance(value, np.generic) else "array"
        array = np.asarray(value) if kind == "scalar" else to_host(_array(value))
    except TypeError:
        raise ValueError(f"{type(value).__name__} is neither plain data nor an array") from None
    if array.dtype.kind not in "biufcSU":
        raise ValueError(f"arrays of {array.dtype} are not plain data")
    arrays.append(array)
    return {kind: len(arrays) - 1}


def _array(value: Any) -> Any:
    namespace(value)  # a TypeError for everything but arrays
    return value


def _decode(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decode(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: _decode(v, arrays) for key, v in content.items()}
    if kind == "tuple":
        return tuple(_decode(v, arrays) for v in content)
    return arrays[content][()] if kind == "scalar" else arrays[content]


def fingerprint(function: Callable[..., Any]) -> list[Any]:
    """Return plain data which changes when a function does.

    It holds the function's name and source, the plain data among its defaults, closure and
    globals, and the same of the functions of its module that it uses; everything else that it uses
    goes by name.

    Parameters
    ----------
    function : callable
        A function written in Python, or a `functools.partial` of one.

    Returns
    -------
    list
        The data, for `digest`.

    Raises
    ------
    ValueError
        If the source is not to be found, or the function uses an object that is not plain data.
    """
    return _fingerprint(function, set())


def _fingerprint(function: Any, seen: set[int]) -> list[Any]:
    if isinstance(function, functools.partial):
        module = getattr(function.func, "__module__", None)
        bound = [_describe("its arguments", v, module, seen) for v in function.args]
        named = {k: _describe(k, v, module, seen) for k, v in function.keywords.items()}
        return ["partial", _fingerprint(function.func, seen), bound, named]
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType):
        raise ValueError(
            f"function must be a Python function or a partial of one, for its results to be "
            f"stored; got {function!r}"
        )
    name = f"{function.__module__}.{function.__qualname__}"
    if id(function) in seen:  # recursion
        return [name]
    seen.add(id(function))
    used = {}
    if function.__closure__:
        for free, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
            used[free] = cell.cell_contents
    for loaded in set(_globals_of(function.__code__)):
        if loaded in function.__globals__:  # otherwise a builtin
            used[loaded] = function.__globals__[loaded]
    # with a space, so that they are the names of no globals
    defaults = {
        "positional defaults": function.__defaults__,
        "keyword defaults": function.__kwdefaults__,
    }
    values = sorted((used | defaults).items())
    module = function.__module__
    return [name, _source(function), {k: _describe(k, v, module, seen) for k, v in values}]


def _globals_of(code: types.CodeType) -> Iterator[str]:
    """Yield the names of the globals that a function loads, those of inner functions included."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)


def _describe(name: str, value: Any, module: str | None, seen: set[int]) -> Any:
    """Return plain data for something that a function uses."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    own = getattr(value, "__module__", None) == module
    plain = inspect.unwrap(value) if callable(value) else value  # a cached function, for example
    if isinstance(plain, functools.partial) or (isinstance(plain, types.FunctionType) and own):
        return _fingerprint(plain, seen)
    if isinstance(plain, type) and own:
        return _source(plain)
    bound_to = getattr(plain, "__self__", None)  # a method's object may hold anything
    named = isinstance(plain, types.FunctionType | types.BuiltinFunctionType | type | np.ufunc)
    if named and (bound_to is None or isinstance(bound_to, types.ModuleType)):
        return f"{getattr(plain, '__module__', None)}.{plain.__name__}"
    try:
        _encode(value, [])
    except ValueError as error:
        raise ValueError(
            f"function uses {name!r}, which the store cannot record ({error}): pass what it holds "
            "in the configurations"
        ) from error
    return value


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"function uses {thing.__qualname__!r}, whose source is not to be found ({error})"
        ) from error
