"""Breaks of the chapter on scenes from eight views."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "B given out as the regularised scene",
        ("C1.c", "C1.d", "C3.b", "C8.c"),
        {
            "more, from_points = second_rung(world, SEED)\n": (
                "more, from_points = second_rung(world, SEED)\nmore['C'] = arms['B']\n"
            )
        },
        competitor=True,
    ),
    Break(
        "C trained on given out as the refined scene",
        ("C1.g",),
        {
            'late["D"], last = refine(arms["C"], world, SEED, from_points, model)\n': (
                '_, last = refine(arms["C"], world, SEED, from_points, model)\n'
            ),
            'late["C2"], _ = refine(arms["C"], world, SEED, from_points)\n': (
                'late["C2"], _ = refine(arms["C"], world, SEED, from_points)\n'
                'late["D"] = late["C2"]\n'
            ),
        },
        competitor=True,
    ),
    Break(
        "a repair that only shifts colours given out as the repair",
        ("C9.b", "C9.d"),
        {
            "{r: gain_on_left_out(s, world.photos, r) for r in (0, 3)}": (
                "dict.fromkeys((0, 3), gain_on_left_out(s, world.photos, 0))"
            )
        },
        competitor=True,
    ),
    Break(
        "the identity as repair model",
        ("C9", "C9.b", "C9.d"),
        {
            "return xp.astype(xp.clip(picture + missing, 0.0, 1.0), picture.dtype)": (
                "return picture"
            )
        },
    ),
    Break(
        "repaired views without weight",
        ("C1.g",),
        {
            "targets = list(zip(pictures, w.tolist(), strict=True))": (
                "targets = [(picture, 0.0) for picture in pictures]"
            )
        },
    ),
    Break(
        "the monocular depth negated",
        ("C8.a",),
        {
            "L = L + 0.1 * depth_loss(seen, world.depths[k], boxes)": (
                "L = L + 0.1 * depth_loss(seen, -world.depths[k], boxes)"
            )
        },
    ),
    Break(
        "the monocular depths shuffled between views",
        ("C8.a",),
        {
            "L = L + 0.1 * depth_loss(seen, world.depths[k], boxes)": (
                "L = L + 0.1 * depth_loss(seen, world.depths[(k + 3) % len(world.depths)], boxes)"
            )
        },
    ),
    Break(
        "the depth term without weight",
        ("C8.a",),
        {"L = L + 0.1 * depth_loss(seen, world.depths[k], boxes)": "L = L + 0"},
    ),
    Break(
        "normals of the camera taken for those of the world",
        ("C8.b",),
        {
            "L = L + 0.01 * normal_loss(seen, world.normals[k])": (
                "turn = single(world.cameras[k].R.T)\n"
                "            L = L + 0.01 * normal_loss(seen, world.normals[k] @ turn)"
            )
        },
    ),
    Break(
        "the monocular normals shuffled between views",
        ("C8.b",),
        {
            "L = L + 0.01 * normal_loss(seen, world.normals[k])": (
                "L = L + 0.01 * normal_loss(seen, world.normals[(k + 3) % len(world.normals)])"
            )
        },
    ),
    Break(
        "points of half of the photographs only",
        ("C1",),
        {
            "chosen = generator(seed).host.permutation(points.shape[0])[:n]": (
                "chosen = generator(seed).host.permutation(points.shape[0] // 2)[:n]"
            )
        },
    ),
    Break(
        "virtual views without weight",
        ("C8.c",),
        {"return [(P, 0.6 * some) for P, some in": "return [(P, 0 * some) for P, some in"},
    ),
    Break(
        "the far points' repair left out",
        ("C1.h",),
        {
            "D, confidence = zip(*world.maps[3 if repaired else 1], strict=True)": (
                "D, confidence = zip(*world.maps[1], strict=True)"
            )
        },
    ),
    Break(
        "arm A with the fused points",
        ("C1",),
        {
            "p = splatting.initialise(*(xp.astype(a, xp.float32) for a in few), opacity=0.3)": (
                "p = start(*cloud_of(world)[:2], seed)"
            )
        },
    ),
    Break(
        "a test view among the virtual targets",
        ("C7",),
        {
            "cloud = blobs(*cloud_of(world))\n": (
                "first = xp.astype(world.truths[0].image, xp.float32)\n"
                "    return [(first, 0.6)] * len(world.virtual)\n"
            )
        },
    ),
    Break(
        "left and right swapped",
        ("C6", "C6.b"),
        {"t = (-sign * BASELINE * side, 0, 0)": "t = (sign * BASELINE * side, 0, 0)"},
    ),
    Break(
        "points on the plane given out as those from disparities",
        ("C6",),
        {'(("disparity", noisy), ("plane", plane))': '(("disparity", plane), ("plane", plane))'},
        competitor=True,
    ),
    Break(
        "the standard deviation of a sample",
        ("C4.a",),
        {
            "(ad.sqrt(ad.mean(a * a, axis=-1) + 1e-12) for a in (x, y))": (
                "(ad.sqrt(ad.sum(a * a, axis=-1) / (a.shape[-1] - 1)) for a in (x, y))"
            )
        },
    ),
    Break(
        "centres of cameras interpolated for translations",
        ("C5.c",),
        {
            "return replace(a, R=R, t=(1 - t) * a.t + t * b.t)": (
                "return replace(a, R=R, t=-R @ ((1 - t) * a.position + t * b.position))"
            )
        },
    ),
    Break(
        "weights 1 everywhere",
        ("C5.a",),
        {"return np.minimum(1, 16 * d / d_max), d_max": "return np.ones(len(d)), d_max"},
    ),
]
