"""Glottal pulses keep their defining equations; separation finds a known tract."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.signal import lfilter

from gaussbook.arrays import to_host
from gaussbook.speech import GlottalPulse, formants, glottal_separation, inverse_filter, resonators

SHAPES = [0.4, 0.5, 1.0, 1.7, 2.7]


class TestGlottalPulse:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_brings_no_net_flow(self, shape):
        pulse = GlottalPulse(shape)
        parts = ((0, pulse.closure), (pulse.closure, 1 - 1e-13))
        flow = sum(quad(lambda t: float(pulse(np.asarray(t))), *part)[0] for part in parts)
        assert abs(flow) < 1e-9

    @pytest.mark.parametrize("shape", SHAPES)
    def test_is_continuous_and_meets_its_times(self, shape):
        pulse = GlottalPulse(shape)
        t_e = pulse.closure
        before, after = pulse(np.asarray([t_e, t_e + 1e-9]))
        assert before == pytest.approx(-1, abs=1e-12) and after == pytest.approx(-1, abs=1e-6)
        assert pulse(np.asarray([pulse.peak]))[0] == pytest.approx(0, abs=1e-12)
        assert pulse(np.asarray([1 - 1e-12]))[0] == pytest.approx(0, abs=1e-9)
        rest = pulse.decay * pulse.return_time + math.expm1(-pulse.decay * (1 - t_e))
        assert rest == pytest.approx(0, abs=1e-13)

    def test_repeats_on_every_array(self, xp):
        pulse, t = GlottalPulse(1.0), np.linspace(0, 0.99, 50)
        again = to_host(pulse(xp.asarray(t + 3)))
        np.testing.assert_allclose(again, pulse(t), atol=1e-11)

    def test_a_breathy_pulse_has_less_treble(self):
        t = np.arange(256) / 256
        spectra = [np.abs(np.fft.rfft(GlottalPulse(s)(t))) for s in (0.5, 1.2, 2.4)]
        high = [s[20] / s[1] for s in spectra]
        assert high[0] > 2 * high[1] > 4 * high[2]

    @pytest.mark.parametrize("shape", [0.3, 2.8, math.nan])
    def test_refuses_other_shapes(self, shape):
        with pytest.raises(ValueError, match="^shape"):
            GlottalPulse(shape)


class TestGlottalSeparation:
    F = np.asarray([[500.0, 1500.0, 2500.0, 3500.0]])

    def speech(self):
        a = resonators(self.F, 60 + 0 * self.F, 1e4)[0]
        t = np.arange(2000)
        source = GlottalPulse(1.0)(t * 100 / 1e4) + 1e-3 * np.random.default_rng(0).normal(
            size=2000
        )
        return lfilter([1.0], a, source)[None, 1000:1300]

    def test_finds_the_formants(self, xp):
        frames = xp.asarray(self.speech())
        tract, excitation = glottal_separation(frames, xp.asarray(np.hanning(300)), 10)
        np.testing.assert_allclose(formants(tract, 1e4, 4), self.F, rtol=0.05)
        expected = inverse_filter(frames, tract)
        np.testing.assert_allclose(to_host(excitation), to_host(expected), atol=1e-12)

    def test_scale_does_not_matter(self):
        window = np.hanning(300)
        one, _ = glottal_separation(self.speech(), window, 10)
        two, _ = glottal_separation(7 * self.speech(), window, 10)
        np.testing.assert_allclose(one, two, atol=1e-8)

    def test_refuses_misfits(self):
        with pytest.raises(ValueError, match="^window"):
            glottal_separation(self.speech(), np.ones(10), 10)
        with pytest.raises(ValueError, match="^order"):
            glottal_separation(self.speech(), np.ones(300), 300)
        with pytest.raises(ValueError, match="^glottal_order"):
            glottal_separation(self.speech(), np.ones(300), 10, 0)
