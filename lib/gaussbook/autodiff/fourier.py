r"""Discrete Fourier transforms inside real-valued functions.

A complex array is differentiated as the pair of its real and imaginary part: the gradient of a
real function f by :math:`z=a+ib` is :math:`\partial f/\partial a+i\,\partial f/\partial b`.
Sums, differences and products of complex arrays follow; other functions of them do not.
"""

from __future__ import annotations

from gaussbook.arrays import Array
from gaussbook.autodiff.elementwise import multiply
from gaussbook.autodiff.engine import defvjp, plain, plain_namespace, primitive
from gaussbook.autodiff.shaping import concat

__all__ = ["conj", "fft", "ifft", "imag", "irfft", "real", "rfft"]


@primitive
def real(x: Array) -> Array:
    """Return the real parts of a complex array."""
    return plain_namespace(x).real(x)


@primitive
def imag(x: Array) -> Array:
    """Return the imaginary parts of a complex array."""
    return plain_namespace(x).imag(x)


@primitive
def conj(x: Array) -> Array:
    """Return the complex conjugates."""
    return plain_namespace(x).conj(x)


defvjp(real, lambda ans, x: lambda g: _as_complex(g))
defvjp(imag, lambda ans, x: lambda g: 1j * _as_complex(g))
defvjp(conj, lambda ans, x: lambda g: conj(g))


@primitive
def _as_complex(x: Array) -> Array:
    xp = plain_namespace(x)
    return xp.astype(x, xp.complex64 if x.dtype == xp.float32 else xp.complex128)


defvjp(_as_complex, lambda ans, x: lambda g: real(g))


@primitive
def fft(x: Array) -> Array:
    r"""Return :math:`y_k=\sum_t x_t e^{-2\pi ikt/n}` along the last axis of a complex array."""
    return plain_namespace(x).fft.fft(x, axis=-1)


@primitive
def ifft(x: Array) -> Array:
    r"""Return :math:`y_t=\frac1n\sum_k x_k e^{2\pi ikt/n}` along the last axis (complex)."""
    return plain_namespace(x).fft.ifft(x, axis=-1)


defvjp(fft, lambda ans, x: lambda g: x.shape[-1] * ifft(g))
defvjp(ifft, lambda ans, x: lambda g: (1 / x.shape[-1]) * fft(g))


@primitive
def rfft(x: Array) -> Array:
    """Return the first n // 2 + 1 elements of the transform of a real array's last axis (n)."""
    return plain_namespace(x).fft.rfft(x, axis=-1)


def _rfft_vjp(ans: Array, x: Array):
    n = x.shape[-1]

    def pull(g: Array) -> Array:
        zeros = plain_namespace(g).zeros((*g.shape[:-1], n - g.shape[-1]), dtype=plain(g).dtype)
        return n * real(ifft(concat([g, zeros], axis=-1)))

    return pull


defvjp(rfft, _rfft_vjp)


@primitive
def irfft(x: Array, n: int | None = None) -> Array:
    """Return the real array of length `n` (2 (m - 1) if not given) with the half transform x.

    Parameters
    ----------
    x : complex array, shape (..., m)
        The first ``n // 2 + 1`` elements of the transform.
    n : int, optional
        Length of the result.

    Raises
    ------
    ValueError
        If `n` does not belong to m elements.
    """
    m = x.shape[-1]
    if n is not None and n // 2 + 1 != m:
        raise ValueError(f"n must be {2 * m - 2} or {2 * m - 1} for {m} elements, got {n}")
    return plain_namespace(x).fft.irfft(x, n=n, axis=-1)


def _irfft_vjp(ans: Array, x: Array, n: int | None = None):
    n, m = ans.shape[-1], x.shape[-1]
    xp = plain_namespace(x)
    # Each inner frequency stands for itself and its mirror image.
    k = xp.arange(m, dtype=plain(ans).dtype)
    weights = xp.where((k == 0) | (2 * k == n), xp.ones_like(k), 2 * xp.ones_like(k)) / n
    return lambda g: multiply(_as_complex(weights), rfft(g))


defvjp(irfft, _irfft_vjp)
