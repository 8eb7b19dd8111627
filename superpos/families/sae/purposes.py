"""What the random numbers of sparse autoencoders are for."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """The last counter word of a stream: of the autoencoders' block, 32 to 63, see `maths.streams`.

    `TRAIN` and `EVALUATE` decide which features are active. `MAGNITUDE` is added where their
    magnitudes need draws of their own, `NOISE` for the noise on the activations. The first three
    are keyed by the model's seed, the others by that of its world.
    """

    INIT = 32
    START_NOISE = 33
    RESTART = 34
    DICTIONARY = 36
    LAW = 37
    TRAIN = 40
    EVALUATE = 41
    MAGNITUDE = 8
    NOISE = 16
