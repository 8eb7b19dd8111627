"""What happens beside gradient steps: rows of D of length 1, thresholds, counts of dead latents and
their restarts.

Shapes: M models, B samples, d dimensions, m latents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.engines.task import State, Stepped
from superpos.families.sae.model import Codes, Tensors, encode, frozen, losses, unit_decoder
from superpos.families.sae.purposes import Purpose
from superpos.families.sae.structure import Structure, Task
from superpos.maths.activity import uniforms
from superpos.maths.streams import draws

THRESHOLD_MEMORY = 0.99
"""Of the moving average of BatchTopK's threshold."""
RESTARTED_SHARE = 0.7
"""Share of training in which dead latents are restarted."""
RESTARTED_NORM = 0.2
"""Length of a restarted row of E, over the mean length of those of live latents (Bricken 2023)."""


def extra_state(task: Task) -> dict[str, NDArray[Any]]:
    """`threshold` [M] of BatchTopK, 0 before the first step; `idle` [M, m], steps since a latent
    fired.
    """
    structure = task.structure
    found: dict[str, NDArray[Any]] = {}
    if structure.kind == "batchtopk":
        found["threshold"] = np.zeros(len(task), dtype=np.float32)
    if structure.restart_every or structure.aux_k:
        found["idle"] = np.zeros((len(task), structure.latents), dtype=np.int32)
    return found


def after_step(task: Task, stepped: Stepped, x: torch.Tensor, step: int) -> Stepped:
    """Rows of D at length 1 and thresholds θ not below 0, the extra state of the step's batch x,
    restarts.

    The extra state counts the codes that the step was computed with.
    """
    structure = task.structure
    params = dict(stepped.params)
    extra = dict(stepped.extra)
    with torch.no_grad():
        if "D" not in frozen(structure):
            # A row whose length overflows is lost, and so is its model: scaled, it would be 0.
            measured = params["D"].norm(dim=-1, keepdim=True).isfinite()
            params["D"] = torch.where(measured, unit_decoder(params), torch.nan)
        if "theta" in params:
            params["theta"] = params["theta"].clamp(min=0)
        if extra:
            codes = encode(task, stepped.before, x, stepped.extra, step)
            extra = _counted(extra, codes)
        stepped = stepped._replace(params=params, extra=extra)
        if restarts(structure, step):
            stepped = restarted(task, stepped, x, step)
    return stepped


def _counted(extra: Tensors, codes: Codes) -> dict[str, torch.Tensor]:
    """The extra state after a batch with these codes."""
    found = dict(extra)
    if "threshold" in found:
        old = found["threshold"]
        smallest = torch.where(codes.on > 0, codes.f, torch.inf).flatten(1).min(-1).values
        mean = THRESHOLD_MEMORY * old + (1 - THRESHOLD_MEMORY) * smallest
        found["threshold"] = torch.where(
            smallest.isinf(), old, torch.where(old > 0, mean, smallest)
        )
    if "idle" in found:
        fired = (codes.on > 0).any(1)
        found["idle"] = torch.where(fired, 0, found["idle"] + 1).to(torch.int32)
    return found


def restarts(structure: Structure, step: int) -> bool:
    """Whether dead latents start anew after a step."""
    every = structure.restart_every
    return bool(every) and (step + 1) % every == 0 and step + 1 <= RESTARTED_SHARE * structure.steps


def restarted(task: Task, stepped: Stepped, x: torch.Tensor, step: int) -> Stepped:
    """Latents that have not fired since the last check [M, m] start anew, along inputs that are
    reconstructed badly.

    Rows of D and E take the direction of x − b_d for an input drawn in proportion to its loss
    squared; E has a fifth of the mean length of live rows. Biases are 0, thresholds where they
    started, moments 0.
    """
    structure = task.structure
    dead = stepped.extra["idle"] >= structure.restart_every
    if not dead.any():
        return stepped
    new = _new_rows(task, stepped, x, step, dead)
    masks = {name: dead[..., None] if new[name].ndim == 3 else dead for name in new}

    def cleared(moments: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return moments | {name: moments[name].masked_fill(masks[name], 0.0) for name in new}

    return stepped._replace(
        params=stepped.params
        | {name: torch.where(masks[name], new[name], stepped.params[name]) for name in new},
        first=cleared(stepped.first),
        second=cleared(stepped.second),
        extra=stepped.extra | {"idle": stepped.extra["idle"].masked_fill(dead, 0)},
    )


def _new_rows(
    task: Task, stepped: Stepped, x: torch.Tensor, step: int, dead: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What every latent would start anew with, by parameter; those that training does not change
    are left out.
    """
    params = stepped.params
    # [M, m, d]
    rows = x.gather(1, _chosen(task, stepped, x, step)[..., None].expand(-1, -1, x.shape[-1]))
    rows = rows - params["b_d"][:, None, :] if "b_d" in params else rows
    length = rows.norm(dim=-1, keepdim=True)
    rows = torch.where(length > 0, rows / length, params["D"])
    found: dict[str, torch.Tensor] = {
        name: torch.zeros_like(params[name]) for name in ("b_e", "r", "b_gate") if name in params
    }
    if "theta" in params:
        found["theta"] = torch.zeros_like(params["theta"]) + x.new_tensor(task.theta)[:, None]
    if "E" in params:
        live = (~dead).to(x.dtype)
        norms = (params["E"].norm(dim=-1) * live).sum(-1) / live.sum(-1).clamp(min=1)
        found["E"] = RESTARTED_NORM * norms[:, None, None] * rows
    if "D" not in frozen(task.structure):
        found["D"] = rows
    return found


def _chosen(task: Task, stepped: Stepped, x: torch.Tensor, step: int) -> torch.Tensor:
    """For every latent the number of an input of the batch [M, m], drawn in proportion to its
    squared loss.
    """
    weights = losses(task, stepped.before, x, stepped.extra, step).double() ** 2
    reached = weights.cumsum(-1)
    words = draws(
        task.seed, Purpose.RESTART, step, range(task.structure.latents), 1, str(x.device)
    )[..., 0]
    at = uniforms(words) * reached[:, -1:]
    return torch.searchsorted(reached, at).clamp(max=x.shape[1] - 1)


def tensors(task: Task, state: State) -> dict[str, NDArray[Any]]:
    """E, b_d and theta as every kind has them: E = D where they are tied, b_d = 0 where there is
    none.

    theta is the threshold above which a latent fires in inference: θ of JumpReLU, the moving
    average of BatchTopK, else 0.
    """
    params = state.params
    shape = state.params["b_e"].shape
    found: dict[str, NDArray[Any]] = {}
    if "E" not in params:
        found["E"] = params["D"]
    if "b_d" not in params:
        found["b_d"] = np.zeros((len(task), task.structure.n_dims), dtype=np.float32)
    if "theta" not in params:
        threshold = state.extra.get("threshold", np.zeros(len(task), dtype=np.float32))
        found["theta"] = np.repeat(threshold[:, None], shape[1], axis=1)
    return found
