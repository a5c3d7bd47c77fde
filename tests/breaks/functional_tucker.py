"""Breaks of the chapter on functional Bayesian Tucker decomposition."""

from bookbuild.breaks import Break

SCORES = 'cp, tucker = scores["CP", FEW], scores["Tucker", FEW]'
FILTER = """    (T, B, R), p = eta.shape, P.shape[-1]
    A, Q, P = (
        xp.reshape(v[..., :, None, :, None] * xp.eye(R)[:, None, :], (*v.shape[:-2], p * R, p * R))
        for v in (A, Q, P[0])
    )
    m, means, covariances = xp.zeros((B, p * R, 1)), [], []
    for i in range(T):
        m, P = A[i] @ m, A[i] @ P @ xp.matrix_transpose(A[i]) + Q[i]
        across, score = P[:, :, :R], eta[i][..., None] - Lambda[i] @ m[:, :R]
        gain = across @ xp.linalg.inv(xp.eye(R) + Lambda[i] @ P[:, :R, :R])
        m, P = m + gain @ score, P - gain @ Lambda[i] @ P[:, :R, :]
        means.append(m[:, :R, 0])
        covariances.append(P[:, :R, :R])
    return xp.stack(means), xp.stack(covariances)
"""

BREAKS = [
    Break(
        "CP-ALS given out as FunBaT",
        ("C3.a", "C3.c", "C3.e", "C3.f", "C3.g"),
        {SCORES: 'cp = tucker = scores["CP-ALS", FEW]'},
        competitor=True,
    ),
    Break(
        "a Gaussian process on the coordinates given out as FunBaT",
        ("C3.a", "C3.e", "C3.f", "C3.g"),
        {SCORES: 'cp = tucker = scores["plain Gaussian process", FEW]'},
        competitor=True,
    ),
    Break(
        "CP-ALS given out as FunBaT on the photograph",
        ("C6.b", "C6.f"),
        {'dB["FunBaT, CP"]) - dB["CP-ALS"]': 'dB["CP-ALS"]) - dB["CP-ALS"]'},
        competitor=True,
    ),
    Break(
        "the nearest index's factors given out as the walk at unseen indices",
        ("C3.j",),
        {"unseen_errors(wide, at_unseen)": "unseen_errors(wide, at_nearest)"},
        competitor=True,
    ),
    Break(
        "the nearest pixel given out as FunBaT",
        ("C6.c",),
        {
            '    "FunBaT, CP": [mean_of(photo_cp, b) for b in range(2)],': (
                '    "FunBaT, CP": [nearest_pixel(p) for p in masks],'
            )
        },
        competitor=True,
    ),
    Break(
        "CP-ALS at the nearest index given out as the walk",
        ("C3.d", "C3.k"),
        {
            'unseen = unseen_errors(fits["CP", FEW], at_unseen)': (
                "unseen = np.asarray([als_unseen(b) for b in SEEDS])"
            )
        },
        competitor=True,
    ),
    Break(
        "the method sees half of its entries",
        ("C3.f",),
        {
            "each = [p for p in problems for _ in range(starts)]": (
                "half = covariances[0] is prior and 'V' not in options\n"
                "    step = 2 if half else 1\n"
                "    halves = [Problem(p.t, p.at[:, ::step], p.y[::step]) for p in problems]\n"
                "    each = [p for p in halves for _ in range(starts)]"
            )
        },
    ),
    Break(
        "the covariances of the discretised fit",
        ("C5.d",),
        {"emptiness(wide), emptiness": "emptiness(discretised), emptiness"},
    ),
    Break(
        "second moments without the covariance",
        ("C5.a", "C5.c"),
        {"return V + m[..., :, None]": "return 0 * V + m[..., :, None]"},
    ),
    Break(
        "a prior of its own added to every message",
        ("C1.a", "C1.b"),
        {"P[0], Lambda, eta)": "P[0], Lambda + xp.eye(Lambda.shape[-1]), eta)"},
    ),
    Break(
        "the filter without the way back",
        ("C1.a", "C1.b"),
        {"    return information_smoother(A, Q, P[0], Lambda, eta)\n": FILTER},
    ),
    Break(
        "neighbours that know nothing of each other",
        ("C3.a", "C3.c", "C3.d", "C3.f"),
        {"prior, discrete = Matern32(1.0, 0.3)": "prior, discrete = Matern32(1.0, 0.003)"},
    ),
    Break(
        "a core of ones, which is of rank one",
        ("C3.e",),
        {"    fits.W = xp.reshape(w,": "    w = xp.ones_like(w)\n    fits.W = xp.reshape(w,"},
    ),
    Break(
        "the start that explains least is chosen",
        ("C4.a", "C4.b"),
        {"chosen = np.argmax(start_tau, axis=1)": "chosen = np.argmin(start_tau, axis=1)"},
    ),
    Break(
        "our starts trust the data as little as the released one",
        ("C4.d",),
        {"tucker=False, E_tau=10.0, V=0.1": "tucker=False, E_tau=1.0, V=1.0"},
    ),
    Break(
        "the released noise prior",
        ("C2.f",),
        {"surfaces: list[Surface], b0: float = 1e-3": "surfaces: list[Surface], b0: float = 1.0"},
    ),
    Break(
        "test entries that were trained on",
        ("C2.b",),
        {"at[:, 675:], clean[675:]": "at[:, 600:], clean[600:]"},
    ),
    Break(
        "predictive intervals without the noise",
        ("C5.a",),
        {"xp.sqrt(variance_of(fits, b) + 1 / fits.E_tau[b])": "xp.sqrt(variance_of(fits, b))"},
    ),
    Break(
        "training values shuffled",
        ("C2.c", "C2.d"),
        {"at[:, :n_train], y[:n_train])": "at[:, :n_train], y[:n_train][::-1])"},
    ),
]
