"""The table of the records of a run: filters and place stand in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.models import RECORD_STATUSES
from starfish_storage.viewer.field_filter import COMPARISONS, filters_of
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import RecordPage, RecordQuery, record_page
from starfish_storage.viewer.words import link

_USUAL_COLUMNS = 6
_MOST_COLUMNS = 40
_ORDERS = ("oldest", "newest")


async def records_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the table of the run that ``run`` names."""
    query = query_of(parameters)
    job = await sheet.storage.get_master_job(query.master_job_id)
    if job is None:
        raise NotFoundError("run", query.master_job_id, "it may have been deleted; the first page lists all runs")
    page = await record_page(sheet.storage, query)
    found = _fields_of(page, job.output_schema)
    chosen = [one for one in parameters.getlist("column") if one][:_MOST_COLUMNS]
    return await sheet.page(
        "records.html",
        job=job,
        query=query,
        page=page,
        accounts=await sheet.storage.ledger.account_for_inputs([one.job_id for one in page.lines]),
        columns=chosen or found[:_USUAL_COLUMNS],
        fields=list(dict.fromkeys([*found, *chosen]))[:_MOST_COLUMNS],
        state=state_of(query) | {"column": chosen},
        counts=await sheet.storage.count_records_for_master_job(query.master_job_id),
        statuses=RECORD_STATUSES,
        comparisons=COMPARISONS,
        show_new=_show_new(query, page, chosen),
    )


def _show_new(query: RecordQuery, page: RecordPage, columns: Sequence[str]) -> str:
    """Return where new records are: at the end of the last page, or on the first one of the newest."""
    state = state_of(query) | {"column": columns}
    is_last = not query.newest_first and not page.following and page.stopped is None
    if is_last:
        return link("/records", state, after=query.after, before=query.before)
    return link("/records", state | {"order": "newest"})


def query_of(parameters: QueryParams) -> RecordQuery:
    """Return the query of a URL.

    Raises:
        InvalidInputError: a parameter makes no sense.
    """
    order = parameters.get("order", "oldest")
    if order not in _ORDERS:
        raise InvalidInputError(f"order must be one of {', '.join(_ORDERS)}.")
    return RecordQuery(
        parameters.get("run", ""),
        [one for one in parameters.getlist("status") if one],
        parameters.get("error", ""),
        filters_of(*(parameters.getlist(name) for name in ("field", "compare", "value"))),
        newest_first=order == "newest",
        after=parameters.get("after") or None,
        before=parameters.get("before") or None,
    )


def state_of(query: RecordQuery) -> dict[str, Any]:
    """Return the parameters of a URL for a query, without the place in it."""
    return {
        "run": query.master_job_id,
        "status": list(query.statuses),
        "error": query.error,
        "field": [one.field for one in query.filters],
        "compare": [one.comparison for one in query.filters],
        "value": [one.value for one in query.filters],
        "order": "newest" if query.newest_first else None,
    }


def _fields_of(page: RecordPage, schema: dict[str, Any]) -> Sequence[str]:
    """Return the fields that the table can show: those of the schema, then those of the records."""
    properties = schema.get("properties")
    fields = dict.fromkeys(cast("dict[str, object]", properties) if isinstance(properties, dict) else ())
    for line in page.lines:
        fields |= dict.fromkeys(line.fields)
    return list(fields)[:_MOST_COLUMNS]
