"""Classifiers: scikit-learn and Bayes' rule written out as oracles, batches against loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from gaussbook.arrays import to_host
from gaussbook.classifiers import LinearClassifier, naive_bayes_fit, softmax_regression


def problem(m, n, K, batch=(), seed=0):
    """Return points (*batch, m, n) around class means one apart, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.broadcast_to(np.arange(m) % K, (*batch, m))
    y = rng.permuted(y, axis=-1)
    return rng.normal(size=(*batch, m, n)) + (y[..., None] == np.arange(n)) + 3, y


class TestNaiveBayes:
    def test_estimates_by_hand(self, xp):
        X = xp.asarray([[1.0, 2.0], [3.0, 2.0], [0.0, 5.0]])
        fit = naive_bayes_fit(X, xp.asarray([1, 1, 0]), 2, smoothing=0.25)
        np.testing.assert_allclose(to_host(fit.priors), [1 / 3, 2 / 3])
        np.testing.assert_allclose(to_host(fit.means), [[0, 5], [2, 2]])
        np.testing.assert_allclose(to_host(fit.variances), [2 / 3 + 0.25, 0.25])

    @settings(max_examples=25, deadline=None)
    @given(st.integers(2, 4), st.integers(1, 5), st.booleans(), st.integers(0, 99))
    def test_variances_pool_those_of_the_classes(self, K, n, unbiased, seed):
        X, y = problem(3 * K + 1, n, K, seed=seed)
        fit = naive_bayes_fit(X, y, K, unbiased=unbiased)
        pooled = sum(
            np.mean(y == k) * np.var(X[y == k], axis=0, ddof=int(unbiased)) for k in range(K)
        )
        np.testing.assert_allclose(fit.variances, pooled, rtol=1e-12)

    def test_the_rule_is_that_of_the_densities(self, xp):
        X, y = problem(40, 3, 3)
        fit = naive_bayes_fit(X, y, 3)
        density = norm(fit.means[:, None], np.sqrt(fit.variances)).logpdf(X).sum(-1)
        expected = density.T + np.log(fit.priors)
        rule = naive_bayes_fit(xp.asarray(X), xp.asarray(y), 3).classifier()
        scores = to_host(rule.scores(xp.asarray(X)))
        np.testing.assert_allclose(np.diff(scores), np.diff(expected), atol=1e-12)
        np.testing.assert_array_equal(
            to_host(rule.predict(xp.asarray(X))), np.argmax(expected, axis=1)
        )

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 99))
    def test_units_of_the_features_do_not_matter(self, seed):
        rng = np.random.default_rng(seed)
        X, y = problem(30, 4, 3, seed=seed)
        moved = X * np.exp(rng.normal(size=4)) + rng.normal(size=4)
        scores, other = (naive_bayes_fit(Z, y, 3).classifier().scores(Z) for Z in (X, moved))
        np.testing.assert_allclose(np.diff(scores), np.diff(other), atol=1e-9)

    def test_a_constant_feature_says_nothing(self):
        X, y = problem(30, 4, 3)
        with_constant = np.concatenate([np.full((30, 1), 0.1), X], axis=1)
        scores, other = (
            naive_bayes_fit(Z, y, 3, smoothing=1e-9).classifier().scores(Z)
            for Z in (X, with_constant)
        )
        np.testing.assert_allclose(np.diff(scores), np.diff(other), atol=1e-6)

    def test_a_batch_is_a_loop(self):
        X, y = problem(20, 3, 2, batch=(2, 3))
        fit = naive_bayes_fit(X, y, 2)
        one = naive_bayes_fit(X[1, 2], y[1, 2], 2)
        for batched, alone in zip(fit, one, strict=True):
            np.testing.assert_allclose(batched[1, 2], alone, rtol=1e-13)

    @pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 1e8 + 0.1, -7e-300, 0.0])
    @pytest.mark.parametrize("others", [1.0, 1e9])
    def test_a_feature_that_is_constant_in_each_class_has_no_variance(self, xp, value, others):
        rng = np.random.default_rng(0)
        X = others * rng.standard_normal((31, 2))
        y = np.arange(31) % 3
        X[:, 1] = value
        fitted = naive_bayes_fit(xp.asarray(X), xp.asarray(y), 3)
        assert float(fitted.variances[1]) == 0
        with pytest.raises(ValueError, match="^variances must be positive"):
            fitted.classifier()
        smooth = naive_bayes_fit(xp.asarray(X), xp.asarray(y), 3, smoothing=1e-30).classifier()
        assert np.all(to_host(smooth.weights)[:, 1] == 0)
        X[:, 1] = value * (1 + y)  # another constant in each class
        assert float(naive_bayes_fit(xp.asarray(X), xp.asarray(y), 3).variances[1]) == 0

    def test_far_from_the_origin_no_digit_of_a_variance_is_lost(self):
        X = np.array([[0.0], [1.0], [2.0], [5.0]])
        far = naive_bayes_fit(X + 2.0**40, np.array([0, 0, 1, 1]), 2)
        assert far.variances[0] == naive_bayes_fit(X, np.array([0, 0, 1, 1]), 2).variances[0]

    def test_zero_variance_is_refused(self):
        fit = naive_bayes_fit([[0.0], [1.0]], [0, 1], 2)
        with pytest.raises(ValueError, match="^variances"):
            fit.classifier()

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"X": [1.0, 2.0]}, "X"),
            ({"X": [[np.nan], [1.0]]}, "X"),
            ({"y": [0, 2]}, "y"),
            ({"y": [0.0, 1.0]}, "y"),
            ({"y": [0, 1, 1]}, "y"),
            ({"y": [0, 0]}, "y"),
            ({"unbiased": True}, "y"),
            ({"n_classes": 1}, "n_classes"),
            ({"smoothing": -1}, "smoothing"),
        ],
    )
    def test_bad_input_is_named(self, change, name):
        arguments = {"X": [[0.0], [1.0]], "y": [0, 1], "n_classes": 2} | change
        with pytest.raises(ValueError, match=f"^{name}"):
            naive_bayes_fit(**arguments)


class TestSoftmaxRegression:
    @pytest.mark.parametrize(("m", "n", "K"), [(60, 4, 3), (12, 30, 3), (50, 6, 2), (8, 20, 2)])
    @pytest.mark.parametrize("C", [0.1, 5.0])
    def test_agrees_with_scikit_learn(self, m, n, K, C, xp):
        X, y = problem(m, n, K)
        peer = LogisticRegression(C=2 * C if K == 2 else C, tol=1e-12, max_iter=100_000).fit(X, y)
        fit = softmax_regression(xp.asarray(X), xp.asarray(y), K, C=C, tol=1e-9)
        W, b = map(to_host, fit)
        if K == 2:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        np.testing.assert_allclose(W, peer.coef_, atol=2e-5)
        np.testing.assert_allclose(
            b - b.mean(), peer.intercept_ - peer.intercept_.mean(), atol=2e-4
        )

    @settings(max_examples=25, deadline=None)
    @given(st.integers(2, 4), st.integers(1, 20), st.floats(0.01, 100), st.integers(0, 99))
    def test_the_gradient_is_zero(self, K, n, C, seed):
        X, y = problem(12, n, K, seed=seed)
        fit = softmax_regression(X, y, K, C=C, tol=1e-9)
        scores = fit.scores(X)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        residual = p / p.sum(axis=1, keepdims=True) - np.eye(K)[y]
        np.testing.assert_allclose(residual.T @ X + fit.weights / C, 0, atol=1e-5)
        np.testing.assert_allclose(residual.sum(axis=0), 0, atol=1e-5)

    def test_badly_scaled_and_repeated_features(self):
        X, y = problem(40, 3, 2)
        X = np.concatenate([1e3 * X, X, X, np.ones((40, 1))], axis=1)
        fit = softmax_regression(X, y, 2, tol=1e-9)
        np.testing.assert_allclose(fit.weights[:, 3:6], fit.weights[:, 6:9], atol=1e-8)
        np.testing.assert_allclose(fit.weights[:, 9], 0, atol=1e-8)

    def test_a_batch_is_a_loop(self):
        X, y = problem(25, 4, 3, batch=(3,))
        batched = softmax_regression(X, y, 3, tol=1e-9)
        for r in range(3):
            alone = softmax_regression(X[r], y[r], 3, tol=1e-9)
            np.testing.assert_allclose(batched.weights[r], alone.weights, atol=1e-7)
            np.testing.assert_allclose(batched.intercepts[r], alone.intercepts, atol=1e-6)

    def test_missing_classes_are_left_out(self, xp):
        X, y = problem(60, 4, 5, batch=(2,))
        y[0][y[0] == 1] = 4
        y[1][y[1] == 3] = 0
        fit = softmax_regression(xp.asarray(X), xp.asarray(y), 5, tol=1e-9, allow_missing=True)
        W, b = map(to_host, fit)
        predicted = to_host(fit.predict(xp.asarray(X)))
        for r, missing in ((0, 1), (1, 3)):
            seen = np.arange(5) != missing
            peer = LogisticRegression(C=1.0, tol=1e-12, max_iter=100_000).fit(X[r], y[r])
            np.testing.assert_allclose(W[r][seen], peer.coef_, atol=2e-5)
            np.testing.assert_allclose(W[r][missing], 0, atol=1e-12)
            np.testing.assert_allclose(
                b[r][seen], peer.intercept_ - peer.intercept_.mean(), atol=2e-4
            )
            assert b[r][missing] == -np.inf
            np.testing.assert_array_equal(predicted[r], peer.predict(X[r]))

    def test_with_one_class_left_nothing_else_is_predicted(self):
        X, y = problem(10, 3, 4)
        fit = softmax_regression(X, np.full_like(y, 2), 4, allow_missing=True)
        assert np.all(fit.predict(X) == 2)
        assert np.all(fit.weights == 0)

    def test_without_missing_classes_to_allow_them_changes_nothing(self):
        X, y = problem(25, 4, 3)
        fits = [softmax_regression(X, y, 3, tol=1e-9, allow_missing=a) for a in (False, True)]
        for one, other in zip(*fits, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-9)

    @pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e8, 1e11])
    @pytest.mark.parametrize("copies", [1, 2, 5])  # fewer rows than columns, and more
    def test_small_directions_beside_large_ones_count(self, xp, size, copies):
        X = np.array([[a * size, b, 0, 0] for a in (1, -1) for b in (1, -1)] * copies, float)
        y = np.array([0, 1, 0, 1] * copies)
        W = to_host(softmax_regression(xp.asarray(X), xp.asarray(y), 2).weights)
        # the weight w of class 0 solves 4 copies / (1 + exp(2 w)) = w
        w = optimize.brentq(lambda w: 4 * copies / (1 + np.exp(2 * w)) - w, 0, 5)
        np.testing.assert_allclose(W, [[0, w, 0, 0], [0, -w, 0, 0]], atol=1e-6)
        if copies == 1:
            assert W[0, 1] == pytest.approx(0.7407744, abs=1e-6)

    @pytest.mark.parametrize("sizes", [(1e7, 1.0, 1.0), (1e8, 1e4, 1.0)])
    @pytest.mark.parametrize("m", [3, 4, 9, 60])
    def test_so_they_do_in_turned_coordinates(self, sizes, m):
        rng = np.random.default_rng(1)
        Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        Z = rng.standard_normal((m, 3)) * sizes
        y = np.arange(m) % 2
        straight, turned = (softmax_regression(X, y, 2, tol=1e-9) for X in (Z, Z @ Q.T))

        def objective(classifier, X):
            logits = classifier.scores(X)
            loss = np.sum(special.logsumexp(logits, axis=1) - logits[np.arange(m), y])
            return loss + np.sum(classifier.weights**2) / 2

        assert objective(turned, Z @ Q.T) == pytest.approx(objective(straight, Z), abs=1e-6)

    @pytest.mark.parametrize("C", [1.0, 1e6, 1e12])
    def test_points_without_doubt(self, xp, C):
        """The probabilities round to zero and one, and the Hessian with them."""
        X = np.array([[[-1e5], [1e5]], [[0.1], [-0.1]]])  # the second batch still learns
        fit = softmax_regression(xp.asarray(X), xp.asarray([[0, 1], [0, 1]]), 2, C=C)
        w, x = to_host(fit.weights)[:, 0, 0], X[:, 0, 0]
        gradient = 2 * x * special.expit(-2 * w * x) - w / C  # two points, two rows of weights
        assert np.all(np.abs(gradient) <= 1e-6 * np.abs(x))

    def test_too_few_iterations_are_an_error(self):
        with pytest.raises(RuntimeError, match="converged in 2"):
            softmax_regression(*problem(30, 5, 3), 3, max_iter=2)

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"X": [[[0.0], [1.0]]]}, "y"),
            ({"y": [0, -1]}, "y"),
            ({"C": 0}, "C"),
            ({"tol": 0}, "tol"),
            ({"max_iter": 0}, "max_iter"),
        ],
    )
    def test_bad_input_is_named(self, change, name):
        arguments = {"X": [[0.0], [1.0]], "y": [0, 1], "n_classes": 2} | change
        with pytest.raises(ValueError, match=f"^{name}"):
            softmax_regression(**arguments)


def test_prediction_takes_the_largest_score(xp):
    rule = LinearClassifier(xp.asarray([[1.0], [0.0], [-1.0]]), xp.asarray([0.0, 0.5, 0.0]))
    predicted = rule.predict(xp.asarray([[2.0], [0.0], [-2.0], [0.5]]))
    assert to_host(predicted).tolist() == [0, 1, 2, 0]
