"""Circuits of gates: networks whose every part is known, so that explanations have an answer key.

A node is an input ("x0"), a constant that is always on ("on0"), or a gate ("g0") that reads two
earlier nodes a and b. With numbers 0 and 1 a gate is one of AND, OR, XOR, ADDER and INHIBIT (a and
not b), each a sum of a, b, (a + b - 1)+ and (a - b)+, so that gradients exist. The output is a
readout y of the nodes, as the logit of "on" beside that of "off", which lies half way up one gate.

Two gates have histories: AND needs both of its inputs, so giving one back does nothing; OR needs
one of them, so taking one away does nothing (Heimersheim & Nanda 2404.15255). A backup Q = (x - P)+
wakes up where P is lost (McGrath et al. 2307.15771).

Beside the part that carries its input an illusion has pairs of a part that varies and is not read,
and one that is read and does not vary: a direction across both moves the output as if it were the
first (Makelov et al. 2311.17030).

Shapes: M circuits, B inputs, I inputs of a circuit, G gates, N nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Tensors: TypeAlias = Mapping[str, torch.Tensor]
Params: TypeAlias = dict[str, NDArray[np.float32]]

GATES: Final[Mapping[str, tuple[int, int, int, int]]] = {
    "and": (0, 0, 1, 0),
    "or": (1, 1, -1, 0),
    "xor": (1, 1, -2, 0),
    "add": (1, 1, 0, 0),
    "inhibit": (0, 0, 0, 1),
}
"""Factors of a, b, (a + b - 1)+ and (a - b)+."""
_COPY: Final = (1, 0, 0, 0)
_DORMANT: Final = (0, 0, 0, 0)
_DORMANT_WEIGHT: Final = 2.0
_CHAIN: Final = (("x0", "x1"), ("g0", "x2"), ("g1", "x3"))
_TREE: Final = (("x0", "x1"), ("x2", "x3"), ("g0", "g1"))
"""What the three gates of random circuits read."""
_OFF: Final = 0.5
"""y of a circuit that is neither on nor off, without its constants."""


@dataclass(frozen=True)
class Wires:
    """Which nodes circuits have: the same for all circuits of one shape."""

    n_inputs: int
    n_constants: int
    n_gates: int
    parts: tuple[str, ...] = field(default=())
    """Nodes that can be patched: all but those through which everything goes."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(f"x{i}" for i in range(self.n_inputs))

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of what is always on."""
        return tuple(f"on{i}" for i in range(self.n_constants))

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates, in the order in which they read each other."""
        return tuple(f"g{i}" for i in range(self.n_gates))

    @property
    def nodes(self) -> tuple[str, ...]:
        """All names, in the order of the axis N."""
        return (*self.inputs, *self.constants, *self.gates)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters of one circuit."""
        n = len(self.nodes)
        return {"wires": (self.n_gates, 2, n), "gates": (self.n_gates, 4), "readout": (n,)}


def all_inputs(n_inputs: int) -> torch.Tensor:
    """Every input of zeros and ones, [2^I, I], float64."""
    rows = list(product((0.0, 1.0), repeat=n_inputs))
    return torch.tensor(rows, dtype=torch.float64)


def forward(
    wires: Wires, params: Tensors, x: torch.Tensor, replace: Tensors | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits of off and on [M, B, 2] for inputs x [M, B, I], and every node [M, B].

    A node that `replace` names has the value given there, and so has what follows from it.
    """
    given = replace or {}
    readout = params["readout"].to(x.dtype)
    ones = torch.ones_like(x[..., 0])
    nodes: dict[str, torch.Tensor] = {}
    for i, name in enumerate(wires.inputs):
        nodes[name] = given.get(name, x[..., i])
    for name in wires.constants:
        nodes[name] = given.get(name, ones)
    for i, name in enumerate(wires.gates):
        if name in given:
            nodes[name] = given[name]
            continue
        read = params["wires"][:, i, :, : len(nodes)].to(x.dtype)
        a, b = (torch.stack(list(nodes.values()), -1) @ read.mT).unbind(-1)
        c = params["gates"][:, i, :, None].to(x.dtype).unbind(1)
        # One after another: at a kink of the next gate the last bit of a sum decides.
        nodes[name] = c[0] * a + c[1] * b + c[2] * (a + b - 1).relu() + c[3] * (a - b).relu()
    y = (torch.stack(list(nodes.values()), -1) @ readout[..., None])[..., 0]
    first = wires.n_inputs
    off = _OFF + readout[:, first : first + wires.n_constants].sum(-1, keepdim=True)
    return torch.stack([off.expand_as(y), y], -1), nodes


# --- hand-made circuits ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Gate:
    terms: Sequence[int]
    reads: tuple[str, str]


def _params(wires: Wires, gates: Sequence[_Gate], readout: Mapping[str, float]) -> Params:
    """Parameters of one circuit."""
    places = {name: place for place, name in enumerate(wires.nodes)}
    made = {name: np.zeros(shape, np.float32) for name, shape in wires.shapes.items()}
    for i, gate in enumerate(gates):
        for side, name in enumerate(gate.reads):
            made["wires"][i, side, places[name]] = 1
        made["gates"][i] = gate.terms
    for name in wires.constants:
        made["readout"][places[name]] = 1
    for name, weight in readout.items():
        made["readout"][places[name]] = weight
    return made


KINDS: Final = (*GATES, "backup", "random_gates", "illusion")
"""What `build` makes."""


def wires_of(kind: str, distractors: int, always_on: int) -> Wires:
    """The nodes of circuits of a kind, one of `KINDS`, with unread gates; of illusions with
    pairs.
    """
    of_one_input = {"backup": (1, 2), "illusion": (1, 1)}
    n_inputs, n_gates = {**of_one_input, "random_gates": (4, 3)}.get(kind, (2, 1))
    beside = 2 * distractors if kind == "illusion" else distractors
    wires = Wires(n_inputs, always_on, n_gates + beside)
    # Everything goes through the last gate that is read, or through a single input.
    whole = {"x0"} if kind in of_one_input else {f"g{n_gates - 1}"}
    parts = tuple(name for name in wires.nodes if name not in whole)
    return Wires(wires.n_inputs, wires.n_constants, wires.n_gates, parts)


def build(
    kind: str,
    distractors: int,
    always_on: int,
    rho: float,
    words: NDArray[np.int64],
) -> Params:
    """The parameters of one circuit of a kind; random numbers `words` decide what is random.

    Random circuits are trees and chains of three gates on four inputs. Distractors are gates that
    read the inputs and are read by nothing. `rho` is how much of a lost part its backup takes over.
    """
    wires = wires_of(kind, distractors, always_on)
    left = iter(words.tolist())
    if kind == "backup":
        lost = _Gate(_COPY, ("x0", "x0"))
        gates = [lost, _Gate(GATES["inhibit"], ("x0", "g0"))]
        readout = {"g0": 1.0, "g1": rho}
    elif kind == "illusion":
        copy, dormant = (_Gate(terms, ("x0", "x0")) for terms in (_COPY, _DORMANT))
        gates = [copy, *[copy, dormant] * distractors]
        readout = dict.fromkeys(wires.gates[2::2], _DORMANT_WEIGHT) | {"g0": 1.0}
        return _params(wires, gates, readout)
    elif kind == "random_gates":
        reads = (_CHAIN, _TREE)[next(left) % 2]
        gates = [_Gate(_any_gate(next(left)), pair) for pair in reads]
        readout = {"g2": 1.0}
    else:
        gates = [_Gate(GATES[kind], ("x0", "x1"))]
        readout = {"g0": 1.0}
    for _ in range(distractors):
        a = wires.inputs[next(left) % wires.n_inputs]
        b = wires.inputs[next(left) % wires.n_inputs]
        gates.append(_Gate(_any_gate(next(left)), (a, b)))
    return _params(wires, gates, readout)


def formula(wires: Wires, params: Mapping[str, NDArray[np.float32]]) -> str:
    """What one circuit computes, such as "xor(and(x0, x1), x2)" or "g0 + 0.5 inhibit(x0, g0)"."""
    names: dict[tuple[int, ...], str] = {terms: name for name, terms in GATES.items()}
    words = {name: name for name in (*wires.inputs, *wires.constants)}
    for i, gate in enumerate(wires.gates):
        reads = [wires.nodes[int(side.argmax())] for side in params["wires"][i]]
        terms = tuple(int(factor) for factor in params["gates"][i])
        inner = ", ".join(words[name] for name in reads)
        words[gate] = gate if terms in (_COPY, _DORMANT) else f"{names[terms]}({inner})"
    found = []
    for gate in wires.gates:
        weight = float(params["readout"][wires.nodes.index(gate)])
        if weight:
            found.append(words[gate] if weight == 1 else f"{weight:g} {words[gate]}")
    return " + ".join(found)


def words_needed(distractors: int) -> int:
    """How many random numbers `build` may take."""
    return 4 + 3 * distractors


def _any_gate(word: int) -> tuple[int, int, int, int]:
    return list(GATES.values())[word % len(GATES)]


def all_pairs(n_inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clean and corrupt inputs of every ordered pair of two different ones, [B, I] each."""
    x = all_inputs(n_inputs)
    clean, corrupt = torch.nonzero(~torch.eye(len(x), dtype=torch.bool), as_tuple=True)
    return x[clean], x[corrupt]
