"""Circuits as models: how they are made, their inputs, the forward pass, what they answer.

Gates take inputs of zeros and ones, [M, B, I], induction circuits prompts, tokens [M, B, T].
Shapes: M models, B samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.task import State
from superpos.explain import circuits, induction
from superpos.families.circuit.purposes import Purpose
from superpos.families.circuit.structure import Structure, Task
from superpos.maths import attention
from superpos.maths.streams import draws

Tensors: TypeAlias = Mapping[str, torch.Tensor]


def build(task: Task) -> dict[str, NDArray[np.float32]]:
    """The parameters of every circuit, [M, ...]."""
    s = task.structure
    needed = circuits.words_needed(s.distractors)
    words = draws(task.seed, Purpose.BUILD, 0, range(1), needed)[:, 0].numpy()
    made: list[Mapping[str, NDArray[Any]]] = []
    for m in range(len(task)):
        if s.is_induction:
            made.append(induction.build(s.kind, s.distractors, float(task.beta[m])))
        else:
            rho = float(task.rho[m])
            made.append(circuits.build(s.kind, s.distractors, s.always_on, rho, words[m]))
    stacked = {name: np.stack([one[name] for one in made]) for name in s.param_shapes}
    return {name: value.astype(np.float32) for name, value in stacked.items()}


def sample(task: Task, samples: range, device: str = "cpu") -> torch.Tensor:
    """Inputs of a contiguous range of samples of the evaluation stream."""
    s = task.structure
    if s.is_induction:
        drawn = draws(task.seed, Purpose.INPUTS, 0, samples, induction.N_TOKENS + 1).numpy()
        tokens = [induction.prompts(words).tokens for words in drawn]
        return torch.from_numpy(np.stack(tokens)).to(device)
    bits = draws(task.seed, Purpose.INPUTS, 0, samples, s.wires.n_inputs, device)
    return (bits % 2).float()


def batch(task: Task, step: int, device: str = "cpu") -> torch.Tensor:
    """Inputs of a step: there are none, as nothing is trained."""
    raise ValueError("circuits are made, not trained")


def forward(
    task: Task,
    params: Tensors,
    inputs: torch.Tensor,
    replace: Tensors | None = None,
) -> tuple[torch.Tensor, Tensors]:
    """Logits and parts: of gates [M, B, 2] and their nodes, of transformers [M, B, T, V]."""
    s = task.structure
    if s.is_induction:
        return attention.forward(params, inputs, positions="stream", replace=replace)
    return circuits.forward(s.wires, params, inputs, replace)


def losses(
    task: Task,
    params: Tensors,
    inputs: torch.Tensor,
    extra: Tensors,
    step: int | None,
) -> torch.Tensor:
    """-log of the probability of the answer in each sample, [M, B].

    Of gates the answer is the likelier of off and on: they are what they are.
    """
    logits, _ = forward(task, params, inputs)
    if not task.structure.is_induction:
        return -logits.log_softmax(-1).amax(-1)
    probabilities = logits[:, :, -1].log_softmax(-1)
    return -probabilities.gather(-1, followers(inputs)[..., None])[..., 0]


def followers(tokens: torch.Tensor) -> torch.Tensor:
    """The token after the one that is the last again, [M, B] of prompts [M, B, T]."""
    earlier = (tokens[..., :-1] == tokens[..., -1:]).int().argmax(-1)
    return tokens.gather(-1, earlier[..., None] + 1)[..., 0]


# --- columns of results --------------------------------------------------------------------------


def some_columns(structure: Structure) -> dict[str, type]:
    """Gates have a formula, induction circuits can be wrong."""
    return {"accuracy": float} if structure.is_induction else {"formula": str}


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, NDArray[Any]]:
    """What gates compute, or how many prompts induction circuits answer, [M]."""
    pause()
    s = task.structure
    if s.is_induction:
        return {"accuracy": _accuracy(task, state)}
    made = [{name: value[m] for name, value in state.params.items()} for m in range(len(task))]
    formulas = [circuits.formula(s.wires, params) for params in made]
    return {"formula": np.array(formulas, dtype=object)}


def _accuracy(task: Task, state: State) -> NDArray[np.float64]:
    """Share of 256 prompts whose answer has the greatest logit, one model after another."""
    found = []
    for m in range(len(task)):
        one = task.take(slice(m, m + 1))
        params = {name: torch.from_numpy(value[m : m + 1]) for name, value in state.params.items()}
        tokens = sample(one, range(256))
        with torch.no_grad():
            best = forward(one, params, tokens)[0][:, :, -1].argmax(-1)
        found.append(float((best == followers(tokens)).double().mean()))
    return np.array(found)
