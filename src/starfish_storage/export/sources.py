"""Where exported records came from: their runs, and the inputs they were made of."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.export.records import RecordSource
from starfish_storage.interface import ScannedRecord, Storage


async def sources_of(storage: Storage, records: Sequence[ScannedRecord]) -> list[RecordSource]:
    """Return where records came from, in their order; two queries, however many they are."""
    accounts = await storage.ledger.account_for_inputs(list(dict.fromkeys(record.job_id for record in records)))
    digests = await storage.ledger.find_contents([record.record_uid for record in records])
    return [
        RecordSource(
            record.job_id,
            record.master_job_id,
            digests.get(record.record_uid),
            None if (account := accounts.get(record.job_id)) is None else account.run_config,
        )
        for record in records
    ]
