"""The servers that the remote parts need, started by the benchmark itself: those of the tests, with fsync on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants import PROJECT_ROOT

BUCKET = "benchmark"


@dataclass(frozen=True)
class RemoteServers:
    """A PostgreSQL and an object store that are up.

    Attributes:
        postgres: the database server.
        environment: what a client of the object store reads from its environment.
        directory: where data in directories goes.
    """

    postgres: Any
    environment: dict[str, str]
    directory: Path

    def uri(self, schema: str) -> str:
        """Return the URI of a store's metadata."""
        return str(self.postgres.uri(schema=schema))

    def data_uri(self, kind: str, name: str) -> str:
        """Return the URI of a place for data that nobody has used."""
        return f"s3://{BUCKET}/{name}" if kind == "S3" else (self.directory / name).as_uri()

    def number(self, sql: str) -> float:
        """Return the one number that a query gives."""
        ((value,),) = self.postgres.execute(sql)
        return float(value)

    def written(self) -> float:
        """Return how many bytes of log the server has written since it was made."""
        return self.number("SELECT pg_current_wal_lsn() - '0/0'")

    def commits(self) -> float:
        """Return how many transactions were committed, by connections that are closed or idle for a second."""
        return self.number("SELECT sum(xact_commit) FROM pg_stat_database")


@contextmanager
def remote_servers(directory: Path) -> Iterator[RemoteServers]:
    """Give servers that are ended afterwards, and everything in them with it."""
    tests = str(PROJECT_ROOT / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    from servers.postgres import PostgresServer
    from servers.s3 import S3Server

    with PostgresServer(durable=True) as postgres, S3Server() as objects:
        objects.make_bucket(BUCKET)
        try:
            yield RemoteServers(postgres, objects.environment, directory)
        finally:
            objects.stop()
            shutil.rmtree(objects.root)  # here, where that may take its time
