"""Breaks of the chapter on self-organising Gaussians."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the Morton order of the colours given out as the sorter's",
        ("C2.a", "C2.b"),
        {
            'vads["PLAS"] = float(np.mean([vad(grid) for grid, _ in runs]))': (
                'vads["PLAS"] = vads["Morton order"]'
            )
        },
        competitor=True,
    ),
    Break(
        "the Morton order of the scene given out as the sorter's",
        ("C5.e",),
        {'"sorted": arms[0.0],': '"sorted": reorder(plain, along_morton(cells, SIDE, 10)),'},
        competitor=True,
    ),
    Break(
        "the sorted scene without smoothness given out as the smooth one",
        ("C5.c",),
        {'"sorted and smooth": arms[1.0],': '"sorted and smooth": arms[0.0],'},
        competitor=True,
    ),
    Break(
        "one exchange instead of 24 permutations",
        ("C2.a", "C2.b"),
        {"PI = list(permutations(range(4)))": "PI = [(0, 1, 2, 3), (1, 0, 2, 3)] * 12"},
    ),
    Break(
        "a narrow blur",
        ("C2.a",),
        {"k, k), (n * n, C))\n        for _": "k, phi / 6), (n * n, C))\n        for _"},
    ),
    Break(
        "the sorter stops at a radius of two cells",
        ("C2.a", "C2.b"),
        {"[order], n / 2 - 1\n    while phi >= 1:": "[order], n / 2 - 1\n    while phi >= 2:"},
    ),
    Break(
        "the borders of the blur swapped",
        ("C2.c", "C2.d"),
        {'"mirror"), X': '"wrap"), X', '"wrap"), along_y': '"mirror"), along_y'},
    ),
    Break(
        "the target recomputed at each offset",
        ("C3.a",),
        {
            "    while improved or tries < 4:\n": (
                "    while (improved or tries < 4) and tries < 20:\n"
                "        Y = xp.reshape(blur(xp.reshape(X, (n, n, -1)), k, k), X.shape)\n"
            )
        },
    ),
    Break(
        "the smoothness loss with the wrong sign",
        ("C5.c", "C6.a"),
        {"xp.reshape(lam * w": "xp.reshape(-lam * w"},
    ),
    Break(
        "the colours sorted by another permutation than the rest",
        ("C4",),
        {"{name: a[order] for": '{name: a[order if name != "colors" else xp.flip(order)] for'},
    ),
    Break(
        "random Gaussians dropped for those of lowest opacity",
        ("C8.a", "C8.b"),
        {
            'xp.argsort(p["opacity_logits"]) if rng is None else rng': (
                "generator(5).permutation(N) if rng is None else rng"
            )
        },
    ),
]
