"""Who did what, over the database of the metadata."""

from __future__ import annotations

from starfish_storage.interface.actions import ActionLedger
from starfish_storage.metadata import values
from starfish_storage.metadata.action_rows import action as action_of
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.runs.actions import Action

_LAST = "9999-12-31T23:59:59.999999Z"


class SQLActionLedger(LedgerAccess, ActionLedger):
    """See `ActionLedger`, whatever the engine."""

    async def note_action(self, action: str, kind: str, target: str | None = None, detail: str | None = None) -> str:
        """See `ActionLedger.note_action`."""
        return await self._write(lambda writer: note_action(writer, action, kind, target, detail))

    async def list_actions(
        self, *, target: str | None = None, before: Action | None = None, limit: int = 100
    ) -> list[Action]:
        """See `ActionLedger.list_actions`."""
        most = values.whole("limit", limit, 0, 2**31)
        page = (_LAST, "g") if before is None else (values.timestamp("before", before.time), before.action_id)
        if target is None:
            found = await self._all("list_actions", (*page, most))
        else:
            found = await self._all("list_actions_on", (values.text("target", target), *page, most))
        return [self._read(action_of, row) for row in found]
