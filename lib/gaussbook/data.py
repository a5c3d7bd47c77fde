"""Real data by name: what the libraries bundle, and full data sets that the reader has.

Bundled tables and photographs need no network.  A full data set is read from the folder that
``GAUSSBOOK_DATA`` names (the user's cache if unset); files that are missing there are downloaded
only where ``GAUSSBOOK_DOWNLOAD=1`` allows it, and every file is checked against its digest.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch

from gaussbook.validation import check_choice, check_integer

__all__ = [
    "DATASETS",
    "MOST_PIXELS",
    "PHOTOGRAPHS",
    "TABLES",
    "DataError",
    "Images",
    "Table",
    "fetch",
    "images",
    "patches",
    "photograph",
    "read_picture",
    "stereo_motorcycle",
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

_TIMEOUT = 60  # seconds without an answer


class DataError(RuntimeError):
    """A data set is not at hand; the message says which file to put where."""


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from, and their digests."""

    url: str
    files: dict[str, str]


_MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

DATASETS: dict[str, Source] = {
    "mnist": Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        dict(
            zip(
                _MNIST_FILES,
                (
                    "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "md5:d53e105ee54ea40749a09fcbcd1e9432",
                    "md5:9fb629c4189551a2d022fa330f9573f3",
                    "md5:ec29112dd5afa0611ce80d1b7f02629c",
                ),
                strict=True,
            )
        ),
    ),
    "fashion_mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        dict(
            zip(
                _MNIST_FILES,
                (
                    "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "md5:25c81989df183df01b3e8a0aad5dffbe",
                    "md5:bef4ecab320f06d8554ea6380940ec79",
                    "md5:bb300cfdad3c16e7a12a480ee83cd310",
                ),
                strict=True,
            )
        ),
    ),
    "cifar10": Source(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
    ),
    "kodak": Source(
        "https://raw.githubusercontent.com/MohamedBakrAli/"
        "Kodak-Lossless-True-Color-Image-Suite/HEAD/PhotoCD_PCD0992/",
        {
            "01.png": "sha256:a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd",
            "02.png": "sha256:4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd",
            "03.png": "sha256:e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db",
            "04.png": "sha256:e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa",
            "05.png": "sha256:10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53",
            "06.png": "sha256:363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18",
            "07.png": "sha256:b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4",
            "08.png": "sha256:ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7",
            "09.png": "sha256:6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d",
            "10.png": "sha256:9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23",
            "11.png": "sha256:7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6",
            "12.png": "sha256:d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980",
            "13.png": "sha256:bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08",
            "14.png": "sha256:55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e",
            "15.png": "sha256:7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683",
            "16.png": "sha256:a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54",
            "17.png": "sha256:37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b",
            "18.png": "sha256:1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa",
            "19.png": "sha256:b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc",
            "20.png": "sha256:3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a",
            "21.png": "sha256:ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b",
            "22.png": "sha256:1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29",
            "23.png": "sha256:e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf",
            "24.png": "sha256:1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96",
        },
    ),
}
"""The full data sets by name."""


@dataclass(frozen=True)
class Table:
    """A data set of rows: `data` (n, d) float64, `target` (n,), and the names of both."""

    data: np.ndarray
    target: np.ndarray
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """A data set of pictures: `images` (n, height, width[, 3]) uint8 and `labels` (n,), if any."""

    images: np.ndarray
    labels: np.ndarray | None


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


def stereo_motorcycle() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Load the stereo pair of a motorcycle that scikit-image bundles, with its true disparities.

    Returns
    -------
    left, right : numpy.ndarray, shape (500, 741, 3), float64
        The photographs, from 0 (black) to 1 (white).  They are rectified: what the left one shows
        in column x, the right one shows in column x - d of the same row.
    disparity : numpy.ndarray, shape (500, 741), float64
        The d of each pixel of the left photograph, in pixels; NaN where it is not known.

    Notes
    -----
    Middlebury stereo data of 2014 (Scharstein et al.), at a quarter of their size: the focal length
    is 994.978 pixels, the principal point of the left camera (311.193, 254.877), that of the right
    one 31.086 pixels further to the right, and the baseline 0.193001 m, so that the depth in metres
    is 994.978 * 0.193001 / (d + 31.086).
    """
    import skimage.data

    left, right, disparity = skimage.data.stereo_motorcycle()
    known = np.isfinite(disparity)
    return left / 255.0, right / 255.0, np.where(known, disparity, np.nan).astype(np.float64)


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


def images(name: str, split: str = "train") -> Images:
    """Load a full data set of pictures that the reader has, or allows to be downloaded.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    split : str
        ``"train"`` or ``"test"``.  Kodak's pictures (512 x 768, those that stand upright are
        turned) have no split: both names give all 24.

    Returns
    -------
    Images
        The pictures on the host.

    Raises
    ------
    ValueError
        If there is no data set or split of that name.
    DataError
        If a file is missing or damaged; the message says which file to put where.
    """
    check_choice("name", name, tuple(DATASETS))
    check_choice("split", split, ("train", "test"))
    files = fetch(name)
    if name == "kodak":
        return Images(_read_pictures(list(files.values())), None)
    if name == "cifar10":
        (archive,) = files.values()
        return _read_cifar(archive, split)
    start = "train" if split == "train" else "t10k"
    return Images(
        _read_idx(files[f"{start}-images-idx3-ubyte.gz"]),
        _read_idx(files[f"{start}-labels-idx1-ubyte.gz"]),
    )


def fetch(name: str) -> dict[str, Path]:
    """Return the files of a data set, each checked against its digest.

    Parameters
    ----------
    name : str
        One of `DATASETS`.

    Returns
    -------
    dict
        File name to path.

    Raises
    ------
    DataError
        If a file is missing or damaged and may not, or cannot, be downloaded.
    """
    check_choice("name", name, tuple(DATASETS))
    source = DATASETS[name]
    folder = Path(os.environ.get("GAUSSBOOK_DATA") or pooch.os_cache("gaussbook")) / name
    return {
        file: _file(name, folder, source.url + file, digest)
        for file, digest in source.files.items()
    }


def _file(name: str, folder: Path, url: str, digest: str) -> Path:
    path = folder / url.rsplit("/", 1)[1]
    if path.exists() and not path.is_file():
        raise DataError(
            f"{name}: {path} is no file; move it away, the data set's file belongs there"
        )
    if path.exists() and _has_digest(path, digest):
        return path
    state = "is damaged" if path.exists() else "is missing"
    if os.environ.get("GAUSSBOOK_DOWNLOAD") != "1":
        raise DataError(
            f"{name}: {path.name} {state} in {folder}. Put the file with digest {digest} there "
            f"(it comes from {url}), name another folder in GAUSSBOOK_DATA, or set "
            "GAUSSBOOK_DOWNLOAD=1 to let it be downloaded"
        )
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT)
        pooch.retrieve(url, digest, path.name, folder, downloader=downloader)
    except Exception as error:  # requests, pooch and the file system each have their own
        raise DataError(
            f"{name}: {path.name} {state} in {folder} and could not be downloaded from {url} "
            f"({type(error).__name__}: {error}). Put the file with digest {digest} there"
        ) from error
    return path


def _has_digest(path: Path, digest: str) -> bool:
    algorithm, value = digest.split(":")
    return pooch.file_hash(str(path), alg=algorithm) == value


def _read_idx(path: Path) -> np.ndarray:
    """Read the IDX format: two zeros, a type, the number of dimensions, their sizes, the bytes."""
    with gzip.open(path) as file:
        content = file.read()
    sizes = np.frombuffer(content, ">u4", count=content[3], offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


def _read_cifar(archive: Path, split: str) -> Images:
    """Read CIFAR's binary records: one label, then the red, green and blue planes."""
    wanted = "data_batch" if split == "train" else "test_batch"
    with tarfile.open(archive) as tar:
        batches = sorted(
            (member for member in tar.getmembers() if wanted in member.name),
            key=lambda member: member.name,
        )
        content = b"".join(tar.extractfile(member).read() for member in batches)
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return Images(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy())


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


def _read_pictures(paths: list[Path]) -> np.ndarray:
    pictures = [read_picture(path) for path in paths]
    return np.stack([p if p.shape[0] < p.shape[1] else np.rot90(p) for p in pictures])
