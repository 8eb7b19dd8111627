"""The sparse sampler: only active cells are drawn, by geometric gaps, at a cost in proportion to
their number.

A batch is cut into segments of SEGMENT samples. A segment is a grid of samples x columns,
row-major, where a column is a feature, or a set of correlated features. With p the largest density
of a model's columns, *candidates* are the cells at which a Bernoulli(p) process succeeds: the gaps
between them are geometric, P(gap >= k) = (1 - p)^k. A candidate of a column of density p_c is
active with probability p_c / p: by the rules of the dense sampler (`cells.cells`) for that relative
density, so that its value and the members of its set follow as there. The cells are distributed
exactly as the dense sampler's.

Streams: candidate k of a segment is word k % 4 of the Philox calls with counter (k // 4, row, step,
purpose + SPARSE + segment 2^8): row 0 makes its gap, row 1 decides (and is its value, where
features are independent), row 2 + j is the value of member j of its set (of anticorrelated sets:
row 2, of the one active member).

Shapes: M models, B samples, F features, C columns, K candidates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.data.feature_values import Cells, cells, fields, values
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Structure, Task
from superpos.maths.streams import draws

if TYPE_CHECKING:
    import torch

SEGMENT = 1024
"""Samples in a segment: where gaps start anew."""
_LONGEST_GAP = 2.0**30  # more cells than a segment has


def rows(structure: Structure) -> int:
    """Words that a candidate needs."""
    return {"none": 2, "correlated": 2 + structure.set_size, "anticorrelated": 3}[
        structure.correlation
    ]


def gap_rate(sparsity: NDArray[np.float64]) -> NDArray[np.float64]:
    """-1 / ln(1 - p) [M] for the largest density p of each model, from the sparsities [M, F]; 0
    where p = 1.
    """
    with np.errstate(divide="ignore"):
        rate: NDArray[np.float64] = -1.0 / np.log(sparsity.min(axis=-1))
    return rate


def candidate_cells(structure: Structure, sparsity: NDArray[np.float64]) -> Cells:
    """What becomes of a candidate: the draw rules [M, F] for densities relative to each model's
    largest.
    """
    density = 1 - sparsity
    return cells(structure, 1 - density / density.max(axis=-1, keepdims=True))


def minus_log(u: torch.Tensor) -> torch.Tensor:
    """-ln((u + 1/2) / 2^32) for 32-bit words u, in IEEE float64 operations that every engine
    repeats bit for bit.

    ln(f 2^e) = e ln 2 + 2 artanh((f - 1) / (f + 1)) with f in [sqrt(1/2), sqrt(2)); the series is
    cut at 3e-11.
    """
    import torch

    fraction, exponent = torch.frexp((u.double() + 0.5) * 2.0**-32)
    low = fraction < math.sqrt(0.5)
    fraction = torch.where(low, 2 * fraction, fraction)
    exponent = (exponent - low.int()).double()
    s = (fraction - 1) / (fraction + 1)
    z = s * s
    series = torch.full_like(z, 1 / 11)
    for k in (9, 7, 5, 3, 1):
        series = series * z + 1 / k
    return exponent * -math.log(2) - 2 * s * series


def gaps(u: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """Cells between a candidate and the one before it (int64), from their words u and
    `gap_rate`.
    """
    # towards zero: floor, as neither is negative
    return (minus_log(u) * rate).clamp(max=_LONGEST_GAP).long()


def sample(
    task: Task, purpose: Purpose, step: int, samples: range, device: str = "cpu"
) -> torch.Tensor:
    """Inputs [M, B, F] of a contiguous range of samples of one step."""
    import torch  # slow to import, and the fused engines do without

    structure = task.structure
    n = structure.n_features
    size = structure.set_size
    models = len(task)
    segments = np.arange(samples.start // SEGMENT, -(-samples.stop // SEGMENT))
    model = np.repeat(np.arange(models), len(segments))  # a row below is one segment of one model
    streams = purpose + Purpose.SPARSE + (np.tile(segments, models) << 8)
    rate = torch.from_numpy(gap_rate(task.sparsity)[model]).to(device)[:, None]
    grid = SEGMENT * (n // size)
    count = _likely_candidates(grid, float(task.density.max()))
    while True:
        # [R, K, rows]
        words = draws(task.seed[model], streams, step, range(count), rows(structure), device)
        position = (gaps(words[..., 0], rate) + 1).cumsum(-1) - 1
        if position[:, -1].min() >= grid:
            break
        count *= 2
    # what lies behind the end goes into the last cell
    x = torch.zeros(len(model), SEGMENT * n + 1, device=device)
    member = torch.arange(size, device=device)
    feature = position[..., None] % (n // size) * size + member  # [R, K, members]
    switch = words[..., 1:2]
    word = switch if structure.correlation == "none" else words[..., 2:]
    rules = fields(candidate_cells(structure, task.sparsity), device)
    own = [field[model].gather(1, feature.flatten(1)).reshape(feature.shape) for field in rules]
    cell = torch.where(position[..., None] < grid, position[..., None] * size + member, SEGMENT * n)
    x.scatter_(1, cell.flatten(1), values(own, word, switch, structure.values).flatten(1))
    x = x[:, :-1].reshape(models, -1, n)
    first = samples.start - int(segments[0]) * SEGMENT
    return x[:, first : first + len(samples)]


def _likely_candidates(grid: int, density: float) -> int:
    """More candidates than a segment of `grid` cells has, but for one in a thousand million; a
    multiple of 4.
    """
    mean = grid * density
    return 4 * math.ceil((mean + 6 * math.sqrt(mean) + 16) / 4)
