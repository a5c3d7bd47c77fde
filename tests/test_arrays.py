"""The backend is that of the array passed in; only first arrays take the default one."""

import pickle

import array_api_strict
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gaussbook import arrays


def test_namespace_is_that_of_the_arrays():
    assert arrays.namespace(np.zeros(2), None).__name__ == "array_api_compat.numpy"
    assert arrays.namespace(array_api_strict.zeros(2)) is array_api_strict
    with pytest.raises(TypeError):
        arrays.namespace(np.zeros(2), array_api_strict.zeros(2))


def test_default_backend_is_numpy_without_a_gpu(monkeypatch):
    monkeypatch.setattr(arrays, "_why_no_gpu", lambda: "no CUDA GPU is visible")
    arrays._backend.cache_clear()
    for choice in ("auto", "numpy"):
        monkeypatch.setenv("GAUSSBOOK_BACKEND", choice)
        assert arrays.backend().__name__ == "array_api_compat.numpy"
    arrays._backend.cache_clear()


def test_cupy_without_a_gpu_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(arrays, "_why_no_gpu", lambda: "no CUDA GPU is visible")
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "cupy")
    arrays._backend.cache_clear()
    with pytest.raises(arrays.BackendError, match=r"no CUDA GPU is visible.*auto, numpy, cupy"):
        arrays.backend()
    arrays._backend.cache_clear()


def test_an_unknown_backend_is_an_error_that_lists_the_choices(monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "torch")
    with pytest.raises(arrays.BackendError, match=r"'torch'.*auto, numpy, cupy"):
        arrays.backend()


def test_a_seed_gives_the_host_generators_numbers(monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "numpy")
    ours, numpys = arrays.generator(7), np.random.default_rng(7)
    assert_array_equal(ours.standard_normal((3, 2)), numpys.standard_normal((3, 2)))
    assert ours.integers(10) == numpys.integers(10)
    children = [child.random() for child in arrays.generator(7).spawn(3)]
    assert children == [child.random() for child in np.random.default_rng(7).spawn(3)]


def test_generators_can_be_sent_to_workers():
    rng = arrays.generator(3)
    rng.random()
    assert pickle.loads(pickle.dumps(rng)).random() == rng.random()


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="seed must be a non-negative integer"):
        arrays.generator(seed)


def test_transfers_keep_values_and_types(monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "numpy")
    x = arrays.to_device([[1, 2], [3, 4]], dtype=np.float32)
    assert x.dtype == np.float32
    assert arrays.to_host(x) is x
    strict = array_api_strict.asarray([1.0, 2.0])
    assert_array_equal(arrays.to_host(strict), [1.0, 2.0])


def test_the_device_has_a_name():
    import array_api_compat.numpy as xp

    assert arrays.device_name(xp).strip()


@pytest.mark.gpu
def test_draws_land_on_the_gpu(gpu, monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_BACKEND", "cupy")
    draw = arrays.generator(0).standard_normal(5)
    assert type(draw).__module__.startswith("cupy")
    assert_array_equal(arrays.to_host(draw), np.random.default_rng(0).standard_normal(5))
