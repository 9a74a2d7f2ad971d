"""What runs are compared by, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from starfish_storage.interface.comparing import ComparisonLedger
from starfish_storage.metadata import values
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.row import Row
from starfish_storage.runs import InputOfContent

if TYPE_CHECKING:
    from starfish_storage.models import Record


class SQLComparisonLedger(LedgerAccess, ComparisonLedger):
    """See `ComparisonLedger`, whatever the engine."""

    async def list_inputs_by_content(
        self, master_job_id: str, *, after: InputOfContent | None = None, limit: int
    ) -> list[InputOfContent]:
        """See `ComparisonLedger.list_inputs_by_content`."""
        of, most = values.text("master_job_id", master_job_id), values.whole("limit", limit, 0, 2**31)
        found: list[Row] = []
        digest = ""
        if after is not None:
            digest, created = values.text("after", after.digest), values.timestamp("after", after.creation_time)
            equal = (of, digest, created, values.text("after", after.job_id), most)
            found = await self._database.all(self._queries["list_inputs_of_content"], equal, list)
        if len(found) < most:
            rest = (of, digest, most - len(found))
            found += await self._database.all(self._queries["list_inputs_by_content"], rest, list)
        return [self._read(_input_of_content, row) for row in found]

    async def list_outputs(self, job_ids: Sequence[str]) -> dict[str, list[Record]]:
        """See `ComparisonLedger.list_outputs`."""
        found = await self._database.all_of("list_outputs", [values.text("job_id", one) for one in job_ids])
        records = [self._read(self._codec.record, row) for row in found]
        outputs: dict[str, list[Record]] = {}
        # The uids of outputs end with their number, whose digits have no zeros before them.
        for record in sorted(records, key=lambda one: (len(one.record_uid), one.record_uid)):
            outputs.setdefault(record.job_id, []).append(record)
        return outputs

    async def find_contents(self, record_uids: Sequence[str]) -> dict[str, str]:
        """See `ComparisonLedger.find_contents`."""
        return dict(
            await self._database.all_of("find_contents", [values.text("record_uid", one) for one in record_uids])
        )


def _input_of_content(row: Row) -> InputOfContent:
    job_id, position, status, digest, created = row
    return InputOfContent(job_id, position, status, digest, datetime.fromisoformat(created))
