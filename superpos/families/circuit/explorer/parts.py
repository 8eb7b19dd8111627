"""What the page holds of circuits: their weights, and what patching finds in their parts.

Shapes: M models, Q questions, P parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from superpos.explain import induction
from superpos.explain.patched import Asked
from superpos.explain.patching import MAX_PARTS
from superpos.families.circuit.analysis.answers import answer
from superpos.families.circuit.analysis.made import made_of
from superpos.families.circuit.structure import Structure
from superpos.report.pack import half
from superpos.report.parts import Arrays, Coded, Models, Part, sized, weights
from superpos.store import Run

MOST: Final = 50
"""Circuits of one kind that are patched for a page: all sets of their parts, at once."""
PROMPTS: Final = 20
QUESTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "noising": {"direction": "noising"},
    "denoising": {"direction": "denoising"},
    "Shapley values": {"direction": "shapley"},
    "zero ablation": {"ablation": "zero"},
    "gradient at clean": {"estimate": "gradient_clean"},
}


def constants() -> dict[str, Any]:
    """What the scripts read as `RUN.constants`."""
    return {"questions": list(QUESTIONS)}


def parts(run: Run, models: Models) -> Iterator[Part]:
    """The parts of circuits whose tensors have equal shapes; those of one kind are patched
    together.
    """
    yield weights(run, models)
    kinds = run.table.loc[models, "circuit.kind"].to_numpy(dtype=str)
    for kind in dict.fromkeys(kinds):
        same = models[kinds == kind]
        structure, _ = made_of(run, [int(same[0])])
        names = _names(structure)
        if len(names) <= MAX_PARTS:  # more have too many sets
            patched = sized("patched", same, partial(_patched, run, names))
            yield patched._replace(most=MOST)


def _names(structure: Structure) -> list[str]:
    """Parts in words; heads with what they do."""
    if not structure.is_induction:
        return list(structure.wires.parts)
    roles = induction.roles(structure.kind, structure.distractors)
    return [f"{head} {role}" for head, role in roles.items()]


def _patched(run: Run, names: list[str], rows: Models) -> Arrays:
    """Shares [M, Q, P], in how many pairs a part is true [M, P], and what parts are called [M,
    P].
    """
    chosen = tuple(int(row) for row in rows)
    answers = [
        answer(run, chosen, Asked(**question, prompts=PROMPTS)) for question in QUESTIONS.values()
    ]
    counted = answers[0].counted.double()
    true = (answers[0].true * counted).sum(-1) / counted.sum(-1)
    places = np.broadcast_to(np.arange(len(names), dtype=np.uint8), (len(rows), len(names)))
    return {
        "share": half(np.stack([one.shares.T.numpy() for one in answers], axis=1)),
        "true": half(true.T.numpy()),
        "part": Coded(places, names),
    }
