"""Making a version of a record the current one."""

from __future__ import annotations

from dataclasses import dataclass

from starfish_storage.errors import DataLostError, InvalidInputError, shorten
from starfish_storage.interface import DataHandler
from starfish_storage.interface.rows import InputRow, RecordRow, WholeRecordRow
from starfish_storage.interface.version_rows import RecordVersionRow, WholeVersionRow
from starfish_storage.keys import record_key
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.earlier import EarlierOutcomeError, keep
from starfish_storage.metadata.editing import withdraw
from starfish_storage.metadata.ledger_writer import need_input
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.planning import set_aside
from starfish_storage.metadata.reopening import ENDED
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_records, whole_versions
from starfish_storage.metadata.settling import current_records, resettled
from starfish_storage.metadata.stored_data import read_stored
from starfish_storage.metadata.unique_keys import names_of_keys, without_duplicates
from starfish_storage.runs import status_of_input


@dataclass(slots=True, eq=False, repr=False)
class Restoring:
    """The changes that make a version the current one; `apply` may be called again after it was taken back.

    Attributes:
        version: the version.
        current: the record as it was looked at; None if there is none.
        replaced: its current output as a version; None if it has no data.
        now: the time.
        withdraws: the edit that has replaced the version; None if it is restored for another reason. The status of the
            input then stays what it is.
    """

    version: RecordVersionRow
    current: WholeRecordRow | None
    replaced: RecordVersionRow | None
    now: str
    withdraws: str | None = None

    def apply(self, writer: RowWriter) -> list[Change]:
        """Make the changes, and return what takes them back."""
        version, uid = self.version, self.version.record_uid
        there = need_input(writer, version.job_id, version.master_job_id)
        if self.withdraws is None and there.end.status not in ENDED:
            raise InvalidInputError(
                f"record {shorten(uid)} belongs to an input that is {there.end.status}: wait until it has ended."
            )
        self._check(writer)
        undo: list[Change] = []
        undo += keep(writer, [] if self.replaced is None else [self.replaced], is_new=False)
        if self.current is not None and self.current.unique_key is not None:
            writer.change("set_unique_key", (None, uid))
            undo.append(("set_unique_key", (self.current.unique_key, uid)))
        (row,) = without_duplicates(writer, [self._row()], [version.unique_key])
        undo += writer.save_restored(row, version.number)
        writer.change("delete_version", version.id)
        undo.append(("save_version", version))
        numbers = (version.number, None) if version.attempt is None else (version.attempt, version.number)
        for name, values, before in (
            ("set_unique_key", (version.unique_key,), (None,)),
            ("set_record_attempt", numbers, (None, None) if self.current is None else self.current.numbers),
        ):
            writer.change(name, (*values, uid))
            undo.append((name, (*before, uid)))
        if self.withdraws is not None:
            return undo + self._withdraw(writer, self.withdraws)
        noted = note_action(writer, "restore", "record", uid, f"version {version.number}")
        return [*undo, ("delete_action", (noted,)), *self._settle(writer, there)]

    def _settle(self, writer: RowWriter, there: InputRow) -> list[Change]:
        rows = current_records(writer, self.version.job_id)
        end = resettled(there.end, status_of_input([one.status for one in rows]), rows, self.now)
        writer.change("finish_input", end._replace(produced_outputs_count=len(rows)))
        return [("finish_input", there.end)]

    def _withdraw(self, writer: RowWriter, annotation_id: str) -> list[Change]:
        if withdraw(writer, annotation_id, self.now).withdrawn != self.now:
            raise EarlierOutcomeError("the edit has been withdrawn.")
        return [("withdraw_annotation", (None, annotation_id))]

    def _row(self) -> RecordRow:
        version = self.version
        return RecordRow(
            record_uid=version.record_uid,
            job_id=version.job_id,
            master_job_id=version.master_job_id,
            status=version.status,
            output_ref=record_key(version.record_uid),
            start_time=version.start_time,
            end_time=version.end_time,
            last_update_time=self.now,
            error_message=version.error_message,
            data_sha256=version.data_sha256,
        )

    def _check(self, writer: RowWriter) -> None:
        """Raise if the record or the version is not what was looked at."""
        uid = self.version.record_uid
        records = whole_records(writer.execute("get_whole_record", (uid,)).fetchall())
        versions = whole_versions(writer.execute("list_versions", (uid,)).fetchall())
        if next(iter(records), None) != self.current or self.version not in [one.version for one in versions]:
            raise EarlierOutcomeError("the record has changed.")


async def outputs_of(database: Database, record_uid: str) -> tuple[WholeRecordRow | None, list[WholeVersionRow]]:
    """Return a record, None if there is none, and its versions."""
    versions = whole_versions(await database.all_at_once(database.queries["list_versions"], (record_uid,)))
    records = whole_records(await database.all_at_once(database.queries["get_whole_record"], (record_uid,)))
    return next(iter(records), None), versions


async def plan_restoring(
    database: Database,
    data: DataHandler,
    current: WholeRecordRow | None,
    wanted: WholeVersionRow,
    now: str,
    withdraws: str | None = None,
) -> WriteOperation:
    """Return the operation that makes a version the current one.

    Args:
        database: knows what there is.
        data: where record data lies.
        current: the record as it was looked at; None if there is none.
        wanted: the version.
        now: the time.
        withdraws: the edit that has replaced it, which is withdrawn in the same step.

    Raises:
        DataLostError: the data of the version is missing.
        StoreDamagedError: the data of the version is not what was saved.
    """
    version, place = wanted
    if place is None or version.output_ref is None:
        raise DataLostError(data.to_reference(record_key(version.record_uid)))
    payload = await read_stored(database, data, place, version.data_sha256)
    replaced, copy = None, None
    if current is not None and current.record.output_ref is not None:
        replaced, copy = await set_aside(database, data, current, now)
    restoring = Restoring(version, current, replaced, now, withdraws)
    decides = names_of_keys(version.master_job_id, [version.unique_key])
    if not database.overwrites_data:
        return WriteOperation(restoring.apply, decides=decides)
    writes = [data.write(record_key(version.record_uid), payload)]
    return WriteOperation(
        restoring.apply,
        data=writes if copy is None else [*writes, copy],
        drops=[data.remove(version.output_ref)],
        decides=decides,
    )
