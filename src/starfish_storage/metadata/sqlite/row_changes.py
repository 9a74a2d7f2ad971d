"""Row changes as lines of the row log, and the rows of a database as such lines.

A line is a JSON array: the name of a change, then its values. What the values are, a header says: a JSON object with
the columns of every change. Applying all changes in order to an empty database gives the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starfish_storage.codec import encode, encode_row
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.sqlite.driver import Connection

CHANGES = (
    "save_project",
    "insert_master_job",
    "end_master_job",
    "update_master_job_status",
    "note_deletion",
    "forget_deletion",
    "delete_master_job",
    "delete_project",
    "save_execution_job",
    "end_execution_job",
    "delete_execution_job",
    "save_record",
    "set_data_digest",
    "delete_record",
    "start_run",
    "register_input",
    "note_registered",
    "place_input",
    "complete_inputs",
    "reopen_inputs",
    "set_target",
    "return_input",
    "return_claim",
    "finish_input",
    "set_unique_key",
    "save_attempt",
    "delete_attempt",
    "count_attempts",
    "save_step",
    "mark_step",
    "save_segment",
    "save_standing",
    "forget_standing",
    "set_record_attempt",
    "save_version",
    "delete_version",
    "save_annotation",
    "withdraw_annotation",
    "delete_annotation",
    "save_action",
    "delete_action",
    "put_master_job",
    "put_execution_job",
)
"""The changes that a row log holds: named queries."""

ALL_ROWS = (
    ("every_project", "save_project"),
    ("every_master_job", "insert_master_job"),
    ("every_execution_job", "save_execution_job"),
    ("every_execution_job_end", "end_execution_job"),
    ("every_record", "save_record"),
    ("every_run", "start_run"),
    ("every_registered", "note_registered"),
    ("every_complete_run", "complete_inputs"),
    ("every_position", "place_input"),
    ("every_unique_key", "set_unique_key"),
    ("every_segment", "save_segment"),
    ("every_attempt", "save_attempt"),
    ("every_step", "save_step"),
    ("every_standing", "save_standing"),
    ("every_record_attempt", "set_record_attempt"),
    ("every_version", "save_version"),
    ("every_annotation", "save_annotation"),
    ("every_action", "save_action"),
)
"""The queries whose rows are those of a new row log, below its header, with the change that makes such a row."""


def header(queries: Queries) -> bytes:
    """Return the line that says what the values of each change are."""
    columns = {name: queries.parameters(name) for name in CHANGES}
    return encode({"row_log": 1, "columns": columns}, "header of the row log")


def lines(changes: Iterable[Change]) -> bytes:
    """Return changes as lines."""
    return b"".join(encode_row((name, *row)) for name, row in changes)


def all_rows(connection: Connection, queries: Queries) -> Iterator[bytes]:
    """Yield a header and the changes that make all rows of a database."""
    yield header(queries)
    for query, change in ALL_ROWS:
        for row in connection.execute(queries[query]):
            yield encode_row((change, *row))
