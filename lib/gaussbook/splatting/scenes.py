"""Scenes whose true images come from a ray caster, and not from Gaussians.

The objects are those of `gaussbook.splatting.solids`.  They reflect evenly (Lambert's law) the
light of one distant lamp and of an even surrounding; there are no shadows.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gaussbook.arrays import Array, Generator, backend, generator, namespace, to_host
from gaussbook.data import photograph
from gaussbook.splatting.cameras import Camera, fibonacci_hemisphere
from gaussbook.splatting.segments import put_rows
from gaussbook.splatting.solids import Solid, Texture, first_hits
from gaussbook.validation import check_array, check_choice, check_integer, check_scalar

__all__ = [
    "FAMILY",
    "Scene",
    "View",
    "blocks",
    "downscale",
    "family",
    "orbit",
    "surface_points",
    "view",
    "views",
]

FAMILY = ("sphere", "box", "cylinder", "cone", "snowman")
"""The labels of `family`."""

_RAYS = 1 << 16  # at a time, so that their arrays stay small
_N_CAMERAS, _TEST_EVERY = 32, 4


@dataclass(frozen=True, eq=False)
class Scene:
    r"""Solids, the light on them and the colour behind them.

    Parameters
    ----------
    solids : sequence of Solid
        At least one.
    light : array_like, shape (3,)
        Direction l to the lamp, of any length.
    ambient : float
        Share a of the light that comes evenly from all sides, in [0, 1]: a surface of colour
        :math:`\rho` and normal n shows :math:`\rho\,(a+(1-a)\max(0,n\cdot l))`.
    background : array_like, shape (3,)
        Colour that is seen where there is no solid.

    Raises
    ------
    ValueError
        If an argument is outside its range.
    """

    solids: Sequence[Solid]
    light: Any = (0.4, 0.3, 0.85)
    ambient: float = 0.35
    background: Any = (1.0, 1.0, 1.0)

    def __post_init__(self):
        try:
            solids = tuple(self.solids)
        except TypeError as error:
            raise ValueError(f"solids must be a sequence of Solid, got {self.solids!r}") from error
        if not solids or not all(isinstance(solid, Solid) for solid in solids):
            raise ValueError("solids must hold at least one Solid, and nothing else")
        object.__setattr__(self, "solids", solids)
        for name in ("light", "background"):
            value = check_array(name, getattr(self, name), shape=(3,))
            object.__setattr__(self, name, np.asarray(to_host(value), dtype=np.float64))
        length = float(np.linalg.norm(self.light))
        if not 0 < length < np.inf:
            raise ValueError("light must have a direction, and a finite length")
        object.__setattr__(self, "light", self.light / length)
        check_scalar("ambient", self.ambient, at_least=0, at_most=1)

    def trace(self, origins: Array, directions: Array) -> tuple[Array, Array, Array]:
        """Return what rays see.

        Parameters
        ----------
        origins : array, shape (3,) or (n, 3)
            Where the rays start.
        directions : array, shape (n, 3)
            Of any length, but not zero.

        Returns
        -------
        colors : array, shape (n, 3)
        distances : array, shape (n,)
            To the first surface, in units of the direction's length; infinity if there is none.
        normals : array, shape (n, 3)
            Unit normals of that surface, on the side that is seen; zero if there is none.

        Raises
        ------
        ValueError
            If the shapes do not fit, a number is not finite, or a direction is zero.
        """
        directions = check_array("directions", directions, shape=(None, 3), nonempty=False)
        origins = check_array("origins", origins, ndim=(1, 2))
        xp = namespace(origins, directions)
        if tuple(origins.shape) not in ((3,), tuple(directions.shape)):
            raise ValueError(f"origins must have shape (3,) or {tuple(directions.shape)}")
        if not bool(xp.all(xp.any(directions != 0, axis=1))):
            raise ValueError("directions holds a zero")
        distances, numbers = first_hits(self.solids, origins, directions)
        colors, normals = self._shaded(origins, directions, distances, numbers)
        return colors, distances, normals

    def _shaded(
        self, origins: Array, directions: Array, distances: Array, numbers: Array
    ) -> tuple[Array, Array]:
        """Return colours and normals where the rays end."""
        xp = namespace(directions)
        n, hit = distances.shape[0], xp.isfinite(distances)
        background, light = (
            xp.asarray(a, dtype=directions.dtype) for a in (self.background, self.light)
        )
        colors = xp.where(hit[:, None], xp.zeros_like(directions), background[None, :])
        normals = xp.zeros_like(directions)
        origins = xp.broadcast_to(origins, directions.shape)
        for k, solid in enumerate(self.solids):
            (rays,) = xp.nonzero(hit & (numbers == k))
            if rays.shape[0] == 0:
                continue
            o, d = xp.take(origins, rays, axis=0), xp.take(directions, rays, axis=0)
            albedo, normal = solid.shade(o + xp.take(distances, rays)[:, None] * d)
            away = xp.sum(normal * d, axis=1, keepdims=True) > 0
            normal = xp.where(away, -normal, normal)
            lit = xp.maximum(xp.sum(normal * light, axis=1, keepdims=True), 0.0)
            shade = self.ambient + (1 - self.ambient) * lit
            colors = colors + put_rows(albedo * shade, rays, n)
            normals = normals + put_rows(normal, rays, n)
        return colors, normals


class View(NamedTuple):
    """What a camera sees of a scene.

    Attributes
    ----------
    image : array, shape (H, W, 3)
        Colours, averaged over the samples of each pixel.
    alpha : array, shape (H, W)
        Share of the samples of each pixel that met a solid.
    depth : array, shape (H, W)
        Exact depth t_z along the ray through the middle of each pixel, 0 where it meets nothing.
    normals : array, shape (H, W, 3)
        Unit normal of the surface there, in world coordinates, or 0.
    mask : array of bool, shape (H, W)
        Whether that ray meets a solid.
    """

    image: Array
    alpha: Array
    depth: Array
    normals: Array
    mask: Array


def view(scene: Scene, camera: Camera, samples: int = 4) -> View:
    """Return the true image of a scene, by rays through S x S places of each pixel.

    Parameters
    ----------
    scene : Scene
        What is seen.
    camera : Camera
        From where.  Its near plane does not matter.
    samples : int
        S, the number of samples along each side of a pixel: their grid is even, so that an image
        of 2 S samples at half the resolution is the same as the box mean of this one.

    Returns
    -------
    View
        Arrays of the default backend, float64.

    Raises
    ------
    ValueError
        If an argument has the wrong kind or range.
    """
    if not isinstance(scene, Scene):
        raise ValueError(f"scene must be a Scene, got {type(scene).__name__}")
    if not isinstance(camera, Camera):
        raise ValueError(f"camera must be a Camera, got {type(camera).__name__}")
    samples = check_integer("samples", samples, at_least=1, at_most=64)
    xp = backend()
    images, alphas = [], []
    for first, last in _row_blocks(camera, samples):
        colors, distances, _ = scene.trace(*_rays(camera, samples, first, last))
        hit = xp.astype(xp.isfinite(distances), xp.float64)
        size = (last - first) * samples, camera.width * samples
        images.append(downscale(xp.reshape(colors, (*size, 3)), samples))
        alphas.append(downscale(xp.reshape(hit, (*size, 1)), samples)[:, :, 0])
    depths, normals = [], []
    for first, last in _row_blocks(camera, 1):
        _, distances, normal = scene.trace(*_rays(camera, 1, first, last))
        depths.append(xp.reshape(distances, (-1, camera.width)))
        normals.append(xp.reshape(normal, (-1, camera.width, 3)))
    depth = xp.concat(depths, axis=0)
    mask = xp.isfinite(depth)
    depth = xp.where(mask, depth, xp.zeros_like(depth))
    image, alpha = xp.concat(images, axis=0), xp.concat(alphas, axis=0)
    return View(image, alpha, depth, xp.concat(normals, axis=0), mask)


def _row_blocks(camera: Camera, samples: int) -> list[tuple[int, int]]:
    """Return the first and last row (not included) of blocks of few rays."""
    step = max(1, _RAYS // (camera.width * samples**2))
    return [(i, min(i + step, camera.height)) for i in range(0, camera.height, step)]


def _rays(camera: Camera, samples: int, first: int, last: int) -> tuple[Array, Array]:
    """Return the camera's place and the directions, of depth 1, through some rows of pixels."""
    xp = backend()
    column = (xp.arange(camera.width * samples, dtype=xp.float64) + 0.5) / samples
    row = (xp.arange(first * samples, last * samples, dtype=xp.float64) + 0.5) / samples
    y, x = xp.meshgrid(
        (row - camera.cy) / camera.fy, (column - camera.cx) / camera.fx, indexing="ij"
    )
    local = xp.reshape(xp.stack([x, y, xp.ones_like(x)], axis=-1), (-1, 3))
    return xp.asarray(camera.position), local @ xp.asarray(camera.R)


def views(scene: Scene, cameras: Sequence[Camera], samples: int = 4) -> list[View]:
    """Return what each of the cameras sees, as `view` does.

    Parameters
    ----------
    scene : Scene
        What is seen.
    cameras : sequence of Camera
        From where.
    samples : int
        Samples along each side of a pixel.

    Returns
    -------
    list of View

    Raises
    ------
    ValueError
        As `view`.
    """
    try:
        cameras = list(cameras)
    except TypeError as error:
        raise ValueError(f"cameras must be a sequence of Camera, got {cameras!r}") from error
    if not all(isinstance(camera, Camera) for camera in cameras):
        raise ValueError("cameras must hold nothing but Camera")
    return [view(scene, camera, samples) for camera in cameras]


def downscale(image: Array, factor: int) -> Array:
    """Return an image whose pixels are the means of blocks of pixels.

    Parameters
    ----------
    image : array, shape (H, W, C)
        Its sides are multiples of `factor`.
    factor : int
        Height and width of the blocks.

    Returns
    -------
    array, shape (H / factor, W / factor, C)
        What the same camera sees at that resolution (`Camera.scaled`).

    Raises
    ------
    ValueError
        If the sides are not multiples of `factor`.
    """
    image = check_array("image", image, ndim=3)
    factor = check_integer("factor", factor, at_least=1)
    h, w, channels = image.shape
    if h % factor or w % factor:
        raise ValueError(f"factor {factor} does not divide an image of {w} x {h} pixels")
    xp = namespace(image)
    blocks = xp.reshape(image, (h // factor, factor, w // factor, factor, channels))
    return xp.mean(blocks, axis=(1, 3))


def orbit(width: int = 64) -> tuple[list[Camera], list[Camera]]:
    """Return the cameras around a scene: 24 to train with and 8 to test with.

    They are the 32 points of `fibonacci_hemisphere` at elevations of 15 to 65 degrees and radius
    3, look at (0, 0, -0.15) and have an angle of view of 40 degrees; every fourth is for testing.

    Parameters
    ----------
    width : int
        Width and height of the images, in pixels.

    Returns
    -------
    train, test : list of Camera

    Raises
    ------
    ValueError
        If `width` is not positive.
    """
    width = check_integer("width", width, at_least=1)
    cameras = fibonacci_hemisphere(_N_CAMERAS, target=(0.0, 0.0, -0.15), width=width)
    test = cameras[_TEST_EVERY - 1 :: _TEST_EVERY]
    return [camera for camera in cameras if camera not in test], test


def surface_points(
    seen: Sequence[View], cameras: Sequence[Camera], n: int, rng: Generator, *, jitter: float = 0.0
) -> tuple[Array, Array]:
    r"""Return random points of the surfaces that cameras see, to start a fit from.

    The points are those that random pixels show, :math:`R^T(t_z(x,y,1)-t_v)`: what a reconstruction
    from the photographs would find.

    Parameters
    ----------
    seen : sequence of View
        What the cameras see.
    cameras : sequence of Camera
        One for each view.
    n : int
        Number of points; no two come from one pixel.
    rng : Generator
        Source of randomness.
    jitter : float
        Standard deviation of the noise in the points' coordinates, in world units.

    Returns
    -------
    points, colors : array, shape (n, 3)

    Raises
    ------
    ValueError
        If there are fewer than `n` pixels with a surface, or views and cameras do not fit.
    """
    n = check_integer("n", n, at_least=1)
    jitter = check_scalar("jitter", jitter, at_least=0)
    if not len(seen) or len(seen) != len(cameras):
        raise ValueError(f"seen must hold a view for each of {len(cameras)} cameras")
    xp = namespace(seen[0].image)
    points, colors = [], []
    for one, camera in zip(seen, cameras, strict=True):
        if tuple(one.mask.shape) != (camera.height, camera.width):
            raise ValueError("seen must hold images of the size that the cameras say")
        position, directions = _rays(camera, 1, 0, camera.height)
        (pixels,) = xp.nonzero(xp.reshape(one.mask, (-1,)))
        depth = xp.take(xp.reshape(one.depth, (-1, 1)), pixels, axis=0)
        points.append(position + depth * xp.take(directions, pixels, axis=0))
        colors.append(xp.take(xp.reshape(one.image, (-1, 3)), pixels, axis=0))
    points, colors = xp.concat(points, axis=0), xp.concat(colors, axis=0)
    if points.shape[0] < n:
        raise ValueError(f"n must be at most {points.shape[0]}, the pixels that show a surface")
    chosen = xp.asarray(rng.host.permutation(points.shape[0])[:n])
    noise = jitter * xp.asarray(rng.host.normal(size=(n, 3)))
    return xp.take(points, chosen, axis=0) + noise, xp.take(colors, chosen, axis=0)


def _plain(color: Sequence[float]) -> Texture:
    return Texture(np.reshape(np.asarray(color, dtype=np.float64), (1, 1, 3)), smooth=False)


def blocks() -> Scene:
    """Return the scene of the splatting chapters.

    On a photograph of a cat lie a box whose faces show a photograph, a chequered sphere and a blue
    one; in front of them stand seven thin rods, narrower than a pixel from afar.

    Returns
    -------
    Scene
        Within a square of side 2, from z = -0.5 to 0.2, on white.

    Notes
    -----
    The photographs are scikit-image's ``chelsea``, of which the square in the middle is shown, and
    ``astronaut``; both are reduced by box means (to 150 and 128 pixels), as far as images of a few
    hundred pixels can tell.
    """
    cat = photograph("chelsea")
    margin = (cat.shape[1] - cat.shape[0]) // 2
    cat = downscale(cat[:, margin : margin + cat.shape[0]], 2)
    astronaut = downscale(photograph("astronaut"), 4)
    tiles = np.indices((4, 8)).sum(axis=0) % 2
    chequered = np.where(tiles[:, :, None], (0.95, 0.9, 0.85), (0.85, 0.2, 0.15))
    rods = [
        Solid("box", (x, -0.8, -0.325), (0.012, 0.012, 0.175), _plain((0.1, 0.1, 0.15)))
        for x in np.linspace(-0.75, 0.75, 7)
    ]
    return Scene(
        [
            Solid("rectangle", (0, 0, -0.5), (1, 1, 1), Texture(cat)),
            Solid("box", (-0.35, 0.1, -0.15), (0.25, 0.25, 0.35), Texture(astronaut)),
            Solid("ellipsoid", (0.4, -0.25, -0.2), (0.3,) * 3, Texture(chequered, smooth=False)),
            Solid("ellipsoid", (0.3, 0.45, -0.3), (0.2,) * 3, _plain((0.15, 0.35, 0.8))),
            *rods,
        ]
    )


def family(label: str, seed: int, *, picture: Array | None = None) -> Scene:
    """Return one object of random size, proportions and colour.

    Parameters
    ----------
    label : str
        One of `FAMILY`.
    seed : int
        Decides all that is random; a seed gives objects of one hue and size for all labels.
    picture : array, shape (h, w, 3), optional
        Laid on the object (on the snowman's body) in place of its colour.

    Returns
    -------
    Scene
        The object around the origin, within a ball of radius 1, on white.  The snowman's face
        looks along x.

    Raises
    ------
    ValueError
        If the label is unknown, the seed negative or the picture none.
    """
    check_choice("label", label, FAMILY)
    rng = generator(check_integer("seed", seed, at_least=0))
    radius = rng.uniform(0.35, 0.5)
    aspect = rng.uniform(0.75, 1.3)  # height over width
    hue = rng.uniform()
    body = _plain(colorsys.hsv_to_rgb(hue, 0.75, 0.9))
    if picture is not None:
        body = Texture(check_array("picture", picture, shape=(None, None, 3)))
    if label == "snowman":
        return Scene(_snowman(0.85 * radius, aspect, hue, body))
    shape = "ellipsoid" if label == "sphere" else label
    return Scene([Solid(shape, (0, 0, 0), (radius, radius, aspect * radius), body)])


def _snowman(radius: float, aspect: float, hue: float, body: Texture) -> list[Solid]:
    """Return a body, a head with two ears and a face: eyes and a nose."""
    head = 0.62 * radius
    low = -0.6 * radius  # the middle of the body
    high = low + aspect * radius + 0.75 * head
    light = _plain(colorsys.hsv_to_rgb(hue, 0.25, 0.95))
    dark, nose = _plain((0.08, 0.08, 0.1)), _plain((0.95, 0.5, 0.1))
    solids = [
        Solid("ellipsoid", (0, 0, low), (radius, radius, aspect * radius), body),
        Solid("ellipsoid", (0, 0, high), (head,) * 3, light),
        Solid(
            "ellipsoid",
            (0.98 * head, 0, high - 0.1 * head),
            (0.3 * head,) + (0.17 * head,) * 2,
            nose,
        ),
    ]
    for side in (-1, 1):
        ear = (0, 0.62 * side * head, high + 0.85 * head)
        eye = (0.85 * head, 0.38 * side * head, high + 0.3 * head)
        solids.append(Solid("ellipsoid", ear, (0.15 * head, 0.25 * head, 0.55 * head), body))
        solids.append(Solid("ellipsoid", eye, (0.15 * head,) * 3, dark))
    return solids
