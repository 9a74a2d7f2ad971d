"""A process that edits a record and judges it until it is killed, and says what was acknowledged.

Usage: ``python -m durability.annotation_process STORE DATA RECORD AUTHOR ROUNDS``.
"""

from __future__ import annotations

import asyncio
import sys

from starfish_storage import open_storage


async def main(store: str, data: str, uid: str, author: str, rounds: int) -> None:
    """Edit and judge in turn."""
    async with open_storage(store, data or None) as storage:
        notes = storage.annotations
        for number in range(rounds):
            edit = await notes.edit_record(uid, {"by": author, "number": number, "text": "x" * 3000}, author=author)
            verdict = await notes.add(uid, "verdict", ("accepted", "rejected")[number % 2], author=author)
            sys.stdout.write(f"{edit.annotation_id} {edit.value['version']} {verdict.annotation_id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    store, data, uid, author, rounds = sys.argv[1:]
    asyncio.run(main(store, data, uid, author, int(rounds)))
