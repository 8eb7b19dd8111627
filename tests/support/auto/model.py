"""The autoencoder and its loss, in plain torch.

z = act(x E + b), out = z D with rows of D of length 1; loss |x - out|² + l1 times sum z, or sum z²
of linear latents. Shapes: M models, B samples, D inputs, K latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from auto.purposes import Purpose
from auto.structure import Structure, Task
from superpos.engines.task import State, Stepped
from superpos.errors import SuperposError
from superpos.maths.streams import normals
from superpos.store import Run

Params: TypeAlias = Mapping[str, torch.Tensor]

WARM_UP = 50
RESTART = 100


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


def undecayed(_: Structure) -> frozenset[str]:
    """Weight decay leaves b alone."""
    return frozenset({"b"})


def penalty(task: Task, params: Params) -> torch.Tensor | None:
    """A little of b², for latents that can be off; [M]."""
    return 1e-6 * (params["b"] ** 2).sum(-1) if task.structure.activation == "relu" else None


def forward(
    task: Task, params: Params, x: torch.Tensor, replace: Params | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Outputs [M, B, D] for inputs x [M, B, D], and the parts "latents" [M, B, K] and "output" that
    lead to them.

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


def directions(task: Task, params: Params) -> torch.Tensor:
    """Rows of E [M, D, K]: where each input lies in the latents."""
    return params["E"]


def one_layer(run: Run, models: Sequence[int]) -> dict[str, Any]:
    """The autoencoder as explanations take it, its bias behind the decoder; inputs are taken to be
    always on.
    """
    if (run.table.loc[list(models), "auto.activation"] != "linear").any():
        raise SuperposError("needs auto.activation=linear: latents have biases of their own")
    E, b, D = (run.tensor(name, list(models)).astype(np.float64) for name in ("E", "b", "D"))
    return {
        "weights": (E, D.swapaxes(-1, -2)),
        "b": (b[:, None] @ D)[:, 0],
        "hidden": "linear",
        "output": "linear",
        "density": np.ones(E.shape[:2]),
        "set_size": 1,
    }


def output_loss(task: Task, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """|x - out|² of each sample, [M, B]."""
    return ((x - out) ** 2).sum(-1)


def losses(
    task: Task, params: Params, x: torch.Tensor, extra: Params, step: int | None
) -> torch.Tensor:
    """The loss of each sample, [M, B].

    The penalty of latents that cannot be negative grows over the first `WARM_UP` steps; in
    evaluation those that were never active in training are left out.
    """
    out, parts = forward(task, params, x)
    z = parts["latents"]
    l1 = x.new_tensor(task.l1)[:, None]
    if task.structure.activation == "linear":
        return output_loss(task, x, out) + l1 * (z**2).sum(-1)
    if step is None and not task.structure.built:
        z = z * (extra["active"] > 0)[:, None, :]
        out, _ = forward(task, params, x, {"latents": z})
    warm = 1.0 if step is None else min(1.0, (step + 1) / WARM_UP)
    return output_loss(task, x, out) + warm * l1 * z.sum(-1)


def after_step(task: Task, stepped: Stepped, x: torch.Tensor, step: int) -> Stepped:
    """Rows of D of length 1 again, and the latents counted that are active in the batch x.

    Latents that cannot be negative and were never active begin anew every `RESTART` steps, along
    their rows of D.
    """
    params = dict(stepped.params)
    with torch.no_grad():
        _, parts = forward(task, params, x)
        active = stepped.extra["active"] + (parts["latents"] != 0).sum(1)
        if not frozen(task.structure):
            params["D"] = params["D"] / params["D"].norm(dim=-1, keepdim=True)
        stepped = stepped._replace(params=params, extra={"active": active})
        if task.structure.activation == "relu" and (step + 1) % RESTART == 0:
            stepped = _restarted(stepped, active == 0)
    return stepped


def _restarted(stepped: Stepped, dead: torch.Tensor) -> Stepped:
    """The same with encoder and bias of the dead latents [M, K] as at the start, and without
    moments.
    """
    start = {"E": stepped.params["D"].mT, "b": torch.zeros_like(stepped.params["b"])}
    masks = {"E": dead[:, None, :], "b": dead}
    return stepped._replace(
        params=stepped.params
        | {name: torch.where(masks[name], start[name], stepped.params[name]) for name in masks},
        first=stepped.first
        | {name: stepped.first[name].masked_fill(masks[name], 0.0) for name in masks},
        second=stepped.second
        | {name: stepped.second[name].masked_fill(masks[name], 0.0) for name in masks},
    )


def tensors(task: Task, state: State) -> dict[str, Any]:
    """The counts by their public name."""
    return {"active": state.extra["active"]}
