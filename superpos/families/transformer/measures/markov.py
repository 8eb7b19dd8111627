"""Chains that are new in every sequence: the plateau of who counts states alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.markov import plateau
from superpos.families.transformer.analysis.models import task
from superpos.store import Run


def above_plateau(run: Run, where: Mapping[str, Any] | None = None) -> Measured:
    """Excess of each model minus that of the unigram predictor on the same sequences."""
    rows = select.where(run, where)
    expected = np.array([plateau(task(run, model)) for model in rows["model"].tolist()])
    return Measured(rows["excess"].to_numpy(dtype=np.float64) - expected)
