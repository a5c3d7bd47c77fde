"""Breaks of the chapter on the tester-learner for halfspaces."""

from bookbuild.breaks import Break

VERDICT = "answer = None if any(alone) or any(tests[-1]) else w"
TESTS = "return T1(s, sigma), T2(s, w, rng), T3(s)"

BREAKS = [
    Break(
        "averaging given out as the learner",
        ("C2.a", "C2.f", "C6.b"),
        {
            "    return unit(total)\n": (
                "    return unit(0 * total + xp.matrix_transpose(X) @ y[..., None])\n"
            )
        },
        competitor=True,
    ),
    Break(
        "the tester that sees only the points given out as the full one",
        ("C4.d", "C7.e"),
        {VERDICT: "answer = None if any(alone) else w"},
        competitor=True,
    ),
    Break(
        "labels shuffled",
        ("C2.a",),
        {
            "X if rotation is None else X @ rotation, y, clean": (
                "X if rotation is None else X @ rotation, xp.roll(y, 1, axis=-1), clean"
            )
        },
    ),
    Break(
        "the learner's loss twice as wide",
        ("C1.a", "C1.b", "C2.a"),
        {
            "    e = xp.exp(-xp.abs(t) / sigma)\n": (
                "    sigma = 2 * sigma\n    e = xp.exp(-xp.abs(t) / sigma)\n"
            )
        },
    ),
    Break("a tester that accepts everything", ("C4.a", "C4.b", "C4.c"), {VERDICT: "answer = w"}),
    Break("a tester that accepts nothing", ("C3.a", "C3.b", "C6.c"), {VERDICT: "answer = None"}),
    Break(
        "T0 left out",
        ("C4.b",),
        {"with_errors(X, y, W), T0(X, rng)": "with_errors(X, y, W), (False, False)"},
    ),
    Break("T1 left out", ("C7.b",), {TESTS: "return False, T2(s, w, rng), T3(s)"}),
    Break("T2 without its lower bound", ("C5.c", "C7.a", "C7.e"), {"LOWER = 0.6": "LOWER = 0.0"}),
    Break("T3 left out", ("C7.c",), {TESTS: "return T1(s, sigma), T2(s, w, rng), False"}),
    Break(
        "the slab of a random direction tested in place of the candidate's",
        ("C5.c", "C7.a", "C7.b"),
        {
            "    s = slabs(X, w, sigma)\n": (
                "    w = unit(rng.standard_normal((len(w), 1)))[:, 0]\n    s = slabs(X, w, sigma)\n"
            )
        },
    ),
    Break(
        "the best of the list given out as what averaging leads to",
        ("C5.b",),
        {"= excess(one, W[:, 0]), v.answer": "= excess(one, v.first), v.answer"},
    ),
]
