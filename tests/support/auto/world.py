"""Where autoencoders have their dictionaries and their inputs from.

A dictionary is W of a toy model, or drawn at random once a run. Shapes: M models, B samples, F
features, D inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auto.keys import N_FEATURES, N_INPUTS
from auto.purposes import Purpose
from auto.structure import Task
from superpos.family import Arrays, Run, Settings, Shared
from superpos.maths.streams import RANGE, draws, normals, thresholds


def drawn_name(n_features: int, n_inputs: int, world: int) -> str:
    """The name of a drawn dictionary in the shared file "dictionaries"."""
    return f"{n_features}x{n_inputs}.{world}"


def shared(made: Settings, sources: Shared) -> dict[str, Callable[[], Arrays]]:
    """The drawn dictionaries of a sweep, each once; no file where every model has that of another
    run.
    """
    sweep = made.sweep
    rows = np.flatnonzero(sweep.column("auto.source") == None)  # noqa: E711 - of an array
    columns = (
        made.size(N_FEATURES, rows),
        made.size(N_INPUTS, rows),
        sweep.column("auto.world", rows),
    )
    wanted = sorted(set(zip(*(column.tolist() for column in columns), strict=True)))
    return {"dictionaries": partial(_draw_all, wanted)} if wanted else {}


def _draw_all(wanted: list[tuple[int, int, int]]) -> dict[str, NDArray[np.float32]]:
    return {drawn_name(*one): draw_dictionary(*one) for one in wanted}


def draw_dictionary(n_features: int, n_inputs: int, world: int) -> NDArray[np.float32]:
    """Random directions [F, D] of length 1."""
    found = normals(np.array([world], dtype=np.uint64), Purpose.WORLD, 0, (n_features, n_inputs))[0]
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def dictionary(
    n_features: int, n_inputs: int, source: str | None, world: int, files: Shared
) -> NDArray[np.float32]:
    """The dictionary [F, D] of a model: W of the named model of another run (or its best), or one
    that was drawn.
    """
    if source is None:
        drawn: NDArray[np.float32] = files["dictionaries"][drawn_name(n_features, n_inputs, world)]
        return drawn
    digest, _, model = source.partition(":")
    kept = files[f"auto.source-{digest}"]
    found: NDArray[np.float32] = kept["W"][
        np.flatnonzero(kept["model"] == int(model or kept["best"][0]))[0]
    ]
    return found


def read_source(run: Run, models: Sequence[int] | None) -> dict[str, Any]:
    """What is kept of a run of toy models: W [M, F, D] of the models that are named, or of the
    best; their numbers.
    """
    table = run.table
    best = int(table["model"][table["loss"].idxmin()])
    chosen = [best] if models is None else sorted({*models, best})
    return {"W": run.tensor("W", chosen), "model": np.array(chosen), "best": np.array([best])}


def batch(task: Task, step: int, device: str = "cpu") -> torch.Tensor:
    """Training inputs [M, B, D] of a step."""
    return inputs(task, Purpose.TRAIN, step, range(task.structure.batch_size), device)


def evaluation(task: Task, samples: range, device: str = "cpu") -> torch.Tensor:
    """Inputs [M, B, D] of a contiguous range of samples of the evaluation stream."""
    return inputs(task, Purpose.EVALUATE, 0, samples, device)


def inputs(task: Task, purpose: Purpose, step: int, samples: range, device: str) -> torch.Tensor:
    """x = f W + noise [M, B, D]; a feature f is uniform on [0, 1] with probability p, else 0."""
    structure = task.structure
    u = draws(task.seed, purpose, step, samples, structure.n_features, device)
    first = torch.from_numpy(thresholds(1 - task.density)).to(device)[:, None, None]
    features = torch.where(u >= first, (u - first).double() / (RANGE - first), 0.0).float()
    x = features @ torch.from_numpy(task.dictionary).to(device)
    if task.noise.any():
        words = draws(task.seed, purpose + Purpose.NOISE, step, samples, structure.n_inputs, device)
        normal = torch.special.ndtri((words.double() + 0.5) / RANGE)
        x = x + (torch.from_numpy(task.noise).to(device)[:, None, None] * normal).float()
    return x
