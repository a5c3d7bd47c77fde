"""Gaussian mixtures: densities, responsibilities, estimation and the algebra of mixtures."""

from gaussbook.mixture.algebra import (
    Mixture,
    conditional,
    marginal,
    moments,
    product,
    sample_conditional,
)
from gaussbook.mixture.densities import component_log_densities, posterior
from gaussbook.mixture.em import GaussianMixture
from gaussbook.mixture.kmeans import KMeans, assign, k_means, kmeans_plus_plus

__all__ = [
    "GaussianMixture",
    "KMeans",
    "Mixture",
    "assign",
    "component_log_densities",
    "conditional",
    "k_means",
    "kmeans_plus_plus",
    "marginal",
    "moments",
    "posterior",
    "product",
    "sample_conditional",
]
