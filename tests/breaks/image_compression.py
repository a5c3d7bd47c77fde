"""Breaks of the chapter on image compression with a Gaussian mixture prior."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the univariate code given out as the mixture code",
        ("C3",),
        {
            "codecs = Univariate(Y[:, :d], step), MixtureCode(gmm, step),": (
                "codecs = Univariate(Y[:, :d], step), Univariate(Y[:, :d], step),"
            )
        },
        competitor=True,
    ),
    Break(
        "decoded pictures that are shifted by 24 pixels",
        ("C4.d",),
        {
            "    return xp.round(255 * xp.clip(unblocks(pixels, SIDE), 0, 1)) / 255": (
                "    moved = xp.roll(unblocks(pixels, SIDE), 24, axis=1)\n"
                "    return xp.round(255 * xp.clip(moved, 0, 1)) / 255"
            )
        },
    ),
    Break(
        "a decoder that drops the coarse levels of the cascade",
        ("C4.e",),
        {"in reversed(list(enumerate(self.levels))):": "in [(0, self.levels[0])]:"},
    ),
    Break(
        "one Gaussian in the place of the mixture",
        ("C2.a",),
        {
            "gain, control_gain = lengths[:, 0] - lengths[:, -1]": (
                "gain, control_gain = lengths[:, 0] - lengths[:, 1]"
            )
        },
    ),
    Break(
        "codebooks that learn without Gumbel noise from a start far away",
        ("C5.a",),
        {
            "rng.normal(0, (2 / (5 * 8)) ** 0.5, (": "rng.normal(5, 0.1, (",
            "rng.gumbel(size=(1, batch, CODEBOOK))": "xp.zeros((1, batch, CODEBOOK))",
        },
    ),
]
