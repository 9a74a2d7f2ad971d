"""Rows of replies to paid steps: models to rows and back."""

from __future__ import annotations

import re
from datetime import datetime
from typing import cast, get_args

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.identifiers import check_id
from starfish_storage.interface.rows import StepMarkRow, StepRow
from starfish_storage.metadata import call_rows, ledger_rows, values
from starfish_storage.metadata.call_rows import MOST_CALLS
from starfish_storage.metadata.row import Row
from starfish_storage.runs import StatusStep, Step

_STATUSES: tuple[StatusStep, ...] = get_args(StatusStep)
_KEY = re.compile(r"(?:[0-9a-f]{64})?")


def request_key(value: object) -> str:
    """Return the identity of a request.

    Raises:
        InvalidInputError: it is neither a SHA-256 in lower-case hex nor empty.
    """
    key = values.text("request_key", value)
    if _KEY.fullmatch(key) is None:
        raise InvalidInputError(f"request_key {shorten(key)} cannot be used: give a SHA-256 in lower-case hex, or ''.")
    return key


def step_row(step: Step) -> StepRow:
    """Return the parameters of ``save_step``, but for the number of the reply."""
    return StepRow(
        job_id=check_id("job_id", step.job_id),
        name=values.text("step name", step.name),
        request_key=request_key(step.request_key),
        call=values.whole("call", step.call, 1, MOST_CALLS),
        reply=1,
        attempt=values.whole("attempt", step.attempt, 1, values.MOST_USED),
        saved_when=values.timestamp("saved_when", step.saved_when),
        usage=ledger_rows.usage_text(step.usage),
        status=values.status("status of a step", step.status, _STATUSES),
        reason=values.optional_text("reason", step.reason),
        rejected_by=values.optional_text("rejected_by", step.rejected_by),
        asked_when=values.optional_timestamp("asked_when", step.asked_when),
        reused_from=call_rows.source_text(step.reused_from),
        result=encode(step.result, f"result of step {step.name!r}")[:-1].decode(),
        request=values.optional_text("request", step.request),
    )


def mark_row(
    of: tuple[str, str, str, int, int], status: StatusStep, reason: str | None, rejected_by: str | None
) -> StepMarkRow:
    """Return the parameters of ``mark_step`` for a reply of that `StepRow.id`."""
    job_id, name, key, call, reply = of
    return StepMarkRow(
        values.status("status of a step", status, _STATUSES),
        values.optional_text("reason", reason),
        values.optional_text("rejected_by", rejected_by),
        check_id("job_id", job_id),
        values.text("step name", name),
        request_key(key),
        values.whole("call", call, 1, MOST_CALLS),
        values.whole("reply", reply, 1, MOST_CALLS),
    )


def step(found: Row) -> Step:
    """Return the step of a row."""
    row = StepRow._make(found)
    return Step(
        row.job_id,
        row.name,
        decode(row.result.encode()),
        row.attempt,
        datetime.fromisoformat(row.saved_when),
        ledger_rows.read_usage(row.usage),
        row.call,
        row.reply,
        cast("StatusStep", row.status),
        row.reason,
        row.rejected_by,
        row.request_key,
        row.request,
        None if row.asked_when is None else datetime.fromisoformat(row.asked_when),
        call_rows.read_source(row.reused_from),
    )
