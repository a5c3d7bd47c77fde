"""Metrics: closed forms, brute force and the libraries' own definitions as oracles."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gaussbook.arrays import to_host
from gaussbook.metrics import (
    bd_rate,
    clustering_error,
    crps_gaussian,
    crps_samples,
    expected_calibration_error,
    hellinger_1d,
    hf_psnr,
    loglog_slope,
    psnr,
    ssim,
)

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=30)


def on(xp, *arrays):
    return [xp.asarray(a) for a in arrays]


class TestContinuousRankedProbabilityScore:
    def test_the_closed_form_is_the_integral_of_the_squared_distance(self, xp):
        grid = np.linspace(-30, 30, 600_001)
        for y, mu, sigma in ((0.3, 0.0, 1.0), (-2.0, 1.0, 0.7), (4.0, 1.0, 2.0)):
            gap = norm.cdf(grid, mu, sigma) - (grid >= y)
            (points,) = on(xp, np.array([y]))
            value = float(crps_gaussian(points, mu, sigma)[0])
            assert value == pytest.approx(np.trapezoid(gap**2, grid), abs=1e-4)

    def test_sorting_gives_the_double_sum(self, xp):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((7, 5, 2)), rng.standard_normal((5, 2))
        pairs = np.abs(x[:, None] - x).sum(axis=(0, 1)) / (2 * 7 * 6)
        expected = np.abs(x - y).mean(axis=0) - pairs
        found = crps_samples(*on(xp, x, y))
        np.testing.assert_allclose(np.asarray(to_host(found)), expected, rtol=1e-12)

    def test_one_forecast_may_serve_many_values(self):
        rng = np.random.default_rng(2)
        x, y = rng.standard_normal((9, 1)), rng.standard_normal(5)
        repeated = crps_samples(np.repeat(x, 5, axis=1), y)
        np.testing.assert_allclose(crps_samples(x, y), repeated, rtol=1e-12)

    def test_many_draws_of_a_gaussian_agree_with_the_closed_form(self):
        draws = np.random.default_rng(1).standard_normal((200_000, 1))
        y = np.array([0.8])
        assert crps_samples(draws, y)[0] == pytest.approx(crps_gaussian(y, 0, 1)[0], abs=0.005)

    def test_bad_input_is_named(self):
        y = np.zeros(3)
        with pytest.raises(ValueError, match="sigma"):
            crps_gaussian(y, 0.0, 0.0)
        with pytest.raises(ValueError, match="y"):
            crps_gaussian(np.array([np.nan]), 0.0, 1.0)
        with pytest.raises(ValueError, match="samples"):
            crps_samples(np.zeros((1, 3)), y)
        with pytest.raises(ValueError, match="samples"):
            crps_samples(np.zeros((4, 2)), y)


class TestClusteringError:
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_is_the_best_of_all_permutations(self, data):
        truth = np.asarray(data.draw(LABELS))
        labels = np.asarray(
            data.draw(st.lists(st.integers(0, 3), min_size=truth.size, max_size=truth.size))
        )
        best = min(
            np.mean(np.asarray(pi)[labels] != truth) for pi in itertools.permutations(range(4))
        )
        assert clustering_error(labels, truth) == pytest.approx(best, abs=1e-15)

    @settings(max_examples=30, deadline=None)
    @given(LABELS, st.permutations(range(4)))
    def test_renaming_clusters_changes_nothing(self, truth, pi):
        truth = np.asarray(truth)
        assert clustering_error(np.asarray(pi)[truth], truth) == 0

    def test_surplus_clusters_are_errors(self, xp):
        labels, truth = on(xp, [0, 0, 1, 2], [7, 7, 7, -3])
        assert clustering_error(labels, truth) == 0.25
        assert clustering_error(truth, labels) == 0.25

    @pytest.mark.parametrize(
        ("labels", "truth", "name"),
        [
            ([0.0, 1.0], [0, 1], "labels"),
            ([[0, 1]], [0, 1], "labels"),
            ([], [], "labels"),
            ([0, 1], [0.5, 1.0], "truth"),
            ([0, 1], [0, 1, 1], "truth"),
        ],
    )
    def test_bad_input_is_named(self, labels, truth, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            clustering_error(labels, truth)


class TestExpectedCalibrationError:
    def test_two_bins_by_hand(self, xp):
        # Confidences .6 and .7 (both wrong) share a bin with .9 (right): |1 - 2.2| / 4; and .5,
        # right, sits on the edge of the lower bin, which is closed on the right: |1 - .5| / 4.
        p, y = on(xp, [[0.6, 0.4], [0.3, 0.7], [0.1, 0.9], [0.5, 0.5]], [1, 0, 1, 0])
        assert expected_calibration_error(p, y, bins=2) == pytest.approx((1.2 + 0.5) / 4)

    def test_a_sure_and_right_prediction_is_calibrated(self, xp):
        p, y = on(xp, np.eye(3), [0, 1, 2])
        assert expected_calibration_error(p, y) == 0
        assert expected_calibration_error(p, *on(xp, [1, 2, 0])) == 1

    def test_labels_drawn_from_the_probabilities_are_calibrated(self):
        rng = np.random.default_rng(0)
        p = rng.dirichlet(np.ones(3), size=40_000)
        y = np.argmax(np.cumsum(p, axis=1) > rng.random((len(p), 1)), axis=1)
        assert expected_calibration_error(p, y) < 0.02
        sharpened = p**3 / np.sum(p**3, axis=1, keepdims=True)
        assert expected_calibration_error(sharpened, y) > 0.1

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_short_types_are_judged_by_their_digits(self, dtype):
        logits = np.random.default_rng(0).normal(size=(300, 10)).astype(dtype)
        p = np.exp(logits)
        p = p / np.sum(p, axis=1, keepdims=True, dtype=dtype)
        y = np.argmax(p, axis=1)
        expected = 1 - np.mean(np.max(p, axis=1), dtype=float)
        assert expected_calibration_error(p, y) == pytest.approx(expected, rel=1e-6)

    def test_agrees_with_bin_by_bin_means(self):
        rng = np.random.default_rng(1)
        p = rng.dirichlet(np.ones(4), size=500)
        y = rng.integers(0, 4, size=500)
        confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
        edges = np.linspace(0, 1, 16)
        expected = 0.0
        for low, high in itertools.pairwise(edges):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
        assert expected_calibration_error(p, y, 15) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize(
        ("p", "y", "bins", "name"),
        [
            ([[0.5, 0.6]], [0], 5, "probabilities"),
            ([0.5, 0.5], [0, 1], 5, "probabilities"),
            ([[1.5, -0.5]], [0], 5, "probabilities"),
            ([[0.5, 0.5]], [2], 5, "labels"),
            ([[0.5, 0.5]], [-1], 5, "labels"),
            ([[0.5, 0.5]], [0, 1], 5, "labels"),
            ([[0.5, 0.5]], [0], 0, "bins"),
        ],
    )
    def test_bad_input_is_named(self, p, y, bins, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            expected_calibration_error(p, y, bins)


class TestBdRate:
    rate = np.array([0.1, 0.2, 0.5, 1.1, 2.0])
    quality = np.array([27.0, 30.0, 33.5, 36.0, 41.0])

    def test_a_code_that_needs_a_constant_share_more(self, xp):
        rate, quality = on(xp, self.rate, self.quality)
        assert bd_rate(rate, quality, 1.25 * rate, quality) == pytest.approx(25)
        assert bd_rate(1.25 * rate, quality, rate, quality) == pytest.approx(-20)

    def test_straight_curves_in_closed_form(self):
        # log r = 0.2 q and log r = 0.2 (q - 1.5) over different, overlapping ranges.
        q_a, q_b = np.linspace(30, 40, 6), np.linspace(33, 45, 5)
        measured = bd_rate(np.exp(0.2 * q_a), q_a, np.exp(0.2 * (q_b - 1.5)), q_b)
        assert measured == pytest.approx(100 * math.expm1(-0.3))

    def test_order_of_the_points_does_not_matter(self):
        back = slice(None, None, -1)
        measured = bd_rate(self.rate[back], self.quality[back], self.rate, self.quality + 1)
        assert measured == pytest.approx(
            bd_rate(self.rate, self.quality, self.rate, self.quality + 1)
        )
        assert measured < 0

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.floats(0.2, 3), min_size=3, max_size=6),
        st.lists(st.floats(0.2, 3), min_size=3, max_size=6),
    )
    def test_swapping_the_codes_inverts_the_ratio(self, steps_a, steps_b):
        q_a, q_b = 30 + np.cumsum(steps_a), 30 + np.cumsum(steps_b)
        if max(q_a[0], q_b[0]) + 1e-3 > min(q_a[-1], q_b[-1]):
            return
        r_a, r_b = 0.1 * np.arange(1, q_a.size + 1), 0.15 * np.arange(1, q_b.size + 1)
        there, back = bd_rate(r_a, q_a, r_b, q_b), bd_rate(r_b, q_b, r_a, q_a)
        assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"rate_a": [1.0]}, "psnr_a"),
            ({"rate_a": [1.0], "psnr_a": [30.0]}, "rate_a"),
            ({"rate_a": [0.0, 1.0, 2.0]}, "rate_a"),
            ({"rate_b": [1.0, 1.0, 2.0]}, "rate_b"),
            ({"psnr_b": [30.0, 29.0, 35.0]}, "psnr_b must increase"),
            ({"psnr_b": [50.0, 51.0, 52.0]}, "psnr_b spans"),
            ({"psnr_a": [30.0, math.nan, 35.0]}, "psnr_a"),
        ],
    )
    def test_bad_input_is_named(self, change, name):
        good = {key: [1.0, 2.0, 3.0] for key in ("rate_a", "rate_b")}
        good |= {key: [30.0, 33.0, 35.0] for key in ("psnr_a", "psnr_b")}
        with pytest.raises(ValueError, match=f"^{name}"):
            bd_rate(**(good | change))


class TestPsnr:
    def test_a_constant_error_in_closed_form(self, xp):
        reference = np.linspace(0, 200, 48).reshape(6, 8)
        image, reference = on(xp, reference + 5, reference)
        assert psnr(image, reference, peak=255) == pytest.approx(20 * math.log10(255 / 5))

    def test_equal_images_give_infinity(self, xp):
        (image,) = on(xp, np.full((3, 3), 0.5))
        assert psnr(image, image) == math.inf

    @pytest.mark.parametrize(
        ("image", "reference", "peak", "name"),
        [
            (np.zeros((2, 2)), np.zeros((2, 3)), 1, "image"),
            (np.zeros((2, 2)), np.full((2, 2), 1.5), 1, "reference"),
            (np.zeros((2, 2)), np.full((2, 2), -0.1), 1, "reference"),
            (np.zeros((2, 2)), np.zeros((2, 2)), 0, "peak"),
            (np.full((2, 2), np.nan), np.zeros((2, 2)), 1, "image"),
        ],
    )
    def test_bad_input_is_named(self, image, reference, peak, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            psnr(image, reference, peak)


class TestHighFrequencyPsnr:
    def test_a_ripple_in_closed_form(self, xp):
        # The 5-pixel window passes a ripple of period 2 with the sum of its weights' signs.
        weights = np.exp(-0.5 * np.arange(-2, 3) ** 2)
        passed = float(weights @ [1, -1, 1, -1, 1] / weights.sum())
        ripple = np.tile([0.05, -0.05], 20)[None, :, None] * np.ones((40, 1, 3))
        image, reference = on(xp, 0.5 + ripple, np.full((40, 40, 3), 0.5))
        inner = 20 * math.log10(1 / (0.05 * (1 - passed)))
        assert hf_psnr(image, reference) == pytest.approx(inner, abs=0.5)  # edges differ a little

    def test_a_smooth_error_counts_less_than_noise(self):
        reference = np.full((32, 32, 3), 0.5)
        smooth = reference + 0.1 * np.sin(np.linspace(0, np.pi, 32))[:, None, None]
        noise = np.random.default_rng(0).normal(size=reference.shape)
        noisy = reference + noise * np.std(smooth - reference)
        assert hf_psnr(smooth, reference) > hf_psnr(noisy, reference) + 20
        assert hf_psnr(reference + 0.1, reference) > 200
        assert hf_psnr(reference, reference) == math.inf

    @pytest.mark.parametrize(
        ("image", "reference", "peak", "name"),
        [
            (np.zeros((8, 8, 3)), np.zeros((8, 9, 3)), 1, "image"),
            (np.zeros((8, 8)), np.zeros((8, 8)), 1, "reference"),
            (np.zeros((8, 8, 3)), np.full((8, 8, 3), 2.0), 1, "reference"),
            (np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), -1, "peak"),
        ],
    )
    def test_bad_input_is_named(self, image, reference, peak, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            hf_psnr(image, reference, peak)


class TestSsim:
    def images(self, *shape):
        rng = np.random.default_rng(0)
        reference = rng.random(shape)
        return reference, reference + 0.1 * rng.normal(size=shape)

    def test_constant_images_in_closed_form(self, xp):
        # Without variance only the luminance factor (2ab + c) / (a^2 + b^2 + c) is left.
        image, reference = on(xp, np.full((16, 16), 0.4), np.full((16, 16), 0.5))
        c = 0.01**2
        expected = (2 * 0.4 * 0.5 + c) / (0.4**2 + 0.5**2 + c)
        assert ssim(image, reference) == pytest.approx(expected, rel=1e-6)

    def test_equal_images_give_one_and_noise_less(self):
        reference, noisy = self.images(20, 24)
        assert ssim(reference, reference) == pytest.approx(1)
        assert 0 < ssim(noisy, reference) < 0.999

    def test_channels_are_averaged(self):
        reference, noisy = self.images(3, 16, 17)
        mean = np.mean([ssim(a, b) for a, b in zip(noisy, reference, strict=True)])
        assert ssim(noisy, reference, channel_axis=0) == pytest.approx(mean)

    def test_scale_goes_with_the_peak(self):
        reference, noisy = self.images(16, 16)
        assert ssim(255 * noisy, 255 * reference, peak=255) == pytest.approx(ssim(noisy, reference))

    @pytest.mark.parametrize(
        ("shape", "channel_axis", "name"),
        [
            ((10, 30), None, "image must be at least"),
            ((16, 16, 3), None, "image must have 2 axes"),
            ((16, 16), 0, "image must have 3 axes"),
            ((16, 16, 3), 3, "channel_axis"),
        ],
    )
    def test_bad_shapes_are_named(self, shape, channel_axis, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            ssim(np.zeros(shape), np.zeros(shape), channel_axis=channel_axis)


class TestHellinger:
    grid = np.linspace(-15, 15, 1201)

    def test_two_normals_in_closed_form(self, xp):
        p, q = norm.pdf(self.grid, 0, 1), norm.pdf(self.grid, 1.5, 0.7)
        expected = math.sqrt(
            1 - math.sqrt(2 * 0.7 / (1 + 0.7**2)) * math.exp(-(1.5**2) / 4 / (1 + 0.7**2))
        )
        assert float(hellinger_1d(*on(xp, p, q, self.grid))) == pytest.approx(expected, abs=1e-12)

    def test_near_densities_keep_their_digits(self):
        p, q = norm.pdf(self.grid), norm.pdf(self.grid, 1e-9)
        assert hellinger_1d(p, q, self.grid) == pytest.approx(1e-9 / math.sqrt(8), rel=1e-5)
        assert hellinger_1d(p, p, self.grid) == 0

    def test_apart_is_one_and_leading_axes_are_broadcast(self):
        p = norm.pdf(self.grid, np.array([[-9.0], [0.0], [9.0]]), 0.5)
        distances = hellinger_1d(p[:, None], p, self.grid)
        np.testing.assert_allclose(distances, 1 - np.eye(3), atol=1e-9)

    def test_any_increasing_grid_will_do(self):
        grid = np.sinh(np.linspace(-3, 3, 4001))
        p, q = norm.pdf(grid), norm.pdf(grid, 0, 2)
        assert hellinger_1d(p, q, grid) == pytest.approx(math.sqrt(1 - math.sqrt(0.8)), abs=1e-6)

    @pytest.mark.parametrize(
        ("p", "q", "grid", "name"),
        [
            ([1.0, 1.0], [1.0, 1.0], [0.0, 0.0], "grid"),
            ([1.0], [1.0], [0.0], "grid"),
            ([1.0, -1.0], [1.0, 1.0], [0.0, 1.0], "p"),
            ([1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0], "q"),
            ([1.0, 1.0], [1.0, np.nan], [0.0, 1.0], "q"),
        ],
    )
    def test_bad_input_is_named(self, p, q, grid, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            hellinger_1d(p, q, grid)


class TestLoglogSlope:
    n = np.array([100.0, 400.0, 1000.0, 9000.0])

    @pytest.mark.parametrize("statistic", ["mean", "median", "rms"])
    def test_a_power_law_is_exact(self, xp, statistic):
        error = 3 * self.n[:, None] ** -0.37 * np.ones(5)
        found = loglog_slope(*on(xp, self.n, error), statistic=statistic)
        np.testing.assert_allclose(found, -0.37)

    def test_is_the_least_squares_line_of_the_statistic(self):
        error = np.random.default_rng(0).exponential(size=(4, 9))
        for statistic, values in (
            ("mean", error.mean(axis=1)),
            ("median", np.median(error, axis=1)),
            ("rms", np.sqrt((error**2).mean(axis=1))),
        ):
            expected = np.polyfit(np.log(self.n), np.log(values), 1)[0]
            assert loglog_slope(self.n, error, statistic=statistic).slope == pytest.approx(expected)

    def test_the_interval_covers_the_true_slope_as_often_as_it_says(self):
        rng, covered = np.random.default_rng(1), 0
        for _ in range(200):
            error = np.abs(rng.normal(size=(4, 40))) / np.sqrt(self.n)[:, None]
            _, low, high = loglog_slope(self.n, error, level=0.9, resamples=200)
            covered += low <= -0.5 <= high
        assert 160 <= covered <= 195

    def test_a_seed_repeats_it(self):
        error = np.random.default_rng(2).exponential(size=(4, 9))
        assert loglog_slope(self.n, error, seed=3) == loglog_slope(self.n, error, seed=3)
        assert loglog_slope(self.n, error, seed=3) != loglog_slope(self.n, error, seed=4)

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"n": [1.0, 1.0]}, "n"),
            ({"n": [0.0, 1.0]}, "n"),
            ({"n": [1.0, 2.0, 3.0]}, "error"),
            ({"error": [[1.0, -0.5], [1.0, 1.0]]}, "error"),
            ({"error": [[0.0, 0.0], [1.0, 1.0]]}, "error"),
            ({"error": [1.0, 2.0]}, "error"),
            ({"statistic": "mode"}, "statistic"),
            ({"level": 1.0}, "level"),
            ({"resamples": 0}, "resamples"),
            ({"seed": -1}, "seed"),
        ],
    )
    def test_bad_input_is_named(self, change, name):
        good = {"n": [1.0, 2.0], "error": [[1.0, 2.0], [0.5, 1.0]]}
        with pytest.raises(ValueError, match=f"^{name} "):
            loglog_slope(**(good | change))
