"""Connections that another thread uses while the process is forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys, threading
import apsw
from starfish_storage.errors import ForkedProcessError
from starfish_storage.metadata.sqlite.driver import connect

flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
connect(sys.argv[1], flags, None, 0).execute("CREATE TABLE t (n)")
connection, begun, may_end = connect(sys.argv[1], flags, None, 0), threading.Event(), threading.Event()
connection.create_scalar_function("wait", lambda: (begun.set(), may_end.wait())[1])
thread = threading.Thread(target=lambda: connection.execute("SELECT wait()").fetchall())
thread.start()
begun.wait()
child = os.fork()
if not child:
    try:
        connect(sys.argv[1], flags, None, 0)
    except ForkedProcessError:
        os._exit(3)
    os._exit(4)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
may_end.set()
thread.join()
sys.exit(status)
"""


def test_a_connection_that_is_in_use_at_the_moment_of_a_fork_was_open(tmp_path: Path) -> None:
    arguments = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(tmp_path / "d.db")]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (3, "")
