"""Softmax and attention: moderate numbers go another way than large ones, to the same answer."""

import numpy as np
import pytest
from scipy import special

from gaussbook import autodiff as ad
from gaussbook.arrays import to_host

SIZES = [0.1, 5.0, 40.0, 1e4]  # below and above what needs no shift


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_is_scipys(xp, size, dtype):
    x = (size * np.random.default_rng(0).uniform(-1, 1, (5, 7))).astype(dtype)
    y = to_host(ad.softmax(xp.asarray(x)))
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(y, special.softmax(x.astype(float), axis=1), rtol=1e3 * tolerance,
                               atol=tolerance)  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_a_softmax_times_the_values(xp, size, masked):
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal((2, n, 6)) for n in (4, 5, 5))
    q *= size
    mask = np.tril(np.ones((4, 5), dtype=bool)) if masked else None
    found = ad.attention(
        *(xp.asarray(a) for a in (q, k, v)),
        heads=2,
        mask=None if mask is None else xp.asarray(mask),
    )
    for head in (slice(0, 3), slice(3, 6)):
        scores = q[..., head] @ k[..., head].transpose(0, 2, 1) / np.sqrt(3)
        weights = special.softmax(np.where(masked & ~np.asarray(mask), -np.inf, scores)
                                  if masked else scores, axis=-1)  # fmt: skip
        np.testing.assert_allclose(to_host(found)[..., head], weights @ v[..., head], atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_not_hidden(bad):
    x = np.zeros((2, 3))
    x[0, 1] = bad
    with np.errstate(invalid="ignore"):
        y = ad.softmax(x)
    assert np.isnan(y[0]).any()
    np.testing.assert_allclose(y[1], 1 / 3)


def test_logits_of_minus_infinity_have_no_weight():
    np.testing.assert_allclose(ad.softmax(np.asarray([[0.0, -np.inf, 0.0]])), [[0.5, 0, 0.5]])


def test_nothing_has_no_softmax():
    assert ad.softmax(np.zeros((0, 3))).shape == (0, 3)
