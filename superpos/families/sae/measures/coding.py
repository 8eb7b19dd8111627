"""Codes of an encoder beside those of sparse coding with the same decoder, one value for each model."""

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
    cells = zip(rows["model"], rows["sae.l1"], rows["f1"], strict=True)
    return Measured(np.array([sparse_coded(run, int(m), penalty).f1 - f1 for m, penalty, f1 in cells]))


def fvu_ratio(run: Run, where: Where = None) -> Measured:
    """Variance that the encoder's codes leave, over that which FISTA's leave."""
    rows = select.where(run, where)
    cells = zip(rows["model"], rows["sae.l1"], rows["fvu"], strict=True)
    return Measured(np.array([fvu / sparse_coded(run, int(m), penalty).fvu for m, penalty, fvu in cells]))
