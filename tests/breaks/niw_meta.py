"""Breaks of the chapter on few-shot learning with a normal-inverse-Wishart posterior."""

from bookbuild.breaks import Break

LEARNED = '"NIW-Meta": mode(learned),'
POINTWISE = '"NIW-Meta": (predictions, niw)}'
NAMED = '"NIW-Meta": accuracy_and_ece(name_digits(m0, s, x, y, queries, rng), truth),'

BREAKS = [
    Break(
        "the covariance dropped from the trace",
        ("C1.c", "C2.f"),
        {"trace = d - n + ad.sum(F * F, axis=(-2, -1))": "trace = 0.0"},
    ),
    Break(
        "the mean of the losses in place of their sum",
        ("C1.a", "C1.c"),
        {
            "    JS, one = J * s[..., None, :]": (
                "    J, z = J / J.shape[-2] ** 0.5, z / J.shape[-2] ** 0.5\n"
                "    JS, one = J * s[..., None, :]"
            )
        },
    ),
    Break(
        "no global given out as NIW-Meta",
        ("C2.f", "C2.g", "C2.h"),
        {LEARNED: '"NIW-Meta": (zero["m0"], 1 + zero["m0"]),'},
        competitor=True,
    ),
    Break(
        "one scale for all weights given out as NIW-Meta",
        ("C2.b", "C2.c", "C2.f", "C2.g", "C2.h"),
        {LEARNED: '"NIW-Meta": mode(one_scale),'},
        competitor=True,
    ),
    Break(
        "the starting mean given out as learned",
        ("C2.a", "C2.b", "C2.e", "C2.f"),
        {
            "learned, curve = learn_family(generator(0))": (
                'learned, curve = learn_family(generator(0), {"m0": xp.zeros((REPETITIONS, 1, 5))})'
            )
        },
    ),
    Break(
        "n0 alone left out of the objective",
        ("C1.c", "C3.a"),
        {"constant = d * (psi(n0 / 2)[..., 0]": "constant = d * (ad.log(n0 / 2)[..., 0]"},
    ),
    Break(
        "FOMAML's points, with the best noise, given out as NIW-Meta",
        ("C4.a", "C4.b", "C4.c", "C4.g"),
        {POINTWISE: '"NIW-Meta": (point_predictions, starts["fomaml"])}'},
        competitor=True,
    ),
    Break(
        "the pooled network, fine-tuned, given out as NIW-Meta",
        ("C4.a", "C4.b", "C4.c", "C4.d", "C4.g"),
        {POINTWISE: '"NIW-Meta": (point_predictions, starts["pooled"])}'},
        competitor=True,
    ),
    Break(
        "half of the known points withheld",
        ("C4.a", "C4.b", "C4.g"),
        {
            "predict(start, x[:, :, :n], y[:, :, :n], x[:, :, n:], rng)": (
                "predict(start, x[:, :, : n // 2], y[:, :, : n // 2], x[:, :, n:], rng)"
            )
        },
    ),
    Break(
        "inner steps left out",
        ("C5.b",),
        {
            "    for _ in range(steps):\n        theta = local_posterior": (
                "    for _ in range(0):\n        theta = local_posterior"
            )
        },
    ),
    Break(
        "the nearest class mean given out as NIW-Meta",
        ("C6.a", "C6.c"),
        {NAMED: '"NIW-Meta": accuracy_and_ece(ad.softmax(-distance), truth),'},
        competitor=True,
    ),
    Break(
        "the graph kept through the inner steps",
        ("C5.a", "C5.c"),
        {"unpacked(ad.stop_gradient(params))": "unpacked(params)"},
    ),
    Break(
        "known labels of the digits shuffled",
        ("C6.c", "C6.f", "C6.i"),
        {NAMED: NAMED.replace("x, y, queries", "x, shuffled, queries")},
    ),
]
