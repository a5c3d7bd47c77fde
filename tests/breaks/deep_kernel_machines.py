"""Breaks of the chapter on deep kernel machines."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the NNGP given out as the deep kernel machine",
        ("C4.a", "C4.d"),
        {
            "rmse(predict(U, k, blocks, Y, noise), held_out)": (
                "rmse(predict(identity(n), k, blocks, Y, noise), held_out)"
            )
        },
        competitor=True,
    ),
    Break(
        "a likelihood that is not scaled with the width",
        ("C2.a", "C2.b"),
        {"runs = {N: sample(N, N, steps)": "runs = {N: sample(N, 1, steps)"},
    ),
    Break(
        "half of the divergence",
        ("C1",),
        {"return norms / 2 - sum(ad.sum(": "return norms / 4 - sum(ad.sum("},
    ),
    Break(
        "the determinant of the sparse bound is dropped",
        ("C5.a",),
        {"return fit / 2 - C * log_det": "return fit / 2"},
    ),
    Break(
        "the arc-cosine kernel's gradient by the norms is dropped",
        ("C3.c",),
        {"slope = xp.sin(angle(G, a, b))": "slope = 0 * xp.sin(angle(G, a, b))"},
    ),
]
