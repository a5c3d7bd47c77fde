"""Breaks of the chapter on score priors for denoising."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the denoiser told the true level given out as the scheme",
        ("C3", "C7.b"),
        {
            "fixed = {lam: score_dvi(Y, [D], lam, generator(5)) for lam in WEIGHTS}": (
                "told_run = SimpleNamespace(\n"
                "    x=D(Y, each(true_sd) ** 2 + xp.zeros_like(Y))[0],\n"
                "    phi=xp.ones_like(Y)[None, ...],\n"
                ")\n"
                "fixed = {lam: told_run for lam in WEIGHTS}"
            )
        },
        competitor=True,
    ),
    Break(
        "the denoiser with the MAD's level given out as the scheme",
        ("C2", "C2.d"),
        {
            "    return sum(each(weights == lam) * run.x for lam, run in fixed.items())": (
                "    return D(Y, each(mad(Y)) ** 2 + xp.zeros_like(Y))[0]"
            )
        },
        competitor=True,
    ),
    Break(
        "no prior: the denoiser is the identity",
        ("C2", "C6.a", "C6.b"),
        {
            "        value, slope, _ = denoise(sample, var)\n": (
                "        value, slope = sample, xp.ones_like(sample)\n"
            ),
            "image_term(mu, log_var, eps, 1.0, D) if use_prior else": (
                "-0.5 * log_var if use_prior else"
            ),
        },
    ),
    Break(
        "a score of the wrong sign",
        ("C1", "C1.b", "C2", "C6.a"),
        {
            "weight * (mu + move)": "weight * (mu - move)",
            "(value - x) / var * (sample - x)": "(x - value) / var * (sample - x)",
        },
    ),
    Break(
        "a score divided by the noise's variance",
        ("C1",),
        {"    weight = lam / var\n": "    weight = lam * phi\n"},
    ),
    Break(
        "the score of the prior itself, not smoothed",
        ("C1", "C1.a", "C1.b"),
        {
            "(s**2 * x + var * m) / total, s**2 / total,": (
                "x + var * (m - x) / s**2, 1 - var / s**2,"
            )
        },
    ),
    Break(
        "the prior's weight lost in the variance",
        ("C1", "C1.a"),
        {"spread = lam * xp.clip(slope": "spread = xp.clip(slope"},
    ),
    Break(
        "noise that is not learned",
        ("C7.b",),
        {"beta = beta0 + 0.5 * ((mu - y) ** 2 + var)": "beta = beta0 + xp.zeros_like(mu)"},
    ),
    Break(
        "labels that are not learned",
        ("C4.c",),
        {"        pi = update_labels(pi, beta, var, lam)\n": ""},
    ),
    Break(
        "one fixed weight reported as noise-aware",
        ("C3",),
        {"dvi = choose(aware_weight(s_hat))": "dvi = fixed[2].x"},
    ),
]
