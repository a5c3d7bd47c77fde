"""Breaks of the chapter on Fisher-weighted averaging."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the average given out as the Fisher merge",
        ("C4.f", "C4.j", "C8.a", "C2.a"),
        {"F = xp.where(F > floor, F, floor)": "F = xp.ones_like(theta)"},
        competitor=True,
    ),
    Break(
        "the base network given out as the merge",
        ("C4.b", "C4.f"),
        {
            '"Fisher": test(merge(theta_AB, F_AB, floor=FLOOR)),': '"Fisher": test(base),',
            "test(choose(combine, LAMBDAS, on_validation)[0])": (
                'test(choose(combine, LAMBDAS, on_validation)[0] if name == "average" else base)'
            ),
        },
        competitor=True,
    ),
    Break(
        "the Fishers of the two specialists exchanged",
        ("C4.b", "C4.f", "C4.h"),
        {
            "theta_AB, F_AB = (xp.reshape(a, (2, SEEDS, -1)) for a in (theta_AB, F_AB))": (
                "theta_AB, F_AB = (xp.reshape(a, (2, SEEDS, -1)) for a in (theta_AB, F_AB)); "
                "F_AB = xp.flip(F_AB, axis=0)"
            )
        },
    ),
    Break(
        "the most likely label in place of all labels",
        ("C3.a", "C3.b"),
        {"weight = xp.sqrt((q if": "weight = xp.sqrt((xp.round(q) if"},
    ),
    Break(
        "the square of the summed gradient",
        ("C3.a", "C3.b"),
        {
            '{"weight": (inputs**2).mT @ square, "bias"': (
                '{"weight": (inputs.mT @ xp.sqrt(square)) ** 2, "bias"'
            )
        },
    ),
    Break(
        "shards with the whole ridge each",
        ("C1.a",),
        {"y[to_device(k)], rho / 4)": "y[to_device(k)], rho)"},
    ),
    Break(
        "lambda dropped from the denominator",
        ("C1.b", "C2.a"),
        {"total = xp.tensordot(lam, F, axes=1)": "total = xp.sum(F, axis=0)"},
    ),
    Break(
        "a floor of a hundredth of the largest entry",
        ("C2.a",),
        {"merge(theta, F, floor=0.0)": "merge(theta, F, floor=0.01 * float(xp.max(F)))"},
    ),
    Break(
        "entries of the Fishers permuted",
        ("C4.d", "C8.a"),
        {
            "    return F / xp.linalg.vector_norm(F": (
                "    F = F[..., generator(9).permutation(F.shape[-1])]\n"
                "    return F / xp.linalg.vector_norm(F"
            )
        },
    ),
    Break(
        "the first of the five networks given out as their merge",
        ("C5.a", "C5.b"),
        {"test(merge(theta_5, F_5, floor=FLOOR))": "test(theta_5[0, :, :])"},
        competitor=True,
    ),
    Break(
        "the fine-tuned end of the path given out as the chosen point",
        ("C6.a",),
        {"combine(grid[int(np.argmax(held))])": "combine(grid[-1])"},
        competitor=True,
    ),
    Break(
        "the target's own trunk given out as the half-way one",
        ("C7.e",),
        {"(LAMBDAS[25])": "(LAMBDAS[0])"},
        competitor=True,
    ),
    Break(
        "λ chosen for the average alone",
        ("C4.d", "C4.f"),
        {
            "test(choose(combine, LAMBDAS, on_validation)[0])": (
                'found["Fisher"] if name == "Fisher" else '
                "test(choose(combine, LAMBDAS, on_validation)[0])"
            )
        },
        competitor=True,
    ),
    Break(
        "permuted entries given out as the Fisher merge with chosen λ",
        ("C4.d", "C4.f"),
        {"merge(theta_AB, F_AB, lam, FLOOR)": "merge(theta_AB, shuffled, lam, FLOOR)"},
    ),
    Break(
        "the specialists' labels shuffled",
        ("C4.b",),
        {
            "PIXELS[both], LABELS[both], 20, seed=1001)": (
                "PIXELS[both], xp.flip(LABELS[both], axis=1), 20, seed=1001)"
            )
        },
    ),
    Break(
        "the target's trunk given out as the donor's",
        ("C7.f",),
        {'refitted(donors["donor"])': "refitted(target)"},
        competitor=True,
    ),
    Break(
        "the Fishers of the specialists from eight images each",
        ("C8.a",),
        {"fisher(theta_AB, PIXELS[both])": "fisher(theta_AB, PIXELS[both[:, :8]])"},
    ),
]
