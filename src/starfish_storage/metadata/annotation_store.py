"""What people say of records, over the database of the metadata."""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starfish_storage.codec import content_digest, encode
from starfish_storage.errors import (
    DataLostError,
    InvalidInputError,
    NotFoundError,
    RecordChangedError,
    shorten,
)
from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.annotations import AnnotationStore
from starfish_storage.interface.rows import WholeRecordRow
from starfish_storage.keys import owner_uid, record_key
from starfish_storage.metadata import annotation_rows, editing, values
from starfish_storage.metadata.earlier import EarlierOutcomeError
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.planning import set_aside
from starfish_storage.metadata.restoring import outputs_of, plan_restoring
from starfish_storage.metadata.selecting import position
from starfish_storage.metadata.stored_data import read_stored
from starfish_storage.runs.annotations import Annotation, AnnotationCounts, AnnotationKind
from starfish_storage.times import utc_now

if TYPE_CHECKING:
    from starfish_storage.models import Record

_SHA256_DIGITS = 64


class SQLAnnotationStore(LedgerAccess, AnnotationStore):
    """See `AnnotationStore`, whatever the engine."""

    async def add(
        self, record_uid: str, kind: AnnotationKind, value: Any, *, author: str, time: datetime | None = None
    ) -> Annotation:
        """See `AnnotationStore.add`."""
        given = _new_row(record_uid, kind, annotation_rows.value_text(kind, value), author)
        annotating = editing.Annotating(given._replace(time="" if time is None else values.timestamp("time", time)))
        await self._database.write(WriteOperation(annotating.apply))
        return annotation_rows.annotation(annotating.saved)

    async def edit_record(
        self, record_uid: str, data: dict[str, Any], *, author: str, replaces: str | None = None
    ) -> Annotation:
        """See `AnnotationStore.edit_record`."""
        given = _new_row(record_uid, "edit", "", author)
        payload = encode(data, f"data of record {shorten(record_uid)}")
        seen = None if replaces is None else _as_seen(replaces)
        while True:
            current, _ = await outputs_of(self._database, given.record_uid)
            if current is None:
                raise editing.no_record(given.record_uid)
            if seen is not None and seen not in (current.record.data_sha256, current.record.last_update_time):
                raise RecordChangedError(given.record_uid, "somebody has changed it since it was read")
            operation, change = await self._editing(current, payload, given)
            try:
                await self._database.write(operation)
            except EarlierOutcomeError:
                continue
            return annotation_rows.annotation(change.saved)

    async def _editing(
        self, current: WholeRecordRow, payload: bytes, given: AnnotationRow
    ) -> tuple[WriteOperation, editing.Editing]:
        """Return the operation that gives a record other data, and its changes."""
        row, uid = current.record, current.record.record_uid
        if current.place is None or row.output_ref is None:
            raise InvalidInputError(f"record {shorten(uid)} has no data that could be edited: it is {row.status}.")
        owner = owner_uid(row.output_ref)
        if owner != uid:
            raise InvalidInputError(f"record {shorten(uid)} has the data of record {shorten(owner)}: edit that one.")
        digest = content_digest(payload)
        if digest == (row.data_sha256 or content_digest(await self._read_place(current.place))):
            raise InvalidInputError(f"record {shorten(uid)} has just this data already: there is nothing to edit.")
        replaced, copy = await set_aside(self._database, self._data, current, values.timestamp("now", utc_now()))
        if replaced.output_ref is None:
            raise DataLostError(self._data.to_reference(current.place))
        key = record_key(uid)
        edited = row._replace(output_ref=key, data_sha256=digest)
        change = editing.Editing(current, replaced, edited, given._replace(master_job_id=row.master_job_id))
        writes = [self._data.write(key, payload)]
        # What lies under another key, as in a store of Starfish's, is left to `collect`: others may refer to it.
        return WriteOperation(change.apply, data=writes if copy is None else [*writes, copy]), change

    async def _read_place(self, place: str) -> bytes:
        return await read_stored(self._database, self._data, place, None)

    async def withdraw(self, annotation_id: str, *, author: str) -> Annotation:
        """See `AnnotationStore.withdraw`."""
        own_id, name = values.text("annotation_id", annotation_id), annotation_rows.author_name(author)
        while True:
            found = await self._first("get_annotation", (own_id,))
            if found is None:
                raise editing.no_annotation(own_id)
            row = AnnotationRow._make(found)
            if row.author != name:
                raise InvalidInputError(
                    f"annotation {shorten(own_id)} is by {shorten(row.author)}, not by {shorten(name)}: only who "
                    "said something can withdraw it."
                )
            if row.withdrawn is not None:
                return annotation_rows.annotation(row)
            now = values.timestamp("now", utc_now())
            if row.kind != "edit":
                withdrawing = partial(editing.withdraw, annotation_id=own_id, now=now)
                return annotation_rows.annotation(await self._write(withdrawing))
            try:
                await self._database.write(await self._taking_back(row, now))
            except EarlierOutcomeError:
                continue

    async def _taking_back(self, row: AnnotationRow, now: str) -> WriteOperation:
        """Return the operation that brings back what an edit has replaced, and withdraws it."""
        number = annotation_rows.annotation(row).value["version"]
        current, versions = await outputs_of(self._database, row.record_uid)
        if current is None or current.record.last_update_time != row.time:
            raise RecordChangedError(row.record_uid, "it was changed after the edit, so that this cannot be taken back")
        wanted = next((one for one in versions if one.version.number == number), None)
        if wanted is None:
            remedy = "it has been removed since; edit the record once more"
            raise NotFoundError("version", f"{row.record_uid} {number}", remedy)
        return await plan_restoring(self._database, self._data, current, wanted, now, withdraws=row.annotation_id)

    async def list(self, record_uids: Sequence[str]) -> builtins.list[Annotation]:
        """See `AnnotationStore.list`."""
        wanted = dict.fromkeys(_uids("record_uids", record_uids))
        rows = [AnnotationRow._make(row) for row in await self._database.all_of("list_annotations", list(wanted))]
        rows.sort(key=lambda row: row.place)
        return [self._read(annotation_rows.annotation, row) for row in rows]

    async def list_for_run(
        self, master_job_id: str, after: Annotation | None = None, limit: int = 1000
    ) -> builtins.list[Annotation]:
        """See `AnnotationStore.list_for_run`."""
        of, most = values.text("master_job_id", master_job_id), _limit(limit)
        place = ("", "") if after is None else _place_of(after)
        found = await self._all("list_annotations_of_run", (of, *place, most))
        return [self._read(annotation_rows.annotation, row) for row in found]

    async def count(self, master_job_id: str) -> AnnotationCounts:
        """See `AnnotationStore.count`."""
        of = (values.text("master_job_id", master_job_id),)
        ((accepted, rejected, conflicting),) = await self._all("count_verdicts", of)
        ((rated, mean),) = await self._all("count_ratings", of)
        labels = {annotation_rows.said(value): count for value, count in await self._all("count_labels", of)}
        others = dict(await self._all("count_other_annotations", of))
        return AnnotationCounts(
            accepted,
            rejected,
            conflicting,
            dict(sorted(labels.items(), key=lambda one: (-one[1], one[0]))),
            rated,
            mean,
            others.get("comment", 0),
            others.get("edit", 0),
        )

    async def next_unreviewed(
        self,
        master_job_id: str,
        author: str,
        *,
        after: Record | None = None,
        skip: Sequence[str] = (),
        limit: int = 1,
    ) -> builtins.list[Record]:
        """See `AnnotationStore.next_unreviewed`."""
        of, name, most = values.text("master_job_id", master_job_id), annotation_rows.author_name(author), _limit(limit)
        place = ("", "")
        if after is not None:
            place = position(after)
        left_out = set(_uids("skip", skip))
        found = await self._all("list_unreviewed", (of, *place, name, most + len(left_out)))
        records = [self._read(self._codec.record, row) for row in found]
        return [record for record in records if record.record_uid not in left_out][:most]


def _new_row(record_uid: str, kind: str, value: str, author: str) -> AnnotationRow:
    uid = values.text("record_uid", record_uid)
    return AnnotationRow(uuid.uuid4().hex, uid, "", kind, value, annotation_rows.author_name(author), "", None)


def _uids(name: str, given: object) -> builtins.list[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidInputError(f"{name} must be a list of uids of records, such as ['record-1'].")
    return [values.text("record_uid", uid) for uid in cast("Iterable[object]", given)]


def _place_of(after: object) -> tuple[str, str]:
    if not isinstance(after, Annotation):
        raise InvalidInputError(f"an Annotation is needed to begin behind, not {type(after).__name__}.")
    return annotation_rows.row_of(after).place


def _limit(limit: int) -> int:
    most = values.integer("limit", limit)
    if most < 0:
        raise InvalidInputError(f"limit {most} cannot be used: give 0 or more.")
    return min(most, 2**31)


def _as_seen(replaces: str) -> str:
    """Return what tells a record that was read from one that has changed, as its row has it."""
    text = values.text("replaces", replaces)
    if len(text) == _SHA256_DIGITS:
        return text.lower()
    try:
        return values.timestamp("replaces", datetime.fromisoformat(text))
    except ValueError as error:
        raise InvalidInputError("replaces must be a SHA-256 or a time in ISO 8601: that of the data seen.") from error
