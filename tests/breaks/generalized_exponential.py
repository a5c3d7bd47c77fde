"""Breaks of the chapter on generalized exponential splatting."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "mixtures of Gaussians given out as mixtures of GEFs",
        ("C3.a", "C3.b"),
        {"fit_mixtures(x, y, K, model, SEEDS": 'fit_mixtures(x, y, K, "Gaussian", SEEDS'},
        competitor=True,
    ),
    Break(
        "3DGS given out as GES",
        ("C5.a",),
        {'"C  GES": (3, scene_mask, True)': '"C  GES": (2, None, False)'},
        competitor=True,
    ),
    Break(
        "the exponent's gradient without its logarithm",
        ("C2.a",),
        {"(slope * log_delta @ r)": "(slope @ r)"},
    ),
    Break(
        "half of the gradient of φ dropped",
        ("C2.b",),
        {'RHO * (1 - phi(theta["b"]) / 2) * total': 'RHO * (1 - phi(theta["b"])) * total'},
    ),
    Break(
        "the shape folded as φ(b) ℓ",
        ("C4.a", "C4.d"),
        {
            'theta["log_scales"] + xp.log(phi(theta["b"]))[:, None]': (
                'theta["log_scales"] * phi(theta["b"])[:, None]'
            )
        },
    ),
    Break(
        "exponents that do not learn on the page",
        ("C3.d",),
        {
            'gradient["log_half_beta"] = factor * ': 'gradient["log_half_beta"] = 0 * factor * ',
        },
    ),
    Break(
        "the band of the mask is not reversed in the first half",
        ("C6.a",),
        {"(value > 0.5 if f >= 50 else 1 - value > 0.5)": "(value > 0.5)"},
    ),
]
