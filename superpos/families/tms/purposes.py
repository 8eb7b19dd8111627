"""What the random numbers of the toy models are for."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """The last counter word of a stream: of the toy models' block, 0 to 31, see `maths.streams`.

    Those of OWN are for functions of a user's own. `SETS` is added for the draw that all features
    of a set share, `SPARSE` for those of the sparse sampler.
    """

    INIT = 0
    TRAIN = 1
    EVALUATE = 2
    POINTS = 3
    OWN_INIT = 4
    OWN_TRAIN = 5
    OWN_EVALUATE = 6
    OWN_STEP = 7
    SETS = 8
    SPARSE = 16
