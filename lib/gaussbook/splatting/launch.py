"""The tile renderer on the GPU: how the kernels of ``kernels/splatting.cu`` are called.

`composite` and `composite_pullback` do the work of their namesakes in `compositing`, `project` and
`project_pullback` that of theirs in `projection`, on CuPy arrays of single precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array

from gaussbook import kernels
from gaussbook.arrays import Array, namespace
from gaussbook.splatting.alpha_models import AlphaModel, Footprints
from gaussbook.splatting.cameras import Camera
from gaussbook.splatting.compositing import Limits
from gaussbook.splatting.pairs import span
from gaussbook.splatting.segments import offsets_of

__all__ = [
    "LARGEST_CHANNELS",
    "TileBlend",
    "composite",
    "composite_pullback",
    "project",
    "project_pullback",
    "usable",
]

LARGEST_CHANNELS = 16  # colours, extra channels, depth and opacity together

_TILE = 16
_THREADS = 256
_WIDTHS = (5, 8, LARGEST_CHANNELS)  # numbers of channels that a kernel is compiled for
_RECORD = 5
_SUMS = 6


def usable(x: Array) -> bool:
    """Return whether arrays of this kind go through the kernels."""
    return is_cupy_array(x) and x.dtype == np.float32


def _run(kernel: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple) -> None:
    if min(grid) > 0:
        kernels.load("splatting").get_function(kernel)(grid, block, arguments)


def _run_each(kernel: str, n: int, *arguments: Any) -> None:
    """Run a kernel that has a thread for each of n things."""
    _run(kernel, (-(-n // _THREADS),), (_THREADS,), arguments)


def _contiguous(xp: Any, *arrays: Array) -> tuple[Array, ...]:
    return tuple(xp.ascontiguousarray(a) for a in arrays)


def _camera_numbers(xp: Any, camera: Camera, clamp: float) -> Array:
    limits = (clamp * camera.width / 2 / camera.fx, clamp * camera.height / 2 / camera.fy)
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy, *limits, camera.near)
    return xp.asarray(np.concatenate([camera.R.ravel(), camera.t, intrinsics]), dtype=xp.float32)


def project(
    means: Array, log_scales: Array, quaternions: Array, camera: Camera, clamp: float
) -> tuple[Array, Array, Array]:
    """Return means (N, 2), covariances (N, 3) and depths (N,) on the image."""
    xp = namespace(means)
    n = means.shape[0]
    results = tuple(xp.empty(shape, dtype=xp.float32) for shape in ((n, 2), (n, 3), (n,)))
    inputs = _contiguous(xp, means, log_scales, quaternions)
    _run_each("project", n, *inputs, _camera_numbers(xp, camera, clamp), *results, np.int32(n))
    return results


def project_pullback(
    inputs: tuple[Array, Array, Array],
    camera: Camera,
    clamp: float,
    grads: tuple[Array, Array, Array],
    grad_rotations: Array | None,
) -> tuple[Array, Array, Array]:
    """Return the gradients with respect to means, log-scales and quaternions."""
    xp = namespace(inputs[0])
    n = inputs[0].shape[0]
    results = tuple(xp.empty_like(a) for a in _contiguous(xp, *inputs))
    rotations = xp.zeros((1, 3, 3), dtype=xp.float32) if grad_rotations is None else grad_rotations
    arrays = (
        *_contiguous(xp, *inputs),
        _camera_numbers(xp, camera, clamp),
        *_contiguous(xp, *grads, rotations),
    )
    flag = np.int32(grad_rotations is not None)
    _run_each("project_pullback", n, *arrays, *results, np.int32(n), flag)
    return results


@dataclass(eq=False)
class TileBlend:
    """What `composite_pullback` needs."""

    model: AlphaModel
    limits: Limits
    footprints: Footprints
    size: tuple[int, int]
    n_channels: int
    shared: tuple[Array, ...]  # keys, ranges, records, channels, background: as the kernels do
    left: Array
    last: Array


def _boxes(points: Array, reach: Array | None, height: int, width: int) -> Array:
    """Return the tiles that each Gaussian touches: first column, columns, first row, rows."""
    xp = namespace(points)
    n = points.shape[0]
    sides = []
    for axis, entry, size in ((0, 0, width), (1, 2, height)):
        if reach is None:
            first, count = xp.zeros(n, dtype=xp.int64), xp.full(n, size, dtype=xp.int64)
        else:
            first, count = span(points[:, axis], xp.sqrt(reach[:, entry]), size)
        tile = first // _TILE
        behind = (first + count + _TILE - 1) // _TILE
        sides += [tile, xp.where(count > 0, behind - tile, 0)]
    return xp.astype(xp.stack(sides, axis=1), xp.int32)


def _sorted_keys(boxes: Array, tiles_x: int) -> Array:
    """Return ``tile << 32 | Gaussian`` for all pairs of both, sorted."""
    xp = namespace(boxes)
    n = boxes.shape[0]
    wide = xp.astype(boxes, xp.int64)
    offsets = offsets_of(wide[:, 1] * wide[:, 3])
    keys = xp.empty(int(offsets[-1]), dtype=xp.int64)
    arrays = _contiguous(xp, boxes, offsets)
    _run_each("emit_keys", n, *arrays, keys, np.int32(n), np.int32(tiles_x))
    return xp.sort(keys)


def _padded(values: Array, width: int) -> Array:
    """Return contiguous rows of `width` numbers, with zeros at the end."""
    xp = namespace(values)
    missing = width - values.shape[-1]
    zeros = xp.zeros((*values.shape[:-1], missing), dtype=values.dtype)
    return xp.ascontiguousarray(xp.concat([values, zeros], axis=-1))


def composite(
    model: AlphaModel,
    points: Array,
    footprints: Footprints,
    channels: Array,
    background: Array,
    size: tuple[int, int],
    limits: Limits,
) -> tuple[Array, TileBlend]:
    """Blend Gaussians that are sorted by depth, as `compositing.composite` does."""
    xp = namespace(points)
    height, width = size
    tiles = (-(-width // _TILE), -(-height // _TILE))
    keys = _sorted_keys(_boxes(points, footprints.reach, height, width), tiles[0])
    ranges = xp.zeros((tiles[0] * tiles[1], 2), dtype=xp.int32)
    _run_each("tile_ranges", keys.shape[0], keys, ranges, np.int64(keys.shape[0]))
    n_channels = channels.shape[1]
    padding = next(w for w in _WIDTHS if w >= n_channels)
    record = xp.concat([points, model.record(footprints)], axis=1)
    shared = (
        *(keys, ranges, _padded(record, 2 + _RECORD)),
        *(_padded(channels, padding), _padded(background, padding)),
    )
    image = xp.empty((height * width, padding), dtype=xp.float32)
    left = xp.empty(height * width, dtype=xp.float32)
    last = xp.empty(height * width, dtype=xp.int32)
    numbers = (np.int32(width), np.int32(height), np.float32(limits.cutoff))
    numbers += (np.float32(limits.largest), np.float32(limits.stop))
    arguments = (*shared, image, left, last, *numbers)
    _run(f"blend_{model.kernel}_{padding}", tiles, (_TILE, _TILE), arguments)
    blend = TileBlend(model, limits, footprints, size, n_channels, shared, left, last)
    return image[:, :n_channels], blend


def composite_pullback(blend: TileBlend, grad: Array) -> tuple[Array, ...]:
    """Return the gradients of all that was blended, as `compositing.composite_pullback` does."""
    xp = namespace(grad)
    height, width = blend.size
    channels = blend.shared[3]
    n, padding = channels.shape
    sums = xp.zeros((n, _SUMS), dtype=xp.float32)
    grad_channels = xp.zeros((n, padding), dtype=xp.float32)
    limits = blend.limits
    numbers = (np.int32(width), np.int32(height), np.float32(limits.cutoff))
    arguments = (
        *(*blend.shared, blend.left, blend.last, _padded(grad, padding), sums, grad_channels),
        *(*numbers, np.float32(limits.largest)),
    )
    tiles = (-(-width // _TILE), -(-height // _TILE))
    _run(f"blend_pullback_{blend.model.kernel}_{padding}", tiles, (_TILE, _TILE), arguments)
    return (
        *blend.model.finish(blend.footprints, sums),
        grad_channels[:, : blend.n_channels],
        xp.matmul(blend.left, grad),
    )
