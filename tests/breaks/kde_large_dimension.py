"""Breaks of the chapter on kernel density estimates in large dimension."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "Silverman's bandwidth given out as the best one",
        ("C3.b", "C3.c"),
        {"optimum[d] = lowest_point(h2, exact[d][:-1])": "optimum[d] = silverman(d, run.n) ** 2"},
        competitor=True,
    ),
    Break(
        "the central limit theorem given out as the law of the estimate at every bandwidth",
        ("C4.b", "C4.e"),
        {
            "normalised = (relative - 1) / deviation[:, None]": (
                "normalised = to_host(rng.standard_normal((len(ratios), sets)))\n"
                "relative = 1 + deviation[:, None] * normalised"
            )
        },
        competitor=True,
    ),
    Break(
        "the limit's h_G and r_0 in place of those of finite size",
        ("C2.d", "C3.b"),
        {
            "return 1 / (2 * n * ncx2.pdf(twice, d, d)), twice / d": (
                "return transition(math.log(n) / d), best(math.log(n) / d)"
            )
        },
    ),
    Break(
        "the query at the centre of the data instead of on the sphere",
        ("C2.b",),
        {"rng.noncentral_chisquare(d, d, n) / 2": "rng.noncentral_chisquare(d, 0, n) / 2"},
    ),
    Break(
        "the kernel forgets the half of its exponent",
        ("C2.b", "C2.d"),
        {"w = (xp.exp((lowest - E) / v)": "w = (xp.exp(2 * (lowest - E) / v)"},
    ),
    Break(
        "the entropy without the energy's part",
        ("C1.a",),
        {"(math.log1p(1 / h2) - h2 / (1 + h2) ** 2) / 2 - alpha": "math.log1p(1 / h2) / 2 - alpha"},
    ),
    Break(
        "the nearest squared distance taken for h_G^2",
        ("C1.a", "C1.c"),
        {"    return h2 * (1 + 2 * h2) / (1 + h2) ** 2": "    return h2"},
    ),
    Break(
        "gaps that are not multiplied by their rank",
        ("C5.a", "C5.b"),
        {"np.arange(1, lowest.shape[1]) * np.diff": "np.diff"},
    ),
]
