"""The Voronoi loss between mixing measures of experts."""

from __future__ import annotations

from gaussbook.arrays import Array, namespace
from gaussbook.experts.model import Experts
from gaussbook.validation import check_integer

__all__ = ["voronoi_loss"]


def voronoi_loss(
    experts: Experts,
    truth: Experts,
    *,
    n_active: int | None = None,
    exponents: tuple[int, ...] = (1, 4, 6),
) -> Array:
    r"""Return the Voronoi loss between fitted and true mixing measures.

    Each fitted expert belongs to the cell :math:`C_j` of the nearest true one, in the Euclidean
    distance of :math:`(\beta_1,a,b,\sigma)`.  With :math:`\omega=e^{\beta_0/\tau}` and
    :math:`m=|C_j|`, a cell loses

    .. math::
        D_j=\Bigl|\sum_{i\in C_j}\omega_i-\omega_j^*\Bigr|+\sum_{i\in C_j}\omega_i
        \bigl(|\Delta\beta_1|^{\bar r}+|\Delta b|^{\bar r}+|\Delta a|^{\bar r/2}
        +|\Delta\sigma|^{\bar r/2}\bigr),\qquad \bar r=\bar r(m)

    where all powers are 1 for m = 1, and the loss is the largest sum over K of the cells.

    Parameters
    ----------
    experts : Experts
        The estimates, in the same convention for the gate as `truth` (`Experts.relative_to`).
    truth : Experts
        The true parameters: B replications, or one for all.
    n_active : int, optional
        K; all true experts if not given.
    exponents : tuple of int
        :math:`\bar r(1),\bar r(2),\dots`

    Returns
    -------
    array, shape (B,)
        The losses.

    Raises
    ------
    ValueError
        If the inputs' dimensions differ, `n_active` is out of range, or a cell has more members
        than there are `exponents`.

    Notes
    -----
    Nguyen, Nguyen and Ho (2023), arXiv:2305.03288, for the dense softmax; Nguyen et al. (2024),
    arXiv:2309.13850, for top-K.
    """
    B, _, d = experts.shape
    if truth.shape[2] != d or truth.shape[0] not in (1, B):
        raise ValueError(f"truth has shape {truth.shape}, experts {experts.shape}")
    k_true = truth.shape[1]
    K = k_true if n_active is None else n_active
    K = check_integer("n_active", K, at_least=1, at_most=k_true)
    xp = namespace(experts.beta1, truth.beta1)
    gaps = {
        name: xp.abs(getattr(experts, name)[:, :, None] - getattr(truth, name)[:, None, :])
        for name in ("b", "sigma")
    }
    for name in ("beta1", "a"):
        gap = getattr(experts, name)[:, :, None, :] - getattr(truth, name)[:, None, :, :]
        gaps[name] = xp.linalg.vector_norm(gap, axis=-1)
    nearest = xp.argmin(sum(gap**2 for gap in gaps.values()), axis=2)
    member = xp.astype(nearest[:, :, None] == xp.arange(k_true), experts.b.dtype)
    size = xp.sum(member, axis=1)
    if int(xp.max(size)) > len(exponents):
        raise ValueError(f"exponents has no entry for a cell of {int(xp.max(size))} experts")
    omega = xp.exp(experts.beta0 / experts.tau[:, None])
    omega_true = xp.exp(truth.beta0 / truth.tau[:, None])
    loss = xp.abs(xp.sum(member * omega[:, :, None], axis=1) - omega_true)
    for m, r in enumerate(exponents, start=1):
        fast = r / 2 if m > 1 else 1
        slow = r if m > 1 else 1
        each = gaps["beta1"] ** slow + gaps["b"] ** slow + gaps["a"] ** fast + gaps["sigma"] ** fast
        of_cell = xp.sum(member * omega[:, :, None] * each, axis=1)
        loss = loss + xp.where(size == m, of_cell, 0.0)
    return xp.sum(xp.sort(loss, axis=1, descending=True)[:, :K], axis=1)
