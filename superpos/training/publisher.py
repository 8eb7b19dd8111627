"""Finished chunks go to disk while the next one trains: a flush takes milliseconds, on network
disks tens of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from superpos.store import RunFolder
from superpos.store.formats import ColumnType

if TYPE_CHECKING:
    from pandas import DataFrame

# larger chunks are written at once, so that memory never holds two of them
OVERLAPPED_BYTES = 2**26


class Publisher:
    """Publishes one chunk at a time and deletes its checkpoints; leaving the `with` block waits for
    the last.

    `types` of the run's columns: see `RunFolder.publish`.
    """

    def __init__(
        self, folder: RunFolder, types: Mapping[str, ColumnType] = MappingProxyType({})
    ) -> None:
        self._folder = folder
        self._types = types
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def publish(self, chunk: int, tensors: Mapping[str, NDArray[Any]], table: DataFrame) -> None:
        """Begin to publish a chunk, once the one before it is published.

        Raises what `wait` does.
        """
        self.wait()
        self._thread = Thread(target=self._publish_noting, args=(chunk, tensors, table))
        try:
            self._thread.start()
        except RuntimeError:  # no memory for a thread
            self._thread = None
            self._publish(chunk, tensors, table)
        if sum(value.nbytes for value in tensors.values()) > OVERLAPPED_BYTES:
            self.wait()

    def wait(self) -> None:
        """Until the last chunk is published. Raises `IncompleteError` where the disk failed."""
        if self._thread is not None:
            self._thread.join()
        failure, self._thread, self._failure = self._failure, None, None
        if failure is not None:
            raise failure

    def _publish_noting(
        self, chunk: int, tensors: Mapping[str, NDArray[Any]], table: DataFrame
    ) -> None:
        try:
            self._publish(chunk, tensors, table)
        except BaseException as error:
            self._failure = error

    def _publish(self, chunk: int, tensors: Mapping[str, NDArray[Any]], table: DataFrame) -> None:
        self._folder.publish(chunk, tensors, table, self._types)
        self._folder.drop_checkpoints(chunk)
