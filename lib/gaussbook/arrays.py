"""Arrays on either device: the backend is that of the array passed in.

A library function asks its arguments for their namespace (`namespace`) and never which device it
runs on.  Only the code that *makes* the first arrays needs a default, which is chosen once by the
environment variable ``GAUSSBOOK_BACKEND`` (``auto``, ``numpy`` or ``cupy``).
"""

from __future__ import annotations

import os
import platform
from functools import cache
from types import ModuleType
from typing import Any

import array_api_compat.numpy as host_namespace
import numpy as np
from array_api_compat import array_namespace, is_cupy_array, is_numpy_array

__all__ = [
    "Array",
    "BackendError",
    "Generator",
    "backend",
    "device_name",
    "generator",
    "has_masked_values",
    "namespace",
    "to_device",
    "to_host",
]

Array = Any  # numpy.ndarray, cupy.ndarray or any array of the array API standard

_CHOICES = ("auto", "numpy", "cupy")
_HOST = {np.ndarray}


class BackendError(RuntimeError):
    """The backend that ``GAUSSBOOK_BACKEND`` asks for cannot be used."""


def namespace(*arrays: Array) -> ModuleType:
    """Return the array namespace that all arguments share.

    Parameters
    ----------
    *arrays : array
        Arrays of one kind; Python scalars and ``None`` are ignored.  Some of them may be traced
        by `gaussbook.autodiff`.

    Returns
    -------
    module
        The array-API-compatible namespace (`array_api_compat`) of the arrays, or one with
        differentiable functions if an array is traced.

    Raises
    ------
    TypeError
        If no argument is an array, or if arrays of two kinds are mixed.
    ValueError
        If a masked array hides some of its values, which no function here would leave out.
    """
    if {*map(type, arrays)} == _HOST:  # asked for so often that it pays to answer at once
        return host_namespace
    for a in arrays:
        if getattr(a, "is_traced", False):
            return a.__array_namespace__()
        if has_masked_values(a):
            raise ValueError("an array has masked values: leave them out, or fill them in")
    return array_namespace(*(a for a in arrays if a is not None))


def backend() -> ModuleType:
    """Return the default namespace, ``numpy`` or ``cupy``, for arrays made from nothing.

    Returns
    -------
    module
        ``array_api_compat.numpy`` or ``array_api_compat.cupy``.

    Raises
    ------
    BackendError
        If ``GAUSSBOOK_BACKEND`` has another value than ``auto``, ``numpy`` or ``cupy``, or is
        ``cupy`` and CuPy or a usable GPU is missing.
    """
    return _backend(os.environ.get("GAUSSBOOK_BACKEND", "auto"))


@cache
def _backend(choice: str) -> ModuleType:
    if choice not in _CHOICES:
        raise BackendError(
            f"GAUSSBOOK_BACKEND is {choice!r}; it must be one of {', '.join(_CHOICES)}"
        )
    reason = None if choice == "numpy" else _why_no_gpu()
    if choice == "cupy" and reason:
        raise BackendError(
            f"GAUSSBOOK_BACKEND is 'cupy', but {reason}. Set it to one of {', '.join(_CHOICES)} "
            "('auto' takes the GPU when there is one)"
        )
    if choice == "numpy" or reason:
        import array_api_compat.numpy as xp
    else:
        import array_api_compat.cupy as xp
    return xp


@cache
def _why_no_gpu() -> str | None:
    """Return why CuPy cannot compute here, or None if it can."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); install the 'gpu' extra"
    try:
        if cupy.cuda.runtime.getDeviceCount() == 0:
            return "no CUDA GPU is visible"
        cupy.zeros(1) + 1  # a driver too old for the runtime shows only when a kernel is launched
    except Exception as error:  # CuPy raises many kinds: all of them mean "no GPU here"
        return f"no CUDA GPU can be used ({error})"
    return None


def has_masked_values(x: Any) -> bool:
    """Return whether `x`, or an entry of the list or tuple `x`, is an array with masked values."""
    if isinstance(x, list | tuple):
        return any(map(has_masked_values, x))
    return isinstance(x, np.ma.MaskedArray) and bool(np.ma.is_masked(x))


def to_device(x: Any, dtype: Any = None) -> Array:
    """Move host data (array, list or number) to the default backend.

    Parameters
    ----------
    x : array_like
        Data on the host, or an array that is already on the default backend.
    dtype : dtype, optional
        Type of the result; that of `x` if not given.

    Returns
    -------
    array
        An array of `backend`.

    Raises
    ------
    ValueError
        If a masked array hides some of its values.
    """
    if has_masked_values(x):
        raise ValueError("x has masked values: leave them out, or fill them in")
    xp = backend()
    return xp.asarray(x, dtype=dtype)


def to_host(x: Array) -> np.ndarray:
    """Copy an array of any backend to a NumPy array (NumPy arrays are returned as they are).

    Masked values are a ``ValueError``.
    """
    if has_masked_values(x):
        raise ValueError("x has masked values: leave them out, or fill them in")
    if is_numpy_array(x):
        return x
    if is_cupy_array(x):
        return x.get()
    return np.asarray(x)


class Generator:
    """A seeded `numpy.random.Generator` whose draws land on the default backend.

    The numbers are always drawn on the host, so that a seed gives the same numbers, and a chapter
    the same verdicts, on CPU and GPU.

    Parameters
    ----------
    seed : int or numpy.random.SeedSequence
        The seed.

    Attributes
    ----------
    host : numpy.random.Generator
        The generator itself, for libraries that want one.
    """

    def __init__(self, seed: int | np.random.SeedSequence):
        if not isinstance(seed, np.random.SeedSequence) and (
            isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0
        ):
            raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
        self.host = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "host":  # asked while a copy is being unpickled
            raise AttributeError(name)
        draw = getattr(self.host, name)
        if not callable(draw):
            return draw

        def on_device(*args: Any, **kwargs: Any) -> Any:
            result = draw(*args, **kwargs)
            return to_device(result) if isinstance(result, np.ndarray) else result

        return on_device

    def spawn(self, n: int) -> list[Generator]:
        """Return `n` independent generators (one for each replication or worker)."""
        return [Generator(child) for child in self.host.bit_generator.seed_seq.spawn(n)]


def generator(seed: int) -> Generator:
    """Return a host-seeded random generator whose draws land on the default backend."""
    return Generator(seed)


def device_name(xp: ModuleType | None = None) -> str:
    """Return in words the processor that a namespace (the default one if None) computes on."""
    xp = xp or backend()
    if "cupy" in xp.__name__:
        import cupy

        return cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
    return _cpu_name()


@cache
def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = {line.split(":", 1)[1].strip() for line in lines if "model name" in line}
    except OSError:
        names = set()
    return names.pop() if len(names) == 1 else platform.processor() or platform.machine()
