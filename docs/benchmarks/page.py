"""Make the tables and figures of docs/benchmarks.md from what was measured: NAME.json of every
section.

    python docs/benchmarks/page.py

A section of the page is what stands between `<!-- NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from superpos.bench.measure import Report, Row
from superpos.bench.sides import ENGINE
from superpos.bench.table import machine, markdown
from superpos.families.sae import bench as sae
from superpos.families.sae.bench.cases import Case as SaeCase
from superpos.families.tms.bench import EAGER, JAX, bench
from superpos.families.tms.bench.cases import BASE, Case
from superpos.families.transformer import bench as transformer
from superpos.families.transformer.bench.cases import Case as TransformerCase
from superpos.figures import style
from superpos.units import duration

HERE = Path(__file__).parent
PAGE = HERE.with_suffix(".md")
LABELS = {
    "models": "models",
    "n_features": "features n",
    "n_hidden": "hidden dimensions m",
    "batch_size": "batch size",
    "sparsity": "density 1 − S",
}
CURVES = {
    (EAGER, "dense"): ("eager loop", style.GREY, "s"),
    (JAX, "dense"): ("JAX", style.CYCLE[1], "^"),
    (ENGINE, "dense"): ("engine", style.CYCLE[0], "o"),
    (ENGINE, "sparse"): ("engine, sparse sampler", style.CYCLE[2], "D"),
}


def sections() -> dict[str, str]:
    """Text of each section whose measurements are there."""
    makers = {
        "table": table,
        "phase_diagram": phase_diagram,
        "sae": autoencoders,
        "transformer": transformers,
        "scaling": scaling,
        "experiments": experiments,
    }
    files = {name: HERE / f"{name}.json" for name in makers}
    return {
        name: make(json.loads(files[name].read_text()))
        for name, make in makers.items()
        if files[name].exists()
    }


def table(data: dict[str, Any]) -> str:
    """Speed, times and losses of all cases."""
    return markdown(Report.from_json(data, Case), bench().standard)


def phase_diagram(data: dict[str, Any]) -> str:
    """A line for every side, the fastest first: medians over the runs."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in data["rows"]:
        runs.setdefault(row["side"], []).append(row)
    middle = {
        side: {name: median(row[name] for row in rows) for name in ("wall", "right", "gap")}
        for side, rows in runs.items()
    }
    head = (
        "| side | whole process | times superpos | right phase | loss above the least "
        "|\n|---|--:|--:|--:|--:|\n"
    )
    lines = [
        f"| {side} | {duration(found['wall'])} | {found['wall'] / middle['superpos']['wall']:.3g}× "
        f"| {found['right']:.1%} | {found['gap']:.2%} |"
        for side, found in sorted(middle.items(), key=lambda item: item[1]["wall"])
    ]
    facts = ", ".join(f"{name} {value}" for name, value in data["machine"].items())
    many = len(data["rows"]) // len(runs)
    about = (
        f"{data['models']:,} models, {data['steps']:,} steps; {many} run{'s' if many > 1 else ''} "
        "of each side."
    )
    return head + "\n".join(lines) + f"\n\n{about} Machine: {facts}."


def autoencoders(data: dict[str, Any]) -> str:
    """The same of autoencoders."""
    return markdown(Report.from_json(data, SaeCase), sae.bench().standard)


def transformers(data: dict[str, Any]) -> str:
    """The same of transformers."""
    return markdown(Report.from_json(data, TransformerCase), transformer.bench().standard)


def scaling(data: dict[str, Any]) -> str:
    """Links to the figures, and where they were measured."""
    report = Report.from_json(data, Case)
    pictures = "\n".join(
        f"![Cost over {label}](benchmarks/{field}.png)" for field, label in LABELS.items()
    )
    return f"{pictures}\n\n{machine(report)}"


def experiments(data: dict[str, Any]) -> str:
    """A line for every experiment."""
    head = "| command | models | wall time | training |\n|---|--:|--:|--:|\n"
    lines = [
        f"| `superpos train experiment={row['experiment']}` | {row['models']:,} | "
        f"{duration(row['wall'])} "
        f"| {row['seconds']['training'] / row['wall']:.0%} |"
        for row in data["rows"]
    ]
    return (
        head
        + "\n".join(lines)
        + "\n\nMachine: "
        + ", ".join(f"{k} {v}" for k, v in data["machine"].items())
        + "."
    )


def rewritten(page: str, parts: dict[str, str]) -> str:
    """The page with new sections. Raises `ValueError` for a section that it has no place for."""
    for name, text in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        page, count = re.subn(
            pattern,
            lambda match, text=text: f"{match[1]}\n{text}\n\n{match[2]}",
            page,
            flags=re.DOTALL,
        )
        if count != 1:
            raise ValueError(f"the page has {count} sections {name}, expected 1")
    return page


def draw(report: Report, field: str) -> Figure:
    """Cost over one field of a case, the others as in `BASE`: a curve for each side."""
    with style.context():
        figure = style.new_figure(style.HALF, 2.9)
        axes = figure.add_subplot()
        for (side, sampler), (label, colour, marker) in CURVES.items():
            rows = sorted(
                along(report, field, side, sampler), key=lambda row: position(row.case, field)
            )
            if len(rows) > 1:
                x = [position(row.case, field) for row in rows]
                axes.plot(x, [row.ns for row in rows], marker=marker, color=colour, label=label)
                fastest, slowest = zip(*map(extent, rows), strict=True)
                axes.fill_between(x, fastest, slowest, color=colour, alpha=0.2, lw=0)
        finish(axes, field)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def along(report: Report, field: str, side: str, sampler: str) -> list[Row]:
    """The rows of a side where only `field` differs from `BASE`."""
    base = BASE._replace(sampler=sampler)  # type: ignore[arg-type]
    return [
        r
        for r in report.rows
        if r.side == side and r.case._replace(**{field: getattr(base, field)}) == base
    ]


def position(case: Case, field: str) -> float:
    """Where a case stands on the axis of `field`."""
    value: float = getattr(case, field)
    return 1 - value if field == "sparsity" else value


def extent(row: Row) -> tuple[float, float]:
    """The fastest and the slowest run, in nanoseconds for a sample of a model."""
    return 1e6 * min(row.ms) / row.case.samples, 1e6 * max(row.ms) / row.case.samples


def finish(axes: Axes, field: str) -> None:
    """Both axes logarithmic, with plain numbers; what does not vary is the title."""
    fixed = {
        "n_features": "n",
        "n_hidden": "m",
        "models": "models",
        "sparsity": "S",
        "batch_size": "batch",
    }
    axes.set(xscale="log", yscale="log", xlabel=LABELS[field], ylabel="ns a sample of a model")
    axes.set_title(
        ", ".join(f"{name} {getattr(BASE, key):g}" for key, name in fixed.items() if key != field)
    )
    style.plain_log_numbers(axes.xaxis)
    style.plain_log_numbers(axes.yaxis)
    if field == "sparsity":
        axes.invert_xaxis()


def main() -> None:
    """Rewrite the page and its figures."""
    PAGE.write_text(rewritten(PAGE.read_text(), sections()))
    measured = HERE / "scaling.json"
    if measured.exists():
        report = Report.from_json(json.loads(measured.read_text()), Case)
        for field in LABELS:
            (HERE / f"{field}.png").write_bytes(style.render(draw(report, field), "png"))


if __name__ == "__main__":
    main()
