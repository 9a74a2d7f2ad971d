"""``starfish-storage verify``: read a whole store, and name what is damaged."""

from __future__ import annotations

import asyncio
import warnings
from datetime import timedelta

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.data.mounts import VolatileFileSystemWarning
from starfish_storage.errors import StorageError
from starfish_storage.maintenance import VerifyReport, verify
from starfish_storage.metadata.sqlite.locks import is_held
from starfish_storage.times import utc_now


@click.command("verify", epilog=example("verify --store /data/store"))
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    help="In PostgreSQL and object stores, name unreferenced data only if it is older.",
)
@with_json
@with_store
def verify_command(place: Place, days: float, as_json: bool) -> int:
    """Read everything in the store and compare it with what was saved. Changes nothing.

    It notes in the store what it found, unless --read-only is given or the database is damaged. The exit status is 0 if
    the store is sound, and 1 if it is damaged.
    """
    place.refuse_archive()
    with counted("verifying") as progress:
        grace = timedelta(days=days)
        report = verify(place.uri, place.data_uri, progress=progress, grace=grace, read_only=place.read_only)
    _note(place, report)
    show_report(report, as_json=as_json)
    return exit_codes.DONE if report.is_sound else exit_codes.FAILURES


def _note(place: Place, report: VerifyReport) -> None:
    """Note in the store what was found, where that can be written at once: what was found is printed in any case."""
    if place.read_only or any(one.kind.startswith("database_") for one in report.findings):
        return
    if place.is_local and is_held(place.path, 0):
        return  # who holds it might not let go of it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VolatileFileSystemWarning)  # it can be found again
        try:
            asyncio.run(_save(place, report))
        except StorageError:
            pass  # as on a disk that is full or read-only


async def _save(place: Place, report: VerifyReport) -> None:
    async with existing(place, "process") as storage:
        await storage.ledger.save_verification(report.verification(utc_now()))
