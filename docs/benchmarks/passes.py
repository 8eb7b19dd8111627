"""Where the fused CPU engine's time goes: nanoseconds a sample of each pass over a full block, on
one thread.

    python docs/benchmarks/passes.py 20 5 0.1

The third number is the density. Bare passes in a loop, so their data stay in the innermost cache.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from numba import njit

from superpos.engines.compiled import philox, products, steps, turning
from superpos.engines.compiled.vectors import WIDTH
from superpos.families.tms import model
from superpos.families.tms.cpu import gaps, kernel, losses
from superpos.families.tms.cpu.call import Call
from superpos.families.tms.cpu.lane_blocks import LaneBlocks
from superpos.families.tms.purposes import Purpose
from superpos.families.tms.structure import Structure, Task

BLOCKS, REPEATS = 2000, 9
NAMES = (
    "draw", "fill", "contract: h", "contract: o", "residual", "contract: dh", "outer", "outer_pair",
    "locate (of 64 candidates)", "next_sparse", "encode", "encode_backward", "to_lanes", "to_rows",
    "step_adam (of 1024)",
)  # fmt: skip


@njit  # type: ignore[untyped-decorator]
def repeat(
    which: int,
    blocks: int,
    shape: Any,
    s: Any,
    models: Any,
    state: Any,
    work: Any,
    adam: Any,
    scan: Any,
) -> int:
    """One pass, `blocks` times; the samples it was made for."""
    at, n, m, samples = (
        kernel.group_at(models, state, work, 0, 1),
        shape.n_features,
        shape.n_hidden,
        0,
    )
    scan[:] = 0
    samples = kernel.next_sparse(shape, s, at, 1, 0, scan, kernel.SEGMENT) if shape.sparse else 128
    if not shape.sparse:
        kernel.next_dense(shape, s, at, 1, 0, scan, kernel.SEGMENT)
    cells, vectors = scan[kernel.ACTIVE], (samples + 31) // 32 * 2
    total = blocks * samples
    for block in range(blocks):
        if which == 0:
            philox.draw((s.u, n, 2, 0, block, 1, at.key_low, at.key_high))
        elif which == 1:
            kernel.fill(shape, s, at, 0)
        elif which == 2:
            products.contract((s.h, at.theta, s.x, s.zeros, m, n, vectors))
        elif which == 3:
            products.contract((s.g, at.transposed, s.h, at.theta, n, m, vectors))
        elif which == 4:
            losses.residual((s.g, s.y, at.importance, at.sums, at.loss, s.inside, n, 1, vectors))
        elif which == 5:
            products.contract((s.dh, at.theta, s.g, s.zeros, m, n, vectors))
        elif which == 6:
            products.outer((at.grad, s.g, s.h, n, m, vectors))
        elif which == 7:
            products.outer_pair((at.grad, s.g, s.h, s.x, s.dh, n, m, vectors))
        elif which == 8:
            rules = (at.low, at.span, at.shift, at.scale, at.offset)
            gaps.locate(
                (s.u, s.sample, s.column, s.value, *rules, at.rate, -1, kernel.SEGMENT * n, n)
            )
            total = 64 * blocks
        elif which == 9:
            total -= samples
            kernel.clear_block(shape, s, scan[kernel.ACTIVE])
            scan[kernel.FIRST] = scan[kernel.FIRST] % kernel.SEGMENT
            total += kernel.next_sparse(shape, s, at, 1, block, scan, kernel.SEGMENT)
        elif which == 10:
            gaps.encode((s.hidden, at.theta, s.x, s.cell, cells, m, vectors * 16))
        elif which == 11:
            gaps.encode_backward((at.grad, s.hidden, s.x, s.cell, cells, m))
        elif which == 12:
            turning.to_lanes((s.hidden, s.h, m, vectors, kernel.filled_up(m)))
        elif which == 13:
            turning.to_rows((s.dh, s.hidden, m, vectors, kernel.filled_up(m)))
        elif which == 14:
            moments = (state.first.ctypes.data, state.second.ctypes.data, at.grad)
            constants = kernel.adam_constants(adam)
            rates = (
                np.float32(0),
                np.float32(0),
                kernel.ONE,
                np.float32(1e-3),
                kernel.ONE,
                *constants,
            )
            steps.step_adam(
                (
                    at.theta,
                    *moments,
                    work.proposed.ctypes.data,
                    work.check.ctypes.data,
                    at.params,
                    *rates,
                )
            )
            total = 1024 * blocks
    kernel.clear_block(shape, s, scan[kernel.ACTIVE])
    return total


def main(n: int, m: int, density: float) -> None:
    """Print one line per pass."""
    for sampler, numbers in (
        ("dense", (0, 1, 2, 3, 4, 5, 7, 14)),
        ("sparse", (8, 9, 10, 11, 12, 13, 6)),
    ):
        ones = np.ones(1)
        task = Task(
            Structure(n_features=n, n_hidden=m, sampler=sampler),
            seed=np.zeros(1, np.uint64),
            lr=ones * 1e-3,
            weight_decay=ones * 0,
            sparsity=np.full((1, n), 1 - density),
            importance=np.ones((1, n)),
            init_std=ones * 0.5,
            bias_init=ones * 0,
            bias_std=ones * 0,
            data_seed=np.zeros(1, np.uint64),
        )
        call, buffers = Call(task, kernel.TRAIN, Purpose.TRAIN, 0, 1), LaneBlocks(task.structure)
        call.state.theta[:] = task.structure.flat(model.initial_params(task), WIDTH)
        call.state.first[:], call.state.second[:] = 0, 1
        work, scan = call.work(np.array([0, 1])), np.zeros(4, np.int64)
        given = (
            call.shape,
            buffers.addresses,
            call.models,
            call.state,
            work,
            call.rates.adam,
            scan,
        )
        for number in numbers:
            times = []
            for _ in range(REPEATS + 1):  # the first one compiles
                work.grad[:] = work.sums[:] = 0
                start = time.thread_time()
                samples = repeat(number, BLOCKS, *given)
                times.append((time.thread_time() - start) / samples)
            sys.stdout.write(f"{NAMES[number]:<28}{1e9 * min(times):8.2f} ns a sample\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
