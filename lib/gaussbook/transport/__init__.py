"""Optimal transport and other distances between distributions.

====================  ============================================================
exact                 linear programming: `exact_plan`, `wasserstein`
entropic              Sinkhorn: `sinkhorn`, `sinkhorn_divergence`
one_dimensional       quantile functions: `wasserstein_1d`
sliced                mean over projections: `sliced_wasserstein` and its gradient
gaussian              closed form: `bures_wasserstein`
kernel                means over pairs: `energy_distance`
====================  ============================================================
"""

from gaussbook.transport.entropic import SinkhornResult, sinkhorn, sinkhorn_divergence
from gaussbook.transport.exact import exact_plan, wasserstein
from gaussbook.transport.gaussian import bures_wasserstein
from gaussbook.transport.kernel import energy_distance
from gaussbook.transport.one_dimensional import wasserstein_1d
from gaussbook.transport.pairs import cost_matrix
from gaussbook.transport.sliced import (
    projected_moments,
    random_directions,
    sliced_wasserstein,
    sliced_wasserstein_pullback,
    sliced_wasserstein_terms,
)

__all__ = [
    "SinkhornResult",
    "bures_wasserstein",
    "cost_matrix",
    "energy_distance",
    "exact_plan",
    "projected_moments",
    "random_directions",
    "sinkhorn",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "sliced_wasserstein_pullback",
    "sliced_wasserstein_terms",
    "wasserstein",
    "wasserstein_1d",
]
