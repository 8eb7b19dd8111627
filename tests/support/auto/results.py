"""What is found in autoencoders: columns of results, columns over seeds, a view of latents, a file
of one model.

Shapes: M models, F features, D inputs, K latents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auto.keys import N_FEATURES, N_INPUTS, SPARSITY
from auto.structure import Structure, Task
from auto.world import dictionary
from superpos.engines.task import State
from superpos.family import Run

FOUND = 0.9
"""Cosine from which a latent is a feature."""


def cosines(rows: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of every row with every other row; rows of length 0 have 0."""
    left, right = (value.astype(np.float64) for value in (rows, others))
    lengths = (
        np.linalg.norm(left, axis=-1)[..., :, None] * np.linalg.norm(right, axis=-1)[..., None, :]
    )
    return (left @ right.swapaxes(-1, -2)) / np.where(lengths > 0, lengths, 1.0)


def dictionaries(run: Run, models: Sequence[int]) -> list[NDArray[np.float32]]:
    """The dictionary [F, D] of each of some models."""
    table = run.table.loc[list(models)]
    keys = (N_FEATURES, N_INPUTS, "auto.source", "auto.world")
    files: dict[str, Any] = {}
    found = []
    for n, d, source, world in zip(*(table[key].tolist() for key in keys), strict=True):
        name = (
            f"auto.source-{source.partition(':')[0]}" if isinstance(source, str) else "dictionaries"
        )
        files[name] = files.get(name) or run.shared(name)
        found.append(dictionary(n, d, source if isinstance(source, str) else None, world, files))
    return found


def measure(task: Task, state: State, pause: Callable[[], None]) -> dict[str, NDArray[Any]]:
    """Share of the features that a latent stands for, how many latents were ever active, and a word
    for it, [M].
    """
    pause()
    found = (cosines(task.dictionary, state.params["D"]).max(-1) >= FOUND).mean(-1)
    words = np.select([found == 1, found > 0], ["whole", "part"], "lost").astype(object)
    columns = {"found": found, "n_alive": (state.extra["active"] > 0).sum(-1), "dictionary": words}
    if "longest" in some_columns(task.structure):
        columns["longest"] = np.linalg.norm(state.params["D"], axis=-1).max(-1).astype(np.float64)
    return columns


def some_columns(structure: Structure) -> dict[str, type]:
    """Linear latents have no scale of their own: the length of the longest says how they share
    it.
    """
    return {"longest": float} if structure.activation == "linear" else {}


def agreement(run: Run, models: NDArray[np.intp]) -> float:
    """Mean over the latents of the first of these models of the nearest cosine in the others; NaN
    where it is alone.
    """
    decoders = run.tensor("D", models)
    nearest = [cosines(decoders[0], other).max(-1).mean() for other in decoders[1:]]
    return float(np.mean(nearest)) if nearest else float("nan")


def follows(table: pd.DataFrame) -> Sequence[str]:
    """Sparsity is 1 - density."""
    return (SPARSITY,)


def latents(run: Run, model: int) -> pd.DataFrame:
    """One row per latent of a model: in how many training samples it was active, and the length of
    its encoder.
    """
    weights = run.weights(model)
    return pd.DataFrame({"active": weights["active"], "gain": np.linalg.norm(weights["E"], axis=0)})


def to_json(run: Run, model: int) -> bytes:
    """One model as JSON."""
    return json.dumps({name: value.tolist() for name, value in run.weights(model).items()}).encode()
