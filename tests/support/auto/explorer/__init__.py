"""What the page of `superpos report` shows of autoencoders.

Shapes: M models, F features, K latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from auto.keys import DENSITY
from auto.results import FOUND, cosines, dictionaries
from superpos.report.layers import Curve, Layers
from superpos.report.pack import half
from superpos.report.parts import Arrays, Models, Part, Tensors, history, snapshots, weights
from superpos.store import Run


def parts(run: Run, models: Models) -> Iterator[Part]:
    """Weights with the cosines [M, F, K] of features and latents, histories, snapshots."""

    def with_cosines(rows: Models, tensors: Tensors) -> Arrays:
        return {"cosines": half(cosines(np.stack(dictionaries(run, rows)), tensors["D"]))}

    yield weights(run, models, with_cosines)
    yield from history(run, models)
    yield from snapshots(run, models)


def layers(run: Run) -> Layers:
    """E |x|² over density, the loss of a model that puts out nothing, of the dictionary of the
    first model.
    """
    for axis, points in enumerate(run.manifest["plan"]["axes"]):
        if points["keys"] == [DENSITY]:
            p = np.array([value for (value,) in points["values"]], dtype=np.float64)
            return Layers(
                curves=[Curve("nothing is put out", axis, "loss", p, _power(run, p))],
                words="E |x|² is exact.",
            )
    return Layers()


def _power(run: Run, p: Any) -> Any:
    [W] = np.array(dictionaries(run, [int(run.table["model"].iloc[0])]), dtype=np.float64)
    own, together = (W**2).sum(), (W.sum(0) ** 2).sum()
    return (p / 3 - p**2 / 4) * own + p**2 / 4 * together


def constants() -> dict[str, Any]:
    """What the card shares with the results."""
    return {"found": FOUND}
