"""Breaks of the chapter on control variates for the sliced Wasserstein distance."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the plain estimate given out as the controlled ones",
        ("C1.a", "C1.b", "C2.a", "C2.e"),
        {"xp.mean(W, axis=1) if control is None else controlled(W, c, known_mean)": "W.mean(1)"},
        competitor=True,
    ),
    Break(
        "the plain flow given out as the controlled one",
        ("C6.b",),
        {'"LCV, centred": (lower, False)': '"LCV, centred": (None, True)'},
        competitor=True,
    ),
    Break(
        "the control's mean is not divided by d",
        ("C4.a",),
        {"- shift @ shift / x.shape[1]": "- shift @ shift"},
    ),
    Break(
        "the coefficient treated as a constant in the gradient",
        ("C6.d",),
        {
            "along_W = (1 - c_mean * (c - c_mean) / D) / L": "along_W = xp.full(L, 1 / L)",
            "gamma + c_mean / D * (W - S - 2 * gamma * (c if known_mean else c - c_mean))": (
                "gamma * xp.ones(L)"
            ),
        },
    ),
    Break(
        "the correction is added instead of subtracted",
        ("C2.a", "C5.b"),
        {"xp.mean(W, axis=-1) - coefficient(": "xp.mean(W, axis=-1) + coefficient("},
    ),
]
