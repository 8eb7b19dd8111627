"""Codes of an encoder beside those of sparse coding with its decoder, one value for each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.sae.analysis.scores import sparse_coded
from superpos.store import Run

Where = Mapping[str, Any] | None


def f1_gap(run: Run, where: Where = None) -> Measured:
    """F1 of FISTA's codes minus that of the encoder's."""
    rows = select.where(run, where)
    cells = zip(rows["model"], rows["sae.l1"], strict=True)
    coded = np.array([sparse_coded(run, int(model), penalty).f1 for model, penalty in cells])
    return Measured(coded - rows["f1"].to_numpy(dtype=np.float64))
