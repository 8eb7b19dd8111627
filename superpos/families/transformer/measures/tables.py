"""Skip-trigrams read off weights, and the best additive tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.theory import floors
from superpos.store import Run

Where = Mapping[str, Any] | None


def read(run: Run, what: str, where: Where = None) -> Measured:
    """Of each model, read off its weights alone: "precision" of planted triples through the
    softmax, the same by the "naive" product QK × OV, or "bugs", how much too likely bug trigrams
    are.
    """
    found = []
    for model in select.where(run, where)["model"].tolist():
        one = task(run, model)
        found.append(tables.measured(run.weights(model), one.structure, language(one))[what])
    return Measured(np.array(found))


def over_additive(run: Run, where: Where = None) -> Measured:
    """The excess of each model over that of the best additive table of its language."""
    rows = select.where(run, where)
    best = np.array([_best(run, model).excess for model in rows["model"].tolist()])
    return Measured(rows["excess"].to_numpy(dtype=np.float64) / best)


def bugs_over_additive(run: Run, where: Where = None) -> Measured:
    """How far bug trigrams are above their true probability in each model, over the same in the
    best additive table.
    """
    rows = select.where(run, where)
    best = np.array([_best(run, model).bug_ratio for model in rows["model"].tolist()])
    return Measured((rows["bug_ratio"].to_numpy(dtype=np.float64) - 1) / (best - 1))


def additive_over_chance(run: Run, where: Where = None) -> Measured:
    """The loss of the best additive table of each model's language, over that of who knows
    nothing.
    """
    found = []
    for model in select.where(run, where)["model"].tolist():
        one = task(run, model)
        there = floors.occupancy(one.structure, language(one))
        found.append(floors.additive(there).loss / np.log(one.structure.tokens))
    return Measured(np.array(found))


def _best(run: Run, model: int) -> tables.Added:
    """What the best additive table of a model's language does."""
    one = task(run, model)
    return tables.added(one.structure, language(one))
