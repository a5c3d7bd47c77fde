"""What holds for every kernel file: it compiles for the GPUs, and its host run is tested."""

import sys
from pathlib import Path

import pytest

from gaussbook import kernels
from gaussbook.arrays import BackendError

HERE = Path(__file__).parent


def compile_by_nvrtc(code, architecture):
    """Compile to a cubin, without a GPU; return NVRTC's log."""
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    program = nvrtc.createProgram(code, "kernel.cu", (), ())
    try:
        nvrtc.compileProgram(
            program, [*kernels.COMPILE_OPTIONS, f"--gpu-architecture={architecture}"]
        )
        assert len(nvrtc.getCUBIN(program)) > 1000
    except nvrtc.NVRTCError:
        return nvrtc.getProgramLog(program)
    finally:
        nvrtc.destroyProgram(program)
    return ""


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", kernels.names())
def test_compiles_by_nvrtc(name, architecture):
    assert compile_by_nvrtc(kernels.source(name), architecture) == ""


def test_a_broken_kernel_does_not_compile():
    log = compile_by_nvrtc('extern "C" __global__ void f(float* x) { x = missing; }', "sm_90")
    assert "missing" in log


@pytest.mark.parametrize("name", kernels.names())
def test_every_file_has_a_host_run(name):
    test = HERE / f"test_{name}_kernels.py"
    assert test.is_file(), f"{name}.cu is not run on the host: write {test.name}"
    assert f'host_module("{name}")' in test.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", kernels.names())
def test_every_kernel_of_a_file_is_named_in_its_test(name, host_module):
    text = (HERE / f"test_{name}_kernels.py").read_text(encoding="utf-8")
    missing = [kernel for kernel in host_module(name).names if kernel not in text]
    assert not missing, f"kernels of {name}.cu that no host run names: {missing}"


def test_unknown_file():
    with pytest.raises(ValueError, match=r"^name must be one of .*mixture"):
        kernels.load("nonsense")


def test_without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    kernels.load.cache_clear()
    with pytest.raises(BackendError, match="need CuPy"):
        kernels.load("mixture")
