"""From 3D Gaussians to 2D ones on the image: EWA projection, and its vector-Jacobian product."""

from __future__ import annotations

from dataclasses import dataclass

from gaussbook.arrays import Array, namespace
from gaussbook.splatting import launch
from gaussbook.splatting.cameras import Camera

__all__ = [
    "Projection",
    "covariances",
    "normals_pullback",
    "project",
    "project_pullback",
    "rotation_matrices",
    "surface_normals",
]

_CLAMP = 1.3  # the Jacobian is taken at most this many half fields of view away from the axis


def rotation_matrices(quaternions: Array) -> Array:
    r"""Return the rotations of (not necessarily normalised) quaternions.

    Parameters
    ----------
    quaternions : array, shape (N, 4)
        In the order :math:`(w, x, y, z)`, not zero.

    Returns
    -------
    array, shape (N, 3, 3)
        :math:`R(q/|q|)`.
    """
    return namespace(quaternions).moveaxis(_rotations(_columns(quaternions)), 2, 0)


# Within this module numbers of one kind stand side by side, (3, N) instead of (N, 3): sums over an
# axis of three are then sums of long vectors.


def _columns(rows: Array) -> Array:
    """Return the columns of (N, k) as an array (k, N)."""
    return namespace(rows).stack([rows[:, i] for i in range(rows.shape[1])])


def _split(rows: Array) -> list[Array]:
    """Return the parts along the first axis."""
    return [rows[i, ...] for i in range(rows.shape[0])]


def _rotations(q: Array) -> Array:
    """Return :math:`R(q/|q|)`, (3, 3, N), of quaternions (4, N)."""
    xp = namespace(q)
    w, x, y, z = _split(q / xp.sqrt(xp.sum(q**2, axis=0)))
    xx, yy, zz = x * x, y * y, z * z
    xy, xz, yz, wx, wy, wz = x * y, x * z, y * z, w * x, w * y, w * z
    entries = [
        *(1 - 2 * (yy + zz), 2 * (xy - wz), 2 * (xz + wy)),
        *(2 * (xy + wz), 1 - 2 * (xx + zz), 2 * (yz - wx)),
        *(2 * (xz - wy), 2 * (yz + wx), 1 - 2 * (xx + yy)),
    ]
    return xp.reshape(xp.stack(entries), (3, 3, -1))


def _rotation_pullback(q: Array, G: Array) -> Array:
    r"""Return :math:`(I-\hat q\hat q^T)\,\partial L/\partial\hat q\,/\,|q|` for `G` = dL/dR."""
    xp = namespace(q)
    length = xp.sqrt(xp.sum(q**2, axis=0))
    q = q / length
    w, x, y, z = _split(q)
    (g00, g01, g02), (g10, g11, g12), (g20, g21, g22) = map(_split, _split(G))
    s01, s02, s12 = g01 + g10, g02 + g20, g12 + g21
    a10, a02, a21 = g10 - g01, g02 - g20, g21 - g12
    gradient = xp.stack(
        [
            2 * (z * a10 + y * a02 + x * a21),
            2 * (y * s01 + z * s02 + w * a21) - 4 * x * (g11 + g22),
            2 * (x * s01 + z * s12 + w * a02) - 4 * y * (g00 + g22),
            2 * (x * s02 + y * s12 + w * a10) - 4 * z * (g00 + g11),
        ]
    )
    return (gradient - xp.sum(gradient * q, axis=0) * q) / length


def covariances(log_scales: Array, quaternions: Array) -> Array:
    r"""Return :math:`\Sigma = M M^T` with :math:`M = R\,\mathrm{diag}(e^\ell)`, (N, 3, 3)."""
    xp = namespace(log_scales, quaternions)
    M = rotation_matrices(quaternions) * xp.exp(log_scales)[:, None, :]
    return xp.matmul(M, xp.matrix_transpose(M))


@dataclass(frozen=True, eq=False)
class Projection:
    r"""Gaussians on the image, and what their pullback needs.

    Attributes
    ----------
    points : array, shape (N, 2)
        Means :math:`m`, in pixels.
    covariances : array, shape (N, 3)
        Entries xx, xy, yy of :math:`T\Sigma T^T`, in square pixels, without dilation.
    depths : array, shape (N,)
        :math:`t_z`, in world units.
    visible : array of bool, shape (N,)
        Whether the Gaussian lies beyond the near plane; the numbers of others mean nothing.
    """

    points: Array
    covariances: Array
    depths: Array
    visible: Array
    camera: Camera
    inputs: tuple[Array, Array, Array]
    geometry: _Geometry | None  # what the kernels compute again where they need it


@dataclass(frozen=True, eq=False)
class _Geometry:
    view: Array  # R_v
    t: Array  # camera coordinates (3, N), with a depth of 1 for those that are not visible
    slopes: Array  # clamped (t_x / t_z, t_y / t_z), (2, N)
    inside: Array  # chi of both: whether the clamp left them alone
    quaternions: Array  # (4, N)
    rotations: Array  # (3, 3, N)
    scales: Array  # (3, N)
    T: Array  # J R_v, (2, 3, N)
    U: Array  # J R_v M, a root of the covariance on the image


def project(means: Array, log_scales: Array, quaternions: Array, camera: Camera) -> Projection:
    r"""Project Gaussians by the local affine approximation of the perspective map.

    .. math::
        \Sigma' = T\Sigma T^T, \quad T = J R_v, \quad
        J = \begin{pmatrix} f_x/t_z & 0 & -f_x\tilde t_x/t_z^2 \\
                            0 & f_y/t_z & -f_y\tilde t_y/t_z^2 \end{pmatrix}

    (Zwicker, Pfister, van Baar and Gross, 2002), where :math:`\tilde t_x/t_z` is
    :math:`t_x/t_z` clamped to 1.3 times the tangent of half the field of view, which keeps
    Gaussians far outside the image from exploding (Kerbl et al., 2023).

    Parameters
    ----------
    means, log_scales : array, shape (N, 3)
        Centres, and logarithms of the standard deviations along the principal axes.
    quaternions : array, shape (N, 4)
        Orientations; their length does not matter.
    camera : Camera
        The view.

    Returns
    -------
    Projection
    """
    inputs = (means, log_scales, quaternions)
    if launch.usable(means):
        points, covariances, depths = launch.project(*inputs, camera, _CLAMP)
        visible = depths > camera.near
        return Projection(points, covariances, depths, visible, camera, inputs, None)
    xp = namespace(*inputs)
    dtype = means.dtype
    view = xp.asarray(camera.R, dtype=dtype)
    t = xp.matmul(view, _columns(means)) + xp.asarray(camera.t, dtype=dtype)[:, None]
    depths = t[2, :]
    visible = depths > camera.near
    z = xp.where(visible, depths, xp.ones_like(depths))
    focal, centre, half = (
        xp.asarray(pair, dtype=dtype)[:, None]
        for pair in (
            *((camera.fx, camera.fy), (camera.cx, camera.cy)),
            (camera.width / 2, camera.height / 2),
        )
    )
    limit = _CLAMP * half / focal
    raw = t[:2, :] / z
    inside = xp.abs(raw) <= limit
    slopes = xp.where(inside, raw, xp.sign(raw) * limit)
    points = raw * focal + centre
    T = (focal / z)[:, None, :] * (view[:2, :, None] - slopes[:, None, :] * view[2, :, None])
    quaternions, scales = _columns(quaternions), xp.exp(_columns(log_scales))
    rotations = _rotations(quaternions)
    U = xp.sum(T[:, :, None, :] * (rotations * scales), axis=1)
    U0, U1 = U[0, ...], U[1, ...]
    covariances = xp.stack([xp.sum(a * b, axis=0) for a, b in ((U0, U0), (U0, U1), (U1, U1))])
    t = xp.concat([t[:2, :], z[None, :]])
    geometry = _Geometry(view, t, slopes, inside, quaternions, rotations, scales, T, U)
    points, covariances = xp.matrix_transpose(points), xp.matrix_transpose(covariances)
    return Projection(points, covariances, depths, visible, camera, inputs, geometry)


def project_pullback(
    p: Projection,
    grad_points: Array,
    grad_covariances: Array,
    grad_depths: Array,
    grad_rotations: Array | None = None,
) -> tuple[Array, Array, Array]:
    r"""Return the gradients with respect to the arguments of `project`.

    Where the clamp is active, :math:`J` does not depend on :math:`t_x`, and its last column
    falls as :math:`1/t_z` instead of :math:`1/t_z^2`.

    Parameters
    ----------
    p : Projection
        From `project`.
    grad_points : array, shape (N, 2)
        :math:`\partial L/\partial m`.
    grad_covariances : array, shape (N, 3)
        With respect to the entries xx, xy, yy (the off-diagonal counted once).
    grad_depths : array, shape (N,)
        With respect to :math:`t_z` itself.
    grad_rotations : array, shape (N, 3, 3), optional
        With respect to the rotation matrices, from elsewhere (the normals).

    Returns
    -------
    grad_means, grad_log_scales : array, shape (N, 3)
    grad_quaternions : array, shape (N, 4)
    """
    if p.geometry is None:
        grads = (grad_points, grad_covariances, grad_depths)
        return launch.project_pullback(p.inputs, p.camera, _CLAMP, grads, grad_rotations)
    xp = namespace(grad_points)
    dtype = grad_points.dtype
    camera, g = p.camera, p.geometry
    focal = xp.asarray([camera.fx, camera.fy], dtype=dtype)[:, None]
    z, points = g.t[2, :], _columns(grad_points)
    xx, xy, yy = (grad_covariances[:, i] for i in range(3))
    U0, U1 = g.U[0, ...], g.U[1, ...]
    G_U = xp.stack([2 * xx * U0 + xy * U1, xy * U0 + 2 * yy * U1])
    G_M = xp.sum(g.T[:, :, None, :] * G_U[:, None, :, :], axis=0)
    G_T = xp.sum(G_U[:, None, :, :] * (g.rotations * g.scales), axis=2)
    G_J = xp.matmul(g.view, G_T)

    G_diagonal, G_last = xp.stack([G_J[0, 0, :], G_J[1, 1, :]]), G_J[:, 2, :]
    chi = xp.astype(g.inside, dtype)
    unit = focal / z  # f / t_z
    grad_xy = unit * (points - chi * G_last / z)
    grad_z = -xp.sum(g.t[:2, :] / z * points * unit + unit / z * G_diagonal, axis=0)
    grad_z = grad_z + xp.sum((1 + chi) * g.slopes * G_last * unit / z, axis=0)
    grad_t = xp.concat([grad_xy, (grad_z + grad_depths)[None, :]])
    grad_means = xp.matmul(xp.matrix_transpose(g.view), grad_t)

    grad_log_scales = g.scales * xp.sum(g.rotations * G_M, axis=0)
    G_R = G_M * g.scales
    if grad_rotations is not None:
        G_R = G_R + xp.moveaxis(grad_rotations, 0, 2)
    gradients = grad_means, grad_log_scales, _rotation_pullback(g.quaternions, G_R)
    return tuple(xp.matrix_transpose(gradient) for gradient in gradients)


def surface_normals(p: Projection) -> tuple[Array, Array]:
    """Return the shortest axis of each Gaussian, turned towards the camera.

    Returns
    -------
    normals : array, shape (N, 3)
        Unit vectors in world coordinates.
    selector : array, shape (N, 3)
        The sign of the chosen column of R, and zero for the other two.
    """
    means, log_scales, quaternions = p.inputs
    xp = namespace(log_scales)
    order = xp.argsort(log_scales, axis=1)[:, :1]
    chosen = xp.astype(xp.arange(3)[None, :] == order, log_scales.dtype)
    axis = xp.sum(rotation_matrices(quaternions) * chosen[:, None, :], axis=-1)
    position = xp.asarray(p.camera.position, dtype=means.dtype)
    away = xp.vecdot(axis, means - position) > 0
    sign = xp.where(away, -xp.ones_like(p.depths), xp.ones_like(p.depths))
    return axis * sign[:, None], chosen * sign[:, None]


def normals_pullback(selector: Array, grad: Array) -> Array:
    """Return the gradient (N, 3, 3) with respect to the rotation matrices."""
    return grad[:, :, None] * selector[:, None, :]
