"""Resampling: counts, order, the mean over the random number, strict arrays, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.arrays import to_host
from gaussbook.particles import systematic_resample


def counts(rows, B, m):
    return np.bincount(to_host(rows), minlength=B * m).reshape(B, m)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 30))
def test_a_particle_is_taken_about_m_w_times(seed, B, m):
    rng = np.random.default_rng(seed)
    w = rng.exponential(size=(B, m)) ** 3 + 1e-12
    taken = counts(systematic_resample(w, rng.random(B)), B, m)
    expected = m * w / w.sum(axis=1, keepdims=True)
    assert np.all(taken >= np.floor(expected - 1e-9))
    assert np.all(taken <= np.ceil(expected + 1e-9))
    np.testing.assert_array_equal(taken.sum(axis=1), m)


def test_the_mean_over_u_is_m_w():
    w = np.array([[0.1, 0.25, 0.65], [2.0, 0.0, 2.0]])
    marks = (np.arange(1000) + 0.5) / 1000
    taken = [counts(systematic_resample(w, np.full(2, u)), 2, 3) for u in marks]
    expected = 3 * w / w.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.mean(taken, axis=0), expected, atol=2e-3)


def test_same_in_every_namespace(xp):
    rng = np.random.default_rng(1)
    w, u = rng.random((3, 7)), rng.random(3)
    got = systematic_resample(xp.asarray(w), xp.asarray(u))
    np.testing.assert_array_equal(to_host(got), systematic_resample(w, u))


@pytest.mark.parametrize("seed", range(5))
def test_counting_marks_finds_what_a_search_finds(xp, seed):
    rng = np.random.default_rng(seed)
    w = rng.exponential(size=(4, 300)) ** 4 * (rng.random((4, 300)) < 0.5)
    u = np.append(rng.random(3), 0.0)
    got = systematic_resample(xp.asarray(w), xp.asarray(u))
    ends = np.cumsum(w, axis=1) / np.sum(w, axis=1, keepdims=True)
    marks = (u[:, None] + np.arange(300)) / 300
    expected = [300 * b + np.searchsorted(ends[b], marks[b], side="right") for b in range(4)]
    np.testing.assert_array_equal(to_host(got), np.concatenate(expected))


def test_a_mark_rounded_up_stays_in_its_set():
    u = np.full(2, np.nextafter(1.0, 0.0))
    rows = systematic_resample(np.ones((2, 3)), u)
    assert np.all(rows.reshape(2, 3) // 3 == np.arange(2)[:, None])


@pytest.mark.parametrize(
    ("weights", "u", "message"),
    [
        (np.ones(3), np.zeros(1), "weights must have 2"),
        (-np.ones((1, 2)), np.zeros(1), "weights must not be negative"),
        (np.zeros((1, 2)), np.zeros(1), "weights must not be negative"),
        (np.full((1, 2), np.nan), np.zeros(1), "weights"),
        (np.ones((1, 2)), np.zeros(2), "u must have shape"),
        (np.ones((1, 2)), np.ones(1), r"u must lie in \[0, 1\)"),
    ],
)
def test_bad_input(weights, u, message):
    with pytest.raises(ValueError, match=message):
        systematic_resample(weights, u)


def test_many_sets_in_single_precision_are_resampled_like_one():
    """Particle counts of set 2000 do not suffer from the sets below it."""
    w = np.random.default_rng(2).exponential(size=(1, 500)).astype(np.float32) ** 4
    B = 2000
    many = counts(systematic_resample(np.repeat(w, B, axis=0), np.full(B, 0.3, np.float32)), B, 500)
    one = counts(systematic_resample(w.astype(np.float64), np.full(1, np.float32(0.3))), 1, 500)
    assert np.abs(many - one).max() <= 1  # a mark that falls on an end
    assert np.abs(many - one).sum() <= 2 * B // 100


def test_shares_that_end_a_rounding_above_one():
    w = np.zeros((2000, 3))
    w[:, 0] = np.random.default_rng(0).random(2000)
    rows = systematic_resample(w, np.zeros(2000))
    np.testing.assert_array_equal(rows.reshape(-1, 3), 3 * np.arange(2000)[:, None] + [0, 0, 0])
