"""Settings of a sweep of autoencoders: all seeds, worlds of one kind and source models together.

Shapes: K models of a setting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from superpos.figures import points as every
from superpos.figures.points import Point, Run
from superpos.maths.types import Floats

REPEATED: Final = ("world.seed", "sae.model")
"""Keys that repeat a setting, as the seed does: draws of a world, models of a source."""
PENALTIES: Final = ("sae.l1", "sae.l0", "sae.k")
"""What makes codes sparse; a kind of autoencoder has one of them."""


def settings(run: Run) -> list[Point]:
    """The settings in the order of the table, models of low loss first; only healthy ones."""
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in every.points(run):
        own = tuple(item for item in point.varied.items() if item[0] not in REPEATED)
        groups.setdefault(own, []).append(point)
    merged = []
    for own, points in groups.items():
        models = np.concatenate([point.models for point in points])
        loss = run.table["loss"].loc[models.tolist()].to_numpy(dtype=np.float64)
        ranked = models[np.argsort(loss, kind="stable")]
        merged.append(replace(points[0], varied=dict(own), models=ranked))
    return merged


def varied(chosen: Sequence[Point]) -> list[str]:
    """The keys in which settings differ, in the order of the table."""
    return list(chosen[0].varied) if chosen else []


def values(run: Run, point: Point, column: str) -> Floats:
    """A column of the table [K] for the models of a setting."""
    cells: Any = run.table[column].loc[point.models.tolist()]
    return np.array(cells, dtype=np.float64)


def rho(text: object) -> Floats:
    """Correlations of the first feature [G], of a cell of world.rho."""
    row = np.array(json.loads(str(text)), dtype=np.float64)
    return row if row.ndim == 1 else np.array(row[0], dtype=np.float64)


class Pair(NamedTuple):
    """A parent P and its child C, the first of a tree."""

    parent: float
    """P(P)."""
    child: float
    """P(C | P)."""
    alone: float
    """P(C | no P)."""


def pair(text: object) -> Pair:
    """The first edge of a cell of world.tree."""
    p, _, alone, children = json.loads(str(text))[0]
    child = children[0] if isinstance(children[0], float) else children[0][0]
    return Pair(p, child, alone)


def title(point: Point) -> str:
    """What a setting varies in a few lines; keys that it has no value for are left out."""
    return "\n".join(filter(None, (_line(point, key) for key in point.varied)))


def _line(point: Point, key: str) -> str:
    value = point.settings[key]
    if value is None:
        return ""
    if key == "world.rho":
        return f"ρ = {rho(value)[1]:g}"
    if key == "world.tree":
        _, child, alone = pair(value)
        return f"P(C|P) = {child:.2g}" + (f"\nP(C|no P) = {alone:.2g}" if alone else "")
    if key == "train.steps":
        return f"{value:,} steps"
    return point.label([key])


def penalty_key(chosen: Sequence[Point]) -> str | None:
    """The key that makes all these codes sparse; None where they are of several kinds."""
    used = {key for key in PENALTIES for point in chosen if np.isfinite(point.number(key))}
    return used.pop() if len(used) == 1 else None


def numeric_axis(chosen: Sequence[Point]) -> str | None:
    """The key that takes most numbers, one in every setting; None where there is none."""
    numbers = {key: [point.number(key) for point in chosen] for key in varied(chosen)}
    counts = {key: len(set(found)) for key, found in numbers.items() if np.isfinite(found).all()}
    return max(counts, key=lambda key: counts[key], default=None)
