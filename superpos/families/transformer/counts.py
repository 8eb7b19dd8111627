"""What transformers are asked, and how far above the floor they are: in sequences, exactly, along
training.

Shapes: B sequences, T positions, N positions that count, V tokens, C snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.transformer import metrics
from superpos.families.transformer.data.inputs import sample
from superpos.families.transformer.data.languages import Sequences
from superpos.families.transformer.data.tables import law_of
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Structure, Task
from superpos.families.transformer.theory.laws import divergence, entropy, law
from superpos.maths.types import Floats

SEQUENCES: Final = 256
"""On how many sequences a model is measured: the first of the evaluation stream."""
AT_SNAPSHOTS: Final = 64
"""The same at each snapshot."""
SOLVED: Final = 0.1
"""Nats above the floor below which a model has solved its language."""


@dataclass(frozen=True)
class Asked:
    """Sequences, and the law of what follows."""

    inputs: Sequences
    tokens: NDArray[np.int64]  # [B, T + 1]
    where: NDArray[np.bool_]  # [B, T]; the positions that the language is about
    answers: Floats  # [N, V]; the law of what follows these
    bayes: Floats  # [N, V]; log of what is predicted by all that can be known
    floor: float

    def excess(self, logits: torch.Tensor) -> float:
        """How far a model with these logits [1, B, T, V] is above the floor, in nats."""
        log_q = logits[0].double().log_softmax(-1).numpy()[self.where]
        return float(_mean(divergence(self.answers, log_q) - divergence(self.answers, self.bayes)))


Chosen = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Tokens [B, T + 1] -> the positions [B, T] that count."""


def asked(task: Task, model: int, samples: int, chosen: Chosen | None = None) -> Asked:
    """The first sequences of the evaluation stream, the same for all models of a language.

    What counts are the positions that the language is about, or others that are `chosen`.
    """
    one = replace(task.take(slice(model, model + 1)), seed=np.zeros(1, dtype=np.uint64))
    return asked_of(one, sample(one, range(samples)), chosen)


def asked_of(one: Task, inputs: Sequences, chosen: Chosen | None = None) -> Asked:
    """The same of given sequences, for the task of one model."""
    structure = one.structure
    tokens = inputs.tokens[0].numpy()
    where = inputs.determined[0].numpy() if chosen is None else chosen(tokens)
    made = {name: value[one.language[0]] for name, value in one.tables.items()}
    known = law(structure, made, tokens)[where]
    # Which repeats are the second is not known to who has to predict them: there the answer is what
    # came.
    came = np.eye(structure.vocabulary)[tokens[:, 1:][where]]
    answers = came if structure.kind == "repeats" else known
    bayes = np.log(np.maximum(known, np.finfo(np.float64).tiny))
    floor = float(_mean(entropy(answers) + divergence(answers, bayes)))
    return Asked(inputs, tokens, where, answers, bayes, floor)


def _mean(values: Floats) -> np.float64:
    return np.float64(values.mean()) if values.size else np.float64(np.nan)


def has_exact_excess(structure: Structure) -> bool:
    """Whether loss and floor are sums over tokens: a chain read by a model without layers."""
    return structure.n_layers == 0 and structure.kind == "chain"


def _chain(task: Task) -> tuple[Floats, Floats]:
    """How often each token is there [V], and the laws of what follows [V, V], of one model."""
    made = {name: value[task.language[0]] for name, value in task.tables.items()}
    return law_of(made["first"]), law_of(made["rows"])


def log_table(weights: metrics.Weights) -> Floats:
    """Logarithms of the probabilities of what follows each token, [V, V]."""
    table = torch.from_numpy(weights["W_E"].astype(np.float64) @ weights["W_U"])
    return np.asarray(table.log_softmax(-1).numpy())


def exact_excess(task: Task, weights: metrics.Weights) -> float:
    """The divergence of a model's rows from those of its chain, by how often each is read."""
    often, rows = _chain(task)
    return float(often @ divergence(rows, log_table(weights)))


def exact_floor(task: Task) -> float:
    often, rows = _chain(task)
    return float(often @ entropy(rows))


def exact_loss(task: Task, params: Mapping[str, NDArray[Any]]) -> Floats:
    """Losses [M] of models for which `has_exact_excess`."""
    found = []
    for i in range(len(task)):
        one = task.take(slice(i, i + 1))
        weights = {name: value[i] for name, value in params.items()}
        found.append(exact_floor(one) + exact_excess(one, weights))
    return np.array(found)


def course(task: Task, snapshots: Mapping[str, NDArray[Any]], given: Asked) -> Floats:
    """The excess of a model at each of its snapshots {name: [C, ...]}, [C]; the task is of this
    model alone.
    """
    found = []
    for step in range(len(task.structure.snapshot_steps)):
        params = {name: torch.from_numpy(value[step][None]) for name, value in snapshots.items()}
        finite = all(bool(value.isfinite().all()) for value in params.values())
        found.append(given.excess(forward(task, params, given.inputs)[0]) if finite else np.nan)
    return np.array(found, dtype=np.float64)
