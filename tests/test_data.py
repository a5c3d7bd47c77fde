"""Bundled data without a network; full data sets from a loopback server, with all its faults."""

import functools
import gzip
import hashlib
import http.server
import os
import tarfile
import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
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


def test_the_stereo_pair_shifts_to_the_left_by_its_disparity():
    left, right, disparity = data.stereo_motorcycle()
    assert left.shape == right.shape == (500, 741, 3) and disparity.shape == (500, 741)
    assert disparity.dtype == np.float64 and 0 <= left.min() and right.max() <= 1
    assert 0.01 < np.mean(np.isnan(disparity)) < 0.3 and not np.any(np.isinf(disparity))
    row, column = np.nonzero(np.isfinite(disparity))
    errors = []
    for sign in (-1, 1):
        there = np.rint(column + sign * disparity[row, column]).astype(int)
        inside = (there >= 0) & (there < 741)
        shifted = right[row[inside], there[inside]]
        errors.append(np.mean((shifted - left[row[inside], column[inside]]) ** 2))
    assert errors[0] < 0.1 * errors[1]


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
    with pytest.raises(ValueError, match="^name must be one of mnist"):
        data.images("imagenet")
    with pytest.raises(ValueError, match="^split must be one of train, test"):
        data.images("mnist", "validation")


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if "slow" in self.path:
            time.sleep(3)
        elif "truncated" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A data set of one file on a loopback server, and an empty folder for it."""
    remote, local = tmp_path / "remote", tmp_path / "local"
    remote.mkdir()
    local.mkdir()
    (remote / "good.bin").write_bytes(b"content")
    handler = functools.partial(_Handler, directory=str(remote))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"

        def declare(file, content=b"content"):
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            monkeypatch.setitem(data.DATASETS, "toy", data.Source(url, {file: digest}))

        declare("good.bin")
        monkeypatch.setenv("GAUSSBOOK_DATA", str(local))
        monkeypatch.setenv("GAUSSBOOK_DOWNLOAD", "1")
        monkeypatch.setattr(data, "_TIMEOUT", 0.5)
        yield declare, local / "toy"
        server.shutdown()


def test_a_good_file_is_downloaded_once_and_kept(served, monkeypatch):
    _, folder = served
    assert data.fetch("toy") == {"good.bin": folder / "good.bin"}
    assert (folder / "good.bin").read_bytes() == b"content"
    monkeypatch.delenv("GAUSSBOOK_DOWNLOAD")  # offline from now on
    assert data.fetch("toy")["good.bin"].exists()


def test_without_leave_nothing_is_downloaded(served, monkeypatch):
    _, folder = served
    monkeypatch.setenv("GAUSSBOOK_DOWNLOAD", "0")
    with pytest.raises(
        data.DataError, match=r"good\.bin is missing in .*toy.*GAUSSBOOK_DOWNLOAD=1"
    ):
        data.fetch("toy")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("wrong.bin", "hash|404"),
        ("truncated.bin", "hash|IncompleteRead|broken"),
        ("slow.bin", "[Tt]ime"),
        ("absent.bin", "404"),
    ],
)
def test_a_bad_download_is_named_and_not_kept(served, tmp_path, file, words):
    declare, folder = served
    (tmp_path / "remote" / "wrong.bin").write_bytes(b"something else")
    declare(file)
    with pytest.raises(data.DataError, match=f"toy: {file} is missing in .*({words})"):
        data.fetch("toy")
    assert not (folder / file).exists()


def test_a_damaged_file_is_replaced_or_named(served, monkeypatch):
    _, folder = served
    folder.mkdir()
    (folder / "good.bin").write_bytes(b"conte")
    monkeypatch.setenv("GAUSSBOOK_DOWNLOAD", "")
    with pytest.raises(data.DataError, match=r"good\.bin is damaged"):
        data.fetch("toy")
    monkeypatch.setenv("GAUSSBOOK_DOWNLOAD", "1")
    assert data.fetch("toy")["good.bin"].read_bytes() == b"content"


def test_a_folder_that_cannot_be_written(served, monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_DATA", "/proc/self/fdinfo")
    with pytest.raises(data.DataError, match=r"could not be downloaded .*Put the file"):
        data.fetch("toy")


def test_a_read_only_folder_with_the_file_is_enough(served):
    _, folder = served
    folder.mkdir()
    (folder / "good.bin").write_bytes(b"content")
    folder.chmod(0o555)
    try:
        assert data.fetch("toy")["good.bin"].read_bytes() == b"content"
    finally:
        folder.chmod(0o755)


def _place(monkeypatch, folder, name, files):
    """Put files of our own in the place of a data set's."""
    (folder / name).mkdir(parents=True)
    digests = {}
    for file, content in files.items():
        (folder / name / file).write_bytes(content)
        digests[file] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    monkeypatch.setitem(data.DATASETS, name, data.Source("http://127.0.0.1:9/", digests))
    monkeypatch.setenv("GAUSSBOOK_DATA", str(folder))


def _idx(array):
    sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def test_idx_files_are_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 5, dtype=np.uint8)
    files = {
        "train-images-idx3-ubyte.gz": _idx(pictures),
        "train-labels-idx1-ubyte.gz": _idx(labels),
        "t10k-images-idx3-ubyte.gz": _idx(pictures[:2]),
        "t10k-labels-idx1-ubyte.gz": _idx(labels[:2]),
    }
    _place(monkeypatch, tmp_path, "mnist", files)
    train, test = data.images("mnist"), data.images("mnist", "test")
    assert_array_equal(train.images, pictures)
    assert_array_equal(train.labels, labels)
    assert_array_equal(test.images, pictures[:2])


def test_cifar_records_are_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    planes = pictures.transpose(0, 3, 1, 2).reshape(6, -1)
    records = np.concatenate([labels[:, None], planes], axis=1)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, rows in (("data_batch_2", [2, 3]), ("data_batch_1", [0, 1]), ("test_batch", [4])):
            path = tmp_path / f"{name}.bin"
            path.write_bytes(records[rows].tobytes())
            tar.add(path, f"cifar-10-batches-bin/{name}.bin")
    _place(monkeypatch, tmp_path / "d", "cifar10", {archive.name: archive.read_bytes()})
    train = data.images("cifar10")
    assert_array_equal(train.images, pictures[:4])
    assert_array_equal(train.labels, labels[:4])
    assert_array_equal(data.images("cifar10", "test").images, pictures[4:5])


def test_kodak_pictures_lie_the_same_way(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    wide = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    files = {}
    for name, picture in (("01.png", wide), ("02.png", np.rot90(wide, -1))):
        imsave(tmp_path / name, picture, check_contrast=False)
        files[name] = (tmp_path / name).read_bytes()
    _place(monkeypatch, tmp_path / "d", "kodak", files)
    pictures = data.images("kodak")
    assert pictures.labels is None
    assert_array_equal(pictures.images, np.stack([wide, wide]))


def test_a_folder_in_the_place_of_a_file_is_named(served):
    _, folder = served
    (folder / "good.bin").mkdir(parents=True)
    with pytest.raises(data.DataError, match=r"good\.bin is no file"):
        data.fetch("toy")


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


def test_every_declared_file_has_a_digest():
    for source in data.DATASETS.values():
        for digest in source.files.values():
            algorithm, value = digest.split(":")
            assert len(value) == hashlib.new(algorithm).digest_size * 2
    assert os.environ.get("GAUSSBOOK_DOWNLOAD") != "1", "tests must not reach the network"
