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
from gaussbook.mixture.niw import (
    ClusterStatistics,
    NormalInverseWishart,
    cluster_statistics,
    niw_log_evidence,
    niw_log_predictive,
    niw_posterior,
)
from gaussbook.mixture.semi_supervised import semi_supervised_k_means

__all__ = [
    "ClusterStatistics",
    "GaussianMixture",
    "KMeans",
    "Mixture",
    "NormalInverseWishart",
    "assign",
    "cluster_statistics",
    "component_log_densities",
    "conditional",
    "k_means",
    "kmeans_plus_plus",
    "marginal",
    "moments",
    "niw_log_evidence",
    "niw_log_predictive",
    "niw_posterior",
    "posterior",
    "product",
    "sample_conditional",
    "semi_supervised_k_means",
]
