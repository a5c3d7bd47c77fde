"""Photographs with known cameras: folders of the NeRF-synthetic data set and of COLMAP.

Both are read as they are published (Mildenhall et al., 2020; Schoenberger and Frahm, 2016).
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gaussbook.arrays import Array, to_device
from gaussbook.data import DataError, read_picture
from gaussbook.splatting.cameras import Camera
from gaussbook.validation import check_choice, check_scalar

__all__ = ["Capture", "load_colmap", "load_nerf_synthetic"]

_SPLITS = ("train", "val", "test")
_OPENGL_TO_OPENCV = np.array([1.0, -1.0, -1.0])  # y up and z backward become y down, z forward


class _Model(NamedTuple):
    """A camera model of COLMAP: how many parameters, and how many of them are focal lengths."""

    name: str
    n_parameters: int
    n_focal: int = 2


# By COLMAP's number.  Focal lengths come first, then the principal point, then the distortion.
_MODELS = (
    _Model("SIMPLE_PINHOLE", 3, 1),
    _Model("PINHOLE", 4),
    _Model("SIMPLE_RADIAL", 4, 1),
    _Model("RADIAL", 5, 1),
    _Model("OPENCV", 8),
    _Model("OPENCV_FISHEYE", 8),
    _Model("FULL_OPENCV", 12),
    _Model("FOV", 5),
    _Model("SIMPLE_RADIAL_FISHEYE", 4, 1),
    _Model("RADIAL_FISHEYE", 5, 1),
    _Model("THIN_PRISM_FISHEYE", 12),
)
_PINHOLE_WITHOUT_DISTORTION = _MODELS[:5] + _MODELS[6:7]


@dataclass(frozen=True, eq=False)
class Capture:
    """Photographs, and the cameras that took them.

    Attributes
    ----------
    names : list of str
        File names.
    cameras : list of Camera
        One for each name.
    images : list of array, shape (H, W, 3)
        The photographs, in [0, 1]; empty if they were not asked for.
    points, colors : array, shape (n, 3)
        Points that the reconstruction found, and their colours; no rows where there are none.
    """

    names: list[str]
    cameras: list[Camera]
    images: list[Array]
    points: Array
    colors: Array


def load_nerf_synthetic(
    folder: str | os.PathLike, split: str = "train", *, background: float = 1.0
) -> Capture:
    """Read photographs and cameras of the NeRF-synthetic kind.

    Parameters
    ----------
    folder : path
        Holds ``transforms_train.json`` and so on, and the pictures that these name.
    split : {'train', 'val', 'test'}
        Which of them.
    background : float
        Grey level, in [0, 1], behind transparent pixels.

    Returns
    -------
    Capture
        Without points; on the default backend, float64.

    Raises
    ------
    ValueError
        If a file is missing or does not say what it should, or a picture's name leads out of the
        folder.
    """
    folder = _folder("folder", folder)
    check_choice("split", split, _SPLITS)
    background = check_scalar("background", background, at_least=0, at_most=1)
    path = folder / f"transforms_{split}.json"
    try:
        content = json.loads(_bytes(path))
        angle = check_scalar("camera_angle_x", content["camera_angle_x"], above=0, below=math.pi)
        frames = [(str(f["file_path"]), f["transform_matrix"]) for f in content["frames"]]
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"folder: {path} is damaged ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"folder: {path}: {str(error).removeprefix('folder: ')}") from error
    names, cameras, images = [], [], []
    for name, matrix in frames:
        picture = _inside(folder, name, "folder")
        if not picture.is_file():  # as published, names come without their suffix
            picture = picture.with_name(f"{picture.name}.png")
        image = _picture(picture, background)
        names.append(name)
        images.append(to_device(image))
        cameras.append(_from_opengl(f"{path}, {name}", matrix, angle, image.shape))
    return Capture(names, cameras, images, *_no_points())


def _from_opengl(source: str, matrix: Any, angle: float, shape: tuple[int, ...]) -> Camera:
    """Return the camera of a camera-to-world matrix with OpenGL's axes."""
    try:
        matrix = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"folder: {source}: transform_matrix is no matrix") from error
    if matrix.shape not in ((4, 4), (3, 4)) or not np.all(np.isfinite(matrix)):
        raise ValueError(f"folder: {source}: transform_matrix must be a finite 4 x 4 matrix")
    R = _rotation(source, (matrix[:3, :3] * _OPENGL_TO_OPENCV).T)
    height, width = shape[:2]
    focal = width / 2 / math.tan(angle / 2)
    return _camera(source, R, -R @ matrix[:3, 3], (focal, focal, width / 2, height / 2), shape)


def _rotation(source: str, R: np.ndarray) -> np.ndarray:
    """Return the rotation nearest to a matrix that is one up to the digits of a text file."""
    u, singular, v = np.linalg.svd(R)
    if np.max(np.abs(singular - 1)) > 1e-3 or np.linalg.det(R) < 0:
        raise ValueError(f"folder: {source}: the matrix does not hold a rotation")
    return u @ v


def _camera(
    source: str, R: np.ndarray, t: np.ndarray, intrinsics: tuple, shape: tuple[int, ...]
) -> Camera:
    try:
        return Camera(R, t, *intrinsics, width=shape[1], height=shape[0])
    except ValueError as error:
        raise ValueError(f"folder: {source}: {error}") from error


def load_colmap(
    folder: str | os.PathLike, pictures: str | os.PathLike | None = None, *, background: float = 1.0
) -> Capture:
    """Read a reconstruction of COLMAP, and its photographs.

    Parameters
    ----------
    folder : path
        Holds the files ``cameras``, ``images`` and ``points3D``, either all ``.bin`` or all
        ``.txt``; the former are taken if there are both.
    pictures : path, optional
        Holds the photographs.  They may be smaller than COLMAP's, up to the rounding of their
        sides to whole pixels: the cameras follow.
    background : float
        Grey level, in [0, 1], behind transparent pixels.

    Returns
    -------
    Capture
        In the order of the file; on the default backend, float64.

    Raises
    ------
    ValueError
        If a file is missing, damaged or truncated, a picture has another shape than its camera or
        a name that leads out of the folder, or a camera has a distortion (let COLMAP's
        ``image_undistorter`` take it out first).
    """
    folder = _folder("folder", folder)
    pictures = None if pictures is None else _folder("pictures", pictures)
    background = check_scalar("background", background, at_least=0, at_most=1)
    binary = (folder / "cameras.bin").is_file()
    read = _read_binary if binary else _read_text
    cameras, poses, points = read(folder)
    names, views, images = [], [], []
    for name, quaternion, t, number in poses:
        if number not in cameras:
            raise ValueError(f"folder: image {name!r} names camera {number}, which is missing")
        shape, intrinsics = cameras[number]
        if pictures is not None:
            image = _picture(_inside(pictures, name, "pictures"), background, "pictures")
            if not _same_view(image.shape[:2], shape):
                raise ValueError(
                    f"pictures: {name!r} has {image.shape[1]} x {image.shape[0]} pixels, which is "
                    f"not the shape of its camera's {shape[1]} x {shape[0]}"
                )
            intrinsics = tuple(
                f * image.shape[axis] / shape[axis]
                for f, axis in zip(intrinsics, (1, 0, 1, 0), strict=True)
            )
            shape = image.shape[:2]
            images.append(to_device(image))
        R = _from_quaternion(name, quaternion)
        names.append(name)
        views.append(_camera(f"image {name!r}", R, t, intrinsics, shape))
    table = np.reshape(np.asarray(points, dtype=np.float64), (-1, 6))
    if not np.all(np.isfinite(table)):
        raise ValueError("folder: points3D holds NaN or infinite values")
    return Capture(names, views, images, to_device(table[:, :3]), to_device(table[:, 3:] / 255))


def _same_view(found: tuple[int, int], expected: tuple[int, int]) -> bool:
    """Say whether one factor takes both sides to those found, each rounded to whole pixels."""
    (a, b), (height, width) = found, expected
    return abs(a * width - b * height) < height + width


_Cameras = dict[int, tuple[tuple[int, int], tuple]]
_Poses = list[tuple[str, np.ndarray, np.ndarray, int]]


def _from_quaternion(name: str, q: np.ndarray) -> np.ndarray:
    """Return the rotation of (w, x, y, z)."""
    from scipy.spatial.transform import Rotation

    if not np.all(np.isfinite(q)) or abs(np.linalg.norm(q) - 1) > 1e-3:
        raise ValueError(f"folder: image {name!r} has a quaternion that is not of length 1")
    return Rotation.from_quat([*q[1:], q[0]]).as_matrix()


def _intrinsics(model: _Model, parameters: tuple[float, ...]) -> tuple[float, ...]:
    """Return fx, fy, cx, cy."""
    focal, rest = parameters[: model.n_focal], parameters[model.n_focal :]
    if model not in _PINHOLE_WITHOUT_DISTORTION or any(rest[2:]):
        raise ValueError(f"folder: a camera of the model {model.name} must be undistorted first")
    return focal[0], focal[-1], rest[0], rest[1]


class _Reader:
    """Numbers from a binary file, one after the other."""

    def __init__(self, path: Path):
        self.path, self.content, self.position = path, _bytes(path), 0

    def take(self, layout: str) -> tuple:
        layout = "<" + layout
        end = self.position + struct.calcsize(layout)
        if end > len(self.content):
            raise self.truncated()
        values = struct.unpack_from(layout, self.content, self.position)
        self.position = end
        return values

    def name(self) -> str:
        end = self.content.find(b"\0", self.position)
        if end < 0:
            raise self.truncated()
        name = self.content[self.position : end].decode("utf-8", "replace")
        self.position = end + 1
        return name

    def skip(self, n: int) -> None:
        self.position += n
        if self.position > len(self.content):
            raise self.truncated()

    def truncated(self) -> ValueError:
        return ValueError(f"folder: {self.path} is truncated ({len(self.content)} bytes)")


def _read_binary(folder: Path) -> tuple[_Cameras, _Poses, list]:
    # The records have different lengths, so that they can only be read one after the other.
    cameras: _Cameras = {}
    reader = _Reader(folder / "cameras.bin")
    for _ in range(*reader.take("Q")):
        number, kind, width, height = reader.take("iiQQ")
        if not 0 <= kind < len(_MODELS):
            raise ValueError(f"folder: {reader.path} has an unknown camera model, number {kind}")
        model = _MODELS[kind]
        parameters = reader.take(f"{model.n_parameters}d")
        cameras[number] = (height, width), _intrinsics(model, parameters)
    poses: _Poses = []
    reader = _Reader(folder / "images.bin")
    for _ in range(*reader.take("Q")):
        _, *pose, number = reader.take("i7di")
        name = reader.name()
        reader.skip(24 * reader.take("Q")[0])  # places of the points in the photograph
        poses.append((name, np.array(pose[:4]), np.array(pose[4:]), number))
    points = []
    reader = _Reader(folder / "points3D.bin")
    for _ in range(*reader.take("Q")):
        _, *point, _, n_photographs = reader.take("q3d3BdQ")
        reader.skip(8 * n_photographs)
        points.append(point)
    return cameras, poses, points


def _lines(path: Path) -> Iterator[str]:
    """Iterate over the lines of a text file that are no comments."""
    for line in map(str.strip, _bytes(path).decode("utf-8-sig", "replace").splitlines()):
        if not line.startswith("#"):
            yield line


def _read_text(folder: Path) -> tuple[_Cameras, _Poses, list]:
    paths = [folder / f"{name}.txt" for name in ("cameras", "images", "points3D")]
    cameras: _Cameras = {}
    models = {model.name: model for model in _MODELS}
    for words in filter(None, map(str.split, _lines(paths[0]))):
        if len(words) > 1 and words[1] not in models:
            raise ValueError(f"folder: {paths[0]} has an unknown camera model, {words[1]}")
        numbers = _numbers(paths[0], words[2:])
        if len(words) < 2 or len(numbers) != 2 + models[words[1]].n_parameters:
            raise ValueError(f"folder: {paths[0]} has a line that is no camera: {words}")
        shape = int(numbers[1]), int(numbers[0])
        key = int(_numbers(paths[0], words[:1])[0])
        cameras[key] = shape, _intrinsics(models[words[1]], tuple(numbers[2:]))
    poses: _Poses = []
    lines = _lines(paths[1])
    for line in filter(None, lines):
        words = line.split(maxsplit=9)
        if len(words) != 10:
            raise ValueError(f"folder: {paths[1]} has a line that is no image: {line!r}")
        pose = _numbers(paths[1], words[:9])
        poses.append((words[9], np.array(pose[1:5]), np.array(pose[5:8]), int(pose[8])))
        # The next line, which may be empty, lists points of the photograph, three numbers for each.
        places = next(lines, "").split()
        if len(_numbers(paths[1], places)) % 3:
            raise ValueError(f"folder: {paths[1]} lacks the line of points after {line!r}")
    points = []
    for words in filter(None, map(str.split, _lines(paths[2]))):
        if len(words) < 8:
            raise ValueError(f"folder: {paths[2]} has a line that is no point: {words}")
        points.append(_numbers(paths[2], words[1:7]))
    return cameras, poses, points


def _numbers(path: Path, words: list[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"folder: {path} holds {words} instead of numbers") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"folder: {path} holds NaN or infinite values")
    return numbers


def _folder(argument: str, folder: Any) -> Path:
    try:
        path = Path(folder)
        found = path.is_dir()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{argument} must be a path, got {folder!r}") from error
    if not found:
        raise ValueError(f"{argument} {str(folder)!r} is no folder")
    return path


def _inside(folder: Path, name: str, argument: str) -> Path:
    """Return the path of a name that a file holds, which may not lead out of the folder."""
    path = os.path.normpath(name)
    if not name or os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
        raise ValueError(f"{argument}: the name {name!r} leads out of the folder")
    return folder / path


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"folder: {path} is missing")
    return path.read_bytes()


def _picture(path: Path, background: float, argument: str = "folder") -> np.ndarray:
    """Return a picture (H, W, 3) in [0, 1], on the background where it is transparent."""
    if not path.is_file():
        raise ValueError(f"{argument}: {path} is missing")
    try:
        image = read_picture(path)
    except DataError as error:
        raise ValueError(f"{argument}: no picture can be had: {error}") from error
    if not np.issubdtype(image.dtype, np.unsignedinteger):
        raise ValueError(f"{argument}: {path} must hold whole numbers, has {image.dtype}")
    image = image / float(np.iinfo(image.dtype).max)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"{argument}: {path} must be grey, RGB or RGBA, has shape {image.shape}")
    if image.shape[2] == 4:
        alpha = image[:, :, 3:]
        image = image[:, :, :3] * alpha + background * (1 - alpha)
    return image


def _no_points() -> tuple[Array, Array]:
    return to_device(np.zeros((0, 3))), to_device(np.zeros((0, 3)))
