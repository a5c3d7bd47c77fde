"""Breaks of the chapter on prior-data fitted networks."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "linear regression, MAP-II and logistic regression given out as the network",
        ("C1.a", "C1.b", "C2.b", "C2.c", "C3.a", "C3.b", "C6.d", "C7.d"),
        {
            "= riemann_loss(net, x, y, SIZES[i])": "= linear_nll[i]",
            "xp.abs(riemann_mean(pfn(seed[-1], x, y, n), b_gp) - exact_mean)": (
                "xp.abs(gaussian_prediction(linear_covariance(x, v_linear), y, n, v_linear[2])[0]"
                " - exact_mean)"
            ),
            '"PFN": float(riemann_loss(hyper_net, x3, y3, n, b_hyper))': (
                '"PFN": float(xp.mean(map2_nll(thetas, x3, y3, n)))'
            ),
            "scores(pfn_probability(xs, labels), hidden)": (
                "scores(LogisticRegression().fit(xs[:LABELLED], known)"
                ".predict_proba(xs[LABELLED:])[:, 1], hidden)"
            ),
        },
        competitor=True,
    ),
    Break(
        "the width of a bucket divided out twice",
        ("C2.a",),
        {
            "    return -ad.mean(nn.riemann_log_density(pfn(params, x, y, n), y[:, n:], b))": (
                "    flat = xp.zeros((*y[:, n:].shape, b.shape[0] - 1))\n"
                "    again = nn.riemann_log_density(flat, y[:, n:], b) + np.log(b.shape[0] - 1)\n"
                "    return -ad.mean(\n"
                "        nn.riemann_log_density(pfn(params, x, y, n), y[:, n:], b) + again\n"
                "    )"
            )
        },
    ),
    Break(
        "every context gets the answers of another one",
        ("C1.a", "C1.b", "C2.b"),
        {
            "xp.astype(y[:, :n, None], xp.float32)": (
                "xp.astype(xp.roll(y, 1, axis=0)[:, :n, None], xp.float32)"
            )
        },
    ),
    Break(
        "queries see each other and the context has an order",
        ("C4.a", "C4.b"),
        {
            "attend(block, h, h[:, : n + 1, :])": "attend(block, h, h)",
            "attend(last, h[:, n + 1 :, :], h[:, : n + 1, :])": "attend(last, h[:, n + 1 :, :], h)",
            '    h = nn.dense(params["x"], x)\n': (
                '    h = nn.dense(params["x"], x)\n'
                "    h = h + xp.astype(xp.arange(x.shape[1])[:, None] / 20, xp.float32)\n"
            ),
        },
    ),
    Break(
        "the Gaussian head given out as the Riemann head on random signs",
        ("C5.a",),
        {
            '"Riemann"): (signed_loss, BUCKETS, *on_signs)': (
                '"Riemann"): (gaussian_loss, 2, *on_signs)'
            )
        },
    ),
]
