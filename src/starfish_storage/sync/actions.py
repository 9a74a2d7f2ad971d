# Made by scripts/make_sync.py from starfish_storage.interface.actions: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.actions`."""

from __future__ import annotations

from starfish_storage import portal
from starfish_storage.interface import actions as asynchronous
from starfish_storage.runs.actions import Action
from starfish_storage.sync.face import Face


class ActionLedger(Face):
    """Keeps what people and programs did to a store beyond writing to it. Rows are only added."""

    @property
    def _called(self) -> asynchronous.ActionLedger:
        return self._asynchronous

    def note_action(self, action: str, kind: str, target: str | None = None, detail: str | None = None) -> str:
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
        return portal.call(self._called.note_action(action, kind, target, detail))

    def list_actions(
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
        return portal.call(self._called.list_actions(target=target, before=before, limit=limit))
