"""Settings of a sweep of autoencoders: all seeds, worlds of one kind and source models together.

Shapes: K models of a setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from superpos.figures import points as every
from superpos.figures.points import Point, Run
from superpos.maths.types import Floats

REPEATED: Final = ("world.seed", "sae.model")
"""Keys that repeat a setting, as the seed does: draws of a world, models of a source."""
PENALTIES: Final = ("sae.l1", "sae.l0", "sae.k")
"""What makes codes sparse; a kind of autoencoder has one of them."""


def follows(table: pd.DataFrame) -> list[str]:
    """Key columns of a table that follow from the others: the number of latents, or its ratio to G."""
    given = "sae.latents" if table["sae.expansion"].nunique() == 1 else "sae.expansion"
    return [given]


def settings(run: Run) -> list[Point]:
    """The settings in the order of the table, models of the lowest loss first; only healthy models."""
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in every.points(run):
        own = tuple(item for item in point.varied.items() if item[0] not in REPEATED)
        groups.setdefault(own, []).append(point)
    loss = run.table.set_index("model")["loss"].astype(float)
    merged = []
    for own, points in groups.items():
        models = np.concatenate([point.models for point in points])
        ranked = models[np.argsort(loss.loc[models].to_numpy(), kind="stable")]
        merged.append(replace(points[0], varied=dict(own), models=ranked))
    return merged


def varied(chosen: Sequence[Point]) -> list[str]:
    """The keys in which settings differ, in the order of the table."""
    return list(chosen[0].varied) if chosen else []


def values(run: Run, point: Point, column: str) -> Floats:
    """A column of the table [K] for the models of a setting."""
    cells = run.table.set_index("model")[column].loc[point.models]
    return cells.to_numpy(dtype=np.float64)


def penalty_key(chosen: Sequence[Point]) -> str | None:
    """The key that makes the codes of all these settings sparse; None where they are of several kinds."""
    used = {key for key in PENALTIES for point in chosen if np.isfinite(point.number(key))}
    return used.pop() if len(used) == 1 else None


def numeric_axis(chosen: Sequence[Point]) -> str | None:
    """The key that varies in most numbers of all settings; None where no key has two."""
    counts = {key: len({point.number(key) for point in chosen} - {np.nan}) for key in varied(chosen)}
    numbers = {
        key: count
        for key, count in counts.items()
        if count > 1 and all(np.isfinite(point.number(key)) for point in chosen)
    }
    return max(numbers, key=lambda key: numbers[key], default=None)
