"""Breaks of the chapter on the light Schrödinger bridge."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "Sinkhorn's map given out as LightSB's",
        ("C5.d",),
        {
            '"LightSB": [sample_plan(x, theta, eps, rng) for _ in range(10)]': (
                '"LightSB": 10 * [sinkhorn_weights(x0, x1, eps, x) @ x1]'
            )
        },
        competitor=True,
    ),
    Break(
        "the shift by class means given out as LightSB's",
        ("C5.c",),
        {
            '"LightSB": [sample_plan(x, theta, eps, rng) for _ in range(10)]': (
                '"LightSB": 10 * [x + xp.mean(x1, axis=0) - xp.mean(x0, axis=0)]'
            )
        },
    ),
    Break(
        "the conditional mean moves with eps S instead of S",
        ("C4.a",),
        {
            'm = theta["r"] + S * x0[:, None, :]': 'm = theta["r"] + eps * S * x0[:, None, :]',
        },
    ),
    Break(
        "the normaliser's part of the gradient of S is dropped",
        ("C1.a",),
        {"(S / eps * P_phi[..., D + 1 :] - Q_squares": "(0 * S - Q_squares"},
    ),
    Break(
        "the drift's weights forget how far the components lie from the origin",
        ("C4.a",),
        {"- t * xp.sum(r**2 / B, axis=-1) / (2 * eps)": ""},
    ),
    Break(
        "independent samples' mean and covariance given out as the plan",
        ("C2.a", "C2.b"),
        {"error = [uvp(conditional_moments(x, th, eps)": "error = [uvp(p1"},
    ),
]
