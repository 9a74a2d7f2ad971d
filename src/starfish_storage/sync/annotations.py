# Made by scripts/make_sync.py from starfish_storage.interface.annotations: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.annotations`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfish_storage import portal
from starfish_storage.interface import annotations as asynchronous
from starfish_storage.runs.annotations import Annotation, AnnotationCounts, AnnotationKind
from starfish_storage.sync.face import Face

if TYPE_CHECKING:
    from starfish_storage.models import Record


class AnnotationStore(Face):
    """What people say of records: rows are added, and at most withdrawn by their author.

    So several people can judge the same records at a time, in any number of processes, and none loses what another one
    says. What holds at last: of one author the newest verdict and rating that are not withdrawn, and all labels and
    comments that are not; see `starfish_storage.runs.annotations.holding`.
    """

    def __init__(self, asynchronous: asynchronous.AnnotationStore) -> None:
        super().__init__(asynchronous)

    @property
    def asynchronous(self) -> asynchronous.AnnotationStore:
        """The asynchronous object that this one calls, for code in an event loop."""
        return self._asynchronous

    @property
    def _called(self) -> asynchronous.AnnotationStore:
        return self._asynchronous

    def add(
        self, record_uid: str, kind: AnnotationKind, value: Any, *, author: str, time: datetime | None = None
    ) -> Annotation:
        """Store what somebody says of a record. Durable. Not idempotent.

        Args:
            record_uid: the record.
            kind: ``"verdict"``, ``"label"``, ``"rating"`` or ``"comment"``.
            value: of a verdict ``"accepted"`` or ``"rejected"``; of a label a text of up to 200 characters; of a rating
                a finite number; of a comment a text of up to 100,000 characters.
            author: who says so: 1 to 200 characters.
            time: when; without it, now, and later than all that was said of the record before.

        Raises:
            NotFoundError: there is no such record.
            InvalidStatusError: the kind or the verdict is unknown.
            InvalidInputError: the value or the author cannot be used.
        """
        return portal.call(self._called.add(record_uid, kind, value, author=author, time=time))

    def edit_record(
        self, record_uid: str, data: dict[str, Any], *, author: str, replaces: str | None = None
    ) -> Annotation:
        """Give a record other data, and keep what it had as a version, in one step. Durable. Not idempotent.

        The annotation says which version was replaced: `RunLedger.get_version_data` returns it, and `withdraw` brings
        it back. The status of the record and its unique key stay.

        Args:
            record_uid: the record.
            data: its new data, a JSON object.
            author: who edits it.
            replaces: the SHA-256 of the data that the author saw, or the record's ``last_update_time`` in ISO 8601;
                without it, whatever there is.

        Raises:
            NotFoundError: there is no such record.
            RecordChangedError: somebody else has changed the record meanwhile.
            InvalidDataError: the data is not a JSON object.
            InvalidInputError: the record has no data, or that of another record, or has just this already, or an
                argument cannot be used.
            DataLostError: the data that it has is lost.
        """
        return portal.call(self._called.edit_record(record_uid, data, author=author, replaces=replaces))

    def withdraw(self, annotation_id: str, *, author: str) -> Annotation:
        """Take back what an author has said; return it as it is then. Idempotent. Durable.

        The row stays, and says when. With an edit, the version that it had replaced becomes the record's data again,
        and the edited data a version.

        Raises:
            NotFoundError: there is no such annotation, or the version that was replaced has been removed.
            InvalidInputError: it is another author's.
            RecordChangedError: the record was changed after the edit.
        """
        return portal.call(self._called.withdraw(annotation_id, author=author))

    def list(self, record_uids: Sequence[str]) -> list[Annotation]:
        """Return all annotations of some records, withdrawn ones too, the oldest first.

        Raises:
            InvalidInputError: ``record_uids`` is no list of texts.
        """
        return portal.call(self._called.list(record_uids))

    def list_for_run(self, master_job_id: str, after: Annotation | None = None, limit: int = 1000) -> list[Annotation]:
        """Return annotations of a run's records in pages, withdrawn ones too, the oldest first.

        Args:
            master_job_id: the run, or any master job.
            after: the last one of the page before.
            limit: the most in a page.

        Raises:
            InvalidInputError: the limit is negative, or ``after`` is no annotation.
        """
        return portal.call(self._called.list_for_run(master_job_id, after, limit))

    def count(self, master_job_id: str) -> AnnotationCounts:
        """Return how many records of a run are accepted, rejected and so on. Raises nothing of its own."""
        return portal.call(self._called.count(master_job_id))

    def next_unreviewed(
        self, master_job_id: str, author: str, *, after: Record | None = None, skip: Sequence[str] = (), limit: int = 1
    ) -> list[Record]:
        """Return completed records of a run without a verdict of an author, the oldest first by start, then by uid.

        Args:
            master_job_id: the run, or any master job.
            author: whose verdict is missing.
            after: only records behind this one.
            skip: uids to leave out.
            limit: the most records.

        Raises:
            InvalidInputError: the limit is negative, or another argument cannot be used.
        """
        return portal.call(self._called.next_unreviewed(master_job_id, author, after=after, skip=skip, limit=limit))
