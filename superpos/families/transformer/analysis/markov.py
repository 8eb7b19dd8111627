"""The unigram predictor of chains that are new in every sequence."""

from __future__ import annotations

import numpy as np

from superpos.families.transformer.counts import SEQUENCES, asked
from superpos.families.transformer.structure import Task
from superpos.families.transformer.theory.laws import divergence, unigram


def plateau(task: Task) -> float:
    """Excess of who predicts by how often each state was there, on the sequences on which a model is measured."""
    given = asked(task, 0, SEQUENCES)
    log_q = np.log(unigram(task.structure, given.tokens))[given.where]
    return float((divergence(given.answers, log_q) - divergence(given.answers, given.bayes)).mean())
