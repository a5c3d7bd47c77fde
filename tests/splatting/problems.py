"""Gaussians and cameras for the tests, and a renderer that is a loop over pixels."""

import numpy as np

from gaussbook.splatting import Camera, look_at, render_backward, render_forward

FULL = {"cutoff": 0.0, "stop": 0.0}  # no cut-offs: the image is a smooth function


def gaussians(n, seed=0, *, spread=0.4, scales=(0.05, 0.15), dtype=np.float64, **more):
    """Return random parameters; `more` asks for sh=degree, extra=channels, background=channels."""
    rng = np.random.default_rng(seed)
    parameters = {
        "means": rng.normal(size=(n, 3)) * spread,
        "log_scales": np.log(rng.uniform(*scales, size=(n, 3))),
        "quaternions": rng.normal(size=(n, 4)),
        "opacity_logits": rng.normal(size=n) + 0.5,
    }
    if "sh" in more:
        parameters["sh"] = 0.3 * rng.normal(size=(n, (more["sh"] + 1) ** 2, 3))
    else:
        parameters["colors"] = rng.uniform(size=(n, 3))
    if "extra" in more:
        parameters["extra"] = rng.normal(size=(n, more["extra"]))
    if "background" in more:
        parameters["background"] = rng.uniform(size=more["background"])
    return {name: value.astype(dtype) for name, value in parameters.items()}


def camera(width=16, height=12, fx=20.0, fy=24.0, cx=7.0, cy=6.5):
    """Return a camera with oblong pixels and an image off its axis."""
    view = look_at((2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    return Camera(view.R, view.t, fx, fy, cx, cy, width, height)


def on_axis(x=0.0, y=0.0, z=2.0, scale=0.1, opacity=0.7, color=(0.2, 0.5, 0.9)):
    """Return one isotropic Gaussian in the coordinates of `straight`."""
    return {
        "means": np.array([[x, y, z]]),
        "log_scales": np.log(np.full((1, 3), scale)),
        "quaternions": np.array([[1.0, 0.0, 0.0, 0.0]]),
        "opacity_logits": np.log([opacity / (1 - opacity)]),
        "colors": np.array([color]),
    }


def straight(size=65, focal=60.0):
    """Return a camera at the origin that looks along z."""
    return Camera(np.eye(3), np.zeros(3), focal, focal, size / 2, size / 2, size, size)


def together(*parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def cotangents(rendering, seed=1):
    """Return random gradients with respect to image, opacity and depth."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=array.shape) for array in rendering]


def difference_errors(parameters, view, options, step=1e-6):
    """Return for each parameter the relative error of the gradient against central differences."""
    rendering, state = render_forward(parameters, view, options)
    grads = cotangents(rendering)
    gradients, _ = render_backward(state, *grads)
    assert rendering.alpha.mean() > 0.05

    def loss(name, change):
        moved = parameters | {name: parameters[name] + change}
        drawn, _ = render_forward(moved, view, options)
        return sum((a * g).sum() for a, g in zip(drawn, grads, strict=True))

    errors = {}
    for name, value in parameters.items():
        numeric = np.zeros(value.size)
        for i in range(value.size):
            change = np.zeros(value.size)
            change[i] = step
            change = change.reshape(value.shape)
            numeric[i] = (loss(name, change) - loss(name, -change)) / (2 * step)
        numeric = numeric.reshape(value.shape)
        assert np.max(np.abs(numeric)) > 0
        errors[name] = np.max(np.abs(gradients[name] - numeric)) / np.max(np.abs(numeric))
    return errors


def naive_image(parameters, view, dilation=0.3, cutoff=1 / 255, stop=1e-4):
    """Render pixel by pixel, Gaussian by Gaussian, from the textbook formulas."""
    p = parameters
    splats = []
    for mu, ell, q, logit, color in zip(
        *(p[k] for k in ("means", "log_scales", "quaternions", "opacity_logits", "colors")),
        strict=True,
    ):
        w, x, y, z = q / np.linalg.norm(q)
        vector = np.array([x, y, z])
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        R = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        assert np.allclose(R @ vector, vector)
        t = view.R @ mu + view.t
        if t[2] <= view.near:
            continue
        focal, size = np.array([view.fx, view.fy]), np.array([view.width, view.height])
        limit = 1.3 * size / 2 / focal
        clamped = t[2] * np.clip(t[:2] / t[2], -limit, limit)
        J = np.zeros((2, 3))
        J[0, 0], J[1, 1] = focal / t[2]
        J[:, 2] = -focal * clamped / t[2] ** 2
        T = J @ view.R
        covariance = T @ R @ np.diag(np.exp(2 * ell)) @ R.T @ T.T + dilation * np.eye(2)
        m = focal * t[:2] / t[2] + (view.cx, view.cy)
        splats.append((t[2], m, np.linalg.inv(covariance), 1 / (1 + np.exp(-logit)), color))
    splats.sort(key=lambda splat: splat[0])
    image = np.zeros((view.height, view.width, 5))
    for i in range(view.height):
        for j in range(view.width):
            transmittance = 1.0
            for depth, m, Q, o, color in splats:
                d = m - (j + 0.5, i + 0.5)
                alpha = min(0.99, o * np.exp(-0.5 * d @ Q @ d))
                if alpha < cutoff:
                    continue
                if transmittance * (1 - alpha) < stop:
                    break
                image[i, j] += transmittance * alpha * np.array([*color, 1.0, depth])
                transmittance *= 1 - alpha
    return image[:, :, :3], image[:, :, 3], image[:, :, 4]
