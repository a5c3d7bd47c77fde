"""K-means with labels against plain k-means, a loop over points, and the labels themselves."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gaussbook.arrays import generator, to_host
from gaussbook.mixture import k_means, semi_supervised_k_means


def clusters(seed=0, n_clusters=6, each=40, n_classes=3):
    """Points, labels of half the members of the first classes, and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_clusters), each)
    x = 5 * rng.normal(size=(n_clusters, 4))[truth] + rng.normal(size=(len(truth), 4))
    labels = np.where((truth < n_classes) & (rng.random(len(truth)) < 0.5), truth, -1)
    return x, labels, truth


def reference(x, labels, centres, iterations=100):
    """The same iteration, point by point."""
    for _ in range(iterations):
        own = [
            label if label >= 0 else int(((row - centres) ** 2).sum(axis=1).argmin())
            for row, label in zip(x, labels, strict=True)
        ]
        centres = np.stack([x[np.equal(own, k)].mean(axis=0) for k in range(len(centres))])
    return centres, np.asarray(own)


def test_the_same_as_point_by_point():
    x, labels, _ = clusters()
    init = np.concatenate([[x[labels == k].mean(axis=0) for k in range(3)], x[-3:]])
    found = semi_supervised_k_means(x, labels, 6, init=init, tol=0)
    centres, own = reference(x, labels, init)
    np.testing.assert_allclose(found.centres, centres, atol=1e-10)
    np.testing.assert_array_equal(found.labels, own)
    assert found.converged
    assert found.inertia == pytest.approx(((x - centres[own]) ** 2).sum())


def test_labelled_points_stay_where_they_are():
    x, labels, _ = clusters()
    shuffled = labels.copy()
    held = labels >= 0
    shuffled[held] = np.random.default_rng(0).permutation(labels[held])
    found = semi_supervised_k_means(x, shuffled, 6)
    np.testing.assert_array_equal(found.labels[held], shuffled[held])
    nearest = cdist(x, found.centres).argmin(axis=1)
    np.testing.assert_array_equal(found.labels[~held], nearest[~held])


def test_finds_classes_without_a_name():
    x, labels, truth = clusters(3)
    x = x + 20 * np.eye(6)[truth][:, :4]
    found = semi_supervised_k_means(x, labels, 6, n_init=10)
    counts = np.zeros((6, 6))
    np.add.at(counts, (truth, found.labels), 1)
    assert counts.max(axis=1).sum() >= 0.9 * len(x)
    assert np.diagonal(counts)[:3].sum() >= 0.9 * 120


def test_without_labels_it_is_k_means():
    x, _, _ = clusters()
    none = np.full(len(x), -1)
    found = semi_supervised_k_means(x, none, 6, init=x[::40], tol=0)
    peer = k_means(x, 6, init=x[::40], tol=0)
    np.testing.assert_allclose(found.centres, peer.centres, atol=1e-12)
    np.testing.assert_array_equal(found.labels, peer.labels)
    ours = semi_supervised_k_means(x, none, 6, n_init=3)
    assert ours.inertia == pytest.approx(k_means(x, 6, n_init=3).inertia)


def test_all_labelled():
    x, _, truth = clusters()
    found = semi_supervised_k_means(x, truth, 6)
    np.testing.assert_array_equal(found.labels, truth)
    np.testing.assert_allclose(found.centres[2], x[truth == 2].mean(axis=0))


def test_more_starts_are_no_worse_and_seeds_repeat():
    x, labels, _ = clusters(5, n_clusters=12)
    one = semi_supervised_k_means(x, labels, 12, n_init=1, seed=generator(0))
    many = semi_supervised_k_means(x, labels, 12, n_init=8, seed=generator(0))
    again = semi_supervised_k_means(x, labels, 12, n_init=8, seed=0)
    assert many.inertia <= one.inertia
    np.testing.assert_array_equal(many.labels, again.labels)


def test_empty_clusters_take_far_points():
    x, labels, _ = clusters()
    init = np.concatenate([[x[labels == k].mean(axis=0) for k in range(3)], np.full((3, 4), 1e4)])
    found = semi_supervised_k_means(x, labels, 6, init=init)
    assert np.bincount(found.labels, minlength=6).min() > 0


def test_same_in_every_namespace(xp):
    x, labels, _ = clusters()
    ours = semi_supervised_k_means(xp.asarray(x), xp.asarray(labels), 7, n_init=2)
    theirs = semi_supervised_k_means(x, labels, 7, n_init=2)
    np.testing.assert_allclose(to_host(ours.centres), theirs.centres, atol=1e-12)
    np.testing.assert_array_equal(to_host(ours.labels), theirs.labels)
    far = xp.asarray(np.concatenate([x[:6], np.full((1, 4), 1e4)]))
    found = semi_supervised_k_means(xp.asarray(x), xp.asarray(labels), 7, init=far)
    assert len(np.unique(to_host(found.labels))) == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full(240, -2)}, "^labels must be -1"),
        ({"labels": np.full(240, 1)}, "^labels must contain every class from 0 to 1"),
        ({"labels": np.zeros(3, dtype=int)}, "^labels must have shape"),
        ({"labels": np.zeros(240)}, "^labels must hold integers"),
        ({"n_clusters": 2}, "^n_clusters must be at least 3"),
        ({"n_clusters": 1000}, "^n_clusters must be at most"),
        ({"init": np.zeros((2, 4))}, "^init must have shape"),
        ({"n_init": 0}, "^n_init must be at least 1"),
        ({"max_iter": 0}, "^max_iter must be at least 1"),
        ({"tol": -1}, "^tol must be at least 0"),
        ({"x": np.full((240, 4), np.nan)}, "^x holds NaN"),
    ],
)
def test_refuses(change, message):
    x, labels, _ = clusters()
    arguments = {"x": x, "labels": labels, "n_clusters": 6} | change
    with pytest.raises(ValueError, match=message):
        semi_supervised_k_means(**arguments)


def test_neighbours_in_clusters_far_apart(xp):
    x = xp.asarray([[1e8], [1e8 + 1], [1e8 + 2], [-1e8], [-1e8 - 1], [-1e8 - 2]])
    labels = xp.asarray([0, -1, -1, 1, -1, -1])
    fit = semi_supervised_k_means(x, labels, 6, n_init=3)
    assert fit.inertia == 0
    assert len(set(to_host(fit.labels).tolist())) == 6
