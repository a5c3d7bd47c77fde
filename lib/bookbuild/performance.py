"""The page of measured times: tables and curves drawn from ``benchmarks/results/*.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from bookbuild import costs
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
            lines += _peaks(record["peaks"])
            lines += _table(record["rows"])
            if record.get("growth"):
                lines += _growth(record["growth"], root / "_build" / "performance" / path.stem)
            if record.get("scaling"):
                lines += _scaling(record["scaling"])
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


class WayCosts(BoardDirective):
    """What it took from a clone to the site and to the end of the tests, and each test file."""

    def run(self) -> list[nodes.Node]:
        """Return two tables."""
        for path in costs.files(self.board.project.build):
            self.env.note_dependency(str(path))
        stages = costs.read(self.board.project.root)
        if not {"site", "tests"} & set(stages):
            return self.markdown(["No run from a clone to the end of its tests is on record here."])
        lines = [table_row(["Part", "Minutes", "Minutes over the factor", "Day"])]
        lines.append(table_row(["---"] * 4))
        for name, (seconds, facts) in stages.items():
            over = f"{seconds / 60 / facts['factor']:.1f}" if facts else "–"
            cells = [_PARTS[name], f"{seconds / 60:.1f}", over, facts.get("date", "–")]
            lines.append(table_row(cells))
        measured = next(facts for _, facts in stages.values() if facts)
        lines += ["", _MACHINE.format(**measured), ""]
        if "tests" in stages:
            lines += _files(stages["tests"].facts["files"])
        return self.markdown(lines)


_PARTS = {
    "environment": "the environment (most of it is the network)",
    "site": "the site, all chapters executed",
    "tests": "the tests",
}
_MACHINE = """By the clock, on {processors} processors. The *factor* says how slow a core is: one of
a current server takes 1, this machine {factor:.2f}."""


def _files(files: dict[str, list]) -> list[str]:
    total = sum(seconds for _, seconds in files.values())
    rows = sorted(files.items(), key=lambda each: -each[1][1])
    lines = ["```{dropdown} The share of each test file", ""]
    lines += [table_row(["File", "Tests", "Seconds", "Share (%)"]), table_row(["---"] * 4)]
    for file, (count, seconds) in rows:
        share = f"{100 * seconds / total:.1f}"
        lines.append(table_row([f"`{file}`", str(count), f"{seconds:.1f}", share]))
    return [*lines, "```"]


def _versions(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in record["versions"].items())


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| Work | Peer | Ratio | Aim | Reached | Share of the limit (%) | Ours (s) |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    notes = []
    for row in rows:
        if row["note"] and row["note"] not in notes:
            notes.append(row["note"])
        mark = f" ({notes.index(row['note']) + 1})" if row["note"] else ""
        ratio, target = (f"{row[name]:.3g}" for name in ("ratio", "target"))
        share = "–" if row["share"] is None else f"{100 * row['share']:.0f}"
        reached, seconds = "yes" if row["meets"] else "no", f"{row['ours_s']:.3g}"
        cells = [f"{row['work']}{mark}", row["peer"], ratio, target, reached, share, seconds]
        lines.append(table_row(cells))
    return [*lines, "", *(f"({k}) {note}.\n" for k, note in enumerate(notes, 1))]


def _peaks(peaks: dict[str, dict[str, float]]) -> list[str]:
    """Say what one core of the machine can do."""
    words = {"float32": "single", "float64": "double"}
    parts = [
        f"in {words[name]} precision {peak['flops'] / 1e9:.0f} billion flops in matrix products, "
        f"{peak['exps'] / 1e9:.1f} billion exponentials and {peak['bytes'] / 1e9:.0f} GB copied"
        for name, peak in sorted(peaks.items())
    ]
    return [f"One core does, each second, {'; '.join(parts)}.", ""]


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
    rows = [
        table_row(
            [
                *(c["work"], c["variable"], f"{_slope(c, 'seconds'):.2f}", str(c["expected"])),
                f"{_slope(c, 'megabytes'):.2f}",
            ]
        )
        for c in curves
    ]
    return [
        f"```{{figure}} /_build/performance/{path.name}",
        ":alt: Seconds against the number of points, the dimension and the number of components, "
        "logarithmic; all curves are nearly straight.",
        "Growth of the cost.",
        "```",
        "",
        "Exponents between the two largest sizes: of time, of the flops, and of memory.",
        "",
        table_row(["Work", "Grows", "Time", "Flops", "Memory"]),
        table_row(["---"] * 5),
        *rows,
        "",
    ]


def _scaling(record: dict[str, Any]) -> list[str]:
    """Return the times on more and more workers of a cluster, and what the model says."""
    measured, model = record["measured_s"], record["model_s"]
    apart = max(abs(model[w] / measured[w] - 1) for w in measured if int(w) <= record["cores"])
    lines = [
        f"Estimation out of core on a Dask cluster, ten steps for {record['rows']} points in "
        f"{record['chunks']} chunks, workers of {record['memory_limit']} each. The model adds "
        f"{record['latency_s']:.2g} s of waiting, measured with hardly any points, to "
        f"{record['work_s']:.3g} s of work, measured on one chunk in memory and divided among the "
        f"workers. It was checked on as many workers as this machine has processors "
        f"({record['cores']}), where it is off by at most {100 * apart:.0f} %; more workers than "
        "that share them here, and beyond the measured rows the model is all there is.",
        "",
        table_row(["Workers", "Measured (s)", "Model (s)"]),
        table_row(["---"] * 3),
    ]
    for workers, seconds in model.items():
        found = f"{measured[workers]:.3g}" if workers in measured else "–"
        lines.append(table_row([workers, found, f"{seconds:.3g}"]))
    return [*lines, ""]


def _slope(curve: dict[str, Any], measured: str) -> float:
    from math import log

    (x0, x1), (y0, y1) = curve["values"][-2:], curve[measured][-2:]
    return log(y1 / y0) / log(x1 / x0)


ALL: dict[str, type[SphinxDirective]] = {
    "benchmarks": Benchmarks,
    "book-costs": BookCosts,
    "way-costs": WayCosts,
}
