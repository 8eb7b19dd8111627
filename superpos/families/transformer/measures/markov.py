"""Chains that are new in every sequence, beside predictors that know less than all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from superpos.claims import select
from superpos.claims.measured import Measured
from superpos.families.transformer.analysis.markov import icl_score, plateau, share_loss
from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.analysis.paths import params_of
from superpos.families.transformer.counts import SEQUENCES, asked
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Task
from superpos.families.transformer.theory.laws import law
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


def icl(run: Run, where: Where = None) -> Measured:
    """The in-context learning score of each model, over that of the Bayes predictor on the same
    sequences: the loss at the last four positions minus that at the second four (Olsson et al.
    2022, there tokens 500 and 50).
    """
    found = []
    for model in select.where(run, where)["model"].tolist():
        one = task(run, model)
        given = asked(one, 0, SEQUENCES)
        with torch.no_grad():
            logits = forward(one, params_of(run.weights(model)), given.inputs)[0][0]
        own = icl_score(given, logits.double().log_softmax(-1).numpy())
        known = law(one.structure, language(one), given.tokens)
        found.append(own / icl_score(given, np.log(known)))
    return Measured(np.array(found))


def _beside(run: Run, where: Where, predictor: Callable[[Task], float]) -> tuple[Floats, Floats]:
    """The excess of each model, and that of a predictor on its sequences."""
    rows = select.where(run, where)
    known = np.array([predictor(task(run, model)) for model in rows["model"].tolist()])
    return rows["excess"].to_numpy(dtype=np.float64), known
