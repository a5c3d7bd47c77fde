"""Differentiable rendering of scenes made of 3D Gaussians."""

from gaussbook.splatting.alpha_models import AlphaModel, Analytic, Mip, Point
from gaussbook.splatting.cameras import Camera, fibonacci_hemisphere, look_at
from gaussbook.splatting.render import (
    Rendering,
    RenderOptions,
    render,
    render_backward,
    render_forward,
)
from gaussbook.splatting.spherical_harmonics import rgb_to_sh

__all__ = [
    "AlphaModel",
    "Analytic",
    "Camera",
    "Mip",
    "Point",
    "RenderOptions",
    "Rendering",
    "fibonacci_hemisphere",
    "look_at",
    "render",
    "render_backward",
    "render_forward",
    "rgb_to_sh",
]
