"""Breaks of the chapter on excursions and the Slepian model."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the exponential law given out as the approximation",
        ("C4.a", "C4.b", "C4.c", "C4.d", "C4.e"),
        {'"ks": ks_distance(T, F, h)': '"ks": ks_distance(T, exponential, h)'},
        competitor=True,
    ),
    Break(
        "one piece W in the place of the geometric sum",
        ("C2.a", "C2.b", "C2.c", "C2.d"),
        {"xp.fft.irfft(w_hat / (2 - w_hat), n=length)": "xp.fft.irfft(w_hat, n=length)"},
    ),
    Break(
        "always two pieces W",
        ("C2.i",),
        {"xp.cumulative_sum(rng.geometric(0.5, size))": "2 * xp.arange(1, size + 1)"},
    ),
    Break(
        "a Gaussian slope instead of a Rayleigh one",
        ("C3.a", "C3.b"),
        {"R = rng.rayleigh(size=(n, 1))": "R = xp.abs(rng.standard_normal((n, 1)))"},
    ),
    Break(
        "the mean sign without the root of 1 - r^2",
        ("C1.a", "C1.e"),
        {"xp.sqrt(model.lambda_2 * (1 - r) * (1 + r))": "xp.sqrt(model.lambda_2 * (1 - r))"},
    ),
]
