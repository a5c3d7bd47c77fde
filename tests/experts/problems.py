"""Small mixtures of experts that several test files draw on."""

from types import SimpleNamespace

import numpy as np

from gaussbook.experts import Experts


def tanh(t):
    """The hyperbolic tangent and its derivative, in the namespace of the argument."""
    value = (t.__array_namespace__() if hasattr(t, "__array_namespace__") else np).tanh(t)
    return value, 1 - value**2


def problem(xp=np, *, B=2, n=60, d=2, k=3, seed=0):
    """Random parameters with random data."""
    rng = np.random.default_rng(seed)
    shapes = {"beta1": (B, k, d), "beta0": (B, k), "a": (B, k, d), "b": (B, k)}
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    values |= {"sigma": rng.uniform(0.5, 1, (B, k)), "tau": rng.uniform(0.5, 1.5, B)}
    return SimpleNamespace(
        x=xp.asarray(rng.normal(size=(B, n, d))),
        y=xp.asarray(2 * rng.normal(size=(B, n))),
        values=values,
        experts=Experts(**{name: xp.asarray(value) for name, value in values.items()}),
    )
