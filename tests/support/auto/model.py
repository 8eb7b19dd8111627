"""The autoencoder and its loss, in plain torch.

z = act(x E + b), out = z D with rows of D of length 1; loss |x - out|² + l1 times sum z, or sum z² of linear latents.
Shapes: M models, B samples, D inputs, K latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from auto.purposes import Purpose
from auto.structure import Structure, Task
from superpos.engines.task import State
from superpos.maths.streams import normals

Params: TypeAlias = Mapping[str, torch.Tensor]


def initial_params(task: Task) -> dict[str, NDArray[np.float32]]:
    """Random rows of D of length 1 (or those of the dictionary), E their transpose, b = 0."""
    structure = task.structure
    shape = (structure.n_latents, structure.n_inputs)
    drawn = normals(task.seed, Purpose.INIT, 0, shape)
    rows = task.dictionary.astype(np.float64) if structure.decoder == "dictionary" else drawn
    decoder = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return _params(decoder)


def build(task: Task) -> dict[str, NDArray[np.float32]]:
    """The identity: a latent for each input, or two where latents cannot be negative."""
    unit = np.eye(task.structure.n_inputs, dtype=np.float32)
    rows = np.concatenate([unit, -unit]) if task.structure.activation == "relu" else unit
    return _params(np.repeat(rows[None], len(task), axis=0))


def _params(decoder: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    # As in a checkpoint: layout decides BLAS's rounding.
    encoder = np.ascontiguousarray(decoder.swapaxes(-1, -2))
    return {"E": encoder, "b": np.zeros(decoder.shape[:2], dtype=np.float32), "D": decoder}


def extra_state(task: Task) -> dict[str, NDArray[np.int64]]:
    """How many training samples each latent was active in, [M, K]."""
    return {"active": np.zeros((len(task), task.structure.n_latents), dtype=np.int64)}


def frozen(structure: Structure) -> frozenset[str]:
    """A decoder that is the dictionary stays it."""
    return frozenset({"D"}) if structure.decoder == "dictionary" else frozenset()


def forward(
    task: Task, params: Params, x: torch.Tensor, replace: Params | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Outputs [M, B, D] for inputs x [M, B, D], and the parts "latents" [M, B, K] and "output" that lead to them.

    A part that `replace` names has the value given there, and so has what follows from it.
    """
    given = replace or {}
    if "latents" in given:
        z = given["latents"]
    else:
        z = x @ params["E"] + params["b"][:, None, :]
        z = z.relu() if task.structure.activation == "relu" else z
    out = given["output"] if "output" in given else z @ params["D"]
    return out, {"latents": z, "output": out}


def losses(task: Task, params: Params, x: torch.Tensor) -> torch.Tensor:
    """The loss of each sample, [M, B]."""
    out, parts = forward(task, params, x)
    size = parts["latents"] if task.structure.activation == "relu" else parts["latents"] ** 2
    return ((x - out) ** 2).sum(-1) + x.new_tensor(task.l1)[:, None] * size.sum(-1)


def after_step(task: Task, params: Params, extra: Params, x: torch.Tensor, step: int) -> tuple[Any, Any]:
    """Rows of D of length 1 again, and the latents counted that are active in the batch x."""
    with torch.no_grad():
        _, parts = forward(task, params, x)
        active = extra["active"] + (parts["latents"] != 0).sum(1)
        if frozen(task.structure):
            return params, {"active": active}
        decoder = params["D"] / params["D"].norm(dim=-1, keepdim=True)
    return {**params, "D": decoder}, {"active": active}


def tensors(structure: Structure, state: State) -> dict[str, Any]:
    """The counts by their public name."""
    return {"active": state.extra["active"]}
