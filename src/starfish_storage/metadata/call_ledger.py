"""Recorded requests, over the database of the metadata."""

from __future__ import annotations

from typing import get_args

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface.calls import CallLedger, FindScope
from starfish_storage.metadata import call_rows, step_rows, values
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.row import Row
from starfish_storage.runs import CallCounts, Step
from starfish_storage.runs.inputs import job_ids_from


class SQLCallLedger(LedgerAccess, CallLedger):
    """See `CallLedger`, whatever the engine."""

    async def list_calls(self, job_id: str) -> list[Step]:
        """See `CallLedger.list_calls`."""
        found = await self._all("list_steps", (values.text("job_id", job_id),))
        steps = [self._read(step_rows.step, row) for row in found]
        return sorted(steps, key=lambda one: (one.attempt, one.asked_when or one.saved_when))

    async def find_reply(
        self, request_key: str, call: int, *, scope: FindScope, project_id: str | None = None
    ) -> Step | None:
        """See `CallLedger.find_reply`."""
        parameters: Row = (step_rows.request_key(request_key), values.integer("call", call))
        values.status("scope", scope, get_args(FindScope))
        if scope == "project":
            if project_id is None:
                raise InvalidInputError("project_id is needed to look for a reply in a project: give its id.")
            parameters = (*parameters, values.text("project_id", project_id))
        found = await self._first(f"find_reply_in_{scope}", parameters)
        return None if found is None else self._read(step_rows.step, found)

    async def count_calls(self, master_job_id: str) -> CallCounts:
        """See `CallLedger.count_calls`."""
        of = (values.text("master_job_id", master_job_id),)
        (totals,) = await self._database.all(self._queries["count_calls"], of, list)
        notes = await self._database.all(self._queries["count_call_notes"], of, list)
        return call_rows.counted(totals, notes)

    async def list_requests(self, master_job_id: str, after: Step | None = None, limit: int = 1000) -> list[Step]:
        """See `CallLedger.list_requests`."""
        of = values.text("master_job_id", master_job_id)
        most = values.whole("limit", limit, 0, 2**31)
        first, last = job_ids_from(of, 0)
        position: Row = (first, "", "", 0, 0)
        if after is not None:
            texts = (after.job_id, after.name, after.request_key)
            numbers = (after.call, after.reply)
            position = (*(values.text("after", one) for one in texts), *(values.integer("after", n) for n in numbers))
        found = await self._database.all(self._queries["list_requests"], (last, *position, of, most), list)
        return [self._read(step_rows.step, row) for row in found]
