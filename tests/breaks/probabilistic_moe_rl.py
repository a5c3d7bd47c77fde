"""Breaks of the chapter on mixture policies."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the score ratio given out as the published rule",
        ("C1.d", "C1.d2", "C1.e", "C3.b"),
        {
            '"frequency": (max_rule, {}),': '"frequency": (score_ratio, {}),',
            '"frequency, max (published)": (max_rule, 4': (
                '"frequency, max (published)": (score_ratio, 4'
            ),
            '"max, K = 2": (max_rule, 2': '"max, K = 2": (score_ratio, 2',
        },
        competitor=True,
    ),
    Break(
        "all components trained, under the name of the best one",
        ("C1.d", "C1.d2"),
        {
            '"frequency, max (published)": (max_rule, 4': (
                '"frequency, max (published)": (all_rule, 4'
            ),
        },
    ),
    Break(
        "one Gaussian given out as the mixture",
        ("C1.b", "C1.b2", "C1.c", "C1.c2", "C4.b", "C4.d"),
        {
            '"score ratio": (score_ratio, 4, {}),': '"score ratio": (score_ratio, 1, {}),',
            '"frequency, all": (all_rule, 4, {}),': '"frequency, all": (score_ratio, 1, {}),',
            '"K = 4, all": (all_rule, 4, {}),': '"K = 4, all": (all_rule, 1, {}),',
        },
        competitor=True,
    ),
    Break(
        "the blend of Gumbel-softmax given out as the score ratio",
        ("C3.a",),
        {
            '"score ratio, baseline": (score_ratio, {}),': '"score ratio, baseline": (gumbel, {}),',
        },
        competitor=True,
    ),
    Break(
        "the worst component rewarded",
        ("C2.a",),
        {"one_hot(xp.argmax(q(xp.tanh(": "one_hot(xp.argmin(q(xp.tanh("},
    ),
    Break(
        "the labels of the gate shifted by one",
        ("C2.a",),
        {
            "return one_hot(xp.argmax(q(xp.tanh(ad.plain(u))), axis=0), u)": (
                "return one_hot((xp.argmax(q(xp.tanh(ad.plain(u))), axis=0) + 1) % len(u), u)"
            )
        },
    ),
    Break(
        "one Gaussian trained for too short a time",
        ("C4.a",),
        {"(rule, K, steps=500 * STEPS,": "(rule, K, steps=60 * STEPS,"},
    ),
    Break(
        "a gate without gradient",
        ("C2.a",),
        {
            "ad.sum(ad.mean((ad.softmax(logits, axis=0) - v) ** 2": (
                "ad.sum(ad.mean((ad.softmax(0 * logits, axis=0) - v) ** 2"
            )
        },
    ),
    Break(
        "training cut short",
        ("C1.b",),
        {"def train(rule, K, steps=400,": "def train(rule, K, steps=50,"},
    ),
    Break(
        "entropy left out of the score ratio, and kept in its faulty copy",
        ("C3.a", "C3.e"),
        {
            '"score ratio, baseline": (score_ratio, {}),': (
                '"score ratio, baseline": (score_ratio, {"alpha": 0.0}),'
            ),
            '"no entropy": (score_ratio, {"alpha": 0.0}),': '"no entropy": (score_ratio, {}),',
        },
    ),
    Break(
        "the Jacobian of tanh dropped",
        ("C1.a", "C6.a", "C6.b"),
        {
            "return ad.sum(normal, axis=-1) - log_slope(u)": "return ad.sum(normal, axis=-1)",
            "parts = (2 * g * xp.tanh(u) - by_mu,": "parts = (-by_mu,",
        },
    ),
]
