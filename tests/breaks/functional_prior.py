"""Breaks of the chapter on functional priors for neural networks."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the usual prior given out as the tuned one",
        ("C1.a", "C1.e", "C4.a", "C4.e", "C4.g", "C4.h", "C4.i"),
        {"GPI = [tuned(0.6, seed) for seed in (0, 1)]": "GPI = [FG, FG]"},
        competitor=True,
    ),
    Break(
        "the minimiser of the plain distance given out as the tuned prior",
        ("C1.d",),
        {"GPI = [tuned(0.6, seed) for": "GPI = [tuned(0.6, seed, debias=False) for"},
        competitor=True,
    ),
    Break(
        "the plain distance with its bias removed",
        ("C1.b",),
        {"tuned(0.6, 0, debias=False)": "tuned(0.6, 0)"},
    ),
    Break(
        "hand-picked deviations whatever the target",
        ("C1.c", "C1.f"),
        {
            "    return tune(WIDTHS, X_M, g, rng, debias=debias)": (
                "    hand = [(4, 8), (4, 1), (3, 1), (1, 0.1)]\n"
                "    return xp.asarray(hand, dtype=xp.float32)"
            )
        },
        competitor=True,
    ),
    Break(
        "the exact posterior of the process given out as the network's",
        ("C4.d",),
        {
            "means, spread = draws.mean(axis=0), draws": (
                'means = draws.mean(axis=0) if name == "FG" else np.tile(mu, (CHAINS, 1))\n'
                "        spread = draws"
            )
        },
        competitor=True,
    ),
    Break(
        "chains without noise, which end at the most likely weights",
        ("C4.c", "C4.e"),
        {"c * v + xp.sqrt(1 - c**2) * noise(v)": "c * v"},
    ),
    Break(
        "the mean over the observations in the place of their sum",
        ("C4.b",),
        {"X)) ** 2) / (2 * NOISE)": "X)) ** 2) / (2 * NOISE * X.shape[1])"},
    ),
    Break(
        "the prior term dropped from the posterior",
        ("C4.c",),
        {"v - epsilon * (z + F)": "v - epsilon * F"},
    ),
    Break(
        "a critic that is never trained",
        ("C2.a", "C3.c"),
        {"return nn.fit(loss, phi, batch, optimiser, steps=steps, rng=rng).params": ("return phi")},
    ),
    Break(
        "no penalty on the critic's gradient",
        ("C3.c", "C3.d"),
        {
            "optimiser, steps, rng, penalty=10.0):": "optimiser, steps, rng, penalty=0.0):",
            "    rng, X = generator(seed), xp.astype(X_M, xp.float32)\n\n    def sample": (
                "    penalty = 0.0\n"
                "    rng, X = generator(seed), xp.astype(X_M, xp.float32)\n\n    def sample"
            ),
        },
    ),
    Break(
        "outcomes of the diabetes patients shuffled for the networks",
        ("C5.e",),
        {"ad.sum(precision * (y - network": "ad.sum(precision * (y[:, ::-1] - network"},
    ),
    Break(
        "one target for all classifiers",
        ("C6.a",),
        {"draw_process(process, X, POOL": "draw_process(PROCESSES[32.0, 4.0], X, POOL"},
    ),
    Break(
        "length scales of the classifiers' targets swapped",
        ("C6.c",),
        {
            "draw_process(process, X, POOL": (
                "draw_process(PROCESSES[round(process.variance), "
                "4.0 / round(float(np.ravel(process.lengthscale)[0]))], X, POOL"
            )
        },
    ),
    Break(
        "deviations of the regression network three times too large",
        ("C5.b",),
        {"TABLE_PRIOR = tune_for_table(70)": "TABLE_PRIOR = 3 * tune_for_table(70)"},
    ),
]
