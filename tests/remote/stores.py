"""Stores in PostgreSQL for the tests with faults: opened through a proxy, filled, and compared with what was logged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from durability import workload
from durability.workload import Line
from servers.postgres import PostgresServer
from servers.processes import wait_until
from starfish_storage.interface import Layout, Storage
from starfish_storage.keys import pack_key, packed_at
from starfish_storage.storage.postgres import PostgresStorage
from starfish_storage.uri import file_uri_of_path

PATIENCE = 20.0  # of tests in which the server comes back
SHORT = 1.5  # of those in which it does not


def opened(uri: str, root: Path, patience: float = PATIENCE, layout: Layout | None = None) -> PostgresStorage:
    """Return a storage, not yet set up."""
    return PostgresStorage(uri, file_uri_of_path(str(root)), patience=patience, layout=layout)


def through(uri: str, server: PostgresServer, port: int) -> str:
    """Return a URI with the port of a proxy in place of the server's."""
    return uri.replace(f":{server.port}/", f":{port}/")


def schema_of(uri: str) -> str:
    """Return the schema that a URI names."""
    return uri.rpartition("schema=")[2]


def rows(server: PostgresServer, uri: str, query: str) -> list[list[str]]:
    """Run a query with the store's schema in place of ``{}``."""
    return server.execute(query.format(f'"{schema_of(uri)}"'))


class Kept(workload.Log):
    """A log that is kept here, of a writer that lives in this process."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._awaited: list[tuple[int, asyncio.Event]] = []

    def write(self, kind: str, change: dict[str, Any]) -> None:
        self.lines.append((kind, json.loads(json.dumps(change))))
        for count, event in self._awaited:
            if len(self.lines) >= count:
                event.set()

    async def until(self, count: int) -> None:
        """Wait until there are so many lines."""
        event = asyncio.Event()
        self._awaited.append((count, event))
        if len(self.lines) < count:
            await event.wait()

    def in_flight(self) -> int:
        """Return how many calls have not returned."""
        return sum(1 if kind == "begin" else -1 for kind, _ in self.lines)


async def check(storage: Storage, root: Path, lines: Sequence[Line], server: PostgresServer, uri: str) -> int:
    """Compare an open store with the log, and with itself; return how many records were acknowledged."""
    removed = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {0}.data_removals)"
    wait_until(lambda: bool(rows(server, uri, removed)), "the removal of what was deleted")
    count = await workload.check_storage(storage, root, lines)
    await workload.goes_on(storage)
    check_itself(server, uri)
    check_files(root, server, uri)
    return count


STRAY = {
    "attempts counted twice or lost": "SELECT 1 FROM (SELECT master_job_id, sum(attempts) AS n FROM {0}.run_totals "
    "GROUP BY 1) AS totals FULL JOIN (SELECT master_job_id, count(*) AS n FROM {0}.attempts GROUP BY 1) AS counted "
    "USING (master_job_id) WHERE coalesce(totals.n, 0) <> coalesce(counted.n, 0)",
    "records counted twice or lost": "SELECT 1 FROM (SELECT master_job_id, status, sum(records) AS n "
    "FROM {0}.record_counts GROUP BY 1, 2) AS counts FULL JOIN (SELECT master_job_id, status, count(*) AS n "
    "FROM {0}.records GROUP BY 1, 2) AS counted USING (master_job_id, status) "
    "WHERE coalesce(counts.n, 0) <> coalesce(counted.n, 0)",
    "attempts of an input that are not numbered from 1": "SELECT 1 FROM {0}.attempts GROUP BY job_id "
    "HAVING max(number) <> count(*)",
}
NOBODY_IN_A_TRANSACTION = (
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
    "AND application_name LIKE 'starfish%')"
)


def check_itself(server: PostgresServer, uri: str) -> None:
    """The counts are those of the rows, and nobody holds a lock."""
    for what, query in STRAY.items():
        assert rows(server, uri, query) == [], what
    # Not at this very moment: a storage that is open removes in the background what is not needed any more.
    wait_until(lambda: bool(server.execute(NOBODY_IN_A_TRANSACTION)), "the end of every transaction", 5)


def check_files(root: Path, server: PostgresServer, uri: str) -> None:
    """Every row points at a file that is there, or at a line of a pack."""
    referred = rows(server, uri, "SELECT output_ref, data_version FROM {0}.records WHERE output_ref IS NOT NULL")
    for key, version in referred:
        if (place := packed_at(version)) is not None:
            content = (root / pack_key(place.pack)).read_bytes()[: place.end]
            assert len(content) == place.end
            assert content.endswith(b"\n")
            continue
        assert (root / (f"{key.removesuffix('.json')}.{version}.json" if version else key)).is_file()


def unreferenced(root: Path, server: PostgresServer, uri: str) -> set[str]:
    """Return the files of data that no row refers to."""
    referred = {
        f"{key.removesuffix('.json')}.{version}.json"
        for query in (
            "SELECT output_ref, data_version FROM {0}.records WHERE output_ref IS NOT NULL",
            "SELECT key, data_version FROM {0}.loose_data",
        )
        for key, version in rows(server, uri, query)
    }
    return {str(path.relative_to(root)) for path in root.glob("data/*/*")} - referred


def until(server: PostgresServer, condition: str, what: str) -> None:
    """Wait until a query has rows."""
    wait_until(lambda: bool(server.execute(condition)), what)


def sessions(server: PostgresServer) -> int:
    """Return how many sessions of the library there are."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'starfish%'"
    return int(server.execute(query)[0][0])


def restart_at_once(server: PostgresServer) -> None:
    """End the server as a crash does, in order for its own part, and start it again."""
    server.stop("immediate")
    server.start()


def kill_and_start(server: PostgresServer) -> None:
    """End the server with kill -9, and start it again."""
    server.kill()
    server.start()


def end_sessions(server: PostgresServer) -> None:
    """End every session from the server's side."""
    server.terminate_connections()


OUTAGES: dict[str, Callable[[PostgresServer], None]] = {
    "restart": PostgresServer.restart,
    "immediate": restart_at_once,
    "kill -9": kill_and_start,
    "sessions ended": end_sessions,
}
