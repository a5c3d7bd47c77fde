"""Breaks of the chapter on category discovery."""

from bookbuild.breaks import Break

START = "semi_supervised_k_means(X, y, K, n_init=5, seed=rng), [K], 0"
FOUND = "found = discover(Z, y, K, within(Z, y, n), rng)\n"
KEEP = "            ours.setdefault((n, K), []).append([found.path[-1], *scores_of(found, y)])"

BREAKS = [
    Break(
        "semi-supervised k-means, told the number of classes, given out as discovery",
        ("C2.c",),
        {
            "    fit, path, quiet = " + START: (
                "    K = CLASSES\n    fit, path, quiet = " + START.replace("[K], 0", "[K], 2")
            )
        },
        competitor=True,
    ),
    Break(
        "semi-supervised k-means with the number of the start given out as discovery",
        ("C2.a", "C2.b", "C2.d"),
        {START: START.replace("[K], 0", "[K], 2")},
        competitor=True,
    ),
    Break(
        "digits: the number from hidden labels given out as the method's own",
        ("C5.e",),
        {FOUND + KEEP: "ours.setdefault((n, K), []).append(by_gcd[-1])"},
        competitor=True,
    ),
    Break(
        "the rescue move off",
        ("C2.b",),
        {"    if rescue:\n        go = go": "    if False:\n        go = go"},
    ),
    Break(
        "splits off", ("C3.b",), {"go = new & accept(ratio, rng)": "go = new & (ratio > math.inf)"}
    ),
    Break("merges off", ("C2.a", "C2.d"), {"    if K - C < 2:\n": "    if K - C < K:\n"}),
    Break(
        "merges off, also without classes",
        ("C3.h",),
        {
            "        return labels, K\n    parts =": (
                "        return labels, K\n    return labels, K\n    parts ="
            )
        },
    ),
    Break(
        "parents stay after a merge",
        ("C2.a", "C2.d"),
        {
            "to_device(np.searchsorted(kept, into))[labels], len(kept)": (
                "labels, K + int(K > len(kept))"
            )
        },
    ),
    Break(
        "the gamma functions of the ratio dropped",
        ("C1.b", "C3.a"),
        {"return log_gamma(part.counts) + log_p(part, prior)": "return log_p(part, prior)"},
    ),
    Break(
        "the scatter taken about the posterior's centre",
        ("C1.b",),
        {
            "    return mixture.niw_log_evidence(*part, prior)\n": (
                "    off = mixture.niw_posterior(*part, prior).mean - part.means\n"
                "    outer = part.counts[:, None, None] * off[:, :, None] * off[:, None, :]\n"
                "    part = part._replace(scatters=part.scatters + outer)\n"
                "    return mixture.niw_log_evidence(*part, prior)\n"
            )
        },
    ),
    Break(
        "a coin in place of min(1, H)",
        ("C3.e",),
        {"return xp.log(rng.random(log_ratio.shape)) < log_ratio": "return coin(log_ratio, rng)"},
    ),
    Break(
        "labels shuffled",
        ("C2.a", "C4.c"),
        {
            "return X, xp.where(labelled, truth, -1), truth": (
                "return X, xp.where(labelled, rng.integers(0, OLD, truth.shape), -1), truth"
            )
        },
    ),
    Break(
        "old and new classes matched apart",
        ("C4.f",),
        {
            "right[is_old].mean(), right[~is_old].mean()": (
                "right[is_old].mean(), 1 - clustering_error(found[~is_old], true[~is_old])"
            )
        },
    ),
    Break(
        "the encoder frozen",
        ("C6.b",),
        {"        params = optimiser.step(params, grads)\n": ""},
    ),
]
