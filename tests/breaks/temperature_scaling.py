"""Breaks of the chapter on temperature scaling and overlapping classes."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "ordinary training with its best temperature given out as Mixup",
        ("C5.d", "C6.a", "C7.a"),
        {
            "return over_runs(scored, name, m, delta)[0]": (
                'return over_runs(scored, *((" + T*", 1) if m == 2 else (name, m)), delta)[0]'
            ),
            "    return np.mean([v[column] for": (
                '    name, m = (" + T*", 1) if m == 2 else (name, m)\n'
                "    return np.mean([v[column] for"
            ),
            "(mixed, *_) = noisy.mean(axis=1)": "_ = noisy.mean(axis=1)\nmixed = erm_scaled",
        },
        competitor=True,
    ),
    Break(
        "ordinary training given out as Mixup",
        ("C3.c", "C3.e", "C5.a", "C7.b", "C8.c"),
        {"mixing(X, y, m, batch, rng)\n": "mixing(X, y, [1] * len(m), batch, rng)\n"},
        competitor=True,
    ),
    Break(
        "the best temperature given out as the published one",
        ("C4.b", "C4.c", "C6.b"),
        {
            '" + published T": published_temperature': (
                '" + published T": lambda g, y: best_temperature(lambda T: nll(g, y, T))'
            )
        },
        competitor=True,
    ),
    Break(
        "no temperature",
        ("C1.a", "C1.b", "C2.a", "C2.b"),
        {"return math.exp(found.x)": "return 1.0"},
    ),
    Break(
        "temperatures cut at 5",
        ("C1.a", "C2.c"),
        {"math.log(1000))": "math.log(5))"},
    ),
    Break(
        "a uniform guess given out as the interpolator",
        ("C1.a", "C1.b", "C2.b"),
        {"nearest = xp.where((to_a < to_b)[:, None], h_a, h_b)": "nearest = 0 * h_a"},
    ),
    Break(
        "the shares of 25 neighbours given out as the interpolator",
        ("C1.a", "C1.b", "C2.b"),
        {'{"nearest": nearest,': '{"nearest": neighbour_shares(places, classes, y, t),'},
        competitor=True,
    ),
    Break(
        "the labels of a pair merged in the training set",
        ("C1.a", "C2.b"),
        {"xp.concat([none, y[order], none])": "xp.concat([none, y[order] // 2 * 2, none])"},
    ),
    Break(
        "ordinary training stopped early on the Gaussian classes",
        ("C3.a", "C3.b"),
        {"scale(default=70, paper=200)\nN_GAUSS": "scale(default=5, paper=200)\nN_GAUSS"},
    ),
    Break(
        "the labels of a mixture weighted the wrong way round",
        ("C5.a", "C5.b", "C5.c", "C7.c", "C8.c"),
        {"for tau in orders], w\n": "for tau in orders], xp.where(used[:, 1:], w[:, ::-1], w)\n"},
    ),
    Break(
        "all labels of a mixture weighted equally",
        ("C5.a", "C5.c", "C7.c", "C8.c"),
        {"for tau in orders], w\n": "for tau in orders], xp.where(used[:, 1:], 0 * w + 0.5, w)\n"},
    ),
    Break(
        "the temperature of the competitor fitted on its training points",
        ("C7.d",),
        {
            "logits(params, held_out[0]), logits(params, X_test), []": (
                "logits(params, X), logits(params, X_test), []"
            ),
            "nll(g_cal[s], held_out[1][run], T))": "nll(g_cal[s], y[run], T))",
        },
    ),
    Break(
        "interpolators that listen to the farther neighbour",
        ("C1.e",),
        {
            "(to_a < to_b)[:, None], h_a, h_b": "(to_a > to_b)[:, None], h_a, h_b",
            "in ((to_a, to_b), (to_b, to_a))": "in ((to_b, to_a), (to_a, to_b))",
        },
    ),
]
