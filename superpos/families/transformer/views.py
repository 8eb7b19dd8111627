"""Methods of runs of transformers."""

from __future__ import annotations

from superpos.families.transformer.analysis.tables import Circuits, circuits
from superpos.store import Run


def of_model(run: Run, model: int) -> Circuits:
    """The circuits of a model as tables of tokens: `direct` [V, V], `ov` and `qk` [L, H, V, V], read off the weights.

    Rows are what is read (of QK the query), columns what is raised (of QK the key); constants of rows are taken off.
    Raises `IndexError` and `IncompleteError` as `Run.weights`.
    """
    return circuits(run.weights(model))
