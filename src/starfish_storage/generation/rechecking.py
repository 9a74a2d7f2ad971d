"""Runs the checks of a run over the outputs that it has stored, without calling its function."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

from starfish_storage.errors import DataLostError
from starfish_storage.generation.outcomes import ACCEPT, CHECK, SCHEMA, UNIQUE, OutputChecks
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.runs import Output, output_record_uid
from starfish_storage.statuses import COUNTED_STATUSES
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_PAGE = 200  # records whose data is read at a time

_BY_CHECKS = {
    "failed": (SCHEMA, UNIQUE, CHECK),
    "filtered": (ACCEPT,),
    "duplicate": ("the same as record ",),  # as the ledger says
}
"""How the message of an output begins whose status a check has given it; others are as the function said."""


async def recheck(storage: Storage, master_job_id: str, checks: OutputChecks, *, is_new_schema: bool) -> dict[str, int]:
    """Check the current outputs of every ended input again, and store what became of them. Idempotent.

    Each input is stored in a step of its own, so whoever is interrupted starts again and loses nothing.

    Args:
        storage: holds the run.
        master_job_id: the run.
        checks: the checks.
        is_new_schema: whether the schema is not the one that the run was started with, which completed outputs fit.

    Returns:
        How many outputs are ``unchanged``, or how many went from one status to another: ``"failed to completed"``.

    Raises:
        StorageError: the store failed.
    """
    changes, broken = Counter[str](), list[str]()
    page: list[list[Record]] = []
    async for outputs in _outputs_of_inputs(storage, master_job_id):
        page.append(outputs)
        if sum(map(len, page)) >= _PAGE:
            changes += await _recheck_page(storage, page, checks, is_new_schema=is_new_schema, broken=broken)
            page = []
    changes += await _recheck_page(storage, page, checks, is_new_schema=is_new_schema, broken=broken)
    if broken:
        outputs = "1 output stays" if len(broken) == 1 else f"{len(broken):,} outputs stay"
        logger.warning("%s as before: %s; correct the check, and run the recheck again", outputs, broken[0])
    return dict(sorted(changes.items()))


async def _outputs_of_inputs(storage: Storage, master_job_id: str) -> AsyncIterator[list[Record]]:
    """Yield the current records of each input that `generate` has made.

    They need not stand together: one that was restored has the times of its own attempt.
    """
    async for record in storage.iter_records(master_job_id, COUNTED_STATUSES):
        if record.record_uid == output_record_uid(record.job_id, 0):
            of_input = await storage.list_record_metadata(master_job_id, record.job_id)
            yield [one for one in of_input if one.status in COUNTED_STATUSES]


async def _recheck_page(
    storage: Storage, page: list[list[Record]], checks: OutputChecks, *, is_new_schema: bool, broken: list[str]
) -> Counter[str]:
    parts = (_recheck_input(storage, one, checks, is_new_schema=is_new_schema, broken=broken) for one in page)
    return sum(await asyncio.gather(*parts), Counter[str]())


async def _recheck_input(
    storage: Storage, records: list[Record], checks: OutputChecks, *, is_new_schema: bool, broken: list[str]
) -> Counter[str]:
    numbered = {record.record_uid: record for record in records}
    job_id, run_id = records[0].job_id, records[0].master_job_id
    in_order = [numbered.get(output_record_uid(job_id, number)) for number in range(len(records))]
    outputs = [
        await _judged(storage, record, checks, is_new_schema=is_new_schema, broken=broken)
        for record in in_order
        if record is not None
    ]
    if len(outputs) != len(records):
        return Counter()  # not made by `generate`
    if all(new.unique_key is None and _is_as_before(old, new) for old, new in zip(in_order, outputs, strict=True)):
        return Counter({"unchanged": len(outputs)})
    judged = {record.record_uid: record.last_update_time for record in records}
    finished = await storage.ledger.settle_outputs(run_id, job_id, outputs, judged=judged)
    if finished.status is None:
        return Counter()  # it runs again, or has
    before = [record.status for record in in_order if record is not None]
    pairs = zip(before, finished.statuses, strict=True)
    return Counter("unchanged" if old == new else f"{old} to {new}" for old, new in pairs)


def _is_as_before(old: Record | None, new: Output) -> bool:
    return old is not None and (old.status, old.error_message) == (new.status, new.error_message)


async def _judged(
    storage: Storage, record: Record, checks: OutputChecks, *, is_new_schema: bool, broken: list[str]
) -> Output:
    """Return an output as the checks see it now; one of which they had nothing to say, as it is."""
    message = record.error_message or ""
    as_it_is = Output(record.status, None, record.error_message)
    is_completed = record.status == "completed"
    if record.output_ref is None or not (is_completed or message.startswith(_BY_CHECKS[record.status])):
        return as_it_is
    try:
        data = await storage.get_record_data(record.output_ref)
    except DataLostError:
        return as_it_is  # `verify` tells about it
    judged = await checks.check_again(data, fits_schema=is_completed and not is_new_schema)
    if not _is_broken(judged) or message.startswith(CHECK):
        return judged
    # A check that is broken says nothing about an output, and takes nothing away from what another has said.
    broken.append((judged.error_message or "").removeprefix(CHECK))
    key = await checks.unique_key(data) if is_completed else None
    return replace(as_it_is, unique_key=key)


def _is_broken(judged: Output) -> bool:
    return judged.status == "failed" and (judged.error_message or "").startswith(CHECK)
