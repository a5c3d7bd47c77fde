"""Differentiable rendering of 3D Gaussians: parameters and a camera in, an image out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, namespace, to_host
from gaussbook.autodiff.activations import sigmoid, sigmoid_and_slope
from gaussbook.splatting import compositing, launch
from gaussbook.splatting.alpha_models import AlphaModel, Point
from gaussbook.splatting.cameras import Camera
from gaussbook.splatting.compositing import Limits
from gaussbook.splatting.projection import (
    Projection,
    normals_pullback,
    project,
    project_pullback,
    surface_normals,
)
from gaussbook.splatting.segments import put_rows
from gaussbook.splatting.spherical_harmonics import colors_from_sh, colors_from_sh_pullback
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["RenderOptions", "Rendering", "render", "render_backward", "render_forward"]

_SHAPES = {
    "means": (None, 3),
    "log_scales": (None, 3),
    "quaternions": (None, 4),
    "opacity_logits": (None,),
    "colors": (None, 3),
    "sh": (None, None, 3),
    "extra": (None, None),
    "background": (None,),
    "screen_offsets": (None, 2),
}
_REQUIRED = ("means", "log_scales", "quaternions", "opacity_logits")


@dataclass(frozen=True, eq=False)
class RenderOptions:
    r"""How to render.

    Parameters
    ----------
    alpha_model : AlphaModel
        What a pixel sees of a Gaussian.
    background : array_like
        Colour behind everything: three numbers, in [0, 1] for an ordinary image.
    cutoff : float
        Opacities below this are skipped (1/255); 0 for none.
    largest_alpha : float
        Cap of the opacities, in (0, 1).
    stop : float
        A pixel is finished before its transmittance falls below this; 0 for never.
    sh_degree : int, optional
        Highest degree of the spherical harmonics to use; all there are if not given.
    normals : bool
        Blend the shortest axis of each Gaussian, turned to the camera, as three more channels.

    Raises
    ------
    ValueError
        If a value is outside its range.
    """

    alpha_model: AlphaModel = field(default_factory=Point)
    background: Any = (0.0, 0.0, 0.0)
    cutoff: float = 1 / 255
    largest_alpha: float = 0.99
    stop: float = 1e-4
    sh_degree: int | None = None
    normals: bool = False

    def __post_init__(self):
        if not isinstance(self.alpha_model, AlphaModel):
            raise ValueError(f"alpha_model must be an AlphaModel, got {self.alpha_model!r}")
        background = check_array("background", self.background, ndim=1)
        object.__setattr__(self, "background", background)
        check_scalar("cutoff", self.cutoff, at_least=0, below=1)
        check_scalar("largest_alpha", self.largest_alpha, above=0, below=1)
        if np.float32(self.largest_alpha) == 1:
            raise ValueError("largest_alpha must be below 1 in single precision as well")
        check_scalar("stop", self.stop, at_least=0, below=1)
        if self.sh_degree is not None:
            check_integer("sh_degree", self.sh_degree, at_least=0, at_most=3)

    @property
    def limits(self) -> Limits:
        """The cut-offs of blending."""
        return Limits(self.cutoff, self.largest_alpha, self.stop)


class Rendering(NamedTuple):
    """What a camera sees.

    Attributes
    ----------
    image : array, shape (H, W, 3 + extra)
        Colours, then the extra channels, then the normals if they were asked for.
    alpha : array, shape (H, W)
        Accumulated opacity, 1 minus the background's share.
    depth : array, shape (H, W)
        Sum of the depths, weighted by their shares: divide by `alpha` for the mean depth.
    """

    image: Array
    alpha: Array
    depth: Array


@dataclass(eq=False)
class State:
    """What `render_backward` needs, and what density control wants to know.

    Attributes
    ----------
    visible : array of bool, shape (N,)
        Which Gaussians were drawn.
    """

    parameters: dict[str, Array]
    camera: Camera
    options: RenderOptions
    projection: Projection
    opacities: Array
    order: Array  # drawn Gaussians, nearest first
    visible: Array
    colors_cache: Any
    selector: Array | None
    n_channels: int
    blend: Any

    @property
    def radii(self) -> Array:
        """Three standard deviations along the longer axis, in pixels; 0 for what is not drawn."""
        xp = namespace(self.opacities)
        A, B, D = (self.projection.covariances[:, i] for i in range(3))
        largest = (A + D) / 2 + xp.sqrt((A - D) ** 2 / 4 + B * B)
        return xp.where(self.visible, 3 * xp.sqrt(largest), xp.zeros_like(largest))


def render_forward(
    parameters: Mapping[str, Array], camera: Camera, options: RenderOptions | None = None
) -> tuple[Rendering, State]:
    """Render, and keep what the backward pass needs.

    Parameters
    ----------
    parameters, camera, options
        As in `render`.

    Returns
    -------
    rendering : Rendering
    state : State
        For `render_backward`.

    Raises
    ------
    ValueError
        As `render`.
    """
    options = RenderOptions() if options is None else options
    parameters = _checked(parameters, camera, options)
    xp = namespace(parameters["means"])
    means = parameters["means"]
    projection = project(means, parameters["log_scales"], parameters["quaternions"], camera)
    points = projection.points
    if not bool(xp.all(xp.isfinite(points)) & xp.all(xp.isfinite(projection.covariances))):
        raise ValueError("parameters hold Gaussians too far away or too large to be projected")
    if "screen_offsets" in parameters:
        points = points + parameters["screen_offsets"]
    opacities = sigmoid(parameters["opacity_logits"])
    channels, colors_cache, selector = _channels(parameters, projection, options)
    footprints = options.alpha_model.prepare(projection.covariances, opacities, options.cutoff)
    visible = projection.visible & footprints.drawn
    order = xp.argsort(projection.depths, stable=True)
    order = order[xp.take(visible, order)]
    background = _background(parameters, channels, options)
    tiled = launch.usable(means) and options.alpha_model.kernel is not None
    tiled = tiled and channels.shape[1] <= launch.LARGEST_CHANNELS
    composite = launch.composite if tiled else compositing.composite
    image, blend = composite(
        options.alpha_model,
        xp.take(points, order, axis=0),
        footprints.take(order),
        xp.take(channels, order, axis=0),
        background,
        (camera.height, camera.width),
        options.limits,
    )
    image = xp.reshape(image, (camera.height, camera.width, -1))
    state = State(
        *(parameters, camera, options, projection, opacities, order, visible),
        *(colors_cache, selector, channels.shape[1], blend),
    )
    return Rendering(image[:, :, :-2], image[:, :, -1], image[:, :, -2]), state


def render_backward(
    state: State,
    grad_image: Array,
    grad_alpha: Array | None = None,
    grad_depth: Array | None = None,
) -> tuple[dict[str, Array], Array]:
    """Return the gradients of a loss of a rendering.

    Parameters
    ----------
    state : State
        From `render_forward`.
    grad_image : array, shape (H, W, 3 + extra)
        Gradient with respect to the image.
    grad_alpha, grad_depth : array, shape (H, W), optional
        Those with respect to accumulated opacity and depth; zero if not given.

    Returns
    -------
    gradients : dict of str to array
        One for each of the parameters, of the same shape.
    screen : array, shape (N, 2)
        Gradient with respect to the projected means, in 1/pixels, which density control watches.

    Raises
    ------
    ValueError
        If a gradient has the wrong shape.
    """
    xp = namespace(state.opacities)
    shape = (state.camera.height, state.camera.width)
    n_channels = state.n_channels
    pieces = [check_array("grad_image", grad_image, shape=(*shape, n_channels - 2), finite=False)]
    for name, grad in (("grad_depth", grad_depth), ("grad_alpha", grad_alpha)):
        if grad is None:
            grad = xp.zeros(shape, dtype=pieces[0].dtype)
        pieces.append(check_array(name, grad, shape=shape, finite=False)[:, :, None])
    grad = xp.astype(xp.concat(pieces, axis=2), state.opacities.dtype, copy=False)
    grad = xp.reshape(grad, (-1, n_channels))
    on_host = isinstance(state.blend, compositing.Blend)
    pullback = compositing.composite_pullback if on_host else launch.composite_pullback
    *blended, grad_background = pullback(state.blend, grad)
    n = state.opacities.shape[0]
    screen, covariances, opacities, channels = (put_rows(g, state.order, n) for g in blended)
    return _to_parameters(state, screen, covariances, opacities, channels, grad_background), screen


def _to_parameters(
    state: State,
    screen: Array,
    covariances: Array,
    opacities: Array,
    channels: Array,
    background: Array,
) -> dict[str, Array]:
    """Pull the gradients of what was blended back to the parameters."""
    parameters, gradients = state.parameters, {}
    gradients["opacity_logits"] = sigmoid_and_slope(parameters["opacity_logits"])[1] * opacities
    grad_colors, grad_depths = channels[:, :3], channels[:, -2]
    n_used, to_mean, rotations = 3, 0.0, None
    if "sh" in parameters:
        gradients["sh"], to_mean = colors_from_sh_pullback(state.colors_cache, grad_colors)
    else:
        gradients["colors"] = grad_colors
    if "extra" in parameters:
        n_used += parameters["extra"].shape[1]
        gradients["extra"] = channels[:, 3:n_used]
    if state.selector is not None:
        rotations = normals_pullback(state.selector, channels[:, n_used : n_used + 3])
    means, scales, quaternions = project_pullback(
        state.projection, screen, covariances, grad_depths, rotations
    )
    gradients["means"] = means + to_mean
    gradients["log_scales"], gradients["quaternions"] = scales, quaternions
    if "screen_offsets" in parameters:
        gradients["screen_offsets"] = screen
    if "background" in parameters:
        gradients["background"] = background[: parameters["background"].shape[0]]
    return {name: gradients[name] for name in parameters}


def _checked(
    parameters: Mapping[str, Array], camera: Camera, options: RenderOptions
) -> dict[str, Array]:
    if not isinstance(camera, Camera):
        raise ValueError(f"camera must be a Camera, got {type(camera).__name__}")
    if not isinstance(options, RenderOptions):
        raise ValueError(f"options must be RenderOptions, got {type(options).__name__}")
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters must be a mapping, got {type(parameters).__name__}")
    unknown = sorted(map(str, parameters.keys() - _SHAPES.keys()))
    missing = [name for name in _REQUIRED if name not in parameters]
    if unknown or missing:
        raise ValueError(f"parameters must not hold {unknown}, and lacks {missing}")
    if ("colors" in parameters) == ("sh" in parameters):
        raise ValueError("parameters must hold either colors or sh")
    checked = {
        name: check_array(f"parameters[{name!r}]", value, shape=_SHAPES[name], nonempty=False)
        for name, value in parameters.items()
    }
    n, dtype = checked["means"].shape[0], checked["means"].dtype
    for name, value in checked.items():
        if name != "background" and value.shape[0] != n:
            raise ValueError(f"parameters[{name!r}] must have {n} rows, got {value.shape[0]}")
        if value.dtype != dtype:
            raise ValueError(f"parameters[{name!r}] must be {dtype} like means, got {value.dtype}")
    xp = namespace(*checked.values())
    squares = xp.sum(checked["quaternions"] ** 2, axis=1)
    if not bool(xp.all((squares > 0) & xp.isfinite(squares))):
        raise ValueError("parameters['quaternions'] holds a zero, or one too long or too short")
    if "sh" in checked and checked["sh"].shape[1:] not in {(k * k, 3) for k in (1, 2, 3, 4)}:
        raise ValueError(
            "parameters['sh'] must have shape (N, 1 | 4 | 9 | 16, 3), "
            f"got {tuple(checked['sh'].shape)}"
        )
    return checked


def _channels(
    parameters: Mapping[str, Array], projection: Projection, options: RenderOptions
) -> tuple[Array, Any, Array | None]:
    """Return all that is blended: colours, extra, normals, depth, ones; and two caches."""
    xp = namespace(projection.depths)
    cache = selector = None
    if "sh" in parameters:
        sh = parameters["sh"]
        degree = round(sh.shape[1] ** 0.5) - 1
        if options.sh_degree is not None:
            degree = min(degree, options.sh_degree)
        position = xp.asarray(projection.camera.position, dtype=sh.dtype)
        colors, cache = colors_from_sh(sh, parameters["means"] - position, degree)
    else:
        colors = parameters["colors"]
    channels = [colors]
    if "extra" in parameters:
        channels.append(parameters["extra"])
    if options.normals:
        normals, selector = surface_normals(projection)
        channels.append(normals)
    depths = projection.depths[:, None]
    return xp.concat([*channels, depths, xp.ones_like(depths)], axis=1), cache, selector


def _background(parameters: Mapping[str, Array], channels: Array, options: RenderOptions) -> Array:
    """Return the background of all channels: zeros where none is given."""
    xp = namespace(channels)
    given = parameters.get("background")
    if given is None:
        host = np.asarray(to_host(options.background), dtype=np.float64)
        given = xp.asarray(host, dtype=channels.dtype)
    n_image = channels.shape[1] - 2
    if given.shape[0] not in (3, n_image):
        raise ValueError(f"background must hold 3 or {n_image} numbers, got {given.shape[0]}")
    rest = xp.zeros(channels.shape[1] - given.shape[0], dtype=channels.dtype)
    return xp.concat([given, rest])


def render(
    parameters: Mapping[str, Array], camera: Camera, options: RenderOptions | None = None
) -> Rendering:
    r"""Render 3D Gaussians; differentiable with respect to all parameters.

    Parameters
    ----------
    parameters : mapping of str to array
        ``means`` (N, 3), ``log_scales`` (N, 3), ``quaternions`` (N, 4; w, x, y, z; of any length)
        and ``opacity_logits`` (N,), and either ``colors`` (N, 3) or spherical harmonics ``sh``
        (N, (degree + 1)**2, 3).  If given, ``extra`` (N, E) is blended like colours;
        ``background`` (3,) or (3 + extra,) takes the place of that of the options; and
        ``screen_offsets`` (N, 2), in pixels, is added to the projected means.  Arrays of one kind
        and one floating type: float64, or float32.
    camera : Camera
        The view.
    options : RenderOptions, optional
        How to render.

    Returns
    -------
    Rendering
        Image (H, W, 3 + extra), accumulated opacity (H, W) and depth (H, W).

    Raises
    ------
    ValueError
        If an argument has the wrong kind or shape, or holds values that are not finite.

    Notes
    -----
    The method is that of Kerbl et al. (2023).  Arrays go through a list of all pairs of a Gaussian
    and a pixel; those of CuPy in single precision go through the tiles of
    ``kernels/splatting.cu`` instead, if the alpha model has a kernel and there are at most 14
    channels.  Gradients of gradients are not available.
    """
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters must be a mapping, got {type(parameters).__name__}")
    names = tuple(parameters)
    channels = _render([], names, camera, options, *parameters.values())
    return Rendering(channels[:, :, :-2], channels[:, :, -2], channels[:, :, -1])


@ad.primitive
def _render(
    states: list[State],
    names: tuple[str, ...],
    camera: Camera,
    options: RenderOptions | None,
    *values: Array,
) -> Array:
    """Return image, opacity and depth as the channels of one array; append to `states`."""
    rendering, state = render_forward(dict(zip(names, values, strict=True)), camera, options)
    states.append(state)
    layers = [rendering.image, rendering.alpha[:, :, None], rendering.depth[:, :, None]]
    return namespace(rendering.image).concat(layers, axis=2)


def _render_vjp(argnums: tuple[int, ...], answer: Array, args: tuple, kwargs: dict) -> Any:
    states, names = args[:2]

    def pullback(grad: Array) -> tuple[Array, ...]:
        image, alpha, depth = grad[:, :, :-2], grad[:, :, -2], grad[:, :, -1]
        gradients, _ = render_backward(states[-1], image, alpha, depth)
        return tuple(gradients[names[i - 4]] for i in argnums)

    return pullback


ad.defvjp_argnums(_render, _render_vjp)
