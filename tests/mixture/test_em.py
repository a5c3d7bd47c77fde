"""GaussianMixture against scikit-learn, and the properties that EM must have."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from gaussbook.arrays import generator, to_host
from gaussbook.mixture import GaussianMixture, densities
from gaussbook.mixture.statistics import Expectation

TYPES = ("full", "tied", "diag", "spherical")
ALL_TYPES = pytest.mark.parametrize("covariance_type", TYPES)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def points(seed=0, n=1500, d=3, n_components=4, spread=3.0):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_components, d)) * spread
    roots = rng.normal(size=(n_components, d, d)) / np.sqrt(d) + np.eye(d)
    labels = rng.integers(0, n_components, n)
    x = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(n, d)))
    return x, means


def start(covariance_type, means):
    """Return one start, complete, for both implementations."""
    n_components, d = means.shape
    precisions = {
        "full": np.tile(np.eye(d), (n_components, 1, 1)),
        "tied": np.eye(d),
        "diag": np.ones((n_components, d)),
        "spherical": np.ones(n_components),
    }[covariance_type]
    return {
        "covariance_type": covariance_type,
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": means,
        "precisions_init": precisions,
    }


def assert_same_fit(ours, peer, tolerance=1e-9):
    assert ours.n_iter_ == peer.n_iter_
    assert ours.converged_ == peer.converged_
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-8)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        theirs = getattr(peer, name)
        np.testing.assert_allclose(
            getattr(ours, name), theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max()
        )


@ALL_TYPES
@pytest.mark.parametrize(("d", "n_components"), [(1, 1), (1, 3), (3, 3), (3, 4), (40, 2)])
def test_the_same_fit_as_scikit_learn(covariance_type, d, n_components):
    x, means = points(d=d, n_components=n_components)
    arguments = start(covariance_type, means + 0.3) | {"max_iter": 25, "tol": 1e-6}
    ours = GaussianMixture(n_components, **arguments).fit(x)
    peer = Peer(n_components, **arguments).fit(x)
    assert_same_fit(ours, peer)
    np.testing.assert_allclose(ours.score_samples(x), peer.score_samples(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(x), peer.predict_proba(x), atol=1e-8)
    np.testing.assert_array_equal(ours.predict(x), peer.predict(x))
    assert ours.score(x) == pytest.approx(peer.score(x), abs=1e-8)
    assert ours.bic(x) == pytest.approx(peer.bic(x), rel=1e-10)
    assert ours.aic(x) == pytest.approx(peer.aic(x), rel=1e-10)
    assert ours.lower_bounds_ == pytest.approx(peer.lower_bounds_, abs=1e-8)


@ALL_TYPES
def test_starting_from_k_means_as_scikit_learn(covariance_type):
    # Well separated clusters: both k-means find them, so both starts are the same.
    x, _ = points(spread=30.0)
    arguments = {"covariance_type": covariance_type, "tol": 1e-9, "max_iter": 500}
    peer = Peer(4, **arguments, random_state=0, n_init=3).fit(x)
    for init_params in ("kmeans", "k-means++"):
        ours = GaussianMixture(4, **arguments, init_params=init_params).fit(x)
        assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-7)


@ALL_TYPES
@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_components_that_are_narrow_against_their_distance(covariance_type, offset):
    # Where expanding squares loses all digits: the other path must take over.
    rng = np.random.default_rng(1)
    means = np.array([[0.0, 0.0], [offset, 3.0], [-offset, offset]])
    x = np.repeat(means, 300, axis=0) + rng.normal(size=(900, 2))
    arguments = start(covariance_type, means + 0.5) | {"max_iter": 4, "tol": 0}
    ours = GaussianMixture(3, **arguments).fit(x)
    white = [x[300 * k : 300 * (k + 1)] - means[k] for k in range(3)]
    within = np.stack([np.cov(w.T, bias=True) for w in white]) + 1e-6 * np.eye(2)
    expected = {
        "full": within,
        "tied": within.mean(axis=0),
        "diag": np.diagonal(within, axis1=1, axis2=2),
        "spherical": np.trace(within, axis1=1, axis2=2) / 2,
    }[covariance_type]
    np.testing.assert_allclose(ours.covariances_, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_the_step_in_which_components_become_narrow(covariance_type):
    # The E-step's components are wide, so sums about one common point are good enough for it, but
    # not for the M-step's variances.
    rng = np.random.default_rng(2)
    means = np.array([[-1.0, 2.0], [1.0, -1.0]])
    x = np.repeat(means, 500, axis=0) + 1e-5 * rng.normal(size=(1000, 2))
    arguments = start(covariance_type, means) | {"max_iter": 1, "reg_covar": 0}
    arguments["precisions_init"] = 20 * arguments["precisions_init"]
    ours = GaussianMixture(2, **arguments).fit(x)
    expected = np.stack([np.cov(x[:500].T, bias=True), np.cov(x[500:].T, bias=True)])
    if covariance_type == "diag":
        expected = np.diagonal(expected, axis1=1, axis2=2)
    np.testing.assert_allclose(ours.covariances_, expected, rtol=1e-9, atol=1e-19)


def test_the_step_in_which_components_become_flat():
    # Variances keep their digits here, but the smallest eigenvalue would not.
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 1000))
    x = np.stack([first, first + 1e-4 * second], axis=1)
    x[:500] -= 100.0
    x[500:] += 100.0
    arguments = start("full", np.array([[-100.0, -100.0], [100.0, 100.0]]))
    ours = GaussianMixture(2, **arguments, max_iter=1, reg_covar=0).fit(x)
    for rows, covariance in zip((x[:500], x[500:]), ours.covariances_, strict=True):
        smallest = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[0]
        assert np.linalg.eigvalsh(covariance)[0] == pytest.approx(smallest, rel=1e-6)


def test_a_step_that_takes_narrow_components_far():
    rng = np.random.default_rng(4)
    means = np.array([[-1e6], [1e6]])
    x = np.repeat(means + 1e3, 500, axis=0) + 1e-3 * rng.normal(size=(1000, 1))
    ours = GaussianMixture(2, **start("diag", means), max_iter=1, reg_covar=0).fit(x)
    expected = [[x[:500].var()], [x[500:].var()]]
    np.testing.assert_allclose(ours.covariances_, expected, rtol=1e-9)


@pytest.mark.parametrize("tol", [1e-2, 3e-3, 1e-3, 1e-4])
def test_it_ends_when_scikit_learn_does(tol):
    x, means = points(n_components=4, spread=0.5)  # slow: an iteration gains little
    arguments = start("spherical", means) | {"max_iter": 500, "tol": tol}
    assert_same_fit(GaussianMixture(4, **arguments).fit(x), Peer(4, **arguments).fit(x), 1e-7)


@ALL_TYPES
def test_k_means_start_far_from_the_origin(covariance_type):
    x, _ = points(spread=30.0)
    near = GaussianMixture(4, covariance_type=covariance_type).fit(x)
    far = GaussianMixture(4, covariance_type=covariance_type).fit(x + 1e6)
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-6, atol=1e-6)
    assert far.lower_bound_ == pytest.approx(near.lower_bound_, abs=1e-7)


@ALL_TYPES
def test_weights_count_points(covariance_type):
    x, means = points(n=400)
    weight = np.random.default_rng(2).integers(0, 4, 400)
    arguments = start(covariance_type, means) | {"max_iter": 10, "tol": 0}
    weighted = GaussianMixture(4, **arguments).fit(x, sample_weight=weight)
    repeated = GaussianMixture(4, **arguments).fit(np.repeat(x, weight, axis=0))
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, abs=1e-10)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, atol=1e-8)
    doubled = GaussianMixture(4, **arguments).fit(x, sample_weight=2.0 * weight)
    np.testing.assert_allclose(weighted.means_, doubled.means_, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.booleans())
def test_em_is_monotone(seed, covariance_type, far):
    x, means = points(seed, n=150, d=2, n_components=3, spread=1.0)
    if far:
        x, means = x * np.array([1.0, 1e-3]) + 1e4, means * np.array([1.0, 1e-3]) + 1e4
    scale = np.array([1.0, 1e3]) if far else np.ones(2)
    arguments = start(covariance_type, means)
    if covariance_type == "diag":
        arguments["precisions_init"] = arguments["precisions_init"] * scale**2
    mixture = GaussianMixture(3, max_iter=30, tol=0, reg_covar=0, **arguments)
    try:
        mixture.fit(x)
    except ValueError as error:
        assert "collapsed" in str(error)
        return
    steps = np.diff(mixture.lower_bounds_)
    assert steps.min() > -1e-9
    assert mixture.score(x) >= mixture.lower_bound_ - 1e-9


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("reg_covar", [1e-320, 5e-324, 1e-300])
def test_a_variance_whose_inverse_is_no_number(covariance_type, reg_covar, xp):
    x = xp.asarray([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    means = xp.asarray([[0.0, 0.0], [1.0, 1.0]])
    kinds = {"covariance_type": covariance_type, "reg_covar": reg_covar}
    mixture = GaussianMixture(2, **kinds, means_init=means)
    if reg_covar < 1e-308:
        with pytest.raises(ValueError, match="collapsed"):
            mixture.fit(x)
    else:
        assert np.all(np.isfinite(to_host(mixture.fit(x).precisions_)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.floats(-50, 50))
def test_permutation_and_shift_invariance(seed, covariance_type, shift):
    x, means = points(seed, n=120, d=2, n_components=3)
    rng = np.random.default_rng(seed)
    rows, order = rng.permutation(120), rng.permutation(3)
    arguments = {"max_iter": 8, "tol": 0}
    plain = GaussianMixture(3, **start(covariance_type, means), **arguments).fit(x)
    moved = GaussianMixture(3, **start(covariance_type, means[order] + shift), **arguments)
    moved.fit(x[rows] + shift)
    assert moved.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)
    np.testing.assert_allclose(moved.means_ - shift, plain.means_[order], atol=1e-6)


@ALL_TYPES
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random"])
def test_a_weight_of_zero_is_no_point_and_weights_have_no_unit(covariance_type, init_params):
    x, _ = points(n=300)
    weight = np.random.default_rng(1).exponential(size=300)
    weight[::3] = 0.0
    arguments = {"covariance_type": covariance_type, "init_params": init_params, "tol": 1e-6}
    arguments |= {"n_components": 3, "init_size": 90, "max_iter": 30}
    there = weight > 0
    alone = GaussianMixture(**arguments).fit(x[there], sample_weight=weight[there])
    for far in (1e6, 1e200):  # where the point would overflow, if it were there
        x[~there] = far
        for scale in (1.0, 1e-18, 1e-300, 1e300):
            fitted = GaussianMixture(**arguments).fit(x, sample_weight=scale * weight)
            np.testing.assert_allclose(fitted.means_, alone.means_, rtol=1e-7, atol=1e-9)
            assert fitted.lower_bound_ == pytest.approx(alone.lower_bound_, abs=1e-9)
    with pytest.raises(ValueError, match="^X has 2 rows"):
        GaussianMixture(3).fit(x, sample_weight=np.arange(300) < 2)


@ALL_TYPES
def test_minimum_covariance(covariance_type):
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=(200, 2)), 20 + 1e-4 * rng.normal(size=(200, 2))])
    arguments = {"covariance_type": covariance_type, "reg_covar": 0}
    mixture = GaussianMixture(2, min_covariance=0.5, **arguments).fit(x)
    covariances = mixture._parameters().component_covariances()
    if covariances.ndim == 2:
        covariances = np.stack([np.diag(c) for c in covariances])
    assert np.linalg.eigvalsh(covariances).min() >= 0.5 - 1e-12
    narrow = {"full": 2, "tied": 0, "diag": 2, "spherical": 1}[covariance_type]
    assert mixture.n_floored_ >= narrow
    assert GaussianMixture(2, min_covariance=1e-12, **arguments).fit(x).n_floored_ == 0


@ALL_TYPES
def test_dead_components_are_reseeded_on_request(covariance_type):
    x, means = points(n_components=3, spread=10.0)
    bad = np.concatenate([means[:2], [[1e3, 1e3, 1e3]]])
    arguments = start(covariance_type, bad) | {"max_iter": 200, "tol": 1e-7}
    left = GaussianMixture(3, **arguments).fit(x)
    assert left.reseeded_ == []
    mixture = GaussianMixture(3, reseed_below=1e-3, **arguments).fit(x)
    assert mixture.reseeded_[0] == (1, 2)
    assert mixture.weights_.min() > 0.05
    assert mixture.lower_bound_ > left.lower_bound_ + 0.05


def test_every_reseeding_is_reported():
    x, means = points(n_components=3)
    bad = np.concatenate([means[:1], np.full((2, 3), 1e3)])
    mixture = GaussianMixture(3, **start("full", bad), reseed_below=0.3, max_iter=6, tol=0).fit(x)
    assert mixture.reseeded_[:2] == [(1, 1), (1, 2)]
    assert mixture.reseeded_ == sorted(mixture.reseeded_)
    assert len({iteration for iteration, _ in mixture.reseeded_}) > 1


def test_collapse_is_an_error_that_says_what_to_do():
    x = np.concatenate([np.zeros((10, 2)), np.ones((10, 2))])
    with pytest.raises(ValueError, match=r"^reg_covar is too small"):
        GaussianMixture(2, reg_covar=0).fit(x)
    assert np.isfinite(GaussianMixture(2).fit(x).lower_bound_)


def test_warm_start_goes_on():
    x, means = points()
    arguments = start("full", means + 1.0)
    whole = GaussianMixture(4, max_iter=12, tol=0, **arguments).fit(x)
    parts = GaussianMixture(4, max_iter=4, tol=0, warm_start=True, **arguments)
    for _ in range(3):
        parts.fit(x)
    np.testing.assert_allclose(parts.means_, whole.means_, atol=1e-12)
    with pytest.raises(ValueError, match=r"^X has 2 columns"):
        parts.fit(x[:, :2])


def test_more_starts_are_no_worse():
    x, _ = points(n_components=8, spread=1.5)
    arguments = {"init_params": "random", "max_iter": 20, "tol": 1e-9}
    one = GaussianMixture(5, **arguments, random_state=generator(1)).fit(x)
    more = GaussianMixture(5, **arguments, n_init=4, random_state=generator(1)).fit(x)
    assert more.lower_bound_ >= one.lower_bound_


def test_init_size_uses_some_rows_only():
    x, _ = points(spread=30.0)
    some = GaussianMixture(4, init_size=200).fit(x)
    np.testing.assert_allclose(
        np.sort(some.means_, axis=0), np.sort(GaussianMixture(4).fit(x).means_, axis=0), atol=1e-6
    )


def test_fits_are_reproducible_and_warn_when_they_end_early():
    x, _ = points()
    with pytest.warns(ConvergenceWarning, match="not converged in 2"):
        first = GaussianMixture(4, max_iter=2, random_state=7).fit(x)
    again = GaussianMixture(4, max_iter=2, random_state=7).fit(x)
    np.testing.assert_array_equal(first.means_, again.means_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(4, tol=0.5).fit(x)


@ALL_TYPES
def test_samples_follow_the_mixture(covariance_type):
    x, means = points(spread=2.0)
    mixture = GaussianMixture(4, covariance_type=covariance_type, means_init=means).fit(x)
    drawn, labels = mixture.sample(100_000, random_state=1)
    assert np.bincount(labels) / 100_000 == pytest.approx(mixture.weights_, abs=0.01)
    covariances = mixture._parameters().component_covariances()
    for k in range(4):
        own = drawn[labels == k]
        expected = covariances[k] if covariances.ndim == 3 else np.diag(covariances[k])
        np.testing.assert_allclose(own.mean(axis=0), mixture.means_[k], atol=0.1)
        np.testing.assert_allclose(np.cov(own.T), expected, atol=0.15 * expected.max())
    np.testing.assert_array_equal(mixture.sample(5)[0], mixture.sample(5)[0])


def test_scikit_learns_tools_work():
    mixture = GaussianMixture(3, covariance_type="diag", tol=0.1)
    copy = clone(mixture)
    assert copy is not mixture
    assert copy.get_params() == mixture.get_params()
    assert repr(copy) == "GaussianMixture(covariance_type='diag', n_components=3, tol=0.1)"
    assert copy.set_params(n_components=2).n_components == 2
    with pytest.raises(ValueError, match=r"^Invalid parameter 'components'"):
        copy.set_params(components=2)
    x, _ = points()
    fitted = pickle.loads(pickle.dumps(mixture.fit(x)))
    np.testing.assert_array_equal(fitted.predict(x), mixture.fit_predict(x))


# Checks of scikit-learn that we fail on purpose: data are refused in our words, which name the
# argument, and an array of objects is no array of numbers.
REFUSED = {
    "check_complex_data": "X must hold real numbers",
    "check_dtype_object": "X must hold real numbers",
    "check_estimators_empty_data_messages": "X is empty",
    "check_fit2d_predict1d": "X must have 2 dimension",
}


@parametrize_with_checks([GaussianMixture()], expected_failed_checks=lambda estimator: REFUSED)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_model_selection_works():
    x, _ = points(n=400)
    grid = {"gaussianmixture__n_components": [1, 2, 4]}
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(covariance_type="diag"))
    search = GridSearchCV(pipeline, grid).fit(x)
    assert search.best_params_ == {"gaussianmixture__n_components": 4}
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    scores = cross_val_score(GaussianMixture(2), x, cv=4)
    assert scores.shape == (4,) and np.all(np.isfinite(scores))
    with pytest.raises(NotFittedError):
        check_is_fitted(GaussianMixture())
    check_is_fitted(GaussianMixture().fit(x))


def test_lists_are_points(x=((0.0, 1.0), (2.0, 3.0), (1.0, 0.0), (5.0, 4.0))):
    rows, mixture = [list(row) for row in x], GaussianMixture(1)
    mixture.fit(rows, sample_weight=[1, 2, 1, 1])
    for name in ("predict", "predict_proba", "score_samples", "score", "bic", "aic"):
        method = getattr(mixture, name)
        np.testing.assert_array_equal(method(rows), method(np.array(rows)))


@ALL_TYPES
@pytest.mark.parametrize("init_params", ["kmeans", "random"])
def test_same_in_every_namespace(covariance_type, init_params, xp):
    host, _ = points(n=400, d=2)
    arguments = {
        "covariance_type": covariance_type,
        "init_params": init_params,
        "max_iter": 5,
        "min_covariance": 0.1,
        "reseed_below": 0.01,
    }
    theirs = GaussianMixture(3, **arguments).fit(host)
    x = xp.asarray(host)
    ours = GaussianMixture(3, **arguments).fit(x, sample_weight=xp.ones(400))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        value = getattr(ours, name)
        assert isinstance(value, type(x))
        np.testing.assert_allclose(to_host(value), getattr(theirs, name), rtol=1e-10, atol=1e-12)
    for method in ("predict", "predict_proba", "score_samples"):
        value = getattr(ours, method)(x)
        assert isinstance(value, type(x))
        np.testing.assert_allclose(to_host(value), getattr(theirs, method)(host), atol=1e-10)
    for method in ("score", "bic", "aic"):
        assert getattr(ours, method)(x) == pytest.approx(getattr(theirs, method)(host))
    assert isinstance(ours.sample(3)[0], type(x))
    labels = GaussianMixture(3, **arguments).fit_predict(x)
    np.testing.assert_array_equal(to_host(labels), theirs.predict(host))


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_on_a_gpu_the_kernel_serves_where_no_square_is_expanded(covariance_type, monkeypatch):
    x, means = points(spread=1e5)
    arguments = start(covariance_type, means) | {"max_iter": 3}
    plain = GaussianMixture(4, **arguments).fit(x)
    calls = []

    def kernel(x, gaussians):
        calls.append(x.shape)
        return densities._posterior_arrays(x, gaussians)

    monkeypatch.setattr(densities, "is_cupy_array", lambda array: True)
    monkeypatch.setattr(densities, "_posterior_kernel", kernel)
    fitted = GaussianMixture(4, **arguments).fit(x)
    assert sum(n for n, _ in calls) >= 3 * len(x)
    np.testing.assert_allclose(fitted.means_, plain.means_, rtol=1e-12)
    calls.clear()
    np.testing.assert_allclose(fitted.predict_proba(x), plain.predict_proba(x), atol=1e-12)
    np.testing.assert_allclose(fitted.score_samples(x), plain.score_samples(x), rtol=1e-12)
    assert sum(n for n, _ in calls) == 4 * len(x)  # both mixtures, both methods
    near = GaussianMixture(4, max_iter=2).fit(points()[0])
    calls.clear()
    near.predict_proba(points()[0])
    assert not calls  # one product of matrices is enough


@pytest.mark.gpu
@pytest.mark.parametrize("spread", [3.0, 1e5])
def test_a_gpu_finds_the_same_mixture(gpu, spread):
    x, means = points(spread=spread)
    on_host = GaussianMixture(4, **start("full", means), max_iter=5).fit(x)
    fitted = GaussianMixture(4, **start("full", means), max_iter=5).fit(gpu.asarray(x))
    np.testing.assert_allclose(fitted.means_.get(), on_host.means_, rtol=1e-8)
    shares = fitted.predict_proba(gpu.asarray(x)).get()
    np.testing.assert_allclose(shares, on_host.predict_proba(x), atol=1e-7)


def test_float32_points_are_summed_in_float64():
    x, means = points()
    x = x.astype(np.float32)
    single = GaussianMixture(4, **start("full", means), max_iter=5).fit(x)
    double = GaussianMixture(4, **start("full", means), max_iter=5).fit(x.astype(np.float64))
    np.testing.assert_allclose(single.covariances_, double.covariances_, atol=1e-12)
    assert single.means_.dtype == np.float64


def test_no_array_of_n_times_k_is_made(monkeypatch):
    x, means = points(n=5000)
    largest = 0
    step = Expectation.shares

    def spy(self, columns, features, first_row):
        nonlocal largest
        largest = max(largest, columns.shape[1])
        return step(self, columns, features, first_row)

    monkeypatch.setattr("gaussbook.mixture.densities._CACHE_ELEMENTS", 2048)
    monkeypatch.setattr(Expectation, "shares", spy)
    GaussianMixture(4, **start("full", means), max_iter=2).fit(x)
    assert 0 < largest < 1000


X = points(n=50, d=2)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", 0),
        ("n_components", 2.0),
        ("covariance_type", "banded"),
        ("init_params", "guess"),
        ("tol", -1e-3),
        ("tol", np.nan),
        ("reg_covar", -1.0),
        ("max_iter", 0),
        ("n_init", 0),
        ("min_covariance", 0.0),
        ("reseed_below", 0.5),
        ("init_size", 1),
        ("random_state", -1),
        ("random_state", None),
        ("weights_init", [0.5, 0.6]),
        ("weights_init", [1.5, -0.5]),
        ("weights_init", [1.0]),
        ("means_init", np.zeros((2, 3))),
        ("means_init", [[np.nan, 0.0], [0.0, 0.0]]),
        ("precisions_init", np.zeros((2, 2, 2))),
        ("precisions_init", -np.tile(np.eye(2), (2, 1, 1))),
        ("precisions_init", np.ones((2, 2))),
    ],
)
def test_bad_setting_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        GaussianMixture(**({"n_components": 2} | {name: value})).fit(X)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("X", {"X": X[0]}),
        ("X", {"X": X[:1]}),
        ("X", {"X": np.where(X > 1, np.nan, X)}),
        ("X", {"X": "points"}),
        ("sample_weight", {"X": X, "sample_weight": np.ones(3)}),
        ("sample_weight", {"X": X, "sample_weight": -np.ones(50)}),
        ("sample_weight", {"X": X, "sample_weight": np.zeros(50)}),
    ],
)
def test_bad_data_is_named(name, arguments):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        GaussianMixture(2).fit(**arguments)


def test_bad_use_of_a_fit():
    with pytest.raises(ValueError, match="not fitted yet"):
        GaussianMixture(2).predict(X)
    fitted = GaussianMixture(2).fit(X)
    with pytest.raises(ValueError, match=r"^X has 5 features"):
        fitted.score_samples(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"^n_samples"):
        fitted.sample(0)
