"""Putting the data of many operations together, before their rows: what waits becomes one object, or one append."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from starfish_storage.errors import StorageError, StorageUnavailableError
from starfish_storage.interface import DataHandler
from starfish_storage.metadata.lifecycle import closed_to_writes
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.puts import refused

_MOST_OPERATIONS: Final = 1000  # in one put: a group of the writer has no more
_MOST_BYTES: Final = 8 << 20
_AT_A_TIME: Final = 4  # puts under way to another machine; on a disk, one syncs for all who wait
_FEW: Final = 4  # operations: a put of no more is not worth waiting for
_MANY: Final = 20  # a put of so many need not wait


class PackedPuts:
    """Puts the data of operations in groups, and hands them in to the writer.

    What waits while a put is under way becomes the next group. Another put begins beside it for those who are few, so
    that they do not wait for each other, and for those who are many. (Measured with 30 ms a put, and callers that come
    at random: of 10, 45 ms each and 0.65 puts a record, where one put at a time takes 63 ms and 0.27; of 50, 61 ms and
    0.06 puts a record. Four puts at a time of whatever waits take 54 ms, and 0.19 puts a record.)

    Args:
        data: where the data goes.
        hand_in: takes operations whose data is there.
    """

    def __init__(self, data: DataHandler, hand_in: Callable[[Sequence[WriteOperation]], None]) -> None:
        self._data = data
        self._hand_in = hand_in
        # Of an object; a file goes on behind what was appended last, which may be another group's by now.
        self._can_take_back = data.parallel > 1
        self._changed = threading.Condition()
        self._accepting = True
        self._gathering: dict[asyncio.AbstractEventLoop, list[WriteOperation]] = {}
        self._waiting: deque[WriteOperation] = deque()
        self._under_way = 0  # operations whose data is being put
        # Daemons, so that a program that forgets to close still ends; `atexit` gives them time to finish.
        self._threads = [
            threading.Thread(target=self._run, name=f"starfish-storage-put-{number}", daemon=True)
            for number in range(min(data.parallel, _AT_A_TIME))
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, operation: WriteOperation) -> None:
        """Have an operation's data put; its future is resolved in the end, whatever happens. Called in its event loop.

        Raises:
            StorageClosedError: nothing is accepted any more.
        """
        loop = asyncio.get_running_loop()
        with self._changed:
            if not self._accepting:
                raise closed_to_writes()
            gathered = self._gathering.get(loop)
            if gathered is not None:
                gathered.append(operation)
                return
            self._gathering[loop] = [operation]
        # Handed over once every caller that is ready now has run: they become one group.
        loop.call_soon(self._hand_over, loop)

    def stop(self, timeout: float | None = None) -> None:
        """Finish what was accepted, or as much of it as can be done in the time. Idempotent. Blocks."""
        with self._changed:
            self._accepting = False
            for gathered in self._gathering.values():
                self._waiting.extend(gathered)
            self._gathering.clear()
            self._changed.notify_all()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._changed:
            self._waiting.extend(self._gathering.pop(loop, ()))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_time)
                operations = self._taken()
                self._under_way += len(operations)
                self._changed.notify()  # there may be enough left for another one
            if not operations:
                return
            self._put(operations)
            with self._changed:
                self._under_way -= len(operations)
                self._changed.notify()

    def _is_time(self) -> bool:
        waiting = len(self._waiting)
        return not self._accepting or (waiting > 0 and (self._under_way <= _FEW or waiting >= _MANY))

    def _taken(self) -> list[WriteOperation]:
        """Return what waits, as much of it as is put together; nothing once all is done."""
        taken: list[WriteOperation] = []
        size = 0
        while self._waiting and len(taken) < _MOST_OPERATIONS and size < _MOST_BYTES:
            operation = self._waiting.popleft()
            taken.append(operation)
            size += sum(len(write.payload or b"") for write in operation.data)
        return taken

    def _put(self, operations: Sequence[WriteOperation]) -> None:
        # Of data that comes twice in an operation, the last.
        items = [{write.key: write.payload or b"" for write in operation.data} for operation in operations]
        try:
            places = iter(self._data.append([payload for one in items for payload in one.values()], safe=True))
        except Exception as error:  # noqa: BLE001 (callers must not wait for ever)
            if len(operations) > 1 and not isinstance(error, StorageUnavailableError):  # all have waited as long
                for operation in operations:
                    self._put([operation])
                return
            for operation in operations:
                refused(operation, error)
            return
        for operation, one in zip(operations, items, strict=True):
            own = {key: next(places) for key in one}
            operation.versions = {key: place.version for key, place in own.items()}
            if len(operations) == 1 and self._can_take_back:
                operation.places = own  # nobody else's data lies there
        try:
            self._hand_in(operations)
        except StorageError as error:
            for operation in operations:
                refused(operation, error)
