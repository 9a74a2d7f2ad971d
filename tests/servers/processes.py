"""A server in a process of its own, of which nothing is left at the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from servers import caretaker

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
# Below the range that the system takes ports of outgoing connections from: a server that is down must find its port
# free again, and a client that polls a closed port inside that range can end up connected to itself.
PORTS = range(15_000, 32_000)
SHARES = 10
LOG_LINES = 30


def ports_of(worker: str) -> range:
    """Return the ports for the servers of a worker of pytest-xdist, such as ``gw0``, or of tests that have none."""
    share = int(worker.removeprefix("gw") or 0) if worker else SHARES - 1
    return PORTS[share % SHARES :: SHARES]


def free_port() -> int:
    """Return a port on which nobody listens, and that no other worker takes meanwhile."""
    for port in random.sample(ports_of(os.environ.get("PYTEST_XDIST_WORKER", "")), 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {PORTS.start} and {PORTS.stop}")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    if not caretaker.await_truth(condition, seconds):
        raise TimeoutError(f"waited {seconds:g} s in vain for {what}")


def passable_by_all(directory: Path) -> bool:
    """Return whether every user can reach what lies in a directory."""
    return all(part.stat().st_mode & 0o001 for part in [directory, *directory.parents])


def temporary_directory(prefix: str) -> Path:
    """Make a directory of our own that every user can reach and whose path leaves room for a socket's name (103).

    Not below pytest's own: that is 0700, long, and kept.
    """
    usual = Path(tempfile.gettempdir()).resolve()
    parent = usual if len(str(usual)) < 60 and (os.geteuid() or passable_by_all(usual)) else Path("/tmp")
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


class ServerProcess:
    """A server on a port of its own with a directory of its own; both stay the same from start to start.

    Used as a context it is started, and at the end closed. When this process dies before, a caretaker does that.
    """

    name: str
    asking: int = signal.SIGTERM  # the signal that makes the server end in order, and soon
    identity: tuple[int, int] | None = None  # user and group, where not ours

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = temporary_directory(f"starfish-{self.name}-")
        self.log = self.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._caretaker = subprocess.Popen(
            [sys.executable, "-I", "-S", caretaker.__file__, str(self.directory), str(int(self.asking))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the tests alone
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ProcessLookupError(f"{self.name} is not running")
        return self._process.pid

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        """Return whether the server serves."""
        raise NotImplementedError

    def environment_of_process(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start the server and return when it serves; nothing to do when it runs."""
        if self.running:
            return
        self._forget()
        user, group = self.identity or (None, None)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment_of_process(),
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        self._tell_caretaker(self._process.pid)
        try:
            wait_until(self._serves, f"{self.name} on port {self.port}")
        except (TimeoutError, ChildProcessError) as error:
            error.add_note(self.last_lines())
            raise

    def stop(self) -> None:
        """End the server in order and return when it has ended; nothing to do when it does not run."""
        self._end_by(self.asking)

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """End the server and all its children as kill -9 does, and return when they are gone."""
        if self.running:
            caretaker.kill_with_children(self.pid)
        self._forget()

    def close(self) -> None:
        """End the server and remove its directory."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
        finally:
            self._end_caretaker()
            shutil.rmtree(self.directory, ignore_errors=True)  # where the caretaker itself was killed

    def last_lines(self) -> str:
        """Return the end of the server's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"The end of the log of {self.name}:", *lines[-LOG_LINES:]])

    def _end_by(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)
        self._forget()

    def _serves(self) -> bool:
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            raise ChildProcessError(f"{self.name} ended with {status} instead of serving")
        return self.ready()

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
            self._process = None
            self._tell_caretaker(0)

    def _tell_caretaker(self, pid: int) -> None:
        self._write_to_caretaker(f"{pid}\n")

    def _end_caretaker(self) -> None:
        if self._caretaker.poll() is None:
            self._write_to_caretaker(caretaker.END)
        assert self._caretaker.stdin is not None
        self._caretaker.stdin.close()
        self._caretaker.wait(STOP_SECONDS)

    def _write_to_caretaker(self, line: str) -> None:
        assert self._caretaker.stdin is not None
        self._caretaker.stdin.write(line.encode())
        self._caretaker.stdin.flush()
