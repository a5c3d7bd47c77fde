"""What all tests share: the GPU, where there is one."""

import pytest


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
