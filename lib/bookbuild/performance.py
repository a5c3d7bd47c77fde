"""The page of measured times: tables and curves drawn from ``benchmarks/results/*.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from bookbuild.directives import BoardDirective, plain, table_row
from gaussbook.plotting import STYLE


class Benchmarks(BoardDirective):
    """One section for each machine: what was measured, when, with which versions."""

    def run(self) -> list[nodes.Node]:
        """Return tables and figures."""
        root = self.board.project.root
        lines = []
        for path in sorted(root.glob("benchmarks/results/*.json")):
            self.env.note_dependency(str(path))
            record = json.loads(path.read_text(encoding="utf-8"))
            lines += [f"**{record['machine']}**, {record['date']}: {_versions(record)}.", ""]
            lines += _table(record["rows"])
            if record.get("growth"):
                lines += _growth(record["growth"], root / "_build" / "performance" / path.stem)
        if not lines:
            raise self.error("there are no results; make some with: make bench")
        return self.markdown(lines)


class BookCosts(BoardDirective):
    """What the book itself takes: processor time and memory of each chapter, the longest first."""

    def run(self) -> list[nodes.Node]:
        """Return a sentence and the table."""
        facts = self.board
        self.rests_on(list(facts.chapters.values()))
        costs = {slug: run.cost for slug, run in facts.runs.items() if run.cost is not None}
        if not costs:
            return self.markdown(["No run of a chapter has been measured yet."])
        total = sum(seconds for seconds, _ in costs.values())
        memory = max(memory for _, memory in costs.values())
        lines = [
            f"All {len(costs)} chapters together: {total / 60:.0f} minutes of processor time, at "
            f"most {memory / 1000:.1f} GB of memory for one ({facts.last_run()}).",
            "",
            table_row(["Chapter", "Processor time (s)", "Share (%)", "Memory (MB)"]),
            table_row(["---"] * 4),
        ]
        for slug, (seconds, held) in sorted(costs.items(), key=lambda each: -each[1][0]):
            title = f"[{plain(facts.title(slug))}](/{facts.chapters[slug].docname}.md)"
            share = f"{100 * seconds / total:.1f}"
            lines.append(table_row([title, f"{seconds:.1f}", share, str(held)]))
        return self.markdown(lines)


def _versions(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in record["versions"].items())


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| Work | Peer | Ours (s) | Peer (s) | Ratio | Aim | Reached |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    notes = []
    for row in rows:
        if row["note"] and row["note"] not in notes:
            notes.append(row["note"])
        mark = f" ({notes.index(row['note']) + 1})" if row["note"] else ""
        numbers = [f"{row[name]:.3g}" for name in ("ours_s", "peer_s", "ratio", "target")]
        reached = "yes" if row["meets"] else "no"
        lines.append(table_row([f"{row['work']}{mark}", row["peer"], *numbers, reached]))
    return [*lines, "", *(f"({k}) {note}.\n" for k, note in enumerate(notes, 1))]


def _growth(curves: list[dict[str, Any]], stem: Path) -> list[str]:
    """Draw seconds against each size and return the figure."""
    import matplotlib.pyplot as plt

    path = stem.with_suffix(".svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    variables = list(dict.fromkeys(curve["variable"] for curve in curves))
    with matplotlib.style.context(STYLE):
        figure, panels = plt.subplots(
            1, len(variables), figsize=(7.2, 3.6), sharey=True, width_ratios=[2, 1, 1]
        )
        for panel, variable in zip(panels, variables, strict=True):
            for curve, marker in zip(
                (c for c in curves if c["variable"] == variable), "os^vDP", strict=False
            ):
                panel.loglog(
                    curve["values"], curve["seconds"], f"{marker}-", ms=4, label=curve["work"]
                )
            panel.set(xlabel=variable)
            panel.minorticks_off()
            if variable != variables[0]:  # a short range: its own values are the ticks
                values = next(c["values"] for c in curves if c["variable"] == variable)
                panel.set_xticks(values, [str(value) for value in values], fontsize=7)
            panel.legend(fontsize=6)
        panels[0].set(ylabel="seconds")
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    slopes = ", ".join(f"{c['work']} in {c['variable']}: {_slope(c):.1f}" for c in curves)
    return [
        f"```{{figure}} /_build/performance/{path.name}",
        ":alt: Seconds against the number of points, the dimension and the number of components, "
        "logarithmic; all curves are nearly straight.",
        f"Growth of the cost. Exponents between the two largest sizes: {slopes}.",
        "```",
        "",
    ]


def _slope(curve: dict[str, Any]) -> float:
    from math import log

    (x0, x1), (t0, t1) = curve["values"][-2:], curve["seconds"][-2:]
    return log(t1 / t0) / log(x1 / x0)


ALL: dict[str, type[SphinxDirective]] = {"benchmarks": Benchmarks, "book-costs": BookCosts}
