"""Points of a sweep of toy models: density, size, importance, and what their models were trained
on.

Shapes: F features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from superpos.families.tms.model import usual_init_std
from superpos.families.tms.structure import Task
from superpos.figures import points as every
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.plan.sweep import Sweep
from superpos.store.rows import same_setting

DENSITY: Final = "data.density"
_SPARSITY: Final = "data.sparsity"
_INIT_STD: Final = "model.init_std"
_SAMPLER: Final = "data.sampler"


@dataclass(frozen=True)
class Point(every.Point):
    """One point of a sweep of toy models."""

    sweep: Sweep
    """What was trained, as the run keeps it."""

    @property
    def density(self) -> float:
        """Density 1 − S of every feature; NaN where features differ."""
        return self.number(DENSITY)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_features, n_hidden)."""
        return int(self.settings["model.n_features"]), int(self.settings["model.n_hidden"])

    @property
    def importance(self) -> Floats:
        """Importance [F] of the features."""
        importance: Floats = self.task(self.best).importance[0]
        return importance

    def task(self, model: int) -> Task:
        """One of the models as it was trained, but for the sampler.

        Both samplers draw from one distribution; the dense one shares its draws with the models of
        other densities.
        """
        task: Task = self.sweep.task(np.array([model]))
        return replace(task, structure=replace(task.structure, sampler="dense"))


def points(run: Run) -> list[Point]:
    """The points of the sweep in the order of the table; only healthy models."""
    found = every.points(run)
    sweep = Sweep.from_json(run.manifest["plan"])
    return [Point(**vars(point), sweep=sweep) for point in found]


def by_density(chosen: Sequence[Point]) -> list[Point]:
    """The same points, the densest first; those without one density keep their place at the end."""
    return every.ordered(chosen, DENSITY)


def follows(table: pd.DataFrame) -> list[str]:
    """Key columns of a table of toy models that follow from the others.

    They are the sparsity, an init_std that nobody chose, and a sampler that nobody chose.
    """
    found = [_SPARSITY]
    sizes = (table[f"model.{name}"].to_numpy(dtype=float) for name in ("n_features", "n_hidden"))
    if np.allclose(table[_INIT_STD].to_numpy(dtype=float), usual_init_std(*sizes), rtol=1e-9):
        found.append(_INIT_STD)
    if _SAMPLER in table.columns and _sampler_follows(table, found):
        found.append(_SAMPLER)
    return found


def _sampler_follows(table: pd.DataFrame, left_out: Sequence[str]) -> bool:
    """Whether models of one setting have one sampler, by the keys that are not left out."""
    samplers = table[_SAMPLER]
    if samplers.nunique() == 1:
        return True
    others = [key for key in table.columns if "." in key and key not in (*left_out, _SAMPLER)]
    return bool((samplers.groupby(same_setting(table, others)).nunique() == 1).all())
