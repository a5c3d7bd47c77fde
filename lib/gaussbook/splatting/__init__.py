"""Differentiable rendering of scenes made of 3D Gaussians."""

from gaussbook.splatting.alpha_models import AlphaModel, Analytic, Mip, Point
from gaussbook.splatting.cameras import Camera, fibonacci_hemisphere, look_at
from gaussbook.splatting.density_control import DensityControl, initialise, scene_extent
from gaussbook.splatting.loaders import Capture, load_colmap, load_nerf_synthetic
from gaussbook.splatting.losses import (
    photometric,
    photometric_loss,
    ssim_and_gradient,
    structural_similarity,
)
from gaussbook.splatting.ply import read_ply, write_ply
from gaussbook.splatting.render import (
    Rendering,
    RenderOptions,
    render,
    render_backward,
    render_forward,
)
from gaussbook.splatting.scenes import (
    FAMILY,
    Scene,
    View,
    blocks,
    downscale,
    family,
    orbit,
    surface_points,
    view,
    views,
)
from gaussbook.splatting.solids import Solid, Texture
from gaussbook.splatting.spherical_harmonics import rgb_to_sh
from gaussbook.splatting.training import Fit, fit

__all__ = [
    "FAMILY",
    "AlphaModel",
    "Analytic",
    "Camera",
    "Capture",
    "DensityControl",
    "Fit",
    "Mip",
    "Point",
    "RenderOptions",
    "Rendering",
    "Scene",
    "Solid",
    "Texture",
    "View",
    "blocks",
    "downscale",
    "family",
    "fibonacci_hemisphere",
    "fit",
    "initialise",
    "load_colmap",
    "load_nerf_synthetic",
    "look_at",
    "orbit",
    "photometric",
    "photometric_loss",
    "read_ply",
    "render",
    "render_backward",
    "render_forward",
    "rgb_to_sh",
    "scene_extent",
    "ssim_and_gradient",
    "structural_similarity",
    "surface_points",
    "view",
    "views",
    "write_ply",
]
