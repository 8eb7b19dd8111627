"""What is found in transformers: columns of results.

One model at a time, so that nothing depends on those beside it.

Shapes: B sequences, T positions, V tokens, C snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.machine import torch_threads
from superpos.engines.task import State
from superpos.families.transformer import metrics
from superpos.families.transformer.analysis import tables
from superpos.families.transformer.counts import (
    AT_SNAPSHOTS,
    SEQUENCES,
    SOLVED,
    Asked,
    asked,
    course,
    exact_excess,
    exact_floor,
    has_exact_excess,
)
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Structure, Task
from superpos.maths import attention
from superpos.maths.types import Floats

CLASSED: Final = 0.3
"""Nats above the floor below which a circuit is given a class."""
CARRIES: Final = 0.2
"""Nats that a path costs at least when it is removed, where it carries something."""
SHIFTED: Final = 1.0
"""The same of the values, where the head attends one token further."""
INDUCTION: Final = ("repeats", "pairs", "triggers")
"""Languages whose answers stand earlier in the sequence."""
PATHS: Final = (*attention.INPUTS, attention.LOGITS)


class _Sample(NamedTuple):
    """What is asked of models of a language, of all and at snapshots."""

    whole: Asked
    short: Asked


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, NDArray[Any]]:
    """The columns of results, [M]."""
    samples: dict[int, _Sample] = {}
    found = []
    with torch_threads(1), torch.no_grad():
        for i in range(len(task)):
            pause()
            language = int(task.language[i])
            if language not in samples:
                samples[language] = _Sample(asked(task, i, SEQUENCES), asked(task, i, AT_SNAPSHOTS))
            found.append(_measured(task, state, i, samples[language]))
    return {
        name: np.array([one[name] for one in found], dtype=_TYPES.get(name, np.float64))
        for name in found[0]
    }


_TYPES: Final[Mapping[str, Any]] = {"circuit": object, "solved": np.bool_}


def _measured(task: Task, state: State, i: int, given: _Sample) -> dict[str, Any]:
    """The columns of one model."""
    structure = task.structure
    one = task.take(slice(i, i + 1))
    weights = {name: value[i] for name, value in state.params.items()}
    params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
    logits, parts = forward(one, params, given.whole.inputs)
    excess = (
        exact_excess(one, weights) if has_exact_excess(structure) else given.whole.excess(logits)
    )
    found: dict[str, Any] = {
        "floor": given.whole.floor,
        "excess": excess,
        "solved": bool(excess < SOLVED),
    }
    if has_exact_excess(structure):
        found["floor"] = float(exact_floor(one))
    found |= _formation(one, state, i, given.short)
    found |= _attention(structure, parts, given.whole)
    found |= {f"path_{into}": path_cost(one, params, given.whole, into, excess) for into in PATHS}
    found["circuit"] = circuit(structure, found)
    found |= _weight_columns(structure, weights, one, params, given.whole)
    return found | _triples(one, weights, given.whole, logits)


# --- attention, paths, weights --------------------------------------------------------------------


def _attention(s: Structure, parts: Mapping[str, torch.Tensor], given: Asked) -> dict[str, float]:
    """The greatest prefix-matching and previous-token score of all heads; NaN without heads."""
    heads = attention.heads(s.n_layers, s.n_heads)
    patterns = [parts[f"{head}:pattern"][0].double().numpy() for head in heads]
    tokens = given.tokens[:, :-1]
    return {
        "prefix": _greatest(
            metrics.prefix_matching(pattern, tokens, given.where) for pattern in patterns
        ),
        "previous": _greatest(metrics.previous_token(pattern) for pattern in patterns),
    }


def _greatest(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return max(known, default=np.nan)


def path_cost(
    task: Task, params: Mapping[str, torch.Tensor], given: Asked, into: str, excess: float
) -> float:
    """What it costs, in nats, to remove all that earlier layers write of what later ones read "q",
    "k" or "v" from, or the "logits", of which the last layer is not removed. NaN of fewer than two
    layers.
    """
    s = task.structure
    if s.n_layers < 2:
        return np.nan
    names = removed(s, into)
    zero = torch.zeros(())
    logits, _ = forward(task, params, given.inputs, replace=dict.fromkeys(names, zero))
    return given.excess(logits) - excess


def removed(s: Structure, into: str) -> list[str]:
    """The edges from heads to "q", "k" or "v" of later ones; to "logits" from all layers but the
    last.
    """
    earlier = set(attention.heads(max(s.n_layers - 1, 0), s.n_heads))
    found = []
    for name in attention.edges(s.n_layers, s.n_heads, s.positions, s.direct):
        writer, reader = name.split("->")
        if writer in earlier and (reader == into or reader.endswith(f":{into}")):
            found.append(name)
    return found


def circuit(structure: Structure, found: Mapping[str, Any]) -> str:
    """The class of a model that answers from earlier in the sequence, by what removing paths costs.

    induction: keys carry the token before; shifted: values do as well, and it attends one token
    further; mixed: in between; recency: keys carry nothing, and it does not attend to what
    followed. none: not solved, or a language without such answers.
    """
    if structure.kind not in INDUCTION or not found["excess"] < CLASSED:
        return "none"
    if not found["path_k"] >= CARRIES:
        return "induction" if found["prefix"] >= 0.5 else "recency"
    if found["path_v"] < CARRIES:
        return "induction"
    return "shifted" if found["path_v"] >= SHIFTED else "mixed"


def _weight_columns(
    s: Structure,
    weights: metrics.Weights,
    task: Task,
    params: Mapping[str, torch.Tensor],
    given: Asked,
) -> dict[str, float]:
    """Composition of pairs of heads in layers that follow each other, the greatest of each kind,
    minus 1/√d; and how far the head of the last layer that matters most copies.
    """
    heads = range(s.n_heads)
    pairs = [
        metrics.compositions(weights, (layer, first), (layer + 1, second))
        for layer, first, second in product(range(s.n_layers - 1), heads, heads)
    ]
    found = {
        f"composition_{into}": _greatest(pair[into] for pair in pairs) - s.d_model**-0.5
        for into in attention.INPUTS
    }
    found["ov_positivity"] = np.nan
    if s.n_layers:
        last = s.n_layers - 1
        costs = [
            given.excess(
                forward(task, params, given.inputs, replace={f"{last}.{head}": torch.zeros(())})[0]
            )
            if s.n_heads > 1
            else 0.0
            for head in range(s.n_heads)
        ]
        found["ov_positivity"] = metrics.ov_positivity(weights, last, int(np.argmax(costs)))
    return found


def _triples(
    task: Task, weights: metrics.Weights, given: Asked, logits: torch.Tensor
) -> dict[str, float]:
    """Of skip-trigrams: how well they are read off the weights, and how much too likely bug
    trigrams are. NaN of other languages, and the first of models off which tables cannot be read.
    """
    found = {"planted_precision": np.nan, "bug_ratio": np.nan}
    made = {name: value[task.language[0]] for name, value in task.tables.items()}
    if tables.reads_triples(task.structure):
        log_p = tables.through_softmax(task.structure, made, weights)
        found["planted_precision"] = tables.precision(log_p, made["next"])
    if task.structure.kind == "source":
        seen = tables.running(given.tokens, given.where, logits[0].double().numpy(), task.structure)
        found["bug_ratio"] = tables.bug_ratio(task.structure, made, seen)
    return found


# --- formation ------------------------------------------------------------------------------------


def answers_of(structure: Structure) -> int | None:
    """How many answers there are to choose among, where they stand earlier in the sequence."""
    s = structure
    return {"pairs": s.values, "repeats": s.tokens, "triggers": s.tokens - s.triggers}.get(s.kind)


def _formation(task: Task, state: State, i: int, given: Asked) -> dict[str, float]:
    """When a model learned to look back, by its snapshots."""
    if answers_of(task.structure) is None or not state.snapshots:
        return {"formed_at": np.nan, "width": np.nan}
    snapshots = {name: value[i] for name, value in state.snapshots.items()}
    return formed(task.structure, course(task.take(slice(i, i + 1)), snapshots, given))


def formed(structure: Structure, excess: Floats) -> dict[str, float]:
    """The first snapshot whose excess [C] is below half of the logarithm of the number of answers,
    and how many steps went by between the first below 75% of it and the first below 10%. NaN where
    that was never reached.
    """
    chance = np.log(answers_of(structure) or 1)

    def first_below(share: float) -> float:
        below = np.flatnonzero(excess < share * chance)
        return float(structure.snapshot_steps[below[0]]) if len(below) else np.nan

    return {"formed_at": first_below(0.5), "width": first_below(0.1) - first_below(0.75)}
