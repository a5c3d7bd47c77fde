"""K-means in which some points carry the label of their cluster."""

from __future__ import annotations

import numpy as np

from gaussbook.arrays import Array, Generator, namespace, to_host
from gaussbook.distances import squared_distances
from gaussbook.mixture.kmeans import KMeans, host_generator, seed_centres
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["semi_supervised_k_means"]


def semi_supervised_k_means(
    x: Array,
    labels: Array,
    n_clusters: int,
    *,
    init: Array | None = None,
    n_init: int = 10,
    max_iter: int = 100,
    tol: float = 1e-4,
    seed: int | Generator = 0,
) -> KMeans:
    r"""Lloyd's iteration in which labelled points stay in their own cluster.

    The first C clusters are the labelled classes.  Their centres begin at the class means, and the
    others at unlabelled points, chosen by k-means++ given the class means.  Then labelled points
    belong to their class, unlabelled ones to the nearest centre, and centres are means (Vaze, Han,
    Vedaldi & Zisserman, 2022, "Generalized category discovery").

    Parameters
    ----------
    x : array, shape (n, d)
        Points.
    labels : integer array, shape (n,)
        Class of each labelled point, 0 to C - 1, each of which occurs; -1 for the others.
    n_clusters : int
        Number of clusters K, at least C and at most C plus the number of unlabelled points.
    init : array, shape (K, d), optional
        First centres, those of the classes first.
    n_init : int
        Number of starts; the result with the lowest inertia is kept.  One if `init` is given, or
        if K = C leaves nothing to chance.
    max_iter : int
        Most iterations of a start.
    tol : float
        The last iteration moves the centres by at most `tol` mean variances (sum of squares).
    seed : int or Generator
        Source of the draws.

    Returns
    -------
    KMeans
        The best start; inertia counts each point's distance to the centre of its own cluster.  A
        cluster without points takes the unlabelled point farthest from its centre.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    An iteration takes ``u K d`` multiply-adds for the u unlabelled points, and as many for the
    means; the labelled ones enter through sums that do not change.
    """
    x = check_array("x", x, ndim=2)
    labels = check_array("labels", labels, shape=(x.shape[0],), integers=True)
    xp = namespace(x, labels)
    x = xp.astype(x, xp.float64, copy=False)
    if bool(xp.any(labels < -1)):
        raise ValueError("labels must be -1 (none) or a class from 0 on")
    free = xp.nonzero(labels < 0)[0]
    n_classes = int(xp.max(labels)) + 1
    held = xp.astype(xp.arange(n_classes)[:, None] == labels, xp.float64)
    counts = xp.sum(held, axis=1)
    if bool(xp.any(counts == 0)):
        raise ValueError(f"labels must contain every class from 0 to {n_classes - 1}")
    n_free = int(free.shape[0])
    n_clusters = check_integer(
        "n_clusters", n_clusters, at_least=max(n_classes, 1), at_most=n_classes + n_free
    )
    n_init = check_integer("n_init", n_init, at_least=1)
    max_iter = check_integer("max_iter", max_iter, at_least=1)
    variance = float(xp.mean((x - xp.mean(x, axis=0)) ** 2))
    threshold = check_scalar("tol", tol, at_least=0) * variance
    new = n_clusters - n_classes
    sums = xp.concat([held @ x, xp.zeros((new, x.shape[1]), dtype=x.dtype)], axis=0)
    counts = xp.concat([counts, xp.zeros(new, dtype=x.dtype)])
    points = xp.take(x, free, axis=0)
    given = sums[:n_classes, :] / counts[:n_classes, None] if n_classes else None
    if init is not None:
        init = check_array("init", init, shape=(n_clusters, x.shape[1]))
        init = xp.astype(xp.asarray(init), xp.float64)
    elif new == 0:
        init = given
    rng, results = host_generator(seed), []
    for _ in range(n_init if init is None else 1):
        centres = init if init is not None else seed_centres(points, n_clusters, rng, given)
        centres, own, *rest = _lloyd(points, centres, sums, counts, max_iter, threshold)
        everyone = xp.asarray(labels, copy=True)
        everyone[labels < 0] = xp.astype(own, everyone.dtype)
        offsets = x - xp.take(centres, everyone, axis=0)
        results.append(KMeans(centres, everyone, float(xp.sum(offsets * offsets)), *rest))
    return min(results, key=lambda result: result.inertia)


def _lloyd(
    points: Array, centres: Array, sums: Array, counts: Array, max_iter: int, threshold: float
) -> tuple[Array, Array, int, bool]:
    """Return centres, labels of the unlabelled points, iterations and whether they converged."""
    xp = namespace(points)
    clusters, converged = xp.arange(centres.shape[0])[:, None], False
    if points.shape[0] == 0:
        return centres, xp.zeros(0, dtype=xp.int64), 1, True

    def nearest(centres: Array) -> Array:
        return xp.argmin(squared_distances(points, centres), axis=1)

    for _n_iter in range(1, max_iter + 1):
        own = nearest(centres)
        members = xp.astype(clusters == own, points.dtype)
        total = counts + xp.sum(members, axis=1)
        means = (sums + members @ points) / xp.where(total > 0, total, 1.0)[:, None]
        empty = np.flatnonzero(to_host(total == 0))
        if empty.size:
            squares = xp.sum((points - xp.take(centres, own, axis=0)) ** 2, axis=1)
            far = xp.argsort(squares, descending=True)
            for k, row in zip(empty, range(far.shape[0]), strict=False):
                means[int(k), :] = points[int(far[row]), :]
        moved = float(xp.sum((means - centres) ** 2))
        centres = means
        if moved <= threshold and not empty.size:
            converged = True
            break
    return centres, nearest(centres), _n_iter, converged
