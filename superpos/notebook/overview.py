"""A run as a notebook shows it: how far it is, a table by setting, a map of the loss.

Only the table of results is read, so that a sweep of 25,000 models is shown at once, whatever its family.
"""

from __future__ import annotations

import base64
from html import escape
from typing import Final

from superpos.notebook import loss_map
from superpos.store import Run
from superpos.units import count, moment, number

MAX_SETTINGS: Final = 6
"""Rows of the table."""
MAX_NOTES: Final = 3


def html(run: Run) -> str:
    """HTML without scripts; nothing of it comes from the run unescaped."""
    parts = [
        f"<div><strong>{escape(run.name)}</strong> · {escape(_state(run))}<br><code>{escape(str(run.path))}</code>",
        *(f"<div><small>{moment(note.time)}: {escape(note.text)}</small></div>" for note in run.notes[-MAX_NOTES:]),
        _settings(run),
        _map(run),
        _more(run),
    ]
    return "\n".join([*filter(None, parts), "</div>"])


def _state(run: Run) -> str:
    """How much is done: "100 of 100 models, 2 diverged, complete"."""
    done = f"{len(run.table):,} of {count(run.n_models, 'model')}"
    diverged = 0 if run.table.empty else int((run.table["status"] != "ok").sum())
    words = [done, f"{diverged:,} diverged"] if diverged else [done]
    return ", ".join([*words, "complete" if run.complete else "incomplete"])


def _settings(run: Run) -> str:
    """The first settings of the sweep as a table."""
    table = run.by_setting()
    if table.empty:
        return ""
    shown = table.head(MAX_SETTINGS).to_html(index=False, border=0, float_format=number, na_rep="–")
    left = len(table) - MAX_SETTINGS
    return shown + (
        f"<small>and {count(left, 'more setting')}: <code>run.by_setting()</code></small>" if left > 0 else ""
    )


def _map(run: Run) -> str:
    picture = loss_map.draw(run)
    if picture is None:
        return ""
    data = base64.b64encode(picture.png).decode()
    return f'<div><img src="data:image/png;base64,{data}" alt="{escape(picture.words)}" width="{picture.width}"></div>'


def _more(run: Run) -> str:
    """What else can be looked at; only a known family has figures."""
    if run.family is None or run.table.empty:
        return ""
    return "<small><code>run.plot()</code> names the figures, <code>run.report()</code> opens the explorer</small>"
