"""Making a version of a record the current one."""

from __future__ import annotations

from dataclasses import dataclass, field

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.interface.rows import RecordRow, WholeRecordRow
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.keys import record_key
from starfish_storage.metadata.earlier import EarlierOutcomeError, keep
from starfish_storage.metadata.ledger_writer import need_input
from starfish_storage.metadata.reopening import ENDED
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_records, whole_versions
from starfish_storage.metadata.settling import current_records, resettled
from starfish_storage.metadata.unique_keys import without_duplicates
from starfish_storage.runs import status_of_input


@dataclass(slots=True, eq=False, repr=False)
class Restoring:
    """The changes that make a version the current one; `apply` may be called again after it was taken back.

    Attributes:
        version: the version.
        current: the record as it was looked at; None if there is none.
        replaced: its current output as a version; None if it has no data.
        now: the time.
    """

    version: RecordVersionRow
    current: WholeRecordRow | None
    replaced: RecordVersionRow | None
    now: str
    undo: list[Change] = field(default_factory=list[Change])

    def apply(self, writer: RowWriter) -> list[Change]:
        """Make the changes, and return what takes them back."""
        version, uid = self.version, self.version.record_uid
        there = need_input(writer, version.job_id, version.master_job_id)
        if there.end.status not in ENDED:
            raise InvalidInputError(
                f"record {shorten(uid)} belongs to an input that is {there.end.status}: wait until it has ended."
            )
        self._check(writer)
        undo: list[Change] = [("finish_input", there.end)]
        undo += keep(writer, [] if self.replaced is None else [self.replaced], is_new=False)
        if self.current is not None and self.current.unique_key is not None:
            writer.change("set_unique_key", (None, uid))
            undo.append(("set_unique_key", (self.current.unique_key, uid)))
        (row,) = without_duplicates(writer, [self._row()], [version.unique_key])
        undo += writer.save_restored(row, version.number)
        writer.change("delete_version", version.id)
        undo.append(("save_version", version))
        for name, value, before in (
            ("set_unique_key", version.unique_key, None),
            ("set_record_attempt", version.number, None if self.current is None else self.current.attempt),
        ):
            writer.change(name, (value, uid))
            undo.append((name, (before, uid)))
        rows = current_records(writer, version.job_id)
        end = resettled(there.end, status_of_input([one.status for one in rows]), rows, self.now)
        writer.change("finish_input", end._replace(produced_outputs_count=len(rows)))
        return undo

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
