"""``starfish-storage limits``: limits of calls that runs of a store share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.opening import existing, reading
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import say, show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_view import sharers_text
from starfish_storage.cli.tables import Column
from starfish_storage.errors import NotFoundError
from starfish_storage.runs import CallLimit

_COLUMNS = (
    Column("limit"),
    Column("requests a minute"),
    Column("tokens a minute"),
    Column("rate now"),
    Column("used by", optional=True, whole=False),
    Column("paused until", optional=True),
    Column("paused for", optional=True, whole=False),
)


@click.command("limits", epilog=example("limits openai --rpm 600"))
@click.argument("name", required=False)
@click.option("--rpm", type=click.FloatRange(min=1), metavar="N", help="Set its requests a minute.")
@click.option("--tpm", type=click.FloatRange(min=1), metavar="N", help="Set its tokens a minute.")
@click.option("--remove", is_flag=True, help="Delete it: runs that share it are not limited any more.")
@with_json
@with_store
def limits_command(
    place: Place, name: str | None, rpm: float | None, tpm: float | None, remove: bool, as_json: bool
) -> None:
    """Show the limits of calls that runs share, or the one of a NAME; or set or delete it, also while runs use it."""
    is_change = remove or rpm is not None or tpm is not None
    if is_change and name is None:
        raise click.UsageError("Name the limit that is to change.")
    if remove and (rpm is not None or tpm is not None):
        raise click.UsageError("A limit is set or deleted, not both.")
    if name is not None and is_change:
        asyncio.run(_change(place, name, rpm, tpm, remove=remove))
        if remove:
            return
    limits, now = asyncio.run(_limits(place, name))
    show_list(_COLUMNS, limits, lambda one: _cells(one, now), as_json=as_json)
    if not limits and not as_json:
        say("No limits.")


async def _change(place: Place, name: str, rpm: float | None, tpm: float | None, *, remove: bool) -> None:
    from starfish_storage.generation.limiting import change_limit

    async with existing(place) as storage:
        if remove:
            await storage.ledger.delete_limit(name)
        else:
            await change_limit(storage.ledger, name, rpm, tpm)


async def _limits(place: Place, name: str | None) -> tuple[list[CallLimit], datetime]:
    async with reading(place) as storage:
        ledger = storage.ledger
        if name is None:
            return await ledger.list_limits(), await ledger.now()
        limit = await ledger.get_limit(name)
        if limit is None:
            raise NotFoundError(
                "limit", name, "'starfish-storage limits' lists those there are; --rpm or --tpm make it"
            )
        return [limit], await ledger.now()


def _cells(limit: CallLimit, now: datetime) -> Sequence[Cell]:
    paused = limit.pause_left(now) > 0
    return (
        limit.name,
        limit.rpm,
        limit.tpm,
        f"{limit.part_at(now):.0%}",
        sharers_text(limit, now) or None,
        limit.paused_until if paused else None,
        limit.pause_reason if paused else None,
    )
