"""Breaks of the chapter on choosing data sources."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the full quadratic in the shares given out as PQ",
        ("C3.d", "C1.b"),
        {
            "[np.ones_like(OT), OT, q, q * OT, q**2 * OT]": (
                "[np.ones_like(OT), 0 * OT, q, q**2, q * q[:, ::-1]]"
            )
        },
        competitor=True,
    ),
    Break(
        "the mixture with the least OT given out as the selected one",
        ("C5.a4",),
        {
            "path = climb(c_goal, pilots_4, uniform)": (
                "path = climb(-np.eye(len(c_goal))[1], pilots_4, uniform)"
            )
        },
        competitor=True,
    ),
    Break(
        "equal shares given out as the selected mixture",
        ("C5.a1", "C5.a2", "C5.a4", "C5.a5"),
        {"selected = path[-1]": "selected = path[0]"},
        competitor=True,
    ),
    Break(
        "no projection given out as the power law",
        ("C2.a", "C4.a"),
        {"return 100 - np.exp(project(e_0, e_1, N))": "return 100 - np.exp(e_1)"},
        competitor=True,
    ),
    Break(
        "the distances in random order",
        ("C3.a2", "C3.c2"),
        {"for p in progress(P, ": "for p in progress(generator(9).host.permutation(P), "},
    ),
    Break(
        "the sign of the gradient of OT",
        ("C1.a", "C1.c"),
        {"return (f_mean - p @ f_mean) / (1 - p)": "return (p @ f_mean - f_mean) / (1 - p)"},
    ),
    Break(
        "the other sources' mean price left out",
        ("C1.a", "C1.e"),
        {"return (f_mean - p @ f_mean) / (1 - p)": "return f_mean / (1 - p)"},
    ),
    Break(
        "the other sources' prices weighted equally",
        ("C1.a",),
        {"(f_mean - p @ f_mean) / (1 - p)": "(f_mean - np.mean(f_mean)) / (1 - p)"},
    ),
    Break(
        "the factor A left out of the predictor's gradient",
        ("C1.b", "C5.a4", "C5.a5"),
        {"free = A * f_mean + ": "free = f_mean + "},
    ),
    Break(
        "the climb along the gradient at the smallest size, as in the notebook",
        ("C5.a4",),
        {"path = climb(c_goal, pilots_4, uniform)": "path = climb(c_4[N_0], pilots_4, uniform)"},
    ),
    Break(
        "costs that know no labels",
        ("C5.b1",),
        {"M = features + xp.take(": "M = features + 0 * xp.take("},
    ),
    Break(
        "costs that know no features",
        ("C5.b1",),
        {"M = features + xp.take(": "M = 0 * features + xp.take("},
    ),
    Break(
        "the labels of the pilot shuffled",
        ("C5.b1",),
        {"(y, task.V[1]))": "(rng.permutation(y), task.V[1]))"},
    ),
    Break(
        "the pseudo-quadratic function of the shares given out as PQ",
        ("C3.a4", "C3.b2"),
        {'"PQ": pq(P, OT),\n    "PQ, ': '"PQ": np.hstack([P, q**2]),\n    "PQ, '},
        competitor=True,
    ),
    Break(
        "the best choice of one source to leave out given out as the selected mixture",
        ("C5.a4",),
        {"selected = path[-1]": "selected = np.array([1, 1, 1, 0]) / 3"},
        competitor=True,
    ),
    Break(
        "the two sizes swapped in the projection",
        ("C2.a", "C2.b", "C4.a"),
        {
            "math.log(N / N_0) * L_1 - math.log(N / N_1) * L_0": (
                "math.log(N / N_0) * L_0 - math.log(N / N_1) * L_1"
            )
        },
    ),
    Break(
        "the logarithm of the accuracy in the place of that of the error",
        ("C4.b",),
        {
            "(np.log(np.maximum(100 - L, smallest)) for": "(np.log(L) for",
            "return 100 - np.exp(project(e_0, e_1, N))": "return np.exp(project(e_0, e_1, N))",
        },
    ),
]
