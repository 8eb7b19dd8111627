"""Threads that share a batch wait for each other inside the compiled loop."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from superpos.engines.compiled.cache import KernelCache
from superpos.engines.compiled.scalars import atomic_add, atomic_load, yield_processor

SPINS: Final = 2000  # looks at the barrier before the processor is given to another thread


@KernelCache.inlined
def wait(barrier: NDArray[np.int64], threads: int) -> None:
    """Until all threads have come here.

    The barrier [2] counts arrivals and turns; both begin at 0.
    """
    if threads > 1:
        arrivals = barrier.ctypes.data
        turn = atomic_load(arrivals, 1)
        if atomic_add(arrivals, 0, 1) == threads - 1:
            atomic_add(arrivals, 0, -threads)
            atomic_add(arrivals, 1, 1)
        else:
            spins = 0
            while atomic_load(arrivals, 1) == turn:
                spins += 1
                if spins > SPINS:
                    yield_processor()
