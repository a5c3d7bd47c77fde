"""How many Gaussians, and where: first ones from points, then cloning, splitting and pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree

from gaussbook.arrays import Array, Generator, namespace, to_host
from gaussbook.splatting.cameras import Camera
from gaussbook.splatting.projection import rotation_matrices
from gaussbook.splatting.render import State
from gaussbook.splatting.segments import put_rows
from gaussbook.splatting.spherical_harmonics import rgb_to_sh
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["DensityControl", "DensityEvent", "initialise", "scene_extent"]

_NEIGHBOURS = 3
_SMALLEST_DISTANCE = 1e-7  # squared: points may coincide
_FULL_LENGTH = 30_000  # iterations of the schedule as published


class Optimizer(Protocol):
    """What density control asks of an optimiser: that its running means follow the rows."""

    def reindex(self, source: Mapping[str, Array]) -> None:
        """Make row i that which was row ``source[i]``; -1 for a new one."""


def scene_extent(cameras: Sequence[Camera]) -> float:
    """Return 1.1 times the largest distance of a camera from the mean of all, in world units.

    Parameters
    ----------
    cameras : sequence of Camera
        At least one.

    Raises
    ------
    ValueError
        If there is no camera, or all stand at one place.
    """
    if not len(cameras):
        raise ValueError("cameras is empty")
    positions = np.stack([camera.position for camera in cameras])
    extent = 1.1 * float(np.max(np.linalg.norm(positions - positions.mean(axis=0), axis=1)))
    if extent <= 1e-9 * float(np.max(np.abs(positions))):
        raise ValueError("cameras must not all stand at one place")
    return extent


def initialise(
    points: Array, colors: Array, *, opacity: float = 0.1, sh_degree: int | None = None
) -> dict[str, Array]:
    r"""Make a Gaussian of each point: isotropic, as wide as the points are apart.

    The standard deviation is the root mean square distance of the three nearest other points, and
    at least :math:`\sqrt{10^{-7}}\approx3\cdot10^{-4}` world units, since points may coincide
    (Kerbl et al., 2023): scenes much smaller than a unit are to be scaled up.

    Parameters
    ----------
    points : array, shape (N, 3)
        At least two.
    colors : array, shape (N, 3)
        Their colours.
    opacity : float
        In (0, 1), the same for all.
    sh_degree : int, optional
        Degree of spherical harmonics, 0 to 3; plain colours if not given.

    Returns
    -------
    dict of str to array
        Parameters for `render`.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or is outside its range.
    """
    points = check_array("points", points, shape=(None, 3))
    n = points.shape[0]
    if n < 2:
        raise ValueError("points must hold at least two points")
    colors = check_array("colors", colors, shape=(n, 3))
    opacity = check_scalar("opacity", opacity, above=0, below=1)
    xp = namespace(points, colors)
    colors = xp.astype(colors, points.dtype)
    host = to_host(points)
    k = min(_NEIGHBOURS, n - 1)
    distances, _ = cKDTree(host).query(host, k=list(range(2, k + 2)))  # the nearest is itself
    squares = np.maximum(np.mean(distances**2, axis=1), _SMALLEST_DISTANCE)
    log_scales = np.repeat(0.5 * np.log(squares)[:, None], 3, axis=1)
    quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))
    parameters = {
        "means": points,
        "log_scales": xp.asarray(log_scales, dtype=points.dtype),
        "quaternions": xp.asarray(quaternions, dtype=points.dtype),
        "opacity_logits": xp.full(n, math.log(opacity / (1 - opacity)), dtype=points.dtype),
    }
    if sh_degree is None:
        return parameters | {"colors": colors}
    sh_degree = check_integer("sh_degree", sh_degree, at_least=0, at_most=3)
    higher = xp.zeros((n, (sh_degree + 1) ** 2 - 1, 3), dtype=points.dtype)
    return parameters | {"sh": xp.concat([rgb_to_sh(colors)[:, None, :], higher], axis=1)}


@dataclass(frozen=True)
class DensityEvent:
    """One densification: its iteration, Gaussians cloned, split, pruned, and their number after."""

    iteration: int
    cloned: int
    split: int
    pruned: int
    total: int


class DensityControl:
    r"""Clone, split and prune Gaussians while they are being fitted (Kerbl et al., 2023).

    Where the image pulls hard at a Gaussian's position, that is where the mean over views of
    :math:`|\partial L/\partial m|`, with :math:`m` in normalised device coordinates, reaches the
    threshold, a small Gaussian is doubled and a large one becomes two samples of itself, 1.6 times
    smaller.  Gaussians that are nearly transparent are dropped, and after the first reset of
    opacities also those that have grown too large.  As published, all of this happens every 100
    iterations from 500 to 15 000 of 30 000, and opacities are reset every 3000; for another
    number of iterations the intervals are scaled.

    Parameters
    ----------
    iterations : int
        Length of the fit.
    extent : float
        Size of the scene, in world units: `scene_extent`.
    rng : Generator
        For the positions of the halves.
    threshold : float or callable
        Of the gradient; a callable gets the iteration.
    every, reset_every : int, optional
        Iterations between densifications, and between resets of opacities.  By default as
        published, scaled, but not shorter than 10 and 200: a decision needs several views, and a
        fit needs time to recover from a reset.
    first, last : int, optional
        Between which iterations to densify; as published, scaled.
    dense : float
        Largest standard deviation of a Gaussian that is cloned, not split, in parts of `extent`.
    smallest_opacity : float
        Gaussians below it are dropped; in [0, 1).
    largest_radius : float
        In pixels, three standard deviations.
    largest_scale : float
        In parts of `extent`.
    capacity : int, optional
        The number of Gaussians never exceeds this (or what it was): where there is room for some
        only, they are those with the largest gradients.

    Attributes
    ----------
    history : list of DensityEvent
        What has been done.

    Raises
    ------
    ValueError
        If a number is outside its range.
    """

    def __init__(
        self,
        iterations: int,
        extent: float,
        rng: Generator,
        *,
        threshold: float | Callable[[int], float] = 2e-4,
        every: int | None = None,
        reset_every: int | None = None,
        first: int | None = None,
        last: int | None = None,
        dense: float = 0.01,
        smallest_opacity: float = 0.005,
        largest_radius: float = 20.0,
        largest_scale: float = 0.1,
        capacity: int | None = None,
    ):
        iterations = check_integer("iterations", iterations, at_least=1)
        self.extent = check_scalar("extent", extent, above=0)
        self.rng = rng
        if not callable(threshold):
            threshold = check_scalar("threshold", threshold, at_least=0)
        self.threshold = threshold

        def interval(name: str, value: int | None, published: int, shortest: int) -> int:
            if value is None:
                return max(shortest, round(published * iterations / _FULL_LENGTH))
            return check_integer(name, value, at_least=min(shortest, 1))

        self.every = interval("every", every, 100, 10)
        self.reset_every = interval("reset_every", reset_every, 3000, 200)
        self.first = interval("first", first, 500, 0)
        self.last = interval("last", last, 15_000, 0)
        self.dense = check_scalar("dense", dense, above=0)
        self.smallest_opacity = check_scalar(
            "smallest_opacity", smallest_opacity, at_least=0, below=1
        )
        self.largest_radius = check_scalar("largest_radius", largest_radius, above=0)
        self.largest_scale = check_scalar("largest_scale", largest_scale, above=0)
        if capacity is not None:
            capacity = check_integer("capacity", capacity, at_least=1)
        self.capacity = capacity
        self.history: list[DensityEvent] = []
        self._reset_done = False
        self._watched: dict[str, Array] = {}

    def observe(self, screen: Array, state: State) -> None:
        """Take note of one view.

        Parameters
        ----------
        screen : array, shape (N, 2)
            Gradients with respect to the projected means, from `render_backward`.
        state : State
            Of the same rendering.
        """
        xp = namespace(screen)
        half = xp.asarray([state.camera.width / 2, state.camera.height / 2], dtype=screen.dtype)
        seen = xp.astype(state.visible, screen.dtype)
        size = xp.sqrt(xp.sum((screen * half) ** 2, axis=1)) * seen
        if not self._watched:
            zeros = xp.zeros_like(size)
            self._watched = {"gradient": zeros, "views": zeros, "radius": zeros}
        watched = self._watched
        if watched["gradient"].shape != size.shape:
            raise ValueError(
                f"screen must have {watched['gradient'].shape[0]} rows, got {size.shape[0]}"
            )
        self._watched = {
            "gradient": watched["gradient"] + size,
            "views": watched["views"] + seen,
            "radius": xp.maximum(watched["radius"], state.radii),
        }

    def step(
        self, iteration: int, parameters: Mapping[str, Array], optimizer: Optimizer
    ) -> dict[str, Array]:
        """Change the set of Gaussians, if it is time to.

        Parameters
        ----------
        iteration : int
            Counted from 0; call this after the optimiser's step.
        parameters : mapping of str to array
            One row for each Gaussian, except in ``background``.
        optimizer : object with ``reindex``
            Its running means follow the rows; those of new Gaussians begin with zero.

        Returns
        -------
        dict of str to array
            The parameters, changed or not.
        """
        parameters, done = dict(parameters), iteration + 1
        if done <= self.last and self._watched:
            if done > self.first and done % self.every == 0:
                parameters = self._densify(iteration, parameters, optimizer)
            if done % self.reset_every == 0:
                parameters = self._reset(parameters, optimizer)
        return parameters

    def _densify(
        self, iteration: int, parameters: dict[str, Array], optimizer: Optimizer
    ) -> dict[str, Array]:
        xp = namespace(parameters["means"])
        n = parameters["means"].shape[0]
        mean = self._watched["gradient"] / xp.maximum(self._watched["views"], 1.0)
        threshold = self.threshold(iteration) if callable(self.threshold) else self.threshold
        chosen = self._within_capacity((mean >= threshold) & (self._watched["views"] > 0), mean)
        largest = xp.exp(xp.max(parameters["log_scales"], axis=1))
        small = largest <= self.dense * self.extent
        index = xp.arange(n)
        clones, halves = index[chosen & small], index[chosen & ~small]
        # the old ones, the clones, and the halves in two stretches
        origin = xp.concat([index, clones, halves, halves])
        names = self._names(parameters, n)
        grown = {name: xp.take(parameters[name], origin, axis=0) for name in names}
        grown = self._split(grown, n + clones.shape[0])
        nothing = xp.zeros(origin.shape[0] - n, dtype=mean.dtype)
        radius = xp.concat([self._watched["radius"], nothing])
        replaced = xp.concat([chosen & ~small, nothing > 0])
        drop = self._unfit(grown, radius) & ~replaced
        keep = ~(drop | replaced)
        places = xp.arange(origin.shape[0])[keep]
        source = xp.where(places < n, places, -xp.ones_like(places))
        optimizer.reindex({name: source for name in grown})
        self._watched = {}
        pruned = int(xp.count_nonzero(drop))
        counts = (clones.shape[0], halves.shape[0], pruned, places.shape[0])
        self.history.append(DensityEvent(iteration, *counts))
        return parameters | {name: xp.take(rows, places, axis=0) for name, rows in grown.items()}

    def _names(self, parameters: Mapping[str, Array], n: int) -> list[str]:
        names = [name for name in parameters if name != "background"]
        wrong = [name for name in names if parameters[name].shape[0] != n]
        if wrong:
            raise ValueError(f"parameters must have {n} rows, but not so {wrong}")
        return names

    def _within_capacity(self, chosen: Array, gradient: Array) -> Array:
        """Let only the largest gradients grow, where there is not room for all."""
        xp = namespace(chosen)
        if self.capacity is None:
            return chosen
        room = max(self.capacity - chosen.shape[0], 0)
        order = xp.argsort(xp.where(chosen, -gradient, xp.zeros_like(gradient)), stable=True)
        first = put_rows(xp.ones_like(order[:room]), order[:room], chosen.shape[0])
        return chosen & (first > 0)

    def _split(self, rows: dict[str, Array], start: int) -> dict[str, Array]:
        """Move the Gaussians from row `start` on to samples of themselves, and shrink them."""
        xp = namespace(rows["means"])
        dtype = rows["means"].dtype
        rest = {name: rows[name][start:, ...] for name in ("means", "log_scales", "quaternions")}
        noise = self.rng.standard_normal(rest["means"].shape)
        noise = xp.astype(xp.asarray(noise), dtype) * xp.exp(rest["log_scales"])
        turned = xp.matmul(rotation_matrices(rest["quaternions"]), noise[:, :, None])[:, :, 0]
        moved = {
            "means": rest["means"] + turned,
            "log_scales": rest["log_scales"] - math.log(1.6),
        }
        return rows | {
            name: xp.concat([rows[name][:start, ...], new], axis=0) for name, new in moved.items()
        }

    def _unfit(self, rows: Mapping[str, Array], radius: Array) -> Array:
        xp = namespace(radius)
        floor = self.smallest_opacity
        logit = math.log(floor / (1 - floor)) if floor > 0 else -math.inf
        unfit = rows["opacity_logits"] < logit
        if self._reset_done:
            largest = xp.exp(xp.max(rows["log_scales"], axis=1))
            unfit = unfit | (radius > self.largest_radius)
            unfit = unfit | (largest > self.largest_scale * self.extent)
        return unfit

    def _reset(self, parameters: dict[str, Array], optimizer: Optimizer) -> dict[str, Array]:
        """Lower all opacities to 0.01, and let the optimiser forget how they moved."""
        logits = parameters["opacity_logits"]
        xp = namespace(logits)
        optimizer.reindex({"opacity_logits": xp.full(logits.shape[0], -1, dtype=xp.int64)})
        self._reset_done = True
        return parameters | {"opacity_logits": xp.minimum(logits, math.log(0.01 / 0.99))}
