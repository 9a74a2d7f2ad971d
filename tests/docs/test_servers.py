"""The page about servers: its statements, policies and commands are those that are run here."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from cli.calling import call, call_json
from docs.pages import PROJECT, blocks, file_of
from durability import workload
from servers.postgres import PostgresServer
from servers.processes import HOST
from servers.s3 import REGION, MotoServer
from starfish_storage import StorageError, StoreOpenError, generate, open_storage
from starfish_storage.maintenance import collect, verify

PAGE = PROJECT / "docs" / "how-to" / "servers.md"
ROLES, GRANTS, LIMITS = (block.text for block in blocks(PAGE) if block.info == "sql")
DATABASE = "runs"


class Roles:
    """A database with the page's roles, and who each of them is."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def uri(self, role: str, password: str | None = None) -> str:
        if password is None:
            password = re.findall(rf"capitals_{role} LOGIN PASSWORD '([^']+)'", ROLES)[0]
        return self.server.uri(DATABASE, "capitals", user=f"capitals_{role}", password=password)

    def execute(self, sql: str) -> list[list[str]]:
        return self.server.execute(sql, DATABASE)


@pytest.fixture
def roles(postgres_server: PostgresServer) -> Iterator[Roles]:
    postgres_server.start()
    postgres_server.execute(f"CREATE DATABASE {DATABASE}")
    try:
        postgres_server.execute(ROLES, DATABASE)
        yield Roles(postgres_server)
    finally:
        postgres_server.start()
        postgres_server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        for role in ("capitals_owner", "capitals_worker", "capitals_reader", "ada"):
            postgres_server.execute(f"DROP ROLE IF EXISTS {role}")


async def _make(roles: Roles, root: Path) -> None:
    with pytest.raises(StorageError, match=r"may not make or use the schema.*owner open the store first"):
        async with open_storage(roles.uri("worker"), root.as_uri()):
            pass
    roles.execute("CREATE ROLE ada LOGIN PASSWORD 'a'; GRANT capitals_owner TO ada")
    ada = roles.server.uri(DATABASE, "capitals", user="ada", password="a")
    async with open_storage(f"{ada}&role=capitals_owner", root.as_uri()):
        pass
    (owners,) = roles.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'capitals'")
    assert owners == ["capitals_owner"]


async def _answer(n: int) -> dict[str, int]:
    return {"n": n}


async def _generate(uri: str, root: Path, run: str = "r") -> dict[str, int]:
    async with open_storage(uri, root.as_uri()) as storage:
        given = [{"n": n} for n in range(3)]
        ended = await generate(storage, _answer, given, project="p", master_job_id=run, progress="quiet")
        return dict(ended.records)


def test_each_role_can_do_what_the_page_says(roles: Roles, tmp_path: Path, open_path: Path) -> None:
    root = open_path / "data"
    asyncio.run(_make(roles, root))
    roles.execute(GRANTS + LIMITS)  # what a store that was there before needs does no harm to another
    assert asyncio.run(_generate(roles.uri("worker"), root)) == {"completed": 3}
    worker, reader = (("--store", roles.uri(role), "--data-uri", root.as_uri()) for role in ("worker", "reader"))
    before = sorted(root.rglob("*"))
    assert [run["master_job_id"] for run in call_json("runs", *reader)] == ["r"]
    assert call_json("show", "r", *reader)["kind"] == "master_job"
    out = tmp_path / "out.jsonl"
    assert call("export", "r", str(out), *reader).status == 0
    assert len(out.read_text().splitlines()) == 3
    refused = call("delete", "r", "--yes", *reader)
    assert (refused.status, "privilege" in refused.err or "may not" in refused.err) == (2, True), refused.err
    refused = call("priority", "r", "2", *reader)
    assert (refused.status, "call (permission denied for table " in refused.err) == (2, True), refused.err
    assert sorted(root.rglob("*")) == before
    assert call("collect", *worker, "--dry-run").status == 0
    assert call("delete", "r", "--yes", *worker).status == 0
    # As a release finds it that knows one version more:
    roles.execute("UPDATE capitals.settings SET value = value::int - 1 WHERE name = 'schema_version'")
    refused = call("migrate", "--now", *worker)
    assert (refused.status, "the user may not change the store's tables" in refused.err) == (2, True), refused.err
    roles.execute("UPDATE capitals.settings SET value = value::int + 1 WHERE name = 'schema_version'")


def test_the_backup_is_another_store_that_is_whole(roles: Roles, tmp_path: Path, open_path: Path) -> None:
    server, root = roles.server, open_path / "data"
    asyncio.run(_make(roles, root))
    assert asyncio.run(_generate(roles.uri("worker"), root)) == {"completed": 3}
    (steps,) = (block.text for block in blocks(PAGE) if "pg_dump" in block.text)
    server.execute("CREATE DATABASE other")
    programs = [str(server.programs), os.path.dirname(sys.executable), os.environ["PATH"]]
    try:
        where = {"DATABASE": server.uri(DATABASE), "OTHER": server.uri("other"), "DATA": str(root)}
        ran = subprocess.run(
            ["sh", "-ec", steps],
            cwd=tmp_path,
            env=os.environ | where | {"PATH": os.pathsep.join(programs)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "3 records" in ran.stdout
        lost = next(path for path in (tmp_path / "copy" / "data").rglob("*.jsonl"))
        lost.unlink()
        place = ("--store", f"{server.uri('other')}?schema=capitals", "--data-uri", f"{(tmp_path / 'copy').as_uri()}")
        assert call("verify", *place).status == 1
    finally:
        server.execute("DROP DATABASE other WITH (FORCE)")


# moto asks for deletions of many keys at the bucket; S3 asks at each key, which the page's policy allows.
_DELETES_IN_MOTO = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::my-bucket"}


@pytest.fixture
def as_user(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A server that obeys the page's policies, and what makes this process one of its users."""
    moto_server.start()
    moto_server.make_bucket("my-bucket")
    iam = boto3.client(  # pyright: ignore[reportUnknownMemberType] (it has no types)
        "iam",
        endpoint_url=moto_server.endpoint,
        aws_access_key_id="root",
        aws_secret_access_key="root",
        region_name=REGION,
    )
    users: dict[str, dict[str, str]] = {}
    for block in blocks(PAGE):
        user = (file_of(block) or "").removesuffix("-policy.json")
        if not user:
            continue
        policy = json.loads(block.text)
        if user == "worker":
            policy["Statement"].append(_DELETES_IN_MOTO)
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="page", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        users[user] = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def become(user: str) -> None:
        for name, value in {**moto_server.environment, **users[user], "NO_PROXY": HOST}.items():
            monkeypatch.setenv(name, value)

    _obey_policies(moto_server, "0")
    yield become
    moto_server.stop()  # which forgets users, buckets and that policies are obeyed


def _obey_policies(server: MotoServer, after: str) -> None:
    connection = http.client.HTTPConnection(HOST, server.port)
    connection.request("POST", "/moto-api/reset-auth", body=after)
    assert connection.getresponse().status == 200
    connection.close()


async def test_the_policies_allow_what_each_needs_and_nothing_outside(
    as_user: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFISH_STORAGE_RETRY_SECONDS", "2")
    uri, place = (tmp_path / "store").as_uri(), "s3://my-bucket/capitals"
    as_user("worker")
    async with open_storage(uri, place) as storage:
        await workload.prepare(storage)
        saved = [await storage.save_record(workload.record("r", 1), {"n": n}) for n in range(2)]  # and one is replaced
        await storage.save_record(workload.record("gone", 2), {"n": 2})
    with pytest.raises(StoreOpenError, match="AccessDenied"):
        async with open_storage((tmp_path / "other").as_uri(), "s3://my-bucket/other"):
            pass
    as_user("reader")
    async with open_storage(uri, place, read_only=True) as storage:
        assert await storage.get_record_data(saved[-1]) == {"n": 1}
    with pytest.raises(StoreOpenError, match="AccessDenied"):
        async with open_storage(uri, place):
            pass
    as_user("worker")
    async with open_storage(uri, place) as storage:
        await storage.delete_master_job(workload.MASTER)
    report = await asyncio.to_thread(collect, uri, place, grace=timedelta(hours=1))
    assert (await asyncio.to_thread(verify, uri, place)).is_sound, report
