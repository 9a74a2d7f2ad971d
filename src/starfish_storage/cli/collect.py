"""``starfish-storage collect``: remove what nothing refers to."""

from __future__ import annotations

from datetime import timedelta

import click

from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import collect


@click.command("collect", epilog=example("collect --store /data/store --dry-run"))
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--days", type=click.FloatRange(min=0), default=7, show_default=True, help="Remove only what is older.")
@click.option(
    "--versions-older-than",
    "versions",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Also remove versions of records that were replaced so many days ago.",
)
@with_json
@with_store
def collect_command(place: Place, dry_run: bool, days: float, versions: float | None, as_json: bool) -> None:
    """Remove unreferenced data, files that dead writers left, and superseded lines of the row log.

    Packs of which more than 30 % was replaced or deleted are written anew.
    """
    place.refuse_archive()
    if not dry_run:
        place.refuse_writing()
    report = collect(
        place.uri,
        place.data_uri,
        grace=timedelta(days=days),
        dry_run=dry_run,
        read_only=place.read_only,
        versions_older_than=None if versions is None else timedelta(days=versions),
    )
    show_report(report, as_json=as_json)
