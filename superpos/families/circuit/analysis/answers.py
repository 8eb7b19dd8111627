"""What patching finds in all circuits of a run, question by question.

Shapes: M models of one structure, B pairs of inputs, P parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from superpos.explain import estimates, patching
from superpos.explain.patched import Asked, Found, Patched, find, patched_of, true_sites
from superpos.families.circuit.keys import INDUCTION
from superpos.maths.types import Floats
from superpos.store import Run
from superpos.store.rows import healthy

_AT_ONCE: Final = 50
"""Models whose lattices are in memory together."""
_STRUCTURE: Final = ["circuit.kind", "circuit.distractors", "circuit.always_on"]

METHODS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "noising": [{"direction": "noising"}],
    "denoising": [{"direction": "denoising"}],
    "both": [{"direction": "noising"}, {"direction": "denoising"}],
    "Shapley": [{"direction": "shapley"}],
    "gradient at clean": [{"estimate": "gradient_clean"}],
    "gradient at corrupt": [{"estimate": "gradient_corrupt"}],
    "IG over inputs": [{"estimate": "ig_inputs"}],
    "resample": [{"ablation": "resample"}],
    "mean": [{"ablation": "mean"}],
    "zero": [{"ablation": "zero"}],
}
"""Ways to look for parts of gates; a part is found if one of the questions finds it."""


class Group(NamedTuple):
    """Models of one structure."""

    kind: str
    models: tuple[int, ...]


class Grade(NamedTuple):
    """What one way to look for parts is worth in each model, [M]."""

    precision: torch.Tensor
    recall: torch.Tensor
    nothing: torch.Tensor


def groups(run: Run) -> list[Group]:
    """Healthy models of equal structure, at most `_AT_ONCE` together, in the order of the table."""
    found = []
    for _, rows in healthy(run.table).groupby(_STRUCTURE, sort=False, dropna=False):
        models = [int(model) for model in rows["model"]]
        kind = str(rows["circuit.kind"].iloc[0])
        for start in range(0, len(models), _AT_ONCE):
            found.append(Group(kind, tuple(models[start : start + _AT_ONCE])))
    return found


def grades(run: Run, method: str) -> Iterator[tuple[Group, Grade]]:
    """One of `METHODS` on all circuits of a run, whatever each pair of inputs loses."""
    for group in groups(run):
        answers = [answer(run, group.models, Asked(**question)) for question in METHODS[method]]
        either = torch.stack([one.found for one in answers]).any(0)
        joint = answers[0]._replace(found=either)
        yield group, Grade(joint.score.precision, joint.score.recall, joint.nothing)


@lru_cache(maxsize=256)
def answer(run: Run, models: tuple[int, ...], asked: Asked) -> Found:
    """What one question finds in some models of one structure."""
    key = (asked.sites, asked.corrupt, asked.metric, asked.prompts)
    patched, true = _setting(run, models, *key)
    return find(asked, patched, true)


def edge_ratio(
    run: Run,
    group: Group,
    estimate: str,
    steps: int,
    corrupt: str = "keys_swapped",
    prompts: int = 40,
) -> Floats:
    """An estimate over the exact effect of the edge by which circuits are composed, [M]."""
    if group.kind not in INDUCTION:
        return np.full(len(group.models), np.nan)
    patched, _ = _setting(run, group.models, "edges", corrupt, "logit_diff", prompts)
    composed = [site for site in patched.edges if site.name == patched.true_edges[0]]
    exact = patching.noising(patched.pairs, composed)[0].mean(-1)
    estimated = estimates.estimate(patched.pairs, estimate, steps, composed)[0].mean(-1)
    found: Floats = (estimated / exact).numpy()
    return found


@lru_cache(maxsize=64)
def _setting(
    run: Run, models: tuple[int, ...], sites: str, corrupt: str | None, metric: str, prompts: int
) -> tuple[Patched, torch.Tensor]:
    """What questions of one kind have in common: true parts are found once."""
    asked = Asked(sites=sites, corrupt=corrupt, metric=metric, prompts=prompts)
    patched = patched_of(run, models, asked)
    return patched, true_sites(asked, patched)
