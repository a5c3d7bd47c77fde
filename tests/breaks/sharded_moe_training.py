"""Breaks of the chapter on moving experts instead of tokens."""

from bookbuild.breaks import Break

RUNS = "runs = {name: train(InProcessCommunicator(D_E1), job)"

BREAKS = [
    Break(
        "expert parallelism given out as Hecate",
        ("C5.e", "C5.h"),
        {'run["Hecate"] = hecate(case, n, F, own, INTERVAL)': 'run["Hecate"] = run["EP"]'},
        competitor=True,
    ),
    Break(
        "FasterMoE, the strongest competitor, given out as Hecate",
        ("C5.e", "C5.f"),
        {'run["Hecate"] = hecate(case, n, F, own, INTERVAL)': 'run["Hecate"] = run["FasterMoE"]'},
        competitor=True,
    ),
    Break(
        "nothing copied, and the tokens sent as ever",
        ("C2.c", "C4.b"),
        {'"random P′": shuffled, ': '"random P′": ep, '},
    ),
    Break(
        "gradients of copies averaged",
        ("C1", "C1.a"),
        {
            RUNS: "class Mean(InProcessCommunicator):\n"
            "    def sparse_reduce_scatter(self, g, after, before):\n"
            "        sums = super().sparse_reduce_scatter(g, after, before)\n"
            "        return {r: {e: v / after[e].sum() for e, v in own.items()}"
            " for r, own in sums.items()}\n\n\n"
            "runs = {name: train(Mean(D_E1), job)"
        },
    ),
    Break(
        "copies that are never fetched anew",
        ("C1", "C1.a"),
        {
            RUNS: "class Old(InProcessCommunicator):\n"
            "    seen = None\n\n"
            "    def sparse_allgather(self, values, before, after):\n"
            "        held = super().sparse_allgather(values, before, after)\n"
            "        self.seen = self.seen or {}\n"
            "        for e, r in np.argwhere(after & ~before):\n"
            "            key = (e, r, before.tobytes())\n"
            "            held[r][e] = self.seen.setdefault(key, held[r][e])\n"
            "        return held\n\n\n"
            "runs = {name: train(Old(D_E1), job)"
        },
    ),
    Break(
        "AllReduce's bytes in each of the counters",
        ("C2",),
        {"(run.received[k].sum(axis=2) for k in range(2))": "(allreduce for k in range(2))"},
    ),
    Break(
        "re-materialisation that keeps its copies",
        ("C4.b", "C6.g"),
        {"replace(shuffled, rematerialise=True)": "replace(shuffled, rematerialise=False)"},
    ),
    Break(
        "Algorithm 1 takes the least loaded experts",
        ("C5.b",),
        {"    place = ranks(-F)\n    if t <= m:": "    place = ranks(F)\n    if t <= m:"},
    ),
    Break(
        "Algorithm 2 hands the experts out in turn",
        ("C5.b",),
        {"experts = xp.argsort(-F, axis=2, stable=True)": "experts = xp.argsort(0 * F, axis=2)"},
    ),
    Break(
        "the least loaded experts copied in the cost model",
        ("C6.b", "C6.c"),
        {"hot = ranks(-F) < (case.t": "hot = ranks(F) < (case.t"},
    ),
    Break(
        "true loads given out as the estimate",
        ("C6.b", "C6.c"),
        {
            "estimated = seconds(case, series, P=unmoved, calibrate=False)": "estimated = "
            "seconds(case, series, P=unmoved, estimate=true, calibrate=False)"
        },
    ),
    Break(
        "estimates frozen at the start",
        ("C6.b",),
        {"fold(window(counts, LOOK, w), interval)": "fold(window(counts, [20] * 20, w), interval)"},
    ),
    Break(
        "the estimates are not shuffled in the control",
        ("C5.c",),
        {"xp.take_along_axis(F, orders, axis=-1)": "F"},
    ),
]
