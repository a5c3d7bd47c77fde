"""Breaks of the chapter on the discriminative Kalman filter."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "a particle filter given out as the DKF on bits",
        ("C4.a", "C4.c"),
        {
            'filters | {"PF": pf}': 'filters | {"PF": pf, "clip": pf}',
        },
        competitor=True,
    ),
    Break(
        "f alone given out as the DKF on mixtures",
        ("C2.b", "C2.e", "C3.a"),
        {"rmse(z, dkf(f, Q, A, Gamma, S, variant)[0])": "rmse(z, f)"},
        competitor=True,
    ),
    Break(
        "the prior is not divided out",
        ("C1.a", "C1.b"),
        {"J = (W * (precision - 1)[..., None, :])": "J = (W * precision[..., None, :])"},
    ),
    Break(
        "f alone given out as the DKF on neurons",
        ("C5.a", "C5.b", "C5.c", "C5.d"),
        {'"DKF": filtered["clip"]': '"DKF": fx[0]'},
    ),
    Break(
        "each coordinate of model 9 read from the measurements of the other",
        ("C6.a", "C6.b"),
        {"xp.concat([part(q[:, j::2])": "xp.concat([part(q[:, 1 - j :: 2])"},
    ),
]
