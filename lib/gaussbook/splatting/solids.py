r"""Solids that rays meet in closed form: rectangle, box, ellipsoid, cylinder and cone.

Each is a unit shape, scaled along the axes and moved.  The map of a ray :math:`o+td` into the frame
of the unit shape is affine, so that :math:`t` is the same there, and unit normals follow from those
of the unit shape by dividing by the half sizes and normalising.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gaussbook.arrays import Array, namespace, to_host
from gaussbook.validation import check_array, check_choice

__all__ = ["SHAPES", "Solid", "Texture", "first_hits"]

_TINY = 1e-30  # in place of the zeros that are divided by


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture that is laid on a solid.

    Parameters
    ----------
    values : array_like, shape (h, w, 3)
        Colours, the top row first; shape (1, 1, 3) for one colour.
    smooth : bool
        Interpolate between the centres of the picture's pixels, or show them as tiles.

    Raises
    ------
    ValueError
        If `values` is no picture in [0, 1].
    """

    values: Any
    smooth: bool = True

    def __post_init__(self):
        values = check_array("values", self.values, shape=(None, None, 3))
        values = np.asarray(to_host(values), dtype=np.float64)
        if values.min() < 0 or values.max() > 1:
            raise ValueError("values must lie in [0, 1]")
        object.__setattr__(self, "values", values)

    def __call__(self, u: Array, v: Array) -> Array:
        """Return the colours (n, 3) at positions from the left and from the bottom, in [0, 1]."""
        xp = namespace(u)
        h, w, _ = self.values.shape
        table = xp.reshape(xp.asarray(self.values, dtype=u.dtype), (h * w, 3))
        x, y = u * w, (1 - v) * h
        if not self.smooth:
            return _look_up(table, xp.floor(y), xp.floor(x), h, w)
        i, j = xp.floor(y - 0.5), xp.floor(x - 0.5)
        a, b = (y - 0.5 - i)[:, None], (x - 0.5 - j)[:, None]
        upper = (1 - b) * _look_up(table, i, j, h, w) + b * _look_up(table, i, j + 1, h, w)
        lower = (1 - b) * _look_up(table, i + 1, j, h, w) + b * _look_up(table, i + 1, j + 1, h, w)
        return (1 - a) * upper + a * lower


def _look_up(table: Array, i: Array, j: Array, h: int, w: int) -> Array:
    xp = namespace(table)
    i, j = (
        xp.astype(xp.minimum(xp.maximum(k, 0.0), n - 1.0), xp.int64) for k, n in ((i, h), (j, w))
    )
    return xp.take(table, i * w + j, axis=0)


@dataclass(frozen=True, eq=False)
class Solid:
    """A unit shape, scaled and moved.

    Parameters
    ----------
    shape : str
        One of `SHAPES`.  Within [-1, 1]^3, these are the square z = 0, the cube, the sphere, the
        cylinder around z, and the cone with its apex at z = 1 over the disk at z = -1.
    centre : array_like, shape (3,)
        Where the middle of that cube goes.
    half : array_like, shape (3,)
        Half its sizes along x, y and z.  That of the rectangle along z does not matter.
    texture : Texture
        Its colours.  The picture covers the rectangle and each face of the box; it goes around the
        others once, with the azimuth.

    Raises
    ------
    ValueError
        If an argument has the wrong shape, or a size is not positive.
    """

    shape: str
    centre: Any
    half: Any
    texture: Texture = field(default_factory=lambda: Texture(np.full((1, 1, 3), 0.5)))

    def __post_init__(self):
        check_choice("shape", self.shape, SHAPES)
        for name in ("centre", "half"):
            value = check_array(name, getattr(self, name), shape=(3,))
            object.__setattr__(self, name, np.asarray(to_host(value), dtype=np.float64))
        if not np.all(self.half > 0):
            raise ValueError("half must be positive")
        if not isinstance(self.texture, Texture):
            raise ValueError(f"texture must be a Texture, got {type(self.texture).__name__}")

    def distances(self, origins: Array, directions: Array) -> Array:
        """Return the smallest t > 0 at which each ray meets the surface; infinity if none.

        Parameters
        ----------
        origins : array, shape (3,) or (n, 3)
            Where the rays start.
        directions : array, shape (n, 3)
            Of any length: t counts in units of it.

        Returns
        -------
        array, shape (n,)
        """
        xp = namespace(directions)
        centre, half = self._frame(directions)
        d = directions / half
        o = xp.broadcast_to((origins - centre) / half, d.shape)
        columns = [a[:, i] for a in (o, d) for i in range(3)]
        return _DISTANCES[self.shape](*columns)

    def shade(self, points: Array) -> tuple[Array, Array]:
        """Return colours and outer unit normals at points of the surface, both (n, 3).

        Parameters
        ----------
        points : array, shape (n, 3)
            Points of the surface, up to rounding.

        Returns
        -------
        colors, normals : array, shape (n, 3)
            The normal of the rectangle points up.
        """
        xp = namespace(points)
        centre, half = self._frame(points)
        p = (points - centre) / half
        n = xp.stack(_NORMALS[self.shape](*(p[:, i] for i in range(3))), axis=1)
        normals = n / half
        normals = normals / xp.sqrt(xp.sum(normals**2, axis=1, keepdims=True))
        return self.texture(*_texture_coordinates(self.shape, p, n)), normals

    def _frame(self, like: Array) -> tuple[Array, Array]:
        xp = namespace(like)
        return xp.asarray(self.centre, dtype=like.dtype), xp.asarray(self.half, dtype=like.dtype)


def first_hits(solids: list[Solid], origins: Array, directions: Array) -> tuple[Array, Array]:
    """Return for each ray the distance to the first solid that it meets, and which that is.

    Parameters
    ----------
    solids : list of Solid
        At least one.
    origins, directions : array
        As `Solid.distances` takes them.

    Returns
    -------
    distances : array, shape (n,)
        In units of the directions' lengths; infinity where a ray meets nothing.
    numbers : integer array, shape (n,)
        Index into `solids`; any where a ray meets nothing.
    """
    xp = namespace(directions)
    nearest = solids[0].distances(origins, directions)
    numbers = xp.zeros(nearest.shape, dtype=xp.int64)
    for k, solid in enumerate(solids[1:], start=1):
        t = solid.distances(origins, directions)
        numbers = xp.where(t < nearest, xp.full_like(numbers, k), numbers)
        nearest = xp.minimum(t, nearest)
    return nearest, numbers


def _nonzero(x: Array) -> Array:
    xp = namespace(x)
    return xp.where(xp.abs(x) < _TINY, xp.full_like(x, _TINY), x)


def _where_positive(t: Array, condition: Array | bool = True) -> Array:
    """Return t where it is a number above 0 and the condition holds, and infinity elsewhere."""
    xp = namespace(t)
    return xp.where((t > 0) & condition, t, xp.full_like(t, math.inf))


def _roots(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """Return both solutions of a t^2 + 2 b t + c = 0, without cancellation; NaN if none is real."""
    xp = namespace(a)
    discriminant = b * b - a * c
    root = xp.sqrt(xp.where(discriminant < 0, xp.full_like(b, math.nan), discriminant))
    q = -(b + xp.where(b < 0, -root, root))
    return q / _nonzero(a), c / _nonzero(q)


def _rectangle(ox: Array, oy: Array, oz: Array, dx: Array, dy: Array, dz: Array) -> Array:
    xp = namespace(oz)
    t = -oz / _nonzero(dz)
    inside = (xp.abs(ox + t * dx) <= 1) & (xp.abs(oy + t * dy) <= 1)
    return _where_positive(t, inside)


def _box(ox: Array, oy: Array, oz: Array, dx: Array, dy: Array, dz: Array) -> Array:
    """Return the first crossing of the cube, where the ray is between all three pairs of planes."""
    xp = namespace(oz)
    entry, leave = xp.full_like(oz, -math.inf), xp.full_like(oz, math.inf)
    for o, d in ((ox, dx), (oy, dy), (oz, dz)):
        d = _nonzero(d)
        s, t = (-1 - o) / d, (1 - o) / d
        entry, leave = xp.maximum(entry, xp.minimum(s, t)), xp.minimum(leave, xp.maximum(s, t))
    return _where_positive(xp.where(entry > 0, entry, leave), entry <= leave)


def _ellipsoid(ox: Array, oy: Array, oz: Array, dx: Array, dy: Array, dz: Array) -> Array:
    a, b = dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz
    s, t = _roots(a, b, ox * ox + oy * oy + oz * oz - 1)
    return namespace(a).minimum(_where_positive(s), _where_positive(t))


def _cylinder(ox: Array, oy: Array, oz: Array, dx: Array, dy: Array, dz: Array) -> Array:
    xp = namespace(oz)
    roots = _roots(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - 1)
    sides = [_where_positive(t, xp.abs(oz + t * dz) <= 1) for t in roots]
    caps = [_disk(z, ox, oy, oz, dx, dy, dz) for z in (-1, 1)]
    return xp.minimum(xp.minimum(*sides), xp.minimum(*caps))


def _cone(ox: Array, oy: Array, oz: Array, dx: Array, dy: Array, dz: Array) -> Array:
    """Return the first crossing of x^2 + y^2 = w^2 with w = (1 - z)/2, or of the disk below."""
    xp = namespace(oz)
    ow, dw = (1 - oz) / 2, -dz / 2
    a, b = dx * dx + dy * dy - dw * dw, ox * dx + oy * dy - ow * dw
    roots = _roots(a, b, ox * ox + oy * oy - ow * ow)
    sides = [_where_positive(t, xp.abs(oz + t * dz) <= 1) for t in roots]
    base = _disk(-1, ox, oy, oz, dx, dy, dz)
    return xp.minimum(xp.minimum(*sides), base)


def _disk(z: float, ox: Array, oy: Array, oz: Array, dx: Array, dy: Array, dz: Array) -> Array:
    t = (z - oz) / _nonzero(dz)
    return _where_positive(t, (ox + t * dx) ** 2 + (oy + t * dy) ** 2 <= 1)


Columns = tuple[Array, Array, Array]


def _rectangle_normal(x: Array, y: Array, z: Array) -> Columns:
    xp = namespace(x)
    return xp.zeros_like(x), xp.zeros_like(y), xp.ones_like(z)


def _box_normal(x: Array, y: Array, z: Array) -> Columns:
    """Return the axis of the largest coordinate: a point of the cube has one of length 1."""
    xp = namespace(x)
    ax, ay, az = xp.abs(x), xp.abs(y), xp.abs(z)
    first = (ax >= ay) & (ax >= az)
    second = ~first & (ay >= az)
    zero = xp.zeros_like(x)
    return (
        xp.where(first, xp.sign(x), zero),
        xp.where(second, xp.sign(y), zero),
        xp.where(first | second, zero, xp.sign(z)),
    )


def _ellipsoid_normal(x: Array, y: Array, z: Array) -> Columns:
    return x, y, z


def _cylinder_normal(x: Array, y: Array, z: Array) -> Columns:
    xp = namespace(x)
    cap = z * z >= x * x + y * y
    zero = xp.zeros_like(x)
    return xp.where(cap, zero, x), xp.where(cap, zero, y), xp.where(cap, xp.sign(z), zero)


def _cone_normal(x: Array, y: Array, z: Array) -> Columns:
    """Return that of the base where it is nearer than the side, whose normal is (x, y, r/2)."""
    xp = namespace(x)
    r = xp.sqrt(x * x + y * y)
    base = z + 1 < xp.abs(r - (1 - z) / 2)
    zero = xp.zeros_like(x)
    side_z = xp.maximum(r / 2, xp.full_like(r, _TINY))  # up, at the apex as well
    return xp.where(base, zero, x), xp.where(base, zero, y), xp.where(base, zero - 1, side_z)


def _texture_coordinates(shape: str, p: Array, n: Array) -> tuple[Array, Array]:
    """Return the position in the picture, from the left and from the bottom, in [0, 1]."""
    xp = namespace(p)
    x, y, z = (p[:, i] for i in range(3))
    if shape == "rectangle":
        u, v = (1 + x) / 2, (1 + y) / 2
    elif shape == "box":  # each face upright and not mirrored, seen from outside
        top = n[:, 2] != 0
        u = (1 + xp.where(top, n[:, 2] * x, n[:, 0] * y - n[:, 1] * x)) / 2
        v = (1 + xp.where(top, y, z)) / 2
    else:
        u = xp.atan2(y, x) / (2 * math.pi)
        u = u - xp.floor(u)
        v = (
            (1 + z) / 2
            if shape != "ellipsoid"
            else 0.5 + xp.asin(xp.minimum(xp.maximum(z, -1.0), 1.0)) / math.pi
        )
    return u, v


_DISTANCES = {
    "rectangle": _rectangle,
    "box": _box,
    "ellipsoid": _ellipsoid,
    "cylinder": _cylinder,
    "cone": _cone,
}
_NORMALS = {
    "rectangle": _rectangle_normal,
    "box": _box_normal,
    "ellipsoid": _ellipsoid_normal,
    "cylinder": _cylinder_normal,
    "cone": _cone_normal,
}
SHAPES = tuple(_DISTANCES)
"""The unit shapes."""
