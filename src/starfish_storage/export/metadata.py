"""What an export says of a record beside its data: where it came from, when, and what was paid for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starfish_storage.export.annotations import held_annotations
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.runs import Annotation, InputAccount, RecordOrigin, verdict_of


async def describe(storage: Storage, records: Sequence[ScannedRecord]) -> list[dict[str, Any]]:
    """Return the metadata of records, in their order.

    Each has ``uid``, ``job_id``, ``master_job_id``, ``status``, ``start_time``, ``end_time``, ``error_message``; and
    ``input``, ``attempts``, ``input_tokens``, ``output_tokens`` and ``cost`` of the input that the record came from:
    where one input gave several records, each says what all of them have cost together. ``segment`` is the number of
    the segment of the run that made it; None if that is not stored. ``versions`` counts the outputs of the record that
    are kept, the current one included; ``conversions`` the values that its attempt converted; ``annotations`` what
    people say of it and holds. ``verdict`` is ``accepted``, ``rejected``, ``conflicting`` if they do not agree, or
    None.
    """
    job_ids = list(dict.fromkeys(record.job_id for record in records))
    accounts = await storage.ledger.account_for_inputs(job_ids)
    uids = [record.record_uid for record in records]
    origins = await storage.ledger.find_origins(uids)
    held = await held_annotations(storage, uids)
    return [
        _metadata(one, accounts.get(one.job_id), origins.get(one.record_uid), held.get(one.record_uid, ()))
        for one in records
    ]


def _metadata(
    record: ScannedRecord, account: InputAccount | None, origin: RecordOrigin | None, held: Sequence[Annotation]
) -> dict[str, Any]:
    return {
        "uid": record.record_uid,
        "job_id": record.job_id,
        "master_job_id": record.master_job_id,
        "status": record.status,
        "start_time": record.start_time,
        "end_time": record.end_time,
        "error_message": record.error_message,
        "input": None if account is None else account.run_config,
        "attempts": 0 if account is None else account.attempts,
        "input_tokens": 0 if account is None else account.input_tokens,
        "output_tokens": 0 if account is None else account.output_tokens,
        "cost": 0.0 if account is None else account.cost,
        "segment": None if origin is None else origin.segment,
        "versions": 1 if origin is None else origin.versions,
        "conversions": 0 if origin is None else origin.conversions,
        "annotations": len(held),
        "verdict": verdict_of(held),
    }
