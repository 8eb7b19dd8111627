"""What was measured, as Markdown: on a terminal, and in the documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from superpos.bench.cases import Case, Standard
from superpos.bench.measure import Report, Row
from superpos.bench.sides import ENGINE, has_draws_of_its_own

_Rows = dict[str, Row]  # of one case, by side
_Column = Callable[[_Rows], str]
_EQUAL = 6.0  # standard errors: of 8 models, one comparison in 2000 is further apart by chance


def markdown(report: Report, standard: Standard | None) -> str:
    """Speed, times and losses, each a table with a line for every case, and the machine.

    `standard` is the baseline that losses are compared with.
    """
    cases: dict[Case, _Rows] = {}
    for row in report.rows:
        cases.setdefault(row.case, {})[row.side] = row
    sides = list(dict.fromkeys(row.side for row in report.rows))
    runs = len(report.rows[0].ms)
    own = [side for side in sides if has_draws_of_its_own(side)]
    baselines = [side for side in own if side != ENGINE]
    together = [side for side in sides if side not in own]
    speed = (
        "How many times faster the engine is than each baseline"
        if baselines
        else "Speed of the engine"
    )
    steps = " or ".join(map(str, sorted({case.compared_steps for case in cases})))
    losses = f"Loss after {steps} steps, mean over the models"
    if standard is not None:
        losses += f", and its distance from {standard.words}'s in standard errors, model by model"
    parts = [
        f"{speed}{_of(runs)}:",
        _table(cases, _about_engine(baselines, together, standard, report.peak_gflops)),
        f"Milliseconds a step of all models{_of(runs)}:",
        _table(cases, {side: _side_column(side, lambda row: _spread(row.ms)) for side in sides}),
        f"{losses}:",
        _table(cases, {side: _side_column(side, _loss) for side in own}),
        *_other_work(report.rows),
        *[f"Left out: {reason}." for reason in report.skipped.values()],
        machine(report),
    ]
    return "\n\n".join(parts)


def machine(report: Report) -> str:
    """Where it was measured: a sentence."""
    facts = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    return f"Machine: {facts}; best float32 matrix product {report.peak_gflops:.0f} GFLOP/s."


def _about_engine(
    baselines: Sequence[str], together: Sequence[str], standard: Standard | None, peak: float
) -> dict[str, _Column]:
    """Columns about the engine with draws of its own, and how it fares where models share
    theirs.
    """
    columns = {f"than {side}": _ratio(side, ENGINE) for side in baselines}
    if standard is not None:
        for side in together:
            columns[f"{side.removeprefix(f'{ENGINE}, ')}, than {standard.name}"] = _ratio(
                standard.name, side
            )
    return columns | {
        "ns a sample": _side_column(ENGINE, lambda row: _number(row.ns)),
        "GFLOP/s": _side_column(ENGINE, lambda row: f"{row.gflops:,.0f}"),
        "of peak": _side_column(ENGINE, lambda row: f"{row.gflops / peak:.0%}"),
        "engine": _side_column(ENGINE, lambda row: str(row.engine)),
    }


def _side_column(side: str, form: Callable[[Row], str]) -> _Column:
    """Something about one side; empty where it did not run."""
    return lambda rows: form(rows[side]) if side in rows else ""


def _ratio(slow: str, fast: str) -> _Column:
    """How many times faster one side is than another, run by run."""

    def cell(rows: _Rows) -> str:
        if slow not in rows or fast not in rows:
            return ""
        return _spread([a / b for a, b in zip(rows[slow].ms, rows[fast].ms, strict=True)], "×")

    return cell


def _loss(row: Row) -> str:
    return f"{row.loss:.5f}" + ("" if row.z is None else f" ({row.z:+.1f})")


def _other_work(rows: Sequence[Row]) -> list[str]:
    apart = [
        f"{row.side} at {row.case.label}"
        for row in rows
        if row.z is not None and abs(row.z) > _EQUAL
    ]
    return (
        [f"**Trained something else, so that times do not compare**: {'; '.join(apart)}."]
        if apart
        else []
    )


def _spread(values: Sequence[float], unit: str = "") -> str:
    """ "58× (55–63)": median, smallest and largest."""
    middle = _number(median(values)) + unit
    return (
        middle if len(values) == 1 else f"{middle} ({_number(min(values))}–{_number(max(values))})"
    )


def _number(value: float) -> str:
    """Three digits: "0.0512", "51.2", "5,120"."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _of(runs: int) -> str:
    return "" if runs == 1 else f", median of {runs} runs (smallest–largest)"


def _table(cases: dict[Case, _Rows], columns: dict[str, _Column]) -> str:
    """One line per case; columns are as wide as their widest cell."""
    head = [*next(iter(cases)).columns, *columns]
    body = [
        [*case.columns.values(), *(column(rows) for column in columns.values())]
        for case, rows in cases.items()
    ]
    widths = [max(map(len, cells)) for cells in zip(head, *body, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        for cells in (head, *body)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))
