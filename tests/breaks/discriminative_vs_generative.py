"""Breaks of the chapter on discriminative and generative classifiers."""

from bookbuild.breaks import Break

STOPPED = """    from sklearn.linear_model import LogisticRegression

    flat = zip(X.reshape(-1, *X.shape[-2:]), y.reshape(-1, y.shape[-1]), strict=True)
    fits = [LogisticRegression(C=C, max_iter=20).fit(*xy) for xy in flat]
    W = np.stack([np.concatenate([-f.coef_, f.coef_]) / 2 if K == 2 else f.coef_ for f in fits])
    b = np.stack([np.tile(f.intercept_, 3 - min(K, 3) + 1)[:K] for f in fits])
    b = b * np.array([-0.5, 0.5]) if K == 2 else b
    return LinearClassifier(W.reshape(*X.shape[:-2], *W.shape[1:]), b.reshape(*X.shape[:-2], K))"""

BREAKS = [
    Break(
        "logistic regression on scaled features given out as naive Bayes",
        ("C2.a", "C2.b"),
        {'    "naive Bayes": naive_bayes,': '    "naive Bayes": scaled_regression,'},
        competitor=True,
    ),
    Break(
        "logistic regression with its chosen C given out as naive Bayes on real features",
        ("C6.a", "C6.b", "C6.c", "C6.e"),
        {"real[name] = sizes, nb.T,": "real[name] = sizes, lr[:, :, best, 1].T,"},
        competitor=True,
    ),
    Break(
        "logistic regression stopped after 20 iterations",
        ("C1.d",),
        {"    return softmax_regression(X, y, K, C=C / 2 if K == 2 else C, tol=tol)": STOPPED},
    ),
    Break(
        "naive Bayes without variances",
        ("C5.a",),
        {
            "    return naive_bayes_fit(X, y, K, smoothing=1e-9).classifier()": (
                "    mu = naive_bayes_fit(X, y, K, smoothing=1e-9).means\n"
                "    return LinearClassifier(mu, -xp.sum(mu**2, axis=-1) / 2)"
            )
        },
    ),
    Break(
        "labels of naive Bayes moved by one place in the control",
        ("C3.a", "C3.b"),
        {
            "exact_error(naive_bayes(X, y, 2), mu)": (
                "exact_error(naive_bayes(X, xp.roll(y, 1, axis=1), 2), mu)"
            )
        },
    ),
    Break(
        "the closed form without the cost of estimated variances",
        ("C3.a", "C3.b", "C3.e"),
        {"rho = np.sqrt((m - 6) / (m - 4) * m / (m + 1))": "rho = 1.0"},
    ),
    Break(
        "the bound without its factor of two",
        ("C4.a",),
        {"np.sum(zero_one > np.sqrt(2 * t))": "np.sum(zero_one > np.sqrt(t))"},
    ),
]
