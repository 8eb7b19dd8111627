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
from superpos.maths.trees import nodes
from superpos.maths.types import Floats

REPEATED: Final = ("world.seed", "sae.model")
"""Keys that repeat a setting, as the seed does: draws of a world, models of a source."""
SIZES: Final = ("world.n_features", "world.n_dims")
"""Where models of a source differ in size, a setting has those of one size."""
PENALTIES: Final = ("sae.l1", "sae.l0", "sae.k")
"""What makes codes sparse; a kind of autoencoder has one of them."""
EXACT: Final = {
    "sae.source": "world",
    "world.dictionary": "orthonormal",
    "world.noise": 0.0,
    "world.exactly": None,
    "world.rho": None,
    "world.correlation": "none",
}
"""Of worlds whose optima are known exactly."""
INDEPENDENT: Final = {**EXACT, "world.tree": None}
"""... and whose features come independently of each other."""


def settings(run: Run) -> list[Point]:
    """The settings in the order of the table, models of low loss first; only healthy ones."""
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in every.points(run):
        kept = {key: value for key, value in point.varied.items() if key not in REPEATED}
        sizes = {key: run.table[key].loc[point.best].item() for key in SIZES}
        kept |= {key: size for key, size in sizes.items() if key not in point.settings}
        groups.setdefault(tuple(kept.items()), []).append(point)
    merged = []
    for items, points in groups.items():
        own = dict(items)
        models = np.concatenate([point.models for point in points])
        loss = run.table["loss"].loc[models.tolist()].to_numpy(dtype=np.float64)
        ranked = models[np.argsort(loss, kind="stable")]
        known = {**points[0].settings, **own}
        merged.append(replace(points[0], varied=own, settings=known, models=ranked))
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


def pair(point: Point) -> Pair | None:
    """The tree of a setting, where it is one parent with one child; None where it is not."""
    given = point.settings["world.tree"]
    groups = [] if given is None else json.loads(str(given))
    if len(groups) != 1 or len(groups[0][-1]) != 1:
        return None
    p, _, alone, [child] = groups[0]
    return Pair(p, child, alone) if isinstance(child, float) else None


def title(point: Point) -> str:
    """What a setting varies in a few lines; keys that it has no value for are left out."""
    return "\n".join(filter(None, (_line(point, key) for key in point.varied)))


def _line(point: Point, key: str) -> str:
    value = point.settings[key]
    if value is None:
        return ""
    if key == "world.rho":
        return f"ρ = {rho(value)[1]:g}"
    edge = pair(point) if key == "world.tree" else None
    if edge is not None:
        alone = f"\nP(C|no P) = {edge.alone:.2g}" if edge.alone else ""
        return f"P(C|P) = {edge.child:.2g}{alone}"
    if key == "world.tree":
        return f"{len(nodes(json.loads(str(value))))} features in a tree"
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
