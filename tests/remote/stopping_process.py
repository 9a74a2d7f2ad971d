"""Works on a store in PostgreSQL, and stops itself after statements within transactions: after each of them once.

Usage: ``python -m remote.stopping_process URI DATA NAMES``, with the names of the queries, between commas; none: all.
It says ``stopped NAME``, stops, and goes on when it is told to; at the end, ``paid`` with the inputs of its calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from starfish_storage import open_storage
from starfish_storage.generation import Context, generate
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.queries import postgres_queries

RUN, DOOMED, LIMIT = "run", "doomed", "shared"
INPUTS = 6


class Stops:
    """Stops this process after statements."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._done: set[str] = set()
        self._name_of = dict[str, str]()
        queries = postgres_queries()
        for name in queries.names():
            try:
                self._name_of.setdefault(queries[name], name)
            except KeyError:
                pass  # one over rows or statuses, of which there are many texts

    def patched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(connection: Any, statement: str, *rest: Any) -> Any:
            answer = method(connection, statement, *rest)
            if connection._connection.is_in_transaction():
                self._stop_once(self._name_of.get(statement, statement[:60]))
                connection._times_ended = 0  # as if it had committed something since the stop before
            return answer

        return call

    def _stop_once(self, name: str) -> None:
        if name in self._done or (self._names and name not in self._names):
            return
        self._done.add(name)
        os.write(1, f"stopped {name}\n".encode())
        os.kill(os.getpid(), signal.SIGSTOP)


async def main(uri: str, data: str, names: str) -> None:
    paid: list[int] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        paid.append(n)
        context.log_usage(model="m", input_tokens=1, output_tokens=1, cost=0.01)
        return {"n": n, "key": n // 2}

    async with open_storage(uri, data) as storage:
        stops = Stops(set(filter(None, names.split(","))))
        for name in ("execute", "execute_many", "execute_script"):
            setattr(PostgresConnection, name, stops.patched(getattr(PostgresConnection, name)))
        inputs: Any = ({"n": n} for n in range(INPUTS))
        options: Any = {"max_cost": 1.0, "limit": LIMIT, "rpm": 1e6, "unique_by": "key", "max_concurrency": 2}
        await generate(storage, answer, inputs, project="p", master_job_id=RUN, progress="quiet", **options)
        await storage.delete_master_job(DOOMED)
    os.write(1, f"paid {json.dumps(sorted(paid))}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
