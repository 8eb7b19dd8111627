"""How often the features of a synthetic world are active. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from superpos.families.sae.keys import DEFAULT_EXPONENT

LOG_RANGE = 1000.0
"""Largest over smallest probability of the log-uniform law."""


def frequencies(
    law: str,
    n_features: int,
    active: float,
    exponent: float | None,
    decay: float,
    last: float | None,
) -> list[float]:
    """p of each feature, the most frequent first, in sum `active`; a law may ask for more than
    1.
    """
    n = n_features
    end = 1 / n if last is None else last
    steepness = DEFAULT_EXPONENT if exponent is None else exponent
    weights: dict[str, Callable[[int], float]] = {
        "constant": lambda g: 1.0,
        "linear": lambda g: 1 - (1 - end) * g / max(n - 1, 1),
        "geometric": lambda g: decay**g,
        "zipf": lambda g: float((g + 1) ** -steepness),
        "loguniform": lambda g: float(LOG_RANGE ** -((g + 0.5) / n)),
    }
    relative = [weights[law](g) for g in range(n)]
    total = sum(relative)
    return [active * weight / total for weight in relative]


class Node(NamedTuple):
    """A feature of a tree: active for draws in one interval of [0, 1) where its parent is, in
    another where not.
    """

    parent: int
    """Its number, -1 of a feature without one, for which the parent counts as active."""
    word: int
    """Whose draw decides: its own, or for exclusive children that of the first of them."""
    on: tuple[float, float]
    off: tuple[float, float]


def nodes(tree: Sequence[Any]) -> list[Node]:
    """The features of the groups of `world.tree`: each parent before its children, whose own
    children follow them.
    """
    found: list[Node] = []
    for group in tree:
        _add(group, -1, len(found), (1 - group[0], 1.0), (1.0, 1.0), found)
    return found


def _add(
    group: Any,
    parent: int,
    word: int,
    on: tuple[float, float],
    off: tuple[float, float],
    found: list[Node],
) -> None:
    number = len(found)
    found.append(Node(parent, word, on, off))
    if isinstance(group, float):
        return
    _, exclusive, alone, children = group
    first = number + 1
    reached = 0.0
    reached_alone = 0.0
    for child in children:
        q = child if isinstance(child, float) else child[0]
        if exclusive:
            on = (reached, reached + q)
            off = (reached_alone, reached_alone + alone)
            _add(child, number, first, on, off, found)
            reached = on[1]
            reached_alone = off[1]
        else:
            _add(child, number, len(found), (1 - q, 1.0), (1 - alone, 1.0), found)


def sums(tree: Sequence[Any]) -> Iterator[float]:
    """Of all exclusive children: the sum of their probabilities, where the parent is active and
    where it is not.
    """
    for group in tree:
        if isinstance(group, float):
            continue
        _, exclusive, alone, children = group
        if exclusive:
            yield sum(child if isinstance(child, float) else child[0] for child in children)
            yield alone * len(children)
        yield from sums(children)
