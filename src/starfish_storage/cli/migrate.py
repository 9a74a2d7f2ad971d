"""``starfish-storage migrate``: bring a store to the format of this release."""

from __future__ import annotations

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.options import example, with_json, with_store_to_write
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import migrate


@click.command("migrate", epilog=example("migrate --store postgresql://host/db --dry-run"))
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing; status 1 if anything.")
@click.option("--now", is_flag=True, help="Do not wait for a drain: workers at work store nothing more, and spool.")
@with_json
@with_store_to_write
@click.pass_context
def migrate_command(context: click.Context, place: Place, dry_run: bool, now: bool, as_json: bool) -> None:
    """Bring a store to the format of this release, and end its drain.

    A store on a server is migrated by this command alone; one in a directory also when it is opened.
    """
    place.refuse_archive()
    if not dry_run:
        place.refuse_writing()
    report = migrate(place.uri, place.data_uri, dry_run=dry_run, now=now)
    show_report(report, as_json=as_json)
    if dry_run and report.is_needed:
        context.exit(exit_codes.FAILURES)
