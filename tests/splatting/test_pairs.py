"""Pairs and sums over segments: loops as oracles."""

from itertools import pairwise

import array_api_strict
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.arrays import to_host
from gaussbook.splatting.pairs import enumerate_pairs
from gaussbook.splatting.segments import offsets_of, put_rows, repeat, segment_sums, unsort


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 5), max_size=8), columns=st.sampled_from([(), (3,)]))
def test_segments(lengths, columns):
    values = np.random.default_rng(0).normal(size=(sum(lengths), *columns))
    offsets = np.cumsum([0, *lengths])
    expected = [values[a:b].sum(axis=0) for a, b in pairwise(offsets)]
    expected = np.reshape(expected, (len(lengths), *columns))
    heads = np.arange(len(lengths)) + 0.5
    for xp in (np, array_api_strict):
        n = xp.asarray(np.array(lengths, dtype=np.int64))
        ours = offsets_of(n)
        np.testing.assert_array_equal(np.asarray(ours), offsets)
        sums = segment_sums(xp.asarray(values), ours)
        np.testing.assert_allclose(np.asarray(sums), expected, atol=1e-14)
        repeated = repeat(xp.asarray(heads), n, ours)
        np.testing.assert_array_equal(np.asarray(repeated), np.repeat(heads, lengths))


def test_unsort_and_put(xp):
    rng = np.random.default_rng(0)
    values, order = rng.normal(size=9), rng.permutation(9)
    ours = unsort(xp.asarray(values[order]), xp.asarray(order))
    np.testing.assert_array_equal(to_host(ours), values)
    rows, index = rng.normal(size=(4, 2)), np.array([7, 0, 5, 2])
    expected = np.zeros((9, 2))
    expected[index] = rows
    for size in (4, 0):
        ours = put_rows(xp.asarray(rows[:size]), xp.asarray(index[:size]), 9)
        np.testing.assert_array_equal(to_host(ours), expected if size else 0 * expected)


def test_pixels_of_ellipses(xp):
    rng = np.random.default_rng(1)
    n, width, height = 40, 23, 17
    points = rng.uniform(-8, 30, size=(n, 2))
    root = rng.normal(size=(n, 2, 2)) * rng.uniform(0.1, 6, size=(n, 1, 1))
    K = root @ root.transpose(0, 2, 1) + 1e-3 * np.eye(2)
    reach = np.stack([K[:, 0, 0], K[:, 0, 1], K[:, 1, 1]], axis=1)
    pairs = enumerate_pairs(xp.asarray(points), xp.asarray(reach), width, height)
    expected = []
    for k in range(n):
        for i in range(height):
            for j in range(width):
                d = np.array([j + 0.5, i + 0.5]) - points[k]
                if d @ np.linalg.solve(K[k], d) <= 1:
                    expected.append((k, i * width + j, *d))
    expected = np.array(expected)
    gaussian = to_host(pairs.spread_gaussians(xp.arange(n)))
    np.testing.assert_array_equal(gaussian, expected[:, 0])
    np.testing.assert_array_equal(to_host(pairs.pixel), expected[:, 1])
    np.testing.assert_allclose(to_host(pairs.dx), expected[:, 2], atol=1e-12)
    np.testing.assert_allclose(to_host(pairs.spread(pairs.dy)), expected[:, 3], atol=1e-12)
    ones = pairs.sum_gaussians(pairs.sum_rows(xp.ones(len(pairs))))
    counts = np.bincount(expected[:, 0].astype(int), minlength=n)
    np.testing.assert_array_equal(to_host(ones), counts)
    keep = xp.asarray(np.arange(len(pairs)) % 3 == 0)
    some = pairs.compress(keep)
    np.testing.assert_array_equal(to_host(some.spread_gaussians(xp.arange(n))), gaussian[::3])


def test_the_whole_image(xp):
    pairs = enumerate_pairs(xp.asarray(np.array([[100.0, 2.0], [0.0, 0.0]])), None, 5, 3)
    np.testing.assert_array_equal(to_host(pairs.pixel), np.tile(np.arange(15), 2))
