"""What `superpos patch` replaces in trained transformers: their heads, on pairs of sequences.

A prompt is a sequence of the language up to the last token A whose follower is known: A stood
before, and B came after it. C is the first other such token, with another follower D. So the answer
is B, and D wherever a corrupt sequence says that it is. Nobody knows which heads a trained model
needs; `explain.patched` says what is called true then.

Shapes: M models, B prompts, T positions, V tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as with_
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.errors import ConfigError
from superpos.explain.patched import Patched
from superpos.explain.patching import Pairs, Site, measure
from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.data.inputs import sample
from superpos.families.transformer.results import INDUCTION
from superpos.families.transformer.structure import Structure, Task
from superpos.maths import attention
from superpos.store import Run

Tensors = Mapping[str, torch.Tensor]
Indices = NDArray[np.int64]

CORRUPTIONS: Final = ("query", "query_absent", "key", "value", "keys_swapped")
_DRAWS: Final = 16
"""Of so many sequences for each prompt that is asked for, some need not fit."""


class Prompts(NamedTuple):
    """Sequences, the same made corrupt, and what is asked of them."""

    clean: Indices
    """[B, T]."""
    corrupt: Indices
    """[B, T]."""
    place: Indices
    """Where the last A stands, [B]."""
    answer: Indices
    """B of each, [B]."""
    other: Indices
    """D of each, [B]."""


def patched(
    run: Run,
    models: Sequence[int],
    corrupt: str | None,
    metric: str,
    prompts: int,
) -> Patched:
    """Pairs of sequences of the evaluation stream, in double precision; heads are parts.

    Raises `ConfigError` for models without heads, for languages whose answers do not stand earlier
    in the sequence, and for what makes too few of their sequences corrupt.
    """
    tasks = [task(run, model) for model in models]
    structure = tasks[0].structure
    how = corrupt or "query"
    if structure.kind not in INDUCTION:
        words = f"language.kind={structure.kind}, whose answers do not stand earlier in a sequence"
        raise ConfigError(f"{run.path}: {words}; allowed: {' or '.join(INDUCTION)}")
    if structure.n_layers == 0:
        raise ConfigError(f"{run.path}: model.n_layers=0, so that there are no heads to patch")
    if how not in CORRUPTIONS:
        words = f"{how} with family=transformer; allowed: {' or '.join(CORRUPTIONS)}"
        raise ConfigError(f"patch.corrupt: {words}")
    params = {
        name: torch.from_numpy(run.tensor(name, models)).double() for name in structure.param_shapes
    }
    return patched_models(structure, params, [drawn(one, how, prompts) for one in tasks], metric)


def patched_models(
    structure: Structure, params: Tensors, prompts: Sequence[Prompts], metric: str
) -> Patched:
    """The same of weights [M, ...] and the prompts of each model."""
    clean, corrupt, place, answer, other = (
        torch.from_numpy(np.stack([getattr(one, name) for one in prompts]))
        for name in Prompts._fields
    )
    forward = partial(_logits, structure, params, place)
    clean_x, corrupt_x = (_embedded(params["W_E"], tokens) for tokens in (clean, corrupt))
    heads = tuple(attention.heads(structure.n_layers, structure.n_heads))
    measured = measure(metric, answer, other, forward(clean_x)[0])
    pairs = Pairs(forward, clean_x, corrupt_x, measured, heads, (attention.TOKENS,))
    return Patched(pairs, clean_x, None, _edges(structure, heads), trained=True)


def _embedded(W_E: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return torch.stack([table[one] for table, one in zip(W_E, tokens, strict=True)])


def _logits(
    structure: Structure,
    params: Tensors,
    place: torch.Tensor,
    embedded: torch.Tensor,
    replace: Tensors | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits [M, B, V] at the places [M, B] and all parts, for embedded tokens [M, B, T, d].

    Inputs are embeddings, not tokens, so that they can lie between two sequences.
    """
    tokens = torch.zeros(embedded.shape[:3], dtype=torch.int64)
    given = {attention.TOKENS: embedded, **(replace or {})}
    logits, parts = attention.forward(
        params, tokens, positions=structure.positions, direct=structure.direct, replace=given
    )
    at = place[..., None, None].expand(-1, -1, 1, logits.shape[-1])
    return logits.gather(2, at)[:, :, 0], parts


def _edges(structure: Structure, heads: Sequence[str]) -> tuple[Site, ...]:
    """What heads get of heads of earlier layers."""
    found = []
    for name in attention.edges(structure.n_layers, structure.n_heads, structure.positions):
        writer, _, reader = name.partition("->")
        if writer in heads and reader != attention.LOGITS:
            found.append(Site(writer, name))
    return tuple(found)


# --- prompts -------------------------------------------------------------------------------------


def drawn(one: Task, how: str, count: int) -> Prompts:
    """The first sequences of the evaluation stream that fit, the same for all models of a language.

    Raises `ConfigError` where too few do.
    """
    stream = with_(one, seed=np.zeros(1, dtype=np.uint64))
    found: list[Prompts] = []
    for block in range(_DRAWS):
        made = sample(stream, range(block * count, (block + 1) * count))
        given = zip(made.tokens[0].numpy(), made.determined[0].numpy(), strict=True)
        for tokens, determined in given:
            prompt = prompt_of(one.structure, tokens, determined, how)
            if prompt is not None:
                found.append(prompt)
        if len(found) >= count:
            return Prompts(*(np.array(values[:count]) for values in zip(*found, strict=True)))
    words = f"{how} fits {len(found)} of {_DRAWS * count} sequences; allowed: another"
    raise ConfigError(f"patch.corrupt: {words}, or fewer patch.prompts")


def prompt_of(
    structure: Structure, tokens: Indices, determined: NDArray[np.bool_], how: str
) -> Prompts | None:
    """A sequence [T + 1] as a prompt, made corrupt; None where it does not fit.

    query: the last A is C; query_absent: it is X, a token that the sequence does not have; key:
    every earlier A is X; value: what came after every earlier A is D; keys_swapped: every earlier A
    is C, and C is A.
    """
    asked = np.flatnonzero(determined)
    if not len(asked):
        return None
    place = asked[-1]
    A = tokens[place]
    B = tokens[place + 1]
    keys = range(_n_keys(structure))
    before = tokens[:place]
    followers = {key: set(tokens[1 : place + 1][before == key].tolist()) for key in keys}
    others = []
    for key in dict.fromkeys(before.tolist()):
        four = {int(A), int(B), key, *followers.get(key, ())}
        if len(followers.get(key, ())) == 1 and len(four) == 4:
            others.append(key)
    absent = [key for key in keys if key not in tokens[: place + 1]]
    needs_absent = how in ("key", "query_absent")
    if followers[int(A)] != {int(B)} or not others or (needs_absent and not absent):
        return None
    C = others[0]
    (D,) = followers[C]
    at_a = np.flatnonzero(before == A)
    at_c = np.flatnonzero(before == C)
    clean = tokens[:-1]
    corrupt = clean.copy()
    match how:
        case "query":
            corrupt[place] = C
        case "query_absent":
            corrupt[place] = absent[0]
        case "key":
            corrupt[at_a] = absent[0]
        case "value":
            corrupt[at_a + 1] = D
        case "keys_swapped":
            corrupt[at_a], corrupt[at_c] = C, A
    return Prompts(clean, corrupt, place, B, np.array(D))


def _n_keys(structure: Structure) -> int:
    """The first tokens are those after which there is something to remember."""
    s = structure
    return {"pairs": s.keys, "triggers": s.triggers}.get(s.kind, s.tokens)
