"""The fused CPU engine: whole stretches of training in one compiled call, one group of models a thread.

Everything but finite data sets. A model's bits depend on its own row alone: models of a group share only their draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from os import sched_getaffinity
from queue import Empty, SimpleQueue
from typing import TypeVar

import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from superpos import data, optim
from superpos.engines.cpu import cache, kernel
from superpos.engines.cpu.tiny import is_tiny
from superpos.engines.cpu.vectors import STRIDE, WIDTH
from superpos.model import mean_and_error
from superpos.streams import Purpose, key_words
from superpos.task import State, Structure, Task

_GROUP_PARAMS = 512  # models share draws while their weights, gradients and moments stay in the innermost cache
_OPTIMIZERS = {"adam": kernel.ADAM, "adamw": kernel.ADAMW, "sgd": kernel.SGD}
Params = dict[str, NDArray[np.float32]]
Arrays = TypeVar("Arrays", kernel.Group, kernel.Rates, kernel.Trained)


def available_threads() -> int:
    """Processors this process may use."""
    return len(sched_getaffinity(0))


@dataclass(frozen=True)
class FusedCpuEngine:
    """Trains and evaluates groups of models on `threads` threads (default: the processors this process may use)."""

    threads: int | None = None
    name = "fused"

    def first_use(self) -> str | None:
        """That kernels will be compiled, where they are not in the cache."""
        if cache.is_filled() or kernel.train.signatures:
            return None
        kept = cache.folder()
        return f"compiling the training kernels, about 10 s ({f'once: kept in {kept}' if kept else 'no cache folder'})"

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
        structure, order = task.structure, _by_seed(task)
        task, theta, shape = task.take(order), _flat(structure, params)[order], _shape(structure)
        everyone, losses, grads = _group(task), np.empty(len(task)), np.empty_like(theta)

        def run(rows: slice, buffers: kernel.Buffers) -> None:
            work = _work(structure, rows)
            stream = _stream(task, rows, Purpose.TRAIN)
            kernel.gradients_once(shape, buffers, _take(everyone, rows), stream, step, theta[rows], work)
            losses[order[rows]] = work.loss / structure.samples_per_step
            grads[order[rows]] = work.grad * _factor(structure)

        self._each_group(task, run)
        return losses, _unflat(structure, grads)

    def advance(self, task: Task, state: State, stop: int) -> None:
        """Train all models from `state.step` to `stop`, updating `state` in place."""
        structure, start, order = task.structure, state.step, _by_seed(task)
        task, shape = task.take(order), _shape(structure)
        theta, first, second = (_flat(structure, group)[order] for group in (state.params, state.first, state.second))
        everything = kernel.Trained(theta, first, second, state.diverged_at[order], state.history[order])
        everyone, rates = _group(task), _rates(task, start, stop)

        def run(rows: slice, buffers: kernel.Buffers) -> None:
            stream, part = _stream(task, rows, Purpose.TRAIN), _take(everything, rows)
            group, own = _take(everyone, rows), _take(rates, rows)
            kernel.train(shape, buffers, group, stream, own, start, stop, part, _work(structure, rows))

        self._each_group(task, run)
        for target, values in ((state.params, theta), (state.first, first), (state.second, second)):
            for name, value in _unflat(structure, values).items():
                target[name][order] = value
        state.diverged_at[order], state.history[order] = everything.diverged_at, everything.history
        state.step = stop

    def evaluate(self, task: Task, params: Params, samples: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss L and its standard error, each [M], on `samples` fresh samples of the evaluation stream."""
        structure, order = task.structure, _by_seed(task)
        task, theta = task.take(order), _flat(structure, params)[order]
        shape, everyone = _shape(structure)._replace(samples=samples), _group(task)
        sums, moments = np.empty((len(task), 2)), np.zeros((len(task), 2))

        def run(rows: slice, buffers: kernel.Buffers) -> None:
            work, stream = _work(structure, rows), _stream(task, rows, Purpose.EVALUATE)
            kernel.evaluate(shape, buffers, _take(everyone, rows), stream, theta[rows], work, moments[rows])

        self._each_group(task, run)
        sums[order] = moments
        return mean_and_error(sums, samples)

    def _each_group(self, task: Task, run: Callable[[slice, kernel.Buffers], None]) -> None:
        """Call `run` for every group of models, on all threads; each thread works down its share of one queue."""
        threads = self.threads or available_threads()
        queue = SimpleQueue[slice]()
        for rows in _groups(task, threads):
            queue.put(rows)

        def work() -> None:
            buffers = _Buffers(task.structure)
            with suppress(Empty):
                while True:
                    run(queue.get_nowait(), buffers.addresses)

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()


def _by_seed(task: Task) -> NDArray[np.intp]:
    """An order in which models of one seed are neighbours: a group is then a slice of every array, not a copy."""
    return np.argsort(task.seed, kind="stable")


def _groups(task: Task, threads: int) -> Iterator[slice]:
    """Neighbours of one seed: few enough that their state stays in cache and no thread waits long for the last."""
    size = max(1, min(_GROUP_PARAMS // _n_params(task.structure), len(task) // (4 * threads)))
    edges = [0, *(np.flatnonzero(np.diff(task.seed)) + 1).tolist(), len(task)]
    for first, last in pairwise(edges):
        for start in range(first, last, size):
            yield slice(start, min(start + size, last))


class _Buffers:
    """Lane blocks of one thread, aligned to cache lines; holds the memory that `addresses` points to."""

    def __init__(self, structure: Structure, fill: float = 0.0) -> None:
        n, m = structure.n_features, structure.n_hidden
        sets = n // structure.set_size if structure.correlation != "none" else 0
        rows = {"u": n, "switch": sets, "x": n, "y": n if structure.target == "abs" else 0, "g": n, "h": m, "dh": m}
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
        address["y"] = address["y"] if rows["y"] else address["x"]
        self.addresses = kernel.Buffers(**address)


def _shape(structure: Structure) -> kernel.Shape:
    n, m = structure.n_features, structure.n_hidden
    sets = n // structure.set_size if structure.correlation != "none" else 0
    unsigned = structure.target == "identity" and not structure.signed
    plain = structure.tied and structure.hidden == "linear" and unsigned and not sets
    tiny = plain and is_tiny(n, m)
    return kernel.Shape(
        n_features=n,
        n_hidden=m,
        relu_output=int(structure.output == "relu"),
        relu_hidden=int(structure.hidden == "relu"),
        tied=int(structure.tied),
        absolute=int(structure.target == "abs"),
        sets=sets,
        tiny=int(tiny),
        sum_rows=n * m + n if tiny else n,
        samples=structure.samples_per_step,
        optimizer=_OPTIMIZERS[structure.optimizer],
        loss_every=structure.loss_every,
    )


def _take(arrays: Arrays, rows: slice) -> Arrays:
    """The same named arrays for some models; views."""
    return arrays._replace(**{name: array[rows] for name, array in arrays._asdict().items()})


def _stream(task: Task, rows: slice, purpose: Purpose) -> kernel.Stream:
    low, high = key_words(task.seed[rows.start : rows.start + 1])
    return kernel.Stream(int(purpose), int(purpose + Purpose.SETS), int(low[0]), int(high[0]))


def _group(task: Task) -> kernel.Group:
    rules = data.cells(task.structure, task.sparsity)
    words = (rules.low.view(np.int32), rules.span.view(np.int32), rules.shift.view(np.int32))
    return kernel.Group(*words, rules.scale, rules.offset, task.importance.astype(np.float32))


def _rates(task: Task, start: int, stop: int) -> kernel.Rates:
    structure = task.structure
    factors = optim.schedule(structure.lr_schedule, structure.steps, structure.warmup_steps)[start:stop]
    lr = (task.lr[:, None] * factors).astype(np.float32)
    return kernel.Rates(lr, task.weight_decay.astype(np.float32), np.full(len(task), _factor(structure)))


def _work(structure: Structure, rows: slice) -> kernel.Work:
    n, m, models = structure.n_features, structure.n_hidden, rows.stop - rows.start
    params = _n_params(structure)
    return kernel.Work(
        transposed=np.empty((models, m * n), np.float32),
        grad=np.empty((models, params), np.float32),
        sums=np.empty((models, _shape(structure).sum_rows * WIDTH), np.float32),
        loss=np.empty(models),
        proposed=np.empty((3, params), np.float32),
        check=np.empty(1, np.float32),
    )


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


def _unflat(structure: Structure, theta: NDArray[np.float32]) -> Params:
    params, at = {}, 0
    for name, shape in structure.param_shapes.items():
        size = int(np.prod(shape))
        params[name] = theta[:, at : at + size].reshape(len(theta), *shape)
        at += size
    return params
