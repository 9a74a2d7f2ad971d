"""A role that may only read: it sees and exports, without any right to write rows or data."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.calling import call, call_json
from durability import workload
from remote.stores import opened, schema_of
from servers.postgres import PostgresServer

_PASSWORD = "r3ader"


@pytest.fixture
def reader(postgres_server: PostgresServer, postgres_uri: str) -> Iterator[str]:
    """The URI of a store for a role with the rights that docs/how-to/remote.md gives to readers."""
    schema, role = schema_of(postgres_uri), f"reader_{secrets.token_hex(4)}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_PASSWORD}'")
    postgres_server.execute(f'CREATE SCHEMA "{schema}"')
    postgres_server.execute(
        f'GRANT USAGE ON SCHEMA "{schema}" TO {role};'
        f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT SELECT ON TABLES TO {role}'
    )
    yield f"postgresql://{role}:{_PASSWORD}@{postgres_uri.rpartition('@')[2]}"
    postgres_server.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def _fill(uri: str, root: Path) -> None:
    async with opened(uri, root) as storage:
        await workload.prepare(storage)
        await storage.save_record(workload.record("r1", 1), {"answer": 1})


def test_a_reader_sees_and_exports(postgres_uri: str, reader: str, tmp_path: Path, open_path: Path) -> None:
    root = open_path / "data"
    asyncio.run(_fill(postgres_uri, root))
    place = ("--store", reader, "--data-uri", root.as_uri())
    before = sorted(str(path) for path in root.rglob("*"))
    (run, *_) = call_json("runs", *place)
    assert run["master_job_id"] == workload.MASTER
    assert call_json("show", workload.MASTER, *place)["kind"] == "master_job"
    out = tmp_path / "out.jsonl"
    assert call("export", workload.MASTER, str(out), *place).status == 0
    assert len(out.read_text().splitlines()) == 1
    assert call_json("record", "r1", *place)["data"] == {"answer": 1}
    assert f'run="{workload.MASTER}",status="{run["status"]}"' in call("metrics", *place).out
    refused = call("delete", workload.MASTER, "--yes", *place)
    assert refused.status == 2
    assert "privilege" in refused.err or "may not" in refused.err
    assert sorted(str(path) for path in root.rglob("*")) == before
