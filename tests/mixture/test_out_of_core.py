"""Mixtures of Dask arrays: the estimates in memory, one chunk at a time."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from gaussbook.mixture import GaussianMixture

dask = pytest.importorskip("dask", reason="the 'dask' extra is not installed")
da = pytest.importorskip("dask.array")
out_of_core = pytest.importorskip("gaussbook.mixture.out_of_core")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TYPES = ("full", "tied", "diag", "spherical")


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def points(n=6000, d=3, spread=4.0, offset=0.0):
    rng = np.random.default_rng(0)
    means = rng.normal(size=(4, d)) * spread
    return means[rng.integers(0, 4, n)] + rng.normal(size=(n, d)) + offset


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random"])
def test_the_estimates_in_memory(covariance_type, init_params):
    x = points()
    arguments = {
        "covariance_type": covariance_type,
        "init_params": init_params,
        "max_iter": 15,
        "tol": 1e-7,
        "init_size": 1000,
    }
    memory = GaussianMixture(4, **arguments).fit(x)
    chunked = GaussianMixture(4, **arguments).fit(da.from_array(x, chunks=(701, 2)))
    assert chunked.n_iter_ == memory.n_iter_
    assert chunked.lower_bound_ == pytest.approx(memory.lower_bound_, abs=1e-10)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(chunked, name), getattr(memory, name), atol=1e-10)


def test_narrow_components_far_from_the_origin():
    x = points(offset=1e7)
    arguments = {"init_size": 1000, "max_iter": 5}
    memory = GaussianMixture(4, **arguments).fit(x)
    chunked = GaussianMixture(4, **arguments).fit(da.from_array(x, chunks=(1000, 3)))
    np.testing.assert_allclose(chunked.covariances_, memory.covariances_, rtol=1e-10)


@pytest.mark.parametrize("weight_on_dask", [False, True])
def test_sample_weights(weight_on_dask):
    x, weight = points(), np.random.default_rng(1).exponential(size=6000)
    arguments = {"init_size": 1000, "max_iter": 8, "tol": 0}
    memory = GaussianMixture(4, **arguments).fit(x, sample_weight=weight)
    given = da.from_array(weight, chunks=999) if weight_on_dask else weight
    chunked = GaussianMixture(4, **arguments).fit(da.from_array(x, chunks=(700, 3)), None, given)
    np.testing.assert_allclose(chunked.covariances_, memory.covariances_, atol=1e-10)


@pytest.mark.parametrize("init_params", ["kmeans", "random"])
@pytest.mark.parametrize("scale", [1.0, 1e-18, 1e300])
def test_weights_of_zero_are_absent_and_have_no_unit(init_params, scale):
    x, weight = points(), np.random.default_rng(1).exponential(size=6000)
    weight[::3] = weight[700:1400] = 0.0  # all of one chunk, too
    arguments = {"init_params": init_params, "init_size": 900, "max_iter": 8, "tol": 0}
    memory = GaussianMixture(4, **arguments).fit(x[weight > 0], sample_weight=weight[weight > 0])
    x[weight == 0] = 1e9
    chunked = GaussianMixture(4, **arguments)
    chunked.fit(da.from_array(x, chunks=(700, 3)), sample_weight=list(scale * weight))
    np.testing.assert_allclose(chunked.covariances_, memory.covariances_, rtol=1e-9)


def test_empty_and_uncounted_partitions():
    x = points()
    chunks = da.from_array(x, chunks=(1000, 3))
    kept = chunks[(chunks[:, 0] > 0) & (da.arange(6000, chunks=1000) >= 1000)]  # one is empty
    expected = x[1000:][x[1000:, 0] > 0]
    mixture = GaussianMixture(2, max_iter=5).fit(expected)
    chunked = GaussianMixture(2, max_iter=5).fit(kept)
    assert np.isnan(kept.shape[0])  # the argument is as it was
    np.testing.assert_allclose(chunked.covariances_, mixture.covariances_, rtol=1e-9)
    for method in ("predict", "predict_proba", "score_samples"):
        got = getattr(mixture, method)(kept).compute()
        np.testing.assert_allclose(got, getattr(mixture, method)(expected), atol=1e-12)
    for criterion in ("bic", "aic", "score"):
        got = getattr(mixture, criterion)(kept)
        assert got == pytest.approx(getattr(mixture, criterion)(expected), rel=1e-12)
    np.testing.assert_array_equal(
        GaussianMixture(2, max_iter=5).fit_predict(kept).compute(), mixture.predict(expected)
    )


def test_threads_give_the_same_numbers():
    x = da.from_array(points(), chunks=(500, 3))
    one = GaussianMixture(4, max_iter=5).fit(x)
    with dask.config.set(scheduler="threads", num_workers=2):
        two = GaussianMixture(4, max_iter=5).fit(x)
    np.testing.assert_array_equal(one.covariances_, two.covariances_)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_task_makes_several_chunks(monkeypatch, weighted):
    x = points()
    weight = np.random.default_rng(1).exponential(size=6000) if weighted else None
    chunks = da.from_array(x, chunks=(100, 3)) + 0.0
    monkeypatch.setattr(out_of_core, "_threads", lambda: 2)
    memory = GaussianMixture(4, init_size=500, max_iter=3, tol=0)
    memory.fit(x, sample_weight=weight)
    source = out_of_core.Chunks.of(chunks, weight)
    assert [len(batch) for batch in source._batches] == [3] * 20
    starts = [batch[k][2] for batch in source._batches for k in range(3)]
    assert starts == list(range(0, 6000, 100))
    chunked = GaussianMixture(4, init_size=500, max_iter=3, tol=0)
    chunked.fit(chunks, sample_weight=weight)
    np.testing.assert_allclose(chunked.covariances_, memory.covariances_, atol=1e-10)


def test_chunks_that_share_work_are_left_to_dask():
    x = points()
    joined = da.from_array(x, chunks=(100, 3)).rechunk((150, 3))  # two chunks take parts of one
    assert all(len(batch) == 1 for batch in out_of_core.Chunks.of(joined)._batches)
    expected = GaussianMixture(4, init_size=500, max_iter=3).fit(x).covariances_
    found = GaussianMixture(4, init_size=500, max_iter=3).fit(joined).covariances_
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_chunks_on_workers_stay_there():
    distributed = pytest.importorskip("distributed")
    x = points()
    expected = GaussianMixture(4, init_size=500, max_iter=3).fit(x).covariances_
    settings = {"processes": False, "n_workers": 2, "threads_per_worker": 1}
    with distributed.Client(dashboard_address=None, **settings) as client:
        lazy = da.from_array(x, chunks=(100, 3)) + 0.0
        for chunks, tasks in ((lazy, 20), (client.persist(lazy), 60)):
            assert len(out_of_core.Chunks.of(chunks)._batches) == tasks
            with dask.config.set(scheduler=client):
                found = GaussianMixture(4, init_size=500, max_iter=3).fit(chunks)
            np.testing.assert_allclose(found.covariances_, expected, atol=1e-10)


def test_predictions_stay_lazy_and_equal():
    x = points()
    chunks = da.from_array(x, chunks=(1000, 2))
    mixture = GaussianMixture(4).fit(x)
    for method in ("predict", "predict_proba", "score_samples"):
        lazy = getattr(mixture, method)(chunks)
        assert isinstance(lazy, da.Array)
        expected = getattr(mixture, method)(x)
        assert lazy.shape == expected.shape
        assert lazy.dtype == expected.dtype
        np.testing.assert_allclose(lazy.compute(), expected, atol=1e-12)
    assert mixture.bic(chunks) == pytest.approx(mixture.bic(x))
    np.testing.assert_array_equal(
        mixture.fit_predict(chunks).compute(), mixture.fit(chunks).predict(x)
    )


def test_memory_is_that_of_a_chunk():
    n, d, rows = 400_000, 8, 10_000  # 26 MB in chunks of 0.6 MB

    def make(block_info=None):
        start = block_info[None]["array-location"][0][0]
        return np.random.default_rng(start).normal(size=(rows, d))

    x = da.map_blocks(
        make, chunks=((rows,) * (n // rows), (d,)), dtype=float, meta=np.empty((0, 0))
    )
    mixture = GaussianMixture(3, init_size=2000, max_iter=2, init_params="k-means++")
    mixture.fit(x[: 2 * rows])  # imports and caches
    tracemalloc.start()
    mixture.fit(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * n * d * 8, f"{peak / 1e6:.1f} MB"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("X", lambda x: x[:, 0]),
        ("X", lambda x: x[:0]),
        ("X", lambda x: x[x[:, 0] > 1e9]),
        ("X", lambda x: x + 1j),
        ("X", lambda x: da.where(x > 8, np.nan, x)),
        ("X", lambda x: x[:3]),
    ],
)
def test_bad_points_are_named(name, make):
    x = da.from_array(points(), chunks=(1000, 3))
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        GaussianMixture(4).fit(make(x))


@pytest.mark.parametrize("weight", [np.ones(5), -np.ones(6000), np.zeros(6000)])
def test_bad_weights_are_named(weight):
    x = da.from_array(points(), chunks=(1000, 3))
    with pytest.raises(ValueError, match=r"^sample_weight\b"):
        GaussianMixture(4).fit(x, sample_weight=weight)


def test_without_dask():
    code = (
        "import sys; sys.modules['dask'] = None\n"
        "from gaussbook.mixture import GaussianMixture\n"
        "try:\n    import gaussbook.mixture.out_of_core\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "install the 'dask' extra" in done.stdout


def test_dask_is_not_imported_without_need():
    code = "import sys, gaussbook.mixture; print('dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
