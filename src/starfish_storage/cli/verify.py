"""``starfish-storage verify``: read a whole store, and name what is damaged."""

from __future__ import annotations

from datetime import timedelta

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import verify


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

    The exit status is 0 if the store is sound, and 1 if it is damaged.
    """
    with counted("verifying") as progress:
        grace = timedelta(days=days)
        report = verify(place.uri, place.data_uri, progress=progress, grace=grace, read_only=place.read_only)
    show_report(report, as_json=as_json)
    return exit_codes.DONE if report.is_sound else exit_codes.FAILURES
