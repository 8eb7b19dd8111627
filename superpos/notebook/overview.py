"""A run as a notebook shows it: how far it is, a table by setting, a map of the loss, the figures
that were drawn of it.

Of its results only the table is read, so that a sweep of 25,000 models is shown at once, whatever
its family.
"""

from __future__ import annotations

import base64
from html import escape
from typing import Final

from superpos.figures.library import open_matplotlib
from superpos.notebook.gallery import WIDTH, thumbnails
from superpos.store import Run
from superpos.store.by_setting import by_setting
from superpos.store.notes import Note
from superpos.units import count, moment, number

MAX_SETTINGS: Final = 6
"""Rows of the table."""
MAX_NOTES: Final = 3
MAX_FIGURES: Final = 8


def html(run: Run) -> str:
    """HTML without scripts; nothing of it comes from the run unescaped."""
    head = f"<strong>{escape(run.name)}</strong> · {escape(_state(run))}"
    parts = [
        f"<div>{head}<br><code>{escape(str(run.path))}</code>",
        *map(_note, run.notes[-MAX_NOTES:]),
        _settings(run),
        _map(run),
        _gallery(run),
        _more(run),
    ]
    return "\n".join([*filter(None, parts), "</div>"])


def _note(note: Note) -> str:
    return f"<div><small>{moment(note.time)}: {escape(note.text)}</small></div>"


def _state(run: Run) -> str:
    """How much is done: "100 of 100 models, 2 diverged, complete"."""
    done = f"{len(run.table):,} of {count(run.n_models, 'model')}"
    diverged = 0 if run.table.empty else int((run.table["status"] != "ok").sum())
    words = [done, f"{diverged:,} diverged"] if diverged else [done]
    return ", ".join([*words, "complete" if run.complete else "incomplete"])


def _settings(run: Run) -> str:
    """The first settings of the sweep as a table, without what its family would add of weights."""
    if run.table.empty:
        return ""
    table = by_setting(run.table, run.swept, run.label, run.scores)
    first = table.head(MAX_SETTINGS)
    shown = first.to_html(index=False, border=0, float_format=number, na_rep="–")
    left = len(table) - MAX_SETTINGS
    if left <= 0:
        return shown
    return f"{shown}<small>and {count(left, 'more setting')}: <code>run.by_setting()</code></small>"


def _map(run: Run) -> str:
    open_matplotlib()
    from superpos.notebook import loss_map  # imports matplotlib, whatever MPLBACKEND says

    picture = loss_map.draw(run)
    if picture is None:
        return ""
    return f"<div>{_image(picture.png, picture.width, picture.words)}</div>"


def _gallery(run: Run) -> str:
    """The figures of `superpos plot`, each above its name."""
    small, left = thumbnails(run.path / "figures", MAX_FIGURES)
    if not small:
        return ""
    style = "display:inline-block;vertical-align:top;margin:4px;text-align:center"
    cells = [
        f'<div style="{style}">{_image(picture.png, WIDTH, picture.name)}'
        f"<br><small>{escape(picture.name)}</small></div>"
        for picture in small
    ]
    more = f"<small>and {count(left, 'more figure')}</small>" if left else ""
    return f"<div>{''.join(cells)}{more}</div>"


def _image(png: bytes, width: int, words: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" width="{width}" alt="{escape(words)}">'


def _more(run: Run) -> str:
    """What else can be looked at; only a known family has figures."""
    if run.family is None or run.table.empty:
        return ""
    figures = "<code>run.plot()</code> names the figures"
    return f"<small>{figures}, <code>run.report()</code> opens the explorer</small>"
