"""Breaks of the chapter on scenes from eight views."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "B given out as the regularised scene",
        ("C1.c", "C1.d", "C3.b", "C8.c"),
        {
            "arms, from_points = ladder(world, SEED)\n": (
                "arms, from_points = ladder(world, SEED)\narms['C'] = arms['B']\n"
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
        ("C9", "C9.b"),
        {
            "gains = {r: gain_on_left_out(snapshots, world.photos, r) for r in (0, 3)}": (
                "gains = dict.fromkeys((0, 3), gain_on_left_out(snapshots, world.photos, 0))"
            )
        },
        competitor=True,
    ),
    Break(
        "the identity as repair model",
        ("C9", "C9.b"),
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
        "virtual views without weight",
        ("C8.c", "C1.c"),
        {"return [(P, 0.6 * some) for P, some in": "return [(P, 0 * some) for P, some in"},
    ),
    Break(
        "the far points' repair left out",
        ("C1.h",),
        {
            "clouds.append(fuse(D, clean(D, confidence, cameras), photos, cameras))": (
                "D, confidence = zip(*stereo, strict=True)\n"
                "        clouds.append(fuse(D, clean(D, confidence, cameras), photos, cameras))"
            )
        },
    ),
    Break(
        "arm A with the fused points",
        ("C1",),
        {
            "p = splatting.initialise(*(xp.astype(a, xp.float32) for a in few), opacity=0.3)": (
                "p = start(*world.points[:2], seed)"
            )
        },
    ),
    Break(
        "a test view among the virtual targets",
        ("C7",),
        {
            "cloud = blobs(*world.points)\n": (
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
