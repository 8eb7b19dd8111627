"""Induction circuits made by hand: attention-only transformers, their prompts, and corrupt ones.

A prompt is BOS, tokens that all differ, among them "A B" and "C D", and A once more: the answer is
B. Two circuits find it (Elhage et al. 2021): by K-composition a previous-token head writes down
what stood before, and a match head looks that up; by Q-composition a match head finds the earlier
A and writes down where it is, and a pointer head attends one further. Beside the K circuit a
copy-suppressing head matches as it does, half as sharply, and writes a little less of B; a weak
head adds some of every token that it sees; other heads read tokens and write what nothing reads.

Heads are H in each of two layers. Sharpness beta is the score of what is looked for; everything
else has score 0, so that attention without a match is uniform. Where it is sharp, gradients of a
softmax are 0.

Shapes: B prompts, T positions, V tokens with BOS, the last; weights as in `maths.attention`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.errors import ConfigError
from superpos.explain.patching import Measure, Pairs, measure
from superpos.maths import attention
from superpos.maths.hand_made import Heads, Subspaces
from superpos.maths.types import Floats

KINDS: Final = ("induction_k", "induction_q", "induction_kq")
CORRUPTIONS: Final = ("query", "query_absent", "key", "value", "keys_swapped", "noise")
N_TOKENS: Final = 16
"""Ordinary tokens; number 16 is BOS."""
LENGTH: Final = 10
NOISE: Final = 3.0
"""Standard deviation of Gaussian noise on the embedding of the first A."""
_GAIN: Final = 7.0
"""Logit of a token that a head is sure of."""
_SUPPRESSED: Final = 0.3
_WEAK: Final = 0.05
Indices = NDArray[np.int64]

_LAYERS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "induction_k": (("previous", "weak"), ("match", "suppress")),
    "induction_q": (("find", "weak"), ("pointer",)),
    "induction_kq": (("previous", "find", "weak"), ("match", "pointer", "suppress")),
}
"""What the heads of both layers do, unread ones left out."""
_COMPOSITIONS: Final = (
    ("previous", "match", "k"),
    ("previous", "suppress", "k"),
    ("find", "pointer", "q"),
)
NOT_IN_THE_CIRCUIT: Final = ("weak", "unread")


def roles(kind: str, distractors: int) -> dict[str, str]:
    """What each head does, by its name such as "1.0"; a layer has so many unread heads or more."""
    layers = _LAYERS[kind]
    n_heads = max(map(len, layers)) + distractors
    found = {}
    for layer, heads in enumerate(layers):
        for head in range(n_heads):
            found[f"{layer}.{head}"] = heads[head] if head < len(heads) else "unread"
    return found


def true_heads(kind: str, distractors: int) -> tuple[str, ...]:
    """The heads of the circuit."""
    named = roles(kind, distractors).items()
    return tuple(head for head, role in named if role not in NOT_IN_THE_CIRCUIT)


def true_edges(kind: str, distractors: int) -> tuple[str, ...]:
    """The edges between the heads of the circuit."""
    at = {role: head for head, role in roles(kind, distractors).items()}
    found = []
    for writer, reader, made in _COMPOSITIONS:
        if writer in at and reader in at:
            found.append(attention.edge(at[writer], f"{at[reader]}:{made}"))
    return tuple(found)


def head_edges(kind: str, distractors: int) -> tuple[str, ...]:
    """Every edge from a head of the first layer to what one of the second makes of it."""
    n_heads = len(roles(kind, distractors)) // 2
    heads = range(n_heads)
    return tuple(
        attention.edge(f"0.{writer}", f"1.{reader}:{made}")
        for writer, reader, made in product(heads, heads, attention.INPUTS)
    )


# --- weights -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Making:
    space: Subspaces
    heads: Heads
    beta: float

    def previous(self, head: tuple[int, int]) -> None:
        """Attends to the token before, and writes it down."""
        for i in range(1, LENGTH):
            here = self.row("position", i)
            before = self.row("position", i - 1)
            self.heads.score(head, i, {here: self.beta}, {before: 1.0})
        self._copy(head, "token", "previous", 1.0)

    def match(self, head: tuple[int, int]) -> None:
        """Attends to what stands after its own token."""
        self._look_up(head, self.beta)
        self._copy(head, "token", "out", 1.0)

    def suppress(self, head: tuple[int, int]) -> None:
        """The same less sharply, against the answer."""
        self._look_up(head, self.beta / 2)
        self._copy(head, "token", "out", -_SUPPRESSED)

    def find(self, head: tuple[int, int]) -> None:
        """Attends to its own token, but not to itself, and writes down where that is."""
        for i in range(N_TOKENS):
            own = self.row("token", i)
            self.heads.score(head, i, {own: self.beta}, {own: 1.0})
        for i in range(LENGTH):
            here = self.row("position", i)
            self.heads.score(head, N_TOKENS + i, {here: -2 * self.beta}, {here: 1.0})
            self.heads.copy(head, i, here, {self.row("pointer", i): 1.0})

    def pointer(self, head: tuple[int, int]) -> None:
        """Attends one after the place that was written down."""
        for i in range(LENGTH - 1):
            there = self.row("pointer", i)
            after = self.row("position", i + 1)
            self.heads.score(head, i, {there: self.beta}, {after: 1.0})
        self._copy(head, "token", "out", 1.0)

    def weak(self, head: tuple[int, int]) -> None:
        """Attends everywhere, and adds a little of each token."""
        self._copy(head, "token", "out", _WEAK)

    def unread(self, head: tuple[int, int]) -> None:
        """Attends to its own token, and writes where nothing reads."""
        for i in range(N_TOKENS):
            own = self.row("token", i)
            self.heads.score(head, i, {own: self.beta}, {own: 1.0})
        self._copy(head, "token", "unread", 1.0)

    def _look_up(self, head: tuple[int, int], beta: float) -> None:
        for i in range(N_TOKENS):
            own = self.row("token", i)
            previous = self.row("previous", i)
            self.heads.score(head, i, {own: beta}, {previous: 1.0})

    def _copy(self, head: tuple[int, int], source: str, to: str, strength: float) -> None:
        for i in range(N_TOKENS):
            self.heads.copy(head, i, self.row(source, i), {self.row(to, i): strength})

    def row(self, stretch: str, i: int) -> int:
        """Which dimension number i of a stretch is."""
        return self.space.row(stretch, i)


def _space() -> Subspaces:
    V = N_TOKENS + 1
    T = LENGTH
    return Subspaces(token=V, position=T, previous=V, pointer=T, out=V, unread=V)


def shapes(kind: str, distractors: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of one circuit."""
    n_heads = len(roles(kind, distractors)) // 2
    d = _space().d
    k = N_TOKENS + LENGTH
    made = dict.fromkeys(("W_Q", "W_K", "W_V"), (2, n_heads, d, k))
    out = {"W_O": (2, n_heads, k, d), "W_U": (d, N_TOKENS + 1)}
    return {"W_E": (N_TOKENS + 1, d), "W_pos": (LENGTH, d), **made, **out}


def build(kind: str, distractors: int, beta: float) -> dict[str, Floats]:
    """Weights of one circuit, by the names and in the shapes of `maths.attention`."""
    space = _space()
    named = roles(kind, distractors)
    heads = Heads(2, len(named) // 2, space.d, N_TOKENS + LENGTH)
    making = _Making(space, heads, beta)
    for name, role in named.items():
        layer, head = map(int, name.split("."))
        getattr(making, role)((layer, head))
    unit = np.eye(space.d)
    out = [space.row("out", i) for i in range(N_TOKENS + 1)]
    return {
        "W_E": unit[[space.row("token", i) for i in range(N_TOKENS + 1)]],
        "W_pos": unit[[space.row("position", i) for i in range(LENGTH)]],
        **heads.named(),
        "W_U": _GAIN * unit[out].T,
    }


# --- prompts -------------------------------------------------------------------------------------


class Prompts(NamedTuple):
    """Prompts, and where their A, B, C and D stand."""

    tokens: Indices
    """[B, T]; the last token is A."""
    first: Indices
    """Positions of A, B, C, D, [B, 4]."""
    absent: Indices
    """Two tokens that are not in the prompt, [B, 2]."""


def prompts(words: Indices) -> Prompts:
    """Prompts of random numbers [B, N_TOKENS + 1]: the first choose tokens, the next one places."""
    order = np.argsort(words[:, :N_TOKENS], axis=1, kind="stable")
    batch = np.arange(len(words))
    body = LENGTH - 2
    tokens = np.full((len(words), LENGTH), N_TOKENS)
    tokens[:, 1:-1] = order[:, :body]
    places = np.argwhere(np.abs(np.subtract.outer(np.arange(body), np.arange(body))) >= 2)
    places = places[(places >= 1).all(1)]
    chosen = places[words[:, N_TOKENS] % len(places)]
    first = np.stack([chosen[:, 0], chosen[:, 0] + 1, chosen[:, 1], chosen[:, 1] + 1], axis=1)
    tokens[:, -1] = tokens[batch, first[:, 0]]
    return Prompts(tokens, first, order[:, body : body + 2])


def answers(made: Prompts) -> Indices:
    """B of each prompt, [B]."""
    found: Indices = made.tokens[np.arange(len(made.tokens)), made.first[:, 1]]
    return found


class Corrupt(NamedTuple):
    """Corrupt prompts, and what is their answer instead of B."""

    tokens: Indices
    other: Indices


def corrupt(made: Prompts, how: str) -> Corrupt:
    """Corrupt tokens [B, T] and the other answer [B].

    query: the last A is C; query_absent: it is a token without a match; key: the first A is such a
    token; value: B is another token; keys_swapped: the first A is C, and C is A. The other answer
    is D, of value the token in the place of B. noise changes no token, see `pairs`.

    Raises `ConfigError` for an unknown name.
    """
    if how not in CORRUPTIONS:
        raise ConfigError(f"corrupt: got {how!r}; allowed: {', '.join(CORRUPTIONS)}")
    batch = np.arange(len(made.tokens))
    a, b, c, d = made.first.T
    A, C, D = (made.tokens[batch, place] for place in (a, c, d))
    X = made.absent[:, 0]
    tokens = made.tokens.copy()
    other = D
    match how:
        case "query":
            tokens[:, -1] = C
        case "query_absent":
            tokens[:, -1] = X
        case "key":
            tokens[batch, a] = X
        case "value":
            tokens[batch, b] = X
            other = X
        case "keys_swapped":
            tokens[batch, a] = C
            tokens[batch, c] = A
    return Corrupt(tokens, other)


def last_logits(
    params: Mapping[str, torch.Tensor],
    embedded: torch.Tensor,
    replace: Mapping[str, torch.Tensor] | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits [M, B, V] at the last position and all parts, for embedded tokens [M, B, T, d].

    Inputs are embeddings, not tokens, so that they can lie between two prompts.
    """
    tokens = torch.zeros(embedded.shape[:3], dtype=torch.int64)
    given = {attention.TOKENS: embedded, **(replace or {})}
    logits, parts = attention.forward(params, tokens, positions="stream", replace=given)
    return logits[:, :, -1], parts


def pairs(
    params: Mapping[str, torch.Tensor],
    made: Prompts,
    how: str,
    metric: str,
    noise: Floats | None = None,
) -> Pairs:
    """Clean and corrupt prompts of some circuits [M] of one kind, in double precision.

    `noise` [B, d] are the standard normals that "noise" adds, `NOISE` times, to the first A.
    """
    weights = {name: value.double() for name, value in params.items()}
    models = len(weights["W_E"])
    batch = np.arange(len(made.tokens))
    tokens, other = corrupt(made, how)
    clean_x, corrupt_x = (weights["W_E"][:, torch.from_numpy(one)] for one in (made.tokens, tokens))
    if how == "noise":
        if noise is None:
            raise ValueError("noise needs standard normals")
        corrupt_x = corrupt_x.clone()
        corrupt_x[:, batch, made.first[:, 0]] += NOISE * torch.from_numpy(noise)
    forward = partial(last_logits, weights)
    heads = tuple(attention.heads(*attention.sizes(weights)))
    measured = _measure(metric, answers(made), other, models, forward(clean_x)[0])
    return Pairs(forward, clean_x, corrupt_x, measured, heads, (attention.TOKENS,))


def _measure(
    metric: str,
    answer: Indices,
    other: Indices,
    models: int,
    clean: torch.Tensor,
) -> Measure:
    right, wrong = (torch.from_numpy(one).expand(models, -1) for one in (answer, other))
    return measure(metric, right, wrong, clean)
