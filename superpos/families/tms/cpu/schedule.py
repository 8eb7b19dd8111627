"""Which thread trains which models: groups that share their draws, or a crew for each batch."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from superpos.families.tms.cpu import kernel
from superpos.families.tms.cpu.arrays import Crew, Work
from superpos.families.tms.cpu.call import Call
from superpos.families.tms.cpu.shape import padded_params
from superpos.families.tms.structure import Task

# Models share draws while their weights, gradients and moments stay in the innermost cache.
_GROUP_PARAMS = 512


class Share(NamedTuple):
    """What one thread does with one call of the kernel."""

    edges: NDArray[np.int64]  # of neighbouring groups
    crew: Crew
    work: Work | None  # of the crew


def by_draws(task: Task) -> NDArray[np.intp]:
    """An order in which models that share draws are neighbours.

    A group is then a slice of every array.
    """
    return np.lexsort((_data(task), task.seed))


def shares(call: Call, threads: int) -> list[Share]:
    """Groups for each thread; few groups are trained one after the other, by all threads."""
    edges = _edges(call.task, threads)
    groups = len(edges) - 1
    crew = min(threads, call.shape.parts)
    if call.mode == kernel.TRAIN and crew > 1 and groups < 4 * threads and groups % threads:
        barrier = np.zeros(2, np.int64)
        work = call.work(edges)
        return [Share(edges, _crew(thread, crew, barrier), work) for thread in range(crew)]
    each = 1 if call.mode == kernel.GRADIENTS else max(1, groups // (8 * threads))
    parcels = [edges[first : first + each + 1] for first in range(0, groups, each)]
    return [Share(parcel, _crew(0, 1, np.zeros(2, np.int64)), None) for parcel in parcels]


def _crew(thread: int, threads: int, barrier: NDArray[np.int64]) -> Crew:
    return Crew(thread, threads, barrier, np.empty(4, np.int64))


def _data(task: Task) -> NDArray[np.intp]:
    """One number per model: those of one seed and one number share the cells of the sparse
    sampler.
    """
    if task.structure.sampler == "dense":
        return np.zeros(len(task), dtype=np.intp)
    return np.unique(task.sparsity, axis=0, return_inverse=True)[1].reshape(-1)


def _edges(task: Task, threads: int) -> NDArray[np.int64]:
    """Where groups begin, and the end.

    A group are neighbours that share draws, few enough that their state stays in cache and that no
    thread waits long for the last.
    """
    in_cache = _GROUP_PARAMS // padded_params(task.structure)
    size = max(1, min(in_cache, len(task) // (4 * threads)))
    changes = (np.diff(task.seed) != 0) | (np.diff(_data(task)) != 0)
    ends = [0, *(np.flatnonzero(changes) + 1).tolist(), len(task)]
    starts = [range(first, last, size) for first, last in itertools.pairwise(ends)]
    return np.array([*itertools.chain(*starts), len(task)], dtype=np.int64)
