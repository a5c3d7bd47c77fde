"""A made-up service against the laws that its description states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gaussbook.arrays import generator, to_host
from gaussbook.traces import DAY, INDICATORS, service_trace

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
