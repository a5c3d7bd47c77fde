r"""Draws of Gaussian processes: exact, and on grids by the Fourier transform.

On a regular grid the covariance matrix of a stationary process is the corner of a circulant matrix
of some order :math:`m`, whose eigenvectors are the Fourier modes and whose eigenvalues
:math:`\lambda_j` are the transform of its first row :math:`r(\min(k, m - k)\,h)`.  From complex
white noise :math:`z`,

.. math:: y_k = \sum_j \sqrt{\lambda_j / m}\; z_j\, e^{-2\pi i jk/m}

has real and imaginary parts that are two independent paths (Dietrich and Newsam, *SIAM J. Sci.
Comput.* 18, 1997).
"""

from __future__ import annotations

from collections.abc import Callable

from gaussbook.arrays import Array, Generator, namespace
from gaussbook.validation import check_array, check_integer, check_scalar, try_cholesky

__all__ = [
    "circulant_embedding",
    "covariance_root",
    "sample_gaussian",
]


def sample_gaussian(
    mean: Array, covariance: Array, n: int, rng: Generator, *, scale: float | None = None
) -> Array:
    """Draw from multivariate normal distributions, also from degenerate ones.

    Parameters
    ----------
    mean : array, shape (m,) or that of a batch, (..., m)
        The means.
    covariance : array, shape (..., m, m)
        The covariances, one or a batch; they may be singular, or zero.
    n : int
        Number of draws from each.
    rng : Generator
        Source of the noise.
    scale : float, optional
        The variance whose rounding the covariances carry: that of the prior, where they are a
        posterior's.  Their own largest variances if not given.

    Returns
    -------
    array, shape (n, ..., m)
        The draws; ``m**3 / 3 + 2 * n * m**2`` flops for each covariance, and some ``10 * m**3``
        more where one has no Cholesky factor and eigenvectors serve instead.

    Raises
    ------
    ValueError
        If the shapes do not fit, or an eigenvalue of a covariance lies farther below zero than
        rounding explains: 1e-8 of the scale (in single precision 1e-4).
    """
    n = check_integer("n", n, at_least=1)
    covariance = check_array("covariance", covariance)
    if covariance.ndim < 2 or covariance.shape[-1] != covariance.shape[-2]:
        raise ValueError(f"covariance must be square, got shape {tuple(covariance.shape)}")
    root = covariance_root(covariance, scale)
    mean = check_array("mean", mean)
    if tuple(mean.shape) not in {tuple(root.shape[-1:]), tuple(root.shape[:-1])}:
        raise ValueError(f"mean must have shape {tuple(root.shape[:-1])}, got {tuple(mean.shape)}")
    xp = namespace(root, mean)
    noise = _checked(rng).standard_normal((*root.shape[:-2], n, root.shape[-1]))
    return mean + xp.moveaxis(noise @ xp.matrix_transpose(root), -2, 0)


def covariance_root(covariance: Array, scale: float | None = None) -> Array:
    r"""Return matrices :math:`R` with :math:`RR^\top` a covariance, also a degenerate one.

    Parameters
    ----------
    covariance : array, shape (..., m, m)
        The covariances.
    scale : float, optional
        As for `sample_gaussian`.

    Returns
    -------
    array, shape (..., m, m)
        The Cholesky factors, or, where one matrix has none, eigenvectors times the roots of their
        eigenvalues; what rounding has left below zero is zero.

    Raises
    ------
    ValueError
        If an eigenvalue lies farther below zero than rounding explains.
    """
    root = try_cholesky(covariance)
    if root is not None:
        return root
    xp = namespace(covariance)
    values, vectors = xp.linalg.eigh(covariance)
    if scale is None:
        size = xp.max(xp.abs(xp.linalg.diagonal(covariance)), axis=-1, keepdims=True)
    else:
        scale = check_scalar("scale", scale, above=0)
        size = xp.full_like(values[..., :1], scale)
    rounding = 1e-8 if covariance.dtype == xp.float64 else 1e-4
    if bool(xp.any(values < -rounding * size)):
        smallest = float(xp.min(values))
        raise ValueError(f"covariance is not positive semidefinite (eigenvalue {smallest:.3g})")
    return vectors * xp.sqrt(xp.where(values > 0, values, 0.0))[..., None, :]


def _checked(rng: Generator) -> Generator:
    if not callable(getattr(rng, "standard_normal", None)):
        raise ValueError(f"rng must be a gaussbook.arrays.Generator, got {type(rng).__name__}")
    return rng


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
    r"""Draw stationary Gaussian paths on a regular grid, by one Fourier transform for each pair.

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
        The paths, float64; about :math:`5 m \log_2 m` flops and :math:`48 m` bytes for each pair.

    Raises
    ------
    ValueError
        If an argument is out of range, or the circulant matrix has a larger negative part than
        `tolerance`: the function is not a covariance, or needs a longer circle.
    """
    n = check_integer("n", n, at_least=1)
    paths = check_integer("paths", paths, at_least=1)
    step = check_scalar("step", step, above=0)
    length = 1 << max(2 * n - 3, 0).bit_length() if length is None else length
    length = check_integer("length", length, at_least=n)
    if not callable(covariance):
        raise ValueError(f"covariance must be a function, got {type(covariance).__name__}")
    pairs = ((paths + 1) // 2, length)
    noise = _checked(rng).standard_normal(pairs) + 1j * rng.standard_normal(pairs)
    xp = namespace(noise)
    half_row = covariance(step * xp.arange(length // 2 + 1, dtype=xp.float64))
    eigenvalues = _circulant_eigenvalues(half_row, length, tolerance)
    y = xp.fft.fft(xp.sqrt(eigenvalues / length) * noise, axis=-1)[:, :n]
    return xp.concat([xp.real(y), xp.imag(y)], axis=0)[:paths, :]


def _circulant_eigenvalues(half_row: Array, length: int, tolerance: float) -> Array:
    """Return the eigenvalues of a symmetric circulant matrix from the first half of its row."""
    half_row = check_array("covariance", half_row, shape=(length // 2 + 1,))
    tolerance = check_scalar("tolerance", tolerance, at_least=0)
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
