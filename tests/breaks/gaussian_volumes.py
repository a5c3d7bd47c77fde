"""Breaks of the chapter on volumes of Gaussians."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the fit without the pool given out as the full method",
        ("C1.b", "C2.b", "C2.c"),
        {'"full": {},': '"full": {"active": False},'},
        competitor=True,
    ),
    Break(
        "the offsets of the full method held at zero",
        ("C2", "C2.b"),
        {'"full": {},': '"full": {"offsets": False},'},
    ),
    Break(
        "no fine on large offsets",
        ("C3.c",),
        {'"full": {},': '"full": {"fine": 0.0},'},
    ),
    Break(
        "nodes of split Gaussians not returned to the pool",
        ("C1",),
        {"pool.free[pool.node[gone]] = True": "pool.free[pool.node[to_host(dead)]] = True"},
    ),
    Break(
        "two Gaussians at one node",
        ("C1",),
        {"match(m, pool.free)\n    pool.free[node] = False\n": "match(m, pool.free)\n"},
    ),
    Break(
        "proposals accepted from anywhere",
        ("C1",),
        {"axis=1) <= 1.5 * h": "axis=1) <= 9 * h"},
    ),
    Break(
        "labels shuffled in the training of the denoiser",
        ("C4",),
        {"denoiser(F, y, scale(": "denoiser(F, generator(60).host.permutation(y), scale("},
    ),
    Break(
        "the mean field of the label as every sample",
        ("C4.e",),
        {'"drawn": (drawn, y_drawn),': '"drawn": (MEANS[y_drawn], y_drawn),'},
        competitor=True,
    ),
    Break(
        "training fields handed back as samples",
        ("C4.b",),
        {'"drawn": (drawn, y_drawn),': '"drawn": (copies, y_drawn),'},
        competitor=True,
    ),
    Break(
        "the mean field with white noise as every sample",
        ("C4.g",),
        {'"drawn": (drawn, y_drawn),': '"drawn": (noisy, y_drawn),'},
        competitor=True,
    ),
    Break(
        "the middle of two training fields as every sample",
        ("C4.e",),
        {
            '"drawn": (drawn, y_drawn),': '"drawn": ((copies + copies[::-1].reshape(3, 24, 8, -1)'
            "[:, ::-1].reshape(copies.shape)) / 2, y_drawn),"
        },
        competitor=True,
    ),
    Break(
        "one variance for all components of the denoiser",
        ("C4.g",),
        {"np.maximum(LAMBDA, 1e-9), scale": "0 * LAMBDA + 0.015, scale"},
    ),
    Break(
        "an untrained denoiser",
        ("C4", "C4.c", "C4.e"),
        {"scale(default=800,": "scale(default=1,"},
    ),
    Break(
        "the noise schedule shifted by one",
        ("C5",),
        {"a = alpha_bar[t - 1].reshape": "a = alpha_bar[np.minimum(t, T - 1)].reshape"},
    ),
    Break(
        "the network of the volume loss alone given out as that of both",
        ("C6", "C6.c"),
        {'"3D + 2D": (1, 1)': '"3D + 2D": (1, 0)'},
        competitor=True,
    ),
    Break(
        "the network of the picture loss alone given out as that of both",
        ("C6.c", "C6.e"),
        {'"3D + 2D": (1, 1)': '"3D + 2D": (0, 1)'},
    ),
    Break(
        "the predictor is told the label alone",
        ("C6.b",),
        {"windows.reshape(*F.shape, 27)": "0 * windows.reshape(*F.shape, 27)"},
    ),
]
