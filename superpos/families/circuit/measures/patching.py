"""What patching finds in circuits, and what its estimates are worth. Values are one per circuit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from superpos.claims.measured import Measured
from superpos.explain.patched import Asked
from superpos.families.circuit.analysis.answers import answer, edge_ratio, grades, groups
from superpos.maths.types import Floats
from superpos.store import Run


def grade(run: Run, of: str, method: str) -> Measured:
    """Precision or recall of a way to look for parts, or in how many pairs it finds nothing."""
    found = [getattr(grade, of).numpy() for _, grade in grades(run, method)]
    return Measured(np.concatenate(found) if found else np.array([]))


def share(run: Run, part: str, **asked: Any) -> Measured:
    """The effect of a part as a share of the total; NaN in circuits that do not have it."""
    return Measured(_shares(run, [part], asked))


def greatest_share(run: Run, parts: list[str], **asked: Any) -> Measured:
    """The greatest share, whatever its sign, of some parts of each circuit, over five metrics."""
    each = [
        np.abs(_shares(run, parts, {**asked, "metric": metric}))
        for metric in ("logit_diff", "prob", "log_prob", "kl", "top1")
    ]
    return Measured(np.fmax.reduce(each))  # a metric of which nothing is lost says nothing


def found_heads(run: Run, **asked: Any) -> Measured:
    """Recall of the heads of each circuit, from their shares over all prompts."""
    values = []
    for group in groups(run):
        one = answer(run, group.models, Asked(**asked))
        shares = one.shares.abs() >= Asked(**asked).threshold
        true = one.true.any(-1)
        values.append(((shares & true).sum(0) / true.sum(0)).numpy())
    return Measured(np.concatenate(values))


def ratio(run: Run, estimate: str, steps: int = 20, **asked: Any) -> Measured:
    """An estimate over the exact effect of the edge by which the circuit is composed.

    Of induction_q that is what the queries of the pointer head get of the head that finds the first
    A, else what the keys of the match head get of the previous-token head; NaN of gates.
    """
    values = [edge_ratio(run, group, estimate, steps, **asked) for group in groups(run)]
    return Measured(np.concatenate(values) if values else np.array([]))


def _shares(run: Run, parts: list[str], asked: dict[str, Any]) -> Floats:
    """The greatest share of some parts of each circuit, with its sign."""
    values = []
    for group in groups(run):
        one = answer(run, group.models, Asked(**asked))
        places = [one.names.index(part) for part in parts if part in one.names]
        if not places:
            values.append(np.full(len(group.models), np.nan))
            continue
        chosen = one.shares[places]
        largest = chosen.abs().argmax(0)
        values.append(chosen[largest, torch.arange(len(largest))].numpy())
    return np.concatenate(values) if values else np.array([])
