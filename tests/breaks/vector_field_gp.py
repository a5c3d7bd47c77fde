"""Breaks of the chapter on vector fields on surfaces known through points."""

from bookbuild.breaks import Break

CENTRES = "np.linalg.norm(to_host(S.centres - S.centres[face, :]), axis=1)"
SPARSE = '{"RVGP": projected} if share < 0.1 else {}'

BREAKS = [
    Break(
        "the coordinate-wise Laplacian model given out as RVGP",
        ("C2.b1", "C2.b3", "C2.b5", "C3.c"),
        {'"RVGP": lambda *data: rvgp(*data)[0]': '"RVGP": scalar_laplacian'},
        competitor=True,
    ),
    Break(
        "the scalar kernel times T_i' T_j given out as RVGP",
        ("C2.b7", "C2.b8"),
        {
            "models = MODELS | (": f"models = MODELS | ({SPARSE}) | (",
        },
        competitor=True,
    ),
    Break(
        "a coordinate-wise model that is not projected",
        ("C2.b1", "C5.c"),
        {
            '"RVGP": lambda *data: rvgp(*data)[0]': '"RVGP": lambda S, q, f: S.V @ fit_weights('
            "S.V[q, ...], S.lam_0, f, 3 * q.shape[1])[0]"
        },
    ),
    Break(
        "connections transposed",
        ("C1.a", "C1.b"),
        {"    return U @ Vt\n": "    return T(U @ Vt)\n"},
    ),
    Break(
        "connections without the singular value decomposition",
        ("C1.a", "C1.b"),
        {"    return U @ Vt\n": "    return T(frame[i, ...]) @ frame[j, ...]\n"},
    ),
    Break(
        "no connection: the coordinates of neighbours compared as they are",
        ("C1.d",),
        {"    return U @ Vt\n": "    return 0 * U + xp.eye(2)\n"},
    ),
    Break(
        "connections that are rotations even between mirrored frames",
        ("C5.a",),
        {
            "    return U @ Vt\n": "    s = xp.linalg.det(U @ Vt)[:, None]\n"
            "    return xp.stack([U[..., 0], s * U[..., 1]], axis=2) @ Vt\n"
        },
    ),
    Break(
        "a flat spectrum",
        ("C2.a1", "C2.c1"),
        {"g = -nu * x.log(": "g = -0.0 * nu * x.log("},
    ),
    Break(
        "known arrows shuffled among the known points",
        ("C2.a1", "C2.a2", "C2.a3", "C3.b1"),
        {
            "return xp.take_along_axis(truth, train[..., None], axis=1)": "return "
            "xp.take_along_axis(truth, xp.roll(train, 1, axis=1)[..., None], axis=1)"
        },
    ),
    Break(
        "indices of another field counted",
        ("C3.b1",),
        {
            "indices(S, truth), indices(S, guess)": "indices(S, truth), "
            "indices(S, xp.flip(guess, axis=0))"
        },
    ),
    Break(
        "angles compared without carrying them",
        ("C3.a",),
        {"wrapped(phi[j] + rho - phi[i])": "wrapped(phi[j] - phi[i])"},
    ),
    Break(
        "the singularity guessed anywhere in the hole",
        ("C4.c",),
        {
            "same = to_host(S.centres)[filled == indices(S, f)[face]]": "same = generator(face)."
            f"host.permutation(to_host(S.centres)[{CENTRES} < 4 * S.edge])[:1]"
        },
    ),
    Break(
        "two eigenvectors where more are asked for",
        ("C6",),
        {"rvgp(wide, train, y, k)": "rvgp(wide, train, y, min(k, 2))"},
    ),
    Break(
        "one deviation for all points",
        ("C7.a",),
        {
            "variance = variances(body, train, theta)": "variance = variances(body, train, theta)\n"
            "variance = 0 * variance + xp.mean(variance)"
        },
    ),
    Break(
        "the likelihood of a bad pair not searched",
        ("C2.d1",),
        {
            "guess, theta = rvgp(body, train, known_arrows(truth, train))\nsaved": "guess, theta = "
            "rvgp(body, train, known_arrows(truth, train), theta=xp.asarray(usual))\nsaved"
        },
    ),
    Break(
        "RVGP with half of its known arrows",
        ("C2.b1", "C2.b3", "C2.b5"),
        {
            '"RVGP": lambda *data: rvgp(*data)[0]': '"RVGP": lambda S, q, f: rvgp('
            "S, q[:, : q.shape[1] // 2], f[:, : q.shape[1] // 2, :])[0]"
        },
    ),
    Break(
        "frames and eigenvectors of another surface",
        ("C2.a2", "C2.b1"),
        {
            "def rvgp(S, train, f, k=100, theta=None):": "def rvgp(S, train, f, k=100, theta=None):"
            "\n    S = ball if len(S.X) == 500 and S.k == 100 else S"
        },
    ),
    Break(
        "deviations without the posterior: the prior's",
        ("C7.a",),
        {" - T(half) @ xp.linalg.solve(C, half))": ")"},
    ),
]
