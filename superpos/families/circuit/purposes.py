"""What the random numbers of circuits are for."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """The last counter word of a stream: of the block of circuits, 96 to 127, see `maths.streams`.

    `BUILD` decides what is random in a circuit, `INPUTS` its inputs or prompts, by the model's
    seed; `PROMPTS` and `NOISE` are those of `superpos patch`, the same for every model.
    """

    BUILD = 96
    INPUTS = 97
    PROMPTS = 98
    NOISE = 99
