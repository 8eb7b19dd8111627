"""Sparse autoencoders and their losses, in plain torch.

    z = (x − b_d) Eᵀ + b_e,   f = act(z),   x̂ = f D + b_d

| kind | f | loss of a sample beside ‖x − x̂‖² |
|---|---|---|
| l1 (Bricken 2023) | max(z, 0) | λ Σ f |
| topk (Gao 2024) | the k largest of max(z, 0) | |
| batchtopk (Bussmann 2024) | the kB largest of a batch; in inference above its `threshold` | |
| jumprelu (Rajamanoharan 2024b) | z [z > θ] | λ Σ [z > θ] |
| gated (Rajamanoharan 2024a) | [π > 0] max(z, 0) | λ Σ max(π, 0) + ‖x − x̂(max(π, 0))‖² |

Gated models have z = eʳ (x − b_d) Eᵀ + b_e and π = (x − b_d) Eᵀ + b_gate; in their last term
decoder and b_d are constants.

Sums over dimensions and latents, never means: λ means the same at every size. λ grows over the
first `penalty_warmup` of training. Matryoshka prefixes make ‖x − x̂‖² a weighted sum over the
reconstructions by the first latents. Tied models have E = D.

Rows of D have length 1: the loss divides each by its length, so that gradients are those along the
sphere, and `upkeep.after_step` scales the rows back to length 1.

Thresholds θ learn by a rectangle of width ε: dθ = −(1/ε) [|z − θ| < ε/2] (θ ∂L/∂f + λ); everything
else gets the hard mask. Of k values the next largest is the bound, so equal values at the bound do
not count, nor do zeros.

Shapes: M models, B samples, d dimensions, m latents, P prefixes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.sae.purposes import Purpose
from superpos.families.sae.structure import Structure, Task
from superpos.families.sae.world.dictionary import unit
from superpos.maths.streams import normals
from superpos.maths.types import Floats

Tensors: TypeAlias = Mapping[str, torch.Tensor]

START_NOISE = 0.1
"""Length of the noise on each row of a decoder that starts near the truth."""
ANNEALED_SHARE = 0.6
"""Share of training over which an annealed k falls."""
AUX_WEIGHT = 1 / 32
DEAD_AFTER = 100
"""Steps without a firing after which AuxK takes a latent for dead."""


class Codes(NamedTuple):
    """What the encoder makes of inputs; each [M, B, m]."""

    f: torch.Tensor
    on: torch.Tensor
    """Which latents fire, as 0 and 1; of JumpReLU with the gradient of its thresholds."""
    pre: torch.Tensor
    """What is linear in the inputs: z, of gated models π."""


def initial_params(task: Task) -> dict[str, NDArray[np.float32]]:
    """D as `sae.start` says, E a copy of it, biases 0, thresholds where they start."""
    decoder = np.stack([_first_decoder(task, i) for i in range(len(task))]).astype(np.float32)
    params: dict[str, NDArray[np.float32]] = {}
    for name, shape in task.structure.param_shapes.items():
        params[name] = (
            decoder.copy()
            if name in ("E", "D")
            else np.zeros((len(task), *shape), dtype=np.float32)
        )
    if "theta" in params:
        params["theta"] += task.theta[:, None].astype(np.float32)
    return params


def _first_decoder(task: Task, i: int) -> Floats:
    """Unit rows [m, d] of one model: random, or the true features as far as there are latents for
    them.
    """
    shape = (task.structure.latents, task.structure.n_dims)
    seed = task.seed[i : i + 1]
    rows = normals(seed, Purpose.INIT, 0, shape)[0]
    if task.start[i] != "random":
        features = task.worlds[task.world[i]].features[: shape[0]].astype(np.float64)
        there = np.flatnonzero(np.linalg.norm(features, axis=1) > 0)
        rows[there] = unit(features[there])
        if task.start[i] == "truth+noise":
            noise = unit(normals(seed, Purpose.START_NOISE, 0, shape)[0])
            rows[there] += START_NOISE * noise[there]
    return unit(rows)


def frozen(structure: Structure) -> frozenset[str]:
    """A decoder that is to stay as it starts."""
    return frozenset({"D"}) if structure.frozen == "decoder" else frozenset()


def penalty_factor(structure: Structure, step: int | None) -> float:
    """Factor on λ at a step: it grows in equal parts up to 1."""
    steps = math.ceil(structure.penalty_warmup * structure.steps)
    return 1.0 if step is None or not steps else min(1.0, (step + 1) / steps)


def k_of(task: Task, step: int | None) -> Floats:
    """k of each model at a step [M]: an annealed one falls in equal parts from `anneal_k` times k;
    at most m.
    """
    structure = task.structure
    falls = ANNEALED_SHARE * structure.steps
    left = max(0.0, 1 - step / falls) if step is not None and structure.anneal_k and falls else 0.0
    found: Floats = np.minimum(task.k * (1 + (structure.anneal_k - 1) * left), structure.latents)
    return found


def unit_decoder(params: Tensors) -> torch.Tensor:
    """D [M, m, d] with rows of length 1."""
    rows = params["D"]
    scaled: torch.Tensor = rows / rows.norm(dim=-1, keepdim=True)
    return scaled


def encode(task: Task, params: Tensors, x: torch.Tensor, extra: Tensors, step: int | None) -> Codes:
    """The codes of inputs x [M, B, d], by the rule of training at a step, or (None) that of
    inference.
    """
    kind = task.structure.kind
    encoder = params["E"] if "E" in params else unit_decoder(params)
    centred = x - params["b_d"][:, None, :] if "b_d" in params else x
    linear = centred @ encoder.mT
    b_e = params["b_e"][:, None, :]
    if kind == "gated":
        gate = linear + params["b_gate"][:, None, :]
        on = (gate > 0).to(x.dtype)
        return Codes(on * (params["r"].exp()[:, None, :] * linear + b_e).relu(), on, gate)
    z = linear + b_e
    if kind == "jumprelu":
        theta = params["theta"][:, None, :]
        width = z.new_tensor(task.bandwidth)[:, None, None]
        on = _Rectangle.apply(z.detach() - theta, width)  # type: ignore[no-untyped-call]
        fires = on.detach()
        return Codes(z * fires + theta.detach() * (on - fires), on, z)
    positive = z.relu()
    if kind == "batchtopk" and step is None:
        bound = extra["threshold"][:, None, None]
    elif kind == "batchtopk":
        flat = positive.detach().flatten(1)
        bound = _next_largest(flat, np.floor(k_of(task, step) * x.shape[1] + 0.5))[..., None]
    elif kind == "topk":
        bound = _next_largest(positive.detach(), np.floor(k_of(task, step) + 0.5))
    else:
        bound = z.new_zeros(())
    on = (positive > bound).to(x.dtype)
    return Codes(positive * on, on, z)


def _next_largest(values: torch.Tensor, k: Floats) -> torch.Tensor:
    """The (k + 1)-th largest of the last axis, k [M] by model, [M, ..., 1]; 0 where there are no
    more than k.
    """
    n = values.shape[-1]
    most = min(int(k.max()) + 1, n)
    ordered = values.topk(most, dim=-1).values
    ordered = torch.cat([ordered, torch.zeros_like(ordered[..., :1])], dim=-1)
    place = torch.from_numpy(np.minimum(k, n).astype(np.int64)).to(values.device)
    place = torch.where(place < n, place, most)
    place = place.reshape(-1, *[1] * (values.ndim - 1)).expand(*values.shape[:-1], 1)
    return ordered.gather(-1, place)


class _Rectangle(torch.autograd.Function):
    """[u > 0], whose derivative is taken to be a rectangle of area 1 and width `width` about 0."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
        """1 where u > 0, else 0."""
        ctx.save_for_backward(u, width)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient by u."""
        u, width = ctx.saved_tensors
        return grads[0] * (u.abs() < width / 2) / width, None


def forward(
    task: Task, params: Tensors, x: torch.Tensor, replace: Tensors | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """x̂ [M, B, d] for activations x [M, B, d] by the rule of inference, and the parts "latents"
    [M, B, m] and "output".

    `params` may be the public tensors of a run, whose "theta" is the threshold of BatchTopK, too. A
    part that `replace` names has the value given there, and so has what follows from it.
    """
    given = replace or {}
    if "latents" in given:
        f = given["latents"]
    else:
        threshold = params["theta"][:, 0] if "theta" in params else x.new_zeros(len(x))
        f = encode(task, params, x, {"threshold": threshold}, None).f
    out = given["output"] if "output" in given else decode(params, f)
    return out, {"latents": f, "output": out}


def decode(params: Tensors, f: torch.Tensor) -> torch.Tensor:
    """x̂ [M, B, d] of codes [M, B, m]."""
    out = f @ unit_decoder(params)
    return out + params["b_d"][:, None, :] if "b_d" in params else out


def losses(
    task: Task, params: Tensors, x: torch.Tensor, extra: Tensors, step: int | None
) -> torch.Tensor:
    """The whole objective of each sample, [M, B]; AuxK, an aid of training, is no part of it in
    evaluation.
    """
    structure = task.structure
    codes = encode(task, params, x, extra, step)
    found = x.new_zeros(x.shape[:-1])
    weights = x.new_tensor(task.prefix_weights).T
    for weight, out in zip(weights, _reconstructions(structure, params, codes.f), strict=True):
        left = x - out
        found = found + weight[:, None] * (left**2).sum(-1)
    penalty = penalty_factor(structure, step) * x.new_tensor(task.penalty)[:, None]
    if structure.kind == "l1":
        found = found + penalty * codes.f.sum(-1)
    elif structure.kind == "jumprelu":
        found = found + penalty * codes.on.sum(-1)
    elif structure.kind == "gated":
        gates = codes.pre.relu()
        constant = {name: value.detach() for name, value in params.items()}
        found = found + penalty * gates.sum(-1) + ((x - decode(constant, gates)) ** 2).sum(-1)
    if structure.aux_k and step is not None:
        found = found + AUX_WEIGHT * _aux_loss(task, params, codes, left.detach(), extra["idle"])
    return found


def _reconstructions(structure: Structure, params: Tensors, f: torch.Tensor) -> list[torch.Tensor]:
    """x̂ [M, B, d] by each prefix of the latents, the last by all."""
    decoder = unit_decoder(params)
    out = params["b_d"][:, None, :] if "b_d" in params else f.new_zeros(())
    found = []
    start = 0
    for stop in structure.cuts:
        out = out + f[..., start:stop] @ decoder[:, start:stop]
        found.append(out)
        start = stop
    return found


def _aux_loss(
    task: Task, params: Tensors, codes: Codes, left: torch.Tensor, idle: torch.Tensor
) -> torch.Tensor:
    """‖e − ê‖² [M, B] of what is left, e, and of what the `aux_k` largest dead latents make of it.

    0 where none is dead.
    """
    dead = idle >= DEAD_AFTER  # [M, m]
    positive = codes.pre.relu() * dead[:, None, :]
    bound = _next_largest(positive.detach(), np.full(len(task), float(task.structure.aux_k)))
    guess = (positive * (positive > bound)) @ unit_decoder(params)
    return ((left - guess) ** 2).sum(-1) * dead.any(-1)[:, None]
