"""What latents stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.store import Run


def found(run: Run, where: Mapping[str, Any] | None = None) -> Measured:
    """Share of the features that a latent stands for, one value for each model; the whole
    dictionary is expected.
    """
    return Measured(select.where(run, where)["found"].to_numpy(dtype=np.float64), 1.0)
