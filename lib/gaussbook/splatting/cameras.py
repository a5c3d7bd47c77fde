"""Pinhole cameras: where they stand, what they see, and rings of them around a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gaussbook.arrays import to_host
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["Camera", "fibonacci_hemisphere", "look_at"]

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, eq=False)
class Camera:
    r"""A pinhole camera with OpenCV axes: x to the right, y down, z forward.

    A world point :math:`\mu` has camera coordinates :math:`t = R\mu + t_v` and falls on the image
    at :math:`(f_x t_x/t_z + c_x,\; f_y t_y/t_z + c_y)` pixels; the centre of the pixel in row i and
    column j is :math:`(j + \tfrac12, i + \tfrac12)`.

    Parameters
    ----------
    R : array_like, shape (3, 3)
        Rotation from the world to the camera; its rows are the camera's axes in the world.
    t : array_like, shape (3,)
        Translation :math:`t_v`, in world units.
    fx, fy : float
        Focal lengths, in pixels.
    cx, cy : float
        Principal point, in pixels.
    width, height : int
        Size of the image, in pixels.
    near : float
        Points whose depth :math:`t_z` is not above this are not drawn.

    Raises
    ------
    ValueError
        If `R` is not a rotation, or a number is not finite or not in its range.
    """

    R: np.ndarray
    t: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    near: float = 0.2

    def __post_init__(self):
        R = np.asarray(to_host(check_array("R", self.R, shape=(3, 3))), dtype=np.float64)
        if np.max(np.abs(R @ R.T - np.eye(3))) > 1e-6 or np.linalg.det(R) < 0:
            raise ValueError("R must be a rotation: orthonormal rows, determinant 1")
        object.__setattr__(self, "R", R)
        t = np.asarray(to_host(check_array("t", self.t, shape=(3,))), dtype=np.float64)
        object.__setattr__(self, "t", t)
        for name in ("fx", "fy", "near"):
            object.__setattr__(self, name, check_scalar(name, getattr(self, name), above=0))
        for name in ("cx", "cy"):
            object.__setattr__(self, name, check_scalar(name, getattr(self, name)))
        for name in ("width", "height"):
            size = check_integer(name, getattr(self, name), at_least=1, at_most=1 << 15)
            object.__setattr__(self, name, size)

    @property
    def position(self) -> np.ndarray:
        r"""The camera's centre :math:`-R^T t_v` in the world, shape (3,)."""
        return -self.R.T @ self.t

    def scaled(self, resolution: int) -> Camera:
        """Return the same view at another resolution.

        Parameters
        ----------
        resolution : int
            The new width in pixels; the height keeps its ratio to the width.

        Returns
        -------
        Camera
            With focal lengths and principal point scaled along.

        Raises
        ------
        ValueError
            If the height would not be a whole number of pixels.
        """
        resolution = check_integer("resolution", resolution, at_least=1)
        if self.height * resolution % self.width:
            raise ValueError(
                f"resolution {resolution} does not give a whole number of rows "
                f"to an image of {self.width} x {self.height}"
            )
        factor = resolution / self.width
        return replace(
            self,
            fx=self.fx * factor,
            fy=self.fy * factor,
            cx=self.cx * factor,
            cy=self.cy * factor,
            width=resolution,
            height=self.height * resolution // self.width,
        )


def _vector(name: str, value: Sequence[float]) -> np.ndarray:
    """Return three numbers on the host."""
    return np.asarray(to_host(check_array(name, value, shape=(3,))), dtype=np.float64)


def look_at(
    position: Sequence[float],
    target: Sequence[float],
    *,
    up: Sequence[float] = (0.0, 0.0, 1.0),
    field_of_view: float = 40.0,
    width: int = 64,
    height: int | None = None,
    near: float = 0.2,
) -> Camera:
    """Return the camera at `position` whose optical axis goes through `target`.

    Parameters
    ----------
    position, target : array_like, shape (3,)
        In world units.
    up : array_like, shape (3,)
        The direction that points up in the image.
    field_of_view : float
        Horizontal angle of view in degrees, below 180.
    width, height : int
        Size of the image in pixels; it is square if no height is given.
    near : float
        Nearest depth that is drawn.

    Returns
    -------
    Camera
        With square pixels and the principal point in the middle.

    Raises
    ------
    ValueError
        If `target` is `position`, or the view goes along `up`.
    """
    position = _vector("position", position)
    target = _vector("target", target)
    up = _vector("up", up)
    angle = check_scalar("field_of_view", field_of_view, above=0, below=180)
    width = check_integer("width", width, at_least=1)
    height = width if height is None else check_integer("height", height, at_least=1)
    distance = math.hypot(*(target - position))
    if not 0 < distance < math.inf:
        raise ValueError("target must differ from position, by a finite distance")
    forward = (target - position) / distance
    right = np.cross(forward, up / (np.max(np.abs(up)) or 1.0))
    length = math.hypot(*right)
    if length < 1e-9:
        raise ValueError("up must not be parallel to the direction of view")
    right = right / length
    R = np.stack([right, np.cross(forward, right), forward])
    focal = width / 2 / math.tan(math.radians(angle) / 2)
    return Camera(R, -R @ position, focal, focal, width / 2, height / 2, width, height, near)


def fibonacci_hemisphere(
    n: int,
    *,
    radius: float = 3.0,
    target: Sequence[float] = (0.0, 0.0, 0.0),
    elevation: tuple[float, float] = (15.0, 65.0),
    field_of_view: float = 40.0,
    width: int = 64,
    near: float = 0.2,
) -> list[Camera]:
    """Return cameras spread evenly over a band of the upper hemisphere, all looking at `target`.

    Successive cameras turn by the golden angle while the sine of the elevation rises in equal
    steps, so that each has the same area of the sphere to itself.

    Parameters
    ----------
    n : int
        Number of cameras.
    radius : float
        Distance from `target`, in world units.
    target : array_like, shape (3,)
        What they look at.
    elevation : tuple of float
        Lowest and highest elevation, in degrees, within (-90, 90).
    field_of_view, width, near
        As in `look_at`; images are square.

    Returns
    -------
    list of Camera

    Raises
    ------
    ValueError
        If a number is outside its range.
    """
    n = check_integer("n", n, at_least=1)
    radius = check_scalar("radius", radius, above=0)
    target = _vector("target", target)
    band = np.asarray(to_host(check_array("elevation", elevation, shape=(2,))), dtype=np.float64)
    if not -90 < band[0] <= band[1] < 90:
        raise ValueError("elevation must hold two increasing angles between -90 and 90 degrees")
    low, high = np.sin(np.radians(band))
    index = np.arange(n)
    z = low + (high - low) * (index + 0.5) / n
    across, azimuth = np.sqrt(1 - z**2), _GOLDEN_ANGLE * index
    directions = np.stack([across * np.cos(azimuth), across * np.sin(azimuth), z], axis=-1)
    return [
        look_at(p, target, field_of_view=field_of_view, width=width, near=near)
        for p in target + radius * directions
    ]
