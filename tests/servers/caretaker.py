"""Ends a server and removes its directory when the process that started it is gone, however that ended.

Run as a process of its own: `caretaker.py DIRECTORY SIGNAL`. Each line on its standard input is the id of the server's
process, or 0 when it has none. The line `end`, or the input's end, is the end of the tests: no handler of theirs need
run, so this works after a kill -9 as well. (PR_SET_PDEATHSIG would need no process, but follows the thread that started
the server, and removes no directory.)
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

POLL_SECONDS = 0.01
PATIENCE_SECONDS = 5.0
END = "end\n"


def await_truth(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)  # between looks for what other processes do, up to a deadline
    return True


def states() -> dict[int, tuple[int, str]]:
    """Return the parent and the state of every process."""
    if os.path.isdir("/proc/self"):  # small Linux images have no ps
        return dict(filter(None, map(state, filter(str.isdecimal, os.listdir("/proc")))))
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid): (int(parent), state[0]) for pid, parent, state in lines}


def state(pid: str) -> tuple[int, tuple[int, str]] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            letter, parent = file.read().rpartition(")")[2].split()[:2]
    except OSError:
        return None  # it ended just now
    return int(pid), (int(parent), letter)


def gone(pids: set[int]) -> bool:
    """Return whether none of these processes runs; one that nobody has reaped yet does not."""
    running = states()
    return not any(pid in running and running[pid][1] != "Z" for pid in pids)


def kill_with_children(pid: int) -> None:
    """Kill a process and its children with SIGKILL, and return when all are gone."""
    try:
        os.kill(pid, signal.SIGSTOP)  # a stopped parent has no further child while its children are being found
    except ProcessLookupError:
        return
    family = {pid, *(child for child, (parent, _) in states().items() if parent == pid)}
    for member in family:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended by itself
    if not await_truth(lambda: gone(family), PATIENCE_SECONDS):
        raise TimeoutError(f"still running after SIGKILL: {sorted(family)}")


def end(pid: int, asking: int) -> None:
    """Ask the server to end, for that leaves nothing in shared memory; kill it when it does not listen."""
    try:
        os.kill(pid, asking)
    except ProcessLookupError:
        return
    if not await_truth(lambda: gone({pid}), PATIENCE_SECONDS):
        kill_with_children(pid)


def main() -> None:
    directory, asking = sys.argv[1], int(sys.argv[2])
    pid = 0
    for line in sys.stdin:
        if line == END:
            break  # a process that the tests have forked may hold the input open for longer
        pid = int(line)
    if pid:
        end(pid, asking)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
