"""Breaks of the chapter on multi-modal Gaussian process variational autoencoders."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the VAE's latent given out as that of the pruned Fourier model",
        ("C3.a1", "C3.a3"),
        {'pruned = best["pruned"]': 'pruned = best["VAE"]'},
        competitor=True,
    ),
    Break(
        "the time-domain model's latent given out as that of the pruned Fourier model",
        ("C3.a2",),
        {'pruned = best["pruned"]': 'pruned = best["time domain"]'},
        competitor=True,
    ),
    Break(
        "a ninth of the trials",
        ("C3.a3",),
        {"n, n_train = 400, 304": "n, n_train = 130, 34"},
    ),
    Break(
        "the model of pictures alone given out as the model of both recordings",
        ("C4.a1", "C4.a2", "C5.b1"),
        {"full, blind = int(np.argmax(joint_elbos[:2])), 2 +": "full, blind = 2, 2 +"},
        competitor=True,
    ),
    Break(
        "the spikes have no say in the shared latent",
        ("C4.a1", "C6.a"),
        {"say_x = (1 / (1 + sees_y))": "say_x = (1 / (1 + 0 * sees_y))"},
    ),
    Break(
        "factor analysis of the spikes given out as the model of both recordings",
        ("C4.a3", "C4.b", "C6.a", "C6.b"),
        {"return fit_y + fit_x - ad.sum(": "return fit_y + 0 * fit_x - ad.sum("},
        competitor=True,
    ),
    Break(
        "every model is trained on strangers: pictures and spikes of different trials",
        ("C4.b", "C6.b"),
        {'x[other if kind == "strangers" else rows]': "x[other]"},
    ),
    Break(
        "the row of the constant is not divided by another root of two",
        ("C1.a1",),
        {"xp.where(k == 0, n_c, n_c / 2)": "xp.where(k == 0, n_c / 2, n_c / 2)"},
    ),
    Break(
        "a circle as short as the trial",
        ("C1.a2", "C1.a3"),
        {"    n_c = round(1.2 * T)": "    n_c = T"},
    ),
    Break(
        "no divergence from the prior",
        ("C1.a4", "C1.b1"),
        {"return 0.5 * ad.sum(terms, axis=-1)": "return 0.0 * ad.sum(terms, axis=-1)"},
    ),
    Break(
        "the Poisson term forgets that the latent is uncertain",
        ("C1.a5", "C1.b2"),
        {"return y * h - ad.exp(h + v / 2)": "return y * h - ad.exp(h + 0 * v)"},
    ),
    Break(
        "the decoders of pictures see no latent",
        ("C3.a1", "C3.a3", "C4.a3", "C5.a3", "C6.a", "C6.b"),
        {
            'nn.mlp(p["decoder"], z[:, 0, :, :, None])': (
                'nn.mlp(p["decoder"], 0 * z[:, 0, :, :, None])'
            ),
            "ad.permute_dims(z, (0, 2, 3, 1)))": "ad.permute_dims(0 * z, (0, 2, 3, 1)))",
        },
    ),
    Break(
        "one alignment for each trial, test trials included",
        ("C2.b", "C3.b"),
        {
            "return Z @ np.linalg.lstsq(flat, g[:n_train].ravel(), rcond=None)[0]": (
                "fits = [np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(Z, g, strict=True)]\n"
                "    return np.stack([a @ fit for a, fit in zip(Z, fits, strict=True)])"
            )
        },
    ),
]
