"""The contract of actions: who did what to a store."""

from __future__ import annotations

from abc import ABC, abstractmethod

from starfish_storage.runs.actions import Action


class ActionLedger(ABC):
    """Keeps what people and programs did to a store beyond writing to it. Rows are only added."""

    @abstractmethod
    async def note_action(self, action: str, kind: str, target: str | None = None, detail: str | None = None) -> str:
        """Note what this process does, by the clock of the store, and return the id. Not idempotent. Durable.

        Whatever the store does itself, such as deleting a run, it notes in the same transaction.

        Args:
            action: what is done, such as ``"cancel"``.
            kind: to what, such as ``"run"``.
            target: its id or name; None for the store.
            detail: more, for people; what is longer than 1,000 characters is cut off.

        Raises:
            InvalidInputError: a text cannot be stored.
        """

    @abstractmethod
    async def list_actions(
        self, *, target: str | None = None, before: Action | None = None, limit: int = 100
    ) -> list[Action]:
        """Return what was done, the newest first.

        Args:
            target: the id or name of what it was done to; None for everything.
            before: the last one of the page before.
            limit: how many at most.

        Raises:
            InvalidInputError: ``limit`` is negative, or is not an integer.
        """
