"""Breaks of the chapter on growth curves of hidden classes."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the gating-network's fits given out as the full model's",
        ("C4.b", "C4.f", "C5.c", "C5.d"),
        {
            'fits["full"] = v[:PAIRED], value[:PAIRED]': (
                'fits["full"], MODELS["full"] = fits["gating-network"], MODELS["gating-network"]'
            )
        },
        competitor=True,
    ),
    Break(
        "the finite mixture's fits given out as the full model's",
        ("C4.c", "C4.d", "C4.f", "C5.c", "C5.d"),
        {
            'fits["full"] = v[:PAIRED], value[:PAIRED]': (
                'fits["full"], MODELS["full"] = fits["finite mixture"], MODELS["finite mixture"]'
            )
        },
        competitor=True,
    ),
    Break(
        "classify first, then regress, given out as the gate of the one-step fit",
        ("C2.b1",),
        {
            "error = to_host(natural(data, v)) - true\n": (
                "error = to_host(natural(data, v)) - true\n"
                "plain = data._replace(x=data.x[..., :0], g=data.g[..., :0])\n"
                "likelier = expect(plain, unpack(fit(plain)[0], plain))[0].share\n"
                "likelier = xp.argmax(likelier, axis=1)\n"
                "w = to_host(softmax_regression(data.g, likelier, 2, C=1e6).weights)\n"
                "error[:, 35:37] = w[:, 1] - w[:, 0] - true[35:37]\n"
            )
        },
        competitor=True,
    ),
    Break(
        "intervals from the complete-data information given out as those of the observed",
        ("C3.a", "C3.b1", "C3.b2", "C3.b3"),
        {"v, complete) for complete in (False,": "v, complete) for complete in (True,"},
        competitor=True,
    ),
    Break(
        "covariates of the gate from other persons",
        ("C2.b1", "C5.d"),
        {
            "v, value = fit(data)\ntrue =": (
                "v, value = fit(data._replace(g=xp.flip(data.g, axis=1)))\ntrue ="
            )
        },
    ),
    Break(
        "covariates of the experts from other persons",
        ("C2.a", "C5.c"),
        {
            "v, value = fit(data)\ntrue =": (
                "v, value = fit(data._replace(x=xp.flip(data.x, axis=1)))\ntrue ="
            )
        },
    ),
    Break(
        "the explained variance added on top of the total",
        ("C2.b3",),
        {"np.linalg.cholesky(left)[z]": "np.linalg.cholesky(0 * left + TOTAL)[z]"},
    ),
    Break(
        "one knot for both classes",
        ("C1.a", "C1.b", "C1.c", "C8.a"),
        {
            "    return pack(matched(unpack(v, data))), value": (
                "    p = unpack(v, data)\n"
                "    middle = 0 * p.gamma + xp.mean(p.gamma, axis=1, keepdims=True)\n"
                "    return pack(p._replace(gamma=middle)), value"
            )
        },
    ),
    Break(
        "classes numbered as they come",
        ("C1.a", "C2.a"),
        {
            "    return pack(matched(unpack(v, data))), value": "    return v, value",
            "xp.stack([best // m, best % m], axis=1)": "xp.stack([best % m, best // m], axis=1)",
        },
    ),
    Break(
        "the wrong sign of a log-determinant",
        ("C1.d", "C5.b3"),
        {"log_psi + log_S + quadratic": "log_psi - log_S + quadratic"},
    ),
    Break(
        "growth factors taken as known in the variance of the noise",
        ("C2.b2", "C3.a", "C7.b"),
        {"xp.sum(e * e, axis=2) + xp.sum(G * V, axis=(2, 3))": "xp.sum(e * e, axis=2)"},
    ),
    Break(
        "fits of half of the persons",
        ("C2.a",),
        {
            "v, value = fit(data)\ntrue =": (
                "t, y, x, g, w, z, K, bend = data\n"
                "half = Data(t[..., :250], y[..., :250], x[:, :250], g[:, :250], w[..., :250], z)\n"
                "v, value = fit(half)\ntrue ="
            )
        },
    ),
    Break(
        "intervals of one standard error",
        ("C3.a", "C3.c"),
        {"np.abs(error) <= 1.96 * se for": "np.abs(error) <= se for"},
    ),
    Break(
        "controls whose covariates are not permuted",
        ("C5.b1", "C5.b2", "C5.b3", "C5.b4"),
        {"to_device(generator(77).host.permutation(N))": "xp.arange(N)"},
    ),
    Break(
        "a forest that sees other persons' covariates",
        ("C6.a",),
        {
            "rises.append(importances(model, r, X, rng))": (
                "rises.append(importances(model, r, X[rng.permutation(N)], rng))"
            )
        },
    ),
    Break(
        "the time-varying covariate of other persons",
        ("C7.a",),
        {
            "unpack(fit(varying)[0], varying).kappa": (
                "unpack(fit(varying._replace(w=xp.flip(varying.w, axis=-1)))[0], varying).kappa"
            )
        },
    ),
]
