"""Tables on stdout: fitted to a terminal by rich; elsewhere plain text, one line per row, nothing
left out.

On a terminal that is too narrow the note of a row (its last, long text) goes below it, titles get
shorter, and spare columns are left out, the last one first.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Drawn

_GAP = 2  # blanks between columns
_NOTE_WIDTH = 40  # in fewer columns a note would be a tower of words
_LEAST_WIDTH = 20  # whatever COLUMNS says
_STYLES = {
    "complete": "green",
    "incomplete": "yellow",
    "corrupt": "bold red",
    "unreadable": "bold red",
}  # of cells that say one of these


@dataclass(frozen=True)
class Column:
    """A column: its title, whether its cells stand right, whether a narrow terminal may do without
    it.
    """

    title: str
    right: bool = False
    spare: bool = False
    short: str = ""  # title where the other is too long


@dataclass(frozen=True)
class Table:
    """Rows of text.

    `note`: the last column is long text. `grouped`: equal first cells below each other are a group.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    note: bool = False
    grouped: bool = False


def show(*tables: Table) -> None:
    """Print tables, an empty line between them."""
    for number, table in enumerate(tables):
        sys.stdout.write("\n" if number else "")
        if sys.stdout.isatty():
            _draw(table)
        else:
            sys.stdout.write(f"{plain(table)}\n")


def fields(pairs: Sequence[tuple[str, str]], stream: TextIO | None = None) -> str:
    """A line each: a name, and a text that is broken between words where a terminal is too
    narrow.
    """
    width = shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else sys.maxsize
    start = max(len(name) for name, _ in pairs) + _GAP
    return "\n".join(
        textwrap.fill(
            text,
            width,
            initial_indent=name.ljust(start),
            subsequent_indent=" " * start,
            break_long_words=False,  # paths and digests stay whole
            break_on_hyphens=False,
        )
        for name, text in pairs
    )


def plain(table: Table) -> str:
    """Aligned columns below their titles; an empty cell is a dash."""
    rows = [
        [column.title for column in table.columns],
        *([cell or "-" for cell in row] for row in table.rows),
    ]
    widths = _widths(table)
    return "\n".join(
        (" " * _GAP).join(map(_aligned, row, table.columns, widths)).rstrip() for row in rows
    )


def _widths(table: Table) -> list[int]:
    cells = zip(*[[column.title for column in table.columns], *table.rows], strict=True)
    return [max(1, *map(len, column)) for column in cells]


def _aligned(cell: str, column: Column, width: int) -> str:
    return cell.rjust(width) if column.right else cell.ljust(width)


def _draw(table: Table) -> None:
    from rich.console import Console  # imported here: rich takes a tenth of a second
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, _LEAST_WIDTH)
    notes: Sequence[str] = ()
    if table.note and not _has_room(table, console.width):
        notes = [row[-1] for row in table.rows]
        table = _without(table, len(table.columns) - 1)
    shown = (
        table if _fits(table, console.width) else _fitted(_with_short_titles(table), console.width)
    )
    if notes:
        _print_with_notes(console, shown, notes)
    else:
        console.print(_drawn(shown))
    if left_out := [
        column.title for column in table.columns if column.spare and column not in shown.columns
    ]:
        console.print(
            Text(
                f"no room for {', '.join(left_out)}: a wider terminal or --json has them",
                style="dim",
            )
        )


def _has_room(table: Table, width: int) -> bool:
    """Whether the notes can stand beside their rows."""
    room = width - sum(column + _GAP for column in _widths(table)[:-1])
    longest = max((len(word) for row in table.rows for word in row[-1].split()), default=0)
    return room >= max(_NOTE_WIDTH, longest)


def _fits(table: Table, width: int) -> bool:
    needed = _widths(table)
    if table.note:
        needed[-1] = min(needed[-1], _NOTE_WIDTH)
    return sum(needed) + _GAP * (len(needed) - 1) <= width


def _fitted(table: Table, width: int) -> Table:
    """The table without the spare columns that do not fit."""
    spare = [place for place, column in enumerate(table.columns) if column.spare]
    if not spare or _fits(table, width):
        return table
    return _fitted(_without(table, spare[-1]), width)


def _with_short_titles(table: Table) -> Table:
    return replace(
        table,
        columns=[replace(column, title=column.short or column.title) for column in table.columns],
    )


def _without(table: Table, place: int) -> Table:
    """The table without one column."""
    columns = [*table.columns[:place], *table.columns[place + 1 :]]
    rows = [[*row[:place], *row[place + 1 :]] for row in table.rows]
    return replace(table, columns=columns, rows=rows, note=table.note and place < len(columns))


def _drawn(table: Table) -> Drawn:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for place, column in enumerate(table.columns):
        last = table.note and place == len(table.columns) - 1
        drawn.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=not last
        )
    for row in _ungrouped(table) if table.grouped else table.rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return drawn


def _ungrouped(table: Table) -> list[list[str]]:
    """The rows with the first cell of a group in its first row alone."""
    groups = (list(rows) for _, rows in groupby(table.rows, key=lambda row: row[0]))
    return [
        [row[0] if place == 0 else "", *row[1:]]
        for rows in groups
        for place, row in enumerate(rows)
    ]


def _print_with_notes(console: Console, table: Table, notes: Sequence[str]) -> None:
    """Each row is one line, its note stands below it."""
    from rich.segment import Segment, Segments
    from rich.text import Text

    lines = [
        Segments([*line, Segment.line()]) for line in console.render_lines(_drawn(table), pad=False)
    ]
    head = len(lines) - len(notes)
    console.print(*lines[:head], end="")
    for line, note in zip(lines[head:], notes, strict=True):
        console.print(line, end="")
        for part in textwrap.wrap(
            note, console.width - 4, break_long_words=False, break_on_hyphens=False
        ):
            console.print(Text(f"    {part}", style="dim"), soft_wrap=True)
