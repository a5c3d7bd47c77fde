"""Breaks of the chapter on learning rates as a function of batch size."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the largest rates of gradient descent given out as Adam's",
        ("C4.e", "C4.f", "C4.g"),
        {
            'largest["gradient descent"], largest["Adam, β₁ = 0"]': (
                'largest["gradient descent"], largest["gradient descent"]'
            )
        },
        competitor=True,
    ),
    Break(
        "Adam's formula without the root of v",
        ("C4.e", "C4.g"),
        {"return a_star(B) * np.sqrt(v)": "return a_star(B) + 0 * v"},
    ),
    Break(
        "batches drawn with replacement",
        ("C3.b",),
        {"rng.permutation(N)[:B] for _ in range(K)": "rng.integers(0, N, B) for _ in range(K)"},
    ),
    Break(
        "1/B in place of 1/b",
        ("C3.a",),
        {"return B * (N - 1) / (N - B)": "return 1.0 * B"},
    ),
    Break(
        "the noise symmetrised without dividing by the root of two",
        ("C1.a", "C1.c"),
        {"sigma * (A + A.T) / math.sqrt(2)": "sigma * (A + A.T)"},
    ),
    Break(
        "noise that falls with the batch and not with its root",
        ("C1.b",),
        {"noise / math.sqrt(k)": "noise / k"},
    ),
    Break(
        "the formula of a spike below its threshold",
        ("C2.c",),
        {"lost[B] / edge(q[B]) - 1": "lost[B] / spiked(2, q[B]) - 1"},
    ),
    Break(
        "gradients without noise across the error: the term (d + 1)/B is lost",
        ("C4.a", "C4.c"),
        {"unit, xi = e / length, rng": "unit, xi = e / length, 1e-9 * rng"},
    ),
    Break(
        "the second-order prediction doubled",
        ("C3.c",),
        {"return second, sigma2_P": "return 2 * second, sigma2_P"},
    ),
    Break(
        "one batch size in place of all for the network",
        ("C5.a", "C5.c"),
        {"steps=steps // parts, batch_size=B": "steps=steps // parts, batch_size=32"},
    ),
    Break(
        "the Hessian given out as the generalised Gauss–Newton matrix",
        ("C3.h",),
        {
            'cases["GGN, at the start"] = (w0, ad.exp(ad.log_softmax(logits(w0, X))))': (
                'cases["GGN, at the start"] = (w0, T)'
            )
        },
        competitor=True,
    ),
    Break(
        "a learner that sees one spectrum all the time",
        ("C6.d",),
        {"lambda V, w=w: hessian(w, x, t, V)": "lambda V, w=nets_6[:1, :]: hessian(w, x, t, V)"},
    ),
    Break(
        "a learner that does not look at the spectrum",
        ("C6.b", "C6.c"),
        {"SGD(1 / theta[-1], momentum=beta)": "SGD(0.1, momentum=0.0)"},
    ),
]
