"""What patches of the hidden layer do beside what they are meant to do, and how kinds of ablation
differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.tms.analysis.collateral import Ablation, Patch, ablated, moved
from superpos.store import Run

Where = Mapping[str, Any] | None


def on_target(run: Run, patch: Patch, where: Where = None) -> Measured:
    """R² of a patched feature's output against what its input does; one value per model."""
    return Measured(moved(run, set(select.where(run, where)["model"]), patch).on_target)


def others(run: Run, patch: Patch, where: Where = None) -> Measured:
    """Power by which other outputs move over that by which the feature's own should; one value per
    model.
    """
    return Measured(moved(run, set(select.where(run, where)["model"]), patch).others)


def ablation_ratio(run: Run, one: Ablation, other: Ablation, where: Where = None) -> Measured:
    """How much more outputs move by one ablation of hidden units than by another, in power; one
    value per model.
    """
    models = set(select.where(run, where)["model"])
    return Measured(ablated(run, models, one) / ablated(run, models, other))
