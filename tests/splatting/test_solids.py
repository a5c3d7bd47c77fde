"""Solids: every hit lies on the surface, is the first one, and has the normal of the surface."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.splatting.solids import SHAPES, Solid, Texture, first_hits

CENTRE, HALF = np.array([0.3, -0.2, 0.1]), np.array([0.5, 0.8, 1.2])


def level(shape, p):
    """Return a function that is negative inside the solid, 0 on its surface, in its unit frame."""
    x, y, z = np.moveaxis(p, -1, 0)
    r = np.hypot(x, y)
    return {
        "rectangle": np.where(np.maximum(abs(x), abs(y)) <= 1, z, np.nan),
        "box": np.max(np.abs(p), axis=-1) - 1,
        "ellipsoid": np.linalg.norm(p, axis=-1) - 1,
        "cylinder": np.maximum(r, abs(z)) - 1,
        "cone": np.maximum(r - (1 - z) / 2, -1 - z),
    }[shape]


def rays(n=400, seed=0, distance=4.0):
    """Return rays from all around towards the neighbourhood of the solid."""
    rng = np.random.default_rng(seed)
    origins = rng.normal(size=(n, 3))
    origins *= distance / np.linalg.norm(origins, axis=1, keepdims=True)
    return origins, CENTRE + rng.uniform(-1.3, 1.3, size=(n, 3)) * HALF - origins


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distance", [4.0, 0.05])  # from outside, and mostly from inside
def test_first_crossing(shape, distance):
    solid = Solid(shape, CENTRE, HALF)
    origins, directions = rays(distance=distance)
    t = solid.distances(origins, directions)
    hit = np.isfinite(t)
    assert 0.1 < hit.mean() and (distance < 1 or hit.mean() < 0.95)
    o, d = (origins - CENTRE) / HALF, directions / HALF
    np.testing.assert_allclose(level(shape, (o + t[:, None] * d)[hit]), 0, atol=1e-12)
    # No earlier crossing, and none at all for those that miss, on a fine grid along the ray.
    ends = np.where(hit, t * (1 - 1e-9), 4.0)
    steps = np.linspace(0, 1, 3001)[None, :, None] * ends[:, None, None]
    with np.errstate(invalid="ignore"):
        signs = np.sign(level(shape, o[:, None] + steps * d[:, None]))
    if shape == "rectangle":
        crossed = np.any(signs[:, 1:] * signs[:, :-1] < 0, axis=1)
    else:
        crossed = np.any(signs != signs[:, :1], axis=1)
    assert not np.any(crossed)


@pytest.mark.parametrize("shape", SHAPES)
def test_normals(shape):
    """Against the differences of the level function; unit length; outwards."""
    solid = Solid(shape, CENTRE, HALF)
    origins, directions = rays()
    t = solid.distances(origins, directions)
    hit = np.isfinite(t)
    points = (origins + t[:, None] * directions)[hit]
    colors, normals = solid.shade(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(colors, 0.5, atol=1e-12)
    if shape == "rectangle":
        np.testing.assert_array_equal(normals, np.tile([0.0, 0, 1], (len(normals), 1)))
        return
    steps = 1e-6 * np.eye(3)
    gradient = np.stack(
        [
            level(shape, (points + e - CENTRE) / HALF) - level(shape, (points - e - CENTRE) / HALF)
            for e in steps
        ],
        axis=1,
    )
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(np.sum(gradient * normals, axis=1), 1, atol=1e-6)
    assert np.all(np.sum(normals * directions[hit], axis=1) < 0)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
    factor=st.floats(0.1, 10),
    seed=st.integers(0, 1000),
)
def test_moving_and_scaling_all_together(shape, shift, factor, seed):
    origins, directions = rays(50, seed)
    before = Solid(shape, CENTRE, HALF).distances(origins, directions)
    moved = Solid(shape, factor * CENTRE + shift, factor * HALF)
    after = moved.distances(factor * origins + shift, factor * directions)
    both = np.isfinite(before) & np.isfinite(after)  # rays along an edge may do either
    assert np.sum(np.isfinite(before) != np.isfinite(after)) <= 1
    np.testing.assert_allclose(after[both], before[both], rtol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_rays_along_the_axes(shape):
    solid = Solid(shape, CENTRE, HALF)
    inwards = np.concatenate([np.eye(3), -np.eye(3)])
    t = solid.distances(CENTRE - 3 * inwards, inwards)
    reach = np.concatenate([HALF, HALF])
    if shape == "cone":
        reach[[0, 1, 3, 4]] /= 2  # half way up
    if shape == "rectangle":
        reach[[2, 5]] = 0
        np.testing.assert_allclose(t[[2, 5]], 3)
    else:
        kept = slice(None, 5 if shape == "cone" else 6)  # the last would meet nothing but the apex
        np.testing.assert_allclose(t[kept], (3 - reach)[kept], rtol=1e-12)


def test_first_of_several():
    solids = [Solid("ellipsoid", (x, 0, 0), (0.5,) * 3) for x in (4, 2, 8)]
    d = np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0]])
    t, numbers = first_hits(solids, np.zeros(3), d)
    np.testing.assert_allclose(t, [1.5, 0.75, np.inf, np.inf])
    assert numbers[:2].tolist() == [1, 1]


def test_textures():
    values = np.random.default_rng(0).random((4, 6, 3))
    u, v = (np.arange(6) + 0.5) / 6, 1 - (np.arange(4) + 0.5) / 4
    v, u = (a.ravel() for a in np.meshgrid(v, u, indexing="ij"))
    for smooth in (True, False):  # both are exact at the centres of the pixels
        np.testing.assert_allclose(Texture(values, smooth)(u, v), values.reshape(-1, 3))
    middle = Texture(values)(np.array([2 / 6]), np.array([0.5]))
    np.testing.assert_allclose(middle[0], values[1:3, 1:3].mean(axis=(0, 1)))
    corners = Texture(values)(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(corners, [values[0, 0], values[-1, -1]])


def test_pictures_stand_upright_on_a_box():
    """Seen from outside, left is left and up is up on each face."""
    values = np.zeros((2, 2, 3))
    values[0, 0], values[0, 1], values[1, 0] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    box = Solid("box", np.zeros(3), np.ones(3), Texture(values, smooth=False))
    for outward, up in (
        *(((1, 0, 0), (0, 0, 1)), ((0, 1, 0), (0, 0, 1)), ((-1, 0, 0), (0, 0, 1))),
        *(((0, -1, 0), (0, 0, 1)), ((0, 0, 1), (0, 1, 0)), ((0, 0, -1), (0, 1, 0))),
    ):
        outward, up = np.array(outward, float), np.array(up, float)
        right = np.cross(-outward, up)
        points = outward + 0.5 * np.array([up - right, up + right, -up - right, right - up])
        np.testing.assert_array_equal(box.shade(points)[0], values.reshape(-1, 3))


@pytest.mark.parametrize("shape", SHAPES)
def test_strict_arrays(shape):
    texture = Texture(np.random.default_rng(0).random((5, 5, 3)))
    solid = Solid(shape, CENTRE, HALF, texture)
    origins, directions = rays(60)
    strict = [array_api_strict.asarray(a) for a in (origins, directions)]
    t = solid.distances(origins, directions)
    np.testing.assert_array_equal(np.asarray(solid.distances(*strict)), t)
    points = (origins + t[:, None] * directions)[np.isfinite(t)]
    expected = solid.shade(points)
    for a, b in zip(solid.shade(array_api_strict.asarray(points)), expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("shape", x) for x in ("sphere", None, 3)),
        *(("centre", x) for x in (None, "abc", [0, 0], [0, 0, np.nan], [[1.0], [1, 2]], 1.0)),
        *(("half", x) for x in (None, [1, 1], [1, 1, 0], [1, -1, 1], [1, 1, np.inf], {"a": 1})),
        *(("texture", x) for x in (None, np.ones((1, 1, 3)), "red")),
    ],
)
def test_bad_solids(name, value):
    with pytest.raises(ValueError, match=f"^{name} "):
        Solid(**{"shape": "box", "centre": CENTRE, "half": HALF} | {name: value})


@pytest.mark.parametrize(
    "values", [None, "abc", np.ones((2, 2)), np.ones((2, 2, 4)), np.full((1, 1, 3), 1.1), [], 0.5]
)
def test_bad_textures(values):
    with pytest.raises(ValueError, match="^values "):
        Texture(values)
