"""Forests of likelihood models: which covariates a model's parameters depend on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gaussbook.validation import check_array, check_integer

__all__ = ["score_forest_importance"]


def score_forest_importance(
    X: np.ndarray,
    scores: np.ndarray,
    log_likelihood: Callable[[np.ndarray], np.ndarray],
    *,
    rng: np.random.Generator,
    n_trees: int = 48,
    max_depth: int = 2,
    max_features: int = 3,
) -> np.ndarray:
    """Rank covariates by a forest that is grown on the scores of a likelihood model.

    With scores whitened by the information, the gain in likelihood of splitting a node is, to
    second order, what a regression tree on them maximises; the mean of a leaf is the scoring step
    from the common fit to the leaf's own parameters.

    Parameters
    ----------
    X : array, shape (n, d)
        Covariates, on the host.
    scores : array, shape (n, p)
        Gradients of the persons' log-likelihoods at the common fit, whitened.
    log_likelihood : callable
        From the nodes' means of the scores, shape (nodes, p), the log-likelihood of each person
        under each node's parameters, (nodes, n).
    rng : numpy.random.Generator
        Seeds the forest, and permutes.
    n_trees, max_depth, max_features : int
        Size of the forest and of its trees, and how many covariates a node tries.

    Returns
    -------
    array, shape (d,)
        Mean rise of -2 log-likelihood of the persons out of a tree's sample when a covariate is
        permuted among them, in nats.

    Raises
    ------
    ValueError
        If `X` and `scores` have not as many rows, or a size is below one, or more than the
        covariates that there are.
    """
    from sklearn.ensemble import RandomForestRegressor

    X = check_array("X", X, shape=(None, None))
    scores = check_array("scores", scores, shape=(X.shape[0], None))
    n_trees, max_depth = (
        check_integer(name, value, at_least=1)
        for name, value in (("n_trees", n_trees), ("max_depth", max_depth))
    )
    max_features = check_integer("max_features", max_features, at_least=1, at_most=X.shape[1])
    forest = RandomForestRegressor(
        n_trees,
        max_depth=max_depth,
        max_features=max_features,
        random_state=int(rng.integers(2**31)),
    ).fit(X, scores)
    rise = np.zeros(X.shape[1])
    for tree, inside in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        out = np.setdiff1d(np.arange(X.shape[0]), inside)
        log_p = log_likelihood(tree.tree_.value[:, :, 0])
        own = np.float32(X[out])
        kept = log_p[tree.apply(own), out].sum()
        for j in range(X.shape[1]):
            moved = own.copy()
            moved[:, j] = rng.permutation(own[:, j])
            rise[j] += 2 * (kept - log_p[tree.apply(moved), out].sum()) / n_trees
    return rise
