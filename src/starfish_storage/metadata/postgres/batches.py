"""Many calls of one kind in few statements, so that the price of the network is paid for the group.

Each does what the calls' own changes would do one after the other. Where a call would be refused, `NeedsSavepointError`
sends the whole group to be made one by one, which finds out which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starfish_storage.codec import content_digest
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataWrite
from starfish_storage.interface.rows import ExecutionJobEndRow, ExecutionJobRow, RecordRow
from starfish_storage.keys import owner_uid
from starfish_storage.metadata.claiming import Claiming, Refreshing
from starfish_storage.metadata.finishing import Finishing, claim_for_all
from starfish_storage.metadata.ledger_writer import input_row
from starfish_storage.metadata.postgres.row_writer import NeedsSavepointError, PostgresRowWriter
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.step_writer import SavingStep

Whole = TypeVar("Whole", bound=Row)


def _save_execution_jobs(writer: PostgresRowWriter, rows: Sequence[ExecutionJobRow]) -> None:
    # By id, so that two groups with the same jobs do not wait for each other; the last of one id counts.
    by_id = sorted(rows, key=lambda row: row.job_id)
    writer.change_each("save_execution_job", by_id)


def _end_execution_jobs(writer: PostgresRowWriter, rows: Sequence[ExecutionJobEndRow]) -> None:
    last = _last_by_id(rows, lambda row: row.job_id)
    ended = writer.execute("end_execution_jobs", _columns(last)).fetchall()
    if len(ended) < len(last):
        raise NeedsSavepointError("to be found out which is missing")


def _save_rows_of_records(writer: PostgresRowWriter, rows: Sequence[RecordRow]) -> None:
    """Save rows whose data, where they have any, is their own and was saved before."""
    last = _last_by_id(rows, lambda row: row.record_uid)
    uids: list[str] = [row.record_uid for row in last]
    keys: list[str | None] = [row.output_ref for row in last]
    folded = list(map(fold, uids))
    if folded != uids or any(key is not None and owner_uid(key) != uid for uid, key in zip(uids, keys, strict=True)):
        raise NeedsSavepointError("to be looked at one by one")
    *columns, _ = _columns(last)  # the digests follow from where the data was
    try:
        found = writer.execute("save_rows_of_records", (*columns, uids, keys, folded)).fetchall()
    except writer.constraint_errors as error:
        raise NeedsSavepointError("to be found out which") from error
    located: set[str | None] = set()
    for kind, name, key, version, digest in found:
        if kind == "mixed":
            writer.check_mixed(name, uids)
        elif kind == "loose" or key in keys:
            located.add(key)
        elif key is not None and owner_uid(key) == name:
            writer.execute("save_loose_data", (key, key, version, digest))  # nothing refers to it now, and it stays
    if not located.issuperset(key for key in keys if key is not None):
        raise NeedsSavepointError("to be looked for elsewhere")


def _note_data(writer: PostgresRowWriter, given: Sequence[tuple[str, DataWrite]]) -> None:
    uids = [uid for uid, _ in given]
    folded = list(map(fold, uids))
    if folded != uids:
        raise NeedsSavepointError("to be claimed one by one")
    keys = [write.key for _, write in given]
    versions = [writer.version_of(key) for key in keys]
    digests = [content_digest(write.payload or b"") for _, write in given]
    for kind, name, key, version in writer.execute("note_data", (uids, keys, versions, digests, folded)).fetchall():
        if kind == "mixed":
            writer.check_mixed(name, uids)
        else:
            writer.remove(key, version)


def _save_steps(writer: PostgresRowWriter, saving: Sequence[SavingStep]) -> None:
    ids = sorted({one.row.job_id for one in saving})
    if len(writer.execute("lock_jobs_of_steps", (ids,)).fetchall()) < len(ids):
        raise NeedsSavepointError("to be found out which is missing")
    last = {tuple(call): reply for *call, reply in writer.execute("get_last_replies", (ids,))}
    for one in saving:
        call = (one.row.job_id, one.row.name, one.row.request_key, one.row.call)
        one.reply = last[call] = last.get(call, 0) + 1
    writer.change_each("save_step", [one.row._replace(reply=one.reply) for one in saving])


def _finish_inputs(writer: PostgresRowWriter, finishing: Sequence[Finishing]) -> None:
    ids = sorted({one.job_id for one in finishing})
    writer.execute("lock_workers", (sorted({one.outcome.worker_id for one in finishing}),))
    there = {row.end.job_id: row for row in map(input_row, writer.execute("lock_inputs", (ids,)))}
    plain: list[Finishing] = []
    others: list[Finishing] = []
    for one in finishing:
        before = there.pop(one.job_id, None)  # of two outcomes of one input, the second finds it finished
        (plain if before is not None and one.is_plain(before) else others).append(one)
    if plain:
        attempts, ends = zip(*(one.plain_rows() for one in plain), strict=True)
        writer.execute("save_attempts", _columns(attempts))
        writer.execute("finish_inputs", _columns(ends))
        writer.save_records([row for one in plain for row in one.records])
        claim_for_all(writer, plain)
    for one in others:
        one.apply(writer)
        if one.is_by_group:
            writer.save_records(one.records)


def _apply_each(writer: PostgresRowWriter, changes: Sequence[Claiming | Refreshing]) -> None:
    for one in changes:
        one.apply(writer)


BATCHES: dict[str, Callable[[PostgresRowWriter, Sequence[Any]], None]] = {
    "save_execution_jobs": _save_execution_jobs,
    "end_execution_jobs": _end_execution_jobs,
    "save_rows_of_records": _save_rows_of_records,
    "note_data": _note_data,
    "save_steps": _save_steps,
    "finish_inputs": _finish_inputs,
    "claim_inputs": _apply_each,
    "refresh_run": _apply_each,
}
"""By the names that operations give them."""


def _columns(rows: Sequence[Row]) -> Row:
    """Return rows as one list a column."""
    return tuple(map(list, zip(*rows, strict=True)))


def _last_by_id(rows: Sequence[Whole], id_of: Callable[[Whole], str]) -> list[Whole]:
    """Return the last row of each id, by id."""
    last = {id_of(row): row for row in rows}
    return [last[own_id] for own_id in sorted(last)]
