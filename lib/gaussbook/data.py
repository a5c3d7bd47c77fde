"""Real data by name: what the libraries bundle, without a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gaussbook.validation import check_choice

__all__ = ["TABLES", "Table", "table"]

TABLES = ("breast_cancer", "diabetes", "digits", "iris", "wine")


@dataclass(frozen=True)
class Table:
    """A data set of rows: `data` (n, d) float64, `target` (n,), and the names of both."""

    data: np.ndarray
    target: np.ndarray
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]


def table(name: str) -> Table:
    """Load one of scikit-learn's bundled tables.

    Parameters
    ----------
    name : str
        One of `TABLES`.

    Returns
    -------
    Table
        The rows on the host; move them with `gaussbook.arrays.to_device`.

    Raises
    ------
    ValueError
        If no table has that name.
    """
    import sklearn.datasets

    check_choice("name", name, TABLES)
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return Table(
        data=np.asarray(bunch.data, dtype=np.float64),
        target=np.asarray(bunch.target),
        feature_names=tuple(map(str, bunch.feature_names)),
        target_names=tuple(map(str, bunch.get("target_names", ()))),
    )
