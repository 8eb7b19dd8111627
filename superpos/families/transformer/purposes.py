"""What the random numbers of transformers are for."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """The last counter word of a stream: of the transformers' block, 64 to 95, see `maths.streams`.

    `LANGUAGE` is keyed by the seed of the language, all others by the model's.
    """

    INIT = 64
    LANGUAGE = 65
    TRAIN = 72
    EVALUATE = 73
    STRAYS = 74
