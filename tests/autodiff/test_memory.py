import platform
import resource

import numpy as np
import pytest

from gaussbook.autodiff.memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_arrays_are_reused_without_page_faults():
    assert keep_freed_memory()
    for _ in range(3):
        np.ones(2**21)  # 16 MiB, 4096 pages
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(2**21)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 4096


@pytest.mark.parametrize(
    ("name", "value"),
    [("GAUSSBOOK_KEEP_MEMORY", "0"), ("MALLOC_TRIM_THRESHOLD_", str(2**20))],
)
def test_the_environment_switches_it_off(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory()


def test_an_unknown_choice_is_refused(monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_KEEP_MEMORY", "no")
    with pytest.raises(ValueError, match=r"^GAUSSBOOK_KEEP_MEMORY must"):
        keep_freed_memory()
