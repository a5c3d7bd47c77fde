"""Breaks of the chapter on likelihood-adjusted semidefinite programs."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "K-means given out as LA-SDP with known covariances",
        ("C2.a",),
        {
            '"LA-SDP (true covariances)": mass_labels(Z),': (
                '"LA-SDP (true covariances)": k_means(X, 2),'
            )
        },
        competitor=True,
    ),
    Break(
        "EM from one random start given out as iLA-SDP in the trap",
        ("C3.b",),
        {
            '"iLA-SDP": errors(from_ila, truth)}': (
                '"iLA-SDP": errors(from_random["EM, one random start"], truth)}'
            )
        },
        competitor=True,
    ),
    Break(
        "hard EM given out as the soft iteration",
        ("C4.f", "C4.d"),
        {
            '    "iLA-SDP, soft": soft,\n    "CEM"': (
                '    "iLA-SDP, soft": em(X_runs, start, 2, hard=True),\n    "CEM"'
            )
        },
        competitor=True,
    ),
    Break(
        "the log-determinant is dropped from the costs",
        ("C1.f",),
        {"return half_distance + logdet[..., None, None]": "return half_distance"},
    ),
    Break(
        "the solver stops after ten steps",
        ("C1.a", "C1.e"),
        {"Z, state = sdp(C, steps=1000, tol=5e-4)": "Z, state = sdp(C, steps=10, tol=5e-4)"},
    ),
    Break(
        "a floor in the units of the coordinates",
        ("C1.i",),
        {
            "    L = xp.linalg.cholesky(transpose(centred) @ centred / X.shape[1])[:, None]": (
                "    variance = xp.mean(centred**2, axis=(1, 2))[:, None, None]\n"
                "    L = (xp.sqrt(variance) * xp.eye(X.shape[2]))[:, None]"
            )
        },
    ),
]
