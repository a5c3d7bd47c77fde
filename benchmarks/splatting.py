"""One step of fitting Gaussians, forward and backward, against gsplat's PyTorch reference.

gsplat renders on a GPU; what it has for other machines are the pure PyTorch functions that its
tests compare the kernels with (Ye et al., 2024), and three pieces of those exist in CUDA only.  Two
are sums along rays, of the package nerfacc; the third, rasterize_to_indices_in_range, finds the
pixels that a Gaussian reaches in its tiles.  All three are written out in PyTorch below, without
loops.  Finding the pairs, for which gsplat's own _isect_tiles loops over Gaussians and tiles in
Python, takes most of the peer's time; further rows therefore give them to it for nothing, so that
what is left to it is projection, blending and their gradients, while ours finds the pairs.
"""

from __future__ import annotations

import shutil
import sys
from types import ModuleType

import numpy as np

from benchmarks.cpu import Prepared, Row
from benchmarks.limits import Demand
from gaussbook.splatting import RenderOptions, look_at, render_backward, render_forward

OPTIONS = RenderOptions(largest_alpha=0.9999)  # gsplat's cap
NOTE = (
    "peer: gsplat's _quat_scale_to_covar_preci, _fully_fused_projection, _isect_tiles (a Python "
    "loop) and "
    "accumulate with autograd; the pixels within tiles and nerfacc's two sums along rays, which "
    "are CUDA only, in vectorised PyTorch; alpha capped at 0.9999 by both"
)
GIVEN = (
    NOTE.replace("_isect_tiles (a Python loop) and ", "and ")
    + "; the pairs are given to the peer for nothing"
)
COMPILED = (
    "ours finds and sorts the pairs itself, and each of its operations on them is a pass through "
    "memory, where a compiled program does all that concerns a pair at once"
)
CUTOFF, STOP, TILE = 1 / 255, 1e-4, 16


def _rays(torch: ModuleType) -> ModuleType:
    """Return what gsplat uses of nerfacc, for pairs that are sorted by ray."""
    module = ModuleType("nerfacc")

    def render_weight_from_alpha(alphas, ray_indices, n_rays):
        logs = torch.log1p(-alphas).double()  # one running sum over all rays
        running = torch.cumsum(logs, 0) - logs
        starts = torch.searchsorted(ray_indices, torch.arange(n_rays))
        starts = starts.clamp(max=len(alphas) - 1)
        transmittance = torch.exp(running - running[starts][ray_indices]).to(alphas.dtype)
        return alphas * transmittance, transmittance

    def accumulate_along_rays(weights, values, ray_indices, n_rays):
        values = weights[:, None] if values is None else weights[:, None] * values
        zeros = torch.zeros(n_rays, values.shape[1], dtype=values.dtype)
        return zeros.index_add(0, ray_indices, values)

    module.render_weight_from_alpha = render_weight_from_alpha
    module.accumulate_along_rays = accumulate_along_rays
    return module


def _find_pairs(torch, gsplat, points, radii, depths, conics, opacities, resolution):
    """Return Gaussian and pixel of all pairs that count, sorted by pixel, then by depth."""
    tiles = -(-resolution // TILE)
    _, keys, gaussian = gsplat._isect_tiles(points, radii, depths, TILE, tiles, tiles)
    gaussian, tile = gaussian.long(), keys >> 32
    inside = torch.arange(TILE * TILE)
    x = (tile % tiles * TILE)[:, None] + inside % TILE
    y = (tile // tiles * TILE)[:, None] + inside // TILE
    m, Q, o = points[0][gaussian], conics[0][gaussian], opacities[0][gaussian]
    dx, dy = x + 0.5 - m[:, :1], y + 0.5 - m[:, 1:]
    power = -0.5 * (Q[:, :1] * dx**2 + Q[:, 2:] * dy**2) - Q[:, 1:2] * dx * dy
    alpha = (o[:, None] * torch.exp(power)).clamp(max=OPTIONS.largest_alpha)
    counts = (alpha >= CUTOFF) & (x < resolution) & (y < resolution)
    pixel = (y * resolution + x)[counts]
    order = torch.argsort(pixel, stable=True)
    pixel, alpha = pixel[order], alpha[counts][order]
    gaussian = gaussian[:, None].expand(-1, TILE * TILE)[counts][order]
    running = torch.cumsum(torch.log1p(-alpha).double(), 0)
    starts = torch.searchsorted(pixel, torch.arange(resolution**2)).clamp(max=len(pixel) - 1)
    before = torch.where(starts > 0, running[(starts - 1).clamp(min=0)], 0.0)
    kept = torch.exp(running - before[pixel]) >= STOP
    return gaussian[kept], pixel[kept]


def _scene(n: int, scales: tuple[float, float], dtype: type) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    parameters = {
        "means": 0.4 * rng.standard_normal((n, 3)),
        "log_scales": np.log(rng.uniform(*scales, size=(n, 3))),
        "quaternions": rng.standard_normal((n, 4)),
        "opacity_logits": rng.standard_normal(n),
        "colors": rng.uniform(size=(n, 3)),
    }
    return {name: value.astype(dtype) for name, value in parameters.items()}


def _agree(ours: dict, peer: dict) -> None:
    for name, value in ours.items():
        tolerance = 1e-3 if value.dtype == np.float32 else 1e-9
        error = np.linalg.norm(value - peer[name]) / np.linalg.norm(peer[name])
        if error > tolerance:
            raise AssertionError(f"{name} differs by {error:.2g} of its norm")


def _step(
    n: int,
    resolution: int,
    scales: tuple[float, float],
    dtype: type,
    given: bool,
    compiled: bool = False,
):
    def prepare() -> Prepared:
        import torch
        from gsplat.cuda import _torch_impl as gsplat

        torch.set_num_threads(1)
        sys.modules.setdefault("nerfacc", _rays(torch))
        parameters = _scene(n, scales, dtype)
        camera = look_at((2.0, 1.0, 1.5), (0.0, 0.0, 0.0), width=resolution)
        grad = np.random.default_rng(1).standard_normal((resolution, resolution, 3)).astype(dtype)

        def ours():
            rendering, state = render_forward(parameters, camera, OPTIONS)
            gradients, _ = render_backward(state, grad)
            return gradients | {"image": rendering.image}

        known = [torch.from_numpy(a.astype(np.int64)) for a in _known_pairs(parameters, camera)]
        theirs = {k: torch.from_numpy(v).requires_grad_() for k, v in parameters.items()}
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = camera.R, camera.t
        K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        view, K = (torch.from_numpy(a.astype(dtype))[None] for a in (view, K))
        upstream = torch.from_numpy(grad)

        def image_of(leaves, pairs):
            covariances, _ = gsplat._quat_scale_to_covar_preci(
                leaves["quaternions"], torch.exp(leaves["log_scales"]), compute_preci=False
            )
            radii, points, depths, conics, _ = gsplat._fully_fused_projection(
                leaves["means"], covariances, view, K, resolution, resolution, near_plane=0.2
            )
            opacities = torch.sigmoid(leaves["opacity_logits"])[None]
            if pairs is None:
                found = (points, radii, depths, conics, opacities)
                with torch.no_grad():
                    pairs = _find_pairs(torch, gsplat, *found, resolution)
            gaussian, pixel = pairs
            image, _ = gsplat.accumulate(
                *(points, conics, opacities, leaves["colors"][None]),
                *(gaussian, pixel, torch.zeros_like(pixel), resolution, resolution),
            )
            return image

        if compiled and shutil.which("g++") is None:
            raise ImportError("torch.compile needs a C++ compiler", name="g++")
        draw = torch.compile(image_of, dynamic=False) if compiled else image_of

        def peer():
            for leaf in theirs.values():
                leaf.grad = None
            image = draw(theirs, known if given else None)
            image[0].backward(upstream)
            gradients = {name: leaf.grad.numpy() for name, leaf in theirs.items()}
            return gradients | {"image": image[0].detach().numpy()}

        return ours, peer, _agree

    return prepare


def _known_pairs(parameters: dict, camera: object) -> list[np.ndarray]:
    """Return Gaussian and pixel of the pairs that we blend, sorted by pixel, then by depth."""
    state = render_forward(parameters, camera, OPTIONS)[1]
    kept = slice(None) if state.blend.kept is None else state.blend.kept
    return [state.order[state.blend.gaussian][kept], state.blend.pixel[kept]]


def _compiled(n: int, resolution: int, scales: tuple[float, float], dtype: type):
    def prepare() -> Prepared:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        parameters = _scene(n, scales, dtype)
        camera = look_at((2.0, 1.0, 1.5), (0.0, 0.0, 0.0), width=resolution)
        upstream = np.random.default_rng(1).standard_normal((resolution**2, 3)).astype(dtype)
        gaussian, pixel = _known_pairs(parameters, camera)
        starts = np.searchsorted(pixel, np.arange(resolution**2)).clip(max=len(pixel) - 1)
        W, t = np.asarray(camera.R, dtype), np.asarray(camera.t, dtype)
        focal = np.asarray([camera.fx, camera.fy], dtype)
        centre, edge = np.asarray([camera.cx, camera.cy], dtype), resolution / 2 / focal
        place = np.stack([pixel % resolution, pixel // resolution], axis=1).astype(dtype) + 0.5

        def image_of(p):
            q = p["quaternions"] / jnp.linalg.norm(p["quaternions"], axis=1, keepdims=True)
            w, x, y, z = q.T
            R = jnp.stack(
                [
                    *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
                    *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
                    *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
                ],
                axis=1,
            ).reshape(-1, 3, 3)
            M = W @ (R * jnp.exp(p["log_scales"])[:, None, :])
            seen = p["means"] @ W.T + t
            depth = seen[:, 2:]
            flat = seen[:, :2] / depth
            bent = jnp.clip(flat, -1.3 * edge, 1.3 * edge)  # as gsplat does beyond the frame
            J = jnp.concatenate(
                [jnp.broadcast_to(jnp.eye(2, dtype=depth.dtype), (n, 2, 2)), -bent[:, :, None]],
                axis=2,
            )
            J = J * focal[:, None] / depth[:, :, None]
            half = J @ M
            S = half @ half.transpose(0, 2, 1) + 0.3 * jnp.eye(2, dtype=depth.dtype)
            determinant = S[:, 0, 0] * S[:, 1, 1] - S[:, 0, 1] ** 2
            conic = jnp.stack([S[:, 1, 1], -S[:, 0, 1], S[:, 0, 0]], axis=1) / determinant[:, None]
            d = place - (flat * focal + centre)[gaussian]
            Q = conic[gaussian]
            power = 0.5 * (Q[:, 0] * d[:, 0] ** 2 + Q[:, 2] * d[:, 1] ** 2)
            power = power + Q[:, 1] * d[:, 0] * d[:, 1]
            opacity = jax.nn.sigmoid(p["opacity_logits"])[gaussian]
            alpha = jnp.minimum(opacity * jnp.exp(-power), OPTIONS.largest_alpha)
            logs = jnp.log1p(-alpha).astype(jnp.float64)  # one running sum over all rays
            before = jnp.cumsum(logs) - logs
            weight = alpha * jnp.exp(before - before[starts][pixel]).astype(alpha.dtype)
            colours = weight[:, None] * p["colors"][gaussian]
            return jax.ops.segment_sum(
                colours, pixel, num_segments=resolution**2, indices_are_sorted=True
            )

        @jax.jit
        def step(p):
            image, pull = jax.vjp(image_of, p)
            return image, pull(upstream)[0]

        def ours():
            rendering, state = render_forward(parameters, camera, OPTIONS)
            gradients, _ = render_backward(state, upstream.reshape(resolution, resolution, 3))
            return gradients | {"image": rendering.image}

        def peer():
            image, gradients = step(parameters)
            found = {name: np.asarray(g) for name, g in gradients.items()}
            return found | {"image": np.asarray(image).reshape(resolution, resolution, 3)}

        return ours, peer, _agree

    return prepare


SCENES = ((500, 64, (0.04, 0.12)), (5000, 128, (0.02, 0.05)))


def _row(n: int, resolution: int, dtype: type, peer: str, target: float, prepare, note: str) -> Row:
    scales = next(scales for count, _, scales in SCENES if count == n)

    def demand(_: object) -> Demand:
        # A pair takes an exponential, some 20 flops forward and twice as many backward.
        camera = look_at((2.0, 1.0, 1.5), (0.0, 0.0, 0.0), width=resolution)
        pairs = len(_known_pairs(_scene(n, scales, dtype), camera)[0])
        return Demand(flops=60 * pairs, exps=pairs, dtype=dtype)

    return Row(
        f"splat forward+backward, {n} Gaussians {resolution}x{resolution}, {dtype.__name__}",
        peer,
        target,
        prepare,
        note,
        demand=demand,
    )


REFERENCE = "gsplat's PyTorch reference"
ROWS = (
    *(
        _row(
            *(n, resolution, dtype, REFERENCE + (", pairs given" if given else "")),
            *(1.0 if given else 5.0, _step(n, resolution, scales, dtype, given)),
            GIVEN if given else NOTE,
        )
        for given in (False, True)
        for n, resolution, scales in SCENES
        for dtype in (np.float32, np.float64)
    ),
    *(
        _row(
            *(n, resolution, np.float32, REFERENCE + ", compiled, pairs given"),
            *(5.0, _step(n, resolution, scales, np.float32, True, compiled=True)),
            GIVEN
            + "; torch.compile makes one program of it, which needs a C++ compiler; "
            + COMPILED,
        )
        for n, resolution, scales in SCENES
    ),
    *(
        _row(
            *(n, resolution, dtype, "JAX, compiled, pairs given"),
            *(5.0, _compiled(n, resolution, scales, dtype)),
            "the pairs of Gaussian and pixel, sorted, are given to the peer for nothing; "
            + COMPILED,
        )
        for n, resolution, scales in SCENES
        for dtype in (np.float32, np.float64)
    ),
)
