"""The host as a machine that runs kernels."""

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
