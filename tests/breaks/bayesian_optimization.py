"""Breaks of the chapter on Bayesian optimization."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "plug-in EI given out as the knowledge gradient",
        ("C2.a", "C5.c"),
        {
            'rules = {"plug-in EI": plug_in_ei, "KG": knowledge_gradient,': (
                'rules = {"plug-in EI": plug_in_ei, "KG": plug_in_ei,'
            )
        },
        competitor=True,
    ),
    Break(
        "the misprinted formula of expected improvement",
        ("C1.a", "C1.b", "C1.c"),
        {
            "    return xp.where(sigma > 0, safe * h(Delta / safe), known)": (
                "    if Delta.ndim > 1:\n"
                "        flat = [xp.reshape(v, (-1,)) for v in (Delta, safe)]\n"
                "        return xp.reshape(printed(*flat), Delta.shape)\n"
                "    return printed(Delta, safe)"
            ),
            '"""EI = sigma h(Delta / sigma), and [Delta]^+ where sigma = 0."""\n': (
                '"""As printed."""\n    Delta, sigma = xp.broadcast_arrays(Delta, sigma)\n'
            ),
            "def expected_improvement(": (
                "def printed(Delta, sigma):\n"
                "    z = Delta / sigma\n"
                "    Phi = np.exp(log_ndtr(to_host(z)))\n"
                "    phi = xp.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)\n"
                "    return xp.where(Delta > 0, Delta, 0.0) + sigma * phi - xp.abs(Delta) * Phi\n"
                "\n\ndef expected_improvement("
            ),
        },
    ),
    Break(
        "noisy EI without what the point is worth already",
        ("C3.a",),
        {"    ahead = mu - xp.max(at_seen, axis=1)[:, None]": "    ahead = -xp.abs(mu)"},
    ),
    Break(
        "the gradient of KG forgets that the variance moves with x",
        ("C2.d",),
        {"dC / s - C * half_dvariance / s**3": "dC / s"},
    ),
    Break(
        "PES whose groups belong to other functions",
        ("C4.a",),
        {"pes(f2[:, i], star2, instrument)": "pes(f2[:, i], star, instrument)"},
    ),
    Break(
        "random points given out as those of EI, blind to the constraint and the cheap source",
        ("C6.b", "C6.c", "C7.g", "C7.h"),
        {
            '"EI": maximise(f, sobol[:6], 24, rng),': (
                '"EI": f(np.concatenate([sobol[:6], rng.random((24, d))])),'
            ),
            "(log_ndtr(mean / sigma) if aware else 0)": "0",
            'elif rule == "EI":\n            own': "elif rule:\n            own",
        },
        competitor=True,
    ),
]
