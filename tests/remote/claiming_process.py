"""Opens stores on the places of data that it is told of, at the same time as others do, and writes to them.

Usage: ``python -m remote.claiming_process``. It says ``ready``; then, of each line of its input, an object with
``store``, ``data`` and environment variables: ``written``, or the code and the text of the error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from maintenance.stores import fill
from starfish_storage import StorageError, open_storage


async def written(store: str, data: str) -> str:
    """Return what becomes of opening a store and writing to it."""
    try:
        await fill(open_storage(store, data, layout="files"), 2)
    except StorageError as error:
        return f"{error.code} {error}"
    return "written"


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        given = json.loads(line)
        store, data = given.pop("store"), given.pop("data")
        os.environ.update(given)
        sys.stdout.write(asyncio.run(written(store, data)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
