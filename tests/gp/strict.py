"""Arrays of a strict namespace, which refuses silent transfers to NumPy."""

from __future__ import annotations

import array_api_strict
import numpy as np


class StrictGenerator:
    """A seeded generator whose draws are strict arrays."""

    def __init__(self, seed: int):
        self.host = np.random.default_rng(seed)

    def __getattr__(self, name: str):
        def draw(*args, **kwargs):
            return array_api_strict.asarray(np.asarray(getattr(self.host, name)(*args, **kwargs)))

        return draw
