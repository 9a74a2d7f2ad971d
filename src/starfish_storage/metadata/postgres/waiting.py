"""For how long calls wait for a server that does not answer: each for itself, however many wait before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from starfish_storage.errors import StorageError
from starfish_storage.metadata.operations import WriteOperation, resolve
from starfish_storage.metadata.postgres.connecting import CONNECT_SECONDS
from starfish_storage.metadata.postgres.retrying import pauses

Failed = Callable[[BaseException, float], StorageError]


class TryAgainError(Exception):
    """The connection was lost, or the server gave the transaction up for the sake of another one; the cause says."""

    @property
    def reason(self) -> BaseException:
        """What the driver raised."""
        return self.__cause__ or self


class Waiting:
    """Makes calls again, in the writer's thread, for as long as somebody waits for them.

    Args:
        seconds: for how long a call waits.
        abandoned: set when nobody waits any more, for whatever it is.
    """

    def __init__(self, seconds: float, abandoned: threading.Event) -> None:
        self.seconds = seconds
        self._abandoned = abandoned
        self._failed: tuple[float, BaseException] | None = None  # the last try: when, and why

    def insist(self, call: Callable[[], None], is_over: Callable[[BaseException], bool]) -> None:
        """Make a call again while it raises `TryAgainError`, until `is_over`, which is told why, says that it is.

        Raises:
            TryAgainError: it is over.
        """

        def stop(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome is not None else None
            assert isinstance(error, TryAgainError)
            self._failed = time.monotonic(), error.reason
            return is_over(error.reason) or self._abandoned.is_set()

        tries = Retrying(
            stop=stop,
            wait=pauses,
            retry=retry_if_exception_type(TryAgainError),
            sleep=self._pause,
            reraise=True,
        )
        tries(call)
        self._failed = None

    def refuse_expired(self, group: list[WriteOperation], reason: BaseException, failed: Failed) -> bool:
        """Fail the calls that have waited long enough, take them out of the group, and return whether none is left.

        They are told at once: others of the group may wait for longer.
        """
        now = time.monotonic()
        expired = [operation for operation in group if now - operation.accepted >= self.seconds]
        group[:] = [operation for operation in group if now - operation.accepted < self.seconds]
        for operation in expired:
            operation.error = failed(reason, now - operation.accepted)
        resolve(expired)
        return not group

    def failed_just_now(self, group: list[WriteOperation]) -> BaseException | None:
        """Return why the last try failed, if all of a group waited for it too and have waited long enough.

        So that what has piled up meanwhile fails together, and not one after the other.
        """
        if self._failed is None:
            return None
        when, reason = self._failed
        now = time.monotonic()
        is_late = all(now - operation.accepted >= self.seconds for operation in group)
        return reason if is_late and now - when < CONNECT_SECONDS else None

    def _pause(self, seconds: float) -> None:
        self._abandoned.wait(seconds)
