"""Breaks of the chapter on unsupervised pretraining."""

from bookbuild.breaks import Break

TWO_PHASE = "two_phase(x[:, None, ...], y[:, None, ...], A)"

BREAKS = [
    Break(
        "ridge regression on the labels given out as two-phase",
        ("C2.a", "C2.b", "C2.d", "C2.e", "C3.b"),
        {TWO_PHASE: "ridge(x, y)[:, None, ...] + 0 * A[..., :1]"},
        competitor=True,
    ),
    Break(
        "zero given out as two-phase",
        ("C2.a", "C2.b", "C2.d", "C2.e"),
        {TWO_PHASE: "xp.zeros((repeats, 1, D, 1)) + 0 * A[..., :1]"},
        competitor=True,
    ),
    Break(
        "principal components of the labelled points alone",
        ("C2.a", "C2.b", "C2.d", "C2.e"),
        {
            TWO_PHASE: (
                "two_phase(x[:, None, ...], y[:, None, ...], "
                "encoder(ppca(xp.matrix_transpose(x) @ x / n, R))[:, None, ...] + 0 * A)"
            )
        },
    ),
    Break(
        "loadings learnt from a thousand times as many points",
        ("C2.a",),
        {
            "ppca(second_moments(task.B, sizes, rng), R)": (
                "ppca(second_moments(task.B, [1000 * m for m in sizes], rng), R)"
            )
        },
    ),
    Break(
        "all unlabelled points used for every m",
        ("C2.a", "C3.a"),
        {
            "ppca(second_moments(task.B, sizes, rng), R)": (
                "ppca(second_moments(task.B, sizes, rng)[[-1] * len(sizes)], R)"
            )
        },
    ),
    Break(
        "ten features too many",
        ("C2.a",),
        {
            "ppca(second_moments(task.B, sizes, rng), R)": (
                "ppca(second_moments(task.B, sizes, rng), R + 10)"
            )
        },
    ),
    Break(
        "ridge regression given out as least squares, and learnt loadings as the oracle's",
        ("C1.a", "C1.b"),
        {
            '"least squares": erm(x, y)': '"least squares": ridge(x, y)',
            '"oracle": two_phase(x, y, encoder(task.B))': '"oracle": two_phase(x, y, A[0, ...])',
        },
    ),
    Break(
        "twice as many points as claimed where the bias is measured",
        ("C2.c", "C3.c"),
        {
            "task.labelled(SMALL[-1], 1, rng)": "task.labelled(2 * SMALL[-1], 1, rng)",
            "pairwise((0, *SMALL))": "pairwise((0, *(2 * m for m in SMALL)))",
        },
    ),
    Break(
        "factors never rotated",
        ("C4.a", "C4.c"),
        {"turned = B_hat @ (U @ Vt) if rotate else B_hat": "turned = B_hat"},
    ),
    Break(
        "loadings scaled by the eigenvalues without taking off the noise",
        ("C4.a", "C4.b"),
        {"value[..., None, -r:] - 1": "value[..., None, -r:]"},
    ),
    Break(
        "a control that depends on the factors",
        ("C5.a", "C5.b", "C5.c"),
        {
            "return Task(B, xp.zeros((R, 1)), a / xp.linalg.vector_norm(a))": (
                "return Task(B, xp.full((R, 1), math.sqrt(BETA2 / R)), 0 * a)"
            )
        },
    ),
    Break(
        "three quarters of the labels thrown away",
        ("C2.a", "C5.d"),
        {TWO_PHASE: "two_phase(x[:, None, : n // 4, :], y[:, None, : n // 4, :], A)"},
    ),
    Break(
        "a control in which least squares on the labels is given out as two-phase",
        ("C5.b", "C5.c"),
        {TWO_PHASE: "erm(x, y)[:, None, ...] + 0 * A[..., :1]"},
        competitor=True,
    ),
    Break(
        "k-means on the labelled points given out as phase 1",
        ("C6.a", "C6.b", "C6.c", "C6.d", "C6.e"),
        {
            "vote(nearest(x, world.u_hat), y, rng)[world.near_hat]": (
                "k_means_votes(x, y, world.x, rng)"
            )
        },
        competitor=True,
    ),
    Break(
        "ten of the points as centres, without a step of expectation-maximisation",
        ("C6.a", "C6.b", "C6.c"),
        {
            "em(x, kmeans_plus_plus(x[: 100 * K, :], K, seed=rng)) for _": "(0.0, x[:K, :]) for _",
        },
    ),
    Break(
        "ridge regression given out as contrastive pretraining",
        ("C7.a", "C7.b", "C7.c"),
        {
            "weights = {name: two_phase(z, y, A) for name, A in features.items()}": (
                "weights = {name: ridge(z, y) for name in features}"
            )
        },
        competitor=True,
    ),
    Break(
        "signs shuffled among the pairs",
        ("C7.a", "C7.b", "C7.c"),
        {"s = 2.0 * together - 1": "s = rng.permutation(2.0 * together - 1)"},
    ),
    Break(
        "the signs' features given out as those of x alone",
        ("C7.d",),
        {"xp.linalg.eigh(x.T @ x)[1][:, -R7:]": "features[PAIRS[0]]"},
    ),
    Break(
        "half of the unlabelled points thrown away",
        ("C2.a",),
        {
            "ppca(second_moments(task.B, sizes, rng), R)": (
                "ppca(second_moments(task.B, [m // 2 for m in sizes], rng), R)"
            )
        },
    ),
    Break(
        "labels of other points",
        ("C1.a", "C1.b", "C2.a", "C2.b", "C2.d", "C2.e", "C3.b"),
        {
            "return f @ self.B.T + mu, f @ self.beta": (
                "return f @ self.B.T + mu, f[:, ::-1, :] @ self.beta"
            )
        },
    ),
    Break(
        "zero given out as two-phase in the control",
        ("C5.e",),
        {
            "excess(w, task.best(), task.B)": (
                'excess(w * (informative or name != "two-phase"), task.best(), task.B)'
            )
        },
        competitor=True,
    ),
    Break(
        "half of each cluster's labels thrown away",
        ("C6.a", "C6.b", "C6.c"),
        {
            "vote(nearest(x, world.u_hat), y, rng)[world.near_hat]": (
                "vote(nearest(x[: n // 2, :], world.u_hat), y[: n // 2], rng)[world.near_hat]"
            )
        },
    ),
    Break(
        "half of the pairs thrown away",
        ("C7.e",),
        {
            "contrast(x[:m, :], x2[:m, :], s[:m], rng)": (
                "contrast(x[: m // 2, :], x2[: m // 2, :], s[: m // 2], rng)"
            )
        },
    ),
    Break(
        "the true features given out as those of the signs",
        ("C7.b", "C7.e"),
        {"contrast(x[:m, :], x2[:m, :], s[:m], rng)": "theta"},
    ),
]
