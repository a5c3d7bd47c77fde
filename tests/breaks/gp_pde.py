"""Breaks of the chapter on high-frequency equations."""

from bookbuild.breaks import Break

ADAM = "Adam(cosine_decay(0.05, steps, final), beta2=0.99, **options)"
NAMES = "names = [p.name for p in problems]\n"

BREAKS = [
    Break(
        "the frequencies stay where they start",
        ("C2.a", "C2.b", "C2.c"),
        {ADAM: ADAM.replace("options", '{"multipliers": {"mu": 0.0}} | options')},
    ),
    Break(
        "the weights stay equal",
        ("C3",),
        {ADAM: ADAM.replace("options", '{"multipliers": {"log_w": 0.0}} | options')},
    ),
    Break(
        "the squared-exponential process given out as GP-HM-StM",
        ("C4.a", "C4.b"),
        {NAMES: NAMES + 'errors = {name: baseline[name, "SE"] for name in names}\n'},
        competitor=True,
    ),
    Break(
        "Chebyshev collocation given out as GP-HM-StM",
        ("C4.f",),
        {NAMES: NAMES + "errors = {p.name: chebyshev_collocation(p) for p in problems}\n"},
        competitor=True,
    ),
    Break(
        "the boundary condition keeps its jitter",
        ("C4.i",),
        {
            "removed = (eps - system.boundary_jitter)": (
                "removed = 0 * (eps - system.boundary_jitter)"
            )
        },
    ),
    Break(
        "the axes' determinants are exchanged",
        ("C5.a",),
        {
            "log_det = n2 * log_determinant(first.L) + n1 * log_determinant(second.L)": (
                "log_det = n1 * log_determinant(first.L) + n2 * log_determinant(second.L)"
            )
        },
    ),
]
