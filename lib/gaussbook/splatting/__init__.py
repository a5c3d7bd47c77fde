"""Differentiable rendering of scenes made of 3D Gaussians."""

from gaussbook.splatting.alpha_models import AlphaModel, Analytic, Mip, Point
from gaussbook.splatting.cameras import Camera, fibonacci_hemisphere, look_at
from gaussbook.splatting.density_control import DensityControl, initialise, scene_extent
from gaussbook.splatting.render import (
    Rendering,
    RenderOptions,
    render,
    render_backward,
    render_forward,
)
from gaussbook.splatting.spherical_harmonics import rgb_to_sh
from gaussbook.splatting.training import Fit, fit

__all__ = [
    "AlphaModel",
    "Analytic",
    "Camera",
    "DensityControl",
    "Fit",
    "Mip",
    "Point",
    "RenderOptions",
    "Rendering",
    "fibonacci_hemisphere",
    "fit",
    "initialise",
    "look_at",
    "render",
    "render_backward",
    "render_forward",
    "rgb_to_sh",
    "scene_extent",
]
