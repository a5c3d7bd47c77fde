"""The machines that kernels are tested on: the host (always) and a GPU (where there is one)."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `import host_cuda`


@pytest.fixture(scope="session")
def host_module():
    """Return a function: kernel file name -> `host_cuda.HostModule`; skip without a compiler."""
    import host_cuda

    if shutil.which(host_cuda.COMPILER) is None:
        pytest.skip(f"no C++ compiler to run kernels on the host ({host_cuda.COMPILER})")
    return host_cuda.host_module


@pytest.fixture(scope="session")
def gpu():
    """Return CuPy where it can compute; skip the test elsewhere."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    try:
        if cupy.cuda.runtime.getDeviceCount() == 0:
            pytest.skip("no CUDA GPU is visible")
        cupy.zeros(1) + 1
    except Exception as error:  # CuPy raises many kinds: all of them mean "no GPU here"
        pytest.skip(f"no CUDA GPU can be used ({error})")
    return cupy
