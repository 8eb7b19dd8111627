"""Small tasks for the tests of the numerical modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from superpos.engines.task import State
from superpos.families.tms import model
from superpos.families.tms.structure import Structure, Task


def make_task(
    n: int,
    m: int,
    models: int = 1,
    *,
    seed: Any = None,
    density: Any = 0.5,
    importance: Any = 1.0,
    lr: Any = 1e-2,
    weight_decay: Any = 0.01,
    init_std: Any = 0.5,
    bias_init: Any = 0.0,
    bias_std: Any = 0.0,
    data_seed: Any = None,
    **structure: Any,
) -> Task:
    """M models; what may differ between them is broadcast. Seeds are 0, 1, 2, ... unless given."""
    seeds = np.arange(models, dtype=np.uint64) if seed is None else np.array(seed, dtype=np.uint64)
    return Task(
        Structure(n, m, **structure),
        seed=seeds,
        data_seed=seeds.copy() if data_seed is None else np.array(data_seed, dtype=np.uint64),
        sparsity=np.broadcast_to(1 - np.asarray(density, dtype=np.float64), (models, n)).copy(),
        importance=np.broadcast_to(np.asarray(importance, dtype=np.float64), (models, n)).copy(),
        lr=np.broadcast_to(np.asarray(lr, dtype=np.float64), (models,)).copy(),
        weight_decay=np.broadcast_to(np.asarray(weight_decay, dtype=np.float64), (models,)).copy(),
        init_std=np.broadcast_to(np.asarray(init_std, dtype=np.float64), (models,)).copy(),
        bias_init=np.broadcast_to(np.asarray(bias_init, dtype=np.float64), (models,)).copy(),
        bias_std=np.broadcast_to(np.asarray(bias_std, dtype=np.float64), (models,)).copy(),
    )


def start(task: Task) -> State:
    """The state before the first step."""
    return State.initial(task, model.initial_params(task))
