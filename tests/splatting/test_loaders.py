"""Folders of photographs: files that the tests write, whole, damaged and cut short."""

import json
import struct

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation
from skimage.io import imsave

from gaussbook.splatting import fibonacci_hemisphere
from gaussbook.splatting.loaders import _same_view, load_colmap, load_nerf_synthetic

CAMERAS = fibonacci_hemisphere(3, width=12, field_of_view=50.0)
POINTS = np.array([[0.5, -1.25, 2.0], [3.0, 4.0, -5.5]])
COLORS = np.array([[255, 0, 51], [102, 204, 153]])


def same(found, expected):
    np.testing.assert_allclose(found.R, expected.R, atol=1e-12)
    np.testing.assert_allclose(found.t, expected.t, atol=1e-12)
    for name in ("fx", "fy", "cx", "cy", "width", "height"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))


def pictures(folder, size=(12, 12), channels=4):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(CAMERAS), *size, channels)).astype(np.uint8)
    for i, image in enumerate(images):
        imsave(folder / f"r {i}.png", image, check_contrast=False)
    return images / 255


@pytest.fixture
def nerf(tmp_path):
    images = pictures(tmp_path / "train")
    frames = []
    for i, camera in enumerate(CAMERAS):
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = camera.R.T * (1, -1, -1), camera.position
        frames.append({"file_path": f"./train/r {i}", "transform_matrix": matrix.tolist()})
    content = {"camera_angle_x": np.radians(50.0), "frames": frames}
    (tmp_path / "transforms_train.json").write_text(json.dumps(content))
    return tmp_path, images, content


def test_nerf_synthetic(nerf):
    folder, images, _ = nerf
    capture = load_nerf_synthetic(str(folder))
    assert capture.names == ["./train/r 0", "./train/r 1", "./train/r 2"]
    assert capture.points.shape == capture.colors.shape == (0, 3)
    for found, camera, image, true in zip(
        capture.cameras, CAMERAS, capture.images, images, strict=True
    ):
        same(found, camera)
        white = true[:, :, :3] * true[:, :, 3:] + 1 - true[:, :, 3:]
        np.testing.assert_allclose(image, white, atol=1e-12)
    black = load_nerf_synthetic(folder, background=0)
    np.testing.assert_allclose(black.images[0], images[0, :, :, :3] * images[0, :, :, 3:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"camera_angle_x": 4.0}, "camera_angle_x must be below"),
        ({"camera_angle_x": "x"}, "camera_angle_x must be a number"),
        ({"frames": 3}, "damaged"),
        ({"frames": [{"file_path": "train/r 0"}]}, "damaged"),
        ({"frames": [{"file_path": "no", "transform_matrix": []}]}, "no.png is missing"),
        ({"frames": [{"file_path": "train/r 0", "transform_matrix": [1, [2]]}]}, "no matrix"),
        ({"frames": [{"file_path": "train/r 0", "transform_matrix": [[1]]}]}, "4 x 4"),
        (
            {"frames": [{"file_path": "train/r 0", "transform_matrix": np.ones((4, 4)).tolist()}]},
            "rotation",
        ),
        (
            {"frames": [{"file_path": "bad.png", "transform_matrix": []}]},
            "no picture",
        ),
    ],
)
def test_bad_transforms(nerf, change, message):
    folder, _, content = nerf
    (folder / "bad.png").write_bytes(b"nothing")
    (folder / "transforms_train.json").write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=f"^folder: .*{message}"):
        load_nerf_synthetic(folder)


def test_bad_nerf_arguments(nerf):
    folder, _, _ = nerf
    with pytest.raises(ValueError, match="^folder: .*transforms_val.json is missing"):
        load_nerf_synthetic(folder, "val")
    with pytest.raises(ValueError, match="^split "):
        load_nerf_synthetic(folder, "all")
    for background in (None, -1, 2, float("nan"), "x"):
        with pytest.raises(ValueError, match="^background "):
            load_nerf_synthetic(folder, background=background)
    text = (folder / "transforms_train.json").read_bytes()
    for n in range(0, len(text) - 1, 40):
        (folder / "transforms_train.json").write_bytes(text[:n])
        with pytest.raises(ValueError, match="^folder: .*damaged"):
            load_nerf_synthetic(folder)


def poses():
    for i, camera in enumerate(CAMERAS):
        x, y, z, w = Rotation.from_matrix(camera.R).as_quat()
        yield i, (w, x, y, z), camera.t, f"r {i}.png"


def write_text(folder):
    f = CAMERAS[0].fx
    (folder / "cameras.txt").write_text(
        "# Camera list\n# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
        f"1 PINHOLE 12 12 {f!r} {f!r} 6 6\n7 SIMPLE_RADIAL 12 12 {f!r} 6 6 0\n"
    )
    lines = ["# Image list with two lines of data per image:"]
    for i, q, t, name in poses():
        numbers = " ".join(repr(float(x)) for x in (*q, *t))
        lines += [f"{i + 1} {numbers} {1 if i else 7} {name}", "1.5 2.5 -1 3 4 1" if i else ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    points = [
        f"{i} {' '.join(map(repr, map(float, p)))} {' '.join(map(str, c))} 0.1 1 0 2 0"
        for i, (p, c) in enumerate(zip(POINTS, COLORS, strict=True))
    ]
    (folder / "points3D.txt").write_text("# 3D point list\n" + "\n".join(points) + "\n")


def write_binary(folder):
    f = CAMERAS[0].fx
    (folder / "cameras.bin").write_bytes(
        struct.pack("<QiiQQ4d", 2, 1, 1, 12, 12, f, f, 6, 6)
        + struct.pack("<iiQQ4d", 7, 2, 12, 12, f, 6, 6, 0)
    )
    content = struct.pack("<Q", 3)
    for i, q, t, name in poses():
        content += struct.pack("<i7di", i + 1, *q, *t, 1 if i else 7) + name.encode() + b"\0"
        content += struct.pack("<Q", i) + struct.pack("<ddq", 1.5, 2.5, -1) * i
    (folder / "images.bin").write_bytes(content)
    content = struct.pack("<Q", 2)
    for i, (p, c) in enumerate(zip(POINTS, COLORS.tolist(), strict=True)):
        content += struct.pack("<q3d3BdQ", i, *p, *c, 0.1, i) + struct.pack("<ii", 1, 0) * i
    (folder / "points3D.bin").write_bytes(content)


@pytest.fixture(params=[write_text, write_binary])
def colmap(request, tmp_path):
    request.param(tmp_path)
    return tmp_path


def test_colmap(colmap):
    images = pictures(colmap / "images", channels=3)
    capture = load_colmap(colmap, colmap / "images")
    assert capture.names == ["r 0.png", "r 1.png", "r 2.png"]
    for found, camera, image, true in zip(
        capture.cameras, CAMERAS, capture.images, images, strict=True
    ):
        same(found, camera)
        np.testing.assert_allclose(image, true)
    np.testing.assert_array_equal(capture.points, POINTS)
    np.testing.assert_allclose(capture.colors, COLORS / 255)
    assert load_colmap(str(colmap)).images == []


def test_smaller_photographs(colmap):
    pictures(colmap / "images", size=(6, 6))
    for found, camera in zip(load_colmap(colmap, colmap / "images").cameras, CAMERAS, strict=True):
        same(found, camera.scaled(6))


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_missing_files(colmap, name):
    (path,) = colmap.glob(f"{name}.*")
    path.unlink()
    with pytest.raises(ValueError, match="^folder: .*is missing"):
        load_colmap(colmap)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_truncated_binary(tmp_path, name):
    write_binary(tmp_path)
    path = tmp_path / f"{name}.bin"
    content = path.read_bytes()
    for n in range(len(content)):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match=f"^folder: .*{name}.bin is truncated"):
            load_colmap(tmp_path)
    path.write_bytes(b"\xff" * len(content))
    with pytest.raises(ValueError, match="^folder: "):
        load_colmap(tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("cameras", "PINHOLE", "WIDE_ANGLE", "unknown camera model, WIDE_ANGLE"),
        ("cameras", "6 6 0", "6 6 0.1", "SIMPLE_RADIAL must be undistorted"),
        ("cameras", "6 6 0", "6 6", "no camera"),
        ("cameras", "12 12", "12 x", "instead of numbers"),
        ("cameras", "12 12", "12 -12", "height must be"),
        ("cameras", "12 12", "nan 12", "NaN"),
        ("cameras", "1 PINHOLE", "2 PINHOLE", "camera 1, which is missing"),
        ("cameras", "7 SIMPLE", "SIMPLE", "unknown camera model, 12"),
        ("images", "r 0.png", "", "no image"),
        ("images", "\n1 ", "\n1 9", "quaternion"),
        ("points3D", "0.5", "half", "instead of numbers"),
        ("points3D", "255 0 51 0.1 1 0 2 0", "255", "no point"),
        ("points3D", "0.5 -1.25 2.0 255 0 51 0.1 1 0 2 0", "0.5", "no point"),
    ],
)
def test_bad_text(tmp_path, name, old, new, message):
    write_text(tmp_path)
    path = tmp_path / f"{name}.txt"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"^folder: .*{message}"):
        load_colmap(tmp_path)


def test_bad_colmap_model_number(tmp_path):
    write_binary(tmp_path)
    path = tmp_path / "cameras.bin"
    content = bytearray(path.read_bytes())
    content[12:16] = struct.pack("<i", 42)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^folder: .*unknown camera model, number 42"):
        load_colmap(tmp_path)
    content[12:16] = struct.pack("<i", 7)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^folder: .*model FOV must be undistorted"):
        load_colmap(tmp_path)


@pytest.mark.parametrize("value", [3.0, "", "no folder", "a\0b", {"a": 1}, [1], b"x" * 5])
@pytest.mark.parametrize("argument", ["folder", "pictures"])
def test_bad_folders(tmp_path, monkeypatch, argument, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good").mkdir()
    write_text(tmp_path / "good")
    if value == "":
        value = tmp_path / "good" / "cameras.txt"
    with pytest.raises(ValueError, match=f"^{argument} "):
        load_colmap(**{"folder": "good"} | {argument: value})
    if argument == "folder":
        with pytest.raises(ValueError, match="^folder "):
            load_nerf_synthetic(value)


def test_bad_pictures(colmap):
    pictures(colmap / "images", channels=3)
    (colmap / "images" / "r 1.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="^pictures: .*no picture"):
        load_colmap(colmap, colmap / "images")
    Image.new("1", (9000, 9000)).save(colmap / "images" / "r 1.png")
    with pytest.raises(ValueError, match="^pictures: .*9000 x 9000 pixels"):
        load_colmap(colmap, colmap / "images")
    (colmap / "images" / "r 1.png").unlink()
    with pytest.raises(ValueError, match="^pictures: .*missing"):
        load_colmap(colmap, colmap / "images")


class TestLinesOfImages:
    """Every second line lists points; lines before the first image, or between two, do not."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: "\n" + text,
            lambda text: "\n  \n\t\n" + text,
            lambda text: "\ufeff" + text,
            lambda text: text.replace("\n", "\r\n"),
            lambda text: text.replace("# Image", "  # Image"),
            lambda text: text + "\n\n# the end\n",
            lambda text: text.rstrip("\n"),
            lambda text: text.replace("1.5 2.5 -1 3 4 1\n", "1.5 2.5 -1 3 4 1\n\n# next\n\n", 1),
        ],
    )
    def test_all_cameras_are_found(self, tmp_path, change):
        write_text(tmp_path)
        path = tmp_path / "images.txt"
        path.write_bytes(change(path.read_text()).encode())
        capture = load_colmap(tmp_path)
        assert capture.names == ["r 0.png", "r 1.png", "r 2.png"]
        for found, camera in zip(capture.cameras, CAMERAS, strict=True):
            same(found, camera)

    @pytest.mark.parametrize("file", ["cameras.txt", "points3D.txt"])
    def test_blank_lines_elsewhere(self, tmp_path, file):
        write_text(tmp_path)
        path = tmp_path / file
        path.write_text("\n \n" + path.read_text().replace("\n", "\n\n"))
        capture = load_colmap(tmp_path)
        assert len(capture.cameras) == 3
        assert capture.points.shape == (2, 3)

    def test_a_missing_line_of_points(self, tmp_path):
        write_text(tmp_path)
        path = tmp_path / "images.txt"
        path.write_text(path.read_text().replace("1.5 2.5 -1 3 4 1\n", "", 1))
        with pytest.raises(ValueError, match=r"^folder: .*images\.txt "):
            load_colmap(tmp_path)


class TestShapesOfPictures:
    @pytest.mark.parametrize("size", [(12, 12), (6, 6), (5, 6), (7, 6), (24, 24)])
    def test_of_the_camera(self, tmp_path, size):
        write_text(tmp_path)
        pictures(tmp_path / "images", size)
        capture = load_colmap(tmp_path, tmp_path / "images")
        assert (capture.cameras[0].height, capture.cameras[0].width) == size
        assert capture.cameras[0].fx == pytest.approx(CAMERAS[0].fx * size[1] / 12)

    @pytest.mark.parametrize("size", [(12, 16), (16, 12), (12, 9), (6, 9), (30, 40)])
    def test_of_no_such_camera(self, tmp_path, size):
        write_text(tmp_path)
        pictures(tmp_path / "images", size)
        with pytest.raises(ValueError, match=r"^pictures: 'r 0\.png' has .* not the shape"):
            load_colmap(tmp_path, tmp_path / "images")

    @pytest.mark.parametrize(("width", "height"), [(1959, 1090), (4946, 3286), (4032, 3024)])
    @pytest.mark.parametrize("divisor", [1, 2, 4, 8])
    @pytest.mark.parametrize("rounded", [np.floor, np.ceil, np.round])
    def test_of_a_smaller_copy(self, width, height, divisor, rounded):
        found = tuple(int(rounded(n / divisor)) for n in (height, width))
        assert _same_view(found, (height, width))
        assert not _same_view(found[::-1], (height, width))


LEADING_OUT = ["../r 0.png", "/r 0.png", "train/../../r 0.png", "..", ""]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_names_that_lead_out_of_the_folder(nerf, name):
    folder, _, content = nerf
    inner = folder / "inner"
    inner.mkdir()
    pictures(folder)
    frame = content["frames"][0] | {"file_path": name}
    (inner / "transforms_train.json").write_text(json.dumps(content | {"frames": [frame]}))
    with pytest.raises(ValueError, match="^folder: the name .* leads out of the folder"):
        load_nerf_synthetic(inner)
    if name in ("..", ""):
        return
    for write in (write_text, write_binary):
        write(inner)
        for path in inner.glob("images.*"):
            path.write_bytes(path.read_bytes().replace(b"r 0.png", name.encode()))
        with pytest.raises(ValueError, match="^pictures: the name .* leads out of the folder"):
            load_colmap(inner, inner)


@pytest.mark.parametrize("name", ["./train/r_0.5", "train/r_0.5", "./train/x/../r_0.5", "r.0"])
@pytest.mark.parametrize("suffix", ["", ".png"])
def test_names_with_a_dot(nerf, name, suffix):
    folder, _, content = nerf
    picture = np.full((12, 12, 3), 51, np.uint8)
    imsave(folder / f"{name.replace('x/../', '')}.png", picture, check_contrast=False)
    frame = content["frames"][0] | {"file_path": name + suffix}
    (folder / "transforms_train.json").write_text(json.dumps(content | {"frames": [frame]}))
    np.testing.assert_allclose(load_nerf_synthetic(folder).images[0], 0.2)
