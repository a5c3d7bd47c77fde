"""Breaks of the chapter on a generator of hierarchical Gaussians."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the clipped arm's pictures given out as the hierarchical arm's",
        ("C3.c", "C4.b", "C4.e"),
        {
            "score = {key:": (
                'images["end", "with parents"] = images["end", "clipped"]\nscore = {key:'
            ),
            'shots = [pictures("end", arm, s,': 'shots = [pictures("end", "clipped", s,',
        },
        competitor=True,
    ),
    Break(
        "the free arm's pictures given out as the hierarchical arm's",
        ("C4.a",),
        {
            "score = {key:": (
                'images["early", "with parents"] = images["early", "free"]\nscore = {key:'
            )
        },
        competitor=True,
    ),
    Break(
        "the mean real picture for every z",
        ("C3.b", "C3.c"),
        {
            "    return draw(together(scenes_of(when, arm, s, z)), theta, width)[0]": (
                "    mean = xp.mean(reals, axis=0, keepdims=True)\n"
                "    return xp.concat([mean] * len(z), axis=0)"
            )
        },
    ),
    Break(
        "the parent's rotation dropped from the position",
        ("C1.b", "C1.e"),
        {'mu = P["mu"] + (rotation(P["q"]) @ offset[..., None])[..., 0]': 'mu = P["mu"] + offset'},
    ),
    Break(
        "the child's own scale in the position",
        ("C1.b",),
        {
            'offset = ad.exp(P["s"]) * ad.tanh(x["mu"])': (
                'offset = ad.exp(P["s"] - ad.softplus(-x["s"])) * ad.tanh(x["mu"])'
            )
        },
    ),
    Break(
        "no tanh in the position",
        ("C1.b", "C1.e", "C1.f"),
        {'offset = ad.exp(P["s"]) * ad.tanh(x["mu"])': 'offset = ad.exp(P["s"]) * x["mu"]'},
    ),
    Break(
        "the step taken below a pixel as well",
        ("C1.g",),
        {"return xp.astype(wide, s_P.dtype) * sizes.step": "return 0 * s_P + sizes.step"},
    ),
    Break(
        "no step between levels",
        ("C1.c", "C1.g"),
        {"return xp.astype(wide, s_P.dtype) * sizes.step": "return 0 * s_P"},
    ),
    Break(
        "the anchors detached from the gradient",
        ("C2.a",),
        {
            'split(A if "anchors" in rules else G[-1], sizes.r)': (
                "split({k: ad.stop_gradient(v) for k, v in A.items()}, sizes.r)"
            )
        },
    ),
    Break(
        "the generator's loss with the wrong sign",
        ("C3.a", "C3.b"),
        {"L_g = ad.sum(ad.softplus(-fooled))": "L_g = ad.sum(ad.softplus(fooled))"},
    ),
    Break(
        "the critic never learns",
        ("C3.a", "C3.b"),
        {"return (L_D + L_g) / BATCH": "return L_g / BATCH"},
    ),
    Break(
        "the finer levels transparent",
        ("C6.c",),
        {
            "    return [flatten(G) for G in levels]\n": (
                "    levels = levels[:1] + [G | {'a': G['a'] - 50} for G in levels[1:]]\n"
                "    return [flatten(G) for G in levels]\n"
            )
        },
    ),
    Break(
        "the same random vector for every picture",
        ("C3.b", "C3.c"),
        {
            "    return draw(together(scenes_of(when, arm, s, z)), theta, width)[0]": (
                "    return draw(together(scenes_of(when, arm, s, 0 * z)), theta, width)[0]"
            )
        },
    ),
    Break(
        "Gaussians that reach into the next picture of the strip",
        ("C2.c",),
        {"xp.where(here == pairs.spread_gaussians(tile), alpha,": "xp.where(here >= 0, alpha,"},
    ),
]
