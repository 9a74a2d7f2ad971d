"""The table of the records of a run: filters, order and place stand in the URL."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import NotFoundError
from starfish_storage.filtering import COMPARISONS, FACTS
from starfish_storage.models import GenerationMasterJob
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import LARGEST_COMPARED, PAGE, RecordPage, record_page
from starfish_storage.viewer.table_state import MOST_COLUMNS, TableState, number_of, state_of
from starfish_storage.viewer.words import link

_USUAL_COLUMNS = 6


async def records_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the table of the run that ``run`` names."""
    state = state_of(parameters)
    query = state.query
    job = await job_of(sheet, state)
    have = min(max(0, number_of(parameters, "have")), PAGE - 1)
    page = await record_page(sheet.storage, query, state.columns, most=PAGE - have)
    found = fields_of(page, job.output_schema)
    counts = await sheet.storage.count_records_for_master_job(query.master_job_id)
    return await sheet.page(
        "records.html",
        job=job,
        query=query,
        page=page,
        accounts=await sheet.storage.ledger.account_for_inputs([one.job_id for one in page.lines]),
        numbers={name for line in page.lines for name in line.numbers},
        columns=state.columns or found[:_USUAL_COLUMNS],
        fields=list(dict.fromkeys([*found, *state.columns]))[:MOST_COLUMNS],
        state=state.parameters,
        counts=counts,
        have=have,
        seen=number_of(parameters, "seen"),
        total=sum(count for status, count in counts.items() if status in (query.statuses or RECORD_STATUSES)),
        statuses=RECORD_STATUSES,
        comparisons=COMPARISONS,
        facts=FACTS,
        largest=LARGEST_COMPARED,
        commands=_commands(sheet, state, page),
        show_new=_show_new(state, page),
    )


async def job_of(sheet: Sheet, state: TableState) -> GenerationMasterJob:
    """Return the run of a table.

    Raises:
        NotFoundError: there is none.
    """
    run = state.query.master_job_id
    job = await sheet.storage.get_master_job(run)
    if job is None:
        raise NotFoundError("run", run, "it may have been deleted; the first page lists all runs")
    return job


def _commands(sheet: Sheet, state: TableState, page: RecordPage) -> dict[str, str]:
    """Return the commands about the records that the table shows. Where it shows all, export has to be told so."""
    run = state.query.master_job_id
    listed = {"List them": sheet.command("records", run, *state.words)}
    if page.lines and all(line.bytes is None and line.problem is None for line in page.lines):  # most failed ones
        return listed | {
            "List them for a program": sheet.command("records", run, *state.words, "--limit", "0", "--json")
        }
    every = [] if state.query.statuses else ["--all-statuses"]
    commands = {"Export them": sheet.command("export", run, "FILE.jsonl", *every, *state.words)}
    if state.columns:
        fields = ("--fields", _comma_separated(state.columns))
        commands["Export the columns"] = sheet.command("export", run, "FILE.csv", *every, *state.words, *fields)
    return commands | listed


def _comma_separated(names: Sequence[str]) -> str:
    """Return names as ``--fields`` reads them.

    >>> _comma_separated(["answer.text", "a,b"])
    'answer.text,"a,b"'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def _show_new(state: TableState, page: RecordPage) -> str:
    """Return where new records are: at the end of the last page, or on the first one of the newest."""
    query = state.query
    if query.order == "oldest" and not page.following and page.stopped is None:
        return link("/records", state.parameters, after=query.after, before=query.before)
    return link("/records", state.parameters | {"order": "newest", "seed": None})


def fields_of(page: RecordPage, schema: dict[str, Any]) -> Sequence[str]:
    """Return the fields that the table can show: those of the schema, then those of the records."""
    properties = schema.get("properties")
    fields = dict.fromkeys(cast("dict[str, object]", properties) if isinstance(properties, dict) else ())
    for line in page.lines:
        fields |= dict.fromkeys(line.fields)
    return list(fields)[:MOST_COLUMNS]
