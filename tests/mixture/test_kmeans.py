"""K-means and vector quantisation against scikit-learn and brute force."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as Peer

from gaussbook.arrays import generator, to_host
from gaussbook.mixture import assign, k_means, kmeans_plus_plus
from gaussbook.mixture.kmeans import _SinglePrecision


def clusters(seed=0, n=600, d=3, n_clusters=5, spread=6.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_clusters, d)) * spread
    return centres[rng.integers(0, n_clusters, n)] + rng.normal(size=(n, d)), centres


@pytest.mark.parametrize(("n", "d", "n_clusters"), [(1, 1, 1), (2001, 3, 7), (5000, 40, 300)])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_assignment_is_the_nearest_centre(n, d, n_clusters, shift):
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(n, d)) + shift, rng.normal(size=(n_clusters, d)) + shift
    labels, squares = assign(x, centres)
    distances = cdist(x, centres, "sqeuclidean")
    np.testing.assert_allclose(squares, distances.min(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(distances[np.arange(n), labels], squares, rtol=1e-9, atol=1e-9)


def test_the_same_clusters_as_scikit_learn():
    x, _ = clusters()
    init = x[:5]
    ours = k_means(x, 5, init=init, tol=0)
    peer = Peer(5, init=init, n_init=1, tol=0).fit(x)
    np.testing.assert_allclose(ours.centres, peer.cluster_centers_, atol=1e-12)
    np.testing.assert_array_equal(ours.labels, peer.labels_)
    assert ours.inertia == pytest.approx(peer.inertia_, rel=1e-12)
    assert ours.converged


def test_weights_count_points():
    x, _ = clusters(n=200)
    weight = np.random.default_rng(1).integers(0, 4, 200)
    weighted = k_means(x, 5, init=x[:5], sample_weight=weight, tol=0)
    repeated = k_means(np.repeat(x, weight, axis=0), 5, init=x[:5], tol=0)
    np.testing.assert_allclose(weighted.centres, repeated.centres, atol=1e-12)
    assert weighted.inertia == pytest.approx(repeated.inertia)


def test_seeding_finds_far_clusters():
    x, centres = clusters(n_clusters=8, spread=100.0)
    for seed in range(5):
        found = kmeans_plus_plus(x, 8, seed=seed)
        assert cdist(centres, found).min(axis=1).max() < 6  # one in each cluster
        assert cdist(found, x).min() == pytest.approx(0, abs=1e-10)
    best = k_means(x, 8, seed=0)
    assert cdist(centres, best.centres).min(axis=1).max() < 1


def test_points_without_weight_are_never_seeds():
    x, _ = clusters(n=100)
    weight = np.zeros(100)
    weight[:6] = 1
    found = kmeans_plus_plus(x, 6, seed=3, sample_weight=weight)
    assert cdist(found, x[:6]).min(axis=1).max() < 1e-9


def test_more_starts_are_no_worse():
    x, _ = clusters(n_clusters=12, spread=3.0)
    one = k_means(x, 12, seed=generator(0), n_init=1)
    assert k_means(x, 12, seed=generator(0), n_init=5).inertia <= one.inertia


def test_empty_clusters_move_to_far_points():
    x = clusters(n=3000)[0] + 1e3
    init = np.concatenate([x[:3], np.full((2, 3), 1e4)])
    result = k_means(x, 5, init=init)
    assert np.bincount(result.labels, minlength=5).min() > 0


def test_duplicate_points():
    x = np.ones((10, 2))
    result = k_means(x, 3)
    assert result.inertia == pytest.approx(0)
    assert np.all(np.isfinite(result.centres))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-100, 100))
def test_permutation_and_shift_invariance(seed, shift):
    x, _ = clusters(seed, n=60)
    rows = np.random.default_rng(seed).permutation(60)
    plain = k_means(x, 4, init=x[:4])
    moved = k_means(x[rows] + shift, 4, init=x[:4] + shift)
    np.testing.assert_allclose(moved.centres, plain.centres + shift, atol=1e-9)
    np.testing.assert_array_equal(moved.labels, plain.labels[rows])


@pytest.mark.parametrize("d", [1, 2, 4, 7])
@pytest.mark.parametrize("far", [1e3, 1e8, 1e12])
def test_neighbours_in_clusters_far_apart(xp, d, far):
    x = np.zeros((6, d))
    x[:, 0] = [far, far + 1, far + 2, -far, -far - 1, -far - 2]
    x[:, -1] = x[:, 0]
    for seed in range(5):
        seeds = to_host(kmeans_plus_plus(xp.asarray(x), 6, seed=seed))
        assert len(np.unique(seeds, axis=0)) == 6
    found = k_means(xp.asarray(x), 6, n_init=3)
    assert found.inertia == 0 and len(np.unique(to_host(found.labels))) == 6
    labels, squares = assign(xp.asarray(x), xp.asarray(x[::-1].copy()))
    np.testing.assert_array_equal(to_host(labels), np.arange(6)[::-1])
    np.testing.assert_array_equal(to_host(squares), 0)


def test_single_precision_finds_the_nearest_codeword():
    rng = np.random.default_rng(0)
    centres = (1000 + rng.standard_normal((50, 8))).astype(np.float32)
    x = centres[rng.integers(0, 50, 400)] + np.float32(0.01)
    labels, squares = assign(x, centres)
    distances = cdist(x.astype(float), centres.astype(float), "sqeuclidean")
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    np.testing.assert_allclose(squares, distances.min(axis=1), rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-18, 1e300, 5e-320])
def test_a_point_of_weight_zero_is_absent(xp, scale):
    x = np.array([[0.0], [1.0], [10.0], [11.0], [1e6]])
    weight = xp.asarray(scale * np.array([1.0, 1, 1, 1, 0]))
    init = xp.asarray([[0.0], [1.0]])
    for far in (1e6, 1e200):
        x[4] = far
        found = k_means(xp.asarray(x), 2, init=init, sample_weight=weight)
        np.testing.assert_allclose(to_host(found.centres)[:, 0], [0.5, 10.5])
        np.testing.assert_array_equal(to_host(found.labels)[:4], [0, 0, 1, 1])
        assert found.inertia == pytest.approx(scale, rel=1e-3) and found.converged
        alone = kmeans_plus_plus(xp.asarray(x[:4]), 2, sample_weight=weight[:4])
        seeds = kmeans_plus_plus(xp.asarray(x), 2, sample_weight=weight)
        np.testing.assert_array_equal(to_host(seeds), to_host(alone))
    with pytest.raises(ValueError, match="^n_clusters must be at most 4"):
        k_means(xp.asarray(x), 5, sample_weight=weight)


def test_same_in_every_namespace(xp):
    x, _ = clusters(n=300)
    ours = k_means(xp.asarray(x), 5, n_init=2)
    theirs = k_means(x, 5, n_init=2)
    np.testing.assert_allclose(to_host(ours.centres), theirs.centres, atol=1e-12)
    np.testing.assert_array_equal(to_host(ours.labels), theirs.labels)


GOOD = {"x": np.eye(4), "n_clusters": 2}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", [1.0, 2.0]),
        ("x", [[np.inf, 1.0]]),
        ("x", np.full((4, 4), 1e300) * np.eye(4)),
        ("n_clusters", 5),
        ("n_clusters", 0),
        ("n_clusters", 1.5),
        ("init", np.zeros((3, 4))),
        ("n_init", 0),
        ("max_iter", 0),
        ("tol", -1),
        ("seed", -1),
        ("seed", "x"),
        ("sample_weight", [1.0, 1.0]),
        ("sample_weight", [-1.0, 1, 1, 1]),
        ("sample_weight", np.zeros(4)),
    ],
)
def test_bad_input_is_named(name, value):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=rf"^{name}\b"):
        k_means(**{**GOOD, name: value})


def test_bad_centres():
    with pytest.raises(ValueError, match=r"^centres"):
        assign(np.eye(3), np.eye(4))


def plain_lloyd(x, centres, steps):
    for _ in range(steps):
        labels = cdist(x, centres).argmin(axis=1)
        centres = np.asarray([x[labels == k].mean(axis=0) for k in range(len(centres))])
    return centres, cdist(x, centres).argmin(axis=1)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    d=st.sampled_from([1, 2, 5, 20]),
    n_clusters=st.sampled_from([1, 2, 6, 15]),
    spread=st.sampled_from([0.1, 1.0, 10.0, 1e6]),
    steps=st.integers(1, 8),
)
def test_bounds_skip_no_distance_that_counts(seed, d, n_clusters, spread, steps):
    x, _ = clusters(seed, n=400, d=d, n_clusters=4, spread=spread)
    init = x[:n_clusters]
    found = k_means(x, n_clusters, init=init, max_iter=steps, tol=0)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of an empty cluster
        centres, labels = plain_lloyd(x, init, found.n_iter)
    if np.all(np.isfinite(centres)):  # no cluster has become empty
        np.testing.assert_allclose(found.centres, centres, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(found.labels, labels)


def in_single_precision(x, middle, n_clusters):
    single = _SinglePrecision.room_for(x, middle, n_clusters)
    single.put(slice(0, len(x)), x - middle, np.vecdot(x - middle, x - middle))
    return single


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    d=st.sampled_from([1, 3, 16]),
    n_clusters=st.sampled_from([1, 2, 40, 700]),
    tail=st.sampled_from([0.0, 1.0, 3.0]),
    offset=st.sampled_from([0.0, 1.0, 1e3]),
)
def test_single_precision_bounds_the_distances(seed, d, n_clusters, tail, offset):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, d)) * np.exp(tail * rng.normal(size=(300, 1)))
    centres = x[rng.integers(0, 300, n_clusters)] + 0.01 * rng.normal(size=(n_clusters, d)) + offset
    single = in_single_precision(x, x.mean(axis=0), n_clusters)
    chosen = rng.permutation(300)[:111]
    for rows in (None, chosen):
        labels, upper, lower = single.two_nearest(centres, rows)
        distances = cdist(x if rows is None else x[rows], centres)
        column = np.arange(len(labels))
        own = distances[column, labels]
        distances[column, labels] = np.inf
        assert np.all(own <= upper) and np.all(lower <= distances.min(axis=1))
        sure = upper < lower
        assert np.all(own[sure] < distances.min(axis=1)[sure])
        if tail == offset == 0 and d == 16:
            assert sure.mean() > 0.9  # the bounds are tight enough to be of use


@pytest.mark.parametrize("size", [1e-100, 1e-15, 1.0, 1e15, 1e100])
def test_clusters_of_any_size(size):
    x, _ = clusters(n=500, d=6)
    found = k_means(size * x, 5, init=size * x[:5], tol=0)
    plain = k_means(x, 5, init=x[:5], tol=0)
    np.testing.assert_array_equal(found.labels, plain.labels)
    np.testing.assert_allclose(found.centres, size * plain.centres, rtol=1e-9)


@pytest.mark.parametrize("n_clusters", [3, 30])
def test_the_same_with_and_without_single_precision(monkeypatch, n_clusters):
    rng = np.random.default_rng(0)
    x, _ = clusters(n=5000, d=9, n_clusters=20, spread=2.0)
    weight = rng.integers(1, 4, 5000)
    rule = {"init": x[:n_clusters], "sample_weight": weight, "tol": 0, "max_iter": 12}
    fast = k_means(x, n_clusters, **rule)
    monkeypatch.setattr(_SinglePrecision, "room_for", lambda *_: None)
    plain = k_means(x, n_clusters, **rule)
    np.testing.assert_array_equal(fast.labels, plain.labels)
    np.testing.assert_array_equal(fast.centres, plain.centres)


def test_points_that_lie_on_each_other_keep_the_first_centre():
    x = np.repeat(np.eye(5), 40, axis=0)
    init = np.concatenate([np.eye(5), np.eye(5)])
    found = k_means(x, 10, init=init, max_iter=1)
    assert found.inertia == pytest.approx(0, abs=1e-12)
    labels, _ = assign(x, init)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(5), 40))
