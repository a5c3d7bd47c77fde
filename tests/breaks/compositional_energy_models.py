"""Breaks of the chapter on compositional energy models."""

from bookbuild.breaks import Break

NOISE_TERM = "return ad.mean(weights * r_z, axis=-1)"
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
        {NOISE_TERM: NOISE_TERM.replace("return", "return 0 *")},
    ),
    Break(
        "the noise term with the wrong sign",
        ("C3.a",),
        {NOISE_TERM: NOISE_TERM.replace("return ", "return -")},
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
        {"descend(meco(*SWEEP, 0.05)": "descend(meco(*[0.05] * 6)"},
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
]
