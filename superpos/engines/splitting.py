"""What does not fit into memory at once is done in parts.

Used by the engines that stack models on a torch device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def in_memory(rows: slice, run: Callable[[slice], None]) -> None:
    """`run(rows)`, in halves where memory does not suffice; `run` writes nothing before it has
    succeeded.

    Raises `MemoryError` where a single model is too large.
    """
    middle = (rows.start + rows.stop) // 2
    try:
        run(rows)
        return
    except (MemoryError, RuntimeError) as error:
        if not isinstance(
            error, MemoryError | torch.OutOfMemoryError
        ) and "can't allocate memory" not in str(error):
            raise
        if middle == rows.start:
            raise MemoryError(str(error)) from error
    # outside: the failed attempt is freed by now
    for half in (slice(rows.start, middle), slice(middle, rows.stop)):
        in_memory(half, run)
