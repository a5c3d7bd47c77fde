"""A made-up service against the laws that its description states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gaussbook.arrays import generator, to_host
from gaussbook.traces import DAY, INDICATORS, clock, lagged, ridge_forecast, service_trace

LOAD = list(INDICATORS).index("load A")


def trace(seed=0, steps=120 * DAY, shift=None):
    return to_host(service_trace(generator(seed), steps, shift))


def test_a_seed_gives_one_trace_with_a_column_for_each_indicator():
    X = trace(steps=300)
    assert X.shape == (300, len(INDICATORS)) and np.all(np.isfinite(X))
    assert_array_equal(X, trace(steps=300))
    assert not np.array_equal(X, trace(1, steps=300))
    assert set(INDICATORS.values()) == {1, 2, 3}


def test_the_past_does_not_know_of_the_shift():
    calm, shifted = trace(), trace(shift=60 * DAY)
    first = 60 * DAY
    changed = [
        k for k in range(calm.shape[1]) if not np.array_equal(calm[:first, k], shifted[:first, k])
    ]
    # sizes of bursts are drawn in the same order, whatever their number
    assert changed == []
    assert shifted[first:, LOAD].mean() > 1.2 * calm[first:, LOAD].mean()


def test_the_processors_follow_the_requests_with_lognormal_noise():
    X, columns = trace(), list(INDICATORS)
    rate, cpu = X[:, columns.index("rate A")], X[:, columns.index("CPU A")]
    noise = np.log(cpu[1:] / (0.6 * rate[1:] + 0.3 * rate[:-1]))
    assert_allclose([noise.mean(), noise.std()], [0, 0.25], atol=0.006)


def test_the_load_is_the_average_of_a_queue():
    X, columns = trace(), list(INDICATORS)
    rho = np.minimum(0.95, X[:, columns.index("CPU A")] / 5)
    load = X[:, LOAD]
    assert_allclose(load[1:], 0.7 * load[:-1] + 0.3 * (rho / (1 - rho))[1:], rtol=1e-12)
    centred = load - load.mean()
    lag = np.mean(centred[1:] * centred[:-1]) / centred.var()
    assert 0.85 < lag < 0.95  # the published traces have 0.90
    assert np.mean(centred**3) / centred.std() ** 3 > 3


@pytest.mark.parametrize(("steps", "shift"), [(0, None), (1.5, None), (10, -1), (10, 2.5)])
def test_bad_lengths_are_named(steps, shift):
    with pytest.raises(ValueError, match=r"steps|shift"):
        service_trace(generator(0), steps, shift)


def test_the_clock_turns_once_a_day():
    hours = to_host(clock(2 * DAY))
    assert_allclose(hours[:DAY], hours[DAY:], atol=1e-12)
    assert_allclose(hours[[0, DAY // 4, DAY // 2]], [[0, 1], [1, 0], [0, -1]], atol=1e-12)


def test_windows_end_just_before_their_step(xp):
    X = np.arange(20.0).reshape(10, 2)
    windows = to_host(lagged(xp.asarray(X), 3, 4))
    assert windows.shape == (6, 2, 3)
    for k, t in enumerate(range(4, 10)):
        assert_array_equal(windows[k], X[t - 3 : t].T)


def test_the_forecast_is_scikit_learns_ridge(xp):
    from sklearn.linear_model import Ridge

    X, n_train, lags = trace(steps=400)[:, :4], 300, 2
    A = np.concatenate([X[1:-1], X[:-2], to_host(clock(400))[2:], np.ones((398, 1))], axis=1)
    peer = Ridge(0.3, fit_intercept=False).fit(A[: n_train - lags], X[lags:n_train])
    found = to_host(ridge_forecast(xp.asarray(X), n_train, lags, 0.3))
    assert_allclose(found[lags:], peer.predict(A), atol=1e-9)
    assert_array_equal(found[:lags], X[:lags])


def test_the_forecast_does_not_see_its_own_step():
    X = trace(steps=400)
    other = X.copy()
    other[350] *= 10
    same = to_host(ridge_forecast(X, 300)) == to_host(ridge_forecast(other, 300))
    assert np.all(same[:351]) and not np.all(same[351])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda X: clock(0), "steps"),
        (lambda X: clock(5, 0), "period"),
        (lambda X: lagged(X[0], 2, 3), "X"),
        (lambda X: lagged(X, 0, 3), "width"),
        (lambda X: lagged(X, 4, 3), "first"),
        (lambda X: lagged(X, 4, 30), "first"),
        (lambda X: ridge_forecast(X * np.nan, 20), "X"),
        (lambda X: ridge_forecast(X, 6), "n_train"),
        (lambda X: ridge_forecast(X, 30), "n_train"),
        (lambda X: ridge_forecast(X, 20, 0), "lags"),
        (lambda X: ridge_forecast(X, 20, ridge=0), "ridge"),
    ],
)
def test_bad_arguments_are_named(call, name):
    with pytest.raises(ValueError, match=name):
        call(np.ones((30, 2)))
