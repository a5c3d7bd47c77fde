"""Fitting a scene of Gaussians to photographs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gaussbook.arrays import Array, Generator, namespace
from gaussbook.optim import Adam
from gaussbook.progress import progress
from gaussbook.splatting.cameras import Camera
from gaussbook.splatting.density_control import DensityControl, scene_extent
from gaussbook.splatting.render import RenderOptions, render_backward, render_forward
from gaussbook.validation import check_integer, check_scalar

__all__ = ["LEARNING_RATES", "Fit", "fit", "mean_absolute_error"]

Loss = Callable[[Array, Array], tuple[float, Array]]
Parameters = Mapping[str, Array]
Pullback = Callable[[Parameters], Parameters]

# As published (Kerbl et al., 2023), except for the means, whose published rates, 1.6e-4 falling
# to 1.6e-6, are for 30 000 iterations.
LEARNING_RATES = {
    "means": 2e-3,  # times the extent of the scene
    "log_scales": 5e-3,
    "quaternions": 1e-3,
    "opacity_logits": 5e-2,
    "colors": 2.5e-3,
    "sh": 2.5e-3,
    "extra": 2.5e-3,
    "background": 2.5e-3,
}
_HIGHER_DEGREES = 1 / 20  # of the rate of the harmonics of degree 0
_FINAL_RATE = 0.1  # of the means


def mean_absolute_error(image: Array, target: Array) -> tuple[float, Array]:
    """Return the mean absolute difference of two images, and its gradient by the first.

    Parameters
    ----------
    image, target : array, shape (H, W, C)
        The images.

    Returns
    -------
    value : float
    gradient : array, shape (H, W, C)

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    xp = namespace(image)
    if tuple(target.shape) != tuple(image.shape):
        raise ValueError(f"target must have shape {tuple(image.shape)}, got {tuple(target.shape)}")
    difference = image - target
    return float(xp.mean(xp.abs(difference))), xp.sign(difference) / math.prod(image.shape)


@dataclass
class Fit:
    """A scene that was fitted.

    Attributes
    ----------
    parameters : dict of str to array
        The Gaussians.
    losses : list of float
        The loss of each iteration, of its own view.
    counts : list of int
        The number of Gaussians after each iteration.
    """

    parameters: dict[str, Array]
    losses: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


def fit(
    parameters: Mapping[str, Array],
    cameras: Sequence[Camera],
    images: Sequence[Array],
    *,
    iterations: int,
    rng: Generator,
    loss: Loss = mean_absolute_error,
    options: RenderOptions | None = None,
    rates: Mapping[str, float] | None = None,
    extent: float | None = None,
    density: DensityControl | None = None,
    sh_interval: int | None = None,
    order: Sequence[int] | None = None,
    reparametrise: Callable[[Parameters], tuple[Parameters, Pullback]] | None = None,
    description: str = "Fitting Gaussians",
) -> Fit:
    """Fit Gaussians to images by Adam, one view in each iteration.

    The views come in random order, all of them before any comes again, if no order is given.

    Parameters
    ----------
    parameters : mapping of str to array
        The first Gaussians, as `render` takes them (from `initialise`).
    cameras : sequence of Camera
        The views.
    images : sequence of array, each of shape (H, W, 3 + extra)
        What they saw.
    iterations : int
        Number of steps.
    rng : Generator
        For the order of the views.
    loss : callable
        ``loss(image, target)`` returns a number and its gradient with respect to the image.
    options : RenderOptions, optional
        How to render.
    rates : mapping of str to float, optional
        Learning rates that `LEARNING_RATES` lacks or has otherwise.  That of the means is in units
        of `extent`, and falls to a tenth in a geometric series.
    extent : float, optional
        Size of the scene in world units; `scene_extent` of the cameras if not given.
    density : DensityControl, optional
        Changes the set of Gaussians, which stays if not given.  Any object with its methods
        `observe` and `step` will do.
    sh_interval : int, optional
        Raise the degree of the harmonics in use by one every so many iterations, from 0; all
        degrees from the first if not given.
    order : sequence of int, optional
        The view of each iteration.
    reparametrise : callable, optional
        Maps `parameters` to those that are rendered, and returns with them the function that maps
        gradients with respect to these to gradients with respect to `parameters` (and may add
        those of a penalty).
    description : str
        Shown beside the progress bar.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If an argument is outside its range, or the views and images do not fit.
    """
    iterations = check_integer("iterations", iterations, at_least=1)
    if not len(cameras) or len(cameras) != len(images):
        raise ValueError(f"images must hold one for each of {len(cameras)} cameras")
    options = RenderOptions() if options is None else options
    if sh_interval is not None:
        sh_interval = check_integer("sh_interval", sh_interval, at_least=1)
    extent = scene_extent(cameras) if extent is None else check_scalar("extent", extent, above=0)
    adam = _optimizer(parameters, rates)
    first_rate = adam.multipliers["means"] * extent
    views = _checked_order(order, iterations, len(cameras), rng)
    result = Fit(dict(parameters))
    for i in progress(range(iterations), description, iterations):
        k = views[i]
        step_options = options if sh_interval is None else _with_degree(options, i // sh_interval)
        drawn, pullback = result.parameters, None
        if reparametrise is not None:
            drawn, pullback = reparametrise(result.parameters)
        rendering, state = render_forward(drawn, cameras[k], step_options)
        value, grad = loss(rendering.image, images[k])
        gradients, screen = render_backward(state, grad)
        if pullback is not None:
            gradients = pullback(gradients)
        adam.multipliers["means"] = first_rate * _FINAL_RATE ** (i / iterations)
        stepped = adam.step(result.parameters, gradients)
        if "sh" in stepped:
            stepped["sh"] = _slower_degrees(result.parameters["sh"], stepped["sh"])
        result.parameters = stepped
        if density is not None:
            density.observe(screen, state)
            result.parameters = density.step(i, result.parameters, adam)
        result.losses.append(value)
        result.counts.append(result.parameters["means"].shape[0])
    return result


def _checked_order(
    order: Sequence[int] | None, iterations: int, n_views: int, rng: Generator
) -> list[int]:
    """Return the view of each iteration."""
    if order is None:
        rounds = -(-iterations // n_views)
        return [int(k) for _ in range(rounds) for k in rng.host.permutation(n_views)]
    order = [check_integer("order", k, at_least=0, at_most=n_views - 1) for k in order]
    if len(order) != iterations:
        raise ValueError(f"order must hold {iterations} views, got {len(order)}")
    return order


def _optimizer(parameters: Mapping[str, Array], rates: Mapping[str, float] | None) -> Adam:
    unknown = sorted(set(rates or ()) - set(LEARNING_RATES) - set(parameters))
    if unknown:
        raise ValueError(f"rates names {unknown}, which are not parameters")
    chosen = LEARNING_RATES | dict(rates or {})
    unknown = sorted(set(parameters) - set(chosen))
    if unknown:
        raise ValueError(f"parameters must not hold {unknown} without rates for them")
    return Adam(1.0, multipliers={name: chosen[name] for name in parameters}, epsilon=1e-15)


def _with_degree(options: RenderOptions, degree: int) -> RenderOptions:
    highest = 3 if options.sh_degree is None else options.sh_degree
    return replace(options, sh_degree=min(degree, highest))


def _slower_degrees(old: Array, new: Array) -> Array:
    """Let harmonics of higher degree move by a twentieth only of what Adam proposes."""
    xp = namespace(new)
    higher = old[:, 1:, :] + _HIGHER_DEGREES * (new[:, 1:, :] - old[:, 1:, :])
    return xp.concat([new[:, :1, :], higher], axis=1)
