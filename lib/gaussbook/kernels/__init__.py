"""CUDA C++ kernels, one ``.cu`` file for each module that has any.

A kernel is an ``extern "C"`` function without includes, so that the file compiles by NVRTC on any
machine with CuPy.  Every kernel has a plain array implementation beside it, which is what runs
without a GPU and what the kernel is tested against.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from gaussbook.arrays import BackendError
from gaussbook.validation import check_choice

__all__ = ["COMPILE_OPTIONS", "load", "names", "source"]

COMPILE_OPTIONS = ("--std=c++17",)


@cache
def names() -> tuple[str, ...]:
    """Return the names of all kernel files, without ``.cu``."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(f.name.removesuffix(".cu") for f in files if f.name.endswith(".cu")))


def source(name: str) -> str:
    """Return the CUDA C++ source of a kernel file.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    str
        The text of ``<name>.cu``.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    check_choice("name", name, names())
    return (resources.files(__name__) / f"{name}.cu").read_text(encoding="utf-8")


@cache
def load(name: str) -> Any:
    """Compile a kernel file for the GPU at hand.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    cupy.RawModule
        The module; ``load(name).get_function(kernel)`` is one of its kernels.  Compiled once in a
        process, and kept by CuPy on disk between processes.

    Raises
    ------
    ValueError
        If there is no such file.
    BackendError
        If CuPy is not installed.
    """
    code = source(name)
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            f"the CUDA kernels of {name}.cu need CuPy, which cannot be imported ({error}); "
            "install the 'gpu' extra, or pass NumPy arrays"
        ) from error
    return cupy.RawModule(code=code, options=COMPILE_OPTIONS)
