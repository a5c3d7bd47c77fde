"""The host as a machine that runs kernels."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `import host_cuda`


@pytest.fixture(scope="session")
def host_module():
    """Return a function: kernel file name -> `host_cuda.HostModule`."""
    import host_cuda

    return host_cuda.host_module
