"""Who predicts chains that are new in every sequence: by states alone, and by shares of what has
followed.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from superpos.families.transformer.counts import SEQUENCES, Asked, asked
from superpos.families.transformer.structure import Task
from superpos.families.transformer.theory.laws import counts, divergence, unigram
from superpos.maths.types import Floats

_STEEPEST = 100.0
"""Of the scale of shares: beyond any that is best."""


def plateau(task: Task) -> float:
    """Excess of who predicts by how often each state was there, on the sequences on which a model
    is measured.
    """
    given = asked(task, 0, SEQUENCES)
    return _excess(given, np.log(unigram(task.structure, given.tokens)))


def share_loss(task: Task) -> float:
    """The least excess, on the same sequences, of logits β times the shares of what has followed
    the state now: what a perfect induction head writes, at its best scale β.
    """
    given = asked(task, 0, SEQUENCES)
    follows, _ = counts(task.structure, given.tokens)
    shares = follows / np.maximum(follows.sum(-1, keepdims=True), 1)

    def excess(scale: float) -> float:
        return _excess(given, log_softmax(scale * shares, axis=-1))

    return float(minimize_scalar(excess, bounds=(0.0, _STEEPEST), method="bounded").fun)


def icl_score(given: Asked, log_p: Floats) -> float:
    """Loss at the last four positions minus that at the second four, in nats, of predictions [B, T,
    V].
    """
    surprise = -np.take_along_axis(log_p, given.tokens[:, 1:, None], -1)[..., 0].mean(0)
    return float(surprise[-4:].mean() - surprise[4:8].mean())


def _excess(given: Asked, log_q: Floats) -> float:
    """Of predictions [B, T, V] over the Bayes predictor."""
    here = log_q[given.where]
    return float((divergence(given.answers, here) - divergence(given.answers, given.bayes)).mean())
