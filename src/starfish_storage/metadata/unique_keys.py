"""Unique keys of outputs: only the first completed record of each in a run stays completed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starfish_storage.interface.rows import RecordRow
from starfish_storage.metadata.row_writer import RowWriter


def names_of_keys(master_job_id: str, keys: Iterable[str | None]) -> list[str]:
    """Return the names of what is decided about keys: no two operations that decide about one share a group."""
    return [f"unique key {key!a} in {master_job_id}" for key in set(keys) if key is not None]


def without_duplicates(writer: RowWriter, rows: Sequence[RecordRow], keys: Sequence[str | None]) -> list[RecordRow]:
    """Return the records of an input, as duplicates where a completed record of the run, or one before, has the key."""
    judged: list[RecordRow] = []
    of_this: dict[str, str] = {}
    for row, key in zip(rows, keys, strict=True):
        if key is None or row.status != "completed":
            judged.append(row)
            continue
        found: str | None = writer.first_value("get_completed_of_unique_key", (row.master_job_id, key, row.job_id))
        first = of_this.get(key) if found is None else found
        if first is None:
            of_this[key] = row.record_uid
            judged.append(row)
        else:
            judged.append(row._replace(status="duplicate", error_message=f"the same as record {first}"))
    return judged
