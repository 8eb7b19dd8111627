"""Which tokens of a prompt matter to an induction circuit, and which attention points at.

Shapes: M models of one kind, B prompts, T positions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.explain import attention, induction
from superpos.families.circuit.analysis.made import made_of, prompts_of
from superpos.maths.types import Floats
from superpos.store import Run

METHODS: Final = ("attention", "rollout", "gradient_times_input")
PROMPTS: Final = 40
COUNTS: Final = 0.05
"""Share of all that a method gives, or of the logit difference, from which on a token counts."""
NEAR: Final = 0.05
"""By how much of itself what the head writes may move under other attention."""
_HEAD: Final = "1.0"
"""The head that writes the answer, by matching or by pointing."""


class Tokens(NamedTuple):
    """Some models and their prompts."""

    effect: Floats
    """[M, B, T]: share of the logit difference that is lost with another token in the place."""
    scores: dict[str, Floats]
    """[M, B, T] of every method."""
    divergence: Floats
    """[M, B]: how far attention can change while the head writes the same."""
    places: NDArray[np.int64]
    """[B, 5]: positions of A, B, C, D and the last A."""


@lru_cache(maxsize=64)
def tokens_of(run: Run, models: tuple[int, ...], prompts: int = PROMPTS) -> Tokens:
    """Effects and scores of every token of some induction circuits of one kind."""
    _, params = made_of(run, models)
    made = prompts_of(prompts)
    _, wrong = induction.corrupt(made, "query")
    answer = torch.from_numpy(induction.answers(made)), torch.from_numpy(wrong)

    def difference(logits: torch.Tensor) -> torch.Tensor:
        right, other = (logits.gather(-1, _index(one, logits)) for one in answer)
        return (right - other)[..., 0]

    def embedded(tokens: torch.Tensor) -> torch.Tensor:
        return params["W_E"][:, tokens]

    x = embedded(torch.from_numpy(made.tokens)).requires_grad_()
    logits, parts = induction.last_logits(params, x)
    whole = difference(logits)
    (gradient,) = torch.autograd.grad(whole.sum(), [x])
    patterns = _patterns(parts)
    effect = np.zeros((len(models), *made.tokens.shape))
    with torch.no_grad():
        for place in range(made.tokens.shape[1]):
            replaced = made.tokens.copy()
            replaced[:, place] = made.absent[:, 0]
            there, _ = induction.last_logits(params, embedded(torch.from_numpy(replaced)))
            effect[:, :, place] = ((whole - difference(there)) / whole).numpy()
        written = parts[f"{_HEAD}:v"] @ params["W_O"][:, 1, 0][:, None]
        values = difference(written @ params["W_U"][:, None])
    found = parts[f"{_HEAD}:pattern"][:, :, -1].detach().numpy()
    alone = values.detach().numpy()
    near = NEAR * np.abs((found * alone).sum(-1))
    scores = {
        "attention": found,
        "rollout": attention.rollout(patterns)[..., -1, :],
        "gradient_times_input": (x * gradient).sum(-1).detach().numpy(),
    }
    last = np.full(len(made.tokens), made.tokens.shape[1] - 1)
    places = np.column_stack([made.first, last])
    return Tokens(effect, scores, attention.worst(found, alone, near), places)


def _index(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Tokens [B] as an index of logits [M, B, V] or [M, B, T, V]."""
    shape = (1, -1, *[1] * (logits.ndim - 2))
    return tokens.reshape(shape).expand(*logits.shape[:-1], 1)


def _patterns(parts: dict[str, torch.Tensor]) -> Floats:
    """Attention of all heads, [M, B, L, H, T, T]."""
    names = [name for name in parts if name.endswith(":pattern")]
    layers = {name.partition(".")[0] for name in names}
    of_layers = [
        torch.stack([parts[name] for name in names if name.startswith(f"{layer}.")], dim=2)
        for layer in sorted(layers)
    ]
    return np.asarray(torch.stack(of_layers, dim=2).detach().numpy())


class Score(NamedTuple):
    """How well the tokens that a method names are those that matter, [M]."""

    precision: Floats
    recall: Floats


def score(tokens: Tokens, method: str) -> Score:
    """Means over prompts; NaN where a method names nothing, or nothing matters."""
    given = np.abs(tokens.scores[method])
    with np.errstate(invalid="ignore", divide="ignore"):
        named = given >= COUNTS * given.sum(axis=-1, keepdims=True)
        named &= given > 0
        true = np.abs(tokens.effect) >= COUNTS
        hits = (named & true).sum(-1)
        return Score((hits / named.sum(-1)).mean(-1), (hits / true.sum(-1)).mean(-1))
