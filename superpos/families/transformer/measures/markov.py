"""Chains that are new in every sequence, beside predictors that know less than all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.markov import plateau, share_loss
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.structure import Task
from superpos.maths.types import Floats
from superpos.store import Run

Where = Mapping[str, Any] | None


def above_plateau(run: Run, where: Where = None) -> Measured:
    """Excess of each model minus that of the unigram predictor on the same sequences."""
    excess, expected = _beside(run, where, plateau)
    return Measured(excess - expected)


def over_shares(run: Run, where: Where = None) -> Measured:
    """Excess of each model over that of the shares of what has followed, at their best scale, on
    the same sequences.
    """
    excess, expected = _beside(run, where, share_loss)
    return Measured(excess / expected)


def _beside(run: Run, where: Where, predictor: Callable[[Task], float]) -> tuple[Floats, Floats]:
    """The excess of each model, and that of a predictor on its sequences."""
    rows = select.where(run, where)
    known = np.array([predictor(task(run, model)) for model in rows["model"].tolist()])
    return rows["excess"].to_numpy(dtype=np.float64), known
