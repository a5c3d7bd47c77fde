"""Colours that depend on the direction of view: real spherical harmonics of degree 0 to 3."""

from __future__ import annotations

from gaussbook.arrays import Array, namespace
from gaussbook.validation import check_array

__all__ = ["SH_C0", "colors_from_sh", "colors_from_sh_pullback", "rgb_to_sh", "sh_basis"]

SH_C0 = 0.28209479177387814  # Y_0
_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154)
_C3_5 = 1.445305721320277


def rgb_to_sh(rgb: Array) -> Array:
    """Return the coefficient of degree 0 that shows the colour `rgb` from all sides."""
    return (check_array("rgb", rgb, nonempty=False) - 0.5) / SH_C0


def sh_basis(directions: Array, degree: int) -> tuple[Array, Array]:
    r"""Return the real spherical harmonics and their gradients.

    Parameters
    ----------
    directions : array, shape (N, 3)
        Unit vectors :math:`\hat r`.
    degree : int
        0 to 3.

    Returns
    -------
    values : array, shape (N, (degree + 1)**2)
        :math:`Y_k(\hat r)`.
    gradients : array, shape (N, (degree + 1)**2, 3)
        Derivatives of the polynomials :math:`Y_k(x, y, z)`.
    """
    xp = namespace(directions)
    x, y, z = directions[:, 0], directions[:, 1], directions[:, 2]
    one, zero = xp.ones_like(x), xp.zeros_like(x)
    terms = [(SH_C0 * one, zero, zero, zero)]
    if degree >= 1:
        terms += [
            (-_C1 * y, zero, -_C1 * one, zero),
            (_C1 * z, zero, zero, _C1 * one),
            (-_C1 * x, -_C1 * one, zero, zero),
        ]
    if degree >= 2:
        terms += _degree_two(x, y, z, zero)
    if degree >= 3:
        terms += _degree_three(x, y, z)
    values = xp.stack([term[0] for term in terms], axis=-1)
    gradients = xp.stack([xp.stack(term[1:], axis=-1) for term in terms], axis=1)
    return values, gradients


def _degree_two(x: Array, y: Array, z: Array, zero: Array) -> list[tuple[Array, ...]]:
    a, b, c = _C2
    return [
        (a * x * y, a * y, a * x, zero),
        (-a * y * z, zero, -a * z, -a * y),
        (b * (2 * z * z - x * x - y * y), -2 * b * x, -2 * b * y, 4 * b * z),
        (-a * x * z, -a * z, zero, -a * x),
        (c * (x * x - y * y), 2 * c * x, -2 * c * y, zero),
    ]


def _degree_three(x: Array, y: Array, z: Array) -> list[tuple[Array, ...]]:
    a, b, c, d = _C3
    e = _C3_5
    xx, yy, zz = x * x, y * y, z * z
    xy, xz, yz = x * y, x * z, y * z
    return [
        (-a * y * (3 * xx - yy), -6 * a * xy, -3 * a * (xx - yy), 0 * x),
        (b * xy * z, b * yz, b * xz, b * xy),
        (-c * y * (4 * zz - xx - yy), 2 * c * xy, -c * (4 * zz - xx - 3 * yy), -8 * c * yz),
        (d * z * (2 * zz - 3 * xx - 3 * yy), -6 * d * xz, -6 * d * yz, 3 * d * (2 * zz - xx - yy)),
        (-c * x * (4 * zz - xx - yy), -c * (4 * zz - 3 * xx - yy), 2 * c * xy, -8 * c * xz),
        (e * z * (xx - yy), 2 * e * xz, -2 * e * yz, e * (xx - yy)),
        (-a * x * (xx - 3 * yy), -3 * a * (xx - yy), 6 * a * xy, 0 * x),
    ]


def colors_from_sh(
    coefficients: Array, offsets: Array, degree: int
) -> tuple[Array, tuple[Array, ...]]:
    r"""Evaluate :math:`c = \max(0, \tfrac12 + \sum_k Y_k(\hat r) k_k)`.

    Parameters
    ----------
    coefficients : array, shape (N, K, 3)
        At least ``(degree + 1)**2`` coefficients for each Gaussian and channel; those of higher
        degree are not used.
    offsets : array, shape (N, 3)
        From the camera to the Gaussians; only the direction counts.
    degree : int
        0 to 3.

    Returns
    -------
    colors : array, shape (N, 3)
    cache : tuple
        For `colors_from_sh_pullback`.
    """
    xp = namespace(coefficients, offsets)
    n_used = (degree + 1) ** 2
    length = xp.sqrt(xp.sum(offsets**2, axis=-1, keepdims=True))
    length = xp.where(length > 0, length, xp.ones_like(length))
    directions = offsets / length
    values, gradients = sh_basis(directions, degree)
    used = coefficients[:, :n_used, :]
    raw = 0.5 + xp.matmul(values[:, None, :], used)[:, 0, :]
    lit = raw > 0
    cache = (coefficients, directions, length, values, gradients, lit)
    return xp.where(lit, raw, xp.zeros_like(raw)), cache


def colors_from_sh_pullback(cache: tuple[Array, ...], grad: Array) -> tuple[Array, Array]:
    r"""Return the gradients with respect to the coefficients and the offsets.

    Parameters
    ----------
    cache : tuple
        From `colors_from_sh`.
    grad : array, shape (N, 3)
        Gradient with respect to the colours.

    Returns
    -------
    grad_coefficients : array, shape (N, K, 3)
        :math:`Y_k g`, zero where the colour is clamped or the degree was not used.
    grad_offsets : array, shape (N, 3)
        :math:`(I - \hat r\hat r^T) / |r| \; \partial L/\partial\hat r`.
    """
    coefficients, directions, length, values, gradients, lit = cache
    xp = namespace(grad)
    grad = xp.where(lit, grad, xp.zeros_like(grad))
    n_used = values.shape[1]
    grad_used = values[:, :, None] * grad[:, None, :]
    if n_used < coefficients.shape[1]:
        rest = xp.zeros_like(coefficients[:, n_used:, :])
        grad_coefficients = xp.concat([grad_used, rest], axis=1)
    else:
        grad_coefficients = grad_used
    if n_used == 1:
        return grad_coefficients, xp.zeros_like(directions)
    by_basis = xp.matmul(coefficients[:, :n_used, :], grad[:, :, None])  # (N, K, 1)
    grad_direction = xp.sum(by_basis * gradients, axis=1)
    along = xp.sum(grad_direction * directions, axis=-1, keepdims=True)
    return grad_coefficients, (grad_direction - along * directions) / length
