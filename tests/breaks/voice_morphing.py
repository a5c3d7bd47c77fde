"""Breaks of the chapter on voice morphing."""

from bookbuild.breaks import Break

REGRESSION = "        return self.units(moments(conditional(*self.given(X)))[0])\n"

BREAKS = [
    Break(
        "linear regression given out as the mixture",
        ("C1.b", "C2.b"),
        {"GaussianMixture(K, reg_covar=ridge,": "GaussianMixture(1, reg_covar=ridge,"},
        competitor=True,
    ),
    Break(
        "the codebook given out as the mixture",
        ("C1.b", "C1.c", "C1.e"),
        {REGRESSION: "        return codebook(self.X, self.Y, X, 0)\n"},
        competitor=True,
    ),
    Break(
        "the nearest neighbour given out as the mixture",
        ("C1.b", "C1.e"),
        {REGRESSION: "        return neighbours(1, self.X, self.Y, X)\n"},
        competitor=True,
    ),
    Break(
        "the target's frames shuffled among the training pairs",
        ("C1.a", "C2.d", "C4.c"),
        {
            "        self.X, self.Y = X, Y\n": (
                "        Y = xp.take(Y, generator(5).permutation(Y.shape[0]), axis=0)\n"
                "        self.X, self.Y = X, Y\n"
            )
        },
    ),
    Break(
        "the mean target as output",
        ("C1.a", "C2.d"),
        {REGRESSION: "        return xp.broadcast_to(xp.mean(self.Y, axis=0), X.shape)\n"},
    ),
    Break(
        "the regressions' slopes dropped: a soft codebook",
        ("C1.b",),
        {
            "r, m = xp.exp(law.log_weights)[:, :, None], law.means\n": (
                "r = xp.exp(law.log_weights)[:, :, None]\n"
                "    m = xp.broadcast_to(xp.mean(law.means, axis=0), law.means.shape)\n"
            )
        },
    ),
    Break(
        "the spread of the components' means left out of V",
        ("C2.g",),
        {"(r * (within + (m - F[:, None, :]) ** 2)": "(r * (within - (m - F[:, None, :]) ** 2)"},
    ),
    Break(
        "the talkers' own jitter switched off",
        ("C2.c", "C2.d", "C2.e"),
        {"aims[:, :3] *= 1 + shared + own *": "aims[:, :3] *= 1 + shared + 0 * own *"},
    ),
    Break(
        "noise added to raise the variance",
        ("C3.b",),
        {
            "return centre + (f(X) - centre) * xp.std(f.Y, axis=0) / xp.std(F, axis=0)": (
                "lost = xp.sqrt(xp.clip(xp.var(f.Y, axis=0) - xp.var(F, axis=0), 0, None))\n"
                "    return f(X) + lost * generator(6).standard_normal(X.shape)"
            )
        },
    ),
    Break(
        "the source's excitation given out as the prediction",
        ("C4.a", "C4.b"),
        {'"predicted": predicted(Y_hat)': '"predicted": together(0, "level", tests)'},
        competitor=True,
    ),
    Break(
        "the whole conversion given out as that of the pitch alone",
        ("C5.b",),
        {
            '"pitch alone": lambda u: put_together(u[0].tract,': (
                '"pitch alone": lambda u: put_together(found["source, separated"](u[0].tract),'
            )
        },
    ),
    Break(
        "the pitch alone given out as the whole conversion",
        ("C5.a",),
        {
            '"converted": converted,': (
                '"converted": lambda u: put_together(u[0].tract, u[0].level, melody(u[0])),'
            )
        },
    ),
    Break(
        "the average tract given out as the whole conversion",
        ("C5.h",),
        {
            '"converted": converted,': (
                '"converted": lambda u: put_together(average(u), predicted(average(u)), '
                "melody(u[0])),"
            )
        },
    ),
    Break(
        "the constant mean excitation given out as the prediction",
        ("C4.h",),
        {
            "return lambda y: to_host(classes.predict_proba(y)) @ e_k": (
                "return lambda y: e.mean(axis=0) + np.zeros((len(y), 1))"
            )
        },
        competitor=True,
    ),
    Break(
        "frames paired by their share of the utterance, not warped",
        ("C1.b",),
        {
            "    i, j = speech.dynamic_time_warping(cost).T\n": (
                "    n, m = cost.shape\n    i = np.arange(n)\n    j = i * m // n\n"
            )
        },
    ),
]
