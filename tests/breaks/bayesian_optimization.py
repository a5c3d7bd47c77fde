"""Breaks of the chapter on Bayesian optimization."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "plug-in EI given out as the knowledge gradient",
        ("C2.a", "C5.c"),
        {'"KG": knowledge_gradient, "noisy': '"KG": plug_in_ei, "noisy'},
        competitor=True,
    ),
    Break(
        "random batches given out as the constant liar's",
        ("C7.b",),
        {"liar = constant_liar(belief, q, rng)": "liar = many[0]"},
        competitor=True,
    ),
    Break(
        "expected improvement without the mean's own lead",
        ("C1.a", "C1.b"),
        {"safe * h(Delta / safe), known)": "safe * h(-xp.abs(Delta) / safe), known)"},
    ),
    Break(
        "the noise of the next measurement is forgotten",
        ("C2.a",),
        {"xp.sqrt(xp.where(live, sigma**2, 1.0) + lam)": "xp.sqrt(xp.where(live, sigma**2, 1.0))"},
    ),
]
