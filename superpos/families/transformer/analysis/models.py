"""Models of a run as they were trained: their tasks, languages and courses.

Shapes: C snapshots, V tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superpos import store
from superpos.claims import select
from superpos.families.transformer.counts import SOLVED
from superpos.families.transformer.structure import Task
from superpos.figures.points import Run
from superpos.plan.sweep import Sweep
from superpos.store.rows import healthy


@lru_cache(maxsize=4)
def _sweep(run: store.Run) -> Sweep:
    return Sweep.from_json(run.manifest["plan"])


def task(run: Run, model: int) -> Task:
    """A model's task, of one model."""
    found: Task = _sweep(cast("store.Run", run)).task(np.array([model]))
    return found


def language(one: Task) -> dict[str, NDArray[Any]]:
    """What the language of a task of one model has of its own."""
    return {name: value[one.language[0]] for name, value in one.tables.items()}


def solved_rows(run: Run, where: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The rows of models that have solved their language."""
    rows = select.where(cast("store.Run", run), where)
    return rows[rows["excess"] < SOLVED]


CLASSES: Final = ("induction", "shifted", "mixed", "recency")
"""The classes of circuits, in the order in which they are shown."""


def classed_rows(run: Run) -> pd.DataFrame:
    """The rows of models of two or more layers whose circuit has a class."""
    rows = healthy(run.table)
    return rows[(rows["model.n_layers"] >= 2) & (rows["circuit"] != "none")]
