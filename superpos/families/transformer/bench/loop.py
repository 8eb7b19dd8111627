"""How the same transformers are trained without superpos: a torch module for each, one after
another.

Autograd and Adam, as in notebooks; sequences are drawn as people draw them.
"""

from __future__ import annotations

import torch

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.families.transformer import FAMILY
from superpos.families.transformer.model import initial_params
from superpos.families.transformer.structure import Structure, Task
from superpos.maths.attention import by_offset, future


def require_pairs(structure: Structure) -> None:
    """Raises `MissingError` for what the baselines do not train."""
    s = structure
    if (s.kind, s.targets, s.positions, s.smear, s.direct) != (
        "pairs",
        "all",
        "relative",
        False,
        True,
    ):
        raise MissingError(
            "the baselines of transformers train relative positions on keys and values only"
        )


def draw(structure: Structure) -> torch.Tensor:
    """Sequences [B, T + 1]: a token to begin with, then any keys, each with the value that it has
    in its sequence.
    """
    s = structure
    size = structure.batch_size
    values = torch.randint(s.keys, s.keys + s.values, (size, s.keys))
    keys = torch.randint(0, s.keys, (size, (s.context + 1) // 2))
    body = torch.stack([keys, values.gather(1, keys)], dim=-1).flatten(1)[:, : s.context]
    return torch.cat([torch.full((size, 1), s.keys + s.values), body], dim=1)


class Transformer(torch.nn.Module):
    """One attention-only transformer with relative positions."""

    def __init__(self, weights: dict[str, torch.Tensor], context: int) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterDict(weights)
        self.unseen = future(context)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, T, V] of tokens [B, T]."""
        w = self.weights
        length = tokens.shape[1]
        x = torch.nn.functional.embedding(tokens, w["W_E"])
        for layer in range(len(w["W_Q"])):
            read = x[:, None]  # [B, 1, T, d]; heads are [H, d, k]
            q, k, v = (read @ w[name][layer] for name in ("W_Q", "W_K", "W_V"))
            scores = q @ k.mT / q.shape[-1] ** 0.5 + by_offset(w["W_rel"][layer], length)
            pattern = scores.masked_fill(self.unseen, -torch.inf).softmax(-1)
            x = x + (pattern @ v @ w["W_O"][layer]).sum(1)
        logits: torch.Tensor = x @ w["W_U"]
        return logits


class LoopSide:
    """One module after another."""

    def __init__(self, task: Task, device: str) -> None:
        if device != "cpu":
            raise MissingError("the loop of transformers is measured on a CPU only")
        require_pairs(task.structure)
        self.structure: Structure = task.structure
        initial = initial_params(task)
        self.modules = [
            Transformer(
                {name: torch.from_numpy(value[i]) for name, value in initial.items()},
                self.structure.context,
            )
            for i in range(len(task))
        ]
        beta1, beta2, eps = FAMILY.adam
        self.optimizers = [
            torch.optim.Adam(module.parameters(), float(lr), (beta1, beta2), eps)
            for module, lr in zip(self.modules, task.lr, strict=True)
        ]

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        for module, optimizer in zip(self.modules, self.optimizers, strict=True):
            for _ in range(steps):
                tokens = draw(self.structure)
                optimizer.zero_grad(set_to_none=True)
                logits = module(tokens[:, :-1])
                loss = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), tokens[:, 1:].flatten()
                )
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()

    def params(self) -> Params:
        """The weights now."""
        states = [module.weights.state_dict() for module in self.modules]
        return {name: torch.stack([state[name] for state in states]).numpy() for name in states[0]}
