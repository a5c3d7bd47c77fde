"""Bundled data without a network, and pictures with all their faults."""

import numpy as np
import pytest
from PIL import Image
from skimage.io import imsave

from gaussbook import data


@pytest.mark.parametrize("name", data.TABLES)
def test_tables_are_bundled(name):
    table = data.table(name)
    assert table.data.dtype == np.float64 and np.all(np.isfinite(table.data))
    assert table.data.shape == (len(table.target), len(table.feature_names))
    if table.target_names:
        assert len(np.unique(table.target)) == len(table.target_names)


@pytest.mark.parametrize("name", data.PHOTOGRAPHS)
def test_photographs_are_bundled(name):
    picture = data.photograph(name)
    assert picture.ndim in (2, 3) and min(picture.shape[:2]) >= 190  # no thumbnails
    assert 0 <= picture.min() < 0.3 and 0.7 < picture.max() <= 1


def test_patches_are_cut_from_the_photograph():
    picture, rows = data.photograph("coffee"), data.patches("coffee", 8, 50, seed=3)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (8, 8, 3))[:, :, 0]
    first = rows[0].reshape(8, 8, 3)
    assert rows.shape == (50, 192)
    corner = np.argwhere(np.all(windows[..., 0, 0, :] == first[0, 0], axis=-1))
    assert any(np.array_equal(windows[i, j], first) for i, j in corner)
    np.testing.assert_array_equal(rows, data.patches("coffee", 8, 50, seed=3))
    assert np.any(rows != data.patches("coffee", 8, 50, seed=4))
    assert data.patches("camera", 512, 1).shape == (1, 512**2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lena", 8, 1), "name must be one of"),
        (("camera", 0, 1), "side must be"),
        (("camera", 513, 1), "side must be"),
        (("camera", 8.0, 1), "side must be"),
        (("camera", 8, 0), "count must be"),
        (("camera", 512, 2), "count must be"),
        (("camera", 8, 1, -1), "seed must be"),
    ],
)
def test_patches_that_cannot_be_cut(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        data.patches(*arguments)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"^name must be one of breast_cancer.*; got 'mnist'"):
        data.table("mnist")
    with pytest.raises(ValueError, match="^name must be one of astronaut"):
        data.photograph("lena")


def test_a_huge_picture_in_a_small_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (9000, 9000)).save(path)
    assert path.stat().st_size < 100_000
    with pytest.raises(data.DataError, match="9000 x 9000 pixels, more than 50,000,000"):
        data.read_picture(path)


def test_what_is_no_picture_is_named(tmp_path):
    whole = tmp_path / "whole.png"
    imsave(whole, np.zeros((64, 64, 3), np.uint8), check_contrast=False)
    assert data.read_picture(whole).shape == (64, 64, 3)
    for content in (b"", b"no picture", whole.read_bytes()[:40]):
        path = tmp_path / "bad.png"
        path.write_bytes(content)
        with pytest.raises(data.DataError, match=r"bad\.png cannot be read as a picture"):
            data.read_picture(path)
    with pytest.raises(data.DataError, match="cannot be read"):
        data.read_picture(tmp_path / "absent.png")
