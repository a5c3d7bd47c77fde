"""Breaks of the chapter on singular distributions."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "raw data with a wider model given out as the perturbed fit",
        ("C1.b1", "C1.b2", "C1.i"),
        {
            "return em(x + noise * zeta, even(J), sigma, steps)": (
                "return em(x, even(J), sigma, steps)"
            ),
            "x, C, path = x + noise * zeta, even(60), []": "x, C, path = x, even(60), []",
        },
        competitor=True,
    ),
    Break(
        "perturbed data, but the model's width left sharp",
        ("C1.a2", "C1.a6", "C1.c"),
        {"perturbed = {sigma: mean_W1(sigma, sigma)": "perturbed = {sigma: mean_W1(sigma, SHARP)"},
    ),
    Break(
        "the data themselves given out as the perturbed fit",
        ("C1.a3", "C1.a4"),
        {
            "return em(x + noise * zeta, even(J), sigma, steps)": (
                "C, path = em(x + noise * zeta, even(J), sigma, steps)\n"
                "    quantiles = np.quantile(to_host(x), (np.arange(J) + 0.5) / J)\n"
                "    return (to_device(quantiles)[:, None] if noise else C), path"
            )
        },
        competitor=True,
    ),
    Break(
        "a truth without unevenness, in which the failure cannot be seen",
        ("C1.a1", "C1.d"),
        {
            "QUANTILES = xp.sqrt((xp.arange(3000) + 0.5) / 3000)": (
                "QUANTILES = (xp.arange(3000) + 0.5) / 3000"
            ),
            "return xp.sqrt(rng.random((n, 1))), rng.standard_normal((n, 1))": (
                "return rng.random((n, 1)), rng.standard_normal((n, 1))"
            ),
        },
    ),
    Break(
        "EM that never moves",
        ("C1.a2", "C1.a6"),
        {"    return C, path": "    return even(len(C)), path"},
    ),
    Break(
        "centres that start at data, near the truth",
        ("C1.a1", "C1.d"),
        {
            "return em(x + noise * zeta, even(J), sigma, steps)": (
                "return em(x + noise * zeta, x[:J, :], sigma, steps)"
            )
        },
    ),
    Break(
        "the noise added back to the fitted centres",
        ("C1.b2",),
        {
            "return em(x + noise * zeta, even(J), sigma, steps)": (
                "C, path = em(x + noise * zeta, even(J), sigma, steps)\n"
                "    return C + noise * zeta[:J, :], path"
            )
        },
    ),
    Break(
        "quantiles of the data in place of the k-means centres",
        ("C2.b",),
        {
            "limit.append(np.sort(kmeans.cluster_centers_[:, 0]))": (
                "limit.append(np.quantile(x[:, 0], (np.arange(60) + 0.5) / 60))"
            )
        },
    ),
    Break(
        "the noise added back to the network's points",
        ("C6.b",),
        {
            "return network(params, GRID), curve(GRID) @ A.T, A": (
                "width = xp.asarray([s for _, s in KINDS])[:, None, None]\n"
                "    extra = width * rng.standard_normal((len(KINDS), 300, D))\n"
                "    return network(params, GRID) + extra, curve(GRID) @ A.T, A"
            )
        },
    ),
]
