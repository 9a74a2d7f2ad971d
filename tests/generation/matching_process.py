"""A process that gives a run other inputs with ``on_change="match"``, in children of its own.

Usage: ``python -m generation.matching_process STORE RUN killed`` changes the list again and again. A child gives each
list and kills itself at one write more than the child before, and then a child gives it that does not. With
``together``, two children give each list at the same moment.

Prints what was asked for, and what each child has ended with.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from generation.runs import open_store
from starfish_storage.generation import Context, generate, matching
from starfish_storage.metadata.postgres.database import PostgresDatabase
from starfish_storage.metadata.sqlite.database import Session

ASKED = "asked:"
ENDED = "ended:"
KEPT = (0, 1)
"""The inputs of every list."""

_ROUNDS_TOGETHER = 3


def changed(turn: int) -> list[int]:
    """Return the inputs of a list: some are in every one, some are new, and some were gone before."""
    new, back = range(100 * turn, 100 * turn + 5), range(100 * (turn - 2), 100 * (turn - 2) + 5)
    return [*new[:2], KEPT[0], *(back if turn > 2 else ()), *new[2:], KEPT[1]]


async def _give(store: str, run: str, values: list[int], kill_at: int, start: int | None) -> None:
    matching._CHANGED_AT_ONCE = 2  # pyright: ignore[reportPrivateUsage] (a short list in several writes)
    numbers = itertools.count(1)
    is_asked = False

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        async def counted_write(*given: Any) -> None:
            # Behind the first question, the kill would be one of those that tests/durability/test_paid.py tries.
            if not is_asked and next(numbers) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            await write(*given)

        return counted_write

    async def answer(n: int, context: Context) -> dict[str, Any]:
        nonlocal is_asked
        is_asked = True
        context.log_usage(cost=1.0)
        os.write(1, f"{ASKED} {n}\n".encode())
        return {"n": n}

    async with open_store(store) as storage:
        for database in (Session, PostgresDatabase):
            database.write = counted(database.write)
        if start is not None:
            os.read(start, 1)  # until the parent has closed its end
        inputs = [{"n": value} for value in values]
        await generate(storage, answer, inputs, project="p", master_job_id=run, on_change="match", progress="quiet")


def _child(store: str, run: str, values: list[int], kill_at: int = 0, pipe: tuple[int, int] | None = None) -> int:
    child = os.fork()
    if child == 0:
        if pipe is not None:
            os.close(pipe[1])
        status = 1
        try:
            asyncio.run(_give(store, run, values, kill_at, None if pipe is None else pipe[0]))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def _ended(child: int) -> int:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(1, f"{ENDED} {status}\n".encode())
    return status


def main(store: str, run: str, how: str) -> None:
    if how == "together":
        for turn in range(1, _ROUNDS_TOGETHER + 1):
            pipe = os.pipe()
            children = [_child(store, run, values, pipe=pipe) for values in (changed(turn), changed(turn)[::-1])]
            for end in pipe:
                os.close(end)
            for child in children:
                _ended(child)
        return
    for turn in itertools.count(1):
        status = _ended(_child(store, run, changed(turn), kill_at=turn))
        _ended(_child(store, run, changed(turn)))
        if status == 0:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
