"""Where exported records came from: their runs, and the inputs they were made of."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.export.records import RecordSource
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.runs.imported_batches import is_batch


async def sources_of(storage: Storage, records: Sequence[ScannedRecord]) -> list[RecordSource]:
    """Return where records came from, in their order; two queries, however many they are.

    Rows of imported files have no input: their execution job is a batch of rows.
    """
    accounts = await storage.ledger.account_for_inputs(list(dict.fromkeys(record.job_id for record in records)))
    digests = await storage.ledger.find_contents([record.record_uid for record in records])
    found: list[RecordSource] = []
    for record in records:
        given = None if (account := accounts.get(record.job_id)) is None else account.run_config
        if is_batch(record.job_id, record.master_job_id, given):
            found.append(RecordSource(record.job_id, record.master_job_id, None, None))
        else:
            found.append(RecordSource(record.job_id, record.master_job_id, digests.get(record.record_uid), given))
    return found
