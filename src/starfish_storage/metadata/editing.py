"""Row changes of annotations: adding, withdrawing, and edits, each within the transaction of its group."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from starfish_storage.errors import NotFoundError
from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.rows import RecordRow, WholeRecordRow
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.metadata import values
from starfish_storage.metadata.annotation_rows import edit_text
from starfish_storage.metadata.earlier import EarlierOutcomeError, keep
from starfish_storage.metadata.ledger_writer import need_input
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_records


@dataclass(slots=True, eq=False, repr=False)
class Annotating:
    """The change that stores an annotation; `apply` may be called again after it was taken back.

    Attributes:
        row: the annotation, but for the run of its record; without a time, it gets the next one.
        saved: the annotation as it was stored.
    """

    row: AnnotationRow
    saved: AnnotationRow = field(init=False)

    def apply(self, writer: RowWriter) -> None:
        """Make the change."""
        uid = self.row.record_uid
        master_job_id: str | None = writer.first_value("lock_annotated", (uid,))
        if master_job_id is None:
            raise no_record(uid)
        moment = self.row.time or next_moment(writer, uid)
        self.saved = self.row._replace(master_job_id=master_job_id, time=moment)
        writer.change("save_annotation", self.saved)


@dataclass(slots=True, eq=False, repr=False)
class Editing:
    """The changes that give a record other data; `apply` may be called again after it was taken back.

    Attributes:
        current: the record as it was looked at.
        replaced: its current output as a version.
        row: the record with the new data.
        annotation: what says so, but for the time and the version.
        saved: the annotation as it was stored.
    """

    current: WholeRecordRow
    replaced: RecordVersionRow
    row: RecordRow
    annotation: AnnotationRow
    saved: AnnotationRow = field(init=False)

    def apply(self, writer: RowWriter) -> list[Change]:
        """Make the changes, and return what takes them back."""
        uid = self.row.record_uid
        need_input(writer, self.row.job_id, self.row.master_job_id)  # locked with it, before its records
        found = whole_records(writer.execute("get_whole_record", (uid,)).fetchall())
        if found != [self.current]:
            raise EarlierOutcomeError("the record has changed.")
        writer.first("lock_annotated", (uid,))
        moment = next_moment(writer, uid)
        before = writer.values("list_version_numbers", (uid,))
        undo = keep(writer, [self.replaced], is_new=False)
        numbers = writer.values("list_version_numbers", (uid,))
        (replaced,) = set(numbers).difference(before)
        (own,) = writer.save_records([self.row._replace(last_update_time=moment)])
        undo += own
        writer.change("set_record_attempt", (self.current.attempt, max(numbers) + 1, uid))
        undo.append(("set_record_attempt", (*self.current.numbers, uid)))
        self.saved = self.annotation._replace(value=edit_text(replaced), time=moment)
        writer.change("save_annotation", self.saved)
        undo.append(("delete_annotation", (self.saved.annotation_id,)))
        return undo


def withdraw(writer: RowWriter, annotation_id: str, now: str) -> AnnotationRow:
    """Note that an annotation was withdrawn, unless it is already, and return its row."""
    row = writer.first_as(AnnotationRow, "lock_annotation", (annotation_id,))
    if row is None:
        raise no_annotation(annotation_id)
    if row.withdrawn is not None:
        return row
    writer.change("withdraw_annotation", (now, annotation_id))
    return row._replace(withdrawn=now)


def next_moment(writer: RowWriter, record_uid: str) -> str:
    """Return the time, later than all that was said of a record: what comes last holds, whatever the clocks say."""
    now = values.timestamp("now", writer.now())
    last: str | None = writer.first_value("get_last_annotated", (record_uid,))
    if last is None or last < now:
        return now
    try:
        return values.timestamp("now", datetime.fromisoformat(last) + timedelta(microseconds=1))
    except OverflowError:
        return last  # at the end of time


def no_record(record_uid: str) -> NotFoundError:
    """Return the error of a record that is not there."""
    return NotFoundError(
        "record", record_uid, "it may have been deleted with its run; 'records RUN' lists those of a run"
    )


def no_annotation(annotation_id: str) -> NotFoundError:
    """Return the error of an annotation that is not there."""
    return NotFoundError("annotation", annotation_id, "'annotations UID' lists those of a record")
