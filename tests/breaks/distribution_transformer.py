"""Breaks of the chapter on distribution transformers."""

from bookbuild.breaks import Break

OF_DT = "kl(exact, on_grid(dt_posterior(net, phi, z)))\n             for"
OURS = "ours = [dt_filter(net, x, z) for net in filter_nets]"
KEEP = "        losses.append(-log_mixture((log_w, mu, log_sigma), x[t, :]))"

BREAKS = [
    Break(
        "SVI given out as the DT",
        ("C1.a", "C3.a", "C3.b", "C3.c"),
        {
            OF_DT: OF_DT.replace(
                "on_grid(dt_posterior(net, phi, z))", "normal(xp.log(b / a) + 1 / (2 * a), 1 / a)"
            )
        },
        competitor=True,
    ),
    Break(
        "the DT with one component given out as that with five",
        ("C1.a", "C3.b"),
        {
            '("DT-5", "wide"): train_dt("wide", 5, 0)': '("DT-5", "wide"): train_dt("wide", 1, 0)',
            'train_dt("wide", 5, 1)': 'train_dt("wide", 1, 1)',
        },
    ),
    Break(
        "the conjugate formula given out as the DT",
        ("C1.a", "C1.d"),
        {OF_DT: OF_DT.replace("on_grid(dt_posterior(net, phi, z))", "exact")},
    ),
    Break(
        "the particle filter given out as the DT",
        ("C5.d",),
        {OURS: "ours = [particle_filter(x, z, generator(4)) for _ in range(2)]"},
        competitor=True,
    ),
    Break(
        "the filter with one component given out as the DT",
        ("C5.b",),
        {OURS: "ours = [(grid_filter(x, z, project=True), [1e-9]) for _ in range(2)]"},
        competitor=True,
    ),
    Break(
        "every prior replaced by the mean of the batch",
        ("C1.a", "C1.b", "C4.a"),
        {
            'nn.mlp(params["phi"], single(*xp.log(phi)), "gelu")': (
                'nn.mlp(params["phi"], single(*(xp.log(phi) * 0 '
                '+ xp.mean(xp.log(phi), axis=1)[:, None])), "gelu")'
            )
        },
    ),
    Break(
        "the observation is zero",
        ("C1.c", "C4.a"),
        {"return single(xp.asinh(z), xp.log(1 + z * z))": "return single(0 * z, 0 * z)"},
    ),
    Break(
        "no prior loss",
        ("C7.a",),
        {
            "return -2 * ad.mean(log_mixture(dt(params, phi, z), twice))": (
                "return -ad.mean(log_mixture(dt_posterior(params, phi, z), twice[: u.shape[0]]))"
            )
        },
    ),
    Break(
        "the filter keeps only the heaviest component",
        ("C5.a", "C5.b"),
        {
            KEEP: (
                "        best = xp.argmax(log_w, axis=1)[:, None]\n"
                "        log_w = xp.where(xp.arange(K) == best, 0.0, -30.0)\n" + KEEP
            )
        },
    ),
    Break(
        "the filter without the mirror",
        ("C5.a", "C5.b"),
        {"z, answer=mirrored)": "z, answer=mixture_dt)"},
    ),
    Break(
        "the divergence the other way round",
        ("C3.c",),
        {
            "return xp.sum(xp.exp(log_p) * (log_p - log_q), axis=1) * DU": (
                "return xp.sum(xp.exp(log_q) * (log_q - log_p), axis=1) * DU"
            )
        },
    ),
    Break(
        "the extended Kalman filter starts at zero",
        ("C5.f",),
        {"clutter, start=1.0)": "clutter, start=0.0)"},
    ),
    Break(
        "the prior's components are numbered",
        ("C6.a",),
        {
            'tokens = nn.mlp(params["component"], prior, "gelu")': (
                'tokens = nn.mlp(params["component"], prior, "gelu")\n'
                "    tokens = tokens + xp.astype(xp.arange(K)[:, None] / 10, kind)"
            )
        },
    ),
]
