"""How the same autoencoders are trained without superpos, in torch.

`LoopSide`: a module, autograd and an optimiser for each, one after another, as in notebooks and in
the libraries for language models. `BatchedSide`: one program for all, [models, batch, ...]. Both
draw their data as people do: a uniform number for whether a feature is active, one for how much.
"""

from __future__ import annotations

import math

import torch

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.families.sae import FAMILY
from superpos.families.sae.model import initial_params
from superpos.families.sae.structure import Structure, Task
from superpos.families.sae.world.synthetic import Synthetic


class _Rectangle(torch.autograd.Function):
    """[z > θ], with the derivative of a rectangle of width ε for θ."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, *given: torch.Tensor) -> torch.Tensor:
        """1 where z > θ, for z, θ and ε."""
        z, theta, width = given
        ctx.save_for_backward(z - theta, width)
        return (z > theta).float()

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx,
        *grads: torch.Tensor,
    ) -> tuple[None, torch.Tensor, None]:
        """The gradient by θ."""
        u, width = ctx.saved_tensors  # type: ignore[attr-defined]
        return None, -grads[0] * (u.abs() < width / 2) / width, None


class Inputs:
    """Activations as people draw them, of the worlds of S autoencoders.

    Raises `MissingError` for worlds of other kinds than the benchmark's.
    """

    def __init__(self, task: Task, models: slice) -> None:
        worlds = [task.worlds[number] for number in task.world[models]]
        self.dictionary = torch.stack([torch.from_numpy(world.features) for world in worlds])
        self.density = torch.stack([_density(world) for world in worlds])[:, None, :]
        self.batch_size = task.structure.batch_size

    def batch(self) -> torch.Tensor:
        """A fresh batch x [S, B, d]."""
        models, features, _ = self.dictionary.shape
        size = (models, self.batch_size, features)
        codes = (torch.rand(size) < self.density) * torch.rand(size)
        return codes @ self.dictionary


class Autoencoders(torch.nn.Module):
    """S autoencoders of one structure, as parameters [S, ...]."""

    def __init__(self, task: Task, models: slice) -> None:
        super().__init__()
        self.structure: Structure = task.structure
        initial = initial_params(task)
        self.weights = torch.nn.ParameterDict(
            {name: torch.from_numpy(value[models]) for name, value in initial.items()}
        )
        self.k = round(float(task.k[0]))
        self.penalty = float(task.penalty[0])
        self.width = torch.tensor(float(task.bandwidth[0]))

    def loss(self, x: torch.Tensor, share: float) -> torch.Tensor:
        """The sum over the models of their mean losses, with a share of the penalty."""
        weights = self.weights
        b_d = self.weights["b_d"][:, None, :]
        z = (x - b_d) @ weights["E"].mT + weights["b_e"][:, None, :]
        kind = self.structure.kind
        penalty = x.new_zeros(())
        if kind == "jumprelu":
            theta = weights["theta"][:, None, :]
            on = _Rectangle.apply(z.detach(), theta, self.width)  # type: ignore[no-untyped-call]
            code = z * on.detach() + theta.detach() * (on - on.detach())
            penalty = on.sum(-1)
        else:
            code = torch.relu(z)
            if kind == "topk":
                code = _largest(code, self.k)
            elif kind == "batchtopk":
                code = _largest(code.flatten(1), self.k * x.shape[1]).reshape(code.shape)
            else:
                penalty = code.sum(-1)
        error = code @ weights["D"] + b_d - x
        found: torch.Tensor = (error**2).sum(-1) + share * self.penalty * penalty
        total: torch.Tensor = found.mean(-1).sum()
        return total


def _largest(values: torch.Tensor, k: int) -> torch.Tensor:
    """The k largest of the last axis, and 0 for the others."""
    top = values.topk(k, dim=-1)
    return torch.zeros_like(values).scatter(-1, top.indices, top.values)


def _density(world: object) -> torch.Tensor:
    """How often each feature is active. Raises `MissingError` for worlds of other kinds."""
    if not isinstance(world, Synthetic) or world.magnitude != "uniform":
        raise MissingError("the torch baselines draw uniform magnitudes of synthetic worlds only")
    return torch.from_numpy(world.law.density).float()


class Trainer:
    """Autoencoders with their optimiser."""

    def __init__(self, task: Task, models: slice) -> None:
        self.module = Autoencoders(task, models)
        self.inputs = Inputs(task, models)
        beta1, beta2, eps = FAMILY.adam
        parameters = self.module.parameters()
        self.optimizer = torch.optim.Adam(parameters, float(task.lr[0]), (beta1, beta2), eps)
        self.warmup = warmup_steps(task.structure)
        self.step = 0

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        for _ in range(steps):
            self.step += 1
            share = min(1.0, self.step / self.warmup) if self.warmup else 1.0
            self.optimizer.zero_grad(set_to_none=True)
            self.module.loss(self.inputs.batch(), share).backward()  # type: ignore[no-untyped-call]
            self._update()

    @torch.no_grad()
    def _update(self) -> None:
        """A step along the sphere on which the rows of D lie."""
        decoder = self.module.weights["D"]
        decoder.grad -= (decoder.grad * decoder).sum(-1, keepdim=True) * decoder
        self.optimizer.step()
        decoder /= decoder.norm(dim=-1, keepdim=True)
        if self.module.structure.kind == "jumprelu":
            self.module.weights["theta"].clamp_(min=0)


class LoopSide:
    """One module after another."""

    def __init__(self, task: Task, device: str) -> None:
        require_cpu(device)
        self.trainers = [Trainer(task, slice(i, i + 1)) for i in range(len(task))]

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        for trainer in self.trainers:
            trainer.advance(steps)

    def params(self) -> Params:
        """The weights now."""
        states = [trainer.module.weights.state_dict() for trainer in self.trainers]
        return {name: torch.cat([state[name] for state in states]).numpy() for name in states[0]}


class BatchedSide:
    """One program for all."""

    def __init__(self, task: Task, device: str) -> None:
        require_cpu(device)
        self.trainer = Trainer(task, slice(0, len(task)))

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        self.trainer.advance(steps)

    def params(self) -> Params:
        """The weights now."""
        state = self.trainer.module.weights.state_dict()
        return {name: value.numpy() for name, value in state.items()}


def warmup_steps(structure: Structure) -> int:
    """Over how many steps the penalty grows."""
    return math.ceil(structure.penalty_warmup * structure.steps)


def require_cpu(device: str) -> None:
    """Raises `MissingError` for another device."""
    if device != "cpu":
        raise MissingError("the torch baselines of autoencoders are measured on a CPU only")
