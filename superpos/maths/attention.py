"""Attention-only transformers whose parts have names and can be replaced: M models, B sequences.

x⁰ = E[token] (+ P[position]); in layer l, q, k, v = x W_Q, x W_K, x W_V,
A = softmax(q kᵀ / √k + mask), x ← x + Σ_h A^h v^h W_O^h; logits = x W_U. Rows are vectors: x W.
Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*, write columns.

Weights have TransformerLens' names and shapes, with a first axis of models: W_E [M, V, d], W_pos
[M, T, d], W_Q, W_K, W_V [M, L, H, d, k], W_O [M, L, H, k, d], W_U [M, d, V]. Own ones: W_rel [M, L,
H, T], what a key so many tokens back adds to the score, and smear [M, L, H], the logit of a key's
own share in a smeared key.

Where positions are read:

    none       nowhere; W_pos and W_rel are not there
    stream     W_pos is part of x⁰
    scores     W_pos is added where queries and keys are made, in every layer, and nowhere else
    relative   W_rel is added to the scores
    pointer    W_pos is part of x⁰, but queries and keys of layer 0 do not read it

Names of parts, of which `forward` gives the values, each of which can be replaced:

    embed, pos           what tokens and positions write, [M, B, T, d]
    L.H                  what head H of layer L writes, [M, B, T, d], such as "0.1"
    L.H:q, L.H:k, L.H:v  its queries, keys (before smearing) and values, [M, B, T, k]
    L.H:pattern          its attention, [M, B, T, T]: row is query, column key

An *edge* is what one reader gets of one writer: "0.1->1.0:k" is what the keys of head 1.0 get of
head 0.1, "embed->logits" is the direct path. Replacing it, by values [M, B, T, d], leaves what all
other readers get as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

import torch

from superpos.errors import ConfigError

Positions: TypeAlias = Literal["none", "stream", "scores", "relative", "pointer"]
POSITIONS: Final[tuple[Positions, ...]] = get_args(Positions)
INPUTS: Final = ("q", "k", "v")
"""What a head makes of what it reads."""
LOGITS: Final = "logits"
"""The last reader."""
TOKENS: Final = "embed"
PLACES: Final = "pos"

Tensors: TypeAlias = Mapping[str, torch.Tensor]


def sizes(params: Tensors) -> tuple[int, int]:
    """Layers and heads of some models; models without layers have no W_Q."""
    return (params["W_Q"].shape[1], params["W_Q"].shape[2]) if "W_Q" in params else (0, 0)


def heads(layers: int, n_heads: int) -> list[str]:
    """Names of all heads, layer by layer."""
    return [f"{layer}.{head}" for layer in range(layers) for head in range(n_heads)]


def writers(
    reader: str, n_layers: int, n_heads: int, positions: Positions = "none", direct: bool = True
) -> list[str]:
    """What a reader, such as "1.0:k" or "logits", reads, in the order in which it is added up."""
    if reader == LOGITS:
        first = [TOKENS, *([PLACES] if positions in ("stream", "pointer") else [])]
        return [*(first if direct else []), *heads(n_layers, n_heads)]
    layer = int(reader.partition(".")[0])
    made = reader.partition(":")[2]
    reads_positions = {
        "stream": True,
        "scores": made != "v",
        "pointer": layer > 0 or made == "v",
    }.get(positions, False)
    return [TOKENS, *([PLACES] if reads_positions else []), *heads(layer, n_heads)]


def edges(
    n_layers: int, n_heads: int, positions: Positions = "none", direct: bool = True
) -> list[str]:
    """Names of all edges of such models."""
    readers = [f"{head}:{made}" for head in heads(n_layers, n_heads) for made in INPUTS]
    return [
        edge(writer, reader)
        for reader in [*readers, LOGITS]
        for writer in writers(reader, n_layers, n_heads, positions, direct)
    ]


def edge(writer: str, reader: str) -> str:
    """The name of what a reader gets of a writer."""
    return f"{writer}->{reader}"


def parts(n_layers: int, n_heads: int, positions: Positions = "none") -> list[str]:
    """Names of the parts of such models, without edges."""
    first = [TOKENS, *([PLACES] if positions in ("stream", "scores", "pointer") else [])]
    of_heads = [
        f"{head}{end}"
        for head in heads(n_layers, n_heads)
        for end in (*(f":{made}" for made in INPUTS), ":pattern", "")
    ]
    return [*first, *of_heads]


def forward(
    params: Tensors,
    tokens: torch.Tensor,
    *,
    positions: Positions = "none",
    direct: bool = True,
    replace: Tensors | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits [M, B, T, V] of tokens [M, B, T] or [B, T] (int64), and the value of every part by
    name.

    `replace` holds values that take the place of parts and edges; what is computed from them
    follows, all else does not. Values broadcast over models, sequences and positions. The type is
    that of the weights, float32 or float64; gradients pass through everything. Without `direct` the
    logits read heads alone.

    Raises `ConfigError` for a name that is neither a part nor an edge of these models.
    """
    return _Pass(params, tokens, positions, direct, replace or {}).run()


class _Pass:
    """One forward pass: what was written so far, and what takes the place of it."""

    def __init__(
        self,
        params: Tensors,
        tokens: torch.Tensor,
        positions: Positions,
        direct: bool,
        replace: Tensors,
    ) -> None:
        self.params = params
        self.layers, self.heads = sizes(params)
        self.positions: Positions = positions
        self.direct = direct
        self.replace = replace
        self.edited = {name.partition("->")[2] for name in replace if "->" in name}
        self.tokens = tokens.expand(len(params["W_E"]), *tokens.shape[-2:])
        self.values: dict[str, torch.Tensor] = {}
        self.sums: dict[tuple[str, ...], torch.Tensor] = {}
        self._check()

    def _check(self) -> None:
        shape = (self.layers, self.heads, self.positions)
        known = {*parts(*shape), *edges(*shape, self.direct)}
        wrong = [name for name in self.replace if name not in known]
        if wrong:
            raise ConfigError(
                f"replace: got {wrong[0]!r}; allowed: {', '.join(parts(*shape))}, "
                f"and edges such as {edge(TOKENS, LOGITS)}"
            )

    def run(self) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits, and all parts."""
        W_E = self.params["W_E"]
        # A product, whose gradient has one order of sums; that of indexing has none with several
        # threads.
        chosen = torch.nn.functional.one_hot(self.tokens, W_E.shape[1]).to(W_E.dtype)
        self._set(TOKENS, _times(chosen, W_E))
        length = self.tokens.shape[-1]
        if PLACES in parts(0, 0, self.positions):
            places = self.params["W_pos"][:, None, :length]
            self._set(PLACES, places.expand_as(self.values[TOKENS]))
        for layer in range(self.layers):
            self._layer(layer, length)
        return _times(self._read(LOGITS), self.params["W_U"]), self.values

    def _set(self, name: str, value: torch.Tensor) -> None:
        """Writes down the value of a part, or what takes its place."""
        given = self.replace.get(name)
        self.values[name] = value if given is None else given.to(value.dtype).expand_as(value)

    def _set_all(self, names: list[str], values: torch.Tensor) -> torch.Tensor:
        """The same for a part of all heads of a layer, [M, B, H, ...]; what they are then."""
        for name, value in zip(names, values.unbind(2), strict=True):
            self._set(name, value)
        kept = self.replace.keys().isdisjoint(names)
        return values if kept else torch.stack([self.values[name] for name in names], dim=2)

    def _layer(self, layer: int, length: int) -> None:
        """What the heads of a layer attend to and write; H of them at once."""
        names = [f"{layer}.{head}" for head in range(self.heads)]
        q, k, v = (
            self._set_all([f"{name}:{made}" for name in names], self._made(layer, names, made))
            for made in INPUTS
        )
        if "smear" in self.params:
            own = torch.sigmoid(self.params["smear"][:, None, layer, :, None, None])
            k = own * k + (1 - own) * torch.cat([k[..., :1, :], k[..., :-1, :]], dim=-2)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if self.positions == "relative":
            scores = scores + by_offset(self.params["W_rel"][:, layer], length)[:, None]
        unseen = future(length, scores.device)
        patterns = scores.masked_fill(unseen, -torch.inf).softmax(-1)
        patterns = self._set_all([f"{name}:pattern" for name in names], patterns)
        mixed = patterns @ v
        written = mixed.transpose(1, 2).flatten(2, 3) @ self.params["W_O"][:, layer]
        models, batch = mixed.shape[:2]
        self._set_all(names, written.reshape(models, self.heads, batch, length, -1).transpose(1, 2))

    def _made(self, layer: int, names: list[str], made: str) -> torch.Tensor:
        """Queries, keys or values of a layer, [M, B, H, T, k]."""
        W = self.params[f"W_{made.upper()}"][:, layer].transpose(1, 2).flatten(2)
        readers = [f"{name}:{made}" for name in names]

        def of_all_heads(reader: str) -> torch.Tensor:
            together = _times(self._read(reader), W)
            return together.reshape(*together.shape[:3], self.heads, -1).transpose(2, 3)

        if self.edited.isdisjoint(readers):  # all heads read the same
            return of_all_heads(readers[0])
        # The same product for each, so that a head that reads the same as before has the same bits.
        return torch.stack(
            [of_all_heads(name)[:, :, head] for head, name in enumerate(readers)], dim=2
        )

    def _read(self, reader: str) -> torch.Tensor:
        """What a reader gets: the sum over its writers, with edges in their place."""
        names = writers(reader, self.layers, self.heads, self.positions, self.direct)
        if reader in self.edited:
            whole = self.values[TOKENS]
            return _sum(
                [self._edge(name, reader).to(whole.dtype).expand_as(whole) for name in names], whole
            )
        return self._sum_of(tuple(names))

    def _sum_of(self, names: tuple[str, ...]) -> torch.Tensor:
        """The sum of some parts, in their order; kept, since readers of a layer read the same."""
        if names not in self.sums:
            before = self.sums.get(names[:-1])
            values = [self.values[name] for name in names]
            found = _sum(values, self.values[TOKENS]) if before is None else before + values[-1]
            self.sums[names] = found
        return self.sums[names]

    def _edge(self, writer: str, reader: str) -> torch.Tensor:
        return self.replace.get(edge(writer, reader), self.values[writer])


def _sum(values: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """The sum of some values in their order; zeros of none."""
    total = values[0] if values else torch.zeros_like(like)
    for value in values[1:]:
        total = total + value
    return total


def _times(x: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """x [M, B, T, n] W [M, n, m], one product for each model."""
    return (x.flatten(1, 2) @ W).reshape(*x.shape[:3], W.shape[-1])


def future(length: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Which keys (columns) a query (row) must not see, [T, T]."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu(1)


def by_offset(weights: torch.Tensor, length: int) -> torch.Tensor:
    """Scores [..., T, T] whose entry i, j is the weight [..., C] of the offset i - j; 0 where that
    is negative.

    Rows are windows of one vector, so that gradients are sums in one order, whatever models are
    beside.
    """
    vector = torch.nn.functional.pad(weights[..., :length].flip(-1), (0, length - 1))
    return vector.unfold(-1, length, 1).flip(-2)
