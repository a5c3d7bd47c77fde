"""Breaks of the chapter on scale mixtures of neural network Gaussian processes."""

from bookbuild.breaks import Break

SCALE = "sigma = xp.sqrt(alpha / rng.gamma(alpha, size=M))"
VALUES = "return sigma[:, None] / math.sqrt(n) * (v @ phi)[:, 0, :]"

BREAKS = [
    Break(
        "every network has the same scale: the variance-matched Gaussian process",
        ("C1.a", "C1.b", "C1.c"),
        {SCALE: "sigma = xp.full((M,), math.sqrt(2.0))"},
    ),
    Break(
        "every value of a network has a scale of its own",
        ("C1.c",),
        {
            SCALE: "sigma = xp.sqrt(alpha / rng.gamma(alpha, size=(M, phi.shape[2])))",
            VALUES: "return sigma / math.sqrt(n) * (v @ phi)[:, 0, :]",
        },
    ),
    Break(
        "the fully trained networks have the lighter tail of four degrees of freedom",
        ("C2.d",),
        {
            "sigma = xp.sqrt(1 / rng.gamma(1.0, size=(M, 1)))": (
                "sigma = xp.sqrt(2 / rng.gamma(2.0, size=(M, 1)))"
            )
        },
    ),
    Break(
        "the Gaussian process with its scale by maximum likelihood given out as the posterior",
        ("C3",),
        {
            "closed = log_student(at, 2 * a, m, b / a * v)": (
                "closed = log_normal(at, m, q / 30 * v)"
            )
        },
        competitor=True,
    ),
    Break(
        "the Gaussian process with unit scale given out as the inverse gamma",
        ("C4.a", "C4.b"),
        {
            '"inverse gamma": log_student(t, 2 * a, m, b / a * v)': (
                '"inverse gamma": log_normal(t, m, v)'
            )
        },
        competitor=True,
    ),
    Break(
        "the Gaussian process with fitted scale given out as the inverse gamma on data",
        ("C4.e",),
        {
            'if name == "inverse gamma":\n        a, b = priors[j][0] + n / 2': (
                'if name == "nothing":\n        a, b = priors[j][0] + n / 2'
            ),
            'q / n if "evidence" in name else 1.0': 'q / n if "1" not in name else 1.0',
        },
        competitor=True,
    ),
    Break(
        "the classifier with unit scale given out as the Student-t process",
        ("C6.c", "C6.e"),
        {
            '"SVTP": {"log_a": [math.log(2)], "log_b": [math.log(2)]},': '"SVTP": {},',
        },
    ),
]
