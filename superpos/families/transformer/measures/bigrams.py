"""Chains read by models without layers: exact optima by size, and tables of other languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.counts import exact_excess
from superpos.families.transformer.data.tables import law_of
from superpos.families.transformer.theory.low_rank import least_excess
from superpos.store import Run

Where = Mapping[str, Any] | None


def optimum(run: Run, d: int, languages: int = 4) -> Measured:
    """The least excess of a table of rank d on the languages of the first models, by descent."""
    models = select.where(run)["model"].to_numpy()[:languages].tolist()
    return Measured(np.array([_least(run, model, d) for model in models]))


def over_optimum(run: Run, where: Where = None) -> Measured:
    """The excess of each model over the least that descent finds for a table of its rank."""
    rows = select.where(run, where)
    sizes = zip(rows["model"].tolist(), rows["model.d_model"].tolist(), strict=True)
    best = np.array([_least(run, model, int(d)) for model, d in sizes])
    return Measured(rows["excess"].to_numpy(dtype=np.float64) / best)


def _least(run: Run, model: int, d: int) -> float:
    own = language(task(run, model))
    return least_excess(law_of(own["first"]), law_of(own["rows"]), d)


def elsewhere(run: Run, where: Where = None) -> Measured:
    """The excess of each model on the language of the next one."""
    models = select.where(run, where)["model"].to_numpy().tolist()
    others = [*models[1:], *models[:1]]
    return Measured(
        np.array(
            [
                exact_excess(task(run, other), run.weights(own))
                for own, other in zip(models, others, strict=True)
            ]
        )
    )
