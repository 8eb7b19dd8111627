"""Bigrams that a token at the begin switches on, read by one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.counts import SEQUENCES, asked
from superpos.families.transformer.theory.floors import switched_bigrams
from superpos.maths.hand_made import known
from superpos.store import Run

Where = Mapping[str, Any] | None


def over_bigrams(run: Run, where: Where = None) -> Measured:
    """The excess of each model over that of who knows the token alone."""
    rows = select.where(run, where)
    alone = [switched_bigrams(task(run, model).structure) for model in rows["model"].tolist()]
    return Measured(rows["excess"].to_numpy(dtype=np.float64) / np.array(alone))


def by_hand(run: Run, scale: float) -> Measured:
    """The excess of one head made by hand (`superpos.known`) on the language of the first model,
    where b is followed by b + 1; without the direct path, where these models have none.
    """
    one = task(run, int(select.where(run)["model"].iloc[0]))
    n = one.structure.tokens
    own = replace(
        one, tables={"next": np.tile((np.arange(n) + 1) % n, (len(one.tables["next"]), 1))}
    )
    given = asked(own, 0, SEQUENCES)
    made = known("conditional", tokens=n, context=one.structure.context, scale=scale)
    removed = {} if one.structure.direct else {"embed->logits": torch.zeros(())}
    logits = made.logits(given.tokens[:, :-1], removed)
    return Measured(np.array([given.excess(torch.from_numpy(logits)[None])]))
