"""The namespace of traced arrays: `xp = namespace(x)` differentiates without further ado."""

from __future__ import annotations

from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

from gaussbook.arrays import Array
from gaussbook.autodiff import elementwise, linalg, shaping
from gaussbook.autodiff.tracing import is_traced, plain

__all__ = ["traced_namespace"]

_FUNCTIONS = {
    name: getattr(module, name)
    for module in (elementwise, shaping, linalg)
    for name in module.__all__
}
_FUNCTIONS["pow"] = _FUNCTIONS.pop("power")
_FUNCTIONS["cumulative_sum"] = _FUNCTIONS["cumsum"]
_LINALG = ("cholesky", "diagonal", "inv", "matmul", "matrix_transpose", "slogdet", "solve", "trace")
# Constant almost everywhere, or of no interest to a derivative: computed on the plain arrays.
_CONSTANT = (
    "all any argmax argmin argsort ceil count_nonzero equal floor full_like greater greater_equal "
    "isfinite isinf isnan less less_equal logical_and logical_not logical_or nonzero not_equal "
    "ones_like result_type round sign zeros_like"
).split()


class TracedNamespace:
    """Functions of this package under the names of the array API; all else from the arrays' own.

    Parameters
    ----------
    xp : module
        The namespace of the plain arrays: its data types and creation functions are handed on.
    """

    def __init__(self, xp: ModuleType):
        self._xp = xp
        self.linalg = SimpleNamespace(**{name: _FUNCTIONS[name] for name in _LINALG})

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        found = getattr(self._xp, name)
        if name not in _CONSTANT:
            return found
        return lambda *args, **kwargs: found(*map(plain, args), **kwargs)

    def asarray(self, x: Array, **options: Any) -> Array:
        """Return traced arrays as they are, and make plain ones of everything else."""
        return x if is_traced(x) else self._xp.asarray(x, **options)

    @property
    def __name__(self) -> str:
        return f"traced {self._xp.__name__}"


@cache
def traced_namespace(xp: ModuleType) -> TracedNamespace:
    """Return the namespace of traced arrays whose values belong to the namespace `xp`."""
    return TracedNamespace(xp)
