"""Breaks of the chapter on compositional energy models."""

from bookbuild.breaks import Break

NOISE_TERM = "xp.exp(log_w[n:, ...] - self.log_u) / m])"
SETTING = '    "MECO, γ = 0.05": (0.05, 0.01),\n'

BREAKS = [
    Break(
        "the plug-in given out as MECO, one noise point",
        ("C3.a", "C3.c"),
        {SETTING: SETTING.replace("(0.05,", "(1.0,")},
        competitor=True,
    ),
    Break(
        "weights without the noise's density",
        ("C3.a",),
        {"(gaussian[0] * x * x + gaussian[1])": "(-0.5 * x * x)"},
    ),
    Break(
        "the noise term dropped",
        ("C3.a",),
        {NOISE_TERM: "0 * " + NOISE_TERM},
    ),
    Break(
        "the noise term with the wrong sign",
        ("C3.a",),
        {NOISE_TERM: "-" + NOISE_TERM},
    ),
    Break(
        "steps as long as γ, and the median of the runs in place of the mean",
        ("C3.a", "C3.c"),
        {
            SETTING: SETTING.replace("0.01)", "0.1)"),
            "measured=good.mean()": "measured=np.median(good)",
        },
    ),
    Break(
        "one γ for the whole sweep",
        ("C3.f", "C3.g"),
        {"sweep = descend(meco(*gammas)": "sweep = descend(meco(*[0.05] * 7)"},
    ),
    Break(
        "NCE's parameters given out as MECO's in the race",
        ("C2.b",),
        {"race(meco(*GAMMAS), [(4, 4, 0.1)] * 4)": "race(nce, [(4, 4, 1.0)] * 4)"},
        competitor=True,
    ),
    Break(
        "NCE with its constant frozen at zero",
        ("C1.c", "C2.c"),
        {
            "np.stack([pull @ x, -pull.sum(axis=-1)]": "np.stack([pull @ x, 0 * pull.sum(axis=-1)]",
            'ratio - params["c"] if': 'ratio - 0 * params["c"] if',
        },
    ),
    Break(
        "the plug-in given out as MECO, small batches on the ring",
        ("C5.f",),
        {'METHODS = {"MECO": meco(0.1)': 'METHODS = {"MECO": meco(1.0)'},
        competitor=True,
    ),
    Break(
        "networks that learned nothing",
        ("C5.a", "C5.c", "C6.a"),
        {"return lambda x: r(params, encode(x))": "return lambda x: 0 * r(params, encode(x))"},
    ),
    Break(
        "NCE's scores given out as MECO's on the digits",
        ("C7.a",),
        {'DIGITS = {"MECO": meco(0.1)': 'DIGITS = {"MECO": nce'},
        competitor=True,
    ),
    Break(
        "the weights of the importance sample without their own law",
        ("C6.c",),
        {"log_w = log_tilde(z) - law.log_density(z)": "log_w = log_tilde(z) - q.log_density(z)"},
    ),
    Break(
        "the grid's cell forgotten in the moons' normaliser",
        ("C5.h",),
        {"log_Z(log_tilde(grid / 2), H / 2)": "log_Z(log_tilde(grid / 2))"},
    ),
    Break(
        "the damped variant is not damped",
        ("C7.g",),
        {"damped=True)}": "damped=False)}"},
    ),
    Break(
        "the exact normaliser is the running average after all",
        ("C3.i",),
        {"u = lfilter([gamma], [1, gamma - 1], w, axis=0)": "u = np.exp(theta**2 / 2)"},
    ),
]
