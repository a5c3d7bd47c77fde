"""Breaks of the chapter on analytic splatting."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "Mip-Splatting's filter given out as the integral when rendering",
        ("C5.c", "C5.d"),
        {'"Mip": Mip(0.1), "analytic": Analytic()}': '"Mip": Mip(0.1), "analytic": Mip(0.1)}'},
        competitor=True,
    ),
    Break(
        "Mip-Splatting's filter given out as the integral in one dimension",
        ("C2.a", "C2.i", "C2.j"),
        {
            '"analytic": window(t, sigma),': (
                '"analytic": np.sqrt(s2 / (s2 + 0.1)) * xp.exp(-(t**2) / (2 * (s2 + 0.1))),'
            )
        },
        competitor=True,
    ),
    Break(
        "3DGS given out as the integral in training",
        ("C6.a", "C6.f"),
        {'"analytic": (Analytic(), 1)}': '"analytic": (Point(0.3), 1)}'},
    ),
    Break(
        "S without its cubic term",
        ("C1.a", "C2.a"),
        {"xp.tanh(0.5 * (1.6 * x + 0.07 * x**3))": "xp.tanh(0.5 * 1.6 * x)"},
    ),
    Break(
        "the pixel is not turned",
        ("C3.b", "C3.d", "C3.k"),
        {"angle = 0.5 * xp.atan2(2 * B, A - D)": "angle = 0 * (A + B + D)"},
    ),
    Break(
        "the gradient forgets that the axes turn",
        ("C4.a", "C4.d"),
        {"E12 = 0.5 * (v * I_u - u * I_v) * Delta / (Delta**2 + delta**2)": "E12 = 0 * u"},
    ),
    Break(
        "no damping for nearly round Gaussians",
        ("C4.e",),
        {"B, D, damping=0.02)": "B, D, damping=0.0)"},
    ),
]
