"""``starfish-storage restore-version``: make an earlier output of a record the current one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_json, with_store_to_write
from starfish_storage.cli.output import say, show_json
from starfish_storage.cli.place import Place
from starfish_storage.runs import RecordVersion


@click.command("restore-version", epilog=example("restore-version 5f0c9d6a7b1e4c2f8a3d5e6f7a8b9c0d-0 1"))
@click.argument("uid")
@click.argument("number", type=click.IntRange(min=1))
@with_json
@with_store_to_write
def restore_version_command(place: Place, uid: str, number: int, as_json: bool) -> None:
    """Make version NUMBER of record UID the current one. The current one stays, as a version."""
    versions = asyncio.run(_restore(place, uid, number))
    if as_json:
        show_json(versions)
        return
    status = next(version.status for version in versions if version.is_current)
    say(f"Version {number} is the current one of record {uid}; the record is {status}.")


async def _restore(place: Place, uid: str, number: int) -> Sequence[RecordVersion]:
    async with existing(place) as storage:
        await storage.ledger.restore_version(uid, number)
        return await storage.ledger.list_versions(uid)
