"""``starfish-storage config``: the request configuration of a run."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_run, with_store
from starfish_storage.cli.output import show_data, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run


@click.command("config", epilog=example("config last"))
@with_run
@with_json
@with_store
def config_command(place: Place, run: str, as_json: bool) -> None:
    """Print the request configuration of a run as a JSON object."""
    config = asyncio.run(_config(place, run))
    (show_json if as_json else show_data)(config)


async def _config(place: Place, run: str) -> dict[str, Any]:
    async with reading(place) as storage:
        job = await find_run(storage, run)
        return await storage.get_request_config(job.request_config_ref)
