"""What is asked of the run of a recorded function as a whole: its records, and calls for many inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from starfish_storage.decorating.recording import Recording
from starfish_storage.generation.going_on import go_on
from starfish_storage.generation.lifecycle import Run
from starfish_storage.generation.run_options import RunOptions, check_call
from starfish_storage.generation.starting import stored_run
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.portal import awaited

_BATCH = 1000


class RecordedRow(TypedDict):
    """A record of a recorded function.

    Attributes:
        input: the arguments of the call, by the names of the parameters.
        data: the data of the record: the dict that the function returned, ``{"text": ...}`` of a text, or
            ``{"value": ...}`` of anything else.
    """

    input: dict[str, Any]
    data: dict[str, Any]


async def records_of(recording: Recording) -> list[RecordedRow]:
    """Return the completed records of the run, in the order of the first calls; none if there is no run."""
    storage, run_id = await awaited(recording.opened())
    found: list[tuple[int, int, RecordedRow]] = []
    batch: list[Record] = []
    async for record in storage.iter_records(run_id, ["completed"]):
        batch.append(record)
        if len(batch) == _BATCH:
            found += await _rows(storage, batch)
            batch = []
    found += await _rows(storage, batch)
    return [row for *_, row in sorted(found, key=lambda one: one[:2])]


async def _rows(storage: Storage, records: Sequence[Record]) -> list[tuple[int, int, RecordedRow]]:
    kept = [(one, one.output_ref) for one in records if one.output_ref is not None]
    data = await storage.get_records_data([reference for _, reference in kept])
    accounts = await storage.ledger.account_for_inputs(list(dict.fromkeys(one.job_id for one, _ in kept)))
    rows: list[tuple[int, int, RecordedRow]] = []
    for (record, _), held in zip(kept, data, strict=True):
        account = accounts[record.job_id]
        number = int(record.record_uid.rpartition("-")[2])
        rows.append((account.position or 0, number, {"input": account.run_config or {}, "data": held}))
    return rows


async def carried_out(
    recording: Recording, function: Callable[..., Any], inputs: Sequence[dict[str, Any]], options: RunOptions
) -> Run:
    """Call a function for inputs without stored results, in the event loop that runs, and return how its run stands.

    Args:
        recording: the run.
        function: what stands for the function.
        inputs: the inputs.
        options: see `RunOptions`.
    """
    check_call("run", options)
    await awaited(recording.register(inputs))
    storage, run_id = await awaited(recording.opened())
    state, job, config = await stored_run(storage, run_id)
    return await go_on(storage, state, job, config, function, None, options)
