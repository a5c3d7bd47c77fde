"""Breaks of the chapter on scale-wise autoregressive models."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "VAR given out as M-VAR",
        ("C3.b",),
        {'"M-VAR": ("inside", True)': '"M-VAR": ("block-causal", False)'},
        competitor=True,
    ),
    Break(
        "attention inside scales alone given out as M-VAR",
        ("C4.a",),
        {'"M-VAR": ("inside", True)': '"M-VAR": ("inside", False)'},
        competitor=True,
    ),
    Break(
        "draws of the frequencies given out as samples",
        ("C6.a",),
        {"to_images(samples[g][1])": "to_images(f_hat)"},
        competitor=True,
    ),
    Break(
        "attention reads row by row inside a scale",
        ("C3.b", "C3.d", "C4.b"),
        {
            '"inside": of[:, None] == of}': (
                '"inside": (of[:, None] == of) & np.tri(len(of), dtype=bool)}'
            )
        },
    ),
    Break(
        "the input of a scale shows the tokens that are to be drawn",
        ("C4.a2", "C4.a3", "C4.c"),
        {"r2[..., quarter]], axis=-1)": "xp.where(copied, source, r3)], axis=-1)"},
    ),
    Break(
        "every part of a block multiplied by zero",
        ("C4.a", "C4.b", "C5.a2"),
        {
            "x = x + gamma * attend(": "x = x + 0 * gamma * attend(",
            "x = x + gamma * y": "x = x + 0 * gamma * y",
            "x = x + gamma * nn.dense(": "x = x + 0 * gamma * nn.dense(",
        },
    ),
    Break(
        "the labels of the training images exchanged",
        ("C5.b", "C6.b"),
        {
            "xp.where(no_class, CLASSES, labels_train[rows])": (
                "xp.where(no_class, CLASSES, labels_train[xp.roll(rows, 1, axis=1)])"
            )
        },
    ),
    Break(
        "the step missing in the recurrence",
        ("C3.a",),
        {"* H + step * fresh": "* H + fresh"},
    ),
    Break(
        "a cache that forgets the inputs of the filter",
        ("C3.a", "C6.a3"),
        {'cache.get("inputs", start)': "start"},
    ),
    Break(
        "the memory reset at each scale",
        ("C3.a", "C6.a3"),
        {'(ad.exp(last)[..., None] * cache["H"] if "H" in cache else 0)': "0"},
    ),
    Break(
        "the modulation left out of the count",
        ("C1.c", "C1.d"),
        {"(2 + ssm) * 3 * (C**2 + C)": "0"},
    ),
]
