"""What can be told of what happens, and the telling of nothing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from starfish_storage.runs import Finished, Usage


class Observed:
    """Something under way. This one is observed by nobody."""

    __slots__ = ()

    def note(self, status: str, error: BaseException | None = None) -> None:
        """Note how it ends.

        Args:
            status: its status, one of few.
            error: ended it; only its class is told, because its text may quote data.
        """

    def used(self, usage: Iterable[Usage]) -> None:
        """Note what calls of models have used in it."""

    def end(self, error: str | None = None) -> None:
        """End it, where it is no context. Idempotent.

        Args:
            error: a word for why it failed; None if it did not.
        """


_NOTHING = Observed()
_UNOBSERVED = nullcontext(_NOTHING)


class Telemetry:
    """Takes what happens. This one tells nobody.

    No method raises, none waits but for what a provider does, and none gets data, texts of errors or configurations.
    Any thread may call them.

    Attributes:
        is_on: whether anybody is told.
    """

    is_on: bool = False

    def run(self, run_id: str, worker_id: str) -> AbstractContextManager[Observed]:  # noqa: ARG002 (told to nobody)
        """A worker works on a run, as long as the context lasts."""
        return _UNOBSERVED

    def input(self, run_id: str, job_id: str) -> AbstractContextManager[Observed]:  # noqa: ARG002
        """A worker works on an input, as long as the context lasts. Ended by `finished`, if its outcome was stored."""
        return _UNOBSERVED

    def attempt(self, run_id: str, job_id: str, number: int) -> AbstractContextManager[Observed]:  # noqa: ARG002
        """An attempt is under way, as long as the context lasts: what the function itself traces belongs to it."""
        return _UNOBSERVED

    def request(self, name: str, model: str | None) -> Observed:  # noqa: ARG002
        """A model is asked, until it is ended.

        Args:
            name: method, host and path.
            model: that is asked for, if it is known.
        """
        return _NOTHING

    def used(self, usage: Usage) -> None:
        """A function has reported what a call used, which was no recorded request."""

    def corrected(self, cost: float) -> None:
        """A function has reported that a recorded request has cost so much more."""

    def finished(self, finished: Finished) -> None:
        """The outcome of the input that is under way here was stored."""

    def waited(self, seconds: float, reason: str) -> None:
        """Something has waited: a call for its turn (``"gate"``), or the run for its store (``"store"``)."""

    def paused(self, seconds: float) -> None:
        """Calls are paused for so long, because a provider has refused one."""

    def group(self, system: str, seconds: float, operations: int, failed: int) -> None:
        """A group of operations was committed, or refused.

        Args:
            system: the database, as OpenTelemetry calls it.
            seconds: how long it took.
            operations: how many.
            failed: how many of them were refused.
        """

    def round_trip(self, server: str) -> None:
        """A server was asked: ``"postgresql"`` or ``"object_store"``."""
