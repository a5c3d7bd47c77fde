"""All pairs of a Gaussian and a pixel that it may reach, enumerated without a loop.

A Gaussian's footprint is an ellipse; the ellipse meets each row of pixels in one span of columns.
Pairs are enumerated Gaussian by Gaussian, row by row, column by column, so that sums over a
Gaussian are sums over contiguous stretches.
"""

from __future__ import annotations

from dataclasses import dataclass

from array_api_compat import is_numpy_array
from scipy import sparse

from gaussbook.arrays import Array, namespace
from gaussbook.splatting.segments import offsets_of, repeat, segment_sums, unsort

__all__ = ["Pairs", "PixelWeights", "enumerate_pairs", "span"]


@dataclass(eq=False)
class Pairs:
    """Pairs of Gaussians (numbered in order of depth) and pixels.

    Attributes
    ----------
    dx : array, shape (M,)
        Column of the pixel's centre minus that of the Gaussian's, in pixels.
    pixel : array of int, shape (M,)
        ``row * width + column``.
    dy : array, shape (R,)
        The same difference for the rows; R is the number of (Gaussian, row) spans.
    row_gaussian : array of int, shape (R,)
        The Gaussian of each span.
    row_lengths : array of int, shape (R,)
        Pairs in each span.
    row_counts : array of int, shape (V,)
        Spans of each Gaussian.
    """

    dx: Array
    pixel: Array
    dy: Array
    row_gaussian: Array
    row_lengths: Array
    row_counts: Array

    def __post_init__(self):
        self.row_offsets = offsets_of(self.row_lengths)
        self.gaussian_rows = offsets_of(self.row_counts)

    def __len__(self) -> int:
        return self.dx.shape[0]

    @property
    def n_gaussians(self) -> int:
        """Number of Gaussians."""
        return self.row_counts.shape[0]

    def spread(self, row_values: Array) -> Array:
        """Repeat a number of each span for all its pairs."""
        return repeat(row_values, self.row_lengths, self.row_offsets)

    def spread_gaussians(self, values: Array) -> Array:
        """Repeat a number of each Gaussian for all its pairs."""
        return self.spread(self.on_rows(values))

    def on_rows(self, values: Array) -> Array:
        """Repeat a number of each Gaussian for all its spans."""
        return namespace(values).take(values, self.row_gaussian, axis=0)

    def sum_rows(self, values: Array) -> Array:
        """Sum over the pairs of each span."""
        return segment_sums(values, self.row_offsets)

    def sum_gaussians(self, row_values: Array) -> Array:
        """Sum over the spans of each Gaussian."""
        return segment_sums(row_values, self.gaussian_rows)

    def compress(self, keep: Array) -> Pairs:
        """Return only the pairs in the mask `keep`."""
        xp = namespace(keep)
        lengths = segment_sums(xp.astype(keep, self.row_lengths.dtype), self.row_offsets)
        return Pairs(
            *(self.dx[keep], self.pixel[keep], self.dy, self.row_gaussian, lengths),
            self.row_counts,
        )


def enumerate_pairs(points: Array, reach: Array | None, width: int, height: int) -> Pairs:
    r"""Enumerate the pixels whose centres lie in each Gaussian's ellipse.

    The ellipse :math:`d^T K^{-1} d \le 1` about :math:`m` covers the rows with
    :math:`|d_y| \le \sqrt{K_{yy}}`, and in each of them the columns within
    :math:`\sqrt{(K_{xx} - K_{xy}^2/K_{yy})(1 - d_y^2/K_{yy})}` of :math:`d_y K_{xy}/K_{yy}`.

    Parameters
    ----------
    points : array, shape (V, 2)
        Means :math:`m`, in pixels.
    reach : array, shape (V, 3), or None
        Entries xx, xy, yy of :math:`K`, in square pixels; None for the whole image.
    width, height : int
        Size of the image.

    Returns
    -------
    Pairs
    """
    xp = namespace(points)
    mx, my = points[:, 0], points[:, 1]
    n = points.shape[0]
    if reach is None:
        first_row = xp.zeros(n, dtype=xp.int64)
        row_counts = xp.full(n, height, dtype=xp.int64)
    else:
        first_row, row_counts = span(my, xp.sqrt(reach[:, 2]), height)
    offsets = offsets_of(row_counts)
    row_gaussian = repeat(xp.arange(n), row_counts, offsets)
    n_rows = row_gaussian.shape[0]
    row = xp.arange(n_rows) + xp.take(first_row - offsets[:-1], row_gaussian)
    dy = xp.astype(row, points.dtype) + 0.5 - xp.take(my, row_gaussian)
    if reach is None:
        first_column = xp.zeros(n_rows, dtype=xp.int64)
        lengths = xp.full(n_rows, width, dtype=xp.int64)
    else:
        slope = reach[:, 1] / reach[:, 2]
        rest = xp.maximum(reach[:, 0] - reach[:, 1] * slope, 0.0)
        level = 1 - dy**2 / xp.take(reach[:, 2], row_gaussian)
        half = xp.sqrt(xp.take(rest, row_gaussian) * xp.maximum(level, 0.0))
        centre = xp.take(mx, row_gaussian) + dy * xp.take(slope, row_gaussian)
        first_column, lengths = span(centre, half, width)
    offsets = offsets_of(lengths)
    column = repeat(first_column - offsets[:-1], lengths, offsets)
    column += xp.arange(column.shape[0])
    dx = xp.astype(column, points.dtype)
    dx += repeat(0.5 - xp.take(mx, row_gaussian), lengths, offsets)
    column += repeat(row * width, lengths, offsets)
    return Pairs(dx, column, dy, row_gaussian, lengths, row_counts)


def span(centre: Array, half: Array, size: int) -> tuple[Array, Array]:
    """Return the first pixel, and the number of pixels, whose centres are within `half`."""
    xp = namespace(centre)
    low = xp.minimum(xp.maximum(xp.ceil(centre - half - 0.5), 0.0), float(size))
    high = xp.minimum(xp.maximum(xp.floor(centre + half - 0.5), -1.0), size - 1.0)
    first = xp.astype(low, xp.int64)
    return first, xp.maximum(xp.astype(high, xp.int64) + 1 - first, 0)


class PixelWeights:
    r"""The sparse matrix of blending weights :math:`\alpha_i T_i`, a row for each pixel.

    Parameters
    ----------
    weights : array, shape (M,)
        The entries, pixel by pixel.
    gaussian : array of int, shape (M,)
        Their columns.
    offsets : array of int, shape (P + 1,)
        Where each pixel's entries start.
    order : array of int, shape (M,)
        Where each entry stands in `pairs`.
    pairs : Pairs
        The same entries Gaussian by Gaussian.
    """

    def __init__(self, weights: Array, gaussian: Array, offsets: Array, order: Array, pairs: Pairs):
        self.weights, self.gaussian, self.offsets = weights, gaussian, offsets
        self.order, self.pairs = order, pairs
        self._matrix = None
        if is_numpy_array(weights):
            shape = (offsets.size - 1, pairs.n_gaussians)
            self._matrix = sparse.csr_array((weights, gaussian, offsets), shape=shape)

    def composite(self, channels: Array) -> Array:
        """Return the weighted sums (P, C) of the Gaussians' channels (V, C)."""
        if self._matrix is not None:
            return self._matrix @ channels
        xp = namespace(channels)
        rows = xp.take(channels, self.gaussian, axis=0)
        return segment_sums(self.weights[:, None] * rows, self.offsets)

    def scatter(self, grad: Array) -> Array:
        """Return the transposed product: gradients (V, C) from those of the pixels (P, C)."""
        if self._matrix is not None:
            return self._matrix.T @ grad
        xp = namespace(grad)
        weights = unsort(self.weights, self.order)
        rows = weights[:, None] * xp.take(grad, self.pairs.pixel, axis=0)
        return self.pairs.sum_gaussians(self.pairs.sum_rows(rows))
