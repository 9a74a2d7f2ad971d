"""PgBouncer in between: where it pools sessions all works, where it pools transactions the store is not opened."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.stores import opened, schema_of
from servers import pgbouncer
from servers.fixtures import skip_if
from servers.pgbouncer import PgBouncer
from servers.postgres import PostgresServer
from starfish_storage import InvalidUriError, Project, StoreOpenError, open_storage
from starfish_storage.maintenance import verify
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.row import only_value

PASSED_OVER = "search_path, tcp_keepalives_idle, tcp_keepalives_interval, tcp_keepalives_count, plan_cache_mode, jit"
PASSED_OVER += ", idle_in_transaction_session_timeout, default_transaction_isolation, lock_timeout"
PASSED_OVER += ", default_transaction_read_only"


@pytest.fixture(scope="module")
def transactions(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    skip_if(pgbouncer.unavailable())
    with PgBouncer(postgres_server, "transaction") as pooler:
        yield pooler


@pytest.fixture(scope="module", params=["refuses settings", "passes over settings"])
def sessions(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    skip_if(pgbouncer.unavailable())
    more = {"ignore_startup_parameters": PASSED_OVER} if "passes" in request.param else {}
    with PgBouncer(postgres_server, "session", **more) as pooler:
        yield pooler


async def test_a_pooler_of_sessions(
    sessions: PgBouncer, postgres_server: PostgresServer, postgres_uri: str, tmp_path: Path
) -> None:
    uri = sessions.uri(schema_of(postgres_uri))
    async with opened(uri, tmp_path) as storage, opened(uri, tmp_path) as other:
        await storage.save_project(Project(project_id="p", name="through"))
        assert (await other.get_project("p")) == (await storage.get_project("p"))
    async with open_storage(uri, tmp_path, read_only=True) as reader:
        assert [project.name for project in await reader.list_projects()] == ["through"]
    assert verify(uri, tmp_path).findings == ()
    assert postgres_server.execute(f'SELECT name FROM "{schema_of(uri)}".projects') == [["through"]]


def test_sessions_have_their_settings_and_know_their_process(sessions: PgBouncer, postgres_uri: str) -> None:
    connection = PostgresConnection(PostgresAddress.of_uri(f"{sessions.uri('x')}&work_mem=5MB"), 5)
    try:
        connection.open()
        for name, value in (("jit", "off"), ("lock_timeout", "5s"), ("work_mem", "5MB"), ("search_path", '"x"')):
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)
        pid = only_value(connection.execute("SELECT pg_backend_pid()").fetchone())
        session = connection._connection
        assert (session.get_server_pid(), session.is_pooled) == (pid, True)
    finally:
        connection.close()


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_pooler_of_transactions_is_refused_by_name(
    transactions: PgBouncer, postgres_server: PostgresServer, postgres_uri: str, tmp_path: Path, *, read_only: bool
) -> None:
    schema = schema_of(postgres_uri)
    if read_only:
        async with opened(postgres_uri, tmp_path):
            pass
    storage = open_storage(transactions.uri(schema), tmp_path, read_only=read_only)
    with pytest.raises(StoreOpenError, match=r"pool sessions \(PgBouncer: pool_mode = session\)"):
        await storage.setup()
    there = f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'"
    assert postgres_server.execute(there) == [["1" if read_only else "0"]]


_OF_LIBPQ = (
    "connect_timeout=7&keepalives=1&keepalives_idle=33&keepalives_interval=4&keepalives_count=2&tcp_user_timeout=9000&"
    "channel_binding=prefer&gssencmode=disable&client_encoding=UTF8&fallback_application_name=x&statement_timeout=55s&"
    "options=-c%20work_mem=7MB"
)


async def test_a_store_with_parameters_of_libpq(postgres_uri: str, tmp_path: Path) -> None:
    async with opened(f"{postgres_uri}&{_OF_LIBPQ}", tmp_path) as storage:
        await storage.save_project(Project(project_id="p", name="p"))
        assert await storage.get_project("p") is not None


def test_what_parameters_of_libpq_do(postgres_uri: str) -> None:
    address = PostgresAddress.of_uri(f"{postgres_uri}&{_OF_LIBPQ}")
    assert address.parameters.seconds_to_connect(10.0) == 7.0
    connection = PostgresConnection(address, 5)
    try:
        connection.open()
        assert connection.execute("SHOW statement_timeout").fetchone() == ("55s",)
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
        used = connection._connection._transport.get_extra_info("socket")
        for option, value in (("TCP_KEEPIDLE", 33), ("TCP_KEEPINTVL", 4), ("TCP_KEEPCNT", 2)):
            assert used.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)) == value
        assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("channel_binding=require", "'channel_binding' cannot be 'require'"),
        ("gssencmode=require", "'gssencmode' cannot be 'require'"),
        ("connect_timeout=soon", "'connect_timeout' must be a whole number"),
        ("require_auth=scram-sha-256", "'require_auth', which is not supported here"),
        ("sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("client_encoding=latin1", "text is UTF-8"),
    ],
)
def test_what_is_not_taken_is_named(parameter: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidUriError, match=words):
        open_storage(f"postgresql://me@db.example/runs?schema=a&{parameter}", tmp_path)


def test_certificates_of_the_systems_authorities() -> None:
    address = PostgresAddress.of_uri("postgresql://me@db.example/runs?sslrootcert=system&sslmode=verify-full")
    assert "ssl" not in address.dsn
    context = address.parameters.driver_arguments()["ssl"]
    assert (context.check_hostname, context.verify_mode.name) == (True, "CERT_REQUIRED")
