"""Finished chunks go to disk while the next one trains: a flush takes milliseconds, on network disks tens of them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from superpos.store import RunFolder

if TYPE_CHECKING:
    from pandas import DataFrame

OVERLAPPED_BYTES = 2**26  # larger chunks are written at once, so that memory never holds two of them


class Publisher:
    """Publishes one chunk at a time and deletes its checkpoints; leaving the `with` block waits for the last."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._thread:
            self.wait()

    def publish(self, chunk: int, tensors: Mapping[str, NDArray[Any]], table: DataFrame) -> None:
        """Begin to publish a chunk, once the one before it is published. Raises what `wait` does."""
        self.wait()
        self._last = self._thread.submit(self._publish, chunk, tensors, table)
        if sum(value.nbytes for value in tensors.values()) > OVERLAPPED_BYTES:
            self.wait()

    def wait(self) -> None:
        """Until the last chunk is published. Raises `IncompleteError` where the disk failed."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def _publish(self, chunk: int, tensors: Mapping[str, NDArray[Any]], table: DataFrame) -> None:
        self._folder.publish(chunk, tensors, table)
        self._folder.drop_checkpoints(chunk)
