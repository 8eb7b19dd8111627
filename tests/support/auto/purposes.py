"""What the random streams of autoencoders are for; see `superpos.maths.streams`."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """`NOISE` is added, for the noise on the inputs."""

    INIT = 128
    TRAIN = 129
    EVALUATE = 130
    WORLD = 131
    NOISE = 8
