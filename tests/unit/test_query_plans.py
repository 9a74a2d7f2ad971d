"""How SQLite goes about every query: over an index, and without sorting."""

import re
from collections.abc import Iterator
from importlib.resources import files

import apsw
import pytest

import starfish_storage.metadata
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.row_writer import SQLiteRowWriter

QUERIES = sqlite_queries()

# Over the journal, which a checkpoint empties every few thousand entries: it is read whole, or sorted, because an index
# of its keys would be paid for at every write and used once in a while.
OVER_THE_SMALL_JOURNAL = frozenset(
    {"list_journal", "list_journaled_keys", "list_journaled_ranges", "get_journaled_data", "last_journal_number"}
)
# Over tables that hold a row for each table, for each id that is not its own lower case, or for 64 MB of data.
OVER_SMALL_TABLES = frozenset(
    {"list_tables", "delete_mixed_case_id", "forget_verifications", "list_packs", "look_at_layout"}
)
# Failures, steps and conversions of a run, found over an index, are grouped by kind or name; the groups are few.
GROUPED = frozenset(
    {
        "list_errors", "count_steps", "count_conversions", "count_call_notes",
        # A portion of its attempts, by time.
        "count_attempts_over_time",
        # What people say of a run's records, likewise.
        "count_verdicts", "count_ratings", "count_labels", "count_other_annotations",
    }
)  # fmt: skip
NO_PLAN = frozenset({"begin", "commit", "rollback", "begin_operation", "end_operation", "undo_operation"})

LISTS = frozenset(
    {
        "list_projects", "list_master_jobs", "list_master_jobs_of_project", "list_execution_jobs",
        "list_execution_jobs_of_input", "page_of_completed_hashes", "list_records", "list_records_after",
        "list_records_of_job", "count_records", "count_inputs", "list_workers", "list_attempts", "list_steps",
        "list_replies", "list_steps_to_forget", "list_segments", "list_newest_segments", "list_requests",
        "count_calls", "count_running_inputs", "list_faulty_inputs",
        "list_known_inputs", "list_present_inputs", "list_inputs", "list_inputs_by_content", "list_inputs_of_content",
        "list_outputs",
        "scan_records", "scan_records_after", "scan_records_back", "scan_records_before", "account_for_inputs",
        "whole_execution_jobs", "whole_execution_jobs_after", "whole_execution_jobs_of",
        "list_annotations", "list_annotations_of_run", "list_unreviewed",
        "list_versions", "list_version_numbers", "whole_versions_of", "whole_standing_of",
        "whole_records_of", "whole_run", "whole_attempts_of", "whole_steps_of",
        "page_of_projects",
        "list_runs_after", "list_runs_before", "list_runs_of_project_after", "list_runs_of_project_before",
        "list_run_states", "count_records_of_runs", "count_runs", "list_actions", "list_actions_on",
    }
)  # fmt: skip
"""The lists, counts and resume look-ups of the published API and beyond."""


OVER_WHOLE_TABLES = ("every_", "salvage_", "recount_", "check_", "sample_")
"""What maintenance asks: it reads everything, on purpose and never in the course of a run. A sample ends early."""


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    schema = files(starfish_storage.metadata).joinpath("sql", "sqlite", "schema.sql").read_text("utf-8")
    connection.execute(schema)
    yield connection
    connection.close()


def texts() -> list[tuple[str, str]]:
    """Return each query with its name; lists over statuses with one status and with all seven."""
    found: list[tuple[str, str]] = []
    for name in QUERIES.names():
        try:
            found.append((name, QUERIES[name]))
        except KeyError:
            found += [(f"{name} of {number}", QUERIES.merged(name, number)) for number in (1, 7)]
    return found


def plan_of(database: apsw.Connection, text: str) -> list[str]:
    parameters = (None,) * text.count("?")
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]


@pytest.mark.parametrize(("name", "text"), texts(), ids=[name for name, _ in texts()])
def test_no_query_scans_a_table_or_sorts(database: apsw.Connection, name: str, text: str) -> None:
    if name in NO_PLAN or name.startswith(OVER_WHOLE_TABLES):
        return
    if name == "newest_master_job":
        assert plan_of(database, text) == ["SCAN master_jobs"], "from the end of the table, and no further"
        return
    plan = plan_of(database, text)
    scans = [step for step in plan if re.search(r"\bSCAN \w+", step) and "USING" not in step]
    # The rows that a list without a sort merges are those of its branches.
    scans = [step for step in scans if "CONSTANT ROW" not in step and "json_each" not in step]
    inner = {step.removeprefix("CO-ROUTINE ") for step in plan if step.startswith("CO-ROUTINE")}
    scans = [step for step in scans if step.removeprefix("SCAN ") not in inner]
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    if name in OVER_THE_SMALL_JOURNAL | OVER_SMALL_TABLES:
        assert all(
            re.search(r"data_journal|mixed_case_ids|sqlite_schema|verifications|packs", step) for step in scans
        ), plan
        return
    assert scans == [], plan
    assert sorts == [] or name in GROUPED, plan


@pytest.mark.parametrize("name", sorted(LISTS))
def test_lists_counts_and_look_ups_search_an_index(database: apsw.Connection, name: str) -> None:
    for text in [text for of, text in texts() if of.split(" of ")[0] == name]:
        plan = plan_of(database, text)
        steps = [step for step in plan if re.match(r"(SEARCH|SCAN) ", step)]
        assert steps
        for step in steps:
            assert re.search(r"USING (COVERING )?INDEX \w+|USING PRIMARY KEY", step), plan
        assert not any("TEMP B-TREE" in step for step in plan), plan


def test_no_list_is_left_out() -> None:
    listed = {name for name in QUERIES.names() if name.startswith(("list_", "count_", "scan_", "account_", "whole_"))}
    internal = {
        "list_journal", "list_journaled_keys", "list_journaled_removals", "list_tables", "list_borrowed_data",
        "list_master_job_ids_of_project", "list_borrowers", "list_claimed_inputs", "list_unowned_inputs",
        "list_journaled_ranges", "list_packs", "list_packed_data", "list_ended_inputs", "list_ended_inputs_of",
        "list_unique_keys_of_job", "list_rows_of_job", "list_step_usage", "list_errors",
        "count_attempts", "list_keys_of_inputs", "list_attempt_steps",
        "list_mixed_case_ids_of_records", "count_steps", "count_conversions", "count_call_notes",
        "count_verdicts", "count_ratings", "count_labels", "count_other_annotations",
        "list_drains", "list_working",
        "count_attempts_over_time", "count_records_over_time", "list_record_spans", "list_versions_of_records",
        "list_records_to_delete", "list_some_versioned_records", "list_jobs_to_delete", "list_jobs_without_records",
        "count_some_rows",
    }  # fmt: skip
    assert listed - internal | {"page_of_projects", "page_of_completed_hashes"} == LISTS


def test_a_page_at_the_end_begins_where_the_last_one_ended(database: apsw.Connection) -> None:
    # The position is part of the range that is searched, not a filter over everything before it.
    for number in (1, 7):
        plan = plan_of(database, QUERIES.merged("list_records_after", number))
        branches = [step for step in plan if step.startswith("SEARCH records")]
        assert len(branches) == number
        assert all("(start_time,record_uid)<(?,?)" in step for step in branches), plan
        for name in ("scan_records_after", "read_lines"):
            plan = plan_of(database, QUERIES.merged(name, number))
            branches = [step for step in plan if step.startswith("SEARCH records")]
            assert len(branches) == number
            assert all("(start_time,record_uid)>(?,?)" in step for step in branches), plan


def test_a_reply_is_found_by_its_request(database: apsw.Connection) -> None:
    # The newest comes first, without a sort; of a project, whose each one is follows from two keys.
    first = "SEARCH steps USING INDEX steps_by_request (request_key=? AND call=?)"
    assert plan_of(database, QUERIES["find_reply_in_store"]) == [first]
    plan = plan_of(database, QUERIES["find_reply_in_project"])
    assert plan[0] == first
    assert [step.split(" USING ")[0] for step in plan[1:]] == ["SEARCH job", "SEARCH master_jobs"], plan


def test_the_requests_of_a_run_are_a_range(database: apsw.Connection) -> None:
    # Both ends of it: a page at the end of a run does not go on through the next one.
    (plan, *_) = plan_of(database, QUERIES["list_requests"])
    assert "(job_id,name,request_key,call,reply)>(?,?,?,?,?) AND job_id<?" in plan, plan


def test_the_exempt_are_exempt_for_a_reason() -> None:
    assert set(QUERIES.names()) >= OVER_THE_SMALL_JOURNAL | OVER_SMALL_TABLES | GROUPED | NO_PLAN


def test_parameters_are_translated() -> None:
    for name, text in texts():
        assert not re.search(r":[a-z_]+|--|\n", text), name


def test_the_longest_common_statements_stay_prepared() -> None:
    kept = apsw.Connection(":memory:").cache_stats()["max_cacheable_bytes"]
    for name in QUERIES.names():
        assert len(QUERIES.repeated(name, SQLiteRowWriter.most_rows)) <= kept, name


@pytest.mark.parametrize("name", ["claim_input", "claim_inputs", "finish_input", "return_input"])
def test_a_change_of_a_status_writes_to_no_index_but_those_of_statuses(database: apsw.Connection, name: str) -> None:
    # Another one is in no order that inputs worked on together share: each of them would write pages of its own.
    text = QUERIES[name]
    pages = {page: name for page, name in database.execute("SELECT rootpage, name FROM sqlite_schema")}  # noqa: C416 (typed)
    program = database.execute(f"EXPLAIN {text}", (None,) * text.count("?")).fetchall()
    opened = {cursor: pages.get(page) for _, step, cursor, page, *_ in program if step == "OpenWrite"}
    written = {opened[cursor] for _, step, cursor, *_ in program if step == "IdxInsert" and cursor in opened}
    assert written == {"execution_jobs_by_status", "execution_jobs_to_do"}
