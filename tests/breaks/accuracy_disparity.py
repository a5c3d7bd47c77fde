"""Breaks of the chapter on robustness and accuracy disparity."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "standard training given out as robust training",
        ("C2.a", "C2.b", "C5.b", "C5.d"),
        {
            "y * (X @ (w[:d] - w[d:] if split else w) + b) - eps * dual": (
                "y * (X @ (w[:d] - w[d:] if split else w) + b)"
            ),
            "by_w = np.append(by_w, -by_w) + eps * pull.sum() if split": (
                "by_w = np.append(by_w, -by_w) if split"
            ),
            "else by_w + eps * pull.sum() * w / dual": "else by_w",
        },
        competitor=True,
    ),
    Break(
        "no attack in the maximum norm",
        ("C2.b",),
        {
            "    X, y = to_host(X), to_host(y)\n": (
                "    X, y, eps = to_host(X), to_host(y), 0.0 if split else eps\n"
            )
        },
    ),
    Break(
        "the threshold forgets the ratio of the classes",
        ("C1.a", "C3.e"),
        {
            "accuracies(s, math.log(R) / (2 * s_eps))": "accuracies(s, 0.0)",
            "b0, b = math.log(R) / (2 * s0), math.log(R) / (2 * s_eps)": "b0, b = 0.0, 0.0",
        },
    ),
    Break(
        "the direction of standard training in the closed form",
        ("C1.b", "C3.c"),
        {"    z = nearest_attack(eta, Sigma, eps, p)\n": "    z = 0 * eta\n"},
    ),
    Break(
        "a Cauchy threshold that is never compared with the constant classifier",
        ("C4.f",),
        {"return b if error < 1 / (1 + R) else math.inf": "return b"},
    ),
]
