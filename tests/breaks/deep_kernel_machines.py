"""Breaks of the chapter on deep kernel machines."""

from bookbuild.breaks import Break

FIT = "errors[nu].append(rmse(predict(U, k, blocks, Y, noise), held_out))"

BREAKS = [
    Break(
        "the likelihood is not raised to the width",
        ("C2.a", "C2.b"),
        {"powers = [*widths, 1]": "powers = [1] * (len(widths) + 1)"},
    ),
    Break(
        "the divergence is taken with half its determinant",
        ("C1", "C3.d"),
        {
            "/ 2 - log_det": "/ 2 - 0.5 * log_det",
            "(xp.tril(V) - xp.eye": "(xp.tril(V) - 0.5 * xp.eye",
        },
    ),
    Break(
        "the tuned NNGP given out as the deep kernel machine",
        ("C4.a", "C4.d"),
        {FIT: "errors[nu].append(rmse(tuned_nngp(train, Y, test)[0], held_out))"},
        competitor=True,
    ),
    Break(
        "the Gaussian process with a length for each input given out as the deep kernel machine",
        ("C4.e", "C4.f", "C4.g"),
        {FIT: "errors[nu].append(rmse(tuned_gp(train, Y, test, [length] * 4), held_out))"},
        competitor=True,
    ),
    Break(
        "the training targets are shuffled",
        ("C4.a",),
        {
            "blocks, Y = inputs(train, test, s), Y[:n]": (
                "blocks, Y = inputs(train, test, s), Y[rng.permutation(n), :]"
            ),
            'for seed in progress(range(5), "shared structure"):': (
                'for seed in progress(range(5), "shared structure"):\n    rng = generator(seed)'
            ),
        },
    ),
    Break(
        "new points lose the conditional variance of their features",
        ("C5.c",),
        {
            "g_t = k(g_t, g_t, g_t) - ad.sum(H * H, axis=0) + ad.sum(B * B, axis=0)": (
                "g_t = ad.sum(B * B, axis=0)"
            )
        },
    ),
]
