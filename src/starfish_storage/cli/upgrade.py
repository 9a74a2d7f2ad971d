"""``starfish-storage upgrade``: bring a store to the format of this release."""

from __future__ import annotations

from dataclasses import replace

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.counting import counted
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import upgrade
from starfish_storage.uri import as_uri


@click.command("upgrade", epilog=example("upgrade /data/starfish-store --dry-run"))
@click.argument("path", metavar="[PATH]", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and write nothing.")
@with_json
@with_store
def upgrade_command(place: Place, path: str | None, dry_run: bool, as_json: bool) -> int:
    """Bring the store in the directory PATH, which nobody has open, to the format of this release.

    A store of Starfish 0.1 is read whole, backed up, and repaired where Starfish left it damaged. If this is
    interrupted, run it again.

    The exit status is 1 if outputs were lost before the upgrade: their inputs have failed, and can run again.
    """
    place = place if path is None else replace(place, uri=as_uri(path))
    place.refuse_archive()
    if not dry_run:
        place.refuse_writing()
    with counted("reading") as progress:
        report = upgrade(place.uri, place.data_uri, dry_run=dry_run, progress=progress)
    show_report(report, as_json=as_json)
    return exit_codes.FAILURES if report.has_lost else exit_codes.DONE
