"""Methods of runs of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpos.families.transformer.analysis import reading
from superpos.families.transformer.analysis.tables import Circuits, circuits
from superpos.store import Run

if TYPE_CHECKING:
    import pandas as pd


def tables(run: Run, model: int) -> Circuits:
    """The circuits of a model as tables of tokens: `direct` [V, V], `ov` and `qk` [L, H, V, V],
    read off the weights.

    Rows are what is read (of QK the query), columns what is raised (of QK the key); constants of
    rows are taken off. Raises `IndexError` and `IncompleteError` as `Run.weights`.
    """
    return circuits(run.weights(model))


def read(run: Run, model: int, top: int = 5) -> dict[str, pd.DataFrame]:
    """What `superpos circuits` prints of a model, as tables by name: model, paths, orders, heads,
    compositions, entries and skip_trigrams, where the model has them; `top` entries of each table.

    Raises `IndexError` and `IncompleteError` as `Run.weights`.
    """
    return reading.read(run, model, top)
