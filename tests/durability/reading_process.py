"""Reads stores as whoever is told, tries to write to each, and prints what came of it as JSON.

Usage: ``python -m durability.reading_process USER WARM_UP URI...``: ``USER`` is ``nobody``, who has no rights, or
``self``; a store is made at ``WARM_UP`` first, so that what is imported on the way may lie where only root can read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from durability import reading_stores
from starfish_storage import LocalStorage, open_storage

NOBODY = 65534


async def main(user: str, warm_up: str, *uris: str) -> list[dict[str, Any]]:
    async with LocalStorage(warm_up) as storage:
        await reading_stores.look(storage)
    if user == "nobody" and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    return [await reading_stores.opened(lambda uri=uri: open_storage(uri)) for uri in uris]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))
