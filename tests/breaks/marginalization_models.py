"""Breaks of the chapter on generative marginalization models."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "the fixed-order ARM given out as MaM's conditionals",
        ("C2.b", "C3.c"),
        {
            "(name, seed): judge(params, SMALL[name]": (
                '(name, seed): judge(params | {"phi": arms[name]}, SMALL[name]'
            )
        },
        competitor=True,
    ),
    Break(
        "independent spins given out as the marginal network",
        ("C3.a", "C3.e"),
        {
            '"truth": to_host(truth), "ours": to_host(log_marginal(theta, parts) - empty)': (
                '"truth": to_host(truth), "ours": to_host('
                "xp.sum(xp.log((1 + parts * (xp.exp(log_p) @ states[:, 0])) / 2)"
                " * (parts != 0), axis=1))"
            ),
            "xp.max(xp.abs(value - block_truth))": "xp.max(xp.abs(independent - block_truth))",
            "    value = log_marginal(theta, block)": (
                "    p_up = float(xp.exp(exact['a']['log p']) @ (states[:, 0] > 0))\n"
                "    ups = xp.sum(block > 0, axis=1)\n"
                "    independent = ups * np.log(p_up) + (4 - ups) * np.log(1 - p_up)\n"
                "    value = log_marginal(theta, block)"
            ),
        },
    ),
    Break(
        "agreement over one step dropped from the loss",
        ("C2.a", "C2.b", "C3.a", "C3.c"),
        {"(D * ad.mean(gap**2) + begin)": "begin"},
    ),
    Break(
        "the Chow-Liu tree given out as the marginal network of digits",
        ("C4.a", "C4.b", "C4.e"),
        {
            "one_pass = to_host(log_marginal(theta, images) - empty)": (
                "one_pass = bernoulli_and_tree(to_host(train), to_host(images))[1]"
            )
        },
        competitor=True,
    ),
    Break(
        "all conditionals given out as one of them",
        ("C6.a", "C6.b", "C6.e"),
        {
            "    return D * log_conditional(phi, x * (r < i), x * (r == i))": (
                "    return arm_log_prob(phi, x)"
            )
        },
    ),
]
