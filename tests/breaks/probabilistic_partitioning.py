"""Breaks of the chapter on probabilistic partitive partitioning."""

from bookbuild.breaks import Break

# Where `ppp` returns its result; a break puts another partition in its place.
RESULT = "    return Partition(labels, separable, nodes)\n"

BREAKS = [
    Break(
        "the best of 100 starts of k-means with eight clusters given out as the partition",
        ("C2", "C3.c", "C7"),
        {
            RESULT: "    z = to_host(partitions(X, [8], 100, rng)[0][0, :])\n"
            "    return Partition(z, np.ones(n, bool), [])\n",
            "    draw_tree(axes[0], sets[1][0], trees[1])\n": "",
        },
        competitor=True,
    ),
    Break(
        "the labels of a mixture chosen by BIC given out as the partition",
        ("C3.c",),
        {
            RESULT: "    mixtures = [GaussianMixture(k, random_state=rng) for k in range(1, 10)]\n"
            "    fits = [mixture.fit(X) for mixture in mixtures]\n"
            "    best = min(fits, key=lambda fit: fit.bic(X))\n"
            "    return Partition(to_host(best.predict(X)), np.ones(n, bool), [])\n",
            "    draw_tree(axes[0], sets[1][0], trees[1])\n": "",
        },
        competitor=True,
    ),
    Break(
        "no validation at all: every split of k-means is made",
        ("C2", "C2.c", "C3.b"),
        {
            "(dbic < 0) & (a >= ALPHA) & (smallest": "(smallest",
            "scale(default=35, paper=80)": "scale(default=32, paper=80)",
        },  # such trees are large
    ),
    Break(
        "the agreement is not asked for, BIC alone decides",
        ("C3.b",),
        {"(dbic < 0) & (a >= ALPHA)": "(dbic < 0)"},
    ),
    Break(
        "the sign of BIC",
        ("C1.b", "C2", "C2.d"),
        {"good = (dbic < 0)": "good = (dbic > 0)"},
    ),
    Break(
        "the posterior level is not asked for",
        ("C3", "C3.b"),
        {"& (xp.max(r, axis=1) >= TAU)": "& (xp.max(r, axis=1) >= 0)"},
    ),
    Break(
        "one restart of k-means whatever R says",
        ("C1.f",),
        {"= first_centres(X, restarts, max(ks), rng)": "= first_centres(X, 1, max(ks), rng)"},
    ),
    Break(
        "one cluster for everything",
        ("C1.b", "C2"),
        {
            "good = (dbic < 0)": "good = (dbic < -math.inf)",
            "    draw_tree(axes[0], sets[1][0], trees[1])\n": "",
        },
    ),
    Break(
        "parts are not split again",
        ("C1.b", "C7"),
        {"if valid else 1\n": "if valid and not level else 1\n"},
    ),
    Break(
        "a random subset of the same size given out as the separable set",
        ("C5", "C5.b", "C5.c"),
        {RESULT: "    return Partition(labels, rng.host.permutation(separable), nodes)\n"},
    ),
    Break(
        "the labels shuffled",
        ("C1", "C4"),
        {RESULT: "    return Partition(rng.host.permutation(labels), separable, nodes)\n"},
    ),
    Break(
        "the separable set of the last test alone",
        ("C5.f",),
        {"separable[rows] &= to_host": "separable[rows] = to_host"},
    ),
]
