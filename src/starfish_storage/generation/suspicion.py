"""Which stored reply an error of the function makes suspect, so that the next attempt asks for it again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from starfish_storage.generation.retrying import is_of_connection
from starfish_storage.runs import Step


@dataclass(frozen=True, slots=True)
class ReplyCame:
    """A reply that the function got, stored or new.

    Attributes:
        step: the reply.
        called: when the function called for it, as the how manieth event of the attempt.
        came: when it came, likewise.
    """

    step: Step
    called: int
    came: int


@dataclass(slots=True)
class Course:
    """What has happened in an attempt, in order: calls for steps, replies that came, and calls that failed.

    Attributes:
        replies: those that came, in order.
        calling: how many calls are under way, or wait for that of another attempt.
        streaming: how many of them have begun to give the function an answer that is not whole yet.
    """

    replies: list[ReplyCame] = field(default_factory=list[ReplyCame])
    calling: int = 0
    streaming: int = 0
    _left: int = -1
    _failures: list[tuple[BaseException, int]] = field(default_factory=list[tuple[BaseException, int]])
    _events: Iterator[int] = field(default_factory=itertools.count)

    def now(self) -> int:
        """Return the number of the next event. Any thread may call this."""
        return next(self._events)

    def reply(self, step: Step, called: int) -> None:
        """Note that the function gets a reply."""
        self.replies.append(ReplyCame(step, called, self.now()))

    def forget(self, name: str) -> None:
        """Say nothing about the replies to the steps of a name any more."""
        self.replies = [one for one in self.replies if one.step.name != name]

    def failure(self, error: BaseException) -> None:
        """Note that a call failed, not the function."""
        self._failures.append((error, self.now()))

    def left(self) -> None:
        """Note that the function has read only a part of an answer, which is not a reply."""
        self._left = self.now()

    def suspect(self, error: BaseException, *, timed_out: bool) -> Step | None:
        """Return the reply that an error makes suspect: the last one that came before it, or None.

        An error that arose while a call was under way says nothing about the replies before. Of replies that were
        called for together, as with `asyncio.gather`, the last is not more suspect than the others: so that none is
        read for ever, it is the one that was asked for least often, of these the last. If the function had begun to
        read another answer, the error is about that one, which is not stored.

        Args:
            error: ended the attempt.
            timed_out: whether the attempt ran out of its time, which is no error of anybody.
        """
        if not self.replies or self._is_of_calls(error, timed_out=timed_out):
            return None
        last = self.replies[-1]
        if self.streaming or self._left > last.came:
            return None
        together = [one for one in self.replies if one.came > last.called]
        return min(reversed(together), key=lambda one: one.step.reply).step

    def _is_of_calls(self, error: BaseException, *, timed_out: bool) -> bool:
        last_came = self.replies[-1].came
        if timed_out:
            return self.calling > 0 or any(at > last_came for _, at in self._failures)
        if isinstance(error, BaseExceptionGroup):
            parts = cast("BaseExceptionGroup[BaseException]", error).exceptions
            return all(self._is_of_calls(one, timed_out=False) for one in parts)
        if is_of_connection(error) or any(failure is error for failure, _ in self._failures):
            return True
        # The function has caught the failure of a call and raised another error, before anything else came.
        latest = [failure for failure, at in self._failures if at > last_came]
        return any(one is failure for one in _chain(error) for failure in latest)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    pending, seen = [error], set[int]()
    while pending:
        one = pending.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            pending += [other for other in (one.__cause__, one.__context__) if other is not None]
