"""Breaks of the chapter on cloud scaling."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "Gaussians given out as the flow: densities, draws and quantiles",
        ("C1.d", "C1.e", "C2.b", "C2.f", "C3.a", "C3.d", "C3.e", "C4.b", "C5.g"),
        {
            "    q = log_density(flow, x[None, :, :], m, mu, sigma)": (
                "    normal = Law(xp.mean(x, axis=0), xp.std(x, axis=0)).log_density(x)\n"
                "    q = xp.sum(normal, axis=-1)[None, :] + xp.zeros((6, 1))"
            ),
            "u = push(flow, mu + sigma * to_test.standard_normal((3, 100_000, n)), m)": (
                "u = KNOWN[law][1][0] + KNOWN[law][1][1] * to_test.standard_normal((3, 100_000, n))"
            ),
            '"hierarchical, flow": {"flow": True}': '"hierarchical, flow": {}',
            "known = score_flow(": "known = (lambda *_: {'top': 1.0})(",
            'p["flow"], *network(p["network"], x[PAST, ...])': "x",
            'tail = {name: trained[FLOW, seed]["flow"][name][0, LOAD] for name in ': (
                "tail = {name: {'epsilon': 0.0, 'log_delta': None}[name] for name in "
            ),
        },
        competitor=True,
    ),
    Break(
        "the regression with a bent error given out as the flow",
        ("C4.b", "C7.b"),
        {
            "minus, ratio = (": (
                'results = {s: r | {FLOW: r["linear, bent"]} for s, r in results.items()}\n'
                "minus, ratio = ("
            ),
            "((FLOW, False), (FLAT, True))": "((FLOW, True), (FLAT, True))",
        },
        competitor=True,
    ),
    Break(
        "the couplings' log-determinant dropped",
        ("C1.b", "C1.c"),
        {"log_det - s\n": "log_det\n"},
    ),
    Break(
        "the mean of a hundred draws pushed through the flow",
        ("C2.b", "C2.f"),
        {
            "mu + sigma * to_test.standard_normal((3, 100_000, n))": (
                "mu + sigma / 10 * to_test.standard_normal((3, 100_000, n))"
            )
        },
    ),
    Break(
        "no adaptation",
        ("C5.d",),
        {"    if adaptive:\n        return law": "    if False:\n        return law"},
    ),
    Break(
        "levels counted in twenty bins",
        ("C5.d",),
        {
            "xp.minimum(u, xp.asarray(1 - 1e-9))": (
                "xp.minimum(xp.ceil(20 * u) / 20, xp.asarray(1 - 1e-9))"
            )
        },
    ),
    Break(
        "the rule sees the demand that it decides about",
        ("C5.c",),
        {
            "xp.where(i < t,": "xp.where(i <= t,",
        },
    ),
    Break(
        "a huge constant capacity",
        ("C5.a", "C6.b"),
        {
            "= Law(mu_f[late], sigma_f[late], **tail, **units)": (
                "= Law(xp.zeros(mu[late].shape), 1.0, centre=1e3)"
            )
        },
    ),
    Break(
        "levels ignored",
        ("C7.b",),
        {"[1] * HOUR + list(levels)": "[1] * HOUR + list(LEVELS)"},
    ),
    Break(
        "the last value with a margin given out as the flow's rule",
        ("C5.b",),
        {
            "RULES = list(laws)": (
                "RULES = list(laws)\n"
                "for key in [k for k in books if k[1] == 'network, flow quantile']:\n"
                "    books[key] = books[key[0], 'last value × margin', *key[2:]]"
            )
        },
        competitor=True,
    ),
    Break(
        "past levels in a random order",
        ("C5.d",),
        {
            "recalibrated(law.cdf(D[start:]), levels)": (
                "recalibrated(to_device(generator(1).host.permutation("
                "to_host(law.cdf(D[start:])))), levels)"
            )
        },
    ),
    Break(
        "the flow's density in units of the windows",
        ("C3.a", "C4.b"),
        {"mu, sigma)[:, None] / N - xp.log(unit)": "mu, sigma)[:, None] / N + 0 * unit"},
    ),
    Break(
        "the flow's CRPS from its mean alone",
        ("C3.c",),
        {"crps_samples(draws, y) * unit": "xp.abs(y - xp.mean(draws, axis=0)) * unit"},
    ),
]
