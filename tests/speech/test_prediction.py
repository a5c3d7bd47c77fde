"""Linear prediction against SciPy's Toeplitz solver, roots and closed forms."""

import math

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import freqz, lfilter

from gaussbook.arrays import to_host
from gaussbook.speech import (
    formants,
    inverse_filter,
    line_spectral_frequencies,
    linear_prediction,
    polynomials_of_frequencies,
    power_spectra,
    resonators,
)

RATE = 10_000.0
VOWEL = np.asarray([[270.0, 2290.0, 3010.0, 3500.0], [730.0, 1090.0, 2440.0, 3500.0]])


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def stable(n, order, seed=1):
    return linear_prediction(noise((n, 60), seed), order)


class TestLinearPrediction:
    @pytest.mark.parametrize("order", [1, 2, 11])
    def test_solves_the_normal_equations(self, xp, order):
        x = noise((4, 80))
        a = to_host(linear_prediction(xp.asarray(x), order))
        for row, frame in zip(a, x, strict=True):
            r = np.asarray([frame[: 80 - k] @ frame[k:] for k in range(order + 1)])
            np.testing.assert_allclose(row[1:], -solve_toeplitz(r[:-1], r[1:]), atol=1e-10)

    def test_finds_the_filter_of_an_impulse_response(self):
        a = resonators(VOWEL, 50 + 0.0 * VOWEL, RATE)
        impulse = np.eye(1, 8000)[0]
        x = np.stack([lfilter([1.0], row, impulse) for row in a])
        np.testing.assert_allclose(linear_prediction(x, 8), a, atol=1e-6)

    def test_roots_lie_inside_the_circle(self):
        for row in stable(5, 9):
            assert np.abs(np.roots(row)).max() < 1

    def test_refuses_silence_and_orders_out_of_range(self):
        with pytest.raises(ValueError, match="^frames holds a frame that is silent"):
            linear_prediction(np.zeros((1, 9)), 2)
        with pytest.raises(ValueError, match="^order"):
            linear_prediction(np.ones((1, 9)), 9)
        with pytest.raises(ValueError, match="^frames"):
            linear_prediction(np.ones(9), 2)


class TestResonators:
    def test_roots_are_the_formants(self, xp):
        a = to_host(resonators(xp.asarray(VOWEL), xp.asarray(60 + 0 * VOWEL), RATE))
        for row, F in zip(a, VOWEL, strict=True):
            roots = np.roots(row)
            above = np.sort_complex(roots[roots.imag > 0])
            angles = np.sort(np.angle(above)) * RATE / (2 * math.pi)
            np.testing.assert_allclose(angles, F, rtol=1e-8)
            np.testing.assert_allclose(np.abs(roots), math.exp(-math.pi * 60 / RATE), rtol=1e-8)

    @pytest.mark.parametrize(
        ("F", "B", "name"), [(0, 50, "freq"), (6e3, 50, "freq"), (9, 0, "band")]
    )
    def test_refuses_what_is_no_resonance(self, F, B, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            resonators(np.asarray([[float(F)]]), np.asarray([[float(B)]]), RATE)


class TestInverseFilter:
    def test_is_scipys_filter(self, xp):
        x, a = noise((3, 40)), stable(3, 6)
        e = to_host(inverse_filter(xp.asarray(x), xp.asarray(a)))
        expected = [lfilter(row, [1.0], frame) for row, frame in zip(a, x, strict=True)]
        np.testing.assert_allclose(e, expected, atol=1e-12)

    def test_one_polynomial_serves_all(self):
        x, a = noise((3, 40)), stable(1, 6)
        np.testing.assert_allclose(inverse_filter(x, a), lfilter(a[0], [1.0], x, axis=1))

    def test_refuses_misfits(self):
        with pytest.raises(ValueError, match="^polynomials must have 1 or 3 rows"):
            inverse_filter(noise((3, 40)), stable(2, 6))
        with pytest.raises(ValueError, match="begin with 1"):
            inverse_filter(noise((1, 40)), np.asarray([[2.0, 1.0]]))


def test_power_spectra_are_scipys(xp):
    a = stable(2, 6)
    omega = math.pi * (np.arange(16) + 0.5) / 16
    expected = [np.abs(freqz([1.0], row, worN=omega)[1]) ** 2 for row in a]
    np.testing.assert_allclose(to_host(power_spectra(xp.asarray(a), 16)), expected, rtol=1e-10)


class TestLineSpectralFrequencies:
    @pytest.mark.parametrize("order", [2, 4, 10, 16])
    def test_are_the_angles_of_the_roots(self, xp, order):
        a = stable(6, order)
        found = to_host(line_spectral_frequencies(xp.asarray(a)))
        for row, angles in zip(a, found, strict=True):
            longer = np.append(row, 0.0)
            roots = [np.roots(longer + s * longer[::-1]) for s in (1, -1)]
            both = np.angle(np.concatenate(roots))
            expected = np.sort(both[(both > 1e-6) & (both < math.pi - 1e-6)])
            np.testing.assert_allclose(angles, expected, atol=1e-9)

    def test_of_no_prediction_at_all_are_equally_spaced(self):
        found = line_spectral_frequencies(np.eye(1, 9))
        np.testing.assert_allclose(found[0], np.arange(1, 9) * math.pi / 9, atol=1e-12)

    def test_narrow_resonances_are_found(self):
        a = resonators(VOWEL, 5 + 0 * VOWEL, RATE)
        again = polynomials_of_frequencies(line_spectral_frequencies(a))
        np.testing.assert_allclose(again, a, atol=1e-7)

    def test_there_and_back(self, xp):
        a = stable(6, 10)
        again = polynomials_of_frequencies(line_spectral_frequencies(xp.asarray(a)))
        np.testing.assert_allclose(to_host(again), a, atol=1e-11)

    def test_any_ascending_angles_make_a_stable_filter(self):
        omega = np.sort(np.random.default_rng(3).uniform(0.05, 3.1, (20, 8)), axis=1)
        for row in polynomials_of_frequencies(omega):
            assert np.abs(np.roots(row)).max() < 1

    def test_refuses_what_has_none(self):
        with pytest.raises(ValueError, match="^polynomials must have an even order"):
            line_spectral_frequencies(np.eye(1, 4))
        with pytest.raises(ValueError, match="^polynomials has roots outside"):
            line_spectral_frequencies(np.asarray([[1.0, 0.0, 1.2]]))
        with pytest.raises(ValueError, match="^frequencies must be even"):
            polynomials_of_frequencies(np.asarray([[0.5]]))
        for wrong in ([[0.6, 0.5]], [[0.0, 0.5]], [[0.5, 3.2]]):
            with pytest.raises(ValueError, match="^frequencies must ascend"):
                polynomials_of_frequencies(np.asarray(wrong))


class TestFormants:
    def test_are_those_put_in(self, xp):
        a = resonators(xp.asarray(VOWEL), xp.asarray(80 + 0 * VOWEL), RATE)
        np.testing.assert_allclose(formants(a, RATE, 3), VOWEL[:, :3], rtol=1e-7)

    def test_broad_ones_do_not_count_and_missing_ones_are_nan(self):
        a = resonators(VOWEL[:1], np.asarray([[80.0, 900.0, 80.0, 80.0]]), RATE)
        found = formants(a, RATE, 9)
        np.testing.assert_allclose(found[0, :3], VOWEL[0, [0, 2, 3]], rtol=1e-7)
        assert np.isnan(found[0, 3:]).all() and found.shape == (1, 9)

    @pytest.mark.parametrize(("name", "arguments"), [("rate", (0, 1)), ("count", (1, 0))])
    def test_refuses_bad_arguments(self, name, arguments):
        with pytest.raises(ValueError, match=f"^{name}"):
            formants(np.eye(1, 3), *arguments)
