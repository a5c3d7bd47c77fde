"""Breaks of the chapter on temperature in the gate."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the linear router given out as the tanh router",
        ("C1.b", "C2.b"),
        {'"tanh": tanh,': '"tanh": linear,'},
        competitor=True,
    ),
    Break(
        "the linear router's fits given out as those of the sigmoid router",
        ("C4.d", "C4.e"),
        {
            "outcome = [estimate(routers[name], j)": (
                'outcome = [estimate(routers["linear" if name == "sigmoid" else name], j)'
            )
        },
        competitor=True,
    ),
    Break(
        "fits that start at the true gate",
        ("C3.a", "C3.b"),
        {
            "common * xp.stack([rng.uniform(0.8, 1.2, 3) for rng in rngs], axis=1)": (
                "xp.ones((3, len(rngs)))"
            )
        },
    ),
    Break(
        "a temperature that is not learned",
        ("C4.b",),
        {
            "reference=1, learn_tau=True), start": (
                'reference=1, learn_tau="ones" in globals()), start'
            )
        },
    ),
    Break(
        "the matched expert's error given out as the scatter of the shared ones",
        ("C5.a", "C5.c"),
        {
            '"S_b": xp.stack([scatter(e, e.b, 3.0) for e in found])': (
                '"S_b": xp.stack([matched(e) for e in found])'
            )
        },
    ),
    Break(
        "the law of the cold gate without its integral",
        ("C7.b",),
        {"measured=H[0] / (math.pi**2 / 6 * f_0": "measured=H[0] / (f_0"},
    ),
]
