"""``starfish-storage calls``: what was asked and answered for an input, in order."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

import click

from starfish_storage.cli.cells import Cell, Money, on_one_line, printable
from starfish_storage.cli.conversation import Turn, settings_of_request, turns_of_request, turns_of_response
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_full, with_json, with_store
from starfish_storage.cli.output import say, show_data, show_fields, show_json, show_title
from starfish_storage.cli.place import Place
from starfish_storage.cli.shortening import shortened, shortened_text
from starfish_storage.errors import NotFoundError
from starfish_storage.runs import RecordedCall, Step
from starfish_storage.wording import number_of

_WIDTH = 80


@click.command("calls", epilog=example("calls 6d1f0a73c3"))
@click.argument("id", metavar="UID")
@with_full
@with_json
@with_store
def calls_command(place: Place, id: str, full: bool, as_json: bool) -> None:
    """Show what was asked and answered for an input, in order: its paid steps and recorded requests.

    UID is a record or an input (an execution job). What a request repeats from the one before is left out, and a value
    over 2 KB is cut, unless --full or --json is given.
    """
    calls = [RecordedCall.of(step) for step in asyncio.run(_calls(place, id))]
    if as_json:
        show_json([call_as_json(one) for one in calls])
        return
    said: list[Turn] = []
    for number, call in enumerate(calls, 1):
        said = _show(number, call, [] if full else said, full=full)
    if not calls:
        say("No recorded calls or paid steps.")


async def _calls(place: Place, id: str) -> list[Step]:
    async with reading(place) as storage:
        record = await storage.get_record_metadata(id)
        job_id = id if record is None else record.job_id
        if record is None and await storage.get_execution_job(id) is None:
            raise NotFoundError("record or input", id, "'starfish-storage records RUN' lists the records of a run")
        return await storage.ledger.list_calls(job_id)


def call_as_json(call: RecordedCall) -> dict[str, Any]:
    """Return a call for `as_json`: the step with what it holds unpacked."""
    step = {
        one.name: getattr(call.step, one.name) for one in fields(call.step) if one.name not in ("result", "request")
    }
    return step | {
        "seconds": call.seconds,
        "method": call.method,
        "url": call.url,
        "request": call.request,
        "http_status": call.http_status,
        "media_type": call.media_type,
        "response": call.response,
    }


def _show(number: int, call: RecordedCall, said: Sequence[Turn], *, full: bool) -> list[Turn]:
    """Print a call; return what has been said when it ends."""
    show_title(f"{number}. {call.step.name}")
    show_fields(_fields(call))
    asked = turns_of_request(call.request)
    if asked is not None:
        settings = settings_of_request(cast("dict[str, Any]", call.request))
        show_fields({name: value if full else shortened_text(value) for name, value in settings.items()})
        known = _beginning(said, asked)
        if known:
            click.echo(f"\n… {number_of(known, 'message')} as above (--full shows all)")
        _show_turns(asked[known:], full=full)
    elif call.request is not None:
        _show_value("request", call.request, full=full)
    answered = turns_of_response(call.response)
    if answered is None:
        _show_value("response", call.response, full=full)
    else:
        _show_turns(answered, full=full)
    return [*(asked or []), *(answered or [])]


def _fields(call: RecordedCall) -> dict[str, Cell]:
    step, source = call.step, call.step.reused_from
    tokens = {f"{step_tokens:,} {name}" for name, step_tokens in _tokens(step)}
    return {
        "asked": step.asked_when or step.saved_when,
        "seconds": call.seconds,
        "attempt": step.attempt,
        "status": step.status if step.reason is None else f"{step.status}: {step.reason}",
        "reply": f"{step.reply} to call {step.call}" if (step.call, step.reply) != (1, 1) else None,
        "tokens": ", ".join(sorted(tokens)) or None,
        "cost": Money(sum(one.cost for one in step.usage)) if source is None else Money(0),
        "reused from": None if source is None else f"input {source.job_id} of run {source.master_job_id}",
        "saved": None if source is None else Money(source.cost),
    }


def _tokens(step: Step) -> list[tuple[str, int]]:
    totals = [
        ("in", sum(one.input_tokens for one in step.usage)),
        ("out", sum(one.output_tokens for one in step.usage)),
    ]
    return [(name, count) for name, count in totals if count]


def _beginning(said: Sequence[Turn], asked: Sequence[Turn]) -> int:
    """Return how many turns of a request are those that have been shown."""
    for number, turn in enumerate(asked):
        if number == len(said) or turn != said[number]:
            return number
    return len(asked)


def _show_turns(turns: Sequence[Turn], *, full: bool) -> None:
    for turn in turns:
        click.echo(f"\n{on_one_line(turn.role)}:")
        text = printable(turn.text if full else shortened_text(turn.text))
        for line in text.splitlines() or [""]:
            click.echo(_wrapped(line))


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, _WIDTH, initial_indent="  ", subsequent_indent="  ", replace_whitespace=False, break_on_hyphens=False
    )


def _show_value(title: str, value: object, *, full: bool) -> None:
    click.echo(f"\n{title}:")
    show_data(value if full else shortened(value))
