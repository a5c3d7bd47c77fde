"""Breaks of the chapter on top-K sparse gating."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "EM with its frozen gate given out as the change-point scan",
        ("C2",),
        {
            'for name, estimate in (("", found), ("frozen ", frozen)):': (
                'for name, estimate in (("", frozen), ("frozen ", frozen)):'
            )
        },
        competitor=True,
    ),
    Break(
        "a scan that looks at the left side only",
        ("C1.a",),
        {"-m * xp.log(left[2]) - (n - m) * xp.log(right[2])": "-m * xp.log(left[2])"},
    ),
    Break(
        "errors of the intercepts given out as the Voronoi loss",
        ("C3.c",),
        {
            "    return voronoi_loss(found, truth, n_active=2, exponents=(1, 1, 1))": (
                "    return xp.sum(xp.abs(found.b - truth.b), axis=1)"
            )
        },
    ),
    Break(
        "the variance of the halves stays",
        ("C7.b",),
        {'split(2, e, ("b",), c * e**2)': 'split(2, e, ("b",), 0.0)'},
    ),
    Break(
        "the exactly fitted experts' error given out as the scatter of the doubled one",
        ("C5.a", "C5.c"),
        {
            'errors |= {"S_b": scatter(found, "b", 0.0),': (
                'errors |= {"S_b": xp.mean(exact[1], axis=1),'
            )
        },
    ),
]
