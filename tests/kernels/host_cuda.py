"""Compile CUDA kernels as C++ and run them on the host, thread by thread.

`HostModule` stands in for `cupy.RawModule`: the same source text, launched with the same grid,
block and arguments, on NumPy arrays.  `cuda_shim.h` supplies the CUDA built-ins.

A new file ``kernels/<name>.cu`` needs ``test_<name>_kernels.py`` here, which takes the fixture
`host_module`, launches every kernel by ``host_module("<name>").launch(...)``, with
``reverse=False`` and ``True``, and compares the results with the array path.
"""

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COMPILER = os.environ.get("CXX", "g++")
# No fused multiply-adds that the array path does not have; no errno in the way of vectorising.
FLAGS = ["-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno"]
# -D_FORTIFY_SOURCE, on by default in some systems, takes a change of stacks for an attack.
FLAGS += ["-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas", "-Wno-subobject-linkage", "-x", "c++"]

KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\s*\('
)
DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+(.+?)\s*\b(\w+)\s*\[\s*\]\s*;")
STATIC_SHARED = re.compile(r"__shared__\s+([^;=,]+?)\b(\w+)\s*((?:\[[^\]]*\]\s*)*);")

LAUNCHER = """
extern "C" const char* launch_{name}(const unsigned* grid, const unsigned* block, size_t shared,
                                     int reverse, void** arguments, const size_t* sizes,
                                     size_t count) {{
    static std::string message;
    try {{
        cuda_shim::launch(::{name}, grid, block, shared, reverse, arguments, sizes, count);
    }} catch (const std::exception& error) {{
        message = error.what();
        return message.c_str();
    }}
    return nullptr;
}}
"""


def host_source(code: str) -> tuple[str, list[str]]:
    """Return C++ for the host, and the names of the kernels in it."""
    # Macros may make kernels: expand them (and only them) before looking.
    expanded = subprocess.run(
        [COMPILER, "-E", "-x", "c++", "-"], input=code, capture_output=True, text=True, check=True
    ).stdout
    names = KERNEL.findall(expanded)
    expanded = DYNAMIC_SHARED.sub(r"\1* \2 = cuda_shim::dynamic_shared_memory<\1>();", expanded)
    expanded = STATIC_SHARED.sub(r"static \1 \2\3; cuda_shim::fresh(\2);", expanded)
    if "__shared__" in expanded:
        raise ValueError("one variable for each __shared__ declaration, and no initialiser, please")
    launchers = "".join(LAUNCHER.format(name=name) for name in names)
    return f'#include "cuda_shim.h"\n{expanded}\n{launchers}', names


class HostModule:
    """The kernels of one CUDA C++ source, compiled for the host.

    Parameters
    ----------
    code : str
        The source, as NVRTC would get it.
    """

    def __init__(self, code: str):
        text, self.names = host_source(code)
        self._folder = tempfile.TemporaryDirectory(prefix="host_cuda_")
        stem = hashlib.sha256(text.encode()).hexdigest()[:16]
        library = Path(self._folder.name, f"{stem}.so")
        done = subprocess.run(
            [COMPILER, *FLAGS, "-I", str(HERE), "-o", str(library), "-"],
            input=text, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise ValueError(f"the kernel does not compile on the host:\n{done.stderr}")
        self._library = ctypes.CDLL(str(library))

    def launch(self, name, grid, block, arguments, *, shared=0, reverse=False):
        """Run a kernel over all blocks of the grid.

        Parameters
        ----------
        name : str
            The kernel.
        grid, block : tuple of int
            One to three sizes each.
        arguments : sequence
            C-contiguous NumPy arrays (passed as pointers) and NumPy scalars (passed as values), as
            `cupy.RawKernel` takes them.
        shared : int
            Bytes of dynamic shared memory.
        reverse : bool
            Run the threads of a block from the last to the first, which brings out a missing
            barrier: try both.

        Raises
        ------
        ValueError
            If the arguments do not fit the kernel, or some thread never reaches a barrier.
        """
        holders = [_value(i, argument) for i, argument in enumerate(arguments)]
        pointers = (ctypes.c_void_p * len(holders))(*(h.ctypes.data for h in holders))
        sizes = (ctypes.c_size_t * len(holders))(*(h.nbytes for h in holders))
        function = getattr(self._library, f"launch_{name}")
        function.restype = ctypes.c_char_p
        message = function(
            _dim3(grid), _dim3(block), ctypes.c_size_t(shared), int(reverse), pointers, sizes,
            ctypes.c_size_t(len(holders)),
        )  # fmt: skip
        if message:
            raise ValueError(f"{name}: {message.decode()}")


def _value(position: int, argument) -> np.ndarray:
    """Return the bytes of an argument: an address or a scalar."""
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError(f"argument {position} is not contiguous")
        return np.array([argument.ctypes.data], dtype=np.uintp)
    if not isinstance(argument, np.generic):
        raise ValueError(f"argument {position} must be a NumPy array or scalar, for its size")
    return np.array([argument])


def _dim3(sizes):
    return (ctypes.c_uint * 3)(*sizes, *[1] * (3 - len(sizes)))


@cache
def host_module(name: str) -> HostModule:
    """Return ``gaussbook/kernels/<name>.cu`` compiled for the host (once in a process)."""
    from gaussbook import kernels

    return HostModule(kernels.source(name))
