"""Real data by name, as the libraries bundle them: no network is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from gaussbook.validation import check_choice, check_integer

__all__ = [
    "MOST_PIXELS",
    "PHOTOGRAPHS",
    "TABLES",
    "DataError",
    "Table",
    "patches",
    "photograph",
    "read_picture",
    "table",
]

TABLES = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""The tables of scikit-learn."""

PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "chelsea", "china", "coffee", "coins", "flower", "grass",
    "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "motorcycle_left", "page",
    "retina", "rocket",
)  # fmt: skip
"""The photographs that scikit-image and scikit-learn bundle."""

MOST_PIXELS = 50_000_000
"""The largest picture that is read: 150 MB in colour, 1.2 GB as doubles."""


class DataError(RuntimeError):
    """A file cannot be read; the message names it."""


@dataclass(frozen=True)
class Table:
    """A data set of rows: `data` (n, d) float64, `target` (n,), and the names of both."""

    data: np.ndarray
    target: np.ndarray
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]


def table(name: str) -> Table:
    """Load one of scikit-learn's bundled tables.

    Parameters
    ----------
    name : str
        One of `TABLES`.

    Returns
    -------
    Table
        The rows on the host; move them with `gaussbook.arrays.to_device`.

    Raises
    ------
    ValueError
        If no table has that name.
    """
    import sklearn.datasets

    check_choice("name", name, TABLES)
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return Table(
        data=np.asarray(bunch.data, dtype=np.float64),
        target=np.asarray(bunch.target),
        feature_names=tuple(map(str, bunch.feature_names)),
        target_names=tuple(map(str, bunch.get("target_names", ()))),
    )


def photograph(name: str) -> np.ndarray:
    """Load one of the photographs that scikit-image and scikit-learn bundle.

    Parameters
    ----------
    name : str
        One of `PHOTOGRAPHS`.

    Returns
    -------
    numpy.ndarray, shape (height, width) or (height, width, 3), float64
        Intensities from 0 (black) to 1 (white).

    Raises
    ------
    ValueError
        If no photograph has that name.
    """
    check_choice("name", name, PHOTOGRAPHS)
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return load_sample_image(f"{name}.jpg") / 255.0
    import skimage.data

    if name == "motorcycle_left":
        return skimage.data.stereo_motorcycle()[0] / 255.0
    return getattr(skimage.data, name)() / 255.0


def patches(name: str, side: int, count: int, seed: int = 0) -> np.ndarray:
    """Cut random square patches, which may overlap, from a photograph.

    Parameters
    ----------
    name : str
        One of `PHOTOGRAPHS`.
    side : int
        Side of a patch in pixels, at most that of the photograph.
    count : int
        Number of patches, at most that of all places.
    seed : int
        Seed of the places.

    Returns
    -------
    numpy.ndarray, shape (count, side * side * channels), float64
        One patch in each row, intensities from 0 to 1; grey photographs have one channel.

    Raises
    ------
    ValueError
        If no photograph has that name, or a number is out of range.
    """
    from sklearn.feature_extraction.image import extract_patches_2d

    picture = photograph(name)
    height, width = picture.shape[:2]
    side = check_integer("side", side, at_least=1, at_most=min(height, width))
    places = (height - side + 1) * (width - side + 1)
    count = check_integer("count", count, at_least=1, at_most=places)
    seed = check_integer("seed", seed, at_least=0)
    cut = extract_patches_2d(picture, (side, side), max_patches=count, random_state=seed)
    return cut.reshape(count, -1)


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture file, whose header is looked at first: a small file can hold a huge picture.

    Parameters
    ----------
    path : path
        A file in a format that scikit-image reads.

    Returns
    -------
    numpy.ndarray, shape (height, width) or (height, width, channels)
        The pixels as the file has them.

    Raises
    ------
    DataError
        If it is no picture, or one of more than `MOST_PIXELS` pixels.
    """
    from PIL import Image
    from skimage.io import imread

    try:
        with Image.open(path) as header:
            width, height = header.size
        if width * height <= MOST_PIXELS:
            return np.asarray(imread(path))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error})") from error
    raise DataError(
        f"{path} has {width} x {height} pixels, more than {MOST_PIXELS:,}; make it smaller first"
    )
