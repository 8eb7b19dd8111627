"""What a user may have meant by an override that cannot be read: the same in the form that can be.

Pure functions of texts; whether a form can be read is for the caller to try.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

_KEY: Final = r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*"
_OVERRIDE: Final = re.compile(
    rf"\s*[-+~]*\s*(?P<key>{_KEY})\s*(?:[:=]*=|:|\s)\s*(?P<value>.*?)[\s,;]*", re.DOTALL | re.ASCII
)
_NUMBER: Final = r"[-+]?[0-9.]+"
_SLICE: Final = re.compile(rf"({_NUMBER})(?::|\.\.)({_NUMBER})(?::({_NUMBER}))?")
_CALL: Final = re.compile(r"(?:np\.|numpy\.)?([A-Za-z]\w*)\s*[(\s](.*)\)?", re.DOTALL)
_SPACING: Final = re.compile(r"\{?\s*(\w+)\s*:\s*\[(.*?)\]?\s*\}?")  # as YAML has it
_WORDS: Final = {
    "yes": "true",
    "on": "true",
    "no": "false",
    "off": "false",
    "none": "null",
    "nil": "null",
    "~": "null",
}
_BRACKETS: Final = "()[]{}"


def forms(text: str, keys: Sequence[str]) -> Iterator[str]:
    """Overrides KEY=VALUE that `text` may stand for, the most likely ones first; KEY is one of
    `keys`.
    """
    found = _OVERRIDE.fullmatch(text)
    key = None if found is None else _key(found["key"], keys)
    if found is None or key is None:
        return
    for value in dict.fromkeys(_values(found["value"])):
        if value:
            yield f"{key}={value}"


def unclosed(text: str) -> str | None:
    """The first bracket of a text that is not closed, or was never opened; None where all match."""
    opened: list[str] = []
    bare = re.sub(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", "", text)
    for letter in bare:
        place = _BRACKETS.find(letter)
        if place < 0:
            continue
        if place % 2 == 0:
            opened.append(letter)
        elif not opened or _BRACKETS.index(opened.pop()) != place - 1:
            return letter
    return opened[0] if opened else None


def _key(word: str, keys: Sequence[str]) -> str | None:
    """The key of this name, or the only one of this last part: n_hidden is model.n_hidden."""
    name = word.replace("-", "_")
    if name in keys:
        return name
    same = [key for key in keys if key.rpartition(".")[2] == name]
    return same[0] if len(same) == 1 else None


def _values(value: str) -> Iterator[str]:
    yield value
    bare = value.strip("'\"`")
    yield bare
    yield _WORDS.get(bare.lower(), bare)
    if re.fullmatch(r"[-+]?0[0-9_]+", bare):
        yield str(int(bare, 10))
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+", bare):
        yield str(int(bare, 0))
    if numbers := _SLICE.fullmatch(bare):
        yield f"range({','.join(number for number in numbers.groups() if number)})"
    if spacing := _SPACING.fullmatch(bare):
        yield f"{spacing[1]}({spacing[2]})"
    if call := _CALL.fullmatch(bare):
        yield from _calls(call[1].lower(), call[2].removesuffix(")").strip())
    inside = bare.strip(_BRACKETS).strip()
    yield inside
    yield ",".join(re.split(r"\s*[,;|]\s*|\s+", inside))


def _calls(function: str, inside: str) -> Iterator[str]:
    """A function as it is written, and as what stands alone in its brackets: choice(range(3)) is
    range(3).
    """
    yield f"{function}({inside})"
    yield f"{function}({inside.strip(_BRACKETS)})"
    if _CALL.fullmatch(inside):
        yield inside
        yield f"{inside})"
