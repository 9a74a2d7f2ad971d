"""``starfish-storage explain``: why the models of a run were asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from starfish_storage.cli.cells import Cell, Money
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_run, with_store
from starfish_storage.cli.output import show_fields, show_json, show_list, show_title
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column

if TYPE_CHECKING:
    from starfish_storage.generation import AskedReason, CallsExplained

_COLUMNS = (
    Column("requests"),
    Column("cost"),
    Column("compared with"),
    Column("differs in", whole=False),
    Column("request", whole=False, optional=True),
    Column("input", optional=True),
    Column("nearest", optional=True),
)


@click.command("explain", epilog=example("explain last"))
@with_run
@with_json
@with_store
def explain_command(place: Place, run: str, as_json: bool) -> None:
    """Say how the recorded requests of a run were answered, and why models were asked.

    Each request that a model answered is compared with the nearest one that is stored: of the same input, in an earlier
    attempt or an earlier run of the project, else of another input. Runs of the same function come first.
    """
    explained = asyncio.run(_explained(place, run))
    if as_json:
        show_json(explained)
        return
    show_fields(
        {
            "run": explained.master_job_id,
            "asked": explained.asked,
            "replayed": explained.replayed,
            "reused": explained.reused,
            "cost": Money(explained.cost),
            "saved": Money(explained.saved_cost),
            "compared": _compared(explained.other_functions),
        }
    )
    if explained.reasons:
        show_title("Why models were asked")
        show_list(_COLUMNS, explained.reasons, _cells)


async def _explained(place: Place, run: str) -> CallsExplained:
    from starfish_storage.generation import explain_calls

    async with reading(place) as storage:
        run_id = (await find_run(storage, run)).master_job_id
        with counted("explaining", "requests") as count:
            return await explain_calls(storage, run_id, progress=count)


def _compared(functions: Sequence[str]) -> str | None:
    named = ", ".join(name.replace(":", ".") for name in functions)
    return f"with runs of {named}: no earlier run of this function has requests" if functions else None


def _cells(reason: AskedReason) -> Sequence[Cell]:
    return (
        reason.count,
        Money(reason.cost),
        "nothing" if reason.of is None else "the same input" if reason.of == "input" else "another input",
        reason.reason,
        reason.name,
        reason.job_id,
        reason.nearest,
    )
