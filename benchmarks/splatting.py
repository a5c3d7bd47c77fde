"""One step of fitting Gaussians, forward and backward, against gsplat's PyTorch reference.

gsplat renders on a GPU; what it has for other machines are the pure PyTorch functions that its
tests compare the kernels with (Ye et al., 2024).  Two pieces of those exist in CUDA only, and the
peer here does without them, to its advantage: the search for pairs of a Gaussian and a pixel, whose
result it gets for nothing, and two sums along rays, of the package nerfacc, which are written out
in PyTorch below.
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
    "peer: gsplat's _quat_scale_to_covar_preci, _fully_fused_projection and accumulate with "
    "autograd; its pairs are given to it, and nerfacc's two sums along rays are PyTorch's cumsum "
    "and index_add; alpha capped at 0.9999 by both"
)


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


def _step(n: int, resolution: int, scales: tuple[float, float], dtype: type):
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

        blend = render_forward(parameters, camera, OPTIONS)[1]
        order, blend = blend.order, blend.blend
        kept = slice(None) if blend.kept is None else blend.kept
        gaussian = torch.from_numpy(order[blend.gaussian][kept])
        pixel = torch.from_numpy(blend.pixel[kept].astype(np.int64))
        image_ids = torch.zeros_like(pixel)
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
            _, points, _, conics, _ = gsplat._fully_fused_projection(
                theirs["means"], covariances, view, K, resolution, resolution, near_plane=0.2
            )
            opacities = torch.sigmoid(theirs["opacity_logits"])[None]
            image, _ = gsplat.accumulate(
                *(points, conics, opacities, theirs["colors"][None]),
                *(gaussian, pixel, image_ids, resolution, resolution),
            )
            image[0].backward(upstream)
            gradients = {name: leaf.grad.numpy() for name, leaf in theirs.items()}
            return gradients | {"image": image[0].detach().numpy()}

        return ours, peer, _agree

    return prepare


ROWS = tuple(
    Row(
        f"splat forward+backward, {n} Gaussians {resolution}x{resolution}, {dtype.__name__}",
        "gsplat's PyTorch reference",
        5.0,
        _step(n, resolution, scales, dtype),
        NOTE,
    )
    for n, resolution, scales in ((500, 64, (0.04, 0.12)), (5000, 128, (0.02, 0.05)))
    for dtype in (np.float32, np.float64)
)
