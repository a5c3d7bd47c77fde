"""Breaks of the chapter on generative data augmentation."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "learning without generated points given out as augmentation",
        ("C1.a", "C2.b"),
        {"mean(xp.abs(augment(m, d, gamma)[0]))": "mean(xp.abs(augment(m, d, 0)[0]))"},
        competitor=True,
    ),
    Break(
        "the generator's variances divided by m_k",
        ("C1.b", "C6.c"),
        {
            "def augment(m, d, gamma, ddof=1,": "def augment(m, d, gamma, ddof=0,",
            "asarray([decompose(gamma, 1)": "asarray([decompose(gamma, 0)",
        },
    ),
    Break(
        "the generator repeats its means without noise",
        ("C1.b", "C5.a"),
        {"draw_sums(total / n, v,": "draw_sums(total / n, 0 * v,"},
    ),
    Break(
        "signed gaps averaged before the absolute value",
        ("C1.a",),
        {"xp.mean(xp.abs(augment(m, d, gamma)[0]))": "xp.abs(xp.mean(augment(m, d, gamma)[0]))"},
    ),
    Break(
        "the bound without its logarithms",
        ("C4.a",),
        {"beta * logs + math.log(m) * M": "math.log(m) * M"},
    ),
    Break(
        "augmented runs that see ten real points whatever m is",
        ("C7",),
        {"augment(m, 50, gamma, rep": "augment(10 if gamma else m, 50, gamma, rep"},
    ),
]
