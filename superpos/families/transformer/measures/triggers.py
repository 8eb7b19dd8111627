"""Triggers: when models learn what holds everywhere, and when what a sequence says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.triggers import Of, courses, half_at
from superpos.store import Run

Where = Mapping[str, Any] | None


def half(run: Run, of: Of, where: Where = None) -> Measured:
    """The first step at which half of the excess "everywhere" or of the "sequence" is gone; inf of
    never.
    """
    models = select.where(run, where)["model"].tolist()
    return Measured(np.array([half_at(*courses(run, model, of)) for model in models]))


def left(run: Run, of: Of, where: Where = None) -> Measured:
    """The excess "everywhere" or of the "sequence" at the end, in nats."""
    models = select.where(run, where)["model"].tolist()
    return Measured(np.array([courses(run, model, of)[1][-1] for model in models]))


def later(run: Run, where: Where = None) -> Measured:
    """How many times as long the sequence takes as what holds everywhere; inf of never."""
    return Measured(half(run, "sequence", where).values / half(run, "everywhere", where).values)
