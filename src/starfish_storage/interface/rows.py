"""Whole rows, named: what copies and scans hand on as it is stored."""

from __future__ import annotations

from typing import NamedTuple

from starfish_storage.models import StatusRecord


class DataLocation(NamedTuple):
    """Where the data of a key lies.

    Attributes:
        key: the key under which the data handler has it: the same, or that of its current version.
        sha256: what it was when it was saved, in hex; None if that is not known.
    """

    key: str
    sha256: str | None


class RecordRow(NamedTuple):
    """The row of a record, as it is stored: keys in place of references, times as text.

    Attributes:
        record_uid: unique id.
        job_id: the execution job it came from.
        master_job_id: the master job it belongs to.
        status: what became of it.
        key: of its data; None if it has none.
        start_time: in UTC, ``2026-01-31T12:00:00.000000Z``.
        end_time: written so.
        last_update_time: written so.
        error_message: what went wrong with it.
        sha256: of its data, in lower-case hex; None if it is not known.
        place: the key under which the data handler has the data: the same, or that of its current version.
    """

    record_uid: str
    job_id: str
    master_job_id: str
    status: StatusRecord
    key: str | None
    start_time: str
    end_time: str
    last_update_time: str
    error_message: str | None
    sha256: str | None
    place: str | None
