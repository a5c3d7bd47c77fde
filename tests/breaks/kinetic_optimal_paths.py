"""Breaks of the chapter on kinetic optimal paths."""

from bookbuild.breaks import Break

PATHS = (
    "    sample, F = laws[name][0], exact_F(laws[name][1])\n"
    '    paths = {"KO": kinetic_optimal(gammas[name]), "Cond-OT": cond_ot}\n'
)
NETWORKS = (
    '    paths = {"KO": kinetic_optimal(gamma), "cautious KO": cautious, "Cond-OT": cond_ot}\n'
)

BREAKS = [
    Break(
        "the trigonometric path given out as the kinetic optimal one",
        ("C2.e", "C4.c", "C5.f"),
        {
            "    return path\n\n\n# %% [markdown]\n# **Energies.**": (
                "    return trigonometric\n\n\n# %% [markdown]\n# **Energies.**"
            )
        },
        competitor=True,
    ),
    Break(
        "Cond-OT given out as the kinetic optimal path when sampling",
        ("C4.c", "C5.b", "C5.e"),
        {PATHS: PATHS.replace("kinetic_optimal(gammas[name])", "cond_ot")},
        competitor=True,
    ),
    Break(
        "the network of Cond-OT given out as that of the cautious path",
        ("C5.d",),
        {NETWORKS: NETWORKS.replace("cautious,", "cond_ot,")},
        competitor=True,
    ),
    Break(
        "the path stretches its angle by the share instead of its root",
        ("C2.e",),
        {
            "phi = cumulative_trapezoid(np.sqrt(floored), FINE, initial=0)": (
                "phi = cumulative_trapezoid(floored, FINE, initial=0)"
            )
        },
    ),
    Break(
        "the opening angle integrates the share instead of its root",
        ("C1.a",),
        {
            "opening, J = np.trapezoid(np.sqrt(values), FINE)": (
                "opening, J = np.trapezoid(values, FINE)"
            )
        },
    ),
    Break(
        "squares of the checkerboard without the tilt of their posterior mean",
        ("C2.b",),
        {
            "return log_P, (x[:, :, None] + m * tilt) / a": (
                "return log_P, x[:, :, None] / a + 0 * tilt"
            )
        },
    ),
    Break(
        "the responsibilities forget the norms of the points",
        ("C2.a",),
        {" - a**2 / v * half_squares": ""},
    ),
]
