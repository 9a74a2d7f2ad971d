"""``starfish-storage unarchive``: copy the run in an archive into a store."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import made
from starfish_storage.cli.options import example, with_json, with_store_to_make
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.copying import CopyReport, unarchive


@click.command("unarchive", epilog=example("unarchive run.zip --store ./store"))
@click.argument("file", metavar="FILE.zip", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--most-bytes",
    type=click.IntRange(min=0),
    metavar="N",
    help="Refuse an archive that holds more [default: 100 times its size].",
)
@with_json
@with_store_to_make
def unarchive_command(place: Place, file: str, most_bytes: int | None, as_json: bool) -> None:
    """Copy the run in an archive into the store, which is made if missing.

    A damaged or malicious archive is refused, and leaves nothing behind.
    """
    report = asyncio.run(_unarchive(place, file, most_bytes))
    show_report(report, as_json=as_json)


async def _unarchive(place: Place, file: str, most_bytes: int | None) -> CopyReport:
    async with made(place, "power") as storage:
        with counted("copying") as progress:
            report = await unarchive(file, storage, most_bytes=most_bytes, progress=progress)
    report.source, report.target = file, place.shown
    return report
