"""Skip-trigrams read off weights, and the best additive tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis import tables
from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.analysis.paths import params_of
from superpos.families.transformer.counts import SEQUENCES, asked
from superpos.families.transformer.model import forward
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


def foretold(run: Run, where: Where = None) -> Measured:
    """The mean of |p read off the weights − p of the running model|, over tokens after a source and
    a token, by how often these two are there.
    """
    return Measured(np.array([_gap(run, model) for model in _models(run, where)]))


def _models(run: Run, where: Where) -> list[int]:
    models: list[int] = select.where(run, where)["model"].tolist()
    return models


def _gap(run: Run, model: int) -> float:
    one = task(run, model)
    weights = run.weights(model)
    given = asked(one, 0, SEQUENCES)
    with torch.no_grad():
        logits = forward(one, params_of(weights), given.inputs)[0][0].double().numpy()
    seen = tables.running(given.tokens, given.where, logits, one.structure)
    read = np.exp(tables.through_softmax(one.structure, language(one), weights))
    there = np.isfinite(seen)
    often = np.where(there, floors.occupancy(one.structure, language(one)).often[..., None], 0.0)
    gaps = np.where(there, np.abs(read - seen), 0.0)
    return float((often * gaps).sum() / often.sum())


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
