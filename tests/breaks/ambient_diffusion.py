"""Breaks of the chapter on ambient diffusion."""

from bookbuild.breaks import Break

EM_DATA = "em_means(observed(s), to_device(s), start"
MIX_OF_DIGITS = '"10 % clean + 90 % noisy": [(few, 0.0), (noisy[:, n_clean:, :], NOISE)],'
MIX_ON_RING = "Arm(200, 1800)"

BREAKS = [
    Break(
        "the guess of the clean point compared with the noisy one, unconverted",
        ("C4.a", "C5.a"),
        {"return (1 - a) * x_hat + a * x": "return x_hat + 0 * a * x"},
    ),
    Break(
        "the conversion with the wrong sign",
        ("C5.a",),
        {"return (1 - a) * x_hat + a * x": "return (1 + a) * x_hat - a * x"},
    ),
    Break(
        "EM that takes all samples for equally noisy",
        ("C2.b",),
        {EM_DATA: EM_DATA.replace("(s), start", "(0 * s + np.mean(s**2) ** 0.5), start")},
    ),
    Break(
        "EM told the noise of another sample",
        ("C2.a", "C2.c", "C2.d"),
        {EM_DATA: EM_DATA.replace("(s), start", "(s[::-1].copy()), start")},
    ),
    Break(
        "a mixture of half as many samples",
        ("C2.c", "C2.d"),
        {'"10 % clean + 90 % noisy": tenth,': '"10 % clean + 90 % noisy": tenth[::2],'},
    ),
    Break(
        "EM on noisy samples only given out as the mixture",
        ("C2.c",),
        {"tenth = np.where(np.arange(N) < N // 10, S": "tenth = np.where(np.arange(N) < 0, S"},
        competitor=True,
    ),
    Break(
        "EM on the clean tenth given out as the mixture",
        ("C2.d",),
        {'"10 % clean + 90 % noisy": tenth,': '"10 % clean + 90 % noisy": tenth[: N // 10],'},
        competitor=True,
    ),
    Break(
        "the prior of 140 clean digits given out as that of the mixture",
        ("C3.c", "C3.d", "C3.e"),
        {MIX_OF_DIGITS: '"10 % clean + 90 % noisy": [(few, 0.0)],'},
        competitor=True,
    ),
    Break(
        "the prior of noisy digits given out as that of the mixture",
        ("C3.c", "C3.d", "C3.e"),
        {MIX_OF_DIGITS: '"10 % clean + 90 % noisy": [(noisy, NOISE)],'},
        competitor=True,
    ),
    Break(
        "clean digits taken for noisy, noisy ones for clean",
        ("C3.c", "C3.d", "C3.e"),
        {MIX_OF_DIGITS: '"10 % clean + 90 % noisy": [(few, NOISE), (noisy[:, n_clean:, :], 0.0)],'},
    ),
    Break(
        "deconvolution that ignores the noise of the digits",
        ("C3.c", "C3.d", "C3.e"),
        {MIX_OF_DIGITS: MIX_OF_DIGITS.replace("NOISE", "0.0")},
    ),
    Break(
        "deconvolved guesses without their remaining covariance",
        ("C3.c",),
        {" + n[..., None, None] * (V - G @ V)": ""},
    ),
    Break(
        "the model of noisy points given out as that of the mixture",
        ("C4.a", "C4.d"),
        {MIX_ON_RING: "Arm(0, 2000)"},
        competitor=True,
    ),
    Break(
        "noisy points taken for clean given out as the mixture",
        ("C4.c",),
        {MIX_ON_RING: "Arm(0, 2000, told=False)"},
        competitor=True,
    ),
    Break(
        "the model of 20 clean points given out as that of the mixture with 1 % clean",
        ("C4.g",),
        {"Arm(20, 1980)": "Arm(20, 0)"},
        competitor=True,
    ),
    Break(
        "the model of 200 clean points given out as that of the mixture",
        ("C4.k",),
        {MIX_ON_RING: "Arm(200, 0)"},
        competitor=True,
    ),
    Break(
        "20 clean points given out as 200",
        ("C4.i",),
        {'"10 % clean only": Arm(200, 0)': '"10 % clean only": Arm(20, 0)'},
    ),
    Break(
        "a mixture on the ring with 20 clean points given out as one with 200",
        ("C4.d",),
        {MIX_ON_RING: "Arm(20, 1980)"},
    ),
    Break(
        "networks that never learn",
        ("C4.b", "C4.e"),
        {"step: 3e-3 * min": "step: 3e-9 * min"},
    ),
    Break(
        "the directions across the line forgotten",
        ("C1.b", "C2.a"),
        {
            " + (d - 1) * trace_inverse(across)": "",
            "roots(mu, s_noisy), (1, d - 1), strict": "roots(mu, s_noisy), (1, 0), strict",
        },
    ),
    Break(
        "known weights treated as free",
        ("C1.a", "C1.c", "C1.d"),
        {"def growth(k, s, free_weights=False)": "def growth(k, s, free_weights=True)",
         "def slope(k, s, free_weights=False)": "def slope(k, s, free_weights=True)"},
    ),
    Break(
        "free weights treated as known",
        ("C1.f",),
        {"slope(k, 4, free_weights=True)": "slope(k, 4)"},
    ),
    Break(
        "the price of a law with a single component",
        ("C1.b", "C1.e"),
        {"    return gains[0] / gains[1]": "    return (s_noisy / s_clean) ** 2"},
    ),
]  # fmt: skip
