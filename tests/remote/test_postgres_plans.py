"""How PostgreSQL goes about every query of a run: over an index, and the lists without sorting."""

import asyncpg
import pytest

from remote.postgres_schemas import QUERIES, texts_of

LISTS = (
    "list_master_jobs", "list_master_jobs_of_project", "list_execution_jobs", "list_execution_jobs_of_input",
    "list_records", "list_records_after", "list_records_of_job", "list_workers", "list_attempts", "list_steps",
    "list_segments", "list_requests", "find_reply_in_store",
    "scan_records", "scan_records_after", "scan_records_back", "scan_records_before",
    "whole_execution_jobs", "whole_execution_jobs_after", "page_of_projects",
    "page_of_completed_hashes", "list_annotations_of_run", "list_unreviewed", "list_records_to_delete",
    "list_jobs_to_delete",
)  # fmt: skip
"""Read in the order of an index; those of projects are few, and sorted."""

OVER_AN_INDEX = (
    *LISTS, "get_project", "get_master_job", "get_execution_job", "get_record", "locate_data", "get_borrower",
    "get_record_data", "count_records", "count_inputs", "get_run", "list_known_inputs",
    "save_records", "save_rows_of_records", "note_data", "save_record", "save_execution_job", "end_execution_job",
    "end_execution_jobs", "lock_inputs", "finish_inputs", "save_attempts", "claim_input", "claim_inputs", "get_input",
    "finish_input",
    "list_claimed_inputs", "list_unowned_inputs", "list_ended_inputs", "list_ended_inputs_of",
    "get_completed_of_unique_key",
    "list_rows_of_job", "list_keys_of_inputs", "get_whole_record", "list_versions", "take_version",
    "delete_version", "page_of_old_versions", "get_worker", "save_step", "get_step", "list_borrowed_data",
    "list_replies", "get_last_reply", "get_last_replies", "mark_step", "lock_jobs_of_steps", "list_steps_to_forget",
    "count_steps", "count_conversions", "list_faulty_inputs", "get_status_of_outputs", "save_standing", "get_standing",
    "is_borrowed_elsewhere", "note_removal_of_records", "keep_borrowed_data", "take_removals", "search_records",
    "delete_master_job", "update_record", "set_data_version", "return_input", "list_mixed_case_ids_of_records",
    "account_for_inputs", "list_present_inputs", "list_inputs", "list_inputs_by_content", "list_inputs_of_content",
    "list_outputs", "find_contents", "find_failures",
    "find_reply_in_store", "find_reply_in_project", "list_requests", "count_calls",
    "count_call_notes", "list_segments", "list_newest_segments", "get_last_segment", "save_segment",
    "whole_execution_jobs_of", "whole_records_of", "whole_run", "whole_attempts_of", "whole_steps_of", "put_master_job",
    "put_execution_job",
    "save_annotation", "get_annotation", "lock_annotation", "lock_annotated", "get_last_annotated", "list_annotations",
    "withdraw_annotation", "delete_annotation", "count_verdicts", "count_ratings", "count_labels",
    "count_other_annotations", "get_version_number",
    "list_runs_after", "list_runs_before", "list_runs_of_project_after",
    "list_runs_of_project_before", "list_run_states", "count_records_of_runs", "list_record_spans",
    "count_attempts_over_time", "count_records_over_time", "list_actions", "list_actions_on",
    "list_some_versioned_records", "list_jobs_without_records", "delete_attempts_of_jobs", "delete_jobs", "lock_jobs",
)  # fmt: skip

PAGES = (
    "page_of_records", "page_of_loose_data", "page_of_master_job_json", "page_of_execution_job_json",
    "page_of_attempt_json", "page_of_step_json", "page_of_segment_json", "page_of_annotation_json",
)  # fmt: skip
"""Of verifying: a page must not cost more, the further it is."""

WITH_A_SMALL_TABLE = {
    # Nearly always empty: ids that are not their own lower case.
    "list_mixed_case_ids_of_records": "mixed_case_ids",
}


async def plan_of(connection: asyncpg.Connection, text: str) -> str:
    """Return the plan of a statement for any parameters; what can be done without is made dear."""
    for what in ("seqscan", "sort", "bitmapscan"):
        await connection.execute(f"SET enable_{what} TO off")
    await connection.execute(f"PREPARE planned AS {text}")
    parameters = len((await connection.prepare(text)).get_parameters())
    nulls = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
    rows = await connection.fetch(f"EXPLAIN EXECUTE planned{nulls}")
    await connection.execute("DEALLOCATE planned")
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("name", [*OVER_AN_INDEX, *PAGES, "list_stale_removals"])
async def test_no_table_is_read_whole(connection: asyncpg.Connection, name: str) -> None:
    for text in texts_of(name):
        plan = await plan_of(connection, text)
        allowed = f"Seq Scan on {WITH_A_SMALL_TABLE.get(name)}"
        assert "Seq Scan" not in plan.replace(allowed, ""), plan


@pytest.mark.parametrize("name", [*LISTS, *PAGES])
async def test_lists_are_not_sorted(connection: asyncpg.Connection, name: str) -> None:
    for text in texts_of(name):
        plan = await plan_of(connection, text)
        assert "Sort  (" not in plan, plan


@pytest.mark.parametrize("name", ["list_records", "list_records_after", "scan_records_after", "list_runs_after"])
async def test_each_status_is_planned_for_a_page(connection: asyncpg.Connection, name: str) -> None:
    """Planned for all of its rows, each status of a large table is sorted: of ten million, a page took 14 seconds."""
    plan = await plan_of(connection, QUERIES.merged(name, 3))
    assert plan.count("Limit  (") == 1 + 3, plan


@pytest.mark.parametrize("name", ["claim_inputs", "take_removals"])
async def test_rows_to_take_are_looked_for_once(connection: asyncpg.Connection, name: str) -> None:
    """Looked for again for each row, as a join may do, they would be more each time: those taken are skipped."""
    for what in ("hashjoin", "mergejoin", "hashagg", "material"):
        await connection.execute(f"SET enable_{what} TO off")
    for text in texts_of(name):
        assert "LIMIT" in text
        assert "InitPlan" in await plan_of(connection, text)


def test_the_lists_are_queries_there_are() -> None:
    assert set(OVER_AN_INDEX) <= set(QUERIES.names())
