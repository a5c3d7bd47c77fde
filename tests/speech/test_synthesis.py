"""Synthesis against SciPy's filter and plain sums; the pitch of known sounds."""

import numpy as np
import pytest
from scipy.signal import lfilter

from gaussbook.arrays import to_host
from gaussbook.speech import all_pole_filter, harmonics, pitch, resonators

RATE = 10_000
A = resonators(np.asarray([[500.0, 1500.0], [700.0, 1100.0]]), np.full((2, 2), 60.0), RATE)


class TestAllPoleFilter:
    def test_one_filter_is_scipys(self, xp):
        x = np.random.default_rng(0).standard_normal(100)
        for rows in (A[:1], np.repeat(A[:1], 4, axis=0)):
            y = all_pole_filter(xp.asarray(x), xp.asarray(rows), 25)
            np.testing.assert_allclose(y, lfilter([1.0], rows[0], x), atol=1e-12)

    def test_a_change_of_filter_carries_the_state(self):
        x = np.random.default_rng(0).standard_normal(60)
        y = all_pole_filter(x, A, 30)
        first, state = lfilter([1.0], A[0], x[:30], zi=np.zeros(4))
        second, _ = lfilter([1.0], A[1], x[30:], zi=state)
        np.testing.assert_allclose(y, np.concatenate([first, second]), atol=1e-12)

    @pytest.mark.parametrize(
        ("polynomials", "hop", "name"),
        [(A, 60, "polynomials"), (2 * A, 10, "polynomials"), (A, 0, "hop")],
    )
    def test_refuses_misfits(self, polynomials, hop, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            all_pole_filter(np.ones(60), polynomials, hop)


class TestHarmonics:
    def test_is_the_sum_of_cosines(self, xp):
        f = np.full(200, 1100.0)
        levels = np.tile([1.0, 3.0, 2.0, 5.0], (200, 1))  # at 625, 1875, 3125 and 4375 Hz
        e = to_host(harmonics(xp.asarray(f), xp.asarray(levels), RATE))
        phase = 2 * np.pi * 1100 / RATE * np.arange(1, 201)
        middles = [625, 1875, 3125, 4375]
        expected = sum(
            np.interp(1100 * h, middles, levels[0]) * np.cos(h * phase) for h in range(1, 5)
        )
        np.testing.assert_allclose(e, expected, atol=1e-10)

    def test_one_bin_serves_all(self):
        e = harmonics(np.full(100, 2000.0), np.ones((100, 1)), RATE)
        phase = 2 * np.pi * 0.2 * np.arange(1, 101)
        np.testing.assert_allclose(e, np.cos(phase) + np.cos(2 * phase), atol=1e-10)

    @pytest.mark.parametrize("f", [0.0, 5000.0])
    def test_refuses_other_pitches(self, f):
        with pytest.raises(ValueError, match="^frequency"):
            harmonics(np.full(10, f), np.ones((10, 4)), RATE)


class TestPitch:
    @pytest.mark.parametrize("f", [95.0, 110.0, 200.0, 263.0])
    def test_of_a_pulse_train_through_a_tract(self, xp, f):
        sound = harmonics(np.full(2000, f), np.ones((2000, 1)), RATE)
        frames = lfilter([1.0], A[0], sound)[None, 1000:1400]
        found = pitch(xp.asarray(frames), xp.asarray(np.hanning(400)), RATE, 80, 300)
        np.testing.assert_allclose(to_host(found), [f], rtol=0.01)

    @pytest.mark.parametrize(("low", "high", "name"), [(20, 300, "lowest"), (90, 80, "highest")])
    def test_refuses_ranges_that_do_not_fit(self, low, high, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            pitch(np.ones((1, 400)), np.ones(400), RATE, low, high)
