"""Speed of the engines beside the published notebook: `superpos bench`, or `python -m superpos.engines.bench`.

The baseline is an eager torch loop as in the notebook of Elhage et al. 2022: all models stacked as [batch, models,
features], two uniform draws a cell, einsum, autograd, one AdamW for all. Both sides train the same models for the same
steps from the same initial weights; the losses they reach are compared, so that a ratio is never between different
work. Models with seeds of their own draw their own data, as in the notebook; models of one seed, as in most sweeps,
share their draws.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from superpos import model
from superpos.engines import Engine, choose
from superpos.task import State, Structure, Task

Arrays = dict[str, NDArray[np.float32]]
DENSITY = 0.1
BATCH = 1024
EVALUATION_SAMPLES = 2**16
BLOCKS = 7
STRETCH_SECONDS = 0.3  # one call of an engine in real training


class Case(NamedTuple):
    """M models with n features in m dimensions."""

    n_features: int
    n_hidden: int
    models: int


CASES = (Case(5, 2, 100), Case(2, 1, 100), Case(20, 5, 100), Case(80, 20, 8), Case(200, 20, 20))


class Row(NamedTuple):
    """One line of the table. Times are medians over blocks of steps, per step of all models; 10nm FLOPs a sample."""

    case: Case
    engine: str
    eager_ms: float
    engine_ms: float  # every model with a seed of its own
    one_seed_ms: float  # all models with the same seed
    gflops: float  # own seeds
    share_of_peak: float
    eager_loss: float  # mean over the models, evaluated on the same samples
    engine_loss: float
    steps: int

    @property
    def ratio(self) -> float:
        """How many times faster than the eager loop, with seeds of their own."""
        return self.eager_ms / self.engine_ms

    @property
    def one_seed_ratio(self) -> float:
        """How many times faster than the eager loop, with one seed."""
        return self.eager_ms / self.one_seed_ms


def task_of(case: Case, steps: int) -> Task:
    """Models with uniform importance, density 0.1 and seeds of their own."""
    n, m, models = case
    structure = Structure(n, m, steps=steps, batch_size=BATCH, loss_every=0)
    return Task(
        structure,
        seed=np.arange(models, dtype=np.uint64),
        sparsity=np.full((models, n), 1 - DENSITY),
        importance=np.ones((models, n)),
        lr=np.full(models, 1e-3),
        weight_decay=np.full(models, 0.01),
        init_std=np.full(models, (2 / (n + m)) ** 0.5),
    )


def eager_steps(task: Task, params: dict[str, torch.Tensor]) -> Iterator[None]:
    """The notebook's loop; trains `params` in place, one step for each item taken."""
    models, n = task.importance.shape
    importance = torch.from_numpy(task.importance).float()
    density = torch.full((models, 1), DENSITY)
    weight, bias = params["W"].requires_grad_(), params["b"].requires_grad_()
    optimizer = torch.optim.AdamW([weight, bias], lr=1e-3)
    while True:
        optimizer.zero_grad(set_to_none=True)
        values = torch.rand(BATCH, models, n)
        x = torch.where(torch.rand(BATCH, models, n) <= density, values, torch.zeros(()))
        hidden = torch.einsum("bmf,mfh->bmh", x, weight)
        out = torch.relu(torch.einsum("bmh,mfh->bmf", hidden, weight) + bias)
        loss = (importance * (x - out) ** 2).mean(dim=(0, 2)).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        yield


def measure(case: Case, steps: int, device: str = "cpu", peak: float = float("nan")) -> Row:
    """Both sides train the same `steps` steps; then each is timed in BLOCKS blocks, in turn, and the medians count."""
    task = task_of(case, steps)
    engine = choose(task.structure, device=device).engine
    initial = model.initial_params(task)
    eager, fused = _tensors(initial), State.initial(task, _copies(initial))
    loop = eager_steps(task, eager)
    _repeat(loop, steps)
    engine.advance(task, fused, steps)
    losses = [_loss(engine, task, params) for params in (_arrays(eager), fused.params)]
    own, one = (_Stretches(engine, timed) for timed in (task, replace(task, seed=np.zeros_like(task.seed))))
    eager_block = max(1, steps // BLOCKS)
    times = [
        (_seconds(partial(_repeat, loop, eager_block)) / eager_block, own.time(), one.time()) for _ in range(BLOCKS)
    ]
    eager_s, own_s, one_s = (median(side) for side in zip(*times, strict=True))
    gflops = 10 * case.n_features * case.n_hidden * BATCH * case.models / own_s / 1e9
    return Row(
        case=case,
        engine=engine.name,
        eager_ms=1e3 * eager_s,
        engine_ms=1e3 * own_s,
        one_seed_ms=1e3 * one_s,
        gflops=gflops,
        share_of_peak=gflops / peak,
        eager_loss=losses[0],
        engine_loss=losses[1],
        steps=steps,
    )


class _Stretches:
    """Times an engine in stretches as long as those of real training."""

    def __init__(self, engine: Engine, task: Task) -> None:
        self.engine, self.task = engine, task
        self.state = State.initial(task, model.initial_params(task))
        self.steps = 1
        while (seconds := self.time() * self.steps) < STRETCH_SECONDS / 4:
            self.steps *= 2
        self.steps = max(1, round(self.steps * STRETCH_SECONDS / seconds))

    def time(self) -> float:
        """Seconds a step."""
        return _seconds(lambda: self.engine.advance(self.task, self.state, self.state.step + self.steps)) / self.steps


def peak_gflops(size: int = 1024, repeats: int = 20) -> float:
    """The machine's measured float32 peak: the best of some square matrix products, in GFLOP/s."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    a @ b
    return max(2 * size**3 / _seconds(lambda: a @ b) / 1e9 for _ in range(repeats))


def run(report: Callable[[Row], None], device: str = "cpu", seconds: float = 10.0) -> list[Row]:
    """Measure every case, spending about `seconds` on the eager side of each; rows are reported as they come."""
    peak, rows = 0.0, []
    for case in CASES:
        peak = max(peak, peak_gflops())  # again for each case: other work on the machine can only lower it
        task = task_of(case, 1)
        loop = eager_steps(task, _tensors(model.initial_params(task)))
        _repeat(loop, 3)  # allocates
        step = _seconds(partial(_repeat, loop, 5)) / 5
        rows.append(measure(case, max(BLOCKS, round(seconds / 2 / step)), device, peak))
        report(rows[-1])
    return rows


HEADER = (
    "                             own seeds                               one seed           loss reached\n"
    "n/m x models   eager ms   fused ms   ratio   GFLOP/s   of peak   fused ms   ratio   eager     fused     steps"
)


def line(row: Row) -> str:
    """A row as plain text under HEADER."""
    n, m, models = row.case
    return (
        f"{f'{n}/{m} x {models}':<13}{row.eager_ms:>10.2f}{row.engine_ms:>11.3f}{row.ratio:>7.0f}x{row.gflops:>10.0f}"
        f"{row.share_of_peak:>10.0%}{row.one_seed_ms:>11.3f}{row.one_seed_ratio:>7.0f}x{row.eager_loss:>10.5f}"
        f"{row.engine_loss:>10.5f}{row.steps:>7}"
    )


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _repeat(loop: Iterator[None], count: int) -> None:
    for _ in range(count):
        next(loop)


def _copies(params: Arrays) -> Arrays:
    return {name: value.copy() for name, value in params.items()}


def _tensors(params: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in _copies(params).items()}


def _arrays(params: dict[str, torch.Tensor]) -> Arrays:
    return {name: value.detach().numpy() for name, value in params.items()}


def _loss(engine: Engine, task: Task, params: Arrays) -> float:
    return float(engine.evaluate(task, params, EVALUATION_SAMPLES)[0].mean())


def main() -> None:
    """Print the table."""
    sys.stdout.write(HEADER + "\n")
    run(lambda row: print_line(line(row)))


def print_line(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
