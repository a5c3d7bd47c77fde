"""Projection: samples, rotations by SciPy, the clamp, and what may not change an image."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gaussbook.arrays import to_host
from gaussbook.splatting.projection import (
    covariances,
    project,
    project_pullback,
    rotation_matrices,
    surface_normals,
)

from .problems import camera, gaussians, straight


def test_rotations():
    q = np.random.default_rng(0).normal(size=(20, 4))
    expected = Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(rotation_matrices(q), expected, atol=1e-14)


def test_covariances():
    p = gaussians(6)
    ours = covariances(p["log_scales"], p["quaternions"])
    R, s2 = rotation_matrices(p["quaternions"]), np.exp(2 * p["log_scales"])
    np.testing.assert_allclose(ours, np.einsum("nij,nj,nkj->nik", R, s2, R), atol=1e-15)


def _sampled(mean, scale, view, seed=0):
    points = mean + scale * np.random.default_rng(seed).standard_normal((1_000_000, 3))
    t = points @ view.R.T + view.t
    t = t[t[:, 2] > 0.05]
    pixels = t[:, :2] / t[:, 2:] * (view.fx, view.fy) + (view.cx, view.cy)
    return pixels.mean(axis=0), np.cov(pixels.T)


def _projected(mean, scale, view):
    p = project(np.array([mean]), np.log(np.full((1, 3), scale)), np.array([[1.0, 0, 0, 0]]), view)
    xx, xy, yy = p.covariances[0]
    return p.points[0], np.array([[xx, xy], [xy, yy]])


def test_against_samples():
    view = straight()
    point, covariance = _projected((0.3, 0.2, 2.0), 0.04, view)
    mean, sampled = _sampled((0.3, 0.2, 2.0), 0.04, view)
    np.testing.assert_allclose(point, mean, rtol=0.01)
    np.testing.assert_allclose(covariance, sampled, atol=0.01 * np.max(sampled))
    # A Gaussian as large as this is beyond a first-order approximation.
    _, covariance = _projected((0.8, 0.0, 2.0), 0.6, view)
    _, sampled = _sampled((0.8, 0.0, 2.0), 0.6, view)
    assert np.max(np.abs(covariance - sampled)) > 0.05 * np.max(np.abs(sampled))


@pytest.mark.parametrize("x", [0.3, 5.0, -5.0])
@pytest.mark.parametrize("y", [-0.2, 4.0])
def test_pullback(x, y):
    """Inside the field of view, and where the clamp acts on one or both axes."""
    view, rng = straight(), np.random.default_rng(3)
    p = gaussians(1, seed=4)
    arguments = [np.array([[x, y, 2.0]]), p["log_scales"], p["quaternions"]]
    grads = rng.normal(size=(1, 2)), rng.normal(size=(1, 3)), rng.normal(size=1)
    projection = project(*arguments, view)
    assert projection.geometry.inside[:, 0].tolist() == [abs(x) < 1, abs(y) < 1]
    gradients = project_pullback(projection, *grads)

    def loss(arguments):
        q = project(*arguments, view)
        outputs = (q.points, q.covariances, q.depths)
        return sum((a * g).sum() for a, g in zip(outputs, grads, strict=True))

    for i, gradient in enumerate(gradients):
        numeric = np.zeros_like(gradient)
        for j in range(gradient.shape[1]):
            values = []
            for sign in (1, -1):
                moved = [a.copy() for a in arguments]
                moved[i][0, j] += sign * 1e-5
                values.append(loss(moved))
            numeric[0, j] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(gradient, numeric, atol=1e-7 * np.max(np.abs(numeric)))


def test_behind_the_near_plane():
    view = straight()
    p = gaussians(3)
    p["means"] = np.array([[0, 0, 2.0], [0, 0, 0.2], [0, 0, -1.0]])
    projection = project(p["means"], p["log_scales"], p["quaternions"], view)
    assert projection.visible.tolist() == [True, False, False]
    assert np.all(np.isfinite(projection.covariances))


def test_normals():
    view = camera()
    p = gaussians(50)
    projection = project(p["means"], p["log_scales"], p["quaternions"], view)
    normals, _ = surface_normals(projection)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
    Sigma = covariances(p["log_scales"], p["quaternions"])
    smallest = np.exp(2 * p["log_scales"].min(axis=1))
    along = np.einsum("nij,nj->ni", Sigma, normals)
    np.testing.assert_allclose(along, smallest[:, None] * normals, atol=1e-14)
    assert np.all(((view.position - p["means"]) * normals).sum(axis=1) >= 0)


def test_same_in_every_namespace(xp):
    view, p = camera(), gaussians(5)
    names = ("means", "log_scales", "quaternions")
    rng = np.random.default_rng(0)
    grads = rng.normal(size=(5, 2)), rng.normal(size=(5, 3)), rng.normal(size=5)
    expected = project(*(p[name] for name in names), view)
    arrays = [xp.asarray(p[name]) for name in names]
    np.testing.assert_allclose(
        to_host(covariances(*arrays[1:])), covariances(p["log_scales"], p["quaternions"])
    )
    ours = project(*arrays, view)
    for name in ("points", "covariances", "depths", "visible"):
        np.testing.assert_allclose(to_host(getattr(ours, name)), getattr(expected, name))
    pulled = project_pullback(ours, *map(xp.asarray, grads))
    for a, b in zip(pulled, project_pullback(expected, *grads), strict=True):
        np.testing.assert_allclose(to_host(a), b, atol=1e-12)
