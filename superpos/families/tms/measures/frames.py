"""How many of many equal features are represented, how evenly they are spread, and what that costs
(Guo et al. 2026).

E = n p is the number of active features. Shapes: M models, F features, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms.analysis import represented, scaling
from superpos.store import Run

Where = Mapping[str, Any] | None


def represented_share(run: Run, where: Where = None) -> Measured:
    """Share of each model's features that are represented."""
    rows = select.where(run, where)
    return Measured(
        rows["n_represented"].to_numpy(np.float64) / rows["model.n_features"].to_numpy(np.float64)
    )


def half_way(run: Run, where: Where = None) -> Measured:
    """Share of each model's features whose norms lie between 0.1 and 0.5: neither forgotten nor
    represented.
    """
    W = select.where(run, where)["model"].map(lambda model: run.weights(int(model))["W"])
    norms = [np.linalg.norm(each.astype(np.float64), axis=1) for each in W]
    return Measured(np.array([((norm > 0.1) & (norm <= 0.5)).mean() for norm in norms]))


def welch_ratio(run: Run, where: Where = None) -> Measured:
    """Mean squared cosine of each model's long features over the Welch bound; 1 for a tight frame,
    NaN for too few.

    Long: of more than half the greatest norm, so that untrained models are measured too.
    """
    models = select.where(run, where)["model"]
    found = [
        scaling.welch_ratio(run.weights(int(model))["W"].astype(np.float64)) for model in models
    ]
    return Measured(np.array(found))


def critical_width(run: Run, active: list[float]) -> Measured:
    """m / (E ln(n/E)) at the width m where the represented share passes 0.95, for each number of
    `active` features.

    A mean over seeds. NaN where the share does not pass 0.95.
    """
    chosen = [curve for curve in represented.curves(run) if np.isclose(curve.active, active).any()]
    return Measured(np.array([curve.critical / curve.unit for curve in chosen]))


def activity_exponent(run: Run, width: Literal["least", "greatest"]) -> Measured:
    """d ln L / d ln E over the models of the least or the greatest width, one for each seed."""
    rows = select.where(run)
    widths = rows["model.n_hidden"]
    rows = rows[widths == (widths.min() if width == "least" else widths.max())]
    found = []
    for _, seed in rows.groupby("seed", sort=False):
        log_loss = np.log(seed["loss"].to_numpy(float))
        log_active = np.log(seed["data.density"].to_numpy(float))
        found.append(np.polyfit(log_active, log_loss, 1)[0])
    return Measured(np.array(found))


def width_exponent(run: Run, where: Where = None) -> Measured:
    """−d ln L / d ln m over the widths, one for each seed."""
    rows = select.where(run, where)
    return Measured(
        np.array([scaling.exponent(seed) for _, seed in rows.groupby("seed", sort=False)])
    )
