"""Small tasks of sparse autoencoders, and their losses and gradients by hand, in double
precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.sae import FAMILY
from superpos.families.sae.structure import Structure, Task, World
from superpos.families.sae.world.dictionary import dictionary
from superpos.families.sae.world.synthetic import Synthetic, synthetic

Floats = NDArray[np.float64]

SYNTHETIC: dict[str, Any] = {
    "n_features": 6, "n_dims": 4, "dictionary": "sphere", "cosine": 0.0, "frequency": "constant",
    "exponent": None, "decay": 0.99, "last": None, "active": 1.5, "correlation": "none",
    "rank": None, "strength": None, "rho": None, "tree": None, "exactly": None,
    "magnitude": "uniform", "sigma": None, "noise": 0.0, "seed": 0,
}  # fmt: skip


def make_world(**values: Any) -> Synthetic:
    """A synthetic world of six features in four dimensions; `values` are keys world.* by their last
    parts.
    """
    every = SYNTHETIC | values
    drawn = dictionary(
        *(every[name] for name in ("dictionary", "cosine", "n_features", "n_dims", "seed"))
    )
    return synthetic(every, drawn)


def make_sae_task(
    models: int = 1, *, worlds: tuple[World, ...] | None = None, **values: Any
) -> Task:
    """A task of equal models but for their seeds; `values` are fields of `Structure`, or of `Task`
    (numbers or [M]).
    """
    worlds = (make_world(),) if worlds is None else worlds
    n_features, n_dims = worlds[0].features.shape
    defaults: dict[str, Any] = {
        "seed": np.arange(models), "lr": 0.003, "weight_decay": 0.0, "world": 0, "penalty": 0.0,
        "k": 0.0, "bandwidth": 0.1, "theta": 0.1, "prefix_weights": 1.0, "start": "random",
    }  # fmt: skip
    own = {name: values.pop(name, default) for name, default in defaults.items()}
    structure = Structure(
        n_features=n_features,
        n_dims=n_dims,
        **{
            "latents": 5,
            "steps": 20,
            "batch_size": 32,
            "optimizer": "adam",
            "reduction": "sum",
            **values,
        },
    )
    types = {"seed": np.uint64, "world": np.intp, "start": object}
    arrays = {
        name: np.broadcast_to(
            np.asarray(value, dtype=types.get(name, np.float64)), (models,)
        ).copy()
        for name, value in own.items()
        if name != "prefix_weights"
    }
    weights = np.broadcast_to(own["prefix_weights"], (models, len(structure.cuts))).astype(
        np.float64
    )
    return Task(structure, prefix_weights=weights, worlds=worlds, **arrays)


def random_params(task: Task, seed: int = 0) -> dict[str, torch.Tensor]:
    """Parameters in double precision, none of them 0, rows of D of length 1."""
    random = np.random.default_rng(seed)
    found = {}
    for name, shape in task.structure.param_shapes.items():
        value = random.normal(size=(len(task), *shape))
        if name == "theta":
            value = np.abs(value) * 0.3
        elif name != "E":
            value *= 0.3
        if name == "D":
            value /= np.linalg.norm(value, axis=-1, keepdims=True)
        found[name] = torch.from_numpy(value)
    return found


def reference_gradients(
    task: Task,
    params: dict[str, torch.Tensor],
    x: torch.Tensor,
    extra: dict[str, torch.Tensor],
    step: int,
) -> tuple[Floats, dict[str, Floats]]:
    """Losses and gradients by autograd, as the reference engine takes them."""
    from superpos.engines.reference import loss_and_gradients

    losses, grads = loss_and_gradients(FAMILY, task, params, x, extra, step)
    return losses.numpy(), {name: grad.numpy() for name, grad in grads.items()}


def hand_gradients(
    task: Task,
    params: dict[str, torch.Tensor],
    x: torch.Tensor,
    extra: dict[str, torch.Tensor],
    step: int,
) -> tuple[Floats, dict[str, Floats]]:
    """The same from the formulas, model by model."""
    from superpos.families.sae.model import penalty_factor

    losses, grads = [], []
    for i in range(len(task)):
        one = {name: value[i].numpy() for name, value in params.items()}
        idle = extra["idle"][i].numpy() if "idle" in extra else None
        factor = penalty_factor(task.structure, step)
        found = _of_one(task, i, one, x[i].numpy(), task.penalty[i] * factor, idle)
        losses.append(found[0])
        grads.append(found[1])
    return np.array(losses), {name: np.stack([grad[name] for grad in grads]) for name in grads[0]}


def _of_one(
    task: Task, i: int, p: dict[str, Floats], x: Floats, penalty: float, idle: NDArray[Any] | None
) -> tuple[float, dict[str, Floats]]:
    """Loss and gradients of one model: `penalty` is λ at the step."""
    s = task.structure
    samples = len(x)
    D, b_d = p["D"], p.get("b_d", np.zeros(s.n_dims))
    E = p.get("E", D)
    centred = x - b_d
    linear = centred @ E.T
    z = linear * np.exp(p["r"]) + p["b_e"] if s.kind == "gated" else linear + p["b_e"]
    on = _fires(task, i, p, z, linear)
    f = z * on
    left = {cut: x - b_d - f[:, :cut] @ D[:cut] for cut in s.cuts}
    beta = dict(zip(s.cuts, task.prefix_weights[i], strict=True))
    loss = sum(beta[cut] * (e**2).sum() for cut, e in left.items())
    df, dD, dout = np.zeros_like(f), np.zeros_like(D), np.zeros_like(x)
    for cut, e in left.items():
        df[:, :cut] -= 2 * beta[cut] * e @ D[:cut].T
        dD[:cut] -= 2 * beta[cut] * f[:, :cut].T @ e
        dout -= 2 * beta[cut] * e
    grads: dict[str, Floats] = {}
    if s.kind == "jumprelu":
        near = np.abs(z - p["theta"]) < task.bandwidth[i] / 2
        grads["theta"] = -(near * (p["theta"] * df + penalty)).sum(0) / task.bandwidth[i]
        loss += penalty * on.sum()
    if s.kind == "l1":
        loss += penalty * f.sum()
        df = df + penalty
    dz = df * on
    if s.kind == "gated":
        gates = linear + p["b_gate"]
        opened = np.maximum(gates, 0)
        e = x - b_d - opened @ D
        loss += penalty * opened.sum() + (e**2).sum()
        dgates = (penalty - 2 * e @ D.T) * (gates > 0)
        grads["r"] = (dz * linear * np.exp(p["r"])).sum(0)
        grads["b_gate"] = dgates.sum(0)
        grads["b_e"] = dz.sum(0)
        dz = dz * np.exp(p["r"]) + dgates
    if idle is not None and s.aux_k:
        e = left[s.cuts[-1]]
        dead = idle >= 100
        if dead.any():
            positive = np.maximum(z, 0) * dead
            chosen = positive >= -np.sort(-positive, axis=1)[:, s.aux_k - 1 : s.aux_k]
            chosen &= positive > 0
            guess = positive * chosen
            missed = e - guess @ D
            loss += (missed**2).sum() / 32
            dz = dz - 2 / 32 * (missed @ D.T) * chosen
            dD -= 2 / 32 * guess.T @ missed
    grads.setdefault("b_e", dz.sum(0))
    if "E" in p:
        grads["E"] = dz.T @ centred
    else:
        dD += dz.T @ centred
    if s.frozen == "none":
        grads["D"] = dD - (dD * D).sum(1, keepdims=True) * D
    if "b_d" in p:
        grads["b_d"] = dout.sum(0) - (dz @ E).sum(0)
    return loss / samples, {name: grad / samples for name, grad in grads.items()}


def _fires(
    task: Task, i: int, p: dict[str, Floats], z: Floats, linear: Floats
) -> NDArray[np.bool_]:
    s = task.structure
    if s.kind == "gated":
        return (linear + p["b_gate"] > 0) & (z > 0)
    if s.kind == "jumprelu":
        return z > p["theta"]
    positive = np.maximum(z, 0)
    if s.kind == "topk":
        rank = (-positive).argsort(axis=1).argsort(axis=1)
        return (rank < task.k[i]) & (z > 0)
    if s.kind == "batchtopk":
        rank = (-positive).ravel().argsort().argsort().reshape(z.shape)
        return (rank < np.floor(task.k[i] * len(z) + 0.5)) & (z > 0)
    return z > 0
