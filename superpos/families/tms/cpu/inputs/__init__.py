"""Inputs of the dense sampler, compiled: bit for bit those of `data.inputs.dense`, for the
reference engine.

Models with functions of a user's own are trained by it, and its own draws would take most of the
time. Shapes: M models, B samples, F features.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines.compiled import philox
from superpos.engines.compiled.cache import KernelCache
from superpos.engines.compiled.vectors import LANES, QUADS, STRIDE
from superpos.families.tms.data import feature_values, inputs
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Task
from superpos.maths.streams import key_words

if TYPE_CHECKING:
    import torch

KERNELS: Final = KernelCache(Path(__file__).parent)
_PARTS: Final = 2  # of 64 samples in a block, as `philox.draw` counts


def dense(
    task: Task, purpose: Purpose, step: int, samples: range, device: str = "cpu"
) -> torch.Tensor:
    """`data.inputs.dense` on the CPU: inputs [M, B, F]; by itself where values are not linear in a
    draw.
    """
    import torch  # slow to import, and a fused engine does without

    structure = task.structure
    if not structure.in_sets or structure.values not in feature_values.LINEAR_LAWS:
        return inputs.dense(task, purpose, step, samples, device)
    n = structure.n_features
    sets = 0 if structure.correlation == "none" else n // structure.set_size
    seeds, group = np.unique(task.seed, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    edges = np.searchsorted(group.reshape(-1)[order], np.arange(len(seeds) + 1))
    keys = np.stack(key_words(seeds), axis=-1)
    x = np.empty((len(task), len(samples), n), np.float32)
    buffers = np.empty((2, max(n, 1), STRIDE), np.uint32)
    rules = feature_values.cells(structure, task.sparsity)
    streams = (int(purpose), int(purpose) + int(Purpose.SETS))
    _fill(
        x,
        *rules,
        keys,
        order,
        edges,
        buffers,
        streams,
        step,
        samples.start,
        sets,
        structure.set_size,
    )
    return torch.from_numpy(x)


@KERNELS.compiled
def _fill(
    x: NDArray[np.float32],
    low: NDArray[np.uint32],
    span: NDArray[np.uint32],
    shift: NDArray[np.uint32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    keys: NDArray[np.int64],
    order: NDArray[np.int64],
    edges: NDArray[np.int64],
    buffers: NDArray[np.uint32],
    streams: tuple[int, int],
    step: int,
    start: int,
    sets: int,
    set_size: int,
) -> None:
    """Fill x [M, B, F] block by block of samples; models of one seed, order[edges[g]:edges[g + 1]],
    share draws.
    """
    n = x.shape[2]
    u = buffers[0]
    switch = buffers[1] if sets else u
    every = set_size if sets else 1
    before = start % 4  # a block begins with a call of Philox, which serves four samples
    for group in range(len(edges) - 1):
        for block in range(0, before + x.shape[1], LANES):
            first = start - before + block
            key = keys[group]
            philox.draw((u.ctypes.data, n, _PARTS, first, step, streams[0], key[0], key[1]))
            if sets:
                philox.draw(
                    (switch.ctypes.data, sets, _PARTS, first, step, streams[1], key[0], key[1])
                )
            for model in order[edges[group] : edges[group + 1]]:
                for sample in range(
                    max(0, before - block), min(LANES, before + x.shape[1] - block)
                ):
                    lane = sample % 4 * QUADS + sample // 4
                    row = x[model, block - before + sample]
                    for feature in range(n):
                        decides = np.uint32(switch[feature // every, lane] - low[model, feature])
                        value = np.float32(np.uint32(u[feature, lane] - shift[model, feature]))
                        value = value * scale[model, feature] + offset[model, feature]
                        row[feature] = value if decides <= span[model, feature] else np.float32(0)
