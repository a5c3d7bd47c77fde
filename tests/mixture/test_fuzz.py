"""Whatever comes in, the answer is finite or a ValueError: never a silent NaN or a crash."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gaussbook.arrays import generator
from gaussbook.mixture import (
    GaussianMixture,
    assign,
    component_log_densities,
    conditional,
    k_means,
    marginal,
    moments,
    posterior,
    product,
    sample_conditional,
)

QUICK = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # fmt: skip

NUMBERS = st.one_of(
    st.floats(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-300, 5e-324, 1e150, 1e-150, 1e8, 1e-9, 1e308]),
    st.sampled_from([np.nan, np.inf, -np.inf]),
)
JUNK = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(-3, 3),
    st.booleans(),
    NUMBERS,
    st.lists(st.lists(st.integers(-2, 2), max_size=3), max_size=3),
    arrays(float, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), elements=NUMBERS),
    arrays(complex, (2, 2)),
    arrays("U1", (2, 2)),
    arrays(np.float32, (4, 2), elements=st.floats(-3, 3, width=32)),
    arrays(np.int8, (4, 2)),
    arrays(bool, (4, 2)),
)


def sensible(rng, n_components, d, full):
    """Return a good mixture, so that one bad argument at a time can take a place in it."""
    root = rng.normal(size=(n_components, d, d + 1))
    covariances = root @ root.transpose(0, 2, 1)
    if not full:
        covariances = np.diagonal(covariances, axis1=1, axis2=2).copy()
    return rng.normal(size=n_components), rng.normal(size=(n_components, d)), covariances


@st.composite
def calls(draw, arguments):
    """Draw arguments of which one or two are spoiled: entirely, or in one entry."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spoiled = dict(arguments(rng, draw(st.booleans())))
    for name in draw(
        st.lists(st.sampled_from(sorted(spoiled)), min_size=1, max_size=2, unique=True)
    ):
        value = spoiled[name]
        if isinstance(value, np.ndarray) and value.size and draw(st.booleans()):
            value = value.copy()
            value.reshape(-1)[draw(st.integers(0, value.size - 1))] = draw(NUMBERS)
            spoiled[name] = value
        else:
            spoiled[name] = draw(JUNK)
    return spoiled


def finite_or_refused(function, arguments, infinite=()):
    """Call; allow -inf only in the results named by their position."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            results = function(**arguments)
        except ValueError as error:
            assert str(error)
            return
    results = results if isinstance(results, tuple) else (results,)
    for i, result in enumerate(results):
        result = np.asarray(result, dtype=float)
        assert not np.any(np.isnan(result))
        assert i in infinite or np.all(np.isfinite(result))


def density_arguments(rng, full):
    log_weights, means, covariances = sensible(rng, 3, 2, full)
    x = rng.normal(size=(4, 2))
    return {"x": x, "log_weights": log_weights, "means": means, "covariances": covariances}


@QUICK
@given(calls(density_arguments))
def test_densities(arguments):
    finite_or_refused(posterior, arguments)
    del arguments["log_weights"]
    finite_or_refused(component_log_densities, arguments)


def cluster_arguments(rng, full):
    return {
        "x": rng.normal(size=(5, 2)),
        "n_clusters": 2,
        "init": rng.normal(size=(2, 2)) if full else None,
        "n_init": 2,
        "max_iter": 5,
        "tol": 0.01,
        "seed": 0,
        "sample_weight": rng.exponential(size=5),
    }


@QUICK
@given(calls(cluster_arguments))
def test_kmeans(arguments):
    finite_or_refused(k_means, arguments)
    finite_or_refused(assign, {"x": arguments["x"], "centres": np.eye(2)})
    finite_or_refused(assign, {"x": np.eye(2), "centres": arguments["x"]})


def fit_arguments(rng, full):
    settings = {
        "n_components": 2,
        "covariance_type": "full" if full else "diag",
        "tol": 0.01,
        "reg_covar": 1e-6,
        "max_iter": 3,
        "n_init": 1,
        "init_params": "kmeans",
        "weights_init": np.array([0.5, 0.5]),
        "means_init": rng.normal(size=(2, 2)),
        "precisions_init": np.tile(np.eye(2), (2, 1, 1)) if full else np.ones((2, 2)),
        "random_state": 0,
        "min_covariance": None,
        "reseed_below": None,
        "init_size": None,
    }
    return settings | {"X": rng.normal(size=(6, 2)), "sample_weight": rng.exponential(size=6)}


def fit(X, sample_weight, **arguments):
    mixture = GaussianMixture(**arguments).fit(X, sample_weight=sample_weight)
    fitted = (mixture.weights_, mixture.means_, mixture.covariances_, mixture.precisions_)
    return *fitted, mixture.lower_bound_, mixture.score_samples(X), mixture.sample(3)[0]


@QUICK
@given(calls(fit_arguments))
def test_gaussian_mixture(arguments):
    finite_or_refused(fit, arguments)


def algebra_arguments(rng, full):
    law = dict(zip("lmc", sensible(rng, 2, 3, full), strict=True))
    other = dict(zip("nop", sensible(rng, 3, 3, full), strict=True))
    return law | other | {"given": [2, 0], "values": rng.normal(size=(2, 2))}


@QUICK
@given(calls(algebra_arguments))
def test_algebra(arguments):
    l, m, c, n, o, p, given, values = (arguments[k] for k in [*"lmcnop", "given", "values"])  # noqa: E741
    absent = np.any(np.isneginf(_numbers(l))) or np.any(np.isneginf(_numbers(n)))
    # some 1e150 standard deviations away, a log-density is below all float64 numbers
    with np.errstate(over="ignore"):
        far = _largest(m, n, values) / np.sqrt(_smallest(c, p)) > 1e148
    infinite = (0,) if absent or far else ()
    finite_or_refused(lambda: marginal(l, m, c, given), {}, infinite)
    finite_or_refused(lambda: conditional(l, m, c, given, values), {}, infinite)
    finite_or_refused(lambda: product(l, m, c, n, o, p), {}, infinite)
    finite_or_refused(lambda: moments(l, m, c), {})
    finite_or_refused(lambda: sample_conditional(l, m, c, given, values, generator(0)), {})


def _numbers(value):
    try:
        return np.asarray(value).astype(float, casting="same_kind")
    except (TypeError, ValueError):
        return np.zeros(1)


def _largest(*arguments):
    return max(np.max(np.abs(_numbers(v)), initial=1.0) for v in arguments)


def _smallest(*variances):
    return min(np.min(v[v > 0], initial=1.0) for v in map(_numbers, variances))


def test_the_fuzz_can_fail():
    with pytest.raises(AssertionError):
        finite_or_refused(lambda: np.log(np.zeros(1)), {})
