"""``starfish-storage backup``: copy a store, which may be in use."""

from __future__ import annotations

import click

from starfish_storage.cli.counting import counted
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import backup


@click.command("backup", epilog=example("backup /mnt/backup --store /data/store"))
@click.argument("target", metavar="TARGET")
@with_json
@with_store
def backup_command(place: Place, target: str, as_json: bool) -> None:
    """Copy the store, which may be in use, to the directory TARGET.

    Run it again to bring TARGET up to date: only what has changed is copied.
    """
    place.refuse_archive()
    with counted("copying") as progress:
        report = backup(place.uri, target, data_uri=place.data_uri, progress=progress, read_only=place.read_only)
    show_report(report, as_json=as_json)
