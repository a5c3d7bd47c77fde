"""Arrays whose operations are being recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.extend import Box

from gaussbook.autodiff import elementwise, linalg, shaping
from gaussbook.autodiff.names import traced_namespace
from gaussbook.autodiff.tracing import plain, plain_namespace, register

__all__ = ["TracedArray"]


class TracedArray(Box):
    """An array whose operations are being recorded, with the operators of an array."""

    __slots__ = ()
    is_traced = True  # for `gaussbook.arrays.namespace`, which must not import this package
    __array_ufunc__ = None  # NumPy arrays then leave mixed arithmetic to this class

    def __array__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(
            "a traced array cannot become a NumPy array: use the functions of gaussbook.autodiff, "
            "or stop_gradient where no gradient is wanted"
        )

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return traced_namespace(plain_namespace(self))

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        return len(self._value)

    def __float__(self) -> float:
        raise TypeError("a traced array has no float: use stop_gradient to look at its value")

    __int__ = __index__ = __float__

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._value.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._value.size

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self._value.dtype

    @property
    def device(self) -> Any:
        """Where the values are."""
        return self._value.device

    @property
    def mT(self) -> TracedArray:
        """The matrices, transposed."""
        return shaping.matrix_transpose(self)

    __getitem__ = shaping.getitem

    def __pos__(self) -> TracedArray:
        return self

    __neg__, __abs__ = elementwise.negative, elementwise.abs
    __add__, __sub__ = elementwise.add, elementwise.subtract
    __mul__, __truediv__ = elementwise.multiply, elementwise.divide
    __pow__, __matmul__ = elementwise.power, linalg.matmul

    def __radd__(self, other: Any) -> TracedArray:
        return elementwise.add(other, self)

    def __rsub__(self, other: Any) -> TracedArray:
        return elementwise.subtract(other, self)

    def __rmul__(self, other: Any) -> TracedArray:
        return elementwise.multiply(other, self)

    def __rtruediv__(self, other: Any) -> TracedArray:
        return elementwise.divide(other, self)

    def __rpow__(self, other: Any) -> TracedArray:
        return elementwise.power(other, self)

    def __rmatmul__(self, other: Any) -> TracedArray:
        return linalg.matmul(other, self)

    def __eq__(self, other: Any) -> Any:
        return plain(self) == plain(other)

    def __ne__(self, other: Any) -> Any:
        return plain(self) != plain(other)

    def __lt__(self, other: Any) -> Any:
        return plain(self) < plain(other)

    def __le__(self, other: Any) -> Any:
        return plain(self) <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return plain(self) > plain(other)

    def __ge__(self, other: Any) -> Any:
        return plain(self) >= plain(other)


for _kind in (np.ndarray, np.float16, np.float32, np.float64, np.longdouble):
    register(_kind, TracedArray)
