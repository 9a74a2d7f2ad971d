"""The tests' PostgreSQL does what tests of the library rely on."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from durability import processes as python_processes
from servers import caretaker, postgres
from servers.postgres import PostgresServer
from servers.processes import temporary_directory, wait_until
from servers.proxies import TcpProxy
from servers.s3 import rclone_program

pytestmark = pytest.mark.skipif(postgres.unavailable() is not None, reason=str(postgres.unavailable()))


@pytest.fixture
def table(postgres_server: PostgresServer) -> Iterator[str]:
    postgres_server.start()
    postgres_server.execute("CREATE TABLE numbers (number int)")
    yield "numbers"
    postgres_server.start()
    postgres_server.execute("DROP TABLE numbers")


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_a_server_that_was_stopped_starts_again_on_its_port_with_what_was_there(
    postgres_server: PostgresServer, table: str, mode: str
) -> None:
    before = postgres_server.uri()
    postgres_server.execute(f"INSERT INTO {table} VALUES (1), (2)")
    postgres_server.stop(mode)
    assert not postgres_server.running
    postgres_server.start()
    assert postgres_server.uri() == before
    assert postgres_server.execute(f"SELECT number FROM {table} ORDER BY number") == [["1"], ["2"]]


async def test_a_killed_server_loses_no_committed_row_and_leaves_no_child(
    postgres_server: PostgresServer, table: str
) -> None:
    connection = await asyncpg.connect(postgres_server.uri())
    for number in range(100):
        await connection.execute(f"INSERT INTO {table} VALUES ($1)", number)
    child = connection.get_server_pid()
    postgres_server.kill()
    assert caretaker.gone({child})
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.execute(f"INSERT INTO {table} VALUES (100)")
    postgres_server.start()
    assert postgres_server.execute(f"SELECT count(*) FROM {table}") == [["100"]]


async def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.uri(password="wrong"))


async def test_connections_are_terminated_from_the_side_of_the_server(postgres_server: PostgresServer) -> None:
    postgres_server.start()
    connection = await asyncpg.connect(postgres_server.uri())
    assert postgres_server.terminate_connections() == 1
    with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError)):
        await connection.execute("SELECT 1")


async def test_connections_go_through_a_proxy(postgres_server: PostgresServer) -> None:
    postgres_server.start()
    with TcpProxy("127.0.0.1", postgres_server.port) as proxy:
        connection = await asyncpg.connect(postgres_server.uri(port=proxy.port))
        assert await connection.fetchval("SELECT 1") == 1
        proxy.cut()
        with pytest.raises((OSError, asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError)):
            await connection.fetchval("SELECT 1")


async def test_the_schema_of_a_uri_is_named_and_not_there_yet(
    postgres_server: PostgresServer, postgres_uri: str
) -> None:
    base, _, schema = postgres_uri.partition("?schema=")
    connection = await asyncpg.connect(base)
    count = await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema)
    await connection.close()
    assert schema
    assert count == 0


def test_commits_are_synchronous_and_fsync_is_kept_on_request() -> None:
    with PostgresServer(durable=True) as server:
        assert server.execute("SHOW fsync") == [["on"]]
        assert server.execute("SHOW synchronous_commit") == [["on"]]
        directory = server.directory
    assert not directory.exists()


def test_a_start_that_fails_shows_the_log() -> None:
    with pytest.raises(ChildProcessError) as caught, PostgresServer(settings={"no_such_setting": "1"}):
        pass
    assert "no_such_setting" in "".join(caught.value.__notes__)


@pytest.mark.skipif(len(postgres.places()) < 2, reason="no PostgreSQL but the preferred one")
def test_the_programs_of_the_system_do_as_well() -> None:
    with PostgresServer(programs=postgres.places()[-1]) as server:
        assert server.execute("SELECT 1") == [["1"]]


@pytest.mark.skipif(rclone_program() is None, reason="no rclone")
def test_nothing_is_left_when_the_tests_themselves_are_killed() -> None:
    with python_processes.start(["-m", "servers.left_behind"]) as process:
        assert process.stdout is not None
        started = [process.stdout.readline().split() for _ in range(2)]
        process.send_signal(signal.SIGKILL)
    pids = {int(pid) for pid, _ in started}
    wait_until(lambda: caretaker.gone(pids), "the servers' end", 15)
    wait_until(lambda: not any(os.path.exists(path) for _, path in started), "the directories' end", 15)


@pytest.mark.skipif(os.geteuid() != 0, reason="all the other tests here run as an ordinary user already")
def test_an_ordinary_user_starts_it_as_well() -> None:
    entry = pwd.getpwnam(postgres.UNPRIVILEGED)
    home = temporary_directory("starfish-home-")
    try:
        os.chown(home, entry.pw_uid, entry.pw_gid)
        shutil.copytree(Path(__file__).parent, home / "servers")  # ours may lie where the user cannot go
        ran = run_as(entry, home, python_of(entry, home), "-m", "servers.ordinary_user")
    finally:
        shutil.rmtree(home)
    assert (ran.returncode, ran.stdout.split(), ran.stderr) == (0, [str(entry.pw_uid), str(entry.pw_uid), "200"], "")


def python_of(entry: pwd.struct_passwd, home: Path) -> str:
    """Return a Python that the user can run: ours, or one of the system's."""
    others = (shutil.which(f"python3.{minor}", path="/usr/local/bin:/usr/bin") for minor in range(11, 20))
    for python in filter(None, [sys.executable, *others]):
        try:
            if run_as(entry, home, python, "-c", "import ctypes, servers.postgres").returncode == 0:
                return python
        except PermissionError:
            pass  # it lies in the home of another
    pytest.skip(f"there is no Python that {entry.pw_name} can run")


def run_as(entry: pwd.struct_passwd, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    packages = Path(asyncpg.__file__).parents[1]  # where PostgreSQL's programs lie as well
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=home,
        env={"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": f"{home}{os.pathsep}{packages}"},
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
    )
