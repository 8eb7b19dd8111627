"""The fused CPU engine: whole stretches of training in one compiled call, one group of models a thread.

Everything but finite data sets. A model's bits depend on its own row alone: models of a group share only their draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from superpos.engines.compiled import cache
from superpos.engines.compiled.vectors import LANES, STRIDE, WIDTH
from superpos.engines.machine import available_threads
from superpos.engines.task import State
from superpos.families.tms.cpu import arrays, kernel
from superpos.families.tms.cpu.tiny import is_tiny
from superpos.families.tms.data import sparse
from superpos.families.tms.data.feature_values import cells
from superpos.families.tms.structure import Structure, Task
from superpos.maths import optimisers
from superpos.maths.sampling import mean_and_error
from superpos.maths.streams import Purpose, key_words

_GROUP_PARAMS = 512  # models share draws while their weights, gradients and moments stay in the innermost cache
_PART_WORK = 4e6  # nominal operations of a part at least: some 20 microseconds, long beside a barrier
_MOST_PARTS = 32
_PART_MEMORY = 2**25  # parameters of all parts at most
_FEW_FEATURES = 32  # up to here products over all features take no longer than over the active cells
_OPTIMIZERS = {"adam": kernel.ADAM, "adamw": kernel.ADAMW, "sgd": kernel.SGD}
Params = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class FusedCpuEngine:
    """Trains and evaluates groups of models on `threads` threads (default: the processors this process may use)."""

    threads: int | None = None
    name = "fused"

    def first_use(self) -> str | None:
        """That kernels will be compiled, where they are not in the cache."""
        if cache.is_filled() or kernel.run.signatures:
            return None
        kept = cache.folder()
        return f"compiling the training kernels, about 15 s ({f'once: kept in {kept}' if kept else 'no cache folder'})"

    def unsupported(self, structure: Structure) -> str | None:
        """Why a structure cannot be trained here, or None."""
        if structure.n_points is not None:
            return "the fused CPU engine draws fresh batches only (data.n_points is set)"
        features = binding.get_host_cpu_features()
        if "avx2" in features and not features["fma"]:
            return "the fused CPU engine needs a processor with fused multiply-add"
        return None

    def gradients(self, task: Task, params: Params, step: int) -> tuple[NDArray[np.float64], Params]:
        """Losses [M] and gradients {name: [M, ...]} of the training loss of one step."""
        structure, order = task.structure, _by_draws(task)
        call = _Call(task.take(order), kernel.GRADIENTS, Purpose.TRAIN, step, step + 1)
        call.state.theta[:] = _flat(structure, params)[order]
        losses, grads = np.empty(len(task)), np.empty_like(call.state.theta)

        def keep(edges: NDArray[np.int64], work: arrays.Work) -> None:
            rows = order[edges[0] : edges[1]]
            losses[rows] = work.loss[0, : len(rows)] / structure.samples_per_step
            grads[rows] = work.grad[0, : len(rows)] * _factor(structure)

        self._run(call, keep)
        return losses, structure.unflat(grads)

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        structure, order = task.structure, _by_draws(task)
        call = _Call(task.take(order), kernel.TRAIN, Purpose.TRAIN, state.step, stop)
        groups = ((state.params, call.state.theta), (state.first, call.state.first), (state.second, call.state.second))
        for values, flat in groups:
            flat[:] = _flat(structure, values)[order]
        call.state.diverged_at[:], call.state.history[:] = state.diverged_at[order], state.history[order]
        self._run(call)
        for values, flat in groups:
            for name, value in structure.unflat(flat).items():
                values[name][order] = value
        state.diverged_at[order], state.history[order] = call.state.diverged_at, call.state.history
        state.step = stop

    def evaluate(self, task: Task, params: Params, samples: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss L and its standard error, each [M], on `samples` fresh samples of the evaluation stream."""
        order = _by_draws(task)
        call = _Call(task.take(order), kernel.SCORE, Purpose.EVALUATE, 0, 1, samples)
        call.state.theta[:] = _flat(task.structure, params)[order]
        self._run(call)
        sums = np.empty((len(task), 2))
        sums[order] = call.state.moments
        return mean_and_error(sums, samples)

    def _run(self, call: _Call, keep: Callable[[NDArray[np.int64], arrays.Work], None] = lambda *_: None) -> None:
        """Run a call on all threads: each takes its share from one queue, or all share the parts of every batch."""
        threads = self.threads or available_threads()
        queue = SimpleQueue[_Share]()
        for share in _shares(call, threads):
            queue.put(share)

        def work() -> None:
            buffers = _Buffers(call.task.structure)
            with suppress(Empty):
                while True:
                    edges, crew, shared = queue.get_nowait()
                    own = shared or call.work(edges)
                    call.run(buffers.addresses, edges, own, crew)
                    keep(edges, own)

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()


def _by_draws(task: Task) -> NDArray[np.intp]:
    """An order in which models that share draws are neighbours: a group is then a slice of every array."""
    return np.lexsort((_data(task), task.seed))


def _data(task: Task) -> NDArray[np.intp]:
    """A number a model, the same for models that share all active cells of the sparse sampler if they share a seed."""
    if task.structure.sampler == "dense":
        return np.zeros(len(task), dtype=np.intp)
    return np.unique(task.sparsity, axis=0, return_inverse=True)[1].reshape(-1)


def _edges(task: Task, threads: int) -> NDArray[np.int64]:
    """Where groups begin, and the end: neighbours that share draws, few enough that their state stays in cache and no
    thread waits long for the last.
    """
    size = max(1, min(_GROUP_PARAMS // _n_params(task.structure), len(task) // (4 * threads)))
    changes = (np.diff(task.seed) != 0) | (np.diff(_data(task)) != 0)
    ends = [0, *(np.flatnonzero(changes) + 1).tolist(), len(task)]
    starts = [range(first, last, size) for first, last in itertools.pairwise(ends)]
    return np.array([*itertools.chain(*starts), len(task)], dtype=np.int64)


class _Share(NamedTuple):
    """What one thread does with one call of the kernel."""

    edges: NDArray[np.int64]  # of neighbouring groups
    crew: arrays.Crew
    work: arrays.Work | None  # of the crew


def _shares(call: _Call, threads: int) -> list[_Share]:
    """Groups for each thread; few groups are trained one after the other, by a crew of all threads."""
    edges = _edges(call.task, threads)
    groups, crew = len(edges) - 1, min(threads, call.shape.parts)
    if call.mode == kernel.TRAIN and crew > 1 and groups < 4 * threads and groups % threads:
        barrier, work = np.zeros(2, np.int64), call.work(edges)
        return [_Share(edges, arrays.Crew(t, crew, barrier, np.empty(4, np.int64)), work) for t in range(crew)]
    each = 1 if call.mode == kernel.GRADIENTS else max(1, groups // (8 * threads))
    parcels = [edges[first : first + each + 1] for first in range(0, groups, each)]
    return [_Share(parcel, arrays.Crew(0, 1, np.zeros(2, np.int64), np.empty(4, np.int64)), None) for parcel in parcels]


class _Call:
    """Arrays of one call of the engine, in the order of the task's models."""

    def __init__(self, task: Task, mode: int, purpose: Purpose, start: int, stop: int, samples: int = 0) -> None:
        structure, count, params = task.structure, len(task), _n_params(task.structure)
        if mode == kernel.TRAIN and stop > structure.steps:
            raise ValueError(f"advance to step {stop} of {structure.steps}")
        self.task, self.mode, self.purpose, self.start, self.stop = task, mode, purpose, start, stop
        self.shape, self.models = _shape(structure, samples if mode == kernel.SCORE else None), _models(task)
        factors = optimisers.schedule(structure.lr_schedule, structure.steps, structure.warmup_steps)[start:stop]
        lr = (task.lr[:, None] * factors).astype(np.float32)
        self.rates = arrays.Rates(lr, task.weight_decay.astype(np.float32), _factor(structure))
        self.state = arrays.Trained(
            theta=np.empty((count, params), np.float32),
            first=np.empty((count, params), np.float32),
            second=np.empty((count, params), np.float32),
            diverged_at=np.empty(count, np.int64),
            history=np.empty((count, len(structure.loss_steps)), np.float32),
            moments=np.zeros((count, 2)),
        )

    def work(self, edges: NDArray[np.int64]) -> arrays.Work:
        """Room for the largest of these groups."""
        return _work(self.shape, int(np.diff(edges).max()), self.state.theta.shape[1])

    def run(self, buffers: arrays.Buffers, edges: NDArray[np.int64], work: arrays.Work, crew: arrays.Crew) -> None:
        """Call the kernel."""
        times = (int(self.purpose), self.start, self.stop)
        kernel.run(self.mode, self.shape, buffers, self.models, edges, *times, self.rates, self.state, work, crew)


class _Buffers:
    """Lane blocks of one thread, aligned to cache lines; holds the memory that `addresses` points to."""

    def __init__(self, structure: Structure, fill: float = 0.0) -> None:
        n, m = structure.n_features, structure.n_hidden
        sets = n // structure.set_size if structure.correlation != "none" else 0
        wide = -(-m // WIDTH) * WIDTH
        is_sparse = structure.sampler == "sparse"
        targets = n if structure.target == "abs" else 0
        rows = {
            "u": max(n, sparse.rows(structure)),
            "switch": sets,
            "x": n,
            "y": targets,
            "g": n,
            "h": wide,
            "dh": wide,
        }
        rows |= {"inside": 1} | ({"hidden": wide, "cell": n, "sample": 1, "column": 1, "value": 1} if is_sparse else {})
        total = sum(rows.values()) * STRIDE + m
        self.memory = np.full(total + 16, fill, dtype=np.float32)
        at = self.memory.ctypes.data + (-self.memory.ctypes.data) % 64
        address: dict[str, int] = {}
        for name, count in rows.items():
            address[name] = at
            at += count * STRIDE * kernel.FLOAT
        first = (at - self.memory.ctypes.data) // kernel.FLOAT
        self.memory[first : first + m] = 0
        address["zeros"] = at
        address["switch"] = address["switch"] if sets else address["u"]
        address["y"] = address["y"] if targets else address["x"]
        unused = {name: 0 for name in arrays.Buffers._fields if name not in address}
        self.addresses = arrays.Buffers(**address, **unused)


def _shape(structure: Structure, samples: int | None = None) -> arrays.Shape:
    """The structure as the kernel wants it, or an evaluation on `samples` in one part."""
    n, m = structure.n_features, structure.n_hidden
    sets = n // structure.set_size if structure.correlation != "none" else 0
    plain = not structure.signed and not sets
    simple = structure.tied and structure.hidden == "linear" and structure.target == "identity"
    tiny = plain and simple and is_tiny(n, m)
    parts, part_samples = _parts(structure)
    return arrays.Shape(
        n_features=n,
        n_hidden=m,
        relu_output=int(structure.output == "relu"),
        relu_hidden=int(structure.hidden == "relu"),
        tied=int(structure.tied),
        absolute=int(structure.target == "abs"),
        plain=int(plain),
        sets=sets,
        tiny=int(tiny),
        sparse=int(structure.sampler == "sparse"),
        by_cells=int(structure.sampler == "sparse" and not tiny and n > _FEW_FEATURES),
        members=structure.set_size,
        words=sparse.rows(structure),
        sum_rows=n * m + n if tiny else n,
        samples=samples or structure.samples_per_step,
        parts=1 if samples else parts,
        part_samples=samples or part_samples,
        optimizer=_OPTIMIZERS[structure.optimizer],
        loss_every=structure.loss_every,
    )


def _models(task: Task) -> arrays.Models:
    structure, sparsity = task.structure, task.sparsity
    rules = (sparse.candidate_cells if structure.sampler == "sparse" else cells)(structure, sparsity)
    uniform = (structure.correlation == "none") & (np.ptp(sparsity, axis=1) == 0)
    return arrays.Models(
        low=rules.low.view(np.int32),
        span=rules.span.view(np.int32),
        shift=rules.shift.view(np.int32),
        scale=rules.scale,
        offset=rules.offset,
        importance=task.importance.astype(np.float32),
        key=np.stack(key_words(task.seed), axis=1),
        rate=sparse.gap_rate(sparsity),
        uniform=uniform.astype(np.int64),
    )


def _work(shape: arrays.Shape, models: int, params: int) -> arrays.Work:
    return arrays.Work(
        transposed=np.empty((models, shape.n_hidden * shape.n_features), np.float32),
        grad=np.empty((shape.parts, models, params), np.float32),
        sums=np.empty((shape.parts, models, shape.sum_rows * WIDTH), np.float32),
        loss=np.empty((shape.parts, models)),
        empty=np.empty(shape.parts, np.int64),
        empty_loss=np.empty(1),
        proposed=np.empty((3, params), np.float32),
        check=np.empty(1, np.float32),
    )


def _parts(structure: Structure) -> tuple[int, int]:
    """How many parts a batch has and how many samples each but the last, from the structure alone.

    The gradients of parts are summed in a fixed order, by however many threads: the bits stay the same.
    """
    samples, params = structure.samples_per_step, _n_params(structure)
    work = samples * structure.n_features * (10 * structure.n_hidden + 60)
    unit = sparse.SEGMENT if structure.sampler == "sparse" else LANES
    most = min(_MOST_PARTS, int(work // _PART_WORK), _PART_MEMORY // params)
    size = unit * -(-samples // (unit * max(most, 1)))
    return -(-samples // size), size


def _factor(structure: Structure) -> np.float32:
    """From the gradient of half the summed loss to that of the training loss."""
    features = structure.n_features if structure.reduction == "mean" else 1
    return np.float32(2 / (structure.samples_per_step * features))


def _n_params(structure: Structure) -> int:
    """Parameters of a model, filled up to whole vectors."""
    count = sum(int(np.prod(shape)) for shape in structure.param_shapes.values())
    return -(-count // WIDTH) * WIDTH


def _flat(structure: Structure, params: Params) -> NDArray[np.float32]:
    """Parameters [M, P] in the order of `Structure.param_shapes`, zeros at the end; owns its memory."""
    rows = [params[name].reshape(len(params[name]), -1) for name in structure.param_shapes]
    count = sum(row.shape[1] for row in rows)
    return np.concatenate([*rows, np.zeros((len(rows[0]), -count % WIDTH), np.float32)], axis=1)
