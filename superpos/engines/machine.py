"""What this machine has to train with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def machine_bytes() -> float:
    """Memory of this machine."""
    return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """torch's thread count for the length of a `with` block."""
    import torch  # slow to import, and not every engine needs it

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
