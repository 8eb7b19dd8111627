"""Share of represented features and loss against the width, one curve for each number of active
features.

Guo, Liu and Gore 2026. Shapes: P widths.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from superpos.figures.points import Run, all_equal
from superpos.maths.types import Floats
from superpos.store.rows import healthy

ALL: Final = 0.95  # share from which on all features count as represented
MIN_WIDTHS: Final = 3
PLAIN: Final = {
    "model.tied": True,
    "model.output": "relu",
    "model.hidden": "linear",
    "model.target": "identity",
    "data.correlation": "none",
    "data.signed": False,
    "data.values": "uniform",
    "data.last": 1.0,
    "data.n_points": None,
    "importance.decay": 1.0,
    "importance.last": 1.0,
    "importance.values": None,
}


class Curve(NamedTuple):
    """Models of one number of features and one density, means over seeds."""

    n_features: int
    active: float  # E = n p
    width: Floats  # [P], ascending
    share: Floats  # [P] of represented features
    loss: Floats  # [P]

    @property
    def unit(self) -> float:
        """E ln(n/E), in which critical widths are measured."""
        return float(self.active * np.log(self.n_features / self.active))

    @property
    def critical(self) -> float:
        """The width at which the share first passes `ALL`, even in ln m between widths; NaN where
        it does not.
        """
        above = np.flatnonzero(self.share >= ALL)
        if not len(above) or above[0] == 0:
            return np.nan
        ends = [above[0] - 1, above[0]]
        return float(np.exp(np.interp(ALL, self.share[ends], np.log(self.width[ends]))))


def curves(run: Run) -> list[Curve]:
    """A curve for each density, the sparsest first; of models that did not diverge."""
    table = healthy(run.table)
    found = []
    for _, rows in table.groupby(["model.n_features", "data.density"]):
        features = int(rows["model.n_features"].iloc[0])
        active = features * float(rows["data.density"].iloc[0])
        mean = rows.groupby("model.n_hidden")[["n_represented", "loss"]].mean()
        width = mean.index.to_numpy(dtype=np.float64)
        share = mean["n_represented"].to_numpy(dtype=np.float64) / features
        found.append(Curve(features, active, width, share, mean["loss"].to_numpy(dtype=np.float64)))
    return sorted(found, key=lambda curve: (curve.n_features, curve.active))


def reason(run: Run) -> str | None:
    """Why the run is no sweep of widths; None when it is."""
    unequal = all_equal(run, PLAIN)
    if unequal:
        return unequal
    widths = healthy(run.table)["model.n_hidden"].nunique()
    return (
        None
        if widths >= MIN_WIDTHS
        else f"needs {MIN_WIDTHS} widths (model.n_hidden) at least, found {widths}"
    )
