"""Loss against the width of models of many features, and how evenly their directions are spread
(Liu et al. 2025).

Shapes: F features, H hidden.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from superpos.families.tms import theory
from superpos.families.tms.analysis import represented
from superpos.figures.points import Run
from superpos.maths.types import Floats
from superpos.store.rows import healthy

START: Final = "model.bias_std"


def exponent(rows: pd.DataFrame) -> float:
    """−d ln L / d ln m of models that differ in their width, by least squares."""
    width, loss = (rows[name].to_numpy(np.float64) for name in ("model.n_hidden", "loss"))
    return -float(np.polyfit(np.log(width), np.log(loss), 1)[0])


def welch_ratio(W: Floats) -> float:
    """Mean squared cosine of the long rows of W [F, H] over the Welch bound; 1 for a tight frame,
    NaN for too few.

    Long: of more than half the greatest norm, so that untrained models are measured too.
    """
    norm = np.linalg.norm(W, axis=1)
    kept = W[norm > norm.max() / 2]
    bound = theory.welch_bound(*kept.shape) if len(kept) > 1 else 0.0
    return float(theory.mean_squared_cosine(kept)) / bound if bound else np.nan


def reason(run: Run) -> str | None:
    """Why the run is no sweep of widths from several starts of the biases; None when it is."""
    unfit = represented.reason(run)
    if unfit:
        return unfit
    table = healthy(run.table)
    if START not in table.columns or table[START].nunique() < 2:
        return f"needs two values of {START} at least"
    others = [key for key in ("model.n_features", "data.density") if table[key].nunique() > 1]
    return f"needs one value of {others[0]}" if others else None
