"""Several threads take what is to be done from one queue; compiled loops hold no GIL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

Share = TypeVar("Share")


def on_threads(
    threads: int,
    shares: Iterable[Share],
    work: Callable[[Iterator[Share]], None],
) -> None:
    """Call `work` on so many threads, each with an iterator: the shares come from one queue for
    all.

    Raises what a thread has raised, once all have ended.
    """
    queue = SimpleQueue[Share]()
    for share in shares:
        queue.put(share)

    def taken() -> Iterator[Share]:
        with suppress(Empty):
            while True:
                yield queue.get_nowait()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, taken()) for _ in range(threads)]:
            done.result()
