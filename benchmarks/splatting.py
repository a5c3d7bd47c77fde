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

import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np

from benchmarks.cpu import Row, Work
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


def _step(n: int, resolution: int, scales: tuple[float, float], dtype: type, given: bool):
    def prepare() -> tuple[Work, Work, Callable[[object, object], None]]:
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

        state = render_forward(parameters, camera, OPTIONS)[1]
        kept = slice(None) if state.blend.kept is None else state.blend.kept
        known = [state.order[state.blend.gaussian][kept], state.blend.pixel[kept]]
        known = [torch.from_numpy(a.astype(np.int64)) for a in known]
        theirs = {k: torch.from_numpy(v).requires_grad_() for k, v in parameters.items()}
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = camera.R, camera.t
        K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        view, K = (torch.from_numpy(a.astype(dtype))[None] for a in (view, K))
        upstream = torch.from_numpy(grad)

        def peer():
            for leaf in theirs.values():
                leaf.grad = None
            covariances, _ = gsplat._quat_scale_to_covar_preci(
                theirs["quaternions"], torch.exp(theirs["log_scales"]), compute_preci=False
            )
            radii, points, depths, conics, _ = gsplat._fully_fused_projection(
                theirs["means"], covariances, view, K, resolution, resolution, near_plane=0.2
            )
            opacities = torch.sigmoid(theirs["opacity_logits"])[None]
            gaussian, pixel = known
            if not given:
                found = (points, radii, depths, conics, opacities)
                with torch.no_grad():
                    gaussian, pixel = _find_pairs(torch, gsplat, *found, resolution)
            image, _ = gsplat.accumulate(
                *(points, conics, opacities, theirs["colors"][None]),
                *(gaussian, pixel, torch.zeros_like(pixel), resolution, resolution),
            )
            image[0].backward(upstream)
            gradients = {name: leaf.grad.numpy() for name, leaf in theirs.items()}
            return gradients | {"image": image[0].detach().numpy()}

        return ours, peer, _agree

    return prepare


ROWS = tuple(
    Row(
        f"splat forward+backward, {n} Gaussians {resolution}x{resolution}, {dtype.__name__}",
        "gsplat's PyTorch reference" + (", pairs given" if given else ""),
        1.0 if given else 5.0,
        _step(n, resolution, scales, dtype, given),
        GIVEN if given else NOTE,
    )
    for given in (False, True)
    for n, resolution, scales in ((500, 64, (0.04, 0.12)), (5000, 128, (0.02, 0.05)))
    for dtype in (np.float32, np.float64)
)
