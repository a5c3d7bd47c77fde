"""How the CUDA kernels of ``kernels/mixture.cu`` are called: layout, grid and arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gaussbook.arrays import Array, namespace

__all__ = ["LARGEST_KERNEL_DIMENSION", "Launch", "posterior_launch"]

LARGEST_KERNEL_DIMENSION = 64  # beyond it a matrix product library does the arithmetic better

_THREADS = 128
_POINTS = 4  # as in mixture.cu


class Launch(NamedTuple):
    """A kernel call that is ready to be made.

    Attributes
    ----------
    kernel : str
        Name of the ``extern "C"`` function.
    grid, block : tuple of int
        Numbers of blocks, and of threads in a block.
    arguments : tuple
        Arrays and NumPy scalars, as `cupy.RawKernel` takes them.
    results : tuple of array
        Those of the arguments that the kernel fills.
    """

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: tuple[Any, ...]
    results: tuple[Array, ...]


def posterior_launch(
    x: Array, log_constants: Array, means: Array, precision_factors: Array
) -> Launch:
    r"""Prepare log-likelihoods and responsibilities of all points as one kernel call.

    Parameters
    ----------
    x : array, shape (n, d)
        Points, float32 or float64.
    log_constants : array, shape (K,)
        Log-densities of the components at their means, plus the logarithms of their weights.
    means : array, shape (K, d)
        Means, of the type of `x`.
    precision_factors : array, shape (K, d) or (K, d, d)
        :math:`1/\sigma_k`, or the upper triangular :math:`P_k` with
        :math:`P_kP_k^\top=\Sigma_k^{-1}`.

    Returns
    -------
    Launch
        With results of shapes (n,) and (n, K).

    Notes
    -----
    For full covariances :math:`nK(d^2+2d)` floating-point operations, for diagonal ones
    :math:`3nKd`, besides ``2 n K`` exponentials; ``n (d + 3 K + 1)`` numbers moved (the
    log-densities wait in the place of the responsibilities until their sum is known).
    """
    xp = namespace(x)
    n, d = x.shape
    n_components = means.shape[0]
    if precision_factors.ndim == 2:
        shape, factors = "diagonal", xp.matrix_transpose(precision_factors)
    else:
        shape, factors = "full", xp.permute_dims(precision_factors, (1, 2, 0))
    lanes = min(32, 1 << (n_components - 1).bit_length())
    points_per_block = _THREADS // lanes * _POINTS
    log_likelihood = xp.empty(n, dtype=x.dtype)
    responsibilities = xp.empty((n, n_components), dtype=x.dtype)
    inputs = (x, log_constants, xp.matrix_transpose(means), factors)
    return Launch(
        kernel=f"posterior_{shape}_float{32 if x.dtype == xp.float32 else 64}",
        grid=(-(-n // points_per_block),),
        block=(_THREADS,),
        arguments=(
            *map(xp.ascontiguousarray, inputs),
            log_likelihood,
            responsibilities,
            np.int64(n),
            np.int32(d),
            np.int32(n_components),
            np.int32(lanes),
        ),
        results=(log_likelihood, responsibilities),
    )
