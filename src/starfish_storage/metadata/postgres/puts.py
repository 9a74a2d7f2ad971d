"""Putting data before its rows: under keys that nobody used before, several at a time.

A group of an object store is never waited for as a whole: each call goes on to the commit when its own data is there.
Local files are put together instead, so that they are synced in bulk.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from starfish_storage.errors import StorageError
from starfish_storage.interface import DataHandler
from starfish_storage.keys import new_version, version_key
from starfish_storage.metadata.lifecycle import closed_to_writes
from starfish_storage.metadata.operations import WriteOperation, resolve

_MOST_TOGETHER = 500  # of local files


class DataPuts:
    """Puts the data of operations in threads, and hands them in to the writer.

    Args:
        data: where the data goes.
        hand_in: takes operations whose data is there.
    """

    def __init__(self, data: DataHandler, hand_in: Callable[[Sequence[WriteOperation]], None]) -> None:
        self._data = data
        self._hand_in = hand_in
        self._together = 1 if data.parallel > 1 else _MOST_TOGETHER
        self._lock = threading.Lock()
        self._accepting = True
        self._queue: Final[queue.SimpleQueue[WriteOperation | None]] = queue.SimpleQueue()
        # Daemons, so that a program that forgets to close still ends; `atexit` gives them time to finish.
        self._threads = [
            threading.Thread(target=self._run, name=f"starfish-storage-put-{number}", daemon=True)
            for number in range(max(data.parallel, 1))
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, operation: WriteOperation) -> None:
        """Have an operation's data put; its future is resolved in the end, whatever happens.

        Raises:
            StorageClosedError: nothing is accepted any more.
        """
        with self._lock:
            if not self._accepting:
                raise closed_to_writes()
            self._queue.put(operation)

    def stop(self, timeout: float | None = None) -> None:
        """Finish what was accepted, or as much of it as can be done in the time. Idempotent. Blocks."""
        with self._lock:
            if self._accepting:
                self._accepting = False
                for _ in self._threads:
                    self._queue.put(None)
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            try:
                while len(taken) < self._together and taken[-1] is not None:
                    taken.append(self._queue.get_nowait())
            except queue.Empty:
                pass
            operations = [operation for operation in taken if operation is not None]
            self._put(operations)
            if len(operations) < len(taken):
                return

    def _put(self, operations: Sequence[WriteOperation]) -> None:
        if not operations:
            return
        try:
            self._data.put_new([item for operation in operations for item in self._versioned(operation)])
        except Exception as error:  # noqa: BLE001 (callers must not wait for ever)
            if len(operations) > 1:
                for operation in operations:
                    self._put([operation])
                return
            refused(operations[0], error)
            return
        try:
            self._hand_in(operations)
        except StorageError as error:
            for operation in operations:
                refused(operation, error)

    def _versioned(self, operation: WriteOperation) -> list[tuple[str, bytes]]:
        """Return the keys and payloads of an operation; of data that comes twice in it, the last."""
        payloads = {write.key: write.payload or b"" for write in operation.data}
        operation.versions = {key: new_version() for key in payloads}
        return [(version_key(key, operation.versions[key]), payload) for key, payload in payloads.items()]


def refused(operation: WriteOperation, error: Exception) -> None:
    """Tell the caller of an operation that it failed before it was handed in."""
    if isinstance(error, StorageError):
        operation.error = error
    else:
        operation.error = StorageError(f"the data could not be put ({type(error).__name__}); nothing was written.")
    resolve([operation])
