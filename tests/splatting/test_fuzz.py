"""Nonsense in any argument gives a ValueError that names it, or finite numbers."""

import numpy as np
import pytest

from gaussbook.splatting import (
    RenderOptions,
    fibonacci_hemisphere,
    initialise,
    look_at,
    render,
    render_backward,
    render_forward,
)

from .problems import camera, gaussians

NONSENSE = {
    "None": None,
    "text": "abc",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative": -3.0,
    "huge": 1e308,
    "empty": [],
    "empty array": np.zeros((0, 2)),
    "ragged": [[1.0], [1.0, 2.0]],
    "array with NaN": np.array([1.0, np.nan, 2.0]),
    "three dimensions": np.ones((2, 2, 2)),
    "complex": np.array([1.0 + 2.0j]),
    "objects": np.array([object()]),
    "dictionary": {"a": 1},
    "boolean": True,
    "wrong length": np.ones(5),
    "matrix": np.ones((4, 4)),
}
P = gaussians(6, sh=1, extra=2, background=3)
VIEW = camera(8, 6)
IMAGE = np.ones((6, 8, 5))


def _render(parameters, camera, options):
    return list(render(parameters, camera, options))


def _backward(grad_image, grad_alpha, grad_depth):
    _, state = render_forward(P, VIEW)
    gradients, screen = render_backward(state, grad_image, grad_alpha, grad_depth)
    return [*gradients.values(), screen]


def _camera(**arguments):
    view = look_at(**arguments)
    return [view.R, view.t]


def _ring(**arguments):
    return [view.R for view in fibonacci_hemisphere(**arguments)]


ARGUMENTS = {"parameters": P, "camera": VIEW, "options": RenderOptions()}
OPTIONS = {"background": (0, 0, 0), "cutoff": 0.004, "largest_alpha": 0.99, "stop": 1e-4}
CALLS = {
    "render": (_render, ARGUMENTS),
    "parameters": (lambda **p: _render(p, VIEW, None), P),
    "options": (
        lambda **o: _render(P, VIEW, RenderOptions(**o)),
        OPTIONS | {"sh_degree": 1, "alpha_model": RenderOptions().alpha_model},
    ),
    "backward": (_backward, {"grad_image": IMAGE, "grad_alpha": None, "grad_depth": None}),
    "look_at": (_camera, {"position": (1, 2, 3), "target": (0, 0, 0), "field_of_view": 40.0}),
    "ring": (_ring, {"n": 3, "radius": 2.0, "target": (0, 0, 0), "elevation": (10, 50)}),
    "initialise": (
        lambda **a: list(initialise(**a).values()),
        {"points": P["means"], "colors": P["means"], "opacity": 0.1, "sh_degree": 1},
    ),
}
CASES = [
    pytest.param(name, argument, kind, id=f"{name}-{argument}-{kind}")
    for name, (_, arguments) in CALLS.items()
    for argument in arguments
    for kind in NONSENSE
]


@pytest.mark.parametrize(("name", "argument", "kind"), CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nonsense(name, argument, kind):
    call, arguments = CALLS[name]
    try:
        result = call(**arguments | {argument: NONSENSE[kind]})
    except ValueError as error:
        assert str(error).startswith((argument, f"parameters['{argument}']"))
        return
    assert all(np.all(np.isfinite(array)) for array in result)


@pytest.mark.parametrize("missing", ["means", "log_scales", "quaternions", "opacity_logits", "sh"])
def test_missing_parameters(missing):
    with pytest.raises(ValueError, match=f"^parameters .*{missing}"):
        render({name: value for name, value in P.items() if name != missing}, VIEW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones(6)}, "parameters must not hold"),
        ({"colors": np.ones((6, 3))}, "parameters must hold either colors or sh"),
        ({"means": np.ones((5, 3))}, r"parameters\['log_scales'\] must have 5 rows"),
        ({"sh": np.ones((6, 5, 3))}, r"parameters\['sh'\] must have shape"),
        ({"quaternions": np.zeros((6, 4))}, r"parameters\['quaternions'\] holds a zero"),
        ({"quaternions": np.full((6, 4), 1e-200)}, r"parameters\['quaternions'\] holds a zero"),
        ({"means": np.full((6, 3), 1e308)}, "parameters hold Gaussians too far away"),
        ({"log_scales": np.full((6, 3), 400.0)}, "parameters hold Gaussians too far away"),
        ({"extra": np.ones((6, 2), dtype=np.float32)}, r"parameters\['extra'\] must be float64"),
        ({"background": np.ones(4)}, "background must hold 3 or 5 numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_parameters_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        render(P | change, VIEW)
