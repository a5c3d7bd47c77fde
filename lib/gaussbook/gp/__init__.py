"""Gaussian processes: covariance functions, exact and structured inference, sampling.

Import the module you need (``from gaussbook.gp import sampling``): this file imports none of them.
"""
