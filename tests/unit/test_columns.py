"""Lists of columns in queries, written out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import starfish_storage
from starfish_storage.metadata.columns import ROWS, listed

SQL = Path(starfish_storage.__file__).parent / "metadata" / "sql"
# `starfish.sql` makes rows of parts of Starfish's: values of its own, for columns of its own choice; so
# are the tables that `llm.sql` reads.
QUERIES = [
    path
    for path in sorted(SQL.glob("*/*.sql"))
    if path.name not in ("schema.sql", "starfish.sql", "llm.sql", "clauses.sql")
]
LONGEST = 4  # so many columns may stand in a query; more of them are a list that has a name


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("SELECT {standing.columns} FROM a", "SELECT job_id, status, start_time, end_time, worker_id FROM a"),
        ("({segment.parameters})", "(:master_job_id, :number, :start_time, :identity)"),
        ("{run.columns of given}", "given.master_job_id, given.registered, given.inputs_complete, given.stop_reason"),
        ("{project.columns but created_when updated_when}", "project_id, name, description"),
        ("{run.columns of old but stop_reason}", "old.master_job_id, old.registered, old.inputs_complete"),
        (
            "{standing.assigned of excluded}",
            (
                "status = excluded.status, start_time = excluded.start_time, end_time = excluded.end_time, "
                "worker_id = excluded.worker_id"
            ),
        ),
        (
            "{step.id} {step.id of own but name}",
            "job_id, name, request_key, call, reply own.job_id, own.request_key, own.call, own.reply",
        ),
        ("{run.assigned but stop_reason}", "registered = :registered, inputs_complete = :inputs_complete"),
        (
            "{claimed_input.arrays but master_job_id run_config attempted_generations}",
            ":job_id::text[], :position::bigint[]",
        ),
    ],
)
def test_lists_are_written_out(given: str, written: str) -> None:
    """In the order of the fields; `assigned` without those that say which row it is."""
    assert listed(given) == written


def test_types_of_arrays() -> None:
    """Follow from the fields: numbers, and text for all else."""
    arrays = listed("{attempt.arrays}")
    assert ":number::bigint[], :master_job_id::text[]" in arrays
    assert ":cost::double precision[], :usage::text[]" in arrays
    assert listed("{claimed_input.arrays but run_config}").count("bigint") == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("{nothing.columns}", KeyError),
        ("{step.rows}", KeyError),
        ("{step.columns but cost}", ValueError),
    ],
)
def test_what_there_is_not_is_refused(given: str, error: type[Exception]) -> None:
    """Whoever mistypes a list finds out when the queries are read."""
    with pytest.raises(error):
        listed(given)


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.relative_to(SQL).as_posix())
def test_no_list_stands_twice(path: Path) -> None:
    """Columns that follow each other as they do in a row are written as a list of that row."""
    text = " ".join(path.read_text("utf-8").split())
    for name, (row, _) in ROWS.items():
        for start in range(len(row._fields) - LONGEST):
            some = row._fields[start : start + LONGEST + 1]
            for form in ("{0}", ":{0}", "{0} = :{0}", "{0} = excluded.{0}", "{0} = given.{0}"):
                listed = ", ".join(form.format(column) for column in some)
                if listed in text:  # the expression takes long
                    assert re.search(rf"(?<![\w.:]){re.escape(listed)}\b", text) is None, f"{name}: {listed}"
