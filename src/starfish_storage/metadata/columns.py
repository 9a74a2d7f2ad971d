"""Lists of columns, which stand once: as the fields of the rows in `interface.rows`.

In a ``.sql`` file, ``{record.columns}`` stands for the columns of a `RecordRow`, and likewise:

- ``{record.parameters}``: ``:record_uid, :job_id, ...``
- ``{record.arrays}``: ``:record_uid::text[], :job_id::text[], ...``, for PostgreSQL
- ``{record.assigned}``: ``job_id = :job_id, ...``, without the columns that say which row it is
- ``{step.id}``: ``job_id, name, ...``, those columns alone

``of given`` behind the form puts ``given.`` before every column (in ``assigned``, in place of the colon), and
``but data_sha256`` leaves columns out.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

from starfish_storage.interface import action_rows, annotation_rows, limit_rows, rows, version_rows

_LIST = re.compile(r"\{(\w+)\.(\w+)(?: of (\w+))?(?: but ([\w ]+))?\}")


class _Columns(NamedTuple):
    """The columns of a kind of row.

    Attributes:
        row: their names and types.
        id: those that say which row it is.
    """

    row: Any
    id: tuple[str, ...]


ROWS = {
    "project": _Columns(rows.ProjectRow, ("project_id",)),
    "master_job": _Columns(rows.MasterJobRow, ("master_job_id",)),
    "master_job_end": _Columns(rows.MasterJobEndRow, ("master_job_id",)),
    "execution_job": _Columns(rows.ExecutionJobRow, ("job_id",)),
    "execution_job_end": _Columns(rows.ExecutionJobEndRow, ("job_id",)),
    "counts": _Columns(rows.RecordCountsRow, ()),
    "record": _Columns(rows.RecordRow, ("record_uid",)),
    "run": _Columns(rows.RunRow, ("master_job_id",)),
    "registered_input": _Columns(rows.RegisteredInputRow, ("job_id",)),
    "claimed_input": _Columns(rows.ClaimedInputRow, ("job_id",)),
    "ended_input": _Columns(rows.EndedInputRow, ("job_id",)),
    "held_input": _Columns(rows.HeldInputRow, ("job_id",)),
    "finished_input": _Columns(rows.FinishedInputRow, ("job_id",)),
    "worker": _Columns(rows.WorkerRow, ("worker_id",)),
    "attempt": _Columns(rows.AttemptRow, ("job_id", "number")),
    "step": _Columns(rows.StepRow, ("job_id", "name", "request_key", "call", "reply")),
    "step_mark": _Columns(rows.StepMarkRow, ("job_id", "name", "request_key", "call", "reply")),
    "segment": _Columns(rows.SegmentRow, ("master_job_id", "number")),
    "standing": _Columns(version_rows.StandingOutcomeRow, ("job_id",)),
    "annotation": _Columns(annotation_rows.AnnotationRow, ("annotation_id",)),
    "verification": _Columns(annotation_rows.VerificationRow, ("start_time",)),
    "action": _Columns(action_rows.ActionRow, ("action_id",)),
    "call_limit": _Columns(limit_rows.CallLimitRow, ("name",)),
    "version": _Columns(version_rows.RecordVersionRow, ("record_uid", "number")),
}
"""The rows whose columns queries name, by the names that they give them."""

_ARRAYS: dict[Any, str] = {int: "bigint[]", float: "double precision[]"}
"""Types of arrays in PostgreSQL; all else is text."""


def listed(text: str) -> str:
    """Return a query with its lists of columns written out.

    Raises:
        KeyError: there is no such row or form.
        ValueError: a column that is left out is not one of the row's.
    """
    return _LIST.sub(_listed, text)


def _listed(found: re.Match[str]) -> str:
    name, form, of, but = found.groups()
    row, own_id = ROWS[name]
    left_out: list[str] = (but or "").split()
    if not set(left_out) <= set(row._fields):
        raise ValueError(f"{found[0]} leaves out what is no column of it")
    if form == "assigned":
        left_out += own_id
    columns = own_id if form == "id" else row._fields
    return ", ".join(_FORMS[form](row, column, of) for column in columns if column not in left_out)


def _column(_row: Any, column: str, of: str | None) -> str:
    return f"{of}.{column}" if of else column


def _parameter(_row: Any, column: str, _of: str | None) -> str:
    return f":{column}"


def _array(row: Any, column: str, _of: str | None) -> str:
    types = _types(row)
    return f":{column}::{types[column]}"


def _assigned(_row: Any, column: str, of: str | None) -> str:
    return f"{column} = {of}.{column}" if of else f"{column} = :{column}"


_FORMS = {"columns": _column, "id": _column, "parameters": _parameter, "arrays": _array, "assigned": _assigned}


@cache
def _types(row: Any) -> dict[str, str]:
    hints = get_type_hints(row)
    return {name: _ARRAYS.get((get_args(hint) or (hint,))[0], "text[]") for name, hint in hints.items()}
