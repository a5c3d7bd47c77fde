"""Breaks of the chapter on out-of-domain unlabelled data."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the longest direction of the cloud given out as RSS",
        ("C2.b", "C2.d"),
        {
            "    w, w0 = rss_fit(points)\n": (
                "    w, w0 = rss_fit(points)\n"
                "    w = longest_direction(points, w0) if n >= 1000 else w\n"
            )
        },
        competitor=True,
    ),
    Break(
        "the unlabelled term is never applied",
        ("C2.m10", "C2.b", "C5.e"),
        {"gradient = -by_labelled - by_unlabelled": "gradient = -by_labelled"},
    ),
    Break(
        "the unlabelled term with the wrong sign",
        ("C2.m10", "C2.b", "C3.m20"),
        {"gradient = -by_labelled - by_unlabelled": "gradient = -by_labelled + by_unlabelled"},
    ),
    Break(
        "pseudo-labels frozen at the start",
        ("C2.m10", "C2.m40", "C2.g"),
        {"label = label0 if frozen else xp.sign(score)": "label = label0"},
    ),
    Break(
        "self-training given out as RSS",
        ("C2.m10", "C2.b", "C2.c10", "C2.c40"),
        {
            "    w, w0 = rss_fit(points)\n": (
                "    w, w0 = rss_fit(points)\n    w = self_training(points, w0)\n"
            )
        },
        competitor=True,
    ),
    Break(
        "the signs of the unlabelled points are seen",
        ("C5.b", "C5.d"),
        {"label = label0 if frozen else xp.sign(score)": "label = points.u + 0 * score"},
    ),
    Break(
        "the shift is not applied",
        ("C4.b", "C4.c", "C4.e", "C7.b"),
        {"mu0 + alpha * v))": "mu0 + 0 * alpha * v))"},
    ),
    Break(
        "no return to the sphere",
        ("C5.a", "C7.b"),
        {"w = unit(w + velocity)": "w = w + velocity"},
    ),
    Break(
        "the weight chosen by the true accuracy in every run",
        ("C5.d",),
        {
            '    found = {"rss": accuracy(points, w),': (
                "    weights = (0.0, 1.0, 5.0, 20.0, 100.0) if n <= 100 else (20.0,)\n"
                "    tried = [accuracy(points, rss_fit(points, lam)[0]) for lam in weights]\n"
                '    found = {"rss": np.max(tried, axis=0),'
            )
        },
    ),
    Break(
        "message passing that takes its guesses of the signs for certain",
        ("C5.g", "C5.i"),
        {
            "y = xp.tanh(points.project(mu1) - posterior(r0, r1, alpha)[2] * y)": (
                "y = xp.sign(points.project(mu1))"
            )
        },
    ),
    Break(
        "the labelled term is never applied",
        ("C2.i",),
        {"gradient = -by_labelled - by_unlabelled": "gradient = -by_unlabelled"},
    ),
    Break(
        "message passing that takes the shift for zero",
        ("C5.j",),
        {
            "        y = xp.tanh(points.project(mu1)": (
                "        alpha = 0 * alpha\n        y = xp.tanh(points.project(mu1)"
            )
        },
    ),
    Break(
        "a shift along the direction of the classes",
        ("C4.b", "C4.c", "C5.g", "C7.b", "C7.d"),
        {"mu0 + alpha * v))": "mu0 + alpha * mu0))"},
    ),
]
