"""``starfish-storage restore``: make a store from a backup."""

from __future__ import annotations

import click

from starfish_storage.cli.options import example, with_json, with_store_to_write
from starfish_storage.cli.output import show_report
from starfish_storage.cli.place import Place
from starfish_storage.maintenance import restore


@click.command("restore", epilog=example("restore /mnt/backup --store /data/store"))
@click.argument("backup", metavar="BACKUP")
@with_json
@with_store_to_write
def restore_command(place: Place, backup: str, as_json: bool) -> None:
    """Check BACKUP, and make the store from it. The store must not exist yet."""
    place.refuse_writing()
    show_report(restore(backup, place.uri, data_uri=place.data_uri), as_json=as_json)
