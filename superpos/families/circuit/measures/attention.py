"""What attention says of the tokens of a prompt. Values are one per circuit; gates have none."""

from __future__ import annotations

from typing import Literal

import numpy as np

from superpos.claims.measured import Measured
from superpos.families.circuit.analysis.answers import groups
from superpos.families.circuit.analysis.tokens import Tokens, score, tokens_of
from superpos.families.circuit.keys import INDUCTION
from superpos.store import Run


def found(run: Run, method: str, of: Literal["precision", "recall"]) -> Measured:
    """Precision or recall of the tokens that a method names, against those that matter."""
    each = [getattr(score(one, method), of) for one in _of(run)]
    return Measured(np.concatenate(each) if each else np.array([]))


def divergence(run: Run) -> Measured:
    """How far attention can change while its head writes the same: Jensen-Shannon divergence, mean
    over prompts.
    """
    each = [one.divergence.mean(axis=1) for one in _of(run)]
    return Measured(np.concatenate(each) if each else np.array([]))


def _of(run: Run) -> list[Tokens]:
    return [tokens_of(run, group.models) for group in groups(run) if group.kind in INDUCTION]
