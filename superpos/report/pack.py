"""Arrays as text in a page: little-endian, compressed, in base64, each in a script element of its
own.
"""

from __future__ import annotations

import base64
import gzip
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

INFLATION: Final = 4 / 3  # of base64; numbers of trained models hardly compress
_LARGEST_HALF: Final = float(np.finfo(np.float16).max)


def half(values: NDArray[Any]) -> NDArray[np.float16]:
    """Float16, three digits: more than the eye can tell.

    What is too large for it is its largest number.
    """
    return np.clip(np.asarray(values, dtype=np.float64), -_LARGEST_HALF, _LARGEST_HALF).astype(
        np.float16
    )


def codes(size: int) -> np.dtype[Any]:
    """The narrowest type of unsigned numbers below `size`."""
    return np.min_scalar_type(max(size - 1, 0))


def compress(data: bytes) -> str:
    """Bytes as text of letters, digits, + / =; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


class Pack:
    """The arrays of one page, in the order in which they were added."""

    def __init__(self) -> None:
        self.elements: list[str] = []

    @property
    def size(self) -> int:
        """Bytes of the page."""
        return sum(map(len, self.elements))

    def add(self, values: NDArray[Any]) -> dict[str, Any]:
        """How the page finds an array: its number, its type ("f2", "f4", "u1", "u2", "u4") and its
        shape.
        """
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        number = len(self.elements)
        text = compress(little.tobytes())
        self.elements.append(f'<script type="application/gzip" id="array-{number}">{text}</script>')
        return {"array": number, "type": values.dtype.str[1:], "shape": list(values.shape)}
