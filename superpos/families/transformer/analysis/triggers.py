"""What is learned first: what holds in all sequences, or what a sequence says of itself.

After a trigger comes the output that it has in this sequence; after any other token what a chain
says that holds everywhere (Bietti et al. 2023). Shapes: B sequences, T positions, C snapshots.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from superpos.families.transformer.analysis.models import task
from superpos.families.transformer.counts import AT_SNAPSHOTS, asked, course
from superpos.figures.points import Run
from superpos.maths.types import Floats

Of = Literal["everywhere", "sequence"]
WORDS: Final = {"everywhere": "after other tokens", "sequence": "after triggers that were seen"}


def courses(run: Run, model: int, of: Of) -> tuple[NDArray[np.int64], Floats]:
    """Steps [C], and the excess in nats of a model over training, [C]."""
    steps, snapshots = run.snapshots(model)
    one = task(run, model)
    triggers = one.structure.triggers
    given = asked(
        one,
        0,
        AT_SNAPSHOTS,
        None if of == "sequence" else lambda tokens: tokens[:, :-1] >= triggers,
    )
    return np.asarray(steps), course(one, snapshots, given)


def half_at(steps: NDArray[np.int64], excess: Floats) -> float:
    """The first step at which half of the excess that was there at first is gone; inf of never."""
    gone = np.flatnonzero(excess < excess[0] / 2)
    return float(steps[gone[0]]) if len(gone) else np.inf
