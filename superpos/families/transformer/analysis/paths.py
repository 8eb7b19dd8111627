"""What paths through heads carry, with attention as it is: how many heads a path goes through, and
what ablation sees that keeps the patterns.

What composes by queries and keys is in the attention, and stays there; only values compose along a
path. Elhage et al. 2021, path expansion; Olsson et al. 2022, pattern-preserving ablation.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from superpos.families.transformer import metrics
from superpos.families.transformer.counts import Asked
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Task
from superpos.maths import attention

ORDERS: Final = ("none", "at most one", "any number")
"""How many heads a path to the logits may go through."""


def params_of(weights: metrics.Weights) -> dict[str, torch.Tensor]:
    """Weights of one model as the forward pass takes them."""
    return {name: torch.from_numpy(np.asarray(value))[None] for name, value in weights.items()}


def orders(one: Task, weights: metrics.Weights, given: Asked) -> dict[str, float]:
    """The excess of a model whose attention is as it is, by `ORDERS`; nothing without heads."""
    s = one.structure
    names = attention.heads(s.n_layers, s.n_heads)
    if not names:
        return {}
    frozen = _patterns(one, weights, given)
    edges = attention.edges(s.n_layers, s.n_heads, s.positions, s.direct)
    of_heads = [edge for edge in edges if edge.partition("->")[0] in names]
    to_logits = [edge for edge in of_heads if edge.endswith("->logits")]
    to_values = [edge for edge in of_heads if edge.endswith(":v")]
    return {
        heads: _excess(one, weights, given, removed, frozen)
        for heads, removed in zip(ORDERS, (to_logits, to_values, []), strict=True)
    }


def first_layer(one: Task, weights: metrics.Weights, given: Asked) -> tuple[float, float]:
    """What removing the first layer costs in nats: all of it, and with all patterns kept."""
    s = one.structure
    heads = [f"0.{head}" for head in range(s.n_heads)]
    whole = _excess(one, weights, given, [], {})
    every = _excess(one, weights, given, heads, {})
    kept = _excess(one, weights, given, heads, _patterns(one, weights, given))
    return every - whole, kept - whole


def _patterns(one: Task, weights: metrics.Weights, given: Asked) -> dict[str, torch.Tensor]:
    """The attention of all heads, to be put in its own place."""
    s = one.structure
    with torch.no_grad():
        parts = forward(one, params_of(weights), given.inputs)[1]
    names = [f"{head}:pattern" for head in attention.heads(s.n_layers, s.n_heads)]
    return {name: parts[name] for name in names}


def _excess(
    one: Task,
    weights: metrics.Weights,
    given: Asked,
    removed: list[str],
    frozen: dict[str, torch.Tensor],
) -> float:
    replace = frozen | dict.fromkeys(removed, torch.zeros(()))
    with torch.no_grad():
        logits = forward(one, params_of(weights), given.inputs, replace=replace)[0]
    return given.excess(logits)
