"""The writer: one thread that owns the writing connection and commits what callers hand in, group by group.

What the event loops hand in while one group becomes durable forms the next group, so all calls that wait share the
price of one commit.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from starfish_storage.errors import StorageError
from starfish_storage.metadata.lifecycle import closed_to_writes
from starfish_storage.metadata.operations import WriteOperation, resolve
from starfish_storage.telemetry import current, look
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_MOST_OPERATIONS = 1000  # in one group: bounds the wait of the first caller
_MOST_BYTES = 32 << 20  # of data in one group: bounds the memory and the log of the transaction
_IDLE_SECONDS = 0.25  # without work for so long, the journal is emptied
_EXIT_SECONDS = 5.0  # a program that never closed its storage waits at most so long at its end

Command = Callable[[], None]


class Commit(Protocol):
    """What commits groups; all of it runs in the writer's thread."""

    @property
    def system(self) -> str:
        """The database, as OpenTelemetry calls it."""
        ...

    @property
    def has_unsynced(self) -> bool:
        """Whether there is something to do when there is time."""
        ...

    @property
    def most_decided(self) -> int:
        """How many names a group of several operations decides on at most."""
        ...

    def run(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group. Afterwards each operation is durable or has its error."""
        ...

    def checkpoint_if_due(self, hand_in: Callable[[Command], None]) -> None:
        """Begin what is to be done in between, if it is due."""
        ...

    def checkpoint(self, hand_in: Callable[[Command], None]) -> None:
        """Begin what is to be done in between; its last step may be handed in to the writer's queue."""
        ...

    def close(self) -> None:
        """Finish and close."""
        ...


class Writer:
    """Takes operations from any number of event loops and has them committed.

    Args:
        open_commit: opens the connection; called, like everything it returns, in the writer's thread only.
    """

    def __init__(self, open_commit: Callable[[], Commit]) -> None:
        self._open_commit = open_commit
        self._queue: Final[queue.SimpleQueue[list[WriteOperation] | Command | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._gathering: dict[asyncio.AbstractEventLoop, list[WriteOperation]] = {}
        self._accepting = False
        # A daemon, so that a program that forgets to close still ends; `atexit` gives it time to finish.
        self._thread = threading.Thread(target=self._run, name="starfish-storage-writer", daemon=True)
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Open the store in the new thread, and return once that has worked. Blocks.

        Raises:
            StorageError: the store cannot be opened.
        """
        look()
        self._thread.start()
        error = self._opened.get()
        if error is not None:
            self._thread.join()
            raise error
        self._accepting = True
        atexit.register(self.stop, _EXIT_SECONDS)

    async def run(self, operation: WriteOperation) -> None:
        """Hand in an operation and wait until it is durable.

        Cancelling the wait abandons only the wait: an operation that was handed in is carried out.

        Raises:
            StorageError: it failed, and changed nothing.
        """
        loop = asyncio.get_running_loop()
        operation.future = loop.create_future()
        with self._lock:
            if not self._accepting:
                raise closed_to_writes()
            gathered = self._gathering.get(loop)
            if gathered is None:
                self._gathering[loop] = [operation]
                # Handed over once every caller that is ready now has run: they become one group instead of two.
                loop.call_soon(self._hand_over, loop)
            else:
                gathered.append(operation)
        await operation.future

    def hand_in(self, operations: Sequence[WriteOperation]) -> None:
        """Hand in operations, whose futures are set, from any thread.

        Raises:
            StorageClosedError: nothing is accepted any more.
        """
        now = time.monotonic()
        for operation in operations:
            operation.accepted = now  # what came before had its own time
        with self._lock:
            if not self._accepting:
                raise closed_to_writes()
            self._queue.put(list(operations))

    def stop(self, timeout: float | None = None) -> None:
        """Accept nothing more, finish what was accepted, and end the thread. Idempotent. Blocks."""
        with self._lock:
            if self._accepting:
                self._accepting = False
                for gathered in self._gathering.values():
                    self._queue.put(gathered)
                self._gathering.clear()
                self._queue.put(None)
                atexit.unregister(self.stop)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def abandon(self) -> None:
        """Leave everything to the parent: called in a forked child, where the thread does not exist."""
        self._lock = threading.Lock()  # the old one may be held by a thread that stayed behind
        self._accepting = False
        atexit.unregister(self.stop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            gathered = self._gathering.pop(loop, None)
            if gathered is not None:
                self._queue.put(gathered)

    def _run(self) -> None:
        try:
            commit = self._open_commit()
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits in start)
            self._opened.put(error)
            return
        self._opened.put(None)
        try:
            self._drain(commit)
        finally:
            commit.close()

    def _drain(self, commit: Commit) -> None:
        stopping = False
        while not stopping:
            group: list[WriteOperation] = []
            try:
                stopping = self._take(self._queue.get(timeout=_IDLE_SECONDS if commit.has_unsynced else None), group)
                while len(group) < _MOST_OPERATIONS and not stopping:
                    stopping = self._take(self._queue.get_nowait(), group)
            except queue.Empty:
                pass
            if group:
                for portion in _portions(group, commit.most_decided):
                    _commit_group(commit, portion)
                    commit.checkpoint_if_due(self._queue.put)
            elif not stopping and commit.has_unsynced:
                commit.checkpoint(self._queue.put)

    def _take(self, item: list[WriteOperation] | Command | None, group: list[WriteOperation]) -> bool:
        if item is None:
            return True
        if callable(item):
            item()
        else:
            group.extend(item)
        return False


def _portions(group: list[WriteOperation], most_decided: int) -> Iterator[list[WriteOperation]]:
    """Split what was handed in at once into groups of bounded size, in order.

    No two writes of one key share a group: taking back the first, if its file cannot be put in place, would take the
    row of the second with it. For that reason nothing shares one with what depends on it, such as a duplicate with the
    record that had its unique key first; and a deletion with what was written before.
    """
    if _fit_together(group):
        yield group
        return
    portion: list[WriteOperation] = []
    size = decided = 0
    keys: set[str] = set()
    for operation in group:
        own = [write.key for write in operation.data]
        own += operation.decides
        too_many = operation.decides and decided + len(operation.decides) > most_decided
        if portion and (too_many or operation.removals is not None or not keys.isdisjoint(own)):
            yield portion
            portion, size, decided, keys = [], 0, 0, set[str]()
        keys.update(own)
        decided += len(operation.decides)
        portion.append(operation)
        for write in operation.data:
            size += len(write.payload or b"")
        if len(portion) >= _MOST_OPERATIONS or size >= _MOST_BYTES:
            yield portion
            portion, size, decided, keys = [], 0, 0, set[str]()
    if portion:
        yield portion


def _fit_together(group: list[WriteOperation]) -> bool:
    """Return whether nothing of what `_portions` looks for is there, as is nearly always so."""
    writes = [write for operation in group for write in operation.data]
    return (
        len(group) <= _MOST_OPERATIONS
        and len({write.key for write in writes}) == len(writes)
        and sum(len(write.payload or b"") for write in writes) < _MOST_BYTES
        and not any(operation.decides or operation.removals is not None for operation in group)
    )


def _commit_group(commit: Commit, group: list[WriteOperation]) -> None:
    began = time.monotonic()
    try:
        commit.run(group)
    except Exception as error:  # noqa: BLE001 (a defect of ours must not leave callers waiting for ever)
        # Where it failed, and not the exception's own text: that may quote what was being written.
        kind, frames = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
        logger.error("the writer failed unexpectedly: %s in\n%s", kind, frames)  # noqa: TRY400
        for operation in group:
            if operation.done:
                continue
            operation.error = operation.error or StorageError(f"the writer failed unexpectedly ({kind}); see the log.")
    resolve(group)
    telemetry = current()
    if telemetry.is_on:
        failed = sum(operation.error is not None for operation in group)
        telemetry.group(commit.system, time.monotonic() - began, len(group), failed)
