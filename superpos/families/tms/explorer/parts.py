"""What the page holds of toy models: their weights, what these say of every feature, the feature
graph.

Shapes: M models, S snapshots, F features (n), H hidden (m).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms import metrics
from superpos.families.tms.explorer.graphs import MAX_FEATURES, graphs, most
from superpos.plan.sweep import Sweep
from superpos.report.pack import half
from superpos.report.parts import Arrays, Models, Part, Tensors, history, sized, snapshots, weights
from superpos.store import Run


def parts(run: Run, models: Models) -> Iterator[Part]:
    """The parts of models whose tensors have equal shapes, apart for those with a ReLU layer."""
    relu = (run.table.loc[models, "model.hidden"] == "relu").to_numpy(dtype=np.bool_)
    for same, is_relu in ((models[~relu], False), (models[relu], True)):
        if len(same):
            yield from _parts(run, same, is_relu)


def _parts(run: Run, models: Models, is_relu: bool) -> Iterator[Part]:
    """Weights, histories, snapshots; graphs, or the neurons of a ReLU layer, which has axes of its
    own.
    """
    shapes = {name: tensor.shape for name, tensor in run.weights(int(models[0])).items()}
    encoder = "W" if "W" in shapes else "W1"  # [F, H], its rows the directions of the features
    n_features, n_hidden = shapes[encoder]

    def trained(rows: Models, tensors: Tensors) -> Arrays:
        W = tensors[encoder]
        neurons: Arrays = {"neurons": _neurons(W)} if is_relu else {}
        return {**_features(W), "importance": half(_importance(run, rows)), **neurons}

    yield weights(run, models, trained)
    yield from history(run, models)
    yield from snapshots(run, models, lambda _, tensors: _features(tensors[encoder]))
    in_the_plane = n_hidden <= 2  # where arrows say as much
    if not is_relu and not in_the_plane and n_features <= MAX_FEATURES:
        drawn = sized("graphs", models, lambda rows: graphs(run.tensor(encoder, rows)))
        yield drawn._replace(most=most(n_features))


def _features(W: NDArray[Any]) -> Arrays:
    """Norm, interference and dimensionality of the features of W [..., F, H]."""
    return {
        "norm": half(metrics.feature_norms(W)),
        "interference": half(metrics.interference(W)),
        "dimensionality": half(metrics.dimensionality(W)),
    }


def _neurons(W: NDArray[Any]) -> NDArray[np.uint8]:
    """How many features each neuron [M, H] has."""
    return np.minimum(metrics.neuron_monosemanticity(W), 255).astype(np.uint8)


def _importance(run: Run, rows: Models) -> NDArray[np.float64]:
    """Importance [M, F] of every feature."""
    importance: NDArray[np.float64] = Sweep.from_json(run.manifest["plan"]).task(rows).importance
    return importance
