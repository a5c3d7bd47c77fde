"""Draws of Gaussian processes: stationary paths by the fast Fourier transform."""

from __future__ import annotations

from collections.abc import Callable

from gaussbook.arrays import Array, Generator, namespace
from gaussbook.validation import check_array, check_integer, check_scalar

__all__ = ["circulant_embedding"]


def circulant_embedding(
    covariance: Callable[[Array], Array],
    n: int,
    step: float,
    paths: int,
    rng: Generator,
    *,
    length: int | None = None,
    tolerance: float = 1e-8,
) -> Array:
    r"""Draw stationary Gaussian paths on a regular grid in :math:`O(m \log m)` each.

    The covariance matrix of the grid is the corner of a circulant matrix of order :math:`m`, which
    the Fourier transform diagonalises.  With its eigenvalues :math:`\lambda_j`, the transform of
    the first row :math:`r(\min(k, m - k)\,h)`, and complex white noise :math:`z`,

    .. math:: y_k = \sum_j \sqrt{\lambda_j / m}\; z_j\, e^{-2\pi i jk/m}

    has real and imaginary parts that are two independent paths (Dietrich and Newsam, *SIAM J. Sci.
    Comput.* 18, 1997).

    Parameters
    ----------
    covariance : callable
        The covariance function :math:`r`: maps an array of lags :math:`\ge 0` to their covariances.
    n : int
        Number of grid points.
    step : float
        Distance :math:`h` of neighbouring grid points, in the unit of the lags.
    paths : int
        Number of independent paths.
    rng : Generator
        Source of the noise; its draws decide the backend.
    length : int, optional
        Order :math:`m \ge n` of the circulant matrix.  From :math:`2(n - 1)` on, the smallest power
        of two of which is the default, all lags have exactly the covariance :math:`r`.  A
        shorter circle is cheaper: points :math:`k` steps apart then have the covariance
        :math:`r(\min(k, m - k)\,h)`, the same wherever :math:`r` has died out by lag
        :math:`(m - n) h`.
    tolerance : float
        Largest negative part of the spectrum, :math:`\sum_j \lambda_j^- / \sum_j |\lambda_j|`, that
        is taken for rounding and set to zero.

    Returns
    -------
    array, shape (paths, n)
        The paths, float64.

    Raises
    ------
    ValueError
        If an argument is out of range, or if the circulant matrix has a larger negative part
        than `tolerance`: the function is not a covariance, or needs a longer circle.

    Notes
    -----
    About :math:`5 m \log_2 m` flops for each pair of paths; 48 bytes of working memory for each of
    their :math:`m` points.
    """
    n = check_integer("n", n, at_least=1)
    step = check_scalar("step", step, above=0)
    paths = check_integer("paths", paths, at_least=1)
    if length is None:
        length = 1 << max(2 * n - 3, 0).bit_length()
    length = check_integer("length", length, at_least=n)
    tolerance = check_scalar("tolerance", tolerance, at_least=0)
    if not callable(getattr(rng, "standard_normal", None)):
        raise ValueError(f"rng must be a gaussbook.arrays.Generator, got {type(rng).__name__}")

    pairs = (paths + 1) // 2
    noise = rng.standard_normal((pairs, length)) + 1j * rng.standard_normal((pairs, length))
    xp = namespace(noise)
    lags = step * xp.arange(length // 2 + 1, dtype=xp.float64)
    eigenvalues = _circulant_eigenvalues(covariance(lags), length, tolerance)
    y = xp.fft.fft(xp.sqrt(eigenvalues / length) * noise, axis=-1)[:, :n]
    return xp.concat([xp.real(y), xp.imag(y)], axis=0)[:paths, :]


def _circulant_eigenvalues(half_row: Array, length: int, tolerance: float) -> Array:
    """Return the eigenvalues of a symmetric circulant matrix from the first half of its row."""
    half_row = check_array("covariance", half_row, shape=(length // 2 + 1,))
    xp = namespace(half_row)
    if not float(half_row[0]) > 0:
        raise ValueError(f"covariance must be positive at lag 0, got {float(half_row[0]):g}")
    eigenvalues = xp.fft.hfft(xp.astype(half_row, xp.complex128), n=length)
    zero = xp.zeros_like(eigenvalues)
    negative = float(xp.sum(xp.where(eigenvalues < 0, -eigenvalues, zero)))
    share = negative / float(xp.sum(xp.abs(eigenvalues)))
    if share > tolerance:
        raise ValueError(
            f"covariance has no circulant embedding of length {length}: a share {share:.2g} of its "
            f"spectrum is negative (tolerance {tolerance:g}); try a larger length"
        )
    return xp.where(eigenvalues < 0, zero, eigenvalues)
