"""Breaks of the chapter on growing networks by recombining learned parameters."""

from bookbuild.breaks import Break

BREAKS = [
    Break(
        "random growth given out as MixtureGrowth",
        ("C3.a", "C3.e"),
        {'for name in ("MixtureGrowth", rival)': 'for name in ("Random", rival)'},
        competitor=True,
    ),
    Break(
        "the ensemble of the members given out as MixtureGrowth",
        ("C4.c", "C6.b"),
        {'{"orthogonal": finals[rate]}': '{"orthogonal": grow(members, ["zero"], rng)}'},
        competitor=True,
    ),
    Break(
        "the small network given out as MixtureGrowth",
        ("C4.a", "C4.b"),
        {'own = options["orthogonal"][1][:, 0]': 'own = scores["Small"]'},
    ),
    Break(
        "new coefficients that do not learn",
        ("C6.a",),
        {
            "momentum=0.9, nesterov=True)": (
                'momentum=0.9, nesterov=True, multipliers={"new": 0} if "new" in net else None)'
            )
        },
    ),
    Break(
        "new blocks from the other set of templates",
        ("C2.d", "C2.e"),
        {"N = use * compose(alpha, V)": "N = use * compose(alpha, ad.flip(V, axis=2))"},
    ),
    Break(
        "network 1 in place of network 2 as well",
        ("C1.a", "C4.a", "C4.b", "C8.a"),
        {'[0, 0] if name == "twin" else [0, 1]': "[0, 0]"},
    ),
    Break(
        "the old coefficients again in place of orthogonal ones",
        ("C2.a",),
        {"r = rng.standard_normal(a.shape)\n": "return 1.0 * a\n"},
    ),
    Break(
        "the classifiers' biases averaged, not summed",
        ("C1.b",),
        {'"bias": xp.sum(spread["bias"], axis=2)': '"bias": xp.mean(spread["bias"], axis=2)'},
    ),
    Break(
        "the gradient of the normalisation without the term of its deviation",
        ("C2.b",),
        {"g -= n * (by_gamma / z.shape[-1])": "g -= 0 * n"},
    ),
    Break(
        "competitors at a rate that destroys what they have learned",
        ("C3.f",),
        {
            "train(free_weights, rivals, sample, E3, rate, rng)": (
                "train(free_weights, rivals, sample, E3, 5 * rate, rng)"
            )
        },
    ),
    Break(
        "a half width that costs a quarter in every layer",
        ("C5.c",),
        {"budget = (2 * E1 * half +": "budget = (2 * E1 * full / 4 +"},
    ),
    Break(
        "labels that are not permuted",
        ("C8.b",),
        {"y = rng.permutation(y) if permuted else y": "y = 1 * y"},
    ),
    Break(
        "the ensemble, trained on without new blocks, given out as MixtureGrowth",
        ("C6.b",),
        {
            "end = finals[rate] = train(grown_weights, grown,": (
                "end = finals[rate] = train(lambda net: grown_weights(net, 0.0), "
                'grow(members, ["zero"], rng),'
            )
        },
        competitor=True,
    ),
    Break(
        "a gradient that leaves out the classifier's templates",
        ("C2.b",),
        {"g = {k: g[k] for k in keys}": "g = {k: [*g[k][:-1], 0 * g[k][-1]] for k in keys}"},
    ),
    Break(
        "two different members in place of the same one twice",
        ("C8.a", "C8.c"),
        {'[0, 0] if name == "twin" else [0, 1]': "[0, 1]"},
    ),
    Break(
        "network 2 trained on shuffled labels",
        ("C4.a",),
        {
            "for a in sample)\n    members": (
                "for a in sample)\n"
                "    orders[1][:, :, 1] = xp.take(orders[1][:, :, 1], other, axis=0)\n    members"
            )
        },
    ),
]
