"""Toy models as explanation methods take them: weights, and the law of their data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from superpos.errors import SuperposError
from superpos.families.tms.structure import Task
from superpos.plan.sweep import Sweep
from superpos.store import Run


def one_layer(run: Run, models: Sequence[int]) -> dict[str, Any]:
    """What `Family.one_layer` says, of models of one chunk.

    Raises `SuperposError` for signed, finite and exclusive data and other values than uniform ones,
    of which explanations do not know the law.
    """
    rows = np.asarray(models, dtype=np.intp)
    task: Task = Sweep.from_json(run.plan).task(rows)
    structure = task.structure
    unknown = {
        f"data.values={structure.values}": structure.values != "uniform",
        "data.signed=true": structure.signed,
        f"data.n_points={structure.n_points}": structure.n_points is not None,
        f"data.correlation={structure.correlation}": structure.correlation
        not in ("none", "correlated"),
    }
    for words, holds in unknown.items():
        if holds:
            raise SuperposError(
                f"{run.path} has models with {words}: explanations do not know the law of their "
                "data"
            )
    names = ["W"] if structure.tied else ["W1", "W2"]
    weights = tuple(run.tensor(name, rows).astype(np.float64) for name in names)
    return {
        "weights": weights[0] if structure.tied else weights,
        "b": run.tensor("b", rows).astype(np.float64),
        "hidden": structure.hidden,
        "output": structure.output,
        "density": task.density,
        "set_size": structure.set_size if structure.correlation == "correlated" else 1,
    }
