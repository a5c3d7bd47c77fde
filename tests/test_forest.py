"""Importances of a forest: a normal model whose mean depends on one covariate."""

import numpy as np
import pytest

from gaussbook.forest import score_forest_importance


def importance(y, X, seed=0, **options):
    """The model N(m, 1), whose score at its fit is the residual."""
    residual = y - y.mean()
    return score_forest_importance(
        X,
        residual[:, None],
        lambda means: -0.5 * (residual - means) ** 2,
        rng=np.random.default_rng(seed),
        **options,
    )


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    X = np.stack([rng.integers(2, size=400), rng.integers(4, size=400), rng.random(400)], axis=1)
    return X, rng


def test_the_covariate_that_matters_has_the_value_of_theory(sample):
    X, rng = sample
    y = 2.0 * X[:, 0] + rng.standard_normal(400)
    got = importance(y, X, max_features=3, max_depth=1)
    # permuted, a person is in the wrong leaf half of the time, and the squared error rises by 4
    assert got[0] == pytest.approx(400 / np.e * 0.5 * 4, rel=0.1)
    np.testing.assert_array_equal(got[1:], 0)  # a stump never asks for the others


def test_noise_has_no_importance(sample):
    X, rng = sample
    got = importance(rng.standard_normal(400), X)
    assert np.abs(got).max() < 15


def test_the_seed_decides(sample):
    X, rng = sample
    y = X[:, 0] + rng.standard_normal(400)
    np.testing.assert_array_equal(importance(y, X, 3), importance(y, X, 3))
    assert (importance(y, X, 3) != importance(y, X, 4)).any()


def test_arguments_are_checked(sample):
    X, _ = sample
    with pytest.raises(ValueError, match="scores"):
        importance(np.ones(5), X)
    for name in ("n_trees", "max_depth", "max_features"):
        with pytest.raises(ValueError, match=name):
            importance(X[:, 2], X, **{name: 0})
