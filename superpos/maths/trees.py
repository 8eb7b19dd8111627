"""Trees of features: a feature that needs another one, and features that exclude each other.

What a user writes, its canonical form, and the features it names. Imports the standard library
only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

WORDS: Final = (
    "a list of {p, exclusive, alone, children: [q or another group, ...]}, probabilities from 0 to "
    "1"
)
"""What `parse` takes, in words."""
_CANONICAL: Final = ("p", "exclusive", "alone", "children")


def numbers(value: Any) -> tuple[float, ...] | None:
    """A list of numbers as a tuple; None where it is something else."""
    if not isinstance(value, list | tuple) or not value:
        return None
    wrong = [item for item in value if isinstance(item, bool) or not isinstance(item, int | float)]
    return None if wrong else tuple(float(item) for item in value)


def parse(value: Any) -> tuple[Any, ...] | None:
    """Groups (p, exclusive, alone, children) of a parent and its children, or None where it is
    something else.

    A child is a probability, or a group of its own. Numbers may stand in the place of tuples that
    are canonical.
    """
    if not isinstance(value, list | tuple) or not value:
        return None
    groups = tuple(_group(item) for item in value)
    return None if None in groups else groups


def _group(value: Any) -> tuple[Any, ...] | None:
    # in canonical form
    if isinstance(value, tuple | list) and len(value) == 4 and isinstance(value[1], bool):
        value = dict(zip(_CANONICAL, value, strict=True))
    if not isinstance(value, dict) or not value.keys() <= set(_CANONICAL) or "p" not in value:
        return None
    exclusive = value.get("exclusive", False)
    probabilities = numbers([value["p"], value.get("alone", 0.0)])
    children = value.get("children", [])
    if (
        probabilities is None
        or not isinstance(exclusive, bool)
        or not isinstance(children, list | tuple)
    ):
        return None
    found = tuple(_child(child) for child in children)
    if None in found or not all(0 <= probability <= 1 for probability in probabilities):
        return None
    return (probabilities[0], exclusive, probabilities[1], found)


def _child(value: Any) -> tuple[Any, ...] | float | None:
    number = numbers([value])
    if number is None:
        return _group(value)
    return number[0] if 0 <= number[0] <= 1 else None


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
    """The features of the groups of a tree, in its canonical form: each parent before its children,
    whose own children follow them.
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
