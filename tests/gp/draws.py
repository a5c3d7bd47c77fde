"""Random numbers as arrays of any namespace."""

from __future__ import annotations

import numpy as np


class Draws:
    """A seeded generator whose draws are arrays of the namespace `xp`."""

    def __init__(self, xp, seed: int):
        self.xp, self.host = xp, np.random.default_rng(seed)

    def __getattr__(self, name: str):
        def draw(*args, **kwargs):
            return self.xp.asarray(getattr(self.host, name)(*args, **kwargs))

        return draw
