"""Words of config messages: values as the user writes them, and the name that was probably
meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def show(value: Any) -> str:
    """A value in a message: short, and quoted where it is a string."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain(value: Any) -> str:
    """A value as the user writes it: `show` without the quotes of a string."""
    return value if isinstance(value, str) else show(value)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` most likely means: of the same last part, begun by it, or spelt
    most like it.
    """
    options = list(candidates)
    same_leaf = [
        option for option in options if option.rpartition(".")[2] == name.rpartition(".")[2]
    ]
    if len(same_leaf) == 1:
        return same_leaf[0]
    begun = [option for option in options if name and option.startswith(name)]
    if begun:
        return min(begun, key=len)
    close = difflib.get_close_matches(name.lower(), options, n=1, cutoff=0.6)
    if close:
        return close[0]
    leaves = {option.rpartition(".")[2]: option for option in reversed(options)}
    close = difflib.get_close_matches(
        name.rpartition(".")[2].lower(), list(leaves), n=1, cutoff=0.75
    )
    return leaves[close[0]] if close else None


def unknown(name: str, candidates: Iterable[str], what: str = "key") -> str:
    """ "NAME: unknown key; did you mean X?" """
    guess = nearest(name, candidates)
    return f"{name}: unknown {what}" + (f"; did you mean {guess}?" if guess else "")


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """ "did you mean X? allowed: ..." """
    options = list(candidates)
    guess = nearest(name, options)
    return (f"did you mean {guess}? " if guess else "") + f"allowed: {', '.join(options)}"
