"""Gaussians in the ``.ply`` files that viewers of splats read and write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gaussbook.arrays import Array, to_device, to_host
from gaussbook.splatting.spherical_harmonics import rgb_to_sh
from gaussbook.validation import check_array

__all__ = ["read_ply", "write_ply"]

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_COLUMNS = {"means": 3, "log_scales": 3, "quaternions": 4}
_N_COEFFICIENTS = (1, 4, 9, 16)  # of the harmonics up to degree 0, 1, 2, 3
_END = b"end_header"
_LINE_ENDS = (b"\r\n", b"\n", b"\r")  # of all lines of a header
_LONGEST_HEADER = 1 << 16


def _names(n_rest: int) -> list[str]:
    """Return the properties in the order of the reference viewer."""
    return [
        *("x", "y", "z", "nx", "ny", "nz"),
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(n_rest)),
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]


def write_ply(path: str | os.PathLike, parameters: Mapping[str, Array]) -> None:
    """Write Gaussians as a binary ``.ply`` file, as the reference implementation does.

    Parameters
    ----------
    path : path
        The file, which is overwritten.
    parameters : mapping of str to array
        As `render` takes them: ``means`` (N, 3), ``log_scales`` (N, 3), ``quaternions`` (N, 4),
        ``opacity_logits`` (N,) and either ``sh`` (N, (degree + 1)**2, 3) or ``colors`` (N, 3),
        which are written as harmonics of degree 0.  What else there is (``background``, say) has no
        place in the file and is refused.

    Raises
    ------
    ValueError
        If an array is missing, has the wrong shape, is not finite, even in single precision, or has
        no place in the file; or if `path` cannot be written.
    """
    table = _table(_checked(parameters))
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {table.shape[0]}",
        *(f"property float {name}" for name in _names(table.shape[1] - 17)),
    ]
    content = "\n".join(header).encode() + b"\n" + _END + b"\n" + table.tobytes()
    try:
        Path(path).write_bytes(content)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"path {path!r} cannot be written: {error}") from error


def _checked(parameters: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """Return what goes into the file, in single precision on the host."""
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters must be a mapping, got {type(parameters).__name__}")
    wanted = {*_COLUMNS, "opacity_logits", "sh" if "sh" in parameters else "colors"}
    missing, unknown = sorted(wanted - set(parameters)), sorted(map(str, set(parameters) - wanted))
    if missing or unknown:
        raise ValueError(f"parameters must not hold {unknown} here, and lacks {missing}")
    n = check_array("parameters['means']", parameters["means"], shape=(None, 3)).shape[0]
    shapes = {name: (n, k) for name, k in _COLUMNS.items()}
    shapes |= {"opacity_logits": (n,), "sh": (n, None, 3), "colors": (n, 3)}
    checked = {}
    for name in wanted:
        value = check_array(f"parameters[{name!r}]", parameters[name], shape=shapes[name])
        value = to_host(value)
        key = "sh" if name == "colors" else name
        if name == "colors":
            value = rgb_to_sh(value)[:, None, :]
        with np.errstate(over="ignore"):  # the next check says it
            value = value.astype(np.float32)
        checked[key] = check_array(f"parameters[{name!r}]", value)
    if checked["sh"].shape[1] not in _N_COEFFICIENTS:
        raise ValueError("parameters['sh'] must have shape (N, 1 | 4 | 9 | 16, 3)")
    return checked


def _table(p: dict[str, np.ndarray]) -> np.ndarray:
    """Return one row for each Gaussian; the higher harmonics are written channel by channel."""
    n = p["means"].shape[0]
    rest = p["sh"][:, 1:].transpose(0, 2, 1).reshape(n, -1)
    columns = [
        *(p["means"], np.zeros((n, 3)), p["sh"][:, 0], rest),
        *(p["opacity_logits"][:, None], p["log_scales"], p["quaternions"]),
    ]
    return np.concatenate(columns, axis=1).astype("<f4")


def read_ply(path: str | os.PathLike) -> dict[str, Array]:
    """Read Gaussians from a binary ``.ply`` file.

    Parameters
    ----------
    path : path
        The file.  Its properties may come in any order and of any type of number; those that are
        not needed (the normals, say) are passed over.

    Returns
    -------
    dict of str to array
        ``means``, ``log_scales``, ``quaternions``, ``opacity_logits`` and ``sh``, for `render`; in
        single precision, on the default backend.

    Raises
    ------
    ValueError
        If the file is missing, no binary ``.ply`` file of Gaussians, or shorter than it says.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"path {path!r} cannot be read: {error}") from error
    line_end = next((e for e in _LINE_ENDS if content.startswith(b"ply" + e)), b"")
    last = line_end + _END + line_end
    end = content.find(last, 0, _LONGEST_HEADER)
    if not line_end or end < 0:
        raise ValueError(f"path {path!r} is no .ply file: it has no header")
    n, dtype = _header(path, content[:end].decode("ascii", "replace"))
    start = end + len(last)
    if len(content) - start < n * dtype.itemsize:
        raise ValueError(
            f"path {path!r} is truncated: {n} Gaussians are {n * dtype.itemsize} bytes, "
            f"{len(content) - start} follow the header"
        )
    rows = np.frombuffer(content, dtype, count=n, offset=start)
    n_rest = sum(name.startswith("f_rest_") for name in dtype.names)
    if n_rest // 3 + 1 not in _N_COEFFICIENTS or n_rest % 3:
        raise ValueError(f"path {path!r} holds {n_rest} properties f_rest, not 0, 9, 24 or 45")
    names = [name for name in _names(n_rest) if name not in ("nx", "ny", "nz")]
    missing = [name for name in names if name not in dtype.names]
    if missing:
        raise ValueError(f"path {path!r} lacks the properties {', '.join(missing)}")
    table = np.stack([rows[name].astype(np.float32) for name in names], axis=1)
    if not np.all(np.isfinite(table)):
        raise ValueError(f"path {path!r} holds NaN or infinite values")
    return {name: to_device(value) for name, value in _parameters(table, n_rest).items()}


def _header(path: str | os.PathLike, header: str) -> tuple[int, np.dtype]:
    """Return the number of Gaussians and the layout of one."""
    n, fields, elements = None, [], 0
    for line in header.splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            if words[1:2] != ["binary_little_endian"]:
                raise ValueError(f"path {path!r} must be binary_little_endian, has {line!r}")
        elif words[0] == "element":
            elements += 1
            if elements == 1 and (words[1:2] != ["vertex"] or len(words) != 3):
                raise ValueError(f"path {path!r} must begin with vertices, has {line!r}")
            if elements == 1:
                n = int(words[2]) if words[2].isdecimal() else 0
        elif words[0] == "property" and elements == 1:
            if len(words) != 3 or words[1] not in _TYPES or words[2] in dict(fields):
                raise ValueError(f"path {path!r} has a property that is no number: {line!r}")
            fields.append((words[2], "<" + _TYPES[words[1]]))
        elif words[0] != "property":
            raise ValueError(f"path {path!r} has a header line that is unknown: {line!r}")
    if not n:
        raise ValueError(f"path {path!r} holds no vertices")
    return n, np.dtype(fields)


def _parameters(table: np.ndarray, n_rest: int) -> dict[str, np.ndarray]:
    n = table.shape[0]
    ends = np.cumsum([3, 3, n_rest, 1, 3, 4])[:-1]
    means, dc, rest, opacity, scales, quaternions = np.split(table, ends, axis=1)
    rest = rest.reshape(n, 3, n_rest // 3).transpose(0, 2, 1)
    parts = {
        "means": means,
        "log_scales": scales,
        "quaternions": quaternions,
        "opacity_logits": opacity[:, 0],
        "sh": np.concatenate([dc[:, None, :], rest], axis=1),
    }
    return {name: np.ascontiguousarray(value) for name, value in parts.items()}
