"""Small tasks of transformers for the tests of the numerical modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from superpos.engines.task import State
from superpos.families.transformer import FAMILY
from superpos.families.transformer.data.tables import tables
from superpos.families.transformer.structure import Structure, Task

KINDS: dict[str, dict[str, Any]] = {
    "chain": {"kind": "chain", "tokens": 5},
    "source": {"kind": "source", "tokens": 7, "sources": 3, "planted": 12, "pool": 4},
    "latin": {"kind": "latin", "tokens": 5, "sources": 3},
    "conditional": {"kind": "conditional", "tokens": 6, "planted_p": 0.9},
    "repeats": {"kind": "repeats", "tokens": 9, "period": (2, 5)},
    "distinct": {
        "kind": "repeats",
        "tokens": 9,
        "period": (2, 5),
        "distinct": True,
        "targets": "determined",
    },
    "pairs": {"kind": "pairs", "keys": 3, "values": 4},
    "seen pairs": {"kind": "pairs", "keys": 3, "values": 4, "targets": "determined"},
    "markov": {"kind": "markov", "states": 4},
    "two states": {"kind": "markov", "states": 2},
    "triggers": {"kind": "triggers", "tokens": 7, "triggers": 3},
    "seen triggers": {"kind": "triggers", "tokens": 7, "triggers": 3, "targets": "determined"},
}
"""A structure of each kind of language, by name."""


def make_task(
    models: int = 2,
    *,
    languages: int = 2,
    seed: Any = None,
    lr: Any = 1e-2,
    weight_decay: Any = 0.0,
    **structure: Any,
) -> Task:
    """M models on languages that take turns; what may differ between models is broadcast."""
    small = {
        "context": 9,
        "d_model": 8,
        "d_head": 4,
        "batch_size": 16,
        "steps": 12,
        "loss_every": 1,
    }
    found = Structure(**({"optimizer": "adam"} | small | KINDS["pairs"] | structure))
    return Task(
        found,
        seed=np.arange(models, dtype=np.uint64) if seed is None else np.array(seed, np.uint64),
        lr=np.broadcast_to(np.asarray(lr, dtype=np.float64), (models,)).copy(),
        weight_decay=np.broadcast_to(np.asarray(weight_decay, dtype=np.float64), (models,)).copy(),
        language=np.arange(models) % languages,
        init_std=np.full(models, np.nan),
        tables=tables(found, [(number, 1.0) for number in range(languages)]),
    )


def start_of(task: Task) -> State:
    """A state before the first step, whose parameters that start at 0 do not."""
    params = dict(FAMILY.init(task))
    for i, seed in enumerate(task.seed):
        random = np.random.default_rng(int(seed))
        for name in {"W_rel", "smear"} & params.keys():
            params[name][i] = random.normal(0, 0.5, params[name].shape[1:])
    return State.initial(task, params)
