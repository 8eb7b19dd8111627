"""Attention-only transformers made by hand: which parts and paths matter in them is known.

They are ground truth for methods that look for circuits. Weights are float64 under TransformerLens'
names and shapes, of one model: without an axis of models. The last token, whose number is `tokens`,
is the special one: the begin of the sequence (BOS), or the switch "[0]" of the conditional model.

Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*: two algorithms of induction
heads. Jermyn et al. 2023, *Attention Head Superposition*: the conditional language.

Attention is as sharp as `scale` says: what should be 0 is about exp(-scale / 2), which is below the
rounding of double precision from 80 on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.errors import ConfigError
from superpos.maths import attention
from superpos.maths.types import Floats

MOST = 4096
"""Most tokens or positions."""


@dataclass(frozen=True)
class Truth:
    """What matters in a model: replacing anything else never changes its outputs."""

    parts: tuple[str, ...]
    """The heads that matter, such as "0.0"."""
    edges: tuple[str, ...]
    """The edges that matter, between heads, tokens, positions and logits: "0.0->1.0:k"."""

    def path(self, into: str) -> bool:
        """Whether layer 0 matters for what "q", "k" or "v" of layer 1, or the "logits", get of
        it.
        """
        readers = [name for name in self.edges if name.startswith("0.")]
        return any(
            name.endswith(f"->{into}" if into == attention.LOGITS else f":{into}")
            for name in readers
        )


@dataclass(frozen=True, eq=False)
class HandMade:
    """A transformer made by hand.

    Tokens are numbers from 0 to `tokens`, which is the special one.
    """

    name: str
    tokens: int
    """Ordinary tokens; the vocabulary V has one more."""
    context: int
    """Most positions of a sequence."""
    positions: attention.Positions
    gain: float
    """Logit of a token that is predicted for certain, above all others."""
    weights: Mapping[str, Floats] = field(repr=False)
    truth: Truth

    @cached_property
    def params(self) -> dict[str, torch.Tensor]:
        """The weights as `attention.forward` takes them: with an axis of models, of size 1."""
        return {name: torch.from_numpy(value)[None] for name, value in self.weights.items()}

    def logits(self, tokens: Any, replace: Mapping[str, Any] | None = None) -> Floats:
        """Logits [T, V] of a sequence [T], or [B, T, V] of several; `replace` as
        `attention.forward` has it.

        Raises `ConfigError` for what is no sequence of this model's tokens.
        """
        given = self._checked(tokens)
        put = {name: torch.as_tensor(value) for name, value in (replace or {}).items()}
        batch = torch.from_numpy(given if given.ndim == 2 else given[None])
        found = attention.forward(self.params, batch, positions=self.positions, replace=put)[0]
        logits: Floats = found[0].numpy() if given.ndim == 2 else found[0, 0].numpy()
        return logits

    def probabilities(self, tokens: Any) -> Floats:
        """Probabilities of the next token at every position: [T, V] of a sequence [T], [B, T, V] of
        several.
        """
        return np.asarray(torch.from_numpy(self.logits(tokens)).softmax(-1).numpy())

    def _checked(self, tokens: Any) -> NDArray[np.int64]:
        given = np.asarray(tokens)
        if given.ndim not in (1, 2) or not np.issubdtype(given.dtype, np.integer):
            raise ConfigError(
                f"tokens: got {given.dtype} of shape {given.shape}; allowed: integers [T] or [B, T]"
            )
        if given.size == 0 or given.shape[-1] > self.context:
            raise ConfigError(
                f"tokens: got {given.shape[-1]} positions; allowed: 1 to {self.context}"
            )
        if given.min() < 0 or given.max() > self.tokens:
            raise ConfigError(
                f"tokens: got numbers from {given.min()} to {given.max()}; allowed: 0 to "
                f"{self.tokens}"
            )
        return given.astype(np.int64)


class Subspaces:
    """Named stretches of the residual stream."""

    def __init__(self, **widths: int) -> None:
        ends = np.cumsum(list(widths.values()))
        self.d = int(ends[-1])
        self._rows = {
            name: range(int(end) - width, int(end))
            for (name, width), end in zip(widths.items(), ends, strict=True)
        }

    def row(self, name: str, i: int) -> int:
        """Which dimension number i of a stretch is."""
        return self._rows[name][i]


class Heads:
    """Weights of heads that are still empty: [L, H, d, k] and [L, H, k, d]."""

    def __init__(self, layers: int, n_heads: int, d: int, k: int) -> None:
        self.q, self.k, self.v = (np.zeros((layers, n_heads, d, k)) for _ in range(3))
        self.o = np.zeros((layers, n_heads, k, d))
        self._root = k**0.5

    def score(
        self, head: tuple[int, int], channel: int, query: dict[int, float], key: dict[int, float]
    ) -> None:
        """Adds (query · x)(key · x) to the scores of a head, by one of its k dimensions."""
        for row, value in query.items():
            self.q[(*head, row, channel)] = value * self._root  # scores are divided by √k
        for row, value in key.items():
            self.k[(*head, row, channel)] = value

    def copy(self, head: tuple[int, int], channel: int, source: int, to: dict[int, float]) -> None:
        """Copies a dimension of what is attended to into others, by one of the head's k
        dimensions.
        """
        self.v[(*head, source, channel)] = 1.0
        for row, value in to.items():
            self.o[(*head, channel, row)] = value

    def named(self) -> dict[str, Floats]:
        """The weights by their names."""
        return {"W_Q": self.q, "W_K": self.k, "W_V": self.v, "W_O": self.o}


def _unit_rows(rows: list[int], d: int) -> Floats:
    """A matrix whose row i is the unit vector of dimension rows[i]."""
    return np.eye(d)[rows]


class _Size(NamedTuple):
    """What a model is made for."""

    tokens: int
    context: int
    scale: float
    gain: float


def _induction(
    name: str, size: _Size, space: Subspaces, heads: Heads, edges: tuple[str, ...]
) -> HandMade:
    """Tokens and positions as unit vectors, logits read from "out" alone."""
    V = size.tokens + 1
    T = size.context
    weights = {
        "W_E": _unit_rows([space.row("token", i) for i in range(V)], space.d),
        "W_pos": _unit_rows([space.row("position", i) for i in range(T)], space.d),
        **heads.named(),
        "W_U": size.gain * _unit_rows([space.row("out", i) for i in range(V)], space.d).T,
    }
    matter = tuple(
        head
        for head in attention.heads(*heads.q.shape[:2])
        if any(edge.startswith(f"{head}->") for edge in edges)
    )
    return HandMade(name, size.tokens, T, "stream", size.gain, weights, Truth(matter, edges))


def _look_back(
    heads: Heads, head: tuple[int, int], space: Subspaces, size: _Size, back: int, to: str
) -> None:
    """A head that attends to the token so many positions back and writes it down."""
    position = space.row
    for i in range(back, size.context):
        channel = i - back
        heads.score(
            head,
            channel,
            {position("position", i): size.scale},
            {position("position", i - back): 1.0},
        )
    for i in range(size.tokens + 1):
        heads.copy(head, i, space.row("token", i), {space.row(to, i): 1.0})


def _match(heads: Heads, head: tuple[int, int], space: Subspaces, size: _Size, with_: str) -> None:
    """A head that attends to where a stretch holds its own token, and to BOS where that is
    nowhere.
    """
    rest = {space.row("token", size.tokens): 0.5}
    for i in range(size.tokens):
        heads.score(head, i, {space.row("token", i): size.scale}, {space.row(with_, i): 1.0})
    everyone = {space.row("token", i): size.scale for i in range(size.tokens)}
    heads.score(head, size.tokens, everyone, rest)


def _induction_k(size: _Size) -> HandMade:
    """Head 0.0 writes down the token before; the keys of head 1.0 are what it wrote."""
    V = size.tokens + 1
    T = size.context
    space = Subspaces(token=V, position=T, previous=V, out=V)
    heads = Heads(2, 1, space.d, max(V, T))
    _look_back(heads, (0, 0), space, size, 1, "previous")
    _match(heads, (1, 0), space, size, "previous")
    for i in range(size.tokens):
        heads.copy((1, 0), i, space.row("token", i), {space.row("out", i): 1.0})
    edges = (
        "pos->0.0:q",
        "pos->0.0:k",
        "embed->0.0:v",
        "embed->1.0:q",
        "0.0->1.0:k",
        "embed->1.0:k",
        "embed->1.0:v",
        "1.0->logits",
    )
    return _induction("induction_k", size, space, heads, edges)


def _induction_q(size: _Size) -> HandMade:
    """Head 0.0 finds earlier copies and writes down where they are; head 1.0 attends one further
    (pointer arithmetic).

    With c copies each is a c-th of what was written, so scores of layer 1 are greater by the length
    of the context: where no copy is, attention must go to BOS all the same.
    """
    V = size.tokens + 1
    T = size.context
    space = Subspaces(token=V, position=T, pointer=T, out=V)
    heads = Heads(2, 1, space.d, V + T)
    _match(heads, (0, 0), space, size, "token")
    for i in range(T):
        # A token must not find itself.
        at = space.row("position", i)
        heads.score((0, 0), V + i, {at: -2.0 * size.scale}, {at: 1.0})
    for i in range(1, T - 1):
        pointer = space.row("pointer", i)
        heads.copy((0, 0), i, space.row("position", i), {pointer: 1.0})
        heads.score((1, 0), i, {pointer: size.scale * T}, {space.row("position", i + 1): 1.0})
    everyone = {space.row("token", i): size.scale for i in range(size.tokens)}
    heads.score((1, 0), 0, everyone, {space.row("token", size.tokens): 0.5})
    for i in range(size.tokens):
        heads.copy((1, 0), i, space.row("token", i), {space.row("out", i): 1.0})
    edges = (
        "embed->0.0:q",
        "pos->0.0:q",
        "embed->0.0:k",
        "pos->0.0:k",
        "pos->0.0:v",
        "0.0->1.0:q",
        "embed->1.0:q",
        "pos->1.0:k",
        "embed->1.0:k",
        "embed->1.0:v",
        "1.0->logits",
    )
    return _induction("induction_q", size, space, heads, edges)


def _shifted(size: _Size) -> HandMade:
    """Induction that attends one token too far: its keys know the token two back, its values are
    the token before.

    Head 0.0 writes down the token before, head 0.1 the one before that; head 1.1 is empty.
    """
    V = size.tokens + 1
    T = size.context
    space = Subspaces(token=V, position=T, previous=V, before=V, out=V)
    heads = Heads(2, 2, space.d, max(V, T))
    _look_back(heads, (0, 0), space, size, 1, "previous")
    _look_back(heads, (0, 1), space, size, 2, "before")
    _match(heads, (1, 0), space, size, "before")
    for i in range(size.tokens):
        heads.copy((1, 0), i, space.row("previous", i), {space.row("out", i): 1.0})
    edges = (
        "pos->0.0:q",
        "pos->0.0:k",
        "embed->0.0:v",
        "pos->0.1:q",
        "pos->0.1:k",
        "embed->0.1:v",
        "embed->1.0:q",
        "0.1->1.0:k",
        "embed->1.0:k",
        "0.0->1.0:v",
        "1.0->logits",
    )
    return _induction("shifted", size, space, heads, edges)


PRESENT: Final = 0.9
"""How often token b is followed by its own follower where [0] was seen; else any follows, equally
often.
"""


def _conditional(size: _Size) -> HandMade:
    """One head that takes the direct path back: after [0], b is followed by b + 1 (modulo
    `tokens`), else by anything.

    It attends to [0] where that is, and writes nothing; else to b itself, and writes what takes the
    bigram off. `gain` is that of the language: the logarithm of how much likelier the follower is.
    """
    n = size.tokens
    gain = math.log((PRESENT + (1 - PRESENT) / n) / ((1 - PRESENT) / n))
    space = Subspaces(token=n + 1, out=n + 1)
    heads = Heads(1, 1, space.d, n + 1)
    for i in range(n):
        own = space.row("token", i)
        heads.score((0, 0), i, {own: size.scale}, {own: 1.0})
        heads.copy((0, 0), i, own, {space.row("out", (i + 1) % n): -gain})
    everyone = {space.row("token", i): 2.0 * size.scale for i in range(n)}
    heads.score((0, 0), n, everyone, {space.row("token", n): 1.0})
    W_U = _unit_rows([space.row("out", i) for i in range(n + 1)], space.d).T
    for i in range(n):
        W_U[space.row("token", i), (i + 1) % n] = gain
    W_U[: n + 1, n] = -_NEVER  # [0] never follows
    edges = ("embed->0.0:q", "embed->0.0:k", "embed->0.0:v", "embed->logits", "0.0->logits")
    weights = {
        "W_E": _unit_rows([space.row("token", i) for i in range(n + 1)], space.d),
        **heads.named(),
        "W_U": W_U,
    }
    truth = Truth(("0.0",), edges)
    return HandMade("conditional", n, size.context, "none", gain, weights, truth)


_NEVER = 100.0
"""Minus the logit of what never follows."""

MADE: Final[Mapping[str, Callable[[_Size], HandMade]]] = {
    "induction_k": _induction_k,
    "induction_q": _induction_q,
    "shifted": _shifted,
    "conditional": _conditional,
}


def known(
    name: str, *, tokens: int = 16, context: int = 24, scale: float = 80.0, gain: float = 10.0
) -> HandMade:
    """A transformer whose circuit is known, because it was made by hand.

        induction_k   an induction head by K-composition with a previous-token head
        induction_q   an induction head by Q-composition: pointer arithmetic
        shifted       K- and V-composition: it attends one token further, and copies what the head
        before wrote there conditional   one head and the direct path: bigrams where token [0] was
        seen, else anything

    `tokens` are ordinary tokens; one more, whose number is `tokens`, begins every sequence (or is
    [0]). `context` is the number of positions, `scale` how sharp attention is, `gain` the logit of
    what is predicted for certain (the conditional model's follows from its language).

    Raises `ConfigError` for an unknown name and for sizes that cannot be.
    """
    if name not in MADE:
        raise ConfigError(f"known: got {name!r}; allowed: {', '.join(MADE)}")
    for what, number, least in (("tokens", tokens, 2), ("context", context, 3)):
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= MOST:
            raise ConfigError(f"{what}: got {number!r}; allowed: integers from {least} to {MOST}")
    for what, value in (("scale", scale), ("gain", gain)):
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ConfigError(f"{what}: got {value!r}; allowed: numbers above 0")
    return MADE[name](_Size(tokens, context, float(scale), float(gain)))
