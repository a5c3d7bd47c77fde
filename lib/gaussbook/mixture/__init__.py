"""Gaussian mixtures: densities, responsibilities, estimation and the algebra of mixtures."""

from gaussbook.mixture.densities import component_log_densities, posterior

__all__ = ["component_log_densities", "posterior"]
