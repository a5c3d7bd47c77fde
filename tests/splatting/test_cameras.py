"""Cameras: what they see of points, and where the rings stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.splatting import Camera, fibonacci_hemisphere, look_at

COORDINATE = st.floats(-5, 5).map(lambda x: round(x, 3))
POINT = st.tuples(COORDINATE, COORDINATE, COORDINATE)


@settings(max_examples=50, deadline=None)
@given(position=POINT, target=POINT)
def test_look_at(position, target):
    position, target = np.array(position), np.array(target)
    direction = target - position
    if np.linalg.norm(np.cross(direction, [0, 0, 1])) < 1e-3:
        return
    camera = look_at(position, target, width=80, height=60)
    np.testing.assert_allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(camera.position, position, atol=1e-12)
    t = camera.R @ target + camera.t
    np.testing.assert_allclose(t, [0, 0, np.linalg.norm(direction)], atol=1e-12)
    above = camera.R @ (target + np.array([0, 0, 0.1])) + camera.t
    assert above[1] < 0  # y points down in the image
    assert abs(above[0]) < 1e-12


def test_field_of_view():
    camera = look_at((0, -4, 0), (0, 0, 0), field_of_view=90, width=64)
    t = camera.R @ [4, 0, 0] + camera.t  # 45 degrees to the right
    assert camera.fx * t[0] / t[2] + camera.cx == pytest.approx(64)


def test_scaled():
    camera = Camera(np.eye(3), np.zeros(3), 50, 60, 30, 20, 64, 48)
    half = camera.scaled(32)
    assert (half.fx, half.fy, half.cx, half.cy) == (25, 30, 15, 10)
    assert (half.width, half.height) == (32, 24)
    with pytest.raises(ValueError, match="^resolution 30 does not"):
        camera.scaled(30)


def test_hemisphere():
    cameras = fibonacci_hemisphere(32, radius=3.0, target=(0, 0, -0.15))
    offsets = np.array([c.position for c in cameras]) - (0, 0, -0.15)
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 3, atol=1e-12)
    elevation = np.degrees(np.arcsin(offsets[:, 2] / 3))
    assert 15 < elevation.min() < 17
    assert 60 < elevation.max() < 65
    gaps = np.linalg.norm(offsets[:, None] - offsets[None], axis=-1) + 9 * np.eye(32)
    assert gaps.min() > 0.4  # no two stand close to each other
    for camera in cameras:
        t = camera.R @ [0, 0, -0.15] + camera.t
        np.testing.assert_allclose(t, [0, 0, 3], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("R", np.eye(2)),
        ("R", 2 * np.eye(3)),
        ("R", np.diag([1, 1, -1])),
        ("t", [0, 0, np.nan]),
        ("fx", 0),
        ("fy", "x"),
        ("cx", np.inf),
        ("width", 0),
        ("height", 2.5),
        ("near", -1),
    ],
)
def test_bad_camera(name, value):
    good = {"R": np.eye(3), "t": np.zeros(3), "fx": 1, "fy": 1, "cx": 0, "cy": 0}
    good |= {"width": 4, "height": 4, "near": 0.2}
    with pytest.raises(ValueError, match=f"^{name} "):
        Camera(**good | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position", [0, 0]),
        ("target", (1, 1, 1)),
        ("target", (1, 1, np.nan)),
        ("up", (1, 1, 1)),
        ("up", (0, 0, 0)),
        ("field_of_view", 180),
        ("width", -1),
    ],
)
def test_bad_look_at(name, value):
    good = {"position": (1, 1, 1), "target": (0, 0, 0), "up": (0, 0, 1)}
    with pytest.raises(ValueError, match=f"^{name} "):
        look_at(**good | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 0), ("radius", 0), ("target", [1]), ("elevation", (60, 20)), ("elevation", (0, 90))],
)
def test_bad_hemisphere(name, value):
    with pytest.raises(ValueError, match=f"^{name} "):
        fibonacci_hemisphere(**{"n": 3} | {name: value})
