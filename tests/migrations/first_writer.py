"""Opens a store of Starfish in a process of its own and writes to it once it is told to.

Usage: ``python -m migrations.first_writer ROOT PROJECT_ID [KILL_AT]``: killed before the statement of that number.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import apsw

from starfish_storage import LocalStorage, Project


async def main(root: str, project_id: str, kill_at: str | None = None) -> None:
    """Read, say so, wait, write."""
    async with LocalStorage(f"file://{root}") as storage:
        before = len(await storage.list_projects())
        sys.stdout.write(f"{before}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        if kill_at is not None:
            kill_before_statement(int(kill_at))
        await storage.save_project(Project(project_id=project_id, name="first written"))


def kill_before_statement(number: int) -> None:
    """Have this process killed before a statement of the connections that are opened from now on."""
    seen = 0

    def trace(cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(trace))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
